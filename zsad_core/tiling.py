"""Large images as overlapping tiles: where they lie, and how their anomaly maps become one without seams (numpy, PIL).

Each tile is scored as an image of its own; near its edges, where it sees little, its neighbour's map counts for more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from zsad_core.images import MAX_BYTES, ImageError
from zsad_core.map_codec import LARGEST_CODE, MOST_PIXELS

OVERLAP = 0.25  # of a tile's side that it shares with the next, at least


@dataclass(frozen=True)
class Tiling:
    """A whole map of `height` x `width` pixels out of maps of `side` x `side`, whose first rows and columns are every
    combination of `tops` and `lefts`."""

    height: int
    width: int
    side: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def whole(cls, map_size: int) -> Tiling:
        """One tile, whose map is the whole one."""
        return cls(map_size, map_size, map_size, (0,), (0,))

    @property
    def count(self) -> int:
        return len(self.tops) * len(self.lefts)


def tiling_of(height: int, width: int, tile: int | None, overlap: float, map_size: int) -> Tiling:
    """How an image of `height` x `width` pixels is covered by tiles of `tile` x `tile` pixels, whose maps have
    `map_size`; None: by one tile, whatever its aspect.

    Neighbours share at least `overlap` of their side, in [0, 1), and lie evenly. Along a side that is shorter than a
    tile, the tile is as short. Raises ImageError where the whole map would be too large.
    """
    if tile is None:
        return Tiling.whole(map_size)
    rows, columns = (max(map_size, round(side * map_size / tile)) for side in (height, width))
    if rows * columns > MOST_PIXELS:
        raise ImageError(f"its map would have {rows} x {columns} pixels: take a larger --tile, or a smaller --map-size")
    tops, lefts = (_starts(length, map_size, overlap) for length in (rows, columns))
    return Tiling(rows, columns, map_size, tops, lefts)


def _starts(length: int, side: int, overlap: float) -> tuple[int, ...]:
    count = 1 + math.ceil((length - side) / (side * (1 - overlap)))
    return tuple(np.rint(np.linspace(0, length - side, count)).astype(int).tolist())


def tile_pixels(image: Image.Image, tiling: Tiling, size: int) -> np.ndarray:
    """uint8 (tiles, size, size, 3), row by row: each tile resized bicubic. Raises ImageError where that is too much."""
    if tiling.count * size * size * 3 > MAX_BYTES:
        raise ImageError(f"{tiling.count:,} tiles of {size} x {size} pixels are too many: take a larger --tile")
    down, right = image.height / tiling.height, image.width / tiling.width
    boxes: list[tuple[float, float, float, float] | None] = [
        (left * right, top * down, (left + tiling.side) * right, (top + tiling.side) * down)
        for top in tiling.tops
        for left in tiling.lefts
    ]
    if len(boxes) == 1:
        boxes = [None]
    return np.stack([np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box)) for box in boxes])


def of_whole_image(of_tiles: Mapping[str, np.ndarray], tiling: Tiling, overlap: float) -> dict[str, Any]:
    """What an image's tiles say of it, all (n, ...), by name: numbers are those of the tile of the highest `score`,
    which has to be among them; what begins with `codes` are maps, which become the whole one."""
    most = int(np.argmax(of_tiles["score"]))
    return {
        name: assembled(values, tiling, overlap) if name.startswith("codes") else float(values[most])
        for name, values in of_tiles.items()
    }


def assembled(codes: np.ndarray, tiling: Tiling, overlap: float) -> np.ndarray:
    """The whole map (height, width) of the tiles' maps (n, side, side), row by row, all uint16 codes: their mean,
    weighted by a ramp that rises over the overlap from each edge."""
    if tiling.count == 1:
        return codes[0]
    across = np.arange(0.5, tiling.side)
    ramp = (np.minimum(across, across[::-1]) / max(1.0, overlap * tiling.side)).clip(max=1).astype(np.float32)
    weight = np.outer(ramp, ramp)
    total, weights = np.zeros((2, tiling.height, tiling.width), np.float32)
    places = ((top, left) for top in tiling.tops for left in tiling.lefts)
    for (top, left), of_tile in zip(places, codes, strict=True):
        place = np.s_[top : top + tiling.side, left : left + tiling.side]
        total[place] += weight * of_tile
        weights[place] += weight
    return np.rint(total / weights).clip(0, LARGEST_CODE).astype(np.uint16)
