"""One image as a picture: the right one is found, drawn beside its map, and wrong keys are told what is close."""

import io

import numpy as np
import pytest
from PIL import Image

from pipelines.show import SIDE, default_name, show
from tests.pipelines.report.made_up_run import failed, made_up_rows, write_run
from zsad_core import heat_maps
from zsad_core.errors import UsageError, ZsadError


@pytest.fixture
def run(tmp_path):
    """(URI of a run, its rows); the benchmark `again` has the keys of `parts`."""
    rows = made_up_rows(count=6)["parts"]
    write_run(tmp_path / "run", {"parts": rows, "again": rows[:2]}, tmp_path / "shards", per_file=4)
    return str(tmp_path / "run"), rows


def holds(picture, part):
    """Whether the picture shows the part somewhere, pixel by pixel."""
    pixels, wanted = np.asarray(picture.convert("RGB")), np.asarray(part.convert("RGB"))
    height, width = wanted.shape[:2]
    corners = (pixels[: len(pixels) - height + 1, : pixels.shape[1] - width + 1] == wanted[0, 0]).all(2)
    return any(np.array_equal(pixels[y : y + height, x : x + width], wanted) for y, x in np.argwhere(corners))


def test_image_map_and_deviation_stand_beside_each_other(run):
    uri, rows = run
    row = next(row for row in rows[2:] if row["label"] == 1 and not row.get("error"))
    content, caption = show(uri, row["key"])
    picture = Image.open(io.BytesIO(content))
    original = Image.open(io.BytesIO(row["image"]))
    size = heat_maps.fit(original, SIDE)
    low, high = row["codes"].min() / 65535, row["codes"].max() / 65535
    assert holds(picture, original.resize(size, Image.Resampling.LANCZOS))
    assert holds(picture, heat_maps.overlay(row["codes"], low, high, size, original, row["truth"]))
    assert picture.width > 3 * size[0] and holds(picture, Image.fromarray(heat_maps.COLOURS[None, -1:]))
    assert caption[0] == row["key"]
    assert f"score {row['score']:.4f} ± {row['score_std']:.4f}, anomalous (scratch)" in caption[1]


def test_without_its_original_the_map_stands_alone(run, tmp_path):
    uri, rows = run
    (tmp_path / "shards").rename(tmp_path / "away")
    row = rows[-1]
    content, caption = show(uri, row["key"], "parts")
    low, high = row["codes"].min() / 65535, row["codes"].max() / 65535
    size = heat_maps.fit(Image.fromarray(row["codes"]), SIDE)
    assert holds(Image.open(io.BytesIO(content)), heat_maps.overlay(row["codes"], low, high, size, None, row["truth"]))
    assert caption[1].endswith("the original image was not found")


def test_a_key_has_to_be_that_of_one_scored_image(run, tmp_path):
    uri, rows = run
    with pytest.raises(ZsadError, match=r"nut/cam/099.png: no image of the run has this key; close to it: nut/cam/0"):
        show(uri, "nut/cam/099.png")
    with pytest.raises(UsageError, match="images of again, parts have this key; say which by --benchmark"):
        show(uri, rows[0]["key"])
    show(uri, rows[0]["key"], "again")
    with pytest.raises(UsageError, match="--benchmark none: the run has again, parts"):
        show(uri, rows[0]["key"], "none")
    error = next(row for row in rows if row.get("error"))
    with pytest.raises(ZsadError, match="could not be scored: truncated <b>image</b>"):
        show(uri, error["key"], "parts")
    write_run(tmp_path / "twice", {"parts": [rows[0], rows[0]]})
    with pytest.raises(ZsadError, match="2 images of parts have this key"):
        show(str(tmp_path / "twice"), rows[0]["key"])
    write_run(tmp_path / "none", {"parts": [failed(rows[0], "empty")]})


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("line1/cam2/0815.png", "line1-cam2-0815.png"),
        ("../../etc/passwd", "etc-passwd.png"),
        ("é b.tar.jpeg", "é-b.tar.png"),
        ("/", "image.png"),
        ("x" * 500 + ".png", "x" * 120 + ".png"),
    ],
)
def test_files_are_named_by_the_key_and_stay_in_the_folder(key, name):
    assert default_name(key) == name
