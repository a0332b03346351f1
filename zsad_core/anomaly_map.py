"""From patch logits to what is stored of an anomaly map: upsampling, smoothing, mean of the highest pixels (torch)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def upsampled_probability(logits: Tensor, size: int) -> Tensor:
    """Mean over M of sigmoid(upsampled logits): (B, M, G, G) -> (B, S, S) in [0, 1], bilinear with aligned corners.

    Upsampling is a matrix product along each axis, which takes less than half the time of torch's own. One of the M
    after another: their pixels are never all in memory, and those of one stay in the cache.
    """
    with torch.autocast(logits.device.type, enabled=False):
        weights = _bilinear_weights(logits.shape[-1], size, logits.device).to(logits)
        probability = logits.new_zeros(len(logits), size, size)
        for across in (logits @ weights.T).unbind(1):
            probability += (weights @ across).sigmoid_()
        return probability / logits.shape[1]


def _bilinear_weights(grid: int, size: int, device: torch.device) -> Tensor:
    """(S, G): each row the weights of the grid's points at a pixel; the first and the last pixel are on grid points."""
    position = torch.linspace(0, grid - 1, size, dtype=torch.float64, device=device)[:, None]
    return (1 - (position - torch.arange(grid, device=device)).abs()).clamp(min=0)


def nearest_upsampled(patch_map: Tensor, size: int) -> Tensor:
    """(B, N) of a square grid -> (B, S, S): each pixel the value of its patch."""
    grid = round(patch_map.shape[1] ** 0.5)
    return F.interpolate(patch_map.view(-1, 1, grid, grid), size=(size, size), mode="nearest")[:, 0]


def smooth(maps: Tensor, sigma: float, truncate: float = 4.0) -> Tensor:
    """Gaussian smoothing of (B, S, S), as scipy.ndimage.gaussian_filter does: cut at `truncate` sigma, edge repeated."""
    if sigma <= 0:
        return maps
    radius = int(truncate * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(maps)
    size = maps.shape[-1]
    index = _mirrored(size, radius, maps.device)
    across = F.conv2d(maps[:, None][..., index], kernel.view(1, 1, 1, -1))
    return F.conv2d(across[:, :, index], kernel.view(1, 1, -1, 1))[:, 0]


def _mirrored(size: int, radius: int, device: torch.device) -> Tensor:
    """Indices -radius .. size + radius - 1 mirrored into 0 .. size - 1 with the edge repeated (scipy's 'reflect')."""
    index = torch.arange(-radius, size + radius, device=device) % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def mean_of_highest(maps: Tensor, ks: Sequence[int]) -> Tensor:
    """Mean of the k highest pixels of each map, each map with a k of its own: (B, S, S) -> (B,) float64."""
    flat = maps.flatten(1)
    highest = flat.topk(min(max(ks), flat.shape[1]), dim=1).values.double()
    return torch.stack([values[:k].mean() for values, k in zip(highest, ks, strict=True)])


def shrink(maps: Tensor, size: int) -> Tensor:
    """(B, S, S) -> (B, size, size): each pixel the mean of those that it covers; size is at most S."""
    return maps if size == maps.shape[-1] else F.adaptive_avg_pool2d(maps[:, None], size)[:, 0]
