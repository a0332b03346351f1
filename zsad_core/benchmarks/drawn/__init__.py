"""A drawn data set in MVTec-AD's layout: seeded materials with seeded defects and their true masks.

Every image depends on (seed, category, defect, number) alone, so one more category or image changes no other.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from zsad_core.benchmarks.drawn.catalogue import MATERIALS
from zsad_core.benchmarks.drawn.defects import DEFECTS
from zsad_core.benchmarks.drawn.surfaces import Array, light
from zsad_core.benchmarks.layouts import NORMAL
from zsad_core.errors import UsageError

STARTERS = ("carpet", "grid", "leather", "tile", "wood", "steel", "biscuit", "metal_nut", "pill")


def draw_mvtec(
    folder: str,
    categories: Sequence[str] | None = None,
    normal: int = 10,
    anomalous: int = 10,
    size: int = 256,
    seed: int = 0,
) -> None:
    """Draw `normal` and `anomalous` test images of every category (default: STARTERS) as PNG files below `folder`.

    Their area is size x size. The defects of a category take turns. Raises UsageError for a category that is not in
    MATERIALS.
    """
    categories = STARTERS if categories is None else categories
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
    """Pixels uint8 (H, W, 3) and mask uint8 (H, W) of 0 and 255; a defect of None is a normal sample.

    H and W have the material's aspect ratio and the area of a square of side `size`.
    """
    pixels, masks = draw_layers(category, [defect] if defect else [], number, size, seed)
    return pixels, masks.any(0).astype(np.uint8) * 255


def draw_layers(category: str, defects: Sequence[str], number: int, size: int, seed: int) -> tuple[Array, Array]:
    """As draw_sample, with several defects one upon another and bool masks (defects, H, W), one each."""
    material = MATERIALS[category]
    kind = "+".join(defects) or None
    rng = np.random.default_rng([seed, zlib.crc32(f"{category}/{kind}".encode()), number])
    surface = material.draw(rng, material.size(size))
    shape = surface.region.shape
    masks = np.zeros((len(defects), *shape), bool)
    for defect, mask in zip(defects, masks, strict=True):
        pixels = surface.pixels
        while not mask.any():  # a mark may fall beside a small object: mark again
            pixels, coverage = DEFECTS[defect](rng, surface)
            mask[:] = coverage > 0.4
        surface = replace(surface, pixels=pixels)
    pixels = surface.pixels * light(rng, shape)[..., None] if material.lit else surface.pixels
    if material.grey:
        pixels = pixels.mean(2, keepdims=True)
    pixels = pixels + rng.normal(0, 0.008, pixels.shape)
    return (np.broadcast_to(pixels, (*shape, 3)).clip(0, 1) * 255).round().astype(np.uint8), masks


def _save(pixels: Array, *parts: str) -> None:
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=2)
