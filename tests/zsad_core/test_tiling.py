"""Tiles cover an image evenly, and what they give is put together without seams."""

import numpy as np
import pytest
from PIL import Image

from tests.pictures import encoded, square
from zsad_core.images import ImageError
from zsad_core.tiling import Tiling, assembled, tile_pixels, tiling_of

RNG = np.random.default_rng(0)


def picture(height, width):
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def tiles_of(whole, tiling):
    side = tiling.side
    return [whole[top : top + side, left : left + side] for top in tiling.tops for left in tiling.lefts]


@pytest.mark.parametrize("overlap", [0, 0.25, 0.6])
@pytest.mark.parametrize("height, width, tile", [(300, 700, 100), (101, 100, 100), (999, 1000, 333), (64, 300, 100)])
def test_tiles_reach_every_pixel_and_overlap_evenly(height, width, tile, overlap):
    tiling = tiling_of(height, width, tile, overlap, map_size=50)
    for starts, length, pixels in ((tiling.tops, tiling.height, height), (tiling.lefts, tiling.width, width)):
        assert length == max(50, round(pixels * 50 / tile))
        assert starts[0] == 0 and starts[-1] == length - 50
        steps = np.diff(starts)
        assert (steps <= np.ceil(50 * (1 - overlap))).all() and (np.ptp(steps) <= 1 if len(steps) else True)
        # One tile fewer would overlap less.
        assert len(starts) < 3 or (length - 50) / (len(starts) - 2) > 50 * (1 - overlap)


def test_without_tiles_the_whole_image_is_one_of_any_aspect():
    assert tiling_of(30, 4000, None, 0.25, 64) == Tiling(64, 64, 64, (0,), (0,))
    image = picture(70, 90)
    for tile in (None, 90, 500):
        tiling = tiling_of(70, 90, tile, 0.25, 64)
        assert tiling.count == 1
        assert np.array_equal(tile_pixels(image, tiling, 64)[0], square(encoded(image), 64))


def test_tiles_are_cut_where_they_lie():
    """At the map's own scale a tile is a part of the image, pixel by pixel."""
    image = picture(120, 200)
    tiling = tiling_of(120, 200, 40, 0.25, 40)
    assert tiling.count > 10
    expected = tiles_of(np.asarray(image), tiling)
    assert np.array_equal(tile_pixels(image, tiling, 40), expected)


def test_maps_that_agree_come_back_as_they_were():
    tiling = tiling_of(1000, 1500, 400, 0.25, 60)
    whole = RNG.integers(0, 65536, (tiling.height, tiling.width)).astype(np.uint16)
    assert np.abs(assembled(tiles_of(whole, tiling), tiling, 0.25).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_the_mean_by_its_definition(overlap):
    tiling = tiling_of(50, 35, 20, overlap, 20)
    tiles = [RNG.integers(0, 65536, (20, 20)).astype(np.uint16) for _ in range(tiling.count)]
    places = [(top, left) for top in tiling.tops for left in tiling.lefts]
    found = assembled(tiles, tiling, overlap)
    for row in range(0, 50, 7):
        for column in range(0, 35, 3):
            values, weights = [], []
            for (top, left), tile in zip(places, tiles):
                y, x = row - top, column - left
                if 0 <= y < 20 and 0 <= x < 20:
                    values.append(float(tile[y, x]))
                    near = [min(place + 0.5, 19.5 - place) / max(1.0, overlap * 20) for place in (y, x)]
                    weights.append(min(1.0, near[0]) * min(1.0, near[1]))
            assert abs(found[row, column] - np.average(values, weights=weights)) <= 1


def test_tiles_that_differ_leave_no_seam():
    """Two flat maps of other values: between neighbouring pixels the ramp rises evenly over the overlap, nowhere
    jumps."""
    tiling = tiling_of(40, 70, 40, 0.25, 40)
    assert tiling.count == 2
    whole = assembled([np.full((40, 40), 10000, np.uint16), np.full((40, 40), 20000, np.uint16)], tiling, 0.25)
    steps = np.diff(whole[20].astype(int))
    assert whole[20, 0] == 10000 and whole[20, -1] == 20000
    assert steps.min() >= 0 and steps.max() <= 10000 / (0.25 * 40) + 1


def test_what_would_be_too_much_is_said():
    with pytest.raises(ImageError, match="take a larger --tile"):
        tiling_of(10_000, 10_000, 16, 0.25, 518)
    tiling = tiling_of(6000, 6000, 100, 0.25, 100)
    with pytest.raises(ImageError, match="tiles of 518 x 518 pixels are too many: take a larger --tile"):
        tile_pixels(picture(10, 10), tiling, 518)
