"""Regions against a search from pixel to pixel and distances between all corners, on maps stretched either way."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plain_regions import brute_force
from zsad_core.regions import regions


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    levels=st.integers(2, 12),
    cut=st.integers(0, 12),
)
def test_everything_is_as_by_definition(seed, shape, size, levels, cut):
    """Few levels, so that values equal the cut and peaks equal each other."""
    anomaly_map = np.random.default_rng(seed).integers(0, levels, shape) / 11
    found = regions(anomaly_map, cut / 11, *size)
    expected = brute_force(anomaly_map, cut / 11, *size)
    assert len(found) == len(expected)
    for region, measures in zip(found, expected):
        assert region == pytest.approx(measures, rel=1e-12, abs=1e-12)


def test_a_scratch_is_as_long_as_it_is():
    """A diagonal of 40 pixels in a map of 64 that stands for an image of 128 x 256 (height x width)."""
    anomaly_map = np.zeros((64, 64))
    for place in range(40):
        anomaly_map[10 + place, 5 + place] = 0.5 + place / 100
    (scratch,) = regions(anomaly_map, 0.4, 128, 256)
    assert scratch[:5] == (5 * 4, 10 * 2, 40 * 4, 40 * 2, 40 * 8)
    assert scratch.length == pytest.approx(math.hypot(160, 80))
    assert (scratch.peak, scratch.mean) == (0.89, pytest.approx(0.5 + 19.5 / 100))


def test_a_ring_and_what_it_surrounds_are_two():
    anomaly_map = np.zeros((5, 5))
    anomaly_map[[0, 4], :] = anomaly_map[:, [0, 4]] = 0.6
    anomaly_map[2, 2] = 0.7
    inner, ring = regions(anomaly_map, 0.5, 5, 5)
    assert inner.length == pytest.approx(math.sqrt(2)) and (inner.left, inner.top, inner.area) == (2, 2, 1)
    assert ring.length == pytest.approx(5 * math.sqrt(2)) and ring.area == 16


def test_only_what_is_above_the_cut():
    assert regions(np.full((3, 3), 0.25), 0.25, 9, 9) == []
    (everything,) = regions(np.full((3, 3), 0.25), 0.2, 9, 9)
    assert everything[:6] == (0, 0, 9, 9, 81, pytest.approx(math.hypot(9, 9)))
