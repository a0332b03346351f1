"""Drawn samples: seeded materials with seeded defects and their true masks.

Every image depends on (seed, category, defect, number) alone, so one more category or image changes no other.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zsad_core.benchmarks.drawn.catalogue import MATERIALS
from zsad_core.benchmarks.drawn.defects import DEFECTS
from zsad_core.benchmarks.drawn.surfaces import Array, light, to_bytes


def draw_sample(category: str, defect: str | None, number: int, size: int, seed: int) -> tuple[Array, Array]:
    """Pixels uint8 (H, W, 3) and mask uint8 (H, W) of 0 and 255; a defect of None is a normal sample.

    H and W have the material's aspect ratio and the area of a square of side `size`.
    """
    pixels, masks = draw_layers(category, [defect] if defect else [], number, size, seed)
    return pixels, np.where(masks.any(axis=0), 255, 0).astype(np.uint8)


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
    return to_bytes(np.broadcast_to(pixels, (*shape, 3))), masks
