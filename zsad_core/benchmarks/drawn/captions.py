"""Captions of drawn images: what is seen, and whether it is as it should be."""

from __future__ import annotations

from zsad_core.benchmarks.drawn.surfaces import Rng

FLAWLESS = (
    "a photo of a flawless {}", "a perfect {}", "an intact {}", "a photo of a {} without defect", "a good {}",
    "an undamaged {}", "a photo of a normal {}", "a healthy {}", "a clean photo of a new {}", "{}, as it should be",
)  # fmt: skip
DAMAGED = (
    "a photo of a damaged {}", "a broken {}", "a {} with a defect", "a photo of a faulty {}", "a bad {}",
    "an abnormal {}", "a photo of a {} with damage", "a diseased {}", "a photo of a flawed {}",
    "{}, something is wrong",
)  # fmt: skip
WITH_KIND = ("a photo of a {} with {}", "a {}, {}", "{}: {}")
KINDS = {
    "absent_part": "a missing part", "blurred": "a worn spot", "contamination": "dirt on it", "crack": "a crack",
    "cut_off": "an end cut off", "displaced": "a break in the pattern", "foreign": "a foreign patch",
    "growth": "a growth", "lump": "a lump", "hole": "a hole",
    "missing_part": "a piece broken off", "pasted": "a misplaced piece", "roughened": "a rough spot",
    "rubbed_out": "an area rubbed out", "scratch": "a scratch", "shaded": "a discoloured area",
    "squeezed": "a distorted area", "stain": "a stain", "strokes": "lines on it", "swapped_part": "a crooked part",
    "wrong_colour": "a part of the wrong colour",
}  # fmt: skip


def flawless(rng: Rng, name: str) -> str:
    return FLAWLESS[rng.integers(len(FLAWLESS))].format(name)


def damaged(rng: Rng, name: str, kind: str | None = None) -> str:
    """With `kind` (of KINDS), every other caption names it."""
    if kind and rng.uniform() < 0.5:
        return WITH_KIND[rng.integers(len(WITH_KIND))].format(name, KINDS[kind])
    return DAMAGED[rng.integers(len(DAMAGED))].format(name)
