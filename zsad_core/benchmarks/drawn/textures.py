"""Drawn textures of DTD's kind: weaves, layers, holes, nets, hair, marble, blots."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.surfaces import (
    Array,
    Rng,
    Surface,
    axes,
    box,
    cells,
    dome,
    filling,
    mix,
    noise,
    relief,
    soft,
    tint,
    unit,
)

Colour = tuple[float, float, float]


def weave(
    rng: Rng,
    size: int,
    threads: float = 12,
    over: int = 1,
    step: int = 1,
    warp: Colour = (0.72, 0.60, 0.42),
    weft: Colour = (0.62, 0.48, 0.30),
    turn: float = 0.0,
    gap: float = 0.06,
    fibre: float = 0.06,
    stripes: int = 0,
) -> Surface:
    """Bands over and under each other: `over` of them at a time, `step` further from row to row (0: ribs).

    threads: bands along the image's side. gap: between bands, in bands. fibre: strength of lines along the bands.
    stripes: every so many bands are pale, 0 for none.
    """
    x, y = (axis * threads + 40.0 + rng.uniform() for axis in axes(size, turn + rng.normal(0, 0.015)))
    x, y = x + 0.08 * noise(rng, size, 0.06), y + 0.08 * noise(rng, size, 0.06)
    column, row = np.floor(x), np.floor(y)
    across, down = x - column - 0.5, y - row - 0.5
    above = (column + step * row) % (2 * over) < over
    crown = np.where(above, np.abs(across), np.abs(down)) / (0.5 - gap / 2)
    run = np.where(above, y, x) * np.pi / over
    body = np.sqrt(np.clip(1 - crown**2, 0, 1)) * (0.72 + 0.28 * np.abs(np.sin(run)))
    pale = ((column if stripes else row) % max(stripes, 1) == 0) & (stripes > 0)
    colours = np.where(above[..., None], tint(rng, warp), tint(rng, weft))
    colours = np.where((pale & above)[..., None], np.clip(colours * 0.4 + 0.55, 0, 1), colours)
    lines = np.where(above, noise(rng, size, (0.04, 0.002)), noise(rng, size, (0.002, 0.04)))
    tone = rng.normal(0, 0.05, 1024)[np.where(above, column, row + 300).astype(int) % 1024]
    return filling(colours * ((0.18 + 0.90 * body) * (1 + fibre * lines + tone))[..., None], (0.06, 0.05, 0.04))


def stratified(rng: Rng, size: int) -> Surface:
    _, y = axes(size, rng.normal(0, 0.08))
    depth = y + 0.035 * noise(rng, size, (0.10, 0.35)) + 0.006 * noise(rng, size, (0.015, 0.05))
    beds = ndimage.gaussian_filter1d(rng.standard_normal(900), 3.5)
    level = np.interp(depth, np.linspace(-1, 1, 900), beds / beds.std())
    thin = np.interp(depth, np.linspace(-1, 1, 900), rng.standard_normal(900))
    stone = mix(tint(rng, (0.62, 0.34, 0.22)), tint(rng, (0.88, 0.72, 0.52)), np.clip(0.5 + 0.3 * level, 0, 1))
    shade = relief(0.010 * level + 0.0025 * noise(rng, size, 0.008), 0.45)
    return filling(stone * (shade * (1 + 0.05 * thin))[..., None])


def perforated(rng: Rng, size: int) -> Surface:
    x, y = (axis * 9 + rng.uniform() for axis in axes(size, rng.normal(0, 0.03)))
    x = x + 0.5 * (np.floor(y) % 2)
    away = (np.hypot(x % 1 - 0.5, y % 1 - 0.5) - 0.29) / 9
    brushed = 0.05 * noise(rng, size, (0.0015, 0.12)) + 0.03 * noise(rng, size, 0.1)
    plate = tint(rng, (0.66, 0.67, 0.69)) * (relief(-dome(away, 0.008), 0.35) * (1 + brushed))[..., None]
    inside = np.asarray((0.07, 0.07, 0.08)) * (1 + 1.5 * np.clip(-away * 40 + (x % 1 - 0.5) * 2, 0, 1))[..., None]
    return filling(mix(plate, inside, soft(away, size)))


def mesh(rng: Rng, size: int) -> Surface:
    """A net of hexagons before a dark ground."""
    x, y = (axis * 8 for axis in axes(size, rng.normal(0, 0.05)))
    x, y = x + 0.05 * noise(rng, size, 0.1) + rng.uniform(), y + 0.05 * noise(rng, size, 0.1) + rng.uniform()
    hexes = []
    for shift in (0.0, 0.5):
        across, down = (x + shift) % 1 - 0.5, (y + shift * 1.732) % 1.732 - 0.866
        hexes.append(np.maximum(np.abs(across), np.abs(across) * 0.5 + np.abs(down) * 0.866))
    edge = (0.5 - np.minimum(*hexes)) / 8
    wire = soft(edge - 0.010, size)
    lit = relief(ndimage.gaussian_filter(dome(edge - 0.010, 0.010), unit(size) / 300), 0.55)
    back = tint(rng, (0.10, 0.16, 0.13)) * (1 + 0.15 * noise(rng, size, 0.04))[..., None]
    return filling(mix(back, tint(rng, (0.80, 0.78, 0.66)) * lit[..., None], wire), (0.08, 0.12, 0.10))


def matted(rng: Rng, size: int) -> Surface:
    """Felt: hairs in all directions upon each other."""
    height = np.zeros((size, size))
    for angle in rng.uniform(0, np.pi, 5):
        height = np.maximum(height, _hairs(rng, size, angle, 0.07))
    colour = mix(tint(rng, (0.34, 0.27, 0.21)), tint(rng, (0.80, 0.72, 0.60)), np.clip(height / 2.6, 0, 1))
    return filling(colour * (0.86 + 0.05 * noise(rng, size, 0.08))[..., None])


def fibrous(rng: Rng, size: int) -> Surface:
    """Long fibres that run the same way, with knots between."""
    bend = 0.15 * noise(rng, size, 0.18)
    flow = _hairs(rng, size, rng.normal(0.2, 0.1), 0.16) + 0.6 * _hairs(rng, size, rng.normal(0.35, 0.1), 0.09)
    level = 0.5 + 0.22 * flow + 0.10 * bend
    colour = mix(tint(rng, (0.36, 0.26, 0.15)), tint(rng, (0.88, 0.78, 0.56)), np.clip(level, 0, 1))
    return filling(colour * relief(0.004 * flow, 0.35)[..., None])


def _hairs(rng: Rng, size: int, angle: float, length: float) -> Array:
    """Noise with long thin features along `angle` (radians), bent a little."""
    x, y = axes(size, angle)
    x, y = x + 0.02 * noise(rng, size, 0.12), y + 0.02 * noise(rng, size, 0.12)
    fine = noise(rng, size, (0.0035, length))
    places = [((axis * 0.70 + 0.5) * size) for axis in (y, x)]
    return ndimage.map_coordinates(fine, places, order=1, mode="grid-wrap")


def marbled(rng: Rng, size: int) -> Surface:
    x, y = axes(size, rng.uniform(0, np.pi))
    cloud = np.clip(0.45 + 0.25 * noise(rng, size, 0.10) + 0.10 * noise(rng, size, 0.03), 0, 1)
    pixels = mix(tint(rng, (0.92, 0.90, 0.87)), tint(rng, (0.66, 0.68, 0.70)), cloud)
    for scale, dark in ((0.16, 0.85), (0.08, 0.65), (0.04, 0.35)):
        field = (x + 0.4 * y) / scale + 1.2 * noise(rng, size, scale) + 0.30 * noise(rng, size, scale / 4)
        away = np.abs((field + rng.uniform()) % 4 - 2)
        broad = 0.04 + 0.22 * np.clip(noise(rng, size, scale), 0, 2)
        strength = dark * np.clip(0.4 + 0.6 * noise(rng, size, scale), 0, 1)
        pixels = mix(pixels, tint(rng, (0.27, 0.29, 0.33), 0.1), strength * np.exp(-away / broad))
    return filling(pixels * (1 + 0.01 * noise(rng, size, 0.004))[..., None])


def blotchy(rng: Rng, size: int) -> Surface:
    """Irregular blots of several sizes on a pale ground."""
    pixels = tint(rng, (0.84, 0.78, 0.66)) * (1 + 0.03 * noise(rng, size, 0.01))[..., None]
    for count, colour in ((7, (0.55, 0.42, 0.30)), (11, (0.36, 0.28, 0.24)), (17, (0.62, 0.52, 0.38))):
        numbers, distance = cells(rng, size, count)
        radius = np.where(rng.uniform(size=count * count) < 0.6, rng.uniform(0.20, 0.45, count * count), 0) / count
        outline = distance - radius[numbers] * (1 + 0.35 * noise(rng, size, 0.2 / count))
        blot = np.clip(0.5 - outline / 0.008, 0, 1) * (radius[numbers] > 0) * 0.85
        pixels = mix(pixels, tint(rng, colour, 0.05), blot)
    return filling(pixels)


def wicker(rng: Rng, size: int) -> Surface:
    """Canes in a brick-like bond."""
    x, y = (axis * 7 + 30 + rng.uniform() for axis in axes(size, rng.normal(0, 0.02)))
    row = np.floor(y * 2)
    column = np.floor(x + 0.5 * (row % 2))
    across, down = (x + 0.5 * (row % 2)) - column - 0.5, (y * 2) - row - 0.5
    outline = box(across / 7, down / 14, 0.49 / 7, 0.46 / 14, 0.03)
    lines = noise(rng, size, (0.002, 0.05))
    colour = tint(rng, (0.66, 0.44, 0.22)) * (1 + 0.08 * lines + 0.05 * noise(rng, size, 0.05))[..., None]
    bulge = 0.45 + 0.65 * np.cos(across * np.pi) * np.sqrt(np.clip(1 - (down / 0.5) ** 2, 0, 1))
    return filling(
        mix(np.broadcast_to((0.07, 0.05, 0.03), colour.shape), colour * bulge[..., None], soft(outline, size))
    )
