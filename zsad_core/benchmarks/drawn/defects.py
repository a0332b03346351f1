"""Drawn defects: each function marks a surface and gives its pixels and the defect's coverage (H, W) in 0..1."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.lesions import LESIONS
from zsad_core.benchmarks.drawn.marks import blob, curve, side, spot
from zsad_core.benchmarks.drawn.surfaces import Array, Rng, Surface, axes, mix, noise, relief, soft, tint


def _scratch(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    coverage = curve(rng, surface.region, rng.uniform(0.3, 0.55), rng.uniform(0.009, 0.015), 0.05) * surface.region
    lip = np.roll(coverage, (1, 1), (0, 1)) * (1 - coverage)
    level = surface.pixels[surface.region].mean(0)
    bare = level * 0.3 if rng.uniform() < 0.5 and level.mean() > 0.25 else level * 1.1 + 0.25
    return mix(surface.pixels * (1 - 0.4 * lip)[..., None], bare, coverage), coverage


def _crack(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    coverage = curve(rng, surface.region, rng.uniform(0.6, 0.9), 0.012, 0.08, 0.6)
    cracked = (coverage > 0.5) & surface.region
    if cracked.any():
        coverage = np.maximum(coverage, curve(rng, cracked, rng.uniform(0.3, 0.5), 0.008, 0.08, 0.6))
    coverage = coverage * surface.region
    return mix(surface.pixels, surface.pixels * 0.22, coverage), coverage


def _stain(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    outline = blob(rng, surface.region, rng.uniform(0.06, 0.11), 0.25)
    coverage = np.clip(0.5 - outline / 0.016, 0, 1) * surface.region
    colour = np.asarray([(0.50, 0.30, 0.20), (0.30, 0.32, 0.55), (0.35, 0.45, 0.25)][rng.integers(3)])
    soaked = surface.pixels * colour * (1.15 - 0.3 * np.exp(-((outline / 0.012) ** 2)))[..., None]
    return mix(surface.pixels, soaked, coverage), coverage


def _hole(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = side(surface.region.shape)
    outline = blob(rng, surface.region, rng.uniform(0.03, 0.06), 0.12)
    coverage = soft(outline, size) * ndimage.binary_dilation(surface.region)
    frayed = np.exp(-((outline / 0.008) ** 2)) * surface.region
    pixels = surface.pixels * (1 + 0.3 * frayed)[..., None]
    depth = 0.6 + 0.4 * np.clip(-np.roll(outline, (size // 60, size // 60), (0, 1)) / 0.02, 0, 1)
    return mix(pixels, surface.backdrop * depth[..., None], coverage), coverage


def _missing_part(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = side(surface.region.shape)
    rim = surface.region & ~ndimage.binary_erosion(surface.region, iterations=2, border_value=1)
    outline = blob(rng, rim, rng.uniform(0.08, 0.13), 0.10)
    coverage = soft(outline, size) * ndimage.binary_dilation(surface.region)
    broken = np.exp(-((outline / 0.01) ** 2)) * surface.region
    shade = 1 - 0.45 * np.exp(-np.clip(-outline, 0, None) / 0.02)
    pixels = surface.pixels * (1 - 0.35 * broken)[..., None]
    return mix(pixels, surface.backdrop * shade[..., None], coverage), coverage


def _thread(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = side(surface.region.shape)
    coverage = curve(rng, surface.region, rng.uniform(0.4, 0.8), rng.uniform(0.010, 0.014), 0.25)
    shadow = ndimage.gaussian_filter(np.roll(coverage, (size // 80, size // 80), (0, 1)), size / 150)
    colour = np.asarray([(0.85, 0.20, 0.18), (0.18, 0.35, 0.75), (0.92, 0.90, 0.84)][rng.integers(3)])
    twist = 1 + 0.15 * np.sin(sum(axes(surface.region.shape)) * 2 * np.pi * 40)
    return mix(surface.pixels * (1 - 0.5 * shadow)[..., None], colour * twist[..., None], coverage), coverage


def _contamination(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = side(surface.region.shape)
    coverage = np.zeros(surface.region.shape)
    for _ in range(rng.integers(2, 5)):
        coverage = np.maximum(coverage, soft(blob(rng, surface.region, rng.uniform(0.018, 0.032), 0.3), size))
    coverage = coverage * surface.region
    flake = tint(rng, (0.90, 0.86, 0.70)) * relief(ndimage.gaussian_filter(coverage, size / 150), 0.015)[..., None]
    return mix(surface.pixels, flake, coverage), coverage


def _bent(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = side(surface.region.shape)
    row, column = spot(rng, surface.region, 0.2)
    down, across = np.mgrid[: surface.region.shape[0], : surface.region.shape[1]]
    reach = rng.uniform(0.15, 0.20) * size
    rise = np.clip((1 - np.hypot(down - row, across - column) / reach) / 0.6, 0, 1)
    bump = rise * rise * (3 - 2 * rise)
    push = np.asarray([np.cos(at := rng.uniform(0, 2 * np.pi)), np.sin(at)]) * rng.uniform(0.045, 0.06) * size
    source = [np.add(axis, bump * move) for axis, move in zip((down, across), push, strict=True)]
    moved = [ndimage.map_coordinates(surface.pixels[..., band], source, order=1, mode="nearest") for band in range(3)]
    return np.stack(moved, -1), np.clip(2 * bump, 0, 1)


def _burn(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    outline = blob(rng, surface.region, rng.uniform(0.06, 0.10), 0.3)
    coverage = np.clip(0.7 - outline / 0.03, 0, 1) * surface.region
    char = surface.pixels * np.asarray((0.30, 0.22, 0.17))
    return mix(surface.pixels, char * (1 + 0.15 * noise(rng, outline.shape, 0.006))[..., None], coverage), coverage


def _dent(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    outline = blob(rng, surface.region, rng.uniform(0.05, 0.09), 0.08)
    coverage = np.clip(0.5 - outline / 0.012, 0, 1) * surface.region
    bowl = ndimage.gaussian_filter(outline.clip(None, 0.01), side(outline.shape) / 120)
    shade = relief(bowl * side(bowl.shape) / min(bowl.shape), 0.45) * 0.9
    return surface.pixels * (1 + (shade - 1) * coverage)[..., None], coverage


def _spall(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    shape = surface.region.shape
    coverage = soft(blob(rng, surface.region, rng.uniform(0.05, 0.10), 0.45), side(shape)) * surface.region
    rough = 0.42 + 0.16 * noise(rng, shape, 0.012) + 0.08 * noise(rng, shape, 0.004)
    edge = np.roll(coverage, (1, 1), (0, 1)) * (1 - coverage) * surface.region
    level = ndimage.gaussian_filter(surface.pixels, (0.1 * side(shape), 0.1 * side(shape), 0))
    pixels = surface.pixels * (1 + 0.3 * edge)[..., None]
    return mix(pixels, level * rough.clip(0.1, 0.75)[..., None], coverage), coverage


def _rust(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    shape = surface.region.shape
    outline = blob(rng, surface.region, rng.uniform(0.07, 0.11), 0.3)
    flecks = np.clip(0.8 + 0.5 * noise(rng, shape, 0.01), 0.55, 1)
    coverage = np.clip(0.8 - outline / 0.02, 0, 1) * flecks * surface.region
    colour = tint(rng, (0.52, 0.25, 0.10)) * (0.9 + 0.2 * noise(rng, shape, 0.006))[..., None]
    return mix(surface.pixels, colour, coverage), coverage


def _smudge(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    outline = blob(rng, surface.region, rng.uniform(0.07, 0.12), 0.15)
    coverage = np.clip(0.5 - outline / 0.02, 0, 1) * surface.region
    blurred = ndimage.gaussian_filter(surface.pixels, (0.03 * side(outline.shape), 0.03 * side(outline.shape), 0))
    return mix(surface.pixels, blurred * rng.choice((0.72, 1.25)), coverage), coverage


def _part(rng: Rng, surface: Surface) -> Array:
    """A random part of the surface as a bool (H, W), a pixel wider than it is."""
    assert surface.parts is not None
    present, areas = np.unique(surface.parts[surface.parts > 0], return_counts=True)
    chosen = surface.parts == rng.choice(present, p=areas**0.5 / (areas**0.5).sum())
    return ndimage.binary_dilation(chosen, iterations=max(1, round(side(chosen.shape) / 180)))


def _absent_part(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    coverage = _part(rng, surface).astype(float)
    return mix(surface.pixels, surface.backdrop, coverage), coverage


def _wrong_colour(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    coverage = _part(rng, surface).astype(float)
    level = surface.pixels.mean(2, keepdims=True)
    colours = np.asarray([(1.5, 0.55, 0.5), (0.5, 0.8, 1.6), (0.6, 1.3, 0.5), (1.4, 1.2, 0.3)])
    away = np.abs(surface.pixels[coverage > 0] - (level * colours[:, None, None])[:, coverage > 0]).mean((1, 2))
    return mix(surface.pixels, level * colours[away.argmax()] + 0.06, coverage), coverage


def _moved_part(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    before = _part(rng, surface).astype(float)
    rows, columns = np.nonzero(before)
    centre = np.asarray((rows.mean(), columns.mean()))
    reach = np.sqrt(len(rows))
    heading, turn = rng.uniform(0, 2 * np.pi), rng.choice((-1, 1)) * rng.uniform(0.25, 0.6)
    push = np.asarray((np.sin(heading), np.cos(heading))) * max(rng.uniform(0.25, 0.5) * reach, 2)
    spin = np.asarray([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    offset = centre - spin @ (centre + push)
    after, *bands = (
        ndimage.affine_transform(plane, spin, offset, order=1)
        for plane in (before, *np.moveaxis(surface.pixels * before[..., None], 2, 0))
    )
    left = mix(surface.pixels, surface.backdrop, before)
    return left * (1 - after[..., None]) + np.stack(bands, -1), np.maximum(before, after)


DEFECTS = {
    "absent_part": _absent_part,
    "bent": _bent,
    "burn": _burn,
    "contamination": _contamination,
    "crack": _crack,
    "dent": _dent,
    "hole": _hole,
    "missing_part": _missing_part,
    "moved_part": _moved_part,
    "rust": _rust,
    "scratch": _scratch,
    "smudge": _smudge,
    "spall": _spall,
    "stain": _stain,
    "thread": _thread,
    "wrong_colour": _wrong_colour,
    **LESIONS,
}
