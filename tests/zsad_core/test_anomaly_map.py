"""Upsampling, smoothing and the mean of the highest pixels against scipy, numpy and the definition."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter

from zsad_core import anomaly_map
from zsad_core.anomaly_map import codes_of, mean_of_highest, shrink, smooth, upsampled_probability
from zsad_core.map_codec import quantise


@pytest.mark.parametrize(("size", "sigma"), [(98, 8.0), (518, 8.0), (33, 8.0), (5, 8.0), (64, 0.37), (50, 4.0)])
def test_smoothing_equals_scipys(size, sigma):
    maps = np.random.default_rng(size).random((2, size, size)).astype(np.float32)
    expected = np.stack([gaussian_filter(one.astype(np.float64), sigma) for one in maps])
    assert_allclose(smooth(torch.from_numpy(maps), sigma), expected, rtol=0, atol=2e-6)


def test_smoothing_by_nothing_changes_nothing():
    maps = torch.rand(1, 7, 7)
    assert torch.equal(smooth(maps, 0.0), maps)


def test_upsampling_difference_equals_softmax_of_upsampled_pairs():
    rng = torch.Generator().manual_seed(0)
    normal, abnormal = torch.randn(2, 2, 6, 5, 5, generator=rng).unbind()
    upsampled = [
        torch.nn.functional.interpolate(logits, size=(40, 40), mode="bilinear", align_corners=True)
        for logits in (normal, abnormal)
    ]
    expected = torch.stack(upsampled).softmax(dim=0)[1].mean(dim=1)
    assert_allclose(upsampled_probability(abnormal - normal, 40), expected, atol=1e-6)


def test_the_kernel_for_gpus_upsamples_alike():
    logits = 3 * torch.randn(2, 4, 7, 7, generator=torch.Generator().manual_seed(1))
    for size in (7, 50, 98):
        in_one = anomaly_map._in_one_kernel(logits, size)
        assert_allclose(in_one, upsampled_probability(logits, size), rtol=0, atol=2e-6)


def test_corners_stay_in_the_corners():
    logits = torch.zeros(1, 1, 3, 3)
    logits[0, 0, 0, 0], logits[0, 0, 2, 2] = 4.0, -4.0
    probability = upsampled_probability(logits, 31)[0]
    assert_allclose([probability[0, 0], probability[-1, -1]], torch.sigmoid(torch.tensor([4.0, -4.0])), atol=1e-6)


@pytest.mark.parametrize("ks", [(1, 1, 1), (20, 1, 2000), (10_000, 3, 3600)])
def test_mean_of_highest_equals_sorting(ks):
    maps = np.random.default_rng(sum(ks)).random((3, 60, 60)).astype(np.float32)
    expected = [np.sort(one.astype(np.float64), axis=None)[-k:].mean() for one, k in zip(maps, ks)]
    assert_allclose(mean_of_highest(torch.from_numpy(maps), ks), expected, rtol=1e-12)


def test_shrunk_maps_are_means():
    maps = torch.rand(2, 6, 6, dtype=torch.float64)
    assert_allclose(shrink(maps, 2), maps.unfold(1, 3, 3).unfold(2, 3, 3).mean((-1, -2)), rtol=1e-12)
    assert_allclose(shrink(maps, 4)[0, 1, 3], maps[0, 1:3, 4:].mean(), rtol=1e-12)  # 6 / 4: pixels that overlap
    assert shrink(maps, 6) is maps


def test_codes_are_those_of_the_codec():
    maps = torch.rand(2, 50, 50, generator=torch.Generator().manual_seed(2))
    maps[0, 0, :3] = torch.tensor([0.0, 1.0, 1 + 1e-7])
    codes, extremes = codes_of(maps)
    assert np.array_equal(codes.numpy(), quantise(maps.numpy())) and extremes.tolist() == [0, 65535]
    maps[1, 4, 4] = 1.1
    assert codes_of(maps)[1][1] > 65535
