"""What the small backbone learns from: pairs of one drawn sample, flawless and damaged, with captions, without end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from zsad_core.benchmarks.drawn import captions, world
from zsad_core.benchmarks.drawn.surfaces import Array, Rng, Surface, light, noise, to_bytes

CATEGORIES = 20_000
DRAWN_SIZE = 224  # more than is shown, so that pictures are cut out and scaled down as real ones are
KEPT, REUSED = 96, 8  # surfaces at hand, and how often each is damaged anew before it is drawn anew
TAUGHT_MORE_OFTEN = 2.0
LEAST = 0.0007  # of a cut's area that is damaged
AS_DRAWN = 0.3  # how often a picture is left as it is: most benchmarks are taken with care
STRANGE_WORDS = 0.25  # how often a state's text names something else: the state has to be read off any name


class Pair(NamedTuple):
    """flawless, damaged: uint8 (S, S, 3) of the same cut. mask: bool (S, S), of the damage. captions: of both. texts:
    a flawless and a damaged description, to be told apart for every patch."""

    flawless: Array
    damaged: Array
    mask: Array
    captions: tuple[str, str]
    texts: tuple[str, str]


def pairs(seed: int | Sequence[int], size: int, words: list[str]) -> Iterator[Pair]:
    """Endless pairs, determined by `seed`; `words` are what strange names are made of."""
    rng = np.random.default_rng(seed)
    at_hand: list[_Lesson] = []
    for turn in itertools.count():
        if len(at_hand) < KEPT:
            at_hand.append(_drawn(rng))
        elif turn % REUSED == 0:
            at_hand[rng.integers(KEPT)] = _drawn(rng)
        if pair := _pair(rng, at_hand[rng.integers(len(at_hand))], size, words):
            yield pair


class _Lesson(NamedTuple):
    """A surface and the kinds of damage that it can have, with their probabilities."""

    name: str
    surface: Surface
    kinds: list[str]
    chances: Array


def _drawn(rng: Rng) -> _Lesson:
    category = world.category(int(rng.integers(CATEGORIES)))
    surface = category.draw(rng, DRAWN_SIZE)
    kinds = world.kinds_for(surface)
    weights = np.array([TAUGHT_MORE_OFTEN if kind in world.TAUGHT else 1.0 for kind in kinds])
    return _Lesson(category.name, surface, kinds, weights / weights.sum())


def _pair(rng: Rng, lesson: _Lesson, size: int, words: list[str]) -> Pair | None:
    """A pair, or None where the damage cannot be seen or fell outside the cut."""
    name, surface, kinds, chances = lesson
    damaged = surface
    mask: Array = np.zeros(surface.region.shape, bool)
    for _ in range(2 if rng.uniform() < 0.2 else 1):
        kind = kinds[rng.choice(len(kinds), p=chances)]
        found = world.damage(rng, damaged, kind)
        if found is None:
            return None
        mask |= found[1]
        damaged = replace(damaged, pixels=found[0])
    cut = _Cut(rng, mask.shape[0], size)
    shown = cut.mask(mask)
    if shown.mean() < LEAST:
        return None
    camera = int(rng.integers(2**63))  # the same for both, so that the damage alone tells them apart
    strange = " ".join(words[i] for i in rng.integers(len(words), size=rng.integers(1, 4)))
    called = strange if rng.uniform() < STRANGE_WORDS else name
    return Pair(
        _photo(np.random.default_rng(camera), cut.pixels(surface.pixels)),
        _photo(np.random.default_rng(camera), cut.pixels(damaged.pixels)),
        shown,
        (captions.flawless(rng, name), captions.damaged(rng, name, kind)),
        (captions.flawless(rng, called), captions.damaged(rng, called)),
    )


class _Cut:
    """A part of the picture, turned and mirrored, scaled to `size`."""

    def __init__(self, rng: Rng, side: int, size: int):
        self.size, self.turns, self.mirrored = size, int(rng.integers(4)), bool(rng.integers(2))
        window = side if rng.uniform() < 0.5 else int(rng.uniform(0.6, 1.0) * side)
        self.top, self.left = (int(rng.integers(side - window + 1)) for _ in range(2))
        self.window = window

    def _cut(self, plane: Array) -> Array:
        part = plane[self.top : self.top + self.window, self.left : self.left + self.window]
        part = np.rot90(part, self.turns)
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)

    def pixels(self, pixels: Array) -> Array:
        """Float (H, W, 3) in 0..1 to float (size, size, 3)."""
        image = Image.fromarray(to_bytes(self._cut(pixels)))
        return np.asarray(image.resize((self.size, self.size), Image.Resampling.BICUBIC), np.float32) / 255

    def mask(self, mask: Array) -> Array:
        image = Image.fromarray(self._cut(mask).astype(np.uint8) * 255)
        return np.asarray(image.resize((self.size, self.size), Image.Resampling.BILINEAR)) > 127


def _photo(rng: Rng, pixels: Array) -> Array:
    """As a camera might have taken it: uneven light, another colour balance and contrast, grain, out of focus."""
    if rng.uniform() < AS_DRAWN:
        return to_bytes(pixels)
    if rng.uniform() < 0.6:
        pixels = pixels * light(rng, pixels.shape[:2])[..., None]
    pixels = np.clip(pixels * rng.uniform(0.75, 1.2), 0, 1) ** rng.uniform(0.75, 1.35)
    if rng.uniform() < 0.25:
        pixels = np.repeat(pixels.mean(2, keepdims=True), 3, 2)
    elif rng.uniform() < 0.5:
        pixels = pixels * rng.uniform(0.85, 1.15, 3)
    if rng.uniform() < 0.2:
        width = rng.uniform(0.3, 0.9)
        pixels = ndimage.gaussian_filter(pixels, (width, width, 0))
    pixels = pixels + rng.uniform(0, 0.03) * rng.standard_normal(pixels.shape)
    if rng.uniform() < 0.2:
        pixels = pixels + rng.uniform(0, 0.08) * noise(rng, pixels.shape[:2], rng.uniform(0.08, 0.3))[..., None]
    return to_bytes(pixels)
