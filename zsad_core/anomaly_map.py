"""From patch logits to what is stored of an anomaly map: upsampling, smoothing, mean of the highest pixels (torch)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def upsampled_probability(logits: Tensor, size: int) -> Tensor:
    """Mean over M of sigmoid(upsampled logits): (B, M, G, G) -> (B, S, S) in [0, 1], bilinear with aligned corners.

    Upsampling is a matrix product along each axis, which takes less than half the time of torch's own.
    """
    with torch.autocast(logits.device.type, enabled=False):
        weights = _bilinear_weights(logits.shape[-1], size).to(logits)
        return (weights @ (logits @ weights.T)).sigmoid_().mean(dim=1)


def _bilinear_weights(grid: int, size: int) -> Tensor:
    """(S, G): each row the weights of the grid's points at a pixel; the first and the last pixel are on grid points."""
    position = torch.linspace(0, grid - 1, size, dtype=torch.float64)[:, None]
    return (1 - (position - torch.arange(grid)).abs()).clamp(min=0)


def smooth(maps: Tensor, sigma: float, truncate: float = 4.0) -> Tensor:
    """Gaussian smoothing of (B, S, S), as scipy.ndimage.gaussian_filter does: cut at `truncate` sigma, edge repeated."""
    if sigma <= 0:
        return maps
    radius = int(truncate * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(maps)
    size = maps.shape[-1]
    index = _mirrored(size, radius).to(maps.device)
    across = F.conv2d(maps[:, None][..., index], kernel.view(1, 1, 1, -1))
    return F.conv2d(across[:, :, index], kernel.view(1, 1, -1, 1))[:, 0]


def _mirrored(size: int, radius: int) -> Tensor:
    """Indices -radius .. size + radius - 1 mirrored into 0 .. size - 1 with the edge repeated (scipy's 'reflect')."""
    index = torch.arange(-radius, size + radius) % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def mean_of_highest(maps: Tensor, k: int) -> Tensor:
    """Mean of the k highest pixels of each map: (B, S, S) -> (B,) float64."""
    flat = maps.flatten(1)
    return flat.topk(min(k, flat.shape[1]), dim=1, sorted=False).values.double().mean(dim=1)
