"""Samples to batches: the order is fixed, no more than the next batch is prepared ahead, chances hang on keys."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.pictures import encoded
from zsad_core.augmentation import augment
from zsad_core.errors import ZsadError
from zsad_core.images import encode_mask
from zsad_core.methods.base import Recipe
from zsad_core.training_data import Preparation, Sample, batches


def sample(key, category="pill", label=1, grey=200, size=(20, 30)):
    pixels, mask = np.full((*size, 3), grey, np.uint8), np.zeros(size, bool)
    mask[: size[0] // 2] = label
    return Sample(key, category, "pill", label, encoded(pixels), encode_mask(mask) if label else None, key)


def recipe(**options):
    return Recipe(stages=(), epochs=1, batch_size=4, **options)


def test_batches_come_in_order_and_only_one_is_made_ahead():
    lock, begun = threading.Lock(), []

    def prepare(number):
        with lock:
            begun.append(number)
        return number

    seen = []
    for batch in batches(list(range(23)), prepare, 5, threads=3):
        seen += batch
        assert len(batch) == (5 if seen[-1] < 20 else 3)
        assert len(begun) <= len(seen) + 5
    assert seen == list(range(23))
    assert list(batches([], prepare, 5, threads=1)) == []


def test_an_error_of_a_thread_is_raised_in_its_place():
    def prepare(number):
        if number == 6:
            raise ZsadError("six")
        return number

    made = batches(list(range(9)), prepare, 3, threads=2)
    assert [next(made), next(made)] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ZsadError, match="six"):
        next(made)


def test_plain_samples_are_resized_only():
    prepared = Preparation([], 16, recipe(augment=augment, mosaic=1.0)).plain(sample("a"))
    assert_array_equal(prepared.pixels, np.full((16, 16, 3), 200))
    assert_array_equal(prepared.mask, np.arange(16)[:, None].repeat(16, 1) < 8)
    assert not Preparation([], 16, recipe()).plain(sample("a", label=0)).mask.any()


def test_a_change_hangs_on_the_keys_alone():
    samples = [sample(str(number)) for number in range(5)]
    preparation = Preparation(samples, 16, recipe(augment=augment, mosaic=0.5))
    again = Preparation(samples, 16, recipe(augment=augment, mosaic=0.5))
    forward = [preparation.changed(each, (0, 1)) for each in samples]
    backward = [again.changed(each, (0, 1)) for each in reversed(samples)][::-1]
    for one, other in zip(forward, backward, strict=True):
        assert_array_equal(one.pixels, other.pixels)
        assert_array_equal(one.mask, other.mask)
    other_epoch = [preparation.changed(each, (0, 2)) for each in samples]
    assert any((one.pixels != other.pixels).any() for one, other in zip(forward, other_epoch))


def test_mosaics_are_of_anomalous_images_of_the_category():
    pills = [sample(f"pill {number}", grey=10 * number) for number in range(1, 7)]
    normal, lonely = sample("normal", label=0, grey=250), sample("wood", "wood", label=0, grey=90)
    preparation = Preparation([*pills, normal, lonely], 40, recipe(mosaic=1.0))
    for key in range(20):
        made = preparation.changed(normal, (key,))
        greys = {int(made.pixels[row, column, 0]) for row in (5, 35) for column in (5, 35)}
        assert made.label == 1 and greys <= {10 * number for number in range(1, 7)} and len(greys) == 4
        assert made.mask[5, 5] and not made.mask[15, 5] and made.mask[25, 35]  # each quarter has its own upper half
    made = preparation.changed(lonely, (0,))  # its category has nothing anomalous to show
    assert made.label == 0 and (made.pixels == 90).all()
    made = Preparation([*pills, normal], 40, recipe(mosaic=0.25))
    count = sum(made.changed(normal, (key,)).label for key in range(400))
    assert abs(count - 100) < 4.5 * np.sqrt(400 * 0.25 * 0.75)


def test_a_broken_image_is_named():
    with pytest.raises(ZsadError, match=r"^pill/7: truncated; pack this benchmark again$"):
        Preparation([], 16, recipe()).plain(sample("pill/7")._replace(image=sample("x").image[:60]))
