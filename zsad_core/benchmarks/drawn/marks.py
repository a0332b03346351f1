"""Where a defect lies: a point on a region, an irregular patch around one, a line through one."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from zsad_core.benchmarks.drawn.surfaces import Array, Rng, noise, unit


def side(shape: tuple[int, int]) -> int:
    """Side in pixels of the square as large as the picture: what defects are measured by, so narrow pictures have
    defects as large as others."""
    return round(math.sqrt(shape[0] * shape[1]))


def spot(rng: Rng, region: Array, margin: float) -> tuple[int, int]:
    """A pixel (row, column) of the region, `margin` away from the image's edge where the region has such."""
    border = round(margin * unit(region.shape))
    inner = np.zeros_like(region)
    inner[border : -border or None, border : -border or None] = True
    rows, columns = np.nonzero(region & inner if (region & inner).any() else region)
    chosen = rng.integers(len(rows))
    return int(rows[chosen]), int(columns[chosen])


def blob(rng: Rng, region: Array, radius: float, roughness: float) -> Array:
    """Signed distance (in sides, below 0 inside) to an irregular patch on the region."""
    row, column = spot(rng, region, 0.12)
    down, across = np.ogrid[: region.shape[0], : region.shape[1]]
    away = np.hypot(down - row, (across - column) * rng.uniform(0.7, 1.4)) / side(region.shape)
    grain = radius / 3 * side(region.shape) / unit(region.shape)
    return away - radius * (1 + roughness * noise(rng, region.shape, grain))


def curve(rng: Rng, region: Array, length: float, width: float, bend: float, jag: float = 0.0) -> Array:
    """Coverage of a line whose middle lies on the region; `bend` radians a step are kept, `jag` are not."""
    size, steps, fine = side(region.shape), 24, 3
    row, column = spot(rng, region, 0.2)
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend, steps)) + rng.normal(0, jag, steps)
    moves = np.stack([np.cos(headings), np.sin(headings)], 1) * length * size / steps
    points = np.cumsum(np.vstack([(0, 0), moves]), 0)
    points += np.asarray((column, row)) - points[steps // 2]
    canvas = Image.new("L", (region.shape[1] * fine, region.shape[0] * fine))
    line = [tuple(point) for point in points * fine]
    ImageDraw.Draw(canvas).line(line, fill=255, width=max(round(width * size * fine), fine), joint="curve")
    return np.asarray(canvas.reduce(fine)) / 255
