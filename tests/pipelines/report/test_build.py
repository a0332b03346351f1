"""A report from a run: its index against plain pandas, its sprites against the images and maps, and what is made
again."""

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines.report import sprites
from pipelines.report.build import report
from tests.pipelines.report.made_up_run import HOSTILE, failed, frame_of, made_up_rows, row_of, write_run
from zsad_core import heat_maps
from zsad_core.errors import UsageError, ZsadError

GROUP = ["benchmark", "category"]


def read_index(folder):
    """What a browser would make of index.js, which is one line: the definition of a text."""
    script = (folder / "index.js").read_text(encoding="ascii")
    literal = re.fullmatch(r"const reportIndex = '((?:[^'\\\n]|\\.)*)';\n", script).group(1)
    return json.loads(re.sub(r"\\(['\\])", r"\1", literal))


def column(index, name, kind):
    return np.frombuffer(base64.b64decode(index["columns"][name]), kind)


def keys_of(index):
    keys, last = [], ""
    for shared, rest in zip(column(index, "shared", "u1"), index["rest"]):
        keys.append(last[:shared] + rest)
        last = keys[-1]
    return keys


def pictures_of(index, folder, row):
    """(the image's picture, the map's) of a row, cut out of its sheet."""
    file = np.repeat(np.arange(len(index["files"])), index["files"])[row]
    columns, lines = index["sheet"]
    sheet, cell = divmod(int(column(index, "cell", "<u2")[row]), columns * lines)
    with Image.open(folder / f"{index['names'][file]}-{sheet}.webp") as image:
        content = image.convert("RGB")
    width, height = (int(column(index, name, "<u2")[row]) for name in ("width", "height"))
    x, y = cell % columns * 2 * index["size"], cell // columns * index["size"]
    return [content.crop((left, y, left + width, y + height)) for left in (x, x + index["size"])]


@pytest.fixture(scope="module")
def made(tmp_path_factory, without_ray):
    """(folder of the run, its rows, what `report` returned); another run's scores stand beside."""
    folder = tmp_path_factory.mktemp("made")
    found = made_up_rows()
    write_run(folder / "run", found, folder / "shards")
    others = {
        benchmark: [row | {"score": None if row.get("error") else float(-(row["score"] ** 2) if i % 3 else i)}
                    for i, row in enumerate(rows) if i != 7]
        for benchmark, rows in found.items()
    }  # fmt: skip
    write_run(folder / "other", others)
    result = report(str(folder / "run"), str(folder / "other"), str(folder / "report"), None, 64)
    return folder, found, result


def test_the_index_holds_what_pandas_reads(made):
    folder, _, result = made
    index, frame = read_index(folder / "report"), frame_of(folder / "run")
    assert result.images == index["rows"] == len(frame) == 90 and result.not_scored == 1
    assert keys_of(index) == frame.key.tolist() and HOSTILE in keys_of(index)
    assert np.array_equal(column(index, "score", "<f8"), frame.score, equal_nan=True)
    assert np.array_equal(column(index, "std", "<f4"), frame.score_std.astype("f4"), equal_nan=True)
    labels = np.array([0, 1, np.nan])[column(index, "label", "u1")]
    assert np.array_equal(labels, frame.label.astype(float), equal_nan=True)
    groups = pd.DataFrame(index["groups"]).iloc[column(index, "group", "<u2")]
    assert groups.category.tolist() == frame.category.tolist()
    assert set(groups.benchmark) == {"parts", "our line/3"}
    assert [index["defects"][each] for each in column(index, "defect", "<u2")] == frame.defect.tolist()
    assert [[row, index["errors"][error]] for row, error in index["failed"]] == [
        [int(row), frame.error[row]] for row in np.flatnonzero(frame.error.notna())
    ]


def test_another_run_stands_beside_by_ranks_in_the_category(made):
    folder, _, _ = made
    index = read_index(folder / "report")
    frame, other = (frame_of(folder / name).set_index("key") for name in ("run", "other"))
    shown = pd.Series(column(index, "apart", "<f4"), keys_of(index))
    beside = pd.Series(column(index, "other", "<f8"), keys_of(index))
    assert other.score.dropna().sort_index().equals(beside.dropna().rename("score").sort_index().rename_axis("key"))
    for _, of_category in (
        frame.join(other.score.rename("other"), how="inner").dropna(subset="score").groupby("category")
    ):
        for key, row in of_category.iterrows():
            here, there = ((of_category[name] > row[name]).sum() for name in ("score", "other"))
            assert shown[key] == pytest.approx((there - here) / len(of_category))
    assert shown[~shown.index.isin(other.index)].isna().all()


def test_sprites_show_the_image_and_the_map_over_it(made):
    folder, found, result = made
    index, keys = read_index(folder / "report"), keys_of(read_index(folder / "report"))
    flags = dict(zip(keys, column(index, "flags", "u1")))
    assert result.pictures == 89 and result.without_original == 30  # those of the benchmark that has no shards
    low, high = index["scale"]
    for row in [row for rows in found.values() for row in rows if not row.get("error")]:
        image, over = pictures_of(index, folder / "report", keys.index(row["key"]))
        gone = row["category"] == "b>"
        assert flags[row["key"]] == sprites.GONE * gone + sprites.OUTLINED * (row["label"] == 1)
        original = None if gone else Image.open(io.BytesIO(row["image"]))
        if original:
            assert max(image.size) == 64 and image.width / image.height == pytest.approx(
                original.width / original.height, rel=0.15
            )
            assert difference(image, original.resize(image.size, Image.Resampling.BICUBIC)) < 14
        drawn = heat_maps.overlay(row["codes"], low, high, over.size, original, row["truth"])
        assert difference(over, drawn) < 16


def difference(one, other):
    return np.abs(np.asarray(one, float) - np.asarray(other.convert("RGB"), float)).mean()


def test_a_files_most_suspicious_images_share_its_first_sheet(made):
    folder, _, _ = made
    index = read_index(folder / "report")
    cells, scores = column(index, "cell", "<u2"), column(index, "score", "<f8")
    start = 0
    for count in index["files"]:
        of_file = slice(start, start + count)
        scored = np.flatnonzero(np.isfinite(scores[of_file]))
        assert (
            scored[np.argsort(cells[of_file][scored])].tolist() == scored[np.argsort(-scores[of_file][scored])].tolist()
        )
        start += count


def test_the_scale_goes_from_the_lowest_to_the_highest_values(made):
    folder, found, _ = made
    codes = np.stack([row["codes"] for rows in found.values() for row in rows if not row.get("error")]) / 65535
    low, high = read_index(folder / "report")["scale"]
    assert low == pytest.approx(np.quantile(codes, 0.001, axis=(1, 2)).min(), abs=1e-4)
    assert high == pytest.approx(np.quantile(codes.max((1, 2)), 0.999), abs=1e-4)


def test_started_again_only_what_is_new_is_drawn(tmp_path, without_ray):
    found = {"parts": made_up_rows(count=12)["parts"]}
    run, out = tmp_path / "run", tmp_path / "run/report"
    write_run(run, {"parts": found["parts"][:20]}, tmp_path / "shards")
    assert report(str(run), None, str(out), None, 32).made == 19
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.webp")}
    page = (out / "report.html").read_bytes()
    assert report(str(run), None, str(out), None, 32).made == 0 and (out / "report.html").read_bytes() == page

    write_run(run, found, tmp_path / "shards")
    result = report(str(run), None, str(out), None, 32)
    assert (result.images, result.pictures, result.made) == (24, 23, 4)
    assert {path: path.stat().st_mtime_ns for path in before} == before

    (out / "sprites/benchmark=parts/test-00001.json").unlink()  # as a killed process leaves it
    assert report(str(run), None, str(out), None, 32).made == 4
    found["parts"][0] = failed(found["parts"][0], "scored again, and gone")
    write_run(run, found, tmp_path / "shards")
    assert report(str(run), None, str(out), None, 32).made == 18
    assert not list(tmp_path.rglob("*.tmp"))


def test_only_the_highest_have_pictures_where_that_is_asked_for(made, tmp_path, without_ray):
    folder, _, _ = made
    result = report(str(folder / "run"), None, str(tmp_path), 5, 32)
    index = read_index(tmp_path)
    drawn = np.flatnonzero(column(index, "cell", "<u2") != 0xFFFF)
    assert result.pictures == result.made == 5 and "apart" not in index["columns"]
    assert set(drawn) == set(frame_of(folder / "run").score.nlargest(5).index)
    assert report(str(folder / "run"), None, str(tmp_path), 0, 32).pictures == 0


def test_originals_that_come_back_are_drawn(tmp_path, without_ray):
    found = {"parts": made_up_rows(count=4)["parts"]}
    write_run(tmp_path / "run", found, tmp_path / "shards")
    (tmp_path / "shards").rename(tmp_path / "away")
    first = report(str(tmp_path / "run"), None, str(tmp_path / "out"), None, 32)
    assert first.made == first.without_original == 7
    assert report(str(tmp_path / "run"), None, str(tmp_path / "out"), None, 32).made == 0
    (tmp_path / "away").rename(tmp_path / "shards")
    again = report(str(tmp_path / "run"), None, str(tmp_path / "out"), None, 32)
    assert (again.made, again.without_original) == (7, 0)


def test_damaged_images_and_maps_cost_their_own_picture_alone(tmp_path, without_ray):
    rng = np.random.default_rng(1)
    rows = [row_of(rng, f"{number}.png", "nut", None, 0.5) for number in range(3)]
    rows[0]["anomaly_map"] = b"no map"
    write_run(tmp_path / "run", {"parts": rows}, tmp_path / "shards")
    report(str(tmp_path / "run"), None, str(tmp_path / "out"), None, 32)
    cells = column(read_index(tmp_path / "out"), "cell", "<u2").tolist()
    assert cells[0] == 0xFFFF and sorted(cells[1:]) == [0, 1]


def test_nothing_on_the_page_tells_where_the_run_lies(made):
    folder, _, _ = made
    for name in ("report.html", "index.js"):
        assert str(folder) not in (folder / "report" / name).read_text()


def test_wrong_calls_are_refused(tmp_path, without_ray):
    run = str(tmp_path / "run")
    write_run(tmp_path / "run", {"parts": made_up_rows(count=3)["parts"]})
    with pytest.raises(UsageError, match="--size 600: between 32 and 512"):
        report(run, None, str(tmp_path), None, 600)
    with pytest.raises(UsageError, match="--top -1"):
        report(run, None, str(tmp_path), -1, 64)
    write_run(tmp_path / "elsewhere", {"others": made_up_rows(count=3)["parts"]})
    with pytest.raises(ZsadError, match="no image of .*run was scored there"):
        report(run, str(tmp_path / "elsewhere"), str(tmp_path / "out"), None, 64)
    rows = made_up_rows(count=3)["parts"]
    rows[1] |= {"score": float("nan"), "error": None}
    write_run(tmp_path / "scoreless", {"parts": rows})
    with pytest.raises(ZsadError, match=f"row '{rows[1]['key']}' has no finite score and no error; remove the file"):
        report(str(tmp_path / "scoreless"), None, str(tmp_path / "out"), None, 64)
    assert not (tmp_path / "out").exists()
