"""A drawn auxiliary set to train methods on: as large as VisA, in MVTec-AD's layout.

Its categories are the world's, but none that the backbone learned from.
"""

from __future__ import annotations

import csv
import itertools
import os
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from zsad_core.benchmarks.drawn import captions, world
from zsad_core.benchmarks.drawn.lessons import CATEGORIES as PRETRAINING_CATEGORIES
from zsad_core.benchmarks.drawn.surfaces import Array, Rng, Surface, light, to_bytes
from zsad_core.errors import ZsadError

NAME = "DrawnWorld"
CATEGORIES, NORMAL, ANOMALOUS = 120, 8, 10  # as many images as in VisA's test split, of far more products
SIZE = 224


def draw_auxiliary(
    folder: str,
    *,
    categories: int = CATEGORIES,
    normal: int = NORMAL,
    anomalous: int = ANOMALOUS,
    size: int = SIZE,
    seed: int = 0,
    advance: Callable[[int], None] = lambda images: None,
) -> None:
    """Draw `<category>/test/{good,<kind>}`, `ground_truth` and `captions.csv` (image, caption) into `folder`.

    `normal` and `anomalous` images of every category, square, of side `size`; `advance` is told of each category's
    images. Raises ZsadError where nothing can be written.
    """
    try:
        rows = []
        for category in _named_apart(categories):
            rows += _draw_category(folder, category, normal, anomalous, size, seed)
            advance(normal + anomalous)
        with open(os.path.join(folder, "captions.csv"), "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("image", "caption"), *rows])
    except OSError as error:
        raise ZsadError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from None


def _named_apart(count: int) -> list[world.Category]:
    """The first categories after the backbone's that differ in name."""
    found: dict[str, world.Category] = {}
    number = PRETRAINING_CATEGORIES
    while len(found) < count:
        category = world.category(number)
        found.setdefault(category.name, category)
        number += 1
    return list(found.values())


def _draw_category(
    folder: str, category: world.Category, normal: int, anomalous: int, size: int, seed: int
) -> list[tuple[str, str]]:
    rows = []
    first_kind = zlib.crc32(category.name.encode())  # so that all kinds are drawn, whatever the number of images
    for number in range(normal + anomalous):
        # As in the miniatures, an image depends on (seed, category, number) alone.
        rng = np.random.default_rng([seed, *category.name.encode(), number])
        surface = category.draw(rng, size)
        kind, pixels, mask = (
            (None, surface.pixels, None) if number < normal else _damaged(rng, surface, first_kind + number)
        )
        pixels = pixels * light(rng, size)[..., None] + rng.normal(0, 0.008, pixels.shape)
        name = f"{category.name}/test/{kind or 'good'}/{number:03d}.png"
        _save(to_bytes(pixels), folder, name)
        if mask is not None:
            _save(mask.astype(np.uint8) * 255, folder, f"{category.name}/ground_truth/{kind}/{number:03d}_mask.png")
        describe = captions.damaged(rng, category.name, kind) if kind else captions.flawless(rng, category.name)
        rows.append((name, describe))
    return rows


def _damaged(rng: Rng, surface: Surface, first: int) -> tuple[str, Array, Array]:
    """The surface with the kind of defect whose turn it is, or with the next that can be seen on it."""
    kinds = world.kinds_for(surface)
    turns = (kinds[turn % len(kinds)] for turn in itertools.count(first))
    return next((kind, *found) for kind in turns if (found := world.damage(rng, surface, kind)))


def _save(pixels: Array, folder: str, name: str) -> None:
    path = os.path.join(folder, *name.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=2)
