"""What drawn materials and defects are made of: smooth noise, light, relief, soft edges, mosaics, shapes.

Lengths are fractions of the image's shorter side, so a material looks alike at every size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import fft, ndimage

Rng = np.random.Generator
Array = np.ndarray
Size = int | tuple[int, int]  # the side of a square, or (height, width)


@dataclass(frozen=True)
class Surface:
    """A sample without defect. pixels: (H, W, 3) in 0..1. region: bool (H, W), where the material is.

    backdrop: (H, W, 3), what shows where a part is missing. parts: int (H, W), the number of the separable part (a
    wire, a tooth) that each pixel shows, 0 where there is none; None where it has no parts.
    """

    pixels: Array
    region: Array
    backdrop: Array
    parts: Array | None = None


def shape_of(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def unit(size: Size) -> int:
    """The shorter side in pixels: the length that counts as 1."""
    return min(shape_of(size))


def axes(size: Size, angle: float = 0.0) -> tuple[Array, Array]:
    """x and y of every pixel from the centre, -0.5..0.5 along the shorter side, turned by `angle` (radians)."""
    y, x = ((np.arange(length) + 0.5 - length / 2) / unit(size) for length in shape_of(size))
    return turned(x[None, :], y[:, None], angle)


def turned(x: Any, y: Any, angle: float, centre: tuple[float, float] = (0, 0)) -> tuple[Any, Any]:
    """x and y, arrays or numbers, in a frame that lies at `centre` and is turned by `angle` (radians)."""
    x, y = x - centre[0], y - centre[1]
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def noise(rng: Rng, size: Size, scale: float | tuple[float, float]) -> Array:
    """Smooth periodic noise of mean 0 and deviation 1 with features about `scale` long (or down, across)."""
    shape = shape_of(size)
    down, across = np.broadcast_to(scale, 2) * unit(size)
    gain = np.exp(-2 * (np.pi * down * fft.fftfreq(shape[0])[:, None]) ** 2)
    gain = gain * np.exp(-2 * (np.pi * across * fft.rfftfreq(shape[1])[None, :]) ** 2)
    field = fft.irfft2(fft.rfft2(rng.standard_normal(shape)) * gain, shape)
    return (field - field.mean()) / max(field.std(), 1e-9)


def light(rng: Rng, size: Size) -> Array:
    """Brightness of an uneven lamp: a slope in a random direction and a darker rim."""
    reach = max(shape_of(size)) / unit(size)
    x, y = (axis / reach for axis in axes(size, rng.uniform(0, 2 * np.pi)))
    return rng.uniform(0.92, 1.06) * (1 + rng.uniform(0.05, 0.2) * x) * (1 - 0.25 * (x * x + y * y))


def relief(height: Array, depth: float) -> Array:
    """Brightness (around 1) of a height field lit from the upper left; slopes count per shorter side."""
    down, across = np.gradient(height, 1 / min(height.shape))
    return np.clip(1 - depth * (down + across), 0.4, 1.7)


def shine(height: Array, sharpness: float) -> Array:
    """Highlights 0..1 of a glossy height field (fractions of the shorter side) under a lamp at the upper left."""
    down, across = np.gradient(height, 1 / min(height.shape))
    toward = (0.33 * (down + across) * -1 + 0.88) / np.sqrt(1 + down * down + across * across)
    return np.clip(toward, 0, 1) ** sharpness


def dome(distance: Array, radius: float) -> Array:
    """Height of a body whose rim is rounded with `radius`, from the signed distance to its outline."""
    rise = np.clip(-distance / radius, 0, 1)
    return radius * np.sqrt(rise * (2 - rise))


def box(x: Array, y: Array, half_width: float, half_height: float, corner: float = 0.0) -> Array:
    """Signed distance (below 0 inside) to a rectangle with rounded corners."""
    across, down = np.abs(x) - half_width + corner, np.abs(y) - half_height + corner
    return np.hypot(np.maximum(across, 0), np.maximum(down, 0)) + np.minimum(np.maximum(across, down), 0) - corner


def segment(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float]) -> Array:
    """Distance to the straight line between two points."""
    way = np.subtract(end, start)
    along = np.clip(((x - start[0]) * way[0] + (y - start[1]) * way[1]) / (way @ way), 0, 1)
    return np.hypot(x - start[0] - along * way[0], y - start[1] - along * way[1])


def to_bytes(pixels: Array) -> Array:
    """Values in 0..1 as uint8; what lies outside is clipped."""
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8)


def tint(rng: Rng, colour: Sequence[float] | Array, spread: float = 0.03) -> Array:
    return np.clip(np.asarray(colour) * rng.uniform(1 - spread, 1 + spread, 3), 0, 1)


def mix(below: Array, above: Array, coverage: Array) -> Array:
    return below + (above - below) * coverage[..., None]


def soft(distance: Array, size: Size) -> Array:
    """Coverage of the inside (distance < 0) with an edge one pixel wide."""
    return np.clip(0.5 - distance * unit(size), 0, 1)


def cells(rng: Rng, size: int, count: int) -> tuple[Array, Array]:
    """A mosaic of about count x count irregular cells: cell number and distance to the cell's centre, both (S, S)."""
    centres = (np.moveaxis(np.mgrid[:count, :count], 0, -1) + rng.uniform(0.1, 0.9, (count, count, 2))) * size / count
    down, across = np.clip(centres.astype(int), 0, size - 1).reshape(-1, 2).T
    numbers = np.full((size, size), -1)
    numbers[down, across] = np.arange(len(down))
    distance, nearest = ndimage.distance_transform_edt(numbers < 0, return_indices=True)
    return numbers[tuple(nearest)], distance / size


def ground(rng: Rng, size: Size, colour: Sequence[float], grain: float = 0.04) -> Array:
    """A plain table of about that colour, slightly cloudy and grainy."""
    cloudy = 1 + grain * noise(rng, size, 0.008) + grain / 2 * noise(rng, size, 0.15)
    return tint(rng, colour) * cloudy[..., None]


def filling(pixels: Array, backdrop: Sequence[float] | Array = (0.05, 0.05, 0.06)) -> Surface:
    """A material that fills the image."""
    return Surface(pixels, np.ones(pixels.shape[:2], bool), np.broadcast_to(np.asarray(backdrop), pixels.shape))


def shadowed(below: Array, coverage: Array, strength: float = 0.5) -> Array:
    """What lies below an object of that coverage, in its soft shadow."""
    side = min(coverage.shape)
    shadow = ndimage.gaussian_filter(np.roll(coverage, (side // 50, side // 50), (0, 1)), side / 60)
    return below * (1 - strength * shadow[..., None])


def on_backdrop(pixels: Array, coverage: Array, backdrop: Array, parts: Array | None = None) -> Surface:
    """An object on a backdrop, with a soft shadow."""
    return Surface(mix(shadowed(backdrop, coverage), pixels, coverage), coverage > 0.5, backdrop, parts)
