"""What stands behind the cells: which images are shown and why, on which scale, and what is said where parts miss."""

import base64
import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines import storage
from pipelines.leaderboard.page_details import page_details
from pipelines.predictions import prediction_uri
from tests.pictures import encoded
from tests.pipelines.report.made_up_run import write_files
from zsad_core.errors import ZsadError
from zsad_core.map_codec import encode, pack_mask, quantise

SIZE = 12
CURVES = {"head ct": {"image_roc": [[0, 1], [0, 1]], "image_plain_roc": None, "pixel_roc": None, "pro": None}}


def picture(seed, size=(40, 20)):
    return encoded(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8))


def sample(category, label, number, score, **changes):
    image = picture(number)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[3:6, 4:8] = label == 1
    return {
        "key": f"{category}/{number:02d}.png",
        "category": category,
        "defect": "crack" if label else "good",
        "prompt": category,
        "label": label,
        "sha256": hashlib.sha256(image).hexdigest(),
        "score_text": score,
        "score_map": score,
        "score": score,
        "anomaly_map": encode(quantise(np.full((SIZE, SIZE), score))),
        "map_height": SIZE,
        "map_width": SIZE,
        "mask": pack_mask(mask),
        "image": image,
        **changes,
    }


def write_run(run, benchmark, rows, shards_root=None):
    """Predictions of `rows` in two files, and their shards where a root is given."""
    write_files(run, benchmark, [rows[0::2], rows[1::2]], shards_root)


def mixed_rows():
    scores = np.random.default_rng(4).permutation(24) / 40 + 0.1
    return [
        sample(category, label, 10 * index + 5 * label + i, float(scores[8 * index + 4 * label + i]))
        for index, category in enumerate(("bolt", "nut", "washer"))
        for label in (0, 1)
        for i in range(4)
    ]


def decoded(uri):
    head, content = uri.split(",", 1)
    assert head in ("data:image/webp;base64", "data:image/png;base64")
    with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
        return image.convert("RGB")


def test_each_reason_shows_the_image_that_it_names(tmp_path):
    rows = mixed_rows()
    write_run(tmp_path / "run", "parts", rows, tmp_path / "shards")
    maps = page_details({"ours": [str(tmp_path / "run")]}, str(tmp_path / "shards"))["maps"]["parts"]["ours"]
    frame = pd.DataFrame(rows)[["key", "category", "label", "score"]]
    assert maps["note"] is None
    assert [each["category"] for each in maps["samples"]] == ["bolt", "bolt", "nut", "washer"]
    place = {"highest": "max", "lowest": "min"}
    for each in maps["samples"]:
        *_, kind, images = each["reason"].split()
        label = {"anomalous": 1, "normal": 0}[kind]
        assert each["reason"].split()[1:5] == ["score", "of", "its", "category's"] and images == "images"
        alike = frame[(frame.category == each["category"]) & (frame.label == label)]
        if each["reason"].startswith("middle"):
            assert each["score"] not in (alike.score.min(), alike.score.max())
        else:
            assert each["score"] == getattr(alike.score, place[each["reason"].split()[0]])()
        assert alike.set_index("key").score[each["key"]] == each["score"] and each["label"] == label
        assert each["outlined"] == bool(label)
    shown = [each["score"] for each in maps["samples"]]
    assert maps["low"] == pytest.approx(min(shown), abs=1e-5) and maps["high"] == pytest.approx(max(shown), abs=1e-5)


def test_pictures_keep_the_aspect_of_the_image_and_show_it(tmp_path):
    rows = mixed_rows()
    write_run(tmp_path / "run", "parts", rows, tmp_path / "shards")
    maps = page_details({"ours": [str(tmp_path / "run")]}, str(tmp_path / "shards"))["maps"]["parts"]["ours"]
    originals = {row["key"]: Image.open(io.BytesIO(row["image"])) for row in rows}
    for each in maps["samples"]:
        assert (each["width"], each["height"]) == (192, 96)
        shown, over = decoded(each["image"]), decoded(each["overlay"])
        assert shown.size == over.size == (192, 96)
        expected = np.asarray(originals[each["key"]].resize((192, 96), Image.Resampling.BICUBIC)).astype(int)
        others = [
            np.abs(np.asarray(other.resize((192, 96))).astype(int) - np.asarray(shown)).mean()
            for key, other in originals.items()
            if key != each["key"]
        ]
        assert np.abs(expected - np.asarray(shown)).mean() < 0.7 * min(others)


def test_one_category_gives_four_different_images(tmp_path):
    write_run(tmp_path / "run", "HeadCT", [sample("head ct", i % 2, i, 0.1 * i) for i in range(8)])
    samples = page_details({"ours": [str(tmp_path / "run")]}, None)["maps"]["HeadCT"]["ours"]["samples"]
    assert [each["key"] for each in samples] == [f"head ct/0{i}.png" for i in (7, 3, 1, 6)]


def test_without_images_the_maps_stand_alone_and_say_so(tmp_path):
    write_run(tmp_path / "run", "parts", mixed_rows(), tmp_path / "shards")
    run = {"ours": [str(tmp_path / "run")]}
    unknown = page_details(run, None)["maps"]["parts"]["ours"]
    assert "not known where the original images are" in unknown["note"]
    assert {each["image"] for each in unknown["samples"]} == {None}
    assert {(each["width"], each["height"]) for each in unknown["samples"]} == {(192, 192)}
    elsewhere = page_details(run, str(tmp_path / "nowhere"))["maps"]["parts"]["ours"]
    assert (
        elsewhere["note"].startswith("4 of 4 heat maps stand alone: the original image was not found")
        and len(elsewhere["samples"]) == 4
    )
    storage.write_json(str(tmp_path / "run" / "run.json"), {"shards": str(tmp_path / "shards")})
    assert page_details(run, None)["maps"]["parts"]["ours"]["note"] is None


def test_another_image_under_the_same_key_is_not_shown(tmp_path):
    rows = mixed_rows()
    write_run(tmp_path / "run", "parts", rows, tmp_path / "shards")
    write_run(tmp_path / "other", "parts", [{**row, "image": picture(99)} for row in rows], tmp_path / "shards")
    maps = page_details({"ours": [str(tmp_path / "run")]}, str(tmp_path / "shards"))["maps"]["parts"]["ours"]
    assert maps["note"].startswith("4 of 4 heat maps stand alone")
    assert {each["image"] for each in maps["samples"]} == {None}


def test_failed_rows_are_never_shown_and_unknown_labels_only_where_there_are_no_others(tmp_path):
    failed = {"score": None, "score_text": None, "score_map": None, "anomaly_map": None, "error": "truncated"}
    rows = [sample("a", 1, 0, 0.9) | failed, sample("a", 1, 1, 0.5), sample("a", None, 2, 0.8)]
    write_run(tmp_path / "run", "labelled", rows)
    write_run(tmp_path / "run", "archive", [sample("a", None, i, 0.1 * i, mask=None) for i in range(5)])
    write_run(tmp_path / "run", "broken", rows[:1])
    maps = page_details({"ours": [str(tmp_path / "run")]}, None)["maps"]
    assert [each["key"] for each in maps["labelled"]["ours"]["samples"]] == ["a/01.png"]
    assert [each["key"] for each in maps["archive"]["ours"]["samples"]] == ["a/04.png", "a/02.png", "a/00.png"]
    assert maps["broken"]["ours"] == {"note": "No heat maps: no image of this benchmark was scored.", "samples": []}


def test_a_damaged_file_costs_its_benchmark_alone_and_no_path_gets_onto_the_page(tmp_path):
    write_run(tmp_path / "run", "good", mixed_rows())
    write_run(tmp_path / "run", "our line 3/b", mixed_rows())
    uri = prediction_uri(str(tmp_path / "run"), "our line 3/b", "test-00000")
    storage.write_bytes(uri, storage.read_bytes(uri)[:-30])
    details = page_details({"ours": [str(tmp_path / "run")]}, None)
    assert details["maps"]["our line 3/b"]["ours"]["note"].startswith("No heat maps: test-00000.parquet: damaged")
    assert len(details["maps"]["good"]["ours"]["samples"]) == 4
    assert str(tmp_path) not in json.dumps(details)


def test_merged_results_have_curves_but_no_heat_maps_and_the_first_run_of_an_entry_counts(tmp_path):
    for number in range(2):
        storage.write_json(str(tmp_path / str(number) / "metrics" / "curves.json"), {"HeadCT": {**CURVES, "n": number}})
    (tmp_path / "empty").mkdir()
    runs = {"merged": [str(tmp_path / "0"), str(tmp_path / "1")], "none": [str(tmp_path / "empty")]}
    details = page_details(runs, None)
    assert details["curves"] == {"HeadCT": {"merged": {**CURVES, "n": 0}}} and details["maps"] == {}
    assert decoded(details["legend"]).size == (256, 1)


def test_equal_runs_give_equal_details_without_torch_or_ray(tmp_path):
    write_run(tmp_path / "run", "parts", mixed_rows(), tmp_path / "shards")
    programme = (
        "import json, sys\nfrom pipelines.leaderboard.page_details import page_details\n"
        f"print(json.dumps(page_details({{'a': [{str(tmp_path / 'run')!r}]}}, {str(tmp_path / 'shards')!r})))\n"
        "sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
    )
    outputs = [subprocess.run([sys.executable, "-c", programme], capture_output=True, check=True) for _ in range(2)]
    assert outputs[0].stdout == outputs[1].stdout
    here = page_details({"a": [str(tmp_path / "run")]}, str(tmp_path / "shards"))
    assert json.loads(outputs[0].stdout) == here


@pytest.mark.parametrize("damaged", [b"[]", b'{"HeadCT": 1}', b"{"])
def test_a_damaged_file_of_curves_is_named(tmp_path, damaged):
    uri = str(tmp_path / "run" / "metrics" / "curves.json")
    storage.write_bytes(uri, damaged)
    with pytest.raises(ZsadError, match=f"^{uri}: not "):
        page_details({"ours": [str(tmp_path / "run")]}, None)


def test_scores_and_maps_that_are_none(tmp_path):
    scores = [float("nan"), float("inf"), 0.5]
    rows = [sample("a", 1, number, 0.4) | {"score": score} for number, score in enumerate(scores)]
    write_run(tmp_path / "run", "odd", rows)
    write_run(tmp_path / "run", "large", [sample("a", 1, 0, 0.4, map_height=2**30, map_width=2**30)])
    write_run(tmp_path / "run", "without", [sample("a", 1, 0, 0.4, anomaly_map=None)])
    maps = page_details({"ours": [str(tmp_path / "run")]}, None)["maps"]
    assert [each["key"] for each in maps["odd"]["ours"]["samples"]] == ["a/02.png"]
    assert maps["large"]["ours"]["note"].startswith("No heat maps: a 1073741824 x 1073741824 map")
    assert maps["without"]["ours"]["note"].startswith("No heat maps: no map")
    json.dumps(maps, allow_nan=False)


def test_shards_of_other_columns_cost_the_images_alone(tmp_path):
    write_run(tmp_path / "run", "labelled", [sample("a", 1, n, 0.5) for n in range(2)], tmp_path / "shards")
    for path in (tmp_path / "shards" / "labelled").glob("*.parquet"):
        pq.write_table(pa.table({"key": [1]}), path)
    found = page_details({"ours": [str(tmp_path / "run")]}, str(tmp_path / "shards"))["maps"]["labelled"]["ours"]
    assert found["note"].startswith("2 of 2 heat maps stand alone") and len(found["samples"]) == 2
