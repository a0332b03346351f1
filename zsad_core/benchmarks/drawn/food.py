"""Drawn objects of VisA's kind but for its circuit boards: candles, capsules, nuts, gum, fried snacks and macaroni."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.surfaces import (
    Array,
    Rng,
    Surface,
    axes,
    box,
    dome,
    ground,
    mix,
    noise,
    relief,
    segment,
    shadowed,
    shine,
    soft,
    tint,
    turned,
)

DARK = (0.07, 0.08, 0.10)


def _scattered(
    rng: Rng,
    size: int,
    places: list[tuple[float, float, float]],
    draw: Callable[[Rng, int, Array, Array], tuple[Array, Array]],
    colour: tuple[float, float, float] = DARK,
    grain: float = 0.08,
) -> Surface:
    """One object at each place (x, y, angle), each drawn in its own frame as pixels and signed distance."""
    table = ground(rng, size, colour, grain)
    pixels, region, parts = table, np.zeros((size, size), bool), np.zeros((size, size), np.int32)
    for number, (across, down, angle) in enumerate(places, 1):
        x, y = turned(*axes(size), angle, (across, down))
        body, distance = draw(rng, size, x, y)
        coverage = soft(distance, size)
        pixels = mix(shadowed(pixels, coverage), body, coverage)
        region |= coverage > 0.5
        parts[distance < 0.002] = number
    return Surface(pixels, region, table, parts)


def _rows(rng: Rng, down: int, across: int, spread: float, turn: float) -> list[tuple[float, float, float]]:
    """Places on a grid, each moved by about `spread` and turned by up to `turn` (radians)."""
    return [
        (
            (column + 0.5) / across * 0.96 - 0.48 + rng.uniform(-spread, spread),
            (row + 0.5) / down * 0.96 - 0.48 + rng.uniform(-spread, spread),
            rng.uniform(-turn, turn),
        )
        for row in range(down)
        for column in range(across)
    ]


def candle(rng: Rng, size: int) -> Surface:
    """Four candles from above. Parts: their wicks."""
    wicks, bare = np.zeros((size, size), np.int32), []  # bare: wax and coverage of each candle without its wick

    def draw(rng: Rng, size: int, x: Array, y: Array) -> tuple[Array, Array]:
        radius = np.hypot(x, y)
        distance = radius - 0.185
        height = dome(distance, 0.025) - 0.35 * np.clip(0.11 - radius, 0, None) ** 1.5 + 0.0006 * noise(rng, size, 0.02)
        wax = tint(rng, (0.93, 0.88, 0.76), 0.02) * (relief(height, 0.35) * (1 - 0.12 * (radius < 0.10)))[..., None]
        pixels = wax + (0.12 * np.exp(-(((radius - 0.165) / 0.007) ** 2)))[..., None]
        wick = segment(x, y, (0, 0), (0.035, 0.01)) - 0.011
        bare.append((wax, soft(distance, size)))
        wicks[wick < 0.002] = len(bare)
        string = np.asarray((0.30, 0.26, 0.22)) * (1 + 0.3 * np.sin((x - y) * 500))[..., None]
        return mix(shadowed(pixels, soft(wick, size), 0.5), string, soft(wick, size)), distance

    surface = _scattered(rng, size, _rows(rng, 2, 2, 0.012, np.pi), draw)
    below, near = surface.backdrop, ndimage.binary_dilation(wicks > 0, iterations=3)
    for wax, coverage in bare:  # a bite out of the rim shows the table, a wick that is not there shows wax
        below = mix(below, wax, coverage * near)
    return Surface(surface.pixels, surface.region, below, wicks)


def capsules(rng: Rng, size: int) -> Surface:
    """Twenty clear green capsules. Parts: each of them."""

    def draw(rng: Rng, size: int, x: Array, y: Array) -> tuple[Array, Array]:
        distance = segment(x, y, (-0.045, 0), (0.045, 0)) - 0.041
        inner = np.clip(-distance / 0.041, 0, 1)
        pixels = tint(rng, (0.35, 0.52, 0.16), 0.08) * (0.55 + 0.65 * inner)[..., None]
        glow = np.exp(-((np.hypot(x + 0.01, y - 0.016) / 0.03) ** 2))
        pixels = mix(pixels, np.asarray((0.80, 0.85, 0.42)), 0.55 * glow)
        return mix(pixels, np.ones(3), 0.9 * np.exp(-(((y + 0.017) / 0.007) ** 2)) * (np.abs(x) < 0.045)), distance

    return _scattered(rng, size, _rows(rng, 5, 4, 0.014, 0.7), draw, (0.62, 0.64, 0.66), 0.02)


def cashew(rng: Rng, size: int) -> Surface:
    bend = rng.uniform(0.85, 1.05)

    def draw(rng: Rng, size: int, x: Array, y: Array) -> tuple[Array, Array]:
        angle = np.arctan2(y, x)
        along = np.clip(angle, -bend, bend)
        thick = 0.125 - 0.030 * np.abs(along + 0.25) / bend
        distance = np.hypot(x - 0.27 * np.cos(along), y - 0.27 * np.sin(along)) - thick
        height = dome(distance, 0.125) + 0.0010 * noise(rng, size, 0.02)
        split = np.exp(-(((np.hypot(x, y) - 0.20) / 0.008) ** 2)) * (np.abs(angle) < bend * 0.7)
        colour = tint(rng, (0.88, 0.72, 0.50)) * (1 + 0.04 * noise(rng, size, 0.03) - 0.22 * split)[..., None]
        pixels = colour * (relief(height, 0.30) * (0.68 + 2.4 * height))[..., None]
        return pixels + (0.10 * shine(height, 12))[..., None], distance

    angle = rng.uniform(0, 2 * np.pi)
    return _scattered(rng, size, [(-0.18 * np.cos(angle), -0.18 * np.sin(angle), angle)], draw, (0.10, 0.22, 0.15))


def chewinggum(rng: Rng, size: int) -> Surface:
    """A white coated pillow of gum."""

    def draw(rng: Rng, size: int, x: Array, y: Array) -> tuple[Array, Array]:
        distance = box(x, y, 0.34, 0.23, 0.10) + 0.004 * noise(rng, size, 0.08)
        height = dome(distance, 0.11) + 0.0030 * noise(rng, size, 0.04) + 0.0004 * noise(rng, size, 0.006)
        pixels = tint(rng, (0.86, 0.86, 0.83), 0.02) * relief(height, 0.26)[..., None]
        return pixels + (0.16 * shine(height, 18))[..., None], distance

    return _scattered(rng, size, [(0, 0, rng.uniform(-0.3, 0.3))], draw, (0.12, 0.10, 0.14))


def fryum(rng: Rng, size: int) -> Surface:
    """A fried wheel: rim, hub and six spokes. Parts: the spokes."""
    spokes = np.zeros((size, size), np.int32)

    def draw(rng: Rng, size: int, x: Array, y: Array) -> tuple[Array, Array]:
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        waves = 0.006 * noise(rng, size, 0.06)
        rim, hub = np.abs(radius - 0.335) - 0.062, np.abs(radius - 0.085) - 0.035
        turn = np.round(angle / (np.pi / 3))
        around = (angle - turn * np.pi / 3) * radius
        spoke = np.maximum(np.abs(around) - 0.034, np.abs(radius - 0.2) - 0.14)
        distance = np.minimum(np.minimum(rim, hub), spoke) + waves
        lonely = (spoke < 0) & (radius > 0.13) & (radius < 0.27)
        spokes[lonely] = (turn[lonely] % 6 + 1).astype(np.int32)
        height = dome(distance, 0.045) + 0.0016 * noise(rng, size, 0.012)
        bubbles = np.clip(noise(rng, size, 0.02) - 1.3, 0, 1)
        colour = mix(tint(rng, (0.86, 0.60, 0.24), 0.04), tint(rng, (0.95, 0.80, 0.45)), bubbles)
        return colour * relief(height, 0.42)[..., None] + (0.06 * shine(height, 12))[..., None], distance

    surface = _scattered(rng, size, [(0, 0, rng.uniform(0, 2 * np.pi))], draw)
    return Surface(surface.pixels, surface.region, surface.backdrop, spokes)


def macaroni1(rng: Rng, size: int) -> Surface:
    """Four smooth elbows in two rows. Parts: each of them."""
    return _scattered(rng, size, _rows(rng, 2, 2, 0.012, 0.12), _elbow((0.90, 0.56, 0.16), 0.13, 0), (0.10, 0.12, 0.16))


def macaroni2(rng: Rng, size: int) -> Surface:
    """Four ridged elbows in any direction. Parts: each of them."""
    return _scattered(rng, size, _rows(rng, 2, 2, 0.02, np.pi), _elbow((0.93, 0.76, 0.36), 0.13, 9), (0.08, 0.10, 0.09))


def _elbow(colour: tuple[float, float, float], bow: float, ridges: int) -> Callable[..., tuple[Array, Array]]:
    def draw(rng: Rng, size: int, x: Array, y: Array) -> tuple[Array, Array]:
        y = y - bow * 0.55
        radius, angle = np.hypot(x, y), np.arctan2(x, -y)
        reach = 1.35 + rng.normal(0, 0.05)
        tube = np.maximum(np.abs(radius - bow) - 0.055, (np.abs(angle) - reach) * bow)
        height = dome(np.abs(radius - bow) - 0.055, 0.055)
        lit = relief(height, 0.30) * (0.72 + 5 * height) * (1 + 0.04 * noise(rng, size, 0.015))
        lit = lit * (1 + 0.13 * np.sin((radius - bow) / 0.055 * np.pi * ridges / 2)) if ridges else lit
        pixels = tint(rng, colour) * lit[..., None] + (0.20 * shine(height, 25))[..., None]
        ends = np.full(x.shape, np.inf)
        for side in (-1, 1):
            centre = (side * bow * np.sin(reach), -bow * np.cos(reach))
            across, down = turned(x, y, side * (reach - np.pi / 2), centre)
            ends = np.minimum(ends, (np.hypot(across * 1.0, down / 0.42) - 0.055))
        mouth = soft(ends, size)
        pixels = mix(pixels, tint(rng, colour) * 0.95, mouth)
        pixels = mix(pixels, tint(rng, colour) * 0.22, soft(ends + 0.022, size))
        return pixels, np.minimum(tube, ends)

    return draw


def pipe_fryum(rng: Rng, size: int) -> Surface:
    """A short fried pipe, ribbed along, seen a little from its end."""

    def draw(rng: Rng, size: int, x: Array, y: Array) -> tuple[Array, Array]:
        tube = np.maximum(np.abs(y) - 0.165, np.abs(x) - 0.30)
        mouth, back = (np.hypot((x - at) / 0.38, y) - 0.165 for at in (0.30, -0.30))
        distance = np.minimum(np.minimum(tube, mouth), back) + 0.005 * noise(rng, size, 0.06)
        across = np.clip(y / 0.165, -1, 1)
        ribs = np.cos(np.arcsin(across) * 12)
        lit = (0.50 + 0.55 * np.sqrt(1 - across**2) - 0.22 * across) * (
            1 + 0.10 * ribs + 0.06 * noise(rng, size, 0.012)
        )
        pixels = tint(rng, (0.92, 0.50, 0.22), 0.05) * lit[..., None]
        blister = np.clip(noise(rng, size, 0.018) - 1.2, 0, 1)
        pixels = mix(pixels, tint(rng, (0.98, 0.76, 0.46)), 0.7 * blister)
        pixels = mix(pixels, tint(rng, (0.96, 0.64, 0.34)), soft(mouth, size))
        inside = tint(rng, (0.38, 0.16, 0.08)) * (1 + 0.5 * np.clip(across, -0.6, 1))[..., None]
        return mix(pixels, inside, soft(mouth + 0.055, size)), distance

    return _scattered(rng, size, [(0, 0, rng.uniform(-0.5, 0.5))], draw, (0.06, 0.08, 0.13))
