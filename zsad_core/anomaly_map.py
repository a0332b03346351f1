"""From patch logits to what is stored of an anomaly map: upsampling, smoothing, highest pixels, codes (torch)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from zsad_core.map_codec import LARGEST_CODE


def upsampled_probability(logits: Tensor, size: int, samples: Tensor | None = None) -> Tensor:
    """Mean over M of sigmoid(upsampled logits): (B, M, G, G) -> (B, S, S) in [0, 1], bilinear with aligned corners.

    To `samples` (B, R, S, S) the means of the first M / R, of the next and so on are added.

    Upsampling is a matrix product along each axis, which takes less than half the time of torch's own. One of the M
    after another: their pixels are never all in memory, and those of one stay in the cache.
    """
    if logits.is_cuda and torch.compiler.is_compiling():
        return _in_one_kernel(logits, size, samples)
    with torch.autocast(logits.device.type, enabled=False):
        weights = _bilinear_weights(logits.shape[-1], size, logits.device).to(logits)
        weights, logits = _filled_up(weights), _filled_up(logits)
        probability = logits.new_zeros(len(logits), len(weights), len(weights))
        for number, across in enumerate((logits @ weights.T).unbind(1)):
            of_one = (weights @ across).sigmoid_()
            probability += of_one
            if samples is not None:
                of_sample = logits.shape[1] // samples.shape[1]
                samples[:, number // of_sample].add_(of_one[:, :size, :size], alpha=1 / of_sample)
        return probability[:, :size, :size] / logits.shape[1]


def _in_one_kernel(logits: Tensor, size: int, samples: Tensor | None = None) -> Tensor:
    """The same, as torch.compile makes one kernel of it: each pixel reads its four grid points of every one of the
    M."""
    grid = logits.shape[-1]
    position = torch.arange(size, device=logits.device) * ((grid - 1) / (size - 1))
    before = position.long().clamp(max=grid - 2)
    part = position - before
    y, x, down, right = before[:, None], before, part[:, None], part
    above = torch.lerp(logits[..., y, x], logits[..., y, x + 1], right)
    below = torch.lerp(logits[..., y + 1, x], logits[..., y + 1, x + 1], right)
    of_each = torch.lerp(above, below, down).sigmoid()
    if samples is not None:
        samples += of_each.unflatten(1, (samples.shape[1], -1)).mean(dim=2)
    return of_each.mean(dim=1)


def _filled_up(matrices: Tensor) -> Tensor:
    """With rows and columns of zeros up to multiples of 8: only then are a GPU's matrix units well used."""
    height, width = matrices.shape[-2:]
    return F.pad(matrices, (0, -width % 8, 0, -height % 8))


def _bilinear_weights(grid: int, size: int, device: torch.device) -> Tensor:
    """(S, G): each row the weights of the grid's points at a pixel; the first and the last pixel are on grid points."""
    position = torch.linspace(0, grid - 1, size, dtype=torch.float64, device=device)[:, None]
    return (1 - (position - torch.arange(grid, device=device)).abs()).clamp(min=0)


def nearest_upsampled(patch_map: Tensor, size: int) -> Tensor:
    """(B, N) of a square grid -> (B, S, S): each pixel the value of its patch."""
    grid = round(patch_map.shape[1] ** 0.5)
    return F.interpolate(patch_map.view(-1, 1, grid, grid), size=(size, size), mode="nearest")[:, 0]


def smooth(maps: Tensor, sigma: float, truncate: float = 4.0) -> Tensor:
    """Gaussian smoothing of (B, S, S), as scipy.ndimage.gaussian_filter does: cut at `truncate` sigma, edge repeated.

    As a matrix product along each axis: with the kernels of the field a fifth of the time of a convolution.
    """
    if sigma <= 0:
        return maps
    matrix = _smoothing_matrix(maps.shape[-1], sigma, truncate, maps.device).to(maps.dtype)
    return matrix @ maps @ matrix.T


@functools.lru_cache(maxsize=8)
def _smoothing_matrix(size: int, sigma: float, truncate: float, device: torch.device) -> Tensor:
    """(S, S) float64: scipy's filter of one axis, applied to the identity."""
    with torch.inference_mode(False):
        return torch.from_numpy(gaussian_filter1d(np.eye(size), sigma, axis=0, truncate=truncate)).to(device)


def mean_of_highest(maps: Tensor, ks: Sequence[int]) -> Tensor:
    """Mean of the k highest pixels of each map, each map with a k of its own: (B, S, S) -> (B,) float64."""
    flat = maps.flatten(1)
    highest = flat.topk(min(max(ks), flat.shape[1]), dim=1).values.double()
    return torch.stack([values[:k].mean() for values, k in zip(highest, ks, strict=True)])


def shrink(maps: Tensor, size: int) -> Tensor:
    """(B, S, S) -> (B, size, size): each pixel the mean of those that it covers; size is at most S."""
    return maps if size == maps.shape[-1] else F.adaptive_avg_pool2d(maps[:, None], size)[:, 0]


def codes_of(maps: Tensor) -> tuple[Tensor, Tensor]:
    """uint16 codes round(65535 p) of maps in [0, 1], and the lowest and highest of them before they were cut to 16
    bits.

    map_codec.quantise on the device of the maps: whoever reads the codes has to see that the two are in 0 .. 65535.
    """
    codes = maps.double().mul_(LARGEST_CODE).round_()
    return codes.to(torch.int32).to(torch.uint16), torch.stack(codes.aminmax())
