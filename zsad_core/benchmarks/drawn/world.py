"""The drawn world that backbone and methods learn from: any number of categories, each a seeded style with a name.

It shares no material with the benchmarks' miniatures: their surfaces stay unseen. Of their defect kinds it has
TAUGHT, beside kinds of its own (`faults`); the others stay unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.defects import DEFECTS
from zsad_core.benchmarks.drawn.faults import FAULTS
from zsad_core.benchmarks.drawn.forms import FORMS, Form
from zsad_core.benchmarks.drawn.patterns import PATTERNS
from zsad_core.benchmarks.drawn.surfaces import (
    Array,
    Rng,
    Size,
    Surface,
    axes,
    box,
    dome,
    mix,
    noise,
    relief,
    shadowed,
    soft,
    turned,
)

TAUGHT = (
    "absent_part", "contamination", "crack", "hole", "missing_part", "scratch", "stain", "wrong_colour",
)  # fmt: skip
PART_KINDS = ("absent_part", "wrong_colour", "swapped_part")
VISIBLE = 0.06  # mean change of the damaged pixels' values below which nobody could see the defect
WORLD_DEFECTS = {**{name: DEFECTS[name] for name in TAUGHT}, **FAULTS}

COLOURS = {
    "white": (0.92, 0.92, 0.90), "grey": (0.50, 0.50, 0.52), "black": (0.10, 0.10, 0.11), "silver": (0.70, 0.71, 0.73),
    "red": (0.75, 0.16, 0.14), "orange": (0.88, 0.48, 0.15), "yellow": (0.90, 0.80, 0.28), "green": (0.22, 0.52, 0.25),
    "teal": (0.16, 0.50, 0.50), "blue": (0.20, 0.36, 0.72), "navy": (0.12, 0.16, 0.36), "purple": (0.44, 0.24, 0.55),
    "pink": (0.88, 0.58, 0.62), "brown": (0.42, 0.26, 0.15), "beige": (0.82, 0.72, 0.55), "cream": (0.92, 0.87, 0.72),
    "copper": (0.72, 0.44, 0.30), "olive": (0.45, 0.44, 0.20), "maroon": (0.40, 0.12, 0.14), "tan": (0.68, 0.50, 0.33),
}  # fmt: skip

Painter = Callable[[Rng, Array, Array], Array]


@dataclass(frozen=True)
class Category:
    """One product of the world. name: its words. draw(rng, size): a sample without defect."""

    name: str
    draw: Callable[[Rng, Size], Surface]


def _colour(style: Rng) -> tuple[str, Array]:
    name = list(COLOURS)[style.integers(len(COLOURS))]
    return name, np.clip(np.asarray(COLOURS[name]) * style.uniform(0.85, 1.15) + style.normal(0, 0.03, 3), 0.03, 0.97)


def _paint(style: Rng) -> tuple[str, str, Painter]:
    """A coloured, lit pattern: its words, what it is made of, and the function that paints it in a frame."""
    word = list(PATTERNS)[style.integers(len(PATTERNS))]
    build, stuffs = PATTERNS[word]
    pattern, stuff = build(style), stuffs[style.integers(len(stuffs))]
    name, first = _colour(style)
    second = first * style.uniform(0.45, 0.85) if style.uniform() < 0.6 else 0.3 * first + 0.7 * _colour(style)[1]
    if style.uniform() < 0.5:
        first, second = second, first
    depth, grain, cloud = style.uniform(0, 0.25), style.uniform(0.01, 0.07), style.uniform(0, 0.08)
    fine, spread = style.uniform(0.003, 0.012), style.uniform(0.005, 0.04)

    def paint(rng: Rng, x: Array, y: Array) -> Array:
        height = pattern(rng, x, y)
        lit = _lit(ndimage.gaussian_filter(height, 0.7), depth, 1e-3) if depth > 0.05 else 1.0
        uneven = lit * (1 + grain * noise(rng, x.shape, fine) + cloud * noise(rng, x.shape, 0.15))
        return mix(first * rng.normal(1, spread, 3), second * rng.normal(1, spread, 3), height) * uneven[..., None]

    return f"{name} {word}", stuff, paint


def _lit(height: Array, depth: float, flat: float) -> Array:
    """Brightness around 1 of a height field, whatever its scale; slopes that deviate by less than `flat` fade."""
    down, across = np.gradient(height)
    slope = down + across
    return np.clip(1 - depth * slope / max(slope.std(), flat), 0.4, 1.6)


def _surface(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """A material that fills the picture."""
    words, stuff, paint = _paint(style)
    backdrop = _colour(style)[1] * 0.5

    def draw(rng: Rng, size: Size) -> Surface:
        pixels = paint(rng, *axes(size))
        return Surface(pixels, np.ones(pixels.shape[:2], bool), np.broadcast_to(backdrop, pixels.shape))

    return f"{words} {stuff}", draw


@dataclass(frozen=True)
class _Thing:
    """An object's look. round_off: radius of its rounded rim. groove: distance inside the outline, or none.
    holes: (x, y, radius). studs: how many, on a ring of which radius, how large; they are the parts of a single object."""

    form: Form
    paint: Painter
    round_off: float
    groove: float | None
    holes: tuple[tuple[float, float, float], ...]
    studs: tuple[int, float, float] | None

    def draw(
        self, rng: Rng, places: list[tuple[float, float, float, float]], ground: Array
    ) -> tuple[Array, Array, Array]:
        """At each place (x, y, angle, size): pixels on `ground`, coverage, part numbers."""
        shape = ground.shape[:2]
        x, y = axes(shape)
        outline = np.full(shape, 9.0)
        parts = np.zeros(shape, np.int32)
        inner_x, inner_y = x.copy(), y.copy()
        for number, (across, down, angle, scale) in enumerate(places, 1):
            local = turned(x, y, angle, (across, down))
            away = self.form(local[0] / scale, local[1] / scale)
            for column, row, radius in self.holes:
                away = np.maximum(away, radius - np.hypot(local[0] / scale - column, local[1] / scale - row))
            away = away * scale
            nearer = away < outline
            outline = np.where(nearer, away, outline)
            inner_x, inner_y = np.where(nearer, local[0], inner_x), np.where(nearer, local[1], inner_y)
            parts[away < 0.002] = number
        body = self.paint(rng, inner_x, inner_y)
        body = body * relief(dome(outline, self.round_off), 0.3)[..., None]
        if self.groove is not None:
            body = body * (1 - 0.4 * np.exp(-(((outline + self.groove) / 0.008) ** 2)))[..., None]
        if self.studs and len(places) == 1:
            body, parts = self._studded(body, parts, inner_x / places[0][3], inner_y / places[0][3], outline)
        coverage = soft(outline, shape)
        return mix(shadowed(ground, coverage), body, coverage), coverage, parts

    def _studded(self, body: Array, parts: Array, x: Array, y: Array, outline: Array) -> tuple[Array, Array]:
        count, ring, radius = self.studs
        parts = np.zeros_like(parts)
        for number in range(count):
            at = 2 * np.pi * number / count
            away = np.hypot(x - ring * np.cos(at), y - ring * np.sin(at)) - radius
            inside = (away < 0) & (outline < -0.01)
            body = np.where(inside[..., None], body * (0.55 + 0.9 * np.clip(-away / radius, 0, 1))[..., None], body)
            parts[inside] = number + 1
        return body, parts


def _thing(style: Rng) -> tuple[str, _Thing]:
    words, _, paint = _paint(style)
    build, nouns = FORMS[list(FORMS)[style.integers(len(FORMS))]]
    form = build(style)
    holes = []
    if style.uniform() < 0.25:
        count, ring = int(style.integers(1, 5)), style.uniform(0.1, 0.25)
        holes = [
            (ring * np.cos(2 * np.pi * k / count), ring * np.sin(2 * np.pi * k / count), style.uniform(0.02, 0.06))
            for k in range(count)
        ]
    studs = (int(style.integers(3, 12)), style.uniform(0.15, 0.3), style.uniform(0.03, 0.06))
    thing = _Thing(
        form,
        paint,
        round_off=style.uniform(0.005, 0.12),
        groove=style.uniform(0.02, 0.08) if style.uniform() < 0.3 else None,
        holes=tuple(holes),
        studs=studs if style.uniform() < 0.25 else None,
    )
    return f"{words} {nouns[style.integers(len(nouns))]}", thing


def _ground(style: Rng) -> Painter:
    """What an object lies on: mostly plain."""
    if style.uniform() < 0.25:
        return _paint(style)[2]
    colour = _colour(style)[1]
    grain = style.uniform(0.0, 0.08)
    return lambda rng, x, y: (
        colour * (1 + grain * noise(rng, x.shape, 0.008) + 0.5 * grain * noise(rng, x.shape, 0.15))[..., None]
    )


def _single(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """One object on a ground, always upright or turned at will."""
    name, thing = _thing(style)
    ground = _ground(style)
    scale, free = style.uniform(0.55, 1.0), style.uniform() < 0.5
    angle = style.uniform(0, 2 * np.pi)

    def draw(rng: Rng, size: Size) -> Surface:
        below = ground(rng, *axes(size))
        turn = rng.uniform(0, 2 * np.pi) if free else angle + rng.normal(0, 0.05)
        place = (*rng.normal(0, 0.015, 2), turn, scale * rng.uniform(0.97, 1.03))
        pixels, coverage, parts = thing.draw(rng, [place], below)
        return Surface(pixels, coverage > 0.5, below, parts if thing.studs else None)

    return name, draw


def _several(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """Many of one object, in rows or strewn. Parts: the objects."""
    name, thing = _thing(style)
    ground = _ground(style)
    across, down = (int(n) for n in style.integers(2, 5, 2))
    strewn, turn = style.uniform(0, 0.04), style.choice((0.0, 0.1, np.pi))
    filled = style.uniform(0.7, 1.0)

    def draw(rng: Rng, size: Size) -> Surface:
        below = ground(rng, *axes(size))
        places = [
            (
                (column + 0.5) / across * 0.96 - 0.48 + rng.normal(0, strewn),
                (row + 0.5) / down * 0.96 - 0.48 + rng.normal(0, strewn),
                rng.uniform(-turn, turn),
                filled * 0.96 / max(across, down),
            )
            for row in range(down)
            for column in range(across)
        ]
        pixels, coverage, parts = thing.draw(rng, places, below)
        return Surface(pixels, coverage > 0.5, below, parts)

    return name if name.endswith("s") else f"{name}s", draw


def _assembly(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """A board with different objects at fixed places. Parts: the objects."""
    words, stuff, paint = _paint(style)
    ground = _ground(style)
    wide, high = style.uniform(0.36, 0.48, 2)
    board = _Thing(lambda x, y: box(x, y, wide, high), paint, 0.01, None, (), None)
    rows, columns = int(style.integers(2, 5)), int(style.integers(2, 5))
    kinds = [_thing(style)[1] for _ in range(int(style.integers(1, 5)))]
    plan = []
    for row in range(rows):
        for column in range(columns):
            if style.uniform() < 0.85:
                at = ((column + 0.5) / columns * 2 - 1) * wide * 0.9, ((row + 0.5) / rows * 2 - 1) * high * 0.9
                scale = min(wide / columns, high / rows) * style.uniform(1.0, 1.7)
                plan.append((int(style.integers(len(kinds))), (*at, style.choice((0, np.pi / 2, 0.4)), scale)))

    def draw(rng: Rng, size: Size) -> Surface:
        below = ground(rng, *axes(size))
        shift, turn = rng.normal(0, 0.008, 2), rng.normal(0, 0.02)
        bare, coverage, _ = board.draw(rng, [(*shift, turn, 1.0)], below)
        pixels, parts = bare, np.zeros(coverage.shape, np.int32)
        for kind, thing in enumerate(kinds):
            places = [_placed(place, shift, turn) for number, place in plan if number == kind]
            if places:
                pixels, _, numbers = thing.draw(rng, places, pixels)
                parts = np.where(numbers > 0, numbers + 100 * kind, parts)
        return Surface(pixels, coverage > 0.5, bare, parts)

    return f"{words} {stuff} board", draw


def _placed(place: tuple[float, float, float, float], shift: Array, turn: float) -> tuple[float, float, float, float]:
    x, y, angle, scale = place
    across, down = turned(x, y, -turn)
    return across + shift[0], down + shift[1], angle + turn, scale


def _tissue(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """A wet, folded wall with vessels, lit from the middle, its rim perhaps dark."""
    colour = np.asarray((style.uniform(0.6, 0.95), style.uniform(0.3, 0.7), style.uniform(0.2, 0.6)))
    deep = colour * style.uniform(0.25, 0.6, 3)
    scale, folds, vessels = style.uniform(0.08, 0.25), style.uniform(0.2, 1.0), style.uniform(0, 0.35)
    rim, gleam, fine = style.choice((0.6, 0.75, 2.0)), style.uniform(1.6, 3.0), style.uniform(0.05, 0.3)
    name = ("tissue", "mucosa", "flesh", "membrane")[style.integers(4)]

    def draw(rng: Rng, size: Size) -> Surface:
        x, y = axes(size)
        rise = 1 - np.abs(noise(rng, size, scale)) + fine * 0.2 * noise(rng, size, scale / 4)
        lit = _lit(rise, 0.2, 1e-6)
        depth = np.clip(0.5 + 0.5 * folds * (rise - rise.mean()) / rise.std() * 0.5, 0, 1)
        pixels = mix(deep, colour, depth) * lit[..., None]
        lines = np.exp(-np.abs(noise(rng, size, 0.05)) / 0.06)
        pixels = pixels * (1 - vessels * lines[..., None] * (0.4, 1.0, 0.9))
        wet = np.clip(noise(rng, size, 0.015) + 0.8 * noise(rng, size, 0.1) - gleam, 0, 1)
        pixels = mix(pixels, np.ones(3), wet) * (1.1 - 0.8 * (x * x + y * y))[..., None]
        seen = soft(np.hypot(x, y) - rim, x.shape) if rim < 1 else np.ones(x.shape)
        backdrop = np.broadcast_to(np.full(3, 0.02), pixels.shape)
        return Surface(mix(backdrop, pixels, seen), seen > 0.5, backdrop)

    return name, draw


def _scan(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """A slice through a body: a bright rim, mottled inside, alike left and right, on black."""
    wide, high = style.uniform(0.3, 0.42, 2)
    rim, inside, bright = style.uniform(0.01, 0.05), style.uniform(0.25, 0.6), style.uniform(0.6, 0.98)
    grain, scale = style.uniform(0.02, 0.12), style.uniform(0.02, 0.1)
    hollows = style.uniform((0.02, -0.2, 0.02, 0.05), (0.15, 0.2, 0.07, 0.15), (int(style.integers(0, 4)), 4))
    tone = style.uniform(0.0, 0.3, len(hollows)) + style.choice((0, 0.5), len(hollows))
    name = ("scan", "slice", "organ", "section")[style.integers(4)]

    def draw(rng: Rng, size: Size) -> Surface:
        x, y = turned(*axes(size), rng.normal(0, 0.08), tuple(rng.normal(0, 0.01, 2)))
        radius = np.hypot(x / wide, y / high) + 0.02 * noise(rng, size, 0.15)
        within = soft((radius - 1) * wide, x.shape)
        brain = soft((radius - 1) * wide + rim, x.shape)
        cloud = noise(rng, size, scale)
        level = inside * (1 + grain * (0.5 * cloud + 0.5 * cloud[:, ::-1]) + 0.05 * noise(rng, size, 0.008))
        for (across, down, half, tall), dark in zip(hollows, tone, strict=True):
            away = np.hypot((np.abs(x) - across) / half, (y - down) / tall) + 0.15 * noise(rng, size, 0.04)
            level = level + (dark - level) * np.clip(0.5 - (away - 1) * 6, 0, 1)
        grey = bright * within * (1 - brain) + level * brain
        pixels = np.repeat(grey[..., None], 3, 2)
        return Surface(pixels, brain > 0.5, np.zeros_like(pixels))

    return name, draw


LAYOUTS = ((_surface, 0.35), (_single, 0.24), (_several, 0.12), (_assembly, 0.13), (_tissue, 0.09), (_scan, 0.07))


@lru_cache(maxsize=4096)
def category(number: int) -> Category:
    """The world's category of that number, the same on every machine."""
    style = np.random.default_rng([20_000, number])
    build = style.choice(len(LAYOUTS), p=[share for _, share in LAYOUTS])
    return Category(*LAYOUTS[build][0](style))


def kinds_for(surface: Surface) -> list[str]:
    """The defects that a surface can have: some need separable parts, some an edge."""
    whole = surface.region.all()
    parts = surface.parts is not None and (surface.parts > 0).any()
    return [
        kind for kind in WORLD_DEFECTS if (parts or kind not in PART_KINDS) and not (whole and kind == "missing_part")
    ]


def damage(rng: Rng, surface: Surface, kind: str) -> tuple[Array, Array] | None:
    """Pixels (H, W, 3) of the surface with that defect, and its bool mask (H, W).

    None where it cannot be seen: some defects leave no trace on some surfaces, as a worn spot on a smooth one.
    """
    pixels, coverage = WORLD_DEFECTS[kind](rng, surface)
    mask = coverage > 0.4
    visible = mask.any() and np.abs(pixels - surface.pixels)[mask].mean() >= VISIBLE
    return (pixels, mask) if visible else None
