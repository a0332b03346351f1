"""Augmentations: the mask stays with what it marks, chances are as published, all of it hangs on the key alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import ndimage

from zsad_core.augmentation import augment, mosaic, rotated
from zsad_core.noise import keyed_generator


def marked(height, width, seed=0):
    """A dark image with a bright rectangle, and the mask of the rectangle."""
    generator = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    top, left = (int(generator.integers(0, side // 2)) for side in (height, width))
    mask[top : top + height // 3, left : left + width // 3] = True
    return np.where(mask[..., None], 220, 40).repeat(3, 2).astype(np.uint8), mask


def overlap(pixels, mask):
    grey = pixels.mean(2)
    bright = grey > (grey.min() + grey.max()) / 2
    return (bright & mask).sum() / max(1, (bright | mask).sum())


def test_a_generator_is_its_key():
    first, again, other = (keyed_generator(*key).random(4) for key in ((0, 1, "a"), (0, 1, "a"), (0, 11, "a")))
    assert_array_equal(first, again)
    assert (first != other).all()


@given(st.integers(40, 90), st.integers(40, 90), st.floats(-30, 30), st.integers(0, 9))
def test_rotation_is_scipys(height, width, degrees, seed):
    pixels, mask = marked(height, width, seed)
    turned, turned_mask = rotated(pixels, mask, degrees)
    expected = ndimage.rotate(pixels.astype(float), degrees, reshape=False, order=1, mode="reflect")
    assert turned.shape == pixels.shape and turned_mask.shape == mask.shape
    assert np.abs(turned - expected).mean() < 1.5  # PIL interpolates in fixed point
    assert overlap(turned, turned_mask) > 0.85


def test_no_rotation_changes_nothing():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert_array_equal(rotated(pixels, np.ones((20, 30), bool), 0)[0], pixels)


@given(st.integers(0, 10**6))
def test_a_marked_rectangle_stays_under_its_mark(key):
    pixels, mask = marked(60, 90, seed=key)
    changed, changed_mask = augment(pixels, mask, keyed_generator(key))
    assert changed.dtype == np.uint8 and changed_mask.dtype == bool
    assert changed.shape[:2] == changed_mask.shape in ((60, 90), (90, 60))
    assert overlap(changed, changed_mask) > 0.75


def test_the_chances_are_the_published_ones():
    """On a grey image with one marked corner each kind of change leaves another trace."""
    count = 1000
    turned = unchanged = noisy = 0
    pixels, mask = np.full((24, 36, 3), 128, np.uint8), np.zeros((24, 36), bool)
    mask[:6, :9] = True
    for key in range(count):
        changed, changed_mask = augment(pixels, mask, keyed_generator(key))
        turned += changed.shape[0] == 36
        noisy += changed.std() > 1
        unchanged += changed_mask.shape == mask.shape and (changed_mask == mask).all()
    expected = {
        "odd quarters": (turned, 0.5 * 0.5),
        "noise": (noisy, 0.5),
        "neither rotated nor turned": (unchanged, 0.5 * (0.5 + 0.5 / 4)),
    }
    for name, (found, chance) in expected.items():
        assert abs(found - count * chance) < 4.5 * np.sqrt(count * chance * (1 - chance)), name


def test_noise_and_brightness_keep_to_their_ranges():
    pixels, mask = np.full((64, 64, 3), 128, np.uint8), np.zeros((64, 64), bool)
    spreads, means = [], []
    for key in range(400):
        changed, _ = augment(pixels, mask, keyed_generator(key))
        spreads.append(changed.std(axis=(0, 1)).max())
        means.append(changed.mean())
    noisy = [spread for spread in spreads if spread > 0.5]
    # A blur may have lowered the noise; of a jitter's contrast and brightness the largest product is 1.2 x 1.2.
    assert np.quantile(noisy, 0.2) > 0.9 * np.sqrt(10) and max(noisy) < 1.2 * 1.2 * 1.1 * np.sqrt(50)
    assert min(means) > (128 * 0.8 - 51) * 0.8 - 2 and max(means) < (128 * 1.2 + 51) * 1.2 + 2
    assert np.std(means) > 10


def test_a_mosaic_is_four_images():
    images = [marked(20, 30, seed) for seed in range(3)] + [marked(40, 60, 3)]
    pixels, mask = mosaic(images)
    assert pixels.shape == (40, 60, 3) and mask.shape == (40, 60)
    for place, (top, left) in enumerate(((0, 0), (0, 30), (20, 0))):
        assert_array_equal(pixels[top : top + 20, left : left + 30], images[place][0])
        assert_array_equal(mask[top : top + 20, left : left + 30], images[place][1])
    assert overlap(pixels[20:, 30:], mask[20:, 30:]) > 0.8


@pytest.mark.parametrize("shape", [(3, 40), (40, 3), (1, 1)])
def test_strips_can_be_augmented(shape):
    for key in range(50):
        pixels, mask = augment(np.full((*shape, 3), 9, np.uint8), np.zeros(shape, bool), keyed_generator(key))
        assert pixels.shape[:2] == mask.shape
