"""Outlines of the drawn world's objects: each builder fixes a shape once, as a signed distance in a frame about 1
wide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from zsad_core.benchmarks.drawn.surfaces import Array, Rng, box, segment

Form = Callable[[Array, Array], Array]  # x, y of a frame whose unit is the object's size -> distance, below 0 inside


def _disc(style: Rng) -> Form:
    squeeze = style.choice((1.0, 1.0, style.uniform(1.1, 1.7)))
    return lambda x, y: np.hypot(x, y * squeeze) - 0.45


def _ring(style: Rng) -> Form:
    inner, sides = style.uniform(0.12, 0.3), style.choice((0, 0, 6))

    def form(x: Array, y: Array) -> Array:
        radius = np.hypot(x, y)
        outside = radius - 0.45 if not sides else _sided(x, y, sides) - 0.40
        return np.maximum(outside, inner - radius)

    return form


def _sided(x: Array, y: Array, sides: int) -> Array:
    """Distance from the centre, measured across the nearest side of a regular polygon."""
    wedge = 2 * np.pi / sides
    return np.hypot(x, y) * np.cos((np.arctan2(y, x) % wedge) - wedge / 2)


def _polygon(style: Rng) -> Form:
    sides = int(style.integers(3, 9))
    return lambda x, y: _sided(x, y, sides) - 0.38


def _block(style: Rng) -> Form:
    wide, high = style.uniform(0.25, 0.46), style.uniform(0.15, 0.46)
    corner = style.choice((0.0, 0.04, min(wide, high) * 0.9))
    return lambda x, y: box(x, y, wide, high, corner)


def _rod(style: Rng) -> Form:
    reach, thick = style.uniform(0.25, 0.4), style.uniform(0.05, 0.16)
    return lambda x, y: segment(x, y, (-reach, 0), (reach, 0)) - thick


def _gear(style: Rng) -> Form:
    teeth, depth, sharp = int(style.integers(5, 18)), style.uniform(0.02, 0.08), style.uniform(0.3, 3)
    inner = style.choice((0.0, style.uniform(0.08, 0.2)))

    def form(x: Array, y: Array) -> Array:
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        rim = 0.40 + depth * np.tanh(sharp * np.cos(angle * teeth)) / np.tanh(sharp)
        return np.maximum(radius - rim, inner - radius)

    return form


def _pebble(style: Rng) -> Form:
    waves = style.normal(0, 1, (4, 2)) * 0.05 / np.arange(1, 5)[:, None]
    squeeze = style.uniform(1, 1.5)

    def form(x: Array, y: Array) -> Array:
        angle = np.arctan2(y, x)
        bumps = sum(a * np.cos((n + 1) * angle) + b * np.sin((n + 1) * angle) for n, (a, b) in enumerate(waves))
        return np.hypot(x, y * squeeze) - 0.40 - bumps

    return form


def _cross(style: Rng) -> Form:
    arm = style.uniform(0.08, 0.16)
    if style.uniform() < 0.5:
        return lambda x, y: np.minimum(box(x, y, 0.44, arm), box(x, y, arm, 0.44))
    return lambda x, y: np.minimum(box(x + 0.25, y, arm, 0.42), box(x, y - 0.42 + arm, 0.34, arm))


def _arc(style: Rng) -> Form:
    radius, thick, opening = style.uniform(0.22, 0.36), style.uniform(0.05, 0.11), style.uniform(0.5, 2.4)

    def form(x: Array, y: Array) -> Array:
        angle = np.clip(np.arctan2(y, x), -np.pi + opening / 2, np.pi - opening / 2)
        return np.hypot(x - radius * np.cos(angle), y - radius * np.sin(angle)) - thick

    return form


def _crescent(style: Rng) -> Form:
    shift = style.uniform(0.15, 0.35)
    return lambda x, y: np.maximum(np.hypot(x, y) - 0.44, 0.36 - np.hypot(x - shift, y))


def _comb(style: Rng) -> Form:
    teeth, depth = int(style.integers(4, 11)), style.uniform(0.15, 0.4)

    def form(x: Array, y: Array) -> Array:
        gap = 0.25 - np.abs((x * teeth / 0.9) % 1 - 0.5)
        return np.maximum(box(x, y, 0.45, 0.35), np.minimum(gap * 0.9 / teeth, y - 0.35 + depth))

    return form


# What an object of that shape may be called.
FORMS: dict[str, tuple[Callable[[Rng], Form], tuple[str, ...]]] = {
    "disc": (_disc, ("disc", "button", "coin", "lid", "plate")),
    "ring": (_ring, ("ring", "washer", "seal", "nut")),
    "polygon": (_polygon, ("badge", "tile", "plate", "chip")),
    "block": (_block, ("block", "card", "box", "case", "pill")),
    "rod": (_rod, ("rod", "stick", "bar", "capsule", "pen")),
    "gear": (_gear, ("gear", "cap", "cog", "flower")),
    "pebble": (_pebble, ("pebble", "bean", "nugget", "seed")),
    "cross": (_cross, ("bracket", "cross", "hinge")),
    "arc": (_arc, ("hook", "clip", "elbow", "clamp")),
    "crescent": (_crescent, ("crescent", "slice", "shell")),
    "comb": (_comb, ("comb", "connector", "rake")),
}
