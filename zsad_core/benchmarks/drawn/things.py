"""Objects of the drawn world: an outline, what it is painted with, and what is on it, each fixed once by a style.

Real products are full of normal structure (bands, prints, mounted parts, sheen); so are these, lest it be called
damage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.forms import FORMS, Form
from zsad_core.benchmarks.drawn.patterns import PATTERNS
from zsad_core.benchmarks.drawn.surfaces import Array, Rng, axes, box, dome, mix, noise, relief, shadowed, soft, turned

Painter = Callable[[Rng, Array, Array], Array]
Place = tuple[float, float, float, float]  # x, y, angle (radians), size

COLOURS = {
    "white": (0.92, 0.92, 0.90), "grey": (0.50, 0.50, 0.52), "black": (0.10, 0.10, 0.11), "silver": (0.70, 0.71, 0.73),
    "red": (0.75, 0.16, 0.14), "orange": (0.88, 0.48, 0.15), "yellow": (0.90, 0.80, 0.28), "green": (0.22, 0.52, 0.25),
    "teal": (0.16, 0.50, 0.50), "blue": (0.20, 0.36, 0.72), "navy": (0.12, 0.16, 0.36), "purple": (0.44, 0.24, 0.55),
    "pink": (0.88, 0.58, 0.62), "brown": (0.42, 0.26, 0.15), "beige": (0.82, 0.72, 0.55), "cream": (0.92, 0.87, 0.72),
    "copper": (0.72, 0.44, 0.30), "olive": (0.45, 0.44, 0.20), "maroon": (0.40, 0.12, 0.14), "tan": (0.68, 0.50, 0.33),
}  # fmt: skip


def colour(style: Rng) -> tuple[str, Array]:
    name = list(COLOURS)[style.integers(len(COLOURS))]
    return name, np.clip(np.asarray(COLOURS[name]) * style.uniform(0.85, 1.15) + style.normal(0, 0.03, 3), 0.03, 0.97)


def paint(style: Rng) -> tuple[str, str, Painter]:
    """A coloured, lit pattern: its words, what it is made of, and the function that paints it in a frame."""
    word = list(PATTERNS)[style.integers(len(PATTERNS))]
    build, stuffs = PATTERNS[word]
    pattern, stuff = build(style), stuffs[style.integers(len(stuffs))]
    name, first = colour(style)
    second = first * style.uniform(0.45, 0.85) if style.uniform() < 0.6 else 0.3 * first + 0.7 * colour(style)[1]
    if style.uniform() < 0.5:
        first, second = second, first
    depth, grain, cloud = style.uniform(0, 0.25), style.uniform(0.01, 0.07), style.uniform(0, 0.08)
    fine, spread = style.uniform(0.003, 0.012), style.uniform(0.005, 0.04)

    def painted(rng: Rng, x: Array, y: Array) -> Array:
        height = pattern(rng, x, y)
        bright = lit(ndimage.gaussian_filter(height, 0.7), depth, 1e-3) if depth > 0.05 else 1.0
        uneven = bright * (1 + grain * noise(rng, x.shape, fine) + cloud * noise(rng, x.shape, 0.15))
        return mix(first * rng.normal(1, spread, 3), second * rng.normal(1, spread, 3), height) * uneven[..., None]

    return f"{name} {word}", stuff, painted


def lit(height: Array, depth: float, flat: float) -> Array:
    """Brightness around 1 of a height field, whatever its scale; slopes that deviate by less than `flat` fade."""
    down, across = np.gradient(height)
    slope = down + across
    return np.clip(1 - depth * slope / max(slope.std(), flat), 0.4, 1.6)


class Look(NamedTuple):
    """Of objects on a ground. pixels, coverage (H, W). parts: int (H, W), numbered from 1. bare: pixels without what is
    mounted on the objects."""

    pixels: Array
    coverage: Array
    parts: Array
    bare: Array


@dataclass(frozen=True)
class Mount:
    """The same form at several places of an object's frame; of its colour `share` hides what is below.

    height: of its rounded rim; below 0 it is sunk in.
    """

    form: Form
    places: tuple[Place, ...]
    colour: Array
    share: float
    height: float

    def draw(self, pixels: Array, x: Array, y: Array, unit: float, inside: Array) -> tuple[Array, Array]:
        """Pixels with it, and the numbers of its places; `unit` is the object's size, `inside` (H, W) its body."""
        outline, numbers = np.full(x.shape, 9.0), np.zeros(x.shape, np.int32)
        for number, (across, down, angle, size) in enumerate(self.places, 1):
            local = turned(x, y, angle, (across, down))
            away = self.form(local[0] / size, local[1] / size) * size * unit
            numbers[(away < 0.002) & inside] = number
            outline = np.minimum(outline, away)
        coverage = soft(outline, x.shape) * inside
        body = mix(pixels, np.broadcast_to(self.colour, pixels.shape), np.full(x.shape, self.share))
        lit_rim = 1 + np.sign(self.height) * (relief(dome(outline, abs(self.height)), 0.4) - 1)
        return mix(shadowed(pixels, coverage, 0.3), body * lit_rim[..., None], coverage), numbers


@dataclass(frozen=True)
class Thing:
    """An object's look. round_off: radius of its rounded rim. holes: (x, y, radius). bands: (distance inside the
    outline, width, brightness). second: what is painted beyond a line at (angle, offset). sheen: (strength, period,
    phase) around the middle, or along an axis for a period of 0. prints: (x, y, half width, half height, brightness).
    loose: what is mounted on a single object are its parts."""

    form: Form
    paint: Painter
    round_off: float
    holes: tuple[tuple[float, float, float], ...] = ()
    bands: tuple[tuple[float, float, float], ...] = ()
    second: tuple[Painter, float, float] | None = None
    sheen: tuple[float, int, float] | None = None
    prints: tuple[tuple[float, float, float, float, float], ...] = ()
    mounts: tuple[Mount, ...] = ()
    loose: bool = False

    def draw(self, rng: Rng, places: list[Place], ground: Array) -> Look:
        """At each place on `ground` (H, W, 3)."""
        shape = ground.shape[:2]
        x, y = axes(shape)
        outline, parts = np.full(shape, 9.0), np.zeros(shape, np.int32)
        frame_x, frame_y = x.copy(), y.copy()  # of the nearest object, in its size
        for number, (column, row, angle, size) in enumerate(places, 1):
            local = turned(x, y, angle, (column, row))
            local = local[0] / size, local[1] / size
            away = self.form(*local)
            for hole_x, hole_y, radius in self.holes:
                away = np.maximum(away, radius - np.hypot(local[0] - hole_x, local[1] - hole_y))
            away = away * size
            nearer = away < outline
            outline = np.where(nearer, away, outline)
            frame_x, frame_y = np.where(nearer, local[0], frame_x), np.where(nearer, local[1], frame_y)
            parts[away < 0.002] = number
        unit = places[0][3]
        body = self._body(rng, frame_x, frame_y, outline, unit)
        coverage = soft(outline, shape)
        bare = mix(shadowed(ground, coverage), body, coverage)
        for mount in self.mounts:
            body, numbers = mount.draw(body, frame_x, frame_y, unit, outline < -0.003)
            if self.loose and len(places) == 1:
                parts = numbers
        return Look(mix(shadowed(ground, coverage), body, coverage), coverage, parts, bare)

    def _body(self, rng: Rng, x: Array, y: Array, outline: Array, unit: float) -> Array:
        body = self.paint(rng, x * unit, y * unit)
        if self.second:
            paint, angle, offset = self.second
            along, _ = turned(x, y, angle)
            body = mix(body, paint(rng, x * unit, y * unit), soft((offset - along) * unit, x.shape))
        body = body * relief(dome(outline, self.round_off), 0.3)[..., None]
        for inset, width, brightness in self.bands:
            body = (
                body * (1 + (brightness - 1) * np.exp(-(((outline + inset * unit) / (width * unit)) ** 2)))[..., None]
            )
        if self.sheen:
            strength, period, phase = self.sheen
            turn = period * np.arctan2(y, x) if period else 6 * (np.cos(phase) * x + np.sin(phase) * y)
            body = body * (1 + strength * np.cos(turn + phase))[..., None]
        for across, down, wide, high, brightness in self.prints:
            letters = np.sin(x * 90) + np.sin(x * 41 + np.floor((y - down) / high * 2) * 2.4) > 0.2
            lines = (
                (box(x - across, y - down, wide, high) < 0) & (np.sin((y - down) / high * 2 * np.pi) > -0.3) & letters
            )
            body = body + (brightness - body) * 0.8 * lines[..., None]
        return body


def thing(style: Rng) -> tuple[str, Thing]:
    """The words of an object, and the object."""
    words, _, painter = paint(style)
    build, nouns = FORMS[list(FORMS)[style.integers(len(FORMS))]]
    form = build(style)
    holes = []
    if style.uniform() < 0.2:
        count, ring = int(style.integers(1, 5)), style.uniform(0.1, 0.25)
        holes = [(*_on_ring(ring, number / count), style.uniform(0.02, 0.06)) for number in range(count)]
    bands = [
        (style.uniform(0.02, 0.25), style.uniform(0.008, 0.05), style.choice((0.5, 0.7, 1.35, 1.7)))
        for _ in range(style.integers(0, 4) if style.uniform() < 0.45 else 0)
    ]
    second = (paint(style)[2], style.uniform(0, 2 * np.pi), style.uniform(-0.25, 0.25))
    sheen = (style.uniform(0.1, 0.4), int(style.integers(0, 5)), style.uniform(0, 2 * np.pi))
    prints = [
        (*style.uniform(-0.2, 0.2, 2), style.uniform(0.05, 0.25), style.uniform(0.03, 0.1), style.choice((0.1, 0.9)))
        for _ in range(style.integers(1, 3) if style.uniform() < 0.2 else 0)
    ]
    mounts = [_mount(style, form) for _ in range(style.integers(1, 4) if style.uniform() < 0.5 else 0)]
    made = Thing(
        form,
        painter,
        round_off=style.uniform(0.005, 0.12),
        holes=tuple(holes),
        bands=tuple(bands),
        second=second if style.uniform() < 0.25 else None,
        sheen=sheen if style.uniform() < 0.35 else None,
        prints=tuple(prints),
        mounts=tuple(mounts),
        loose=bool(mounts) and len(mounts[-1].places) > 1,
    )
    return f"{words} {nouns[style.integers(len(nouns))]}", made


def _on_ring(radius: float, turns: float) -> tuple[float, float]:
    return radius * np.cos(2 * np.pi * turns), radius * np.sin(2 * np.pi * turns)


def _mount(style: Rng, outer: Form) -> Mount:
    """One form on an object, in its middle, in a pair, on a ring, in rows; or the object's own form, smaller."""
    look = colour(style)[1], style.choice((1.0, 1.0, 0.5)), style.choice((-1, 1, 1)) * style.uniform(0.004, 0.03)
    if style.uniform() < 0.25:
        return Mount(outer, ((0.0, 0.0, 0.0, style.uniform(0.35, 0.75)),), *look)
    form = FORMS[list(FORMS)[style.integers(len(FORMS))]][0](style)
    turn = style.uniform(0, 2 * np.pi)
    match style.integers(4):
        case 0:
            places = [(0.0, 0.0, turn, style.uniform(0.12, 0.5))]
        case 1:
            at, size = style.uniform(0.1, 0.25), style.uniform(0.1, 0.25)
            places = [(side * at, 0.0, turn, size) for side in (-1, 1)]
        case 2:
            count, ring = int(style.integers(3, 12)), style.uniform(0.15, 0.3)
            places = [
                (*_on_ring(ring, number / count), turn + 2 * np.pi * number / count, ring * 4 / max(count, 5))
                for number in range(count)
            ]
        case _:
            across, down = int(style.integers(2, 6)), int(style.integers(1, 4))
            step = style.uniform(0.08, 0.16)
            places = [
                ((column - (across - 1) / 2) * step, (row - (down - 1) / 2) * step, turn, step * 0.8)
                for row in range(down)
                for column in range(across)
            ]
    return Mount(form, tuple(places), *look)
