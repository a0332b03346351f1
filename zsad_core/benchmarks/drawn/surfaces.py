"""What drawn materials and defects are made of: smooth noise, light, relief, soft edges, mosaics.

Lengths are fractions of the image's side, so a material looks alike at every size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

Rng = np.random.Generator
Array = np.ndarray


@dataclass(frozen=True)
class Surface:
    """A sample without defect. pixels: (S, S, 3) in 0..1. region: bool (S, S), where the material is.

    backdrop: (S, S, 3), what shows where a part is missing.
    """

    pixels: Array
    region: Array
    backdrop: Array


def axes(size: int, angle: float = 0.0) -> tuple[Array, Array]:
    """x and y of every pixel, -0.5..0.5 from the centre, turned by `angle` (radians)."""
    line = (np.arange(size) + 0.5) / size - 0.5
    x, y = line[None, :], line[:, None]
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def noise(rng: Rng, size: int, scale: float | tuple[float, float]) -> Array:
    """Smooth periodic noise of mean 0 and deviation 1 with features about `scale` long (or down, across)."""
    down, across = np.broadcast_to(scale, 2) * size
    gain = np.exp(-2 * (np.pi * down * fft.fftfreq(size)[:, None]) ** 2)
    gain = gain * np.exp(-2 * (np.pi * across * fft.rfftfreq(size)[None, :]) ** 2)
    field = fft.irfft2(fft.rfft2(rng.standard_normal((size, size))) * gain, (size, size))
    return (field - field.mean()) / field.std()


def light(rng: Rng, size: int) -> Array:
    """Brightness of an uneven lamp: a slope in a random direction and a darker rim."""
    x, y = axes(size, rng.uniform(0, 2 * np.pi))
    return rng.uniform(0.92, 1.06) * (1 + rng.uniform(0.05, 0.2) * x) * (1 - 0.25 * (x * x + y * y))


def relief(height: Array, depth: float) -> Array:
    """Brightness (around 1) of a height field lit from the upper left; the slope counts per image side."""
    down, across = np.gradient(height, 1 / height.shape[0])
    return np.clip(1 - depth * (down + across), 0.4, 1.7)


def tint(rng: Rng, colour: Sequence[float], spread: float = 0.03) -> Array:
    return np.clip(np.asarray(colour) * rng.uniform(1 - spread, 1 + spread, 3), 0, 1)


def mix(below: Array, above: Array, coverage: Array) -> Array:
    return below + (above - below) * coverage[..., None]


def soft(distance: Array, size: int) -> Array:
    """Coverage of the inside (distance < 0) with an edge one pixel wide."""
    return np.clip(0.5 - distance * size, 0, 1)


def cells(rng: Rng, size: int, count: int) -> tuple[Array, Array]:
    """A mosaic of about count x count irregular cells: cell number and distance to the cell's centre, both (S, S)."""
    centres = (np.stack(np.mgrid[:count, :count], -1) + rng.uniform(0.1, 0.9, (count, count, 2))) * size / count
    down, across = np.clip(centres.astype(int), 0, size - 1).reshape(-1, 2).T
    numbers = np.full((size, size), -1)
    numbers[down, across] = np.arange(len(down))
    distance, nearest = ndimage.distance_transform_edt(numbers < 0, return_indices=True)
    return numbers[tuple(nearest)], distance / size


def filling(pixels: Array, backdrop: Sequence[float] = (0.05, 0.05, 0.06)) -> Surface:
    """A material that fills the image."""
    return Surface(pixels, np.ones(pixels.shape[:2], bool), np.broadcast_to(np.asarray(backdrop), pixels.shape))


def on_backdrop(pixels: Array, coverage: Array, backdrop: Array) -> Surface:
    """An object on a backdrop, with a soft shadow."""
    size = len(coverage)
    shadow = ndimage.gaussian_filter(np.roll(coverage, (size // 50, size // 50), (0, 1)), size / 60)
    below = backdrop * (1 - 0.5 * shadow[..., None])
    return Surface(mix(below, pixels, coverage), coverage > 0.5, backdrop)
