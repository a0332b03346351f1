"""8-bit pixels as the image towers read them, and back (torch)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zsad_core.images import CLIP_MEAN, CLIP_STD


def normalised(pixels: np.ndarray, device: str = "cpu") -> Tensor:
    """uint8 (B, S, S, 3) to float32 (B, 3, S, S): in [0, 1], less CLIP's mean, over its deviation."""
    images = to_device(pixels, device).permute(0, 3, 1, 2).float() / 255
    mean, std = _statistics(device)
    return ((images - mean) / std).contiguous()


def to_device(array: np.ndarray, device: str | torch.device) -> Tensor:
    """A copy of `array` on `device`, for which nobody waits: a GPU fetches it when it is done with earlier work."""
    if torch.device(device).type == "cpu":
        return torch.tensor(array)
    pinned = torch.empty(array.shape, dtype=torch.from_numpy(np.empty(0, array.dtype)).dtype, pin_memory=True)
    np.copyto(pinned.numpy(), array)
    return pinned.to(device, non_blocking=True)


def colours(images: Tensor) -> Tensor:
    """Normalised images (B, 3, S, S) as colours in [0, 1]."""
    mean, std = _statistics(images.device)
    return images * std + mean


def _statistics(device: str | torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation (3, 1, 1)."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (CLIP_MEAN, CLIP_STD))
    return mean.to(device, non_blocking=True), std.to(device, non_blocking=True)
