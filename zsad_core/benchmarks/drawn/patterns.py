"""Patterns of the drawn world: each builder fixes a style once and gives a function that draws it in any frame.

A pattern is a height in 0..1 for every pixel; `x` and `y` are a frame's axes as `surfaces.axes` gives them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zsad_core.benchmarks.drawn.surfaces import Array, Rng, cells, noise, turned

Pattern = Callable[[Rng, Array, Array], Array]

WAVES: tuple[Callable[[Array], Array], ...] = (  # of a phase in 0..1
    lambda phase: 0.5 - 0.5 * np.cos(2 * np.pi * phase),
    lambda phase: np.clip(np.minimum(phase, 1 - phase) * 8 - 1.2, 0, 1),
    lambda phase: 1 - 2 * np.abs(phase - 0.5),
    lambda phase: np.sqrt(np.clip(1 - (2 * phase - 1) ** 2, 0, 1)),
    lambda phase: np.clip(np.minimum(phase, 1 - phase) * 12 - 0.5, 0, 1),
    lambda phase: phase * np.clip((1 - phase) * 6, 0, 1),
)


def _wave(style: Rng) -> Callable[[Array], Array]:
    wave = WAVES[style.integers(len(WAVES))]
    return lambda place: wave(place % 1)


def _stripes(style: Rng) -> Pattern:
    wave, count, angle, warp = _wave(style), style.uniform(4, 26), style.uniform(0, np.pi), style.choice((0, 0.15, 0.5))

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        along, _ = turned(x, y, angle + rng.normal(0, 0.03))
        return wave(along * count + rng.uniform() + warp * noise(rng, x.shape, 0.12))

    return draw


def _crossed(style: Rng) -> Pattern:
    """Two sets of stripes: the higher of them, their product or their difference."""
    waves, counts = (_wave(style), _wave(style)), style.uniform(4, 20, 2)
    angle, opening = style.uniform(0, np.pi), style.choice((np.pi / 2, np.pi / 3, np.pi / 2))
    join = (np.maximum, np.multiply, lambda a, b: np.abs(a - b), np.minimum)[style.integers(4)]
    if style.uniform() < 0.6:
        counts[1] = counts[0]

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        turn, bend = angle + rng.normal(0, 0.03), 0.08 * noise(rng, x.shape, 0.15)
        parts = [
            wave(turned(x, y, turn + step * opening)[0] * count + rng.uniform() + bend)
            for step, (wave, count) in enumerate(zip(waves, counts, strict=True))
        ]
        return join(*parts)

    return draw


def _dots(style: Rng) -> Pattern:
    count, radius, shift = style.uniform(4, 16), style.uniform(0.2, 0.45), style.choice((0.0, 0.5))
    angle, edge, hollow = style.uniform(0, np.pi / 2), style.uniform(0.03, 0.2), style.uniform() < 0.25

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        across, down = (axis * count + rng.uniform() for axis in turned(x, y, angle + rng.normal(0, 0.03)))
        across = across + shift * (np.floor(down) % 2)
        away = np.hypot(across % 1 - 0.5, down % 1 - 0.5)
        away = np.abs(away - radius) + radius * 0.6 if hollow else away
        return np.clip((radius - away) / edge + 0.5, 0, 1)

    return draw


def _bricks(style: Rng) -> Pattern:
    across_count, ratio, shift = style.uniform(3, 10), style.uniform(0.8, 3), style.choice((0.0, 0.5, 0.33))
    joint, uneven, angle = style.uniform(0.03, 0.12), style.uniform(0, 0.5), style.choice((0, np.pi / 4, np.pi / 2))

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        across, down = turned(x, y, angle + rng.normal(0, 0.02))
        down = down * across_count * ratio + rng.uniform() + 20
        row = np.floor(down)
        across = across * across_count + shift * row + rng.uniform() + 40
        inside = np.minimum(0.5 - np.abs(across % 1 - 0.5), (0.5 - np.abs(down % 1 - 0.5)) / ratio)
        tone = rng.uniform(1 - uneven, 1, 997)[((np.floor(across) * 31 + row * 17) % 997).astype(int)]
        return np.clip(inside / joint - 0.3, 0, 1) * tone

    return draw


def _mosaic(style: Rng) -> Pattern:
    """Irregular cells with joints, of uneven height."""
    count, uneven, joint = int(style.integers(4, 20)), style.uniform(0, 0.8), style.uniform() < 0.6

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        side = max(x.shape)
        numbers, distance = (plane[: x.shape[0], : x.shape[1]] for plane in cells(rng, side, count))
        height = rng.uniform(1 - uneven, 1, count * count)[numbers]
        return height * np.clip(1.15 - distance * count, 0, 1) if joint else height

    return draw


def _waves(style: Rng) -> Pattern:
    wave, count, swing, sway = _wave(style), style.uniform(5, 18), style.uniform(0.2, 1.2), style.uniform(2, 8)
    angle, zigzag = style.uniform(0, np.pi), style.uniform() < 0.4

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        along, across = turned(x, y, angle + rng.normal(0, 0.03))
        phase = across * sway + rng.uniform()
        bend = np.abs(phase % 1 - 0.5) * 2 if zigzag else np.sin(2 * np.pi * phase) / 2
        return wave(along * count + swing * bend + rng.uniform())

    return draw


def _rings(style: Rng) -> Pattern:
    """Rings and rays about the frame's centre."""
    wave, count, rays = _wave(style), style.uniform(4, 20), int(style.integers(0, 4)) * 6

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        place = np.hypot(x, y) * count + rng.uniform(-0.1, 0.1)
        return wave(np.arctan2(y, x) / (2 * np.pi) * rays if rays else place)

    return draw


def _scales(style: Rng) -> Pattern:
    count, angle, edge = style.uniform(4, 14), style.uniform(0, 2 * np.pi), style.uniform(0.5, 2)

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        across, down = (axis * count + rng.uniform() for axis in turned(x, y, angle + rng.normal(0, 0.03)))
        height = np.zeros(x.shape)
        for shift in (0.0, 0.5):
            left, top = (across + shift) % 1 - 0.5, (down + shift) % 1
            height = np.maximum(height, np.clip(1 - np.hypot(left * 1.6, top), 0, 1) ** edge)
        return height

    return draw


def _clouds(style: Rng) -> Pattern:
    scale, stretch, angle = style.uniform(0.006, 0.08), style.choice((1, 1, 6, 20)), style.choice((False, True))
    octave = style.uniform(0, 0.8)

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        shape = (scale * stretch, scale / stretch**0.3)
        field = noise(rng, x.shape, shape if angle else shape[::-1]) + octave * noise(rng, x.shape, scale / 3)
        return np.clip(0.5 + 0.22 * field, 0, 1)

    return draw


def _blots(style: Rng) -> Pattern:
    scale, level, edge = style.uniform(0.008, 0.06), style.uniform(-0.6, 1.6), style.uniform(0.05, 0.5)

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        return np.clip((noise(rng, x.shape, scale) - level) / edge, 0, 1)

    return draw


def _veins(style: Rng) -> Pattern:
    scale, width = style.uniform(0.03, 0.15), style.uniform(0.08, 0.4)

    def draw(rng: Rng, x: Array, y: Array) -> Array:
        return np.exp(-np.abs(noise(rng, x.shape, scale) + 0.3 * noise(rng, x.shape, scale / 4)) / width)

    return draw


def _plain(style: Rng) -> Pattern:
    return lambda rng, x, y: np.full(x.shape, 0.5)


# Words for what a pattern looks like, and what it may be made of.
PATTERNS: dict[str, tuple[Callable[[Rng], Pattern], tuple[str, ...]]] = {
    "striped": (_stripes, ("cloth", "ribbed plastic", "corrugated board", "brushed metal")),
    "woven": (_crossed, ("cloth", "canvas", "grid", "wire net")),
    "dotted": (_dots, ("perforated sheet", "rubber", "paper", "studded plastic")),
    "tiled": (_bricks, ("ceramic", "stone", "leather", "wall")),
    "mosaic": (_mosaic, ("stone", "leather", "glass", "terrazzo")),
    "wavy": (_waves, ("foam", "cloth", "plastic", "knitwear")),
    "ringed": (_rings, ("turned metal", "wood", "plastic")),
    "scaly": (_scales, ("rubber", "ceramic", "leather")),
    "cloudy": (_clouds, ("wood", "felt", "stone", "paper", "fur")),
    "blotched": (_blots, ("granite", "paper", "cork")),
    "veined": (_veins, ("marble", "skin", "leaf")),
    "plain": (_plain, ("plastic", "paper", "metal", "glass")),
}
