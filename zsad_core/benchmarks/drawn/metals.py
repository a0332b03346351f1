"""Drawn industrial surfaces: BTAD's three, KolektorSDD2's, rails, and the grey fields of DAGM."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.surfaces import (
    Rng,
    Size,
    Surface,
    axes,
    filling,
    ground,
    mix,
    noise,
    on_backdrop,
    relief,
    soft,
    tint,
    unit,
)


def cover(rng: Rng, size: Size) -> Surface:
    """A pressed metal cover: rings, a boss in the middle, four holes."""
    x, y = axes(size, rng.uniform(0, 2 * np.pi))
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    rings = np.interp(radius, (0, 0.05, 0.07, 0.15, 0.17, 0.26, 0.28, 0.38, 0.40, 0.44), (6, 6, 2, 2, 4, 4, 1, 1, 3, 1))
    turned = 0.04 * np.sin(radius * 700) + 0.03 * noise(rng, size, 0.004)
    sheen = 0.20 * np.cos(2 * angle + rng.uniform(0, 6)) + 0.10 * np.cos(3 * angle)
    pixels = tint(rng, (0.58, 0.57, 0.54)) * (relief(0.008 * rings, 0.55) * (1 + turned + sheen))[..., None]
    holes = np.minimum.reduce(
        [np.hypot(x - 0.33 * np.cos(at), y - 0.33 * np.sin(at)) - 0.028 for at in np.arange(4) * np.pi / 2]
    )
    table = ground(rng, size, (0.09, 0.10, 0.12), 0.08)
    pixels = mix(pixels, table, soft(np.minimum(holes, radius - 0.035), size))
    return on_backdrop(pixels, soft(radius - 0.44, size), table)


def plank(rng: Rng, size: Size) -> Surface:
    """Veneer with straight grain that runs down the picture."""
    x, _ = axes(size, rng.normal(0, 0.012))
    bent = x + 0.010 * noise(rng, size, (0.6, 0.08))
    ring = (bent * rng.uniform(16, 20) + 0.4 * noise(rng, size, (0.9, 0.06))) % 1
    streaks = 0.09 * noise(rng, size, (0.35, 0.004)) + 0.05 * noise(rng, size, (0.08, 0.002))
    pores = np.clip(noise(rng, size, (0.03, 0.002)) - 1.5, 0, 1)
    colour = mix(tint(rng, (0.66, 0.47, 0.32)), tint(rng, (0.44, 0.28, 0.18)), 0.8 * ring**2)
    return filling(colour * (1 + streaks - 0.4 * pores)[..., None])


def bushing(rng: Rng, size: Size) -> Surface:
    """A turned bush from its side: bright bands, a knurled one, dark above and below."""
    x, y = axes(size, rng.normal(0, 0.006))
    y = y + rng.normal(0, 0.008)
    shade = np.sqrt(np.clip(1 - (x / 0.72) ** 2, 0, 1)) * 0.8 + 0.22
    band = np.interp(y, (-0.5, -0.385, -0.38, -0.27, -0.26, -0.10, -0.09, 0.09, 0.10, 0.26, 0.27, 0.38, 0.385, 0.5),
                     (0.06, 0.08, 0.60, 0.66, 0.45, 0.52, 0.72, 0.72, 0.50, 0.46, 0.66, 0.60, 0.08, 0.06))  # fmt: skip
    angle = np.arcsin(np.clip(x / 0.72, -1, 1))
    knurl = np.sin(angle * 170 + y * 240) + np.sin(angle * 170 - y * 240)
    grooved = (np.abs(y) < 0.09) * 0.13 * knurl
    lathe = 0.05 * noise(rng, size, (0.0018, 0.3)) + 0.02 * noise(rng, size, 0.01)
    gleam = 0.45 * np.exp(-(((x + rng.uniform(0.1, 0.2)) / 0.09) ** 2))
    level = band * shade * (1 + grooved + lathe + gleam)
    pixels = tint(rng, (1.0, 0.99, 0.95), 0.02) * level[..., None]
    return Surface(pixels, np.abs(y) < 0.37, np.broadcast_to((0.05, 0.05, 0.06), pixels.shape))


def commutator(rng: Rng, size: Size) -> Surface:
    """Ground metal, tall: fine lines across, slow bands along."""
    _, y = axes(size, rng.normal(0, 0.01))
    lines = 0.045 * noise(rng, size, (0.006, 0.5)) + 0.03 * noise(rng, size, (0.012, 0.12))
    speck = 0.035 * noise(rng, size, 0.006) + 0.05 * noise(rng, size, (0.5, 0.15))
    pits = np.clip(noise(rng, size, 0.012) - 2.6, 0, 1) * 0.25
    edge = 0.10 * np.exp(-(((y - rng.uniform(-1.3, 1.3)) / 0.08) ** 2))
    return filling(tint(rng, (0.42, 0.42, 0.43), 0.02) * (1 + lines + speck + edge - pits)[..., None])


def rail(rng: Rng, size: Size) -> Surface:
    """The head of a rail from above: worn bright in the middle, dull along the sides."""
    return _rail(rng, size, 0.30, 0.62)


def main_rail(rng: Rng, size: Size) -> Surface:
    """A heavier rail, bright over the picture's whole width."""
    return _rail(rng, size, 0.46, 0.55)


def _rail(rng: Rng, size: Size, half: float, level: float) -> Surface:
    x, _ = axes(size)
    sway = 0.03 * noise(rng, size, (1.6, 5.0))
    worn = np.clip((half - np.abs(x + sway) + 0.02 * noise(rng, size, (0.25, 0.05))) / 0.07 + 0.5, 0, 1)
    streaks = 0.10 * noise(rng, size, (1.2, 0.012)) + 0.05 * noise(rng, size, (0.2, 0.006))
    bright = level * (1 + streaks + 0.06 * noise(rng, size, (1.0, 0.4)) + 0.04 * noise(rng, size, 0.01))
    dull = 0.24 * (1 + 0.14 * noise(rng, size, 0.015) + 0.18 * noise(rng, size, (0.6, 0.02)))
    grey = dull + (bright - dull) * worn
    return Surface(np.repeat(grey.clip(0, 1)[..., None], 3, 2), worn > 0.9, np.full((*grey.shape, 3), 0.08))


def _grey(level: np.ndarray) -> Surface:
    return filling(np.repeat(level.clip(0, 1)[..., None], 3, 2), (0.12, 0.12, 0.12))


def dagm_clouds(rng: Rng, size: Size) -> Surface:
    return _grey(0.45 + 0.07 * noise(rng, size, 0.012) + 0.05 * noise(rng, size, 0.004) + 0.03 * noise(rng, size, 0.08))


def dagm_pebbles(rng: Rng, size: Size) -> Surface:
    height = np.abs(noise(rng, size, 0.020)) * 0.006
    return _grey(0.50 * relief(height, 0.40) + 0.03 * noise(rng, size, 0.004))


def dagm_weave(rng: Rng, size: Size) -> Surface:
    x, y = (axis + 0.004 * noise(rng, size, 0.03) for axis in axes(size))
    pattern = np.sin(x * 2 * np.pi * 22) * np.sin(y * 2 * np.pi * 22)
    return _grey(0.48 + 0.14 * pattern + 0.05 * noise(rng, size, 0.005))


def dagm_rain(rng: Rng, size: Size) -> Surface:
    return _grey(0.42 + 0.10 * noise(rng, size, (0.003, 0.06)) + 0.04 * noise(rng, size, 0.003))


def dagm_grit(rng: Rng, size: Size) -> Surface:
    grains = np.clip(noise(rng, size, 0.007) - 0.4, 0, 2)
    return _grey(0.34 + 0.17 * grains + 0.03 * noise(rng, size, 0.05))


def dagm_hatched(rng: Rng, size: Size) -> Surface:
    x, y = axes(size, np.pi / 4)
    x, y = x + 0.003 * noise(rng, size, 0.05), y + 0.003 * noise(rng, size, 0.05)
    lines = np.maximum(np.cos(x * 2 * np.pi * 15), np.cos(y * 2 * np.pi * 15)) ** 3
    return _grey(0.36 + 0.22 * lines + 0.05 * noise(rng, size, 0.006))


def dagm_waves(rng: Rng, size: Size) -> Surface:
    x, y = axes(size)
    phase = x * 2 * np.pi * 18 + 2.2 * np.sin(y * 2 * np.pi * 4 + rng.uniform(0, 6)) + 0.5 * noise(rng, size, 0.06)
    blurred = ndimage.gaussian_filter(np.sin(phase), unit(size) / 200)
    return _grey(0.48 + 0.13 * blurred + 0.05 * noise(rng, size, 0.004))
