"""Regions of a made-up run against the definition and plain pandas; what is done again and what is not."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipelines.predictions import PREDICTION_SCHEMA, prediction_uri, read_predictions
from pipelines.regions import REGIONS_SCHEMA, find_regions
from tests.made_up_predictions import write_run
from tests.plain_regions import brute_force
from tests.run_files import change_run, rewrite
from zsad_core.errors import UsageError, ZsadError
from zsad_core.map_codec import encode

MEASURES = ["left", "top", "width", "height", "area", "length", "peak", "mean"]
BENCHMARK = "our line/3"


def made_row(key, category, codes, size=(60, 20), error=None):
    row = {"key": key, "category": category, "defect": "unknown", "prompt": category, "sha256": key, "error": error}
    row |= {"map_height": codes.shape[0], "map_width": codes.shape[1], "height": size[0], "width": size[1]}
    return row if error else row | {"score": 0.25, "anomaly_map": encode(codes)}


@pytest.fixture
def made(tmp_path, without_ray):
    """(run folder, rows, their maps); four files of 5, 5, 5 and 1 rows."""
    rng = np.random.default_rng(2)
    maps = [(rng.integers(0, 9, (12, 10)) * 8000).astype(np.uint16) for _ in range(15)] + [
        np.zeros((12, 10), np.uint16)
    ]
    rows = [made_row(f"{i}", "ab"[i % 2], codes) for i, codes in enumerate(maps)]
    rows[3] = made_row("3", "b", maps[3], error="truncated")
    write_run(tmp_path, {BENCHMARK: (["image"], {"a": (None, None), "b": (None, None)}, rows)})
    return tmp_path, rows, maps


def files_of(folder):
    return sorted((folder / "regions" / "benchmark=our line%2F3").iterdir())


def table_of(folder):
    return pd.concat(map(pd.read_parquet, files_of(folder)), ignore_index=True)


def by_definition(rows, maps, cuts, sizes=None):
    expected = []
    for row, codes in zip(rows, maps):
        if row["error"] is None:
            cut = cuts[row["category"]]
            found = brute_force(codes / 65535, cut, *(sizes or (row["height"], row["width"])))
            expected += [(row["key"], row["category"], i, *each, 0.25, cut) for i, each in enumerate(found, start=1)]
    return pd.DataFrame(expected, columns=REGIONS_SCHEMA.names)


def write_cuts(folder, cuts):
    settings = json.loads((folder / "run.json").read_text())["settings"]
    categories = {category: {"map": {"cut": cut}} for category, cut in cuts.items()}
    (folder / "thresholds").mkdir(exist_ok=True)
    content = {"run": settings, "benchmarks": {BENCHMARK: {"categories": categories}}}
    (folder / "thresholds" / "thresholds.json").write_text(json.dumps(content))


def test_every_region_of_every_image_is_a_row(made):
    folder, rows, maps = made
    cut = 56000 / 65535  # a value of the maps: what equals it is not above it
    found = find_regions(str(folder), cut)
    expected = by_definition(rows, maps, {"a": cut, "b": cut})
    table = table_of(folder)
    assert [file.name for file in files_of(folder)] == [f"test-{i:05d}-of-00004.parquet" for i in range(4)]
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=1e-12)
    assert found == (len(expected), expected["key"].nunique(), 15, 0)
    assert len(pd.read_parquet(files_of(folder)[-1])) == 0  # of one image without any
    scratches = pd.read_parquet(folder / "regions").query("length > 12")  # as the README shows
    assert len(scratches) == (expected["length"] > 12).sum() > 0 and set(scratches["benchmark"]) == {BENCHMARK}


def test_each_category_has_its_cut_of_the_thresholds(made):
    folder, rows, maps = made
    cuts = {"a": 0.8, "b": 0.9}
    write_cuts(folder, cuts)
    find_regions(str(folder))
    pd.testing.assert_frame_equal(table_of(folder), by_definition(rows, maps, cuts), check_dtype=False, rtol=1e-12)


def test_only_what_changed_is_done_again(made):
    folder, *_ = made
    find_regions(str(folder), 0.9)
    files = files_of(folder)
    whole = [file.read_bytes() for file in files]
    before = {file: file.stat().st_mtime_ns for file in files}
    stray = files[0].with_name("test-00009-of-00009.parquet")
    shutil.copy(files[0], stray)
    files[0].unlink()
    files[1].write_bytes(whole[1][:-9])
    uri = prediction_uri(str(folder), BENCHMARK, files[2].name)
    rewrite(uri, lambda rows: rows[0].update(anomaly_map=encode(np.zeros((12, 10), np.uint16))))
    found = find_regions(str(folder), 0.9)
    assert not stray.exists()
    assert [file for file in files if file.stat().st_mtime_ns != before[file]] == files[:3]
    assert [file.read_bytes() for file in files[:2]] == whole[:2] and files[2].read_bytes() != whole[2]
    assert found.regions == len(table_of(folder))
    assert find_regions(str(folder), 0.91).regions <= found.regions
    assert all(file.read_bytes() != content for file, content in zip(files, whole))  # also where it has no rows
    assert not [name for _, _, names in os.walk(folder / "regions") for name in names if not name.endswith(".parquet")]


def test_a_damaged_page_is_found_and_made_again(made):
    folder, _, _ = made
    find_regions(str(folder), 0.8)
    file = files_of(folder)[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:8] + bytes(20) + whole[28:])
    find_regions(str(folder), 0.8)
    assert file.read_bytes() == whole


def test_sizes_that_are_not_known_are_the_maps(made):
    folder, rows, maps = made
    uri = prediction_uri(str(folder), BENCHMARK, "test-00000-of-00004.parquet")
    rewrite(uri, lambda rows: [row.update(height=None, width=None) for row in rows])
    assert find_regions(str(folder), 0.8).sizes_unknown == 4 == find_regions(str(folder), 0.8).sizes_unknown
    cuts = {"a": 0.8, "b": 0.8}
    expected = [by_definition(rows[:5], maps[:5], cuts, (12, 10)), by_definition(rows[5:], maps[5:], cuts)]
    pd.testing.assert_frame_equal(
        table_of(folder), pd.concat(expected, ignore_index=True), check_dtype=False, rtol=1e-12
    )


def test_a_file_of_a_version_that_knew_no_sizes(made):
    folder, _, _ = made
    uri = prediction_uri(str(folder), BENCHMARK, "test-00000-of-00004.parquet")
    pq.write_table(read_predictions(uri).select(PREDICTION_SCHEMA.names[:-4]), uri)
    assert find_regions(str(folder), 0.8).sizes_unknown == 4


def test_without_a_cut_it_is_said_what_to_do(made):
    folder, _, _ = made
    with pytest.raises(ZsadError, match="no cut is known for its maps: give --cut, or run `zsad threshold` first"):
        find_regions(str(folder))
    write_cuts(folder, {"a": 0.8, "b": None})
    with pytest.raises(ZsadError, match="found too few good images for b: give --cut, or run it with more"):
        find_regions(str(folder))
    write_cuts(folder, {"a": 0.8})
    with pytest.raises(ZsadError, match=r"test-0000.*: the category b is not in thresholds.json: give --cut, or run"):
        find_regions(str(folder))
    change_run(folder, lambda content: content["settings"].update(seed=9))
    with pytest.raises(ZsadError, match="thresholds.json: made when the run had other settings"):
        find_regions(str(folder))
    (folder / "thresholds" / "thresholds.json").write_text('{"run": 3}')
    with pytest.raises(ZsadError, match="thresholds.json: (not what|made when)"):
        find_regions(str(folder))
    for cut in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="maps have values from 0 to 1"):
            find_regions(str(folder), cut)


def test_a_damaged_map_is_named_and_leaves_no_stale_file(made):
    folder, _, _ = made
    find_regions(str(folder), 0.8)
    uri = prediction_uri(str(folder), BENCHMARK, "test-00001-of-00004.parquet")
    rewrite(uri, lambda rows: rows[2].update(anomaly_map=b"x"))
    with pytest.raises(ZsadError, match="row '7': damaged map .*; remove the file") as raised:
        find_regions(str(folder), 0.7)
    assert uri in str(raised.value)
    assert [file.name[:10] for file in files_of(folder)] == ["test-00000", "test-00002", "test-00003"]
    assert set(table_of(folder)["cut"]) == {0.7}
