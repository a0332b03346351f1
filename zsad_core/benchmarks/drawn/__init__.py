"""A drawn data set in MVTec-AD's layout: seeded materials with seeded defects and their true masks.

Every image depends on (seed, category, defect, number) alone, so one more category or image changes no other.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zsad_core.benchmarks.drawn import materials
from zsad_core.benchmarks.drawn.defects import DEFECTS
from zsad_core.benchmarks.drawn.surfaces import Array, Rng, Surface, light
from zsad_core.benchmarks.layouts import NORMAL
from zsad_core.errors import UsageError


@dataclass(frozen=True)
class Material:
    """draw(rng, size) gives a normal sample; defects are names in DEFECTS."""

    draw: Callable[[Rng, int], Surface]
    defects: tuple[str, ...]


MATERIALS = {
    "carpet": Material(materials.carpet, ("hole", "stain", "thread", "contamination")),
    "grid": Material(materials.grid, ("bent", "thread", "contamination")),
    "leather": Material(materials.leather, ("scratch", "hole", "stain")),
    "tile": Material(materials.tile, ("crack", "stain", "scratch")),
    "wood": Material(materials.wood, ("scratch", "hole", "stain")),
    "steel": Material(materials.steel, ("scratch", "stain", "contamination")),
    "biscuit": Material(materials.biscuit, ("missing_part", "crack", "thread")),
    "metal_nut": Material(materials.metal_nut, ("missing_part", "scratch", "stain")),
    "pill": Material(materials.pill, ("missing_part", "crack", "contamination")),
}


def draw_mvtec(
    folder: str,
    categories: Sequence[str] | None = None,
    normal: int = 10,
    anomalous: int = 10,
    size: int = 256,
    seed: int = 0,
) -> None:
    """Draw `normal` and `anomalous` test images of every category as PNG files of size x size below `folder`.

    The defects of a category take turns. Raises UsageError for a category that is not in MATERIALS.
    """
    categories = list(MATERIALS) if categories is None else categories
    if unknown := [category for category in categories if category not in MATERIALS]:
        raise UsageError(f"{unknown[0]}: cannot be drawn. Known: {', '.join(MATERIALS)}")
    for category in categories:
        defects = MATERIALS[category].defects
        for number in range(normal):
            pixels, _ = draw_sample(category, None, number, size, seed)
            _save(pixels, folder, category, "test", NORMAL, f"{number:03d}.png")
        for turn in range(anomalous):
            defect, number = defects[turn % len(defects)], turn // len(defects)
            pixels, mask = draw_sample(category, defect, number, size, seed)
            _save(pixels, folder, category, "test", defect, f"{number:03d}.png")
            _save(mask, folder, category, "ground_truth", defect, f"{number:03d}_mask.png")


def draw_sample(category: str, defect: str | None, number: int, size: int, seed: int) -> tuple[Array, Array]:
    """Pixels uint8 (size, size, 3) and mask uint8 (size, size) of 0 and 255; a defect of None is a normal sample."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{category}/{defect}".encode()), number])
    surface = MATERIALS[category].draw(rng, size)
    pixels, mask = surface.pixels, np.zeros((size, size), bool)
    while defect and not mask.any():  # a mark may fall beside a small object: mark again
        pixels, coverage = DEFECTS[defect](rng, surface)
        mask = coverage > 0.4
    pixels = pixels * light(rng, size)[..., None] + rng.normal(0, 0.008, pixels.shape)
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8), mask.astype(np.uint8) * 255


def _save(pixels: Array, *parts: str) -> None:
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=2)
