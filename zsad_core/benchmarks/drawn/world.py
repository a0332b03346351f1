"""The drawn world that backbone and methods learn from: any number of categories, each a seeded style with a name.

It shares no material with the benchmarks' miniatures: their surfaces stay unseen. Of their defect kinds it has
TAUGHT, beside kinds of its own (`faults`); the others stay unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from zsad_core.benchmarks.drawn import things
from zsad_core.benchmarks.drawn.defects import DEFECTS
from zsad_core.benchmarks.drawn.faults import FAULTS
from zsad_core.benchmarks.drawn.surfaces import (
    Array,
    Rng,
    Size,
    Surface,
    axes,
    box,
    mix,
    noise,
    soft,
    turned,
)

TAUGHT = (
    "absent_part", "contamination", "crack", "hole", "missing_part", "scratch", "stain", "wrong_colour",
)  # fmt: skip
PART_KINDS = ("absent_part", "wrong_colour", "swapped_part")
VISIBLE = 0.1  # mean change of the damaged pixels' values, below which a defect is too faint to learn from
WORLD_DEFECTS = {**{name: DEFECTS[name] for name in TAUGHT}, **FAULTS}


@dataclass(frozen=True)
class Category:
    """One product of the world. name: its words. draw(rng, size): a sample without defect."""

    name: str
    draw: Callable[[Rng, Size], Surface]


def _surface(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """A material that fills the picture."""
    words, stuff, painted = things.paint(style)
    backdrop = things.colour(style)[1] * 0.5

    def draw(rng: Rng, size: Size) -> Surface:
        pixels = painted(rng, *axes(size))
        return Surface(pixels, np.ones(pixels.shape[:2], bool), np.broadcast_to(backdrop, pixels.shape))

    return f"{words} {stuff}", draw


def _ground(style: Rng) -> things.Painter:
    """What an object lies on: mostly plain."""
    if style.uniform() < 0.25:
        return things.paint(style)[2]
    colour = things.colour(style)[1]
    grain = style.uniform(0.0, 0.08)
    return lambda rng, x, y: (
        colour * (1 + grain * noise(rng, x.shape, 0.008) + 0.5 * grain * noise(rng, x.shape, 0.15))[..., None]
    )


def _single(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """One object on a ground, always upright or turned at will."""
    name, thing = things.thing(style)
    ground = _ground(style)
    scale, free = style.uniform(0.55, 1.0), style.uniform() < 0.5
    angle = style.uniform(0, 2 * np.pi)

    def draw(rng: Rng, size: Size) -> Surface:
        below = ground(rng, *axes(size))
        turn = rng.uniform(0, 2 * np.pi) if free else angle + rng.normal(0, 0.05)
        place = (*rng.normal(0, 0.015, 2), turn, scale * rng.uniform(0.97, 1.03))
        look = thing.draw(rng, [place], below)
        if thing.loose:
            return Surface(look.pixels, look.coverage > 0.5, look.bare, look.parts)
        return Surface(look.pixels, look.coverage > 0.5, below)

    return name, draw


def _several(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """Many of one object, in rows or strewn. Parts: the objects."""
    name, thing = things.thing(style)
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
        look = thing.draw(rng, places, below)
        return Surface(look.pixels, look.coverage > 0.5, below, look.parts)

    return name if name.endswith("s") else f"{name}s", draw


def _assembly(style: Rng) -> tuple[str, Callable[[Rng, Size], Surface]]:
    """A board with different objects at fixed places and small dots strewn about. Parts: the objects."""
    words, stuff, painted = things.paint(style)
    ground = _ground(style)
    wide, high = style.uniform(0.26, 0.48, 2)
    board = things.Thing(lambda x, y: box(x, y, wide, high), painted, 0.01)
    kinds = [things.thing(style)[1] for _ in range(int(style.integers(1, 7)))]
    plan = _plan(style, wide, high, len(kinds))
    pads = things.colour(style)[1] if style.uniform() < 0.5 else None
    dots, dot_colour = int(style.choice((0, 10, 25))), things.colour(style)[1]

    def draw(rng: Rng, size: Size) -> Surface:
        below = ground(rng, *axes(size))
        shift, turn = rng.normal(0, 0.008, 2), rng.normal(0, 0.02)
        bare, coverage, _, _ = board.draw(rng, [(*shift, turn, 1.0)], below)
        x, y = turned(*axes(size), turn, tuple(shift))
        for across, down in rng.uniform(-0.95, 0.95, (dots, 2)) * (wide, high):
            bare = mix(bare, dot_colour, soft(np.hypot(x - across, y - down) - 0.007, size))
        pixels, parts = bare, np.zeros(coverage.shape, np.int32)
        for kind, thing in enumerate(kinds):
            places = [_placed(place, shift, turn) for number, place in plan if number == kind]
            if places:
                pixels, _, numbers, _ = thing.draw(rng, places, pixels)
                parts = np.where(numbers > 0, numbers + 100 * kind, parts)
        if pads is not None:
            for _, (across, down, _, scale) in plan:
                for side in (-1, 1):
                    pad = box(x - across - side * 0.25 * scale, y - down, 0.1 * scale, 0.15 * scale)
                    bare = mix(bare, pads, soft(pad, size))
        return Surface(pixels, coverage > 0.5, bare, parts)

    return f"{words} {stuff} board", draw


def _plan(style: Rng, wide: float, high: float, kinds: int) -> list[tuple[int, things.Place]]:
    """Which of so many kinds of object is where on a board: large ones, and rows of small ones of one kind."""
    rows, columns = int(style.integers(1, 5)), int(style.integers(2, 5))
    plan: list[tuple[int, things.Place]] = []
    for row in range(rows):
        for column in range(columns):
            at = ((column + 0.5) / columns * 2 - 1) * wide * 0.9, ((row + 0.5) / rows * 2 - 1) * high * 0.9
            cell = min(wide / columns, high / rows)
            turn = style.choice((0, np.pi / 2, 0.4))
            if style.uniform() < 0.35:
                small, line = int(style.integers(kinds)), int(style.integers(3, 8))
                step = 1.9 * cell / line
                offsets = [(number - (line - 1) / 2) * step for number in range(line)]
                along = style.uniform() < 0.5
                plan += [
                    (small, (at[0] + away * along, at[1] + away * (not along), turn, step * 0.9)) for away in offsets
                ]
            elif style.uniform() < 0.85:
                plan.append((int(style.integers(kinds)), (*at, turn, cell * style.uniform(1.2, 2.1))))
    return plan


def _placed(place: things.Place, shift: Array, turn: float) -> things.Place:
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
        lit = things.lit(rise, 0.2, 1e-6)
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
    """A slice through a body: a bright rim, folded and mottled inside, alike left and right, on black."""
    wide, high = style.uniform(0.3, 0.42, 2)
    rim, inside, bright = style.uniform(0.01, 0.06), style.uniform(0.2, 0.6), style.uniform(0.6, 1.0)
    grain, scale = style.uniform(0.02, 0.12), style.uniform(0.02, 0.1)
    hollows = style.uniform((0.02, -0.2, 0.02, 0.05), (0.15, 0.2, 0.07, 0.15), (int(style.integers(0, 4)), 4))
    tone = style.uniform(0.0, 0.3, len(hollows)) + style.choice((0, 0.5), len(hollows))
    bark, barks_tone = style.uniform(0.03, 0.08), style.uniform(-0.12, 0.12)
    folds, folds_tone = style.choice((0, 0.6, 1.0)), style.choice((0.05, 0.8))
    gap, midline = style.choice((0, 0.008, 0.02)), style.choice((0, 0, 0.4))
    skin = style.choice((0, 0.3, 0.8))
    name = ("scan", "slice", "organ", "section")[style.integers(4)]

    def draw(rng: Rng, size: Size) -> Surface:
        x, y = turned(*axes(size), rng.normal(0, 0.08), tuple(rng.normal(0, 0.01, 2)))
        radius = np.hypot(x / wide, y / high) + 0.02 * noise(rng, size, 0.15)
        depth = (1 - radius) * min(wide, high)
        whole, within = soft(-depth - 0.02, size), soft(-depth, size)
        brain = soft(rim + gap - depth, size)
        cloud, fine = noise(rng, size, scale), noise(rng, size, 0.02)
        level = inside * (1 + grain * (0.5 * cloud + 0.5 * cloud[:, ::-1]) + 0.05 * noise(rng, size, 0.008))
        level = level + barks_tone * soft(depth - rim - gap - bark - 0.012 * fine, size)
        furrows = np.exp(-((fine / 0.16) ** 2) - ((depth - rim - gap) / bark) ** 2)
        level = level + (folds_tone - level) * folds * furrows
        level = level + midline * np.exp(-((x / 0.004) ** 2)) * (np.abs(y) > 0.4 * high)
        for (across, down, half, tall), dark in zip(hollows, tone, strict=True):
            away = np.hypot((np.abs(x) - across) / half, (y - down) / tall) + 0.15 * noise(rng, size, 0.04)
            level = level + (dark - level) * np.clip(0.5 - (away - 1) * 6, 0, 1)
        bone = soft(rim - depth, size)
        shell = skin * (whole - within) + bright * (within - bone)
        pixels = np.repeat((shell + level * brain)[..., None], 3, 2)
        return Surface(pixels, brain > 0.5, np.zeros_like(pixels))

    return name, draw


LAYOUTS = ((_surface, 0.10), (_single, 0.34), (_several, 0.12), (_assembly, 0.21), (_tissue, 0.08), (_scan, 0.15))


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
