"""Heat maps: colours that read without colour vision, on the scale that is stated; outlines that hide no region."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import binary_dilation

from zsad_core import heat_maps
from zsad_core.map_codec import quantise

# Simulation of missing red, green and blue cones on linear RGB (Machado, Oliveira and Fernandes, 2009, severity 1).
CONES_MISSING = {
    "none": np.eye(3),
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("missing", CONES_MISSING)
def test_a_higher_value_is_lighter_whatever_the_colour_vision(missing):
    share = heat_maps.COLOURS / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.transpose(CONES_MISSING[missing])).clip(0, 1)
    luminance = seen @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(luminance) - 16
    steps = np.diff(lightness[::16])
    assert steps.min() > 2 and steps.max() < 3 * steps.min()  # of 100, in 15 steps: none vanishes, none jumps


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_colour_is_the_place_of_its_value_on_the_scale(value, low, high):
    code = quantise(np.array([value]))
    found = heat_maps.colour(code, low, high)[0]
    if high <= low:
        assert np.array_equal(found, heat_maps.COLOURS[0])
    else:
        place = np.clip((code[0] / 65535 - low) / (high - low), 0, 1) * 255
        near = heat_maps.COLOURS[max(0, int(place) - 1) : int(place) + 3].tolist()
        assert found.tolist() in near


def test_the_shared_range_covers_all_maps():
    maps = [np.array([[100, 200]], np.uint16), np.array([[50], [65535]], np.uint16)]
    assert heat_maps.value_range(maps) == (50 / 65535, 1.0)
    with pytest.raises(ValueError, match="empty"):
        heat_maps.value_range([])


def test_a_map_alone_shows_pure_colours_of_its_scale():
    codes = quantise(np.linspace(0, 1, 40 * 30).reshape(30, 40))
    picture = heat_maps.overlay(codes, 0.0, 1.0, (20, 15), image=None, mask=None)
    assert picture.size == (20, 15) and picture.mode == "RGB"
    table = {tuple(colour) for colour in heat_maps.COLOURS.tolist()}
    assert {tuple(pixel) for pixel in np.asarray(picture).reshape(-1, 3).tolist()} <= table


def test_over_an_image_the_colours_keep_their_stated_share():
    codes = quantise(np.full((8, 8), 0.5))
    black, white = (
        np.asarray(heat_maps.overlay(codes, 0, 1, (8, 8), Image.new("L", (30, 20), grey), mask=None)).astype(int)
        for grey in (0, 255)
    )
    colour = heat_maps.colour(codes, 0, 1)[0, 0]
    assert np.abs(black[0, 0] - heat_maps.OPACITY * colour).max() <= 1
    assert np.abs(white - black - (1 - heat_maps.OPACITY) * 255).max() <= 1


def test_the_outline_lies_around_the_region_and_leaves_it_visible():
    mask = np.zeros((24, 24), bool)
    mask[8:14, 9:12] = True
    codes = quantise(np.full((24, 24), 0.5))
    plain = np.asarray(heat_maps.overlay(codes, 0, 1, (24, 24), None, None))
    drawn = np.asarray(heat_maps.overlay(codes, 0, 1, (24, 24), None, mask))
    square = np.ones((3, 3))
    line = binary_dilation(mask, square)
    around = binary_dilation(line, square)
    assert (drawn[line & ~mask] == 255).all()
    assert (drawn[around & ~line] < 50).all()
    assert np.array_equal(drawn[mask | ~around], plain[mask | ~around])


def test_a_region_smaller_than_a_pixel_of_the_picture_is_outlined_too():
    mask = np.zeros((500, 500), bool)
    mask[251, 252] = True
    picture = heat_maps.overlay(np.zeros((500, 500), np.uint16), 0, 1, (50, 50), None, mask)
    assert (np.asarray(picture) == 255).all(axis=2).sum() == 8


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 400))
def test_fitting_keeps_the_aspect(width, height, side):
    fitted = heat_maps.fit(Image.new("1", (width, height)), side)
    assert max(fitted) == side and min(fitted) >= 1
    assert abs(fitted[0] * height - fitted[1] * width) <= max(width, height) * 1.0


def test_pictures_are_small_and_equal_ones_are_equal_bytes():
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8)
    picture = Image.fromarray(noise).resize((192, 192), Image.Resampling.BICUBIC)
    content = heat_maps.webp(picture)
    assert content == heat_maps.webp(picture.copy()) and len(content) < 12_000
    with Image.open(io.BytesIO(content)) as read:
        assert read.format == "WEBP" and read.size == (192, 192)
        assert np.abs(np.asarray(read).astype(int) - np.asarray(picture)).mean() < 8


def test_the_legend_is_the_whole_scale():
    with Image.open(io.BytesIO(heat_maps.legend())) as read:
        assert np.array_equal(np.asarray(read.convert("RGB"))[0], heat_maps.COLOURS)
