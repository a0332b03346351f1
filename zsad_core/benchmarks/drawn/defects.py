"""Drawn defects: each function marks a surface and gives its pixels and the defect's coverage (S, S) in 0..1."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from zsad_core.benchmarks.drawn.surfaces import Array, Rng, Surface, axes, mix, noise, relief, soft, tint


def _spot(rng: Rng, region: Array, margin: float) -> tuple[int, int]:
    """A pixel (row, column) of the region, `margin` away from the image's edge where the region has such."""
    size, border = len(region), round(margin * len(region))
    inner = np.zeros_like(region)
    inner[border : size - border, border : size - border] = True
    rows, columns = np.nonzero(region & inner if (region & inner).any() else region)
    chosen = rng.integers(len(rows))
    return int(rows[chosen]), int(columns[chosen])


def _blob(rng: Rng, region: Array, radius: float, roughness: float) -> Array:
    """Signed distance (fractions of the side, below 0 inside) to an irregular patch on the region."""
    size = len(region)
    row, column = _spot(rng, region, 0.12)
    line = np.arange(size)
    away = np.hypot(line[:, None] - row, (line[None, :] - column) * rng.uniform(0.7, 1.4)) / size
    return away - radius * (1 + roughness * noise(rng, size, radius / 3))


def _curve(rng: Rng, region: Array, length: float, width: float, bend: float, jag: float = 0.0) -> Array:
    """Coverage of a line whose middle lies on the region; `bend` radians a step are kept, `jag` are not."""
    size, steps, fine = len(region), 24, 3
    row, column = _spot(rng, region, 0.2)
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend, steps)) + rng.normal(0, jag, steps)
    moves = np.stack([np.cos(headings), np.sin(headings)], 1) * length * size / steps
    points = np.cumsum(np.vstack([(0, 0), moves]), 0)
    points += np.asarray((column, row)) - points[steps // 2]
    canvas = Image.new("L", (size * fine, size * fine))
    line = [tuple(point) for point in points * fine]
    ImageDraw.Draw(canvas).line(line, fill=255, width=max(round(width * size * fine), fine), joint="curve")
    return np.asarray(canvas.reduce(fine)) / 255


def _scratch(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    coverage = _curve(rng, surface.region, rng.uniform(0.3, 0.55), rng.uniform(0.009, 0.015), 0.05) * surface.region
    lip = np.roll(coverage, (1, 1), (0, 1)) * (1 - coverage)
    bare = surface.pixels.mean((0, 1)) * 0.3 if rng.uniform() < 0.5 else surface.pixels.mean((0, 1)) * 1.1 + 0.25
    return mix(surface.pixels * (1 - 0.4 * lip)[..., None], bare, coverage), coverage


def _crack(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    coverage = _curve(rng, surface.region, rng.uniform(0.6, 0.9), 0.012, 0.08, 0.6)
    cracked = (coverage > 0.5) & surface.region
    if cracked.any():
        coverage = np.maximum(coverage, _curve(rng, cracked, rng.uniform(0.3, 0.5), 0.008, 0.08, 0.6))
    coverage = coverage * surface.region
    return mix(surface.pixels, surface.pixels * 0.22, coverage), coverage


def _stain(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    outline = _blob(rng, surface.region, rng.uniform(0.06, 0.11), 0.25)
    coverage = np.clip(0.5 - outline / 0.016, 0, 1) * surface.region
    colour = np.asarray([(0.50, 0.30, 0.20), (0.30, 0.32, 0.55), (0.35, 0.45, 0.25)][rng.integers(3)])
    soaked = surface.pixels * colour * (1.15 - 0.3 * np.exp(-((outline / 0.012) ** 2)))[..., None]
    return mix(surface.pixels, soaked, coverage), coverage


def _hole(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    outline = _blob(rng, surface.region, rng.uniform(0.03, 0.06), 0.12)
    coverage = soft(outline, size) * surface.region
    frayed = np.exp(-((outline / 0.008) ** 2)) * surface.region
    pixels = surface.pixels * (1 + 0.3 * frayed)[..., None]
    depth = 0.6 + 0.4 * np.clip(-np.roll(outline, (size // 60, size // 60), (0, 1)) / 0.02, 0, 1)
    return mix(pixels, surface.backdrop * depth[..., None], coverage), coverage


def _missing_part(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    rim = surface.region & ~ndimage.binary_erosion(surface.region, iterations=2, border_value=1)
    outline = _blob(rng, rim, rng.uniform(0.08, 0.13), 0.10)
    coverage = soft(outline, size) * surface.region
    broken = np.exp(-((outline / 0.01) ** 2)) * surface.region
    shade = 1 - 0.45 * np.exp(-np.clip(-outline, 0, None) / 0.02)
    pixels = surface.pixels * (1 - 0.35 * broken)[..., None]
    return mix(pixels, surface.backdrop * shade[..., None], coverage), coverage


def _thread(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    coverage = _curve(rng, surface.region, rng.uniform(0.4, 0.8), rng.uniform(0.010, 0.014), 0.25)
    shadow = ndimage.gaussian_filter(np.roll(coverage, (size // 80, size // 80), (0, 1)), size / 150)
    colour = np.asarray([(0.85, 0.20, 0.18), (0.18, 0.35, 0.75), (0.92, 0.90, 0.84)][rng.integers(3)])
    twist = 1 + 0.15 * np.sin(sum(axes(size)) * 2 * np.pi * 40)
    return mix(surface.pixels * (1 - 0.5 * shadow)[..., None], colour * twist[..., None], coverage), coverage


def _contamination(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    coverage = np.zeros((size, size))
    for _ in range(rng.integers(2, 5)):
        coverage = np.maximum(coverage, soft(_blob(rng, surface.region, rng.uniform(0.018, 0.032), 0.3), size))
    coverage = coverage * surface.region
    flake = tint(rng, (0.90, 0.86, 0.70)) * relief(ndimage.gaussian_filter(coverage, size / 150), 0.015)[..., None]
    return mix(surface.pixels, flake, coverage), coverage


def _bent(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    row, column = _spot(rng, surface.region, 0.2)
    line = np.arange(size)
    reach = rng.uniform(0.07, 0.10) * size
    bump = np.exp(-((line[:, None] - row) ** 2 + (line[None, :] - column) ** 2) / (2 * reach**2))
    push = np.asarray([np.cos(at := rng.uniform(0, 2 * np.pi)), np.sin(at)]) * rng.uniform(0.05, 0.07) * size
    source = [np.add(axis, bump * move) for axis, move in zip(np.mgrid[:size, :size], push, strict=True)]
    moved = [ndimage.map_coordinates(surface.pixels[..., band], source, order=1, mode="nearest") for band in range(3)]
    return np.stack(moved, -1), bump


DEFECTS = {
    "bent": _bent,
    "contamination": _contamination,
    "crack": _crack,
    "hole": _hole,
    "missing_part": _missing_part,
    "scratch": _scratch,
    "stain": _stain,
    "thread": _thread,
}
