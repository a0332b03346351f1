"""Defects of the drawn world alone: what can go wrong on any surface. Signature as in `defects`."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.marks import blob, curve, side, spot
from zsad_core.benchmarks.drawn.surfaces import Array, Rng, Surface, dome, mix, noise, relief, shine


def _patch(rng: Rng, surface: Surface, edge: float = 0.01) -> Array:
    """Coverage of an irregular or a straight-edged patch of any size on the surface."""
    shape = surface.region.shape
    radius = np.exp(rng.uniform(np.log(0.025), np.log(0.18)))
    if rng.uniform() < 0.6:
        outline = blob(rng, surface.region, radius, rng.uniform(0.02, 0.4))
    else:
        row, column = spot(rng, surface.region, 0.1)
        down, across = np.ogrid[: shape[0], : shape[1]]
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(1, 3)
        x = (np.cos(turn) * (across - column) + np.sin(turn) * (down - row)) / side(shape)
        y = (np.cos(turn) * (down - row) - np.sin(turn) * (across - column)) / side(shape)
        outline = np.maximum(np.abs(x) / stretch, np.abs(y)) - radius * 0.8
    return np.clip(0.5 - outline / max(edge, 1 / side(shape)), 0, 1) * surface.region


def _pasted(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A piece of the picture, turned and put where it does not belong."""
    coverage = _patch(rng, surface)
    shift = rng.uniform(0.15, 0.85, 2) * surface.region.shape
    moved = np.roll(np.rot90(surface.pixels, int(rng.integers(4))) if coverage.shape[0] == coverage.shape[1]
                    else surface.pixels[::-1, ::-1], shift.astype(int), (0, 1))  # fmt: skip
    return mix(surface.pixels, moved * rng.uniform(0.85, 1.15), coverage), coverage


def _foreign(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A patch of something else: another colour and grain."""
    coverage = _patch(rng, surface)
    grain = rng.uniform(0.02, 0.3) * noise(rng, coverage.shape, np.exp(rng.uniform(np.log(0.004), np.log(0.04))))
    return mix(surface.pixels, rng.uniform(0.05, 0.95, 3) * (1 + grain)[..., None], coverage), coverage


def _strokes(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """One or a few lines, thin or broad, straight, bent or ragged, of any colour."""
    coverage = np.zeros(surface.region.shape)
    bend, jag = rng.uniform(0, 0.3), rng.choice((0, 0, 0.5))
    width, length = np.exp(rng.uniform(np.log(0.006), np.log(0.03))), rng.uniform(0.12, 0.8)
    for _ in range(rng.integers(1, 4)):
        coverage = np.maximum(coverage, curve(rng, surface.region, length, width, bend, jag))
    if rng.uniform() < 0.6:
        coverage = coverage * surface.region
    change = rng.uniform(0.05, 0.95, 3) if rng.uniform() < 0.5 else surface.pixels * rng.choice((0.4, 0.6, 1.5, 1.9))
    return mix(surface.pixels, change, coverage * rng.uniform(0.6, 1)), coverage


def _displaced(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A block of the picture slid against its surroundings, so that the pattern breaks."""
    coverage = _patch(rng, surface, 0.004)
    reach = rng.uniform(0.015, 0.05) * side(coverage.shape)
    heading = rng.uniform(0, 2 * np.pi)
    step = np.round((reach * np.sin(heading), reach * np.cos(heading))).astype(int)
    return mix(surface.pixels, np.roll(surface.pixels, step, (0, 1)), coverage), coverage


def _squeezed(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """Pulled together or swollen about a point, or twisted."""
    shape = surface.region.shape
    row, column = spot(rng, surface.region, 0.15)
    down, across = np.mgrid[: shape[0], : shape[1]].astype(float)
    y, x = down - row, across - column
    reach = rng.uniform(0.07, 0.18) * side(shape)
    fall = np.clip(1 - np.hypot(x, y) / reach, 0, 1) ** 2 * (3 - 2 * np.clip(1 - np.hypot(x, y) / reach, 0, 1))
    if rng.uniform() < 0.5:
        gain = 1 + rng.choice((-0.5, 0.8)) * fall
        source = row + y * gain, column + x * gain
    else:
        turn = rng.choice((-1, 1)) * rng.uniform(0.8, 2) * fall
        source = row + np.cos(turn) * y - np.sin(turn) * x, column + np.sin(turn) * y + np.cos(turn) * x
    bands = [ndimage.map_coordinates(surface.pixels[..., band], source, order=1, mode="nearest") for band in range(3)]
    return np.stack(bands, -1), np.clip(3 * fall, 0, 1) * (fall > 0.05)


def _blurred(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """Worn smooth: the fine pattern is gone."""
    coverage = _patch(rng, surface, 0.02)
    width = rng.uniform(0.012, 0.04) * side(coverage.shape)
    return mix(surface.pixels, ndimage.gaussian_filter(surface.pixels, (width, width, 0)), coverage), coverage


def _roughened(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """Coarser than its surroundings."""
    coverage = _patch(rng, surface, 0.015)
    rough = rng.uniform(0.12, 0.35) * noise(rng, coverage.shape, rng.uniform(0.005, 0.02))
    return surface.pixels * (1 + coverage * rough)[..., None], coverage


def _shaded(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """Lighter, darker or of another hue, the pattern showing through."""
    coverage = _patch(rng, surface, rng.choice((0.006, 0.04)))
    gain = np.full(3, rng.choice((rng.uniform(0.3, 0.75), rng.uniform(1.3, 1.9))))
    if rng.uniform() < 0.5:
        gain = gain * rng.uniform(0.6, 1.4, 3)
    return surface.pixels * (1 + coverage[..., None] * (gain - 1)), coverage


def _rubbed_out(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """Painted over with the colour around it, or gone down to the backdrop."""
    coverage = _patch(rng, surface, 0.006)
    width = 0.06 * side(coverage.shape)
    around = ndimage.gaussian_filter(surface.pixels, (width, width, 0))
    return mix(surface.pixels, around if rng.uniform() < 0.5 else surface.backdrop, coverage), coverage


def _cut_off(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A straight cut takes an end of the object away."""
    rows, columns = np.nonzero(surface.region)
    heading = rng.uniform(0, 2 * np.pi)
    down, across = np.mgrid[: surface.region.shape[0], : surface.region.shape[1]]
    along = np.cos(heading) * across + np.sin(heading) * down
    there = along[rows, columns]
    coverage = (along > np.quantile(there, rng.uniform(0.84, 0.97))) & surface.region
    coverage = ndimage.binary_dilation(coverage).astype(float) if not surface.region.all() else _patch(rng, surface)
    return mix(surface.pixels, surface.backdrop, coverage), coverage


def _swapped_part(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A part turned about its middle, or shrunk in its place."""
    assert surface.parts is not None
    numbers = np.unique(surface.parts[surface.parts > 0])
    chosen = ndimage.binary_dilation(surface.parts == rng.choice(numbers))
    rows, columns = np.nonzero(chosen)
    centre = np.asarray((rows.mean(), columns.mean()))
    turn, scale = rng.uniform(0.4, np.pi), rng.choice((1.0, 1.0, 1.5))
    spin = np.asarray([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))]) * scale
    after, *bands = (
        ndimage.affine_transform(plane, spin, centre - spin @ centre, order=1)
        for plane in (chosen.astype(float), *np.moveaxis(surface.pixels * chosen[..., None], 2, 0))
    )
    left = mix(surface.pixels, surface.backdrop, chosen.astype(float))
    return left * (1 - after[..., None]) + np.stack(bands, -1), np.maximum(chosen, after)


def _growth(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A rounded swelling or hollow of nearly the same stuff, lit as the rest."""
    shape = surface.region.shape
    radius = np.exp(rng.uniform(np.log(0.04), np.log(0.16)))
    outline = blob(rng, surface.region, radius, rng.uniform(0.02, 0.2))
    coverage = np.clip(0.5 - outline / rng.uniform(0.006, 0.02), 0, 1) * surface.region
    height = dome(outline, radius * rng.uniform(0.4, 1)) * rng.choice((-0.6, 0.8, 0.8))
    height = ndimage.gaussian_filter(height, side(shape) / 100) + rng.uniform(0, 0.004) * noise(rng, shape, 0.015)
    level = surface.pixels[coverage > 0.4].mean(0) if (coverage > 0.4).any() else surface.pixels.mean((0, 1))
    stuff = rng.uniform(0, 0.7) * (surface.pixels - level) + level * rng.uniform(0.8, 1.25, 3)
    body = stuff * (relief(height, rng.uniform(0.25, 0.5)))[..., None]
    if rng.uniform() < 0.4:
        body = mix(body, np.ones(3), np.clip((shine(height, 12) - 0.75) * 6, 0, 1))
    return mix(surface.pixels, body, coverage), coverage


def _lump(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A soft-edged inclusion, brighter or darker, even or mottled, with or without a rim."""
    shape = surface.region.shape
    outline = blob(rng, surface.region, np.exp(rng.uniform(np.log(0.035), np.log(0.15))), rng.uniform(0.05, 0.3))
    coverage = np.clip(0.5 - outline / rng.uniform(0.01, 0.05), 0, 1) * surface.region
    level = rng.uniform(0.05, 0.95) + rng.uniform(0, 0.15) * noise(rng, shape, rng.uniform(0.01, 0.04))
    if rng.uniform() < 0.4:
        level = level + rng.choice((-0.4, 0.4)) * np.exp(-(((outline + 0.01) / 0.009) ** 2))
    own = surface.pixels.mean(2) if rng.uniform() < 0.5 else np.ones(shape)
    tone = np.clip(level * own / max(own[coverage > 0].mean() if coverage.any() else 1, 0.05), 0, 1)
    hue = surface.pixels.mean((0, 1)) / max(surface.pixels.mean(), 0.05)
    return mix(surface.pixels, tone[..., None] * hue, coverage * rng.uniform(0.6, 1)), coverage


FAULTS = {
    "blurred": _blurred,
    "cut_off": _cut_off,
    "displaced": _displaced,
    "foreign": _foreign,
    "growth": _growth,
    "lump": _lump,
    "pasted": _pasted,
    "roughened": _roughened,
    "rubbed_out": _rubbed_out,
    "shaded": _shaded,
    "squeezed": _squeezed,
    "strokes": _strokes,
    "swapped_part": _swapped_part,
}
