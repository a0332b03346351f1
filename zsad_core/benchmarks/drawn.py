"""A drawn data set in MVTec-AD's layout: seeded materials with seeded defects and their true masks.

Every image depends on (seed, category, defect, number) alone, so one more category or image changes no other.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from zsad_core.benchmarks.layouts import NORMAL
from zsad_core.errors import UsageError

Rng = np.random.Generator
Array = np.ndarray


@dataclass(frozen=True)
class Surface:
    """A sample without defect. pixels: (S, S, 3) in 0..1. region: bool (S, S), where the material is.

    backdrop: (S, S, 3), what shows where a part is missing.
    """

    pixels: Array
    region: Array
    backdrop: Array


@dataclass(frozen=True)
class Material:
    """draw(rng, size) gives a normal sample; defects are names in DEFECTS."""

    draw: Callable[[Rng, int], Surface]
    defects: tuple[str, ...]


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
    pixels = pixels * _light(rng, size)[..., None] + rng.normal(0, 0.008, pixels.shape)
    return (pixels.clip(0, 1) * 255).round().astype(np.uint8), mask.astype(np.uint8) * 255


def _save(pixels: Array, *parts: str) -> None:
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(pixels).save(path)


# Building blocks. Lengths are fractions of the image's side, so every size shows the same picture.


def _axes(size: int, angle: float = 0.0) -> tuple[Array, Array]:
    """x and y of every pixel, -0.5..0.5 from the centre, turned by `angle` (radians)."""
    line = (np.arange(size) + 0.5) / size - 0.5
    x, y = line[None, :], line[:, None]
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _noise(rng: Rng, size: int, scale: float | tuple[float, float]) -> Array:
    """Smooth noise of mean 0 and deviation 1 with features about `scale` long (or down, across)."""
    sigma = np.broadcast_to(np.asarray(scale) * size, 2)
    field = ndimage.gaussian_filter(rng.normal(size=(size, size)), sigma, mode="wrap", truncate=3)
    return (field - field.mean()) / field.std()


def _light(rng: Rng, size: int) -> Array:
    """Brightness of an uneven lamp: a slope in a random direction and a darker rim."""
    x, y = _axes(size, rng.uniform(0, 2 * np.pi))
    return rng.uniform(0.92, 1.06) * (1 + rng.uniform(0.05, 0.2) * x) * (1 - 0.25 * (x * x + y * y))


def _relief(height: Array, depth: float) -> Array:
    """Brightness (around 1) of a height field lit from the upper left; the slope counts per image side."""
    down, across = np.gradient(height, 1 / height.shape[0])
    return np.clip(1 - depth * (down + across), 0.4, 1.7)


def _tint(rng: Rng, colour: Sequence[float], spread: float = 0.03) -> Array:
    return np.clip(np.asarray(colour) * rng.uniform(1 - spread, 1 + spread, 3), 0, 1)


def _mix(below: Array, above: Array, coverage: Array) -> Array:
    return below + (above - below) * coverage[..., None]


def _soft(distance: Array, size: int) -> Array:
    """Coverage of the inside (distance < 0) with an edge one pixel wide."""
    return np.clip(0.5 - distance * size, 0, 1)


def _cells(rng: Rng, size: int, count: int) -> tuple[Array, Array]:
    """A mosaic of about count x count irregular cells: cell number and distance to the cell's centre, both (S, S)."""
    centres = (np.stack(np.mgrid[:count, :count], -1) + rng.uniform(0.1, 0.9, (count, count, 2))) * size / count
    down, across = np.clip(centres.astype(int), 0, size - 1).reshape(-1, 2).T
    numbers = np.full((size, size), -1)
    numbers[down, across] = np.arange(len(down))
    distance, nearest = ndimage.distance_transform_edt(numbers < 0, return_indices=True)
    return numbers[tuple(nearest)], distance / size


def _whole(pixels: Array, backdrop: Sequence[float] = (0.05, 0.05, 0.06)) -> Surface:
    """A material that fills the image."""
    return Surface(pixels, np.ones(pixels.shape[:2], bool), np.broadcast_to(np.asarray(backdrop), pixels.shape))


def _object(pixels: Array, coverage: Array, backdrop: Array) -> Surface:
    """An object on a backdrop, with a soft shadow."""
    size = len(coverage)
    shadow = ndimage.gaussian_filter(np.roll(coverage, (size // 50, size // 50), (0, 1)), size / 60)
    backdrop = backdrop * (1 - 0.5 * shadow[..., None])
    return Surface(_mix(backdrop, pixels, coverage), coverage > 0.5, backdrop)


# Materials.


def _carpet(rng: Rng, size: int) -> Surface:
    x, y = (axis * 30 + rng.uniform() for axis in _axes(size, rng.normal(0, 0.03)))
    x, y = x + 0.12 * _noise(rng, size, 0.03), y + 0.12 * _noise(rng, size, 0.03)
    across, along = np.abs((x % 1) - 0.5), np.abs((y % 1) - 0.5)
    over = (np.floor(x) + np.floor(y)) % 2 == 0
    thread = np.where(over, np.cos(np.pi * across) * (1 - along), np.cos(np.pi * along) * (1 - across))
    colour = np.where(over[..., None], _tint(rng, (0.60, 0.59, 0.57)), _tint(rng, (0.40, 0.41, 0.44)))
    fibres = 1 + 0.07 * _noise(rng, size, 0.003) + 0.03 * _noise(rng, size, 0.05)
    return _whole(colour * ((0.35 + 0.85 * thread) * fibres)[..., None])


def _grid(rng: Rng, size: int) -> Surface:
    turn = rng.normal(0, 0.02)
    wires = np.zeros((size, size))
    for angle in (np.pi / 4 + turn, -np.pi / 4 + turn):
        x, y = _axes(size, angle)
        offset = ((x + 0.003 * np.sin(y * 40)) * 11 + rng.uniform()) % 1 - 0.5
        wires = np.maximum(wires, np.sqrt(np.clip(1 - (offset / 0.14) ** 2, 0, 1)))
    ground = _tint(rng, (0.16, 0.16, 0.17)) * (1 + 0.10 * _noise(rng, size, 0.01))[..., None]
    wire = _tint(rng, (0.66, 0.67, 0.68)) * (0.45 + 0.55 * wires)[..., None] * _relief(wires, 0.006)[..., None]
    return _whole(_mix(ground, wire, np.clip(wires * 3, 0, 1)))


def _leather(rng: Rng, size: int) -> Surface:
    numbers, distance = _cells(rng, size, 26)
    edges = (numbers != np.roll(numbers, 1, 0)) | (numbers != np.roll(numbers, 1, 1))
    creases = ndimage.gaussian_filter(edges.astype(float), size / 300)
    height = ndimage.gaussian_filter(-distance - 0.02 * creases, size / 250) + 0.0015 * _noise(rng, size, 0.006)
    colour = _tint(rng, (0.47, 0.27, 0.15), 0.06) * (1 + 0.05 * _noise(rng, size, 0.08))[..., None]
    return _whole(colour * (_relief(height, 0.35) * (1 - 0.35 * np.clip(creases, 0, 1)))[..., None])


def _tile(rng: Rng, size: int) -> Surface:
    pixels = np.empty((size, size, 3))
    pixels[:] = _tint(rng, (0.74, 0.72, 0.68))
    for count, share in ((60, 0.35), (24, 0.3)):
        numbers, distance = _cells(rng, size, count)
        shades = np.asarray([(0.25, 0.24, 0.25), (0.50, 0.45, 0.41), (0.60, 0.40, 0.33), (0.88, 0.87, 0.85)])
        chip = rng.choice(len(shades), count * count)
        radius = np.where(rng.uniform(size=count * count) < share, rng.uniform(0.25, 0.5, count * count), 0) / count
        outline = distance - radius[numbers] * (1 + 0.25 * _noise(rng, size, 0.15 / count))
        pixels = _mix(pixels, shades[chip[numbers]], _soft(outline, size) * (radius[numbers] > 0))
    return _whole(pixels * (1 + 0.03 * _noise(rng, size, 0.004))[..., None])


def _wood(rng: Rng, size: int) -> Surface:
    x, y = _axes(size, rng.normal(0, 0.04))
    bent = x + 0.035 * _noise(rng, size, (0.5, 0.12)) + 0.006 * _noise(rng, size, (0.2, 0.02))
    ring = (bent * rng.uniform(7, 10) + rng.uniform()) % 1
    late = ring**3 * np.clip((1 - ring) * 8, 0, 1)
    grain = 0.05 * _noise(rng, size, (0.06, 0.002)) + 0.05 * _noise(rng, size, (0.4, 0.01))
    pores = np.clip(_noise(rng, size, (0.018, 0.0015)) - 1.8, 0, 1)
    light, dark = _tint(rng, (0.78, 0.58, 0.37), 0.04), _tint(rng, (0.50, 0.31, 0.17), 0.04)
    return _whole(_mix(light, dark, np.clip(late + 0.15, 0, 1)) * (1 + grain - 0.35 * pores)[..., None])


def _steel(rng: Rng, size: int) -> Surface:
    x, y = _axes(size, rng.normal(0, 0.02))
    brushed = 0.05 * _noise(rng, size, (0.0015, 0.15)) + 0.035 * _noise(rng, size, (0.004, 0.5))
    gleam = 0.22 * np.exp(-(((x - rng.uniform(-0.3, 0.3)) / 0.25) ** 2))
    return _whole(_tint(rng, (0.56, 0.58, 0.60)) * (1 + brushed + gleam)[..., None])


def _biscuit(rng: Rng, size: int) -> Surface:
    turn = rng.uniform(0, 2 * np.pi)
    x, y = _axes(size, turn)
    x, y = x + rng.normal(0, 0.012), y + rng.normal(0, 0.012)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    rim = rng.uniform(0.375, 0.395) + 0.010 * np.abs(np.sin(angle * 14)) + 0.004 * _noise(rng, size, 0.1)
    coverage = _soft(radius - rim, size)
    crumb = 0.006 * _noise(rng, size, 0.008) + 0.004 * _noise(rng, size, 0.025)
    height = crumb - 0.05 * np.clip((radius - rim + 0.05) / 0.05, 0, 1) ** 3
    height = height - 0.008 * np.exp(-(((radius - 0.31) / 0.012) ** 2))
    holes = np.zeros((size, size))
    for ring, count in ((0.0, 1), (0.12, 6), (0.23, 12)):
        for step in range(count):
            at = 2 * np.pi * step / count
            holes = np.maximum(holes, _soft(np.hypot(x - ring * np.cos(at), y - ring * np.sin(at)) - 0.011, size))
    baked = np.clip((radius / rim) ** 5 + 0.12 * _noise(rng, size, 0.07), 0, 1)
    colour = _mix(_tint(rng, (0.86, 0.66, 0.38), 0.03), _tint(rng, (0.62, 0.37, 0.16), 0.03), baked)
    pixels = colour * (_relief(height, 0.35) * (1 - 0.6 * holes))[..., None]
    cloth = _tint(rng, (0.20, 0.24, 0.29)) * (1 + 0.06 * _noise(rng, size, (0.002, 0.02)))[..., None]
    return _object(pixels, coverage, cloth)


def _metal_nut(rng: Rng, size: int) -> Surface:
    x, y = _axes(size, rng.uniform(0, 2 * np.pi))
    x, y = x + rng.normal(0, 0.015), y + rng.normal(0, 0.015)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    hexagon = radius * np.cos((angle % (np.pi / 3)) - np.pi / 6) - 0.33
    outside, inside = np.maximum(hexagon, radius - 0.365), 0.165 - radius
    coverage = _soft(np.maximum(outside, inside), size)
    height = 0.03 * np.clip(-outside / 0.035, 0, 1) + 0.025 * np.clip(-inside / 0.03, 0, 1)
    height = height + 0.003 * np.sin(2 * np.pi * (radius / 0.012)) * (radius < 0.185)
    turned = 0.05 * np.sin(radius * 900 + 2 * _noise(rng, size, 0.05)) + 0.04 * _noise(rng, size, 0.004)
    sheen = 0.14 * np.cos(2 * angle + rng.uniform(0, 2 * np.pi))
    pixels = _tint(rng, (0.58, 0.57, 0.55)) * (_relief(height, 0.35) * (1 + turned + sheen))[..., None]
    ground = _tint(rng, (0.10, 0.11, 0.13)) * (1 + 0.10 * _noise(rng, size, 0.01))[..., None]
    return _object(pixels, coverage, ground)


def _pill(rng: Rng, size: int) -> Surface:
    x, y = _axes(size, rng.normal(0, 0.15))
    x, y = x + rng.normal(0, 0.01), y + rng.normal(0, 0.01)
    reach = np.maximum(np.abs(x) - 0.20, 0)
    radius = np.hypot(reach, y) / 0.19
    coverage = _soft((radius - 1) * 0.19, size)
    dome = 0.10 * np.sqrt(np.clip(1 - radius**2, 0, 1))
    score = 0.012 * np.exp(-((x / 0.008) ** 2))
    height = ndimage.gaussian_filter(dome - score, size / 200) + 0.0008 * _noise(rng, size, 0.006)
    specks = np.clip(_noise(rng, size, 0.006) - 2.0, 0, 1)
    colour = _mix(_tint(rng, (0.90, 0.87, 0.80), 0.02), np.asarray((0.75, 0.35, 0.25)), specks)
    ground = _tint(rng, (0.24, 0.33, 0.30)) * (1 + 0.04 * _noise(rng, size, 0.008))[..., None]
    return _object(colour * _relief(height, 0.30)[..., None], coverage, ground)


# Defects: each gives the pixels and its coverage (S, S) in 0..1.


def _spot(rng: Rng, region: Array, margin: float) -> tuple[int, int]:
    """A pixel (row, column) of the region, `margin` away from the image's edge."""
    size, border = len(region), round(margin * len(region))
    inner = np.zeros_like(region)
    inner[border : size - border, border : size - border] = True
    rows, columns = np.nonzero(region & inner)
    chosen = rng.integers(len(rows))
    return int(rows[chosen]), int(columns[chosen])


def _blob(rng: Rng, surface: Surface, radius: float, roughness: float) -> Array:
    """Signed distance (fractions of the side, below 0 inside) to an irregular patch on the region."""
    size = len(surface.region)
    row, column = _spot(rng, surface.region, 0.12)
    line = np.arange(size)
    away = np.hypot(line[:, None] - row, (line[None, :] - column) * rng.uniform(0.7, 1.4)) / size
    return away - radius * (1 + roughness * _noise(rng, size, radius / 3))


def _curve(rng: Rng, surface: Surface, length: float, width: float, wander: float) -> Array:
    """Coverage of a line that starts on the region; its direction changes by about `wander` radians a step."""
    size, steps, fine = len(surface.region), 24, 3
    row, column = _spot(rng, surface.region, 0.2)
    headings = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, wander, steps))
    moves = np.stack([np.cos(headings), np.sin(headings)], 1) * length * size / steps
    points = np.cumsum(np.vstack([(0, 0), moves]), 0)
    points += np.asarray((column, row)) - points[steps // 2]
    canvas = Image.new("L", (size * fine, size * fine))
    line = [tuple(point) for point in points * fine]
    ImageDraw.Draw(canvas).line(line, fill=255, width=max(round(width * size * fine), fine), joint="curve")
    return np.asarray(canvas.resize((size, size), Image.Resampling.BOX)) / 255


def _scratch(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    coverage = _curve(rng, surface, rng.uniform(0.25, 0.5), rng.uniform(0.007, 0.012), 0.05) * surface.region
    shine = rng.choice([0.45, 1.5])
    lip = np.roll(coverage, (1, 1), (0, 1)) * (1 - coverage)
    return _mix(
        surface.pixels * (1 - 0.3 * lip)[..., None], surface.pixels * shine + 0.06 * (shine > 1), coverage
    ), coverage


def _crack(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    coverage = _curve(rng, surface, rng.uniform(0.4, 0.6), 0.012, 0.5)
    coverage = np.maximum(coverage, _curve(rng, surface, rng.uniform(0.15, 0.25), 0.008, 0.5)) * surface.region
    return _mix(surface.pixels, surface.pixels * 0.22, coverage), coverage


def _stain(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    outline = _blob(rng, surface, rng.uniform(0.06, 0.11), 0.25)
    coverage = np.clip(0.5 - outline * size / 4, 0, 1) * surface.region
    colour = np.asarray([(0.50, 0.30, 0.20), (0.30, 0.32, 0.55), (0.35, 0.45, 0.25)][rng.integers(3)])
    soaked = surface.pixels * colour * (1.15 - 0.3 * np.exp(-((outline / 0.012) ** 2)))[..., None]
    return _mix(surface.pixels, soaked, coverage), coverage


def _hole(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    outline = _blob(rng, surface, rng.uniform(0.03, 0.06), 0.12)
    coverage = _soft(outline, size) * surface.region
    frayed = np.exp(-((outline / 0.008) ** 2)) * surface.region
    pixels = surface.pixels * (1 + 0.3 * frayed)[..., None]
    depth = 0.6 + 0.4 * np.clip(-np.roll(outline, (size // 60, size // 60), (0, 1)) / 0.02, 0, 1)
    return _mix(pixels, surface.backdrop * depth[..., None], coverage), coverage


def _missing_part(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    rim = surface.region & ~ndimage.binary_erosion(surface.region, iterations=2, border_value=1)
    at_rim = Surface(surface.pixels, rim, surface.backdrop)
    outline = _blob(rng, at_rim, rng.uniform(0.08, 0.13), 0.10)
    coverage = _soft(outline, size) * surface.region
    broken = np.exp(-((outline / 0.01) ** 2)) * surface.region
    return _mix(surface.pixels * (1 - 0.35 * broken)[..., None], surface.backdrop, coverage), coverage


def _thread(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    coverage = _curve(rng, surface, rng.uniform(0.4, 0.8), rng.uniform(0.010, 0.014), 0.25)
    shadow = ndimage.gaussian_filter(np.roll(coverage, (size // 80, size // 80), (0, 1)), size / 150)
    colour = np.asarray([(0.85, 0.20, 0.18), (0.18, 0.35, 0.75), (0.92, 0.90, 0.84)][rng.integers(3)])
    twist = 1 + 0.15 * np.sin(sum(_axes(size)) * 2 * np.pi * 40)
    return _mix(surface.pixels * (1 - 0.5 * shadow)[..., None], colour * twist[..., None], coverage), coverage


def _contamination(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    coverage = np.zeros((size, size))
    for _ in range(rng.integers(2, 5)):
        coverage = np.maximum(coverage, _soft(_blob(rng, surface, rng.uniform(0.012, 0.025), 0.3), size))
    coverage = coverage * surface.region
    flake = _tint(rng, (0.90, 0.86, 0.70)) * _relief(ndimage.gaussian_filter(coverage, size / 150), 0.015)[..., None]
    return _mix(surface.pixels, flake, coverage), coverage


def _bent(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    size = len(surface.region)
    row, column = _spot(rng, surface.region, 0.2)
    line = np.arange(size)
    reach = rng.uniform(0.06, 0.09) * size
    bump = np.exp(-((line[:, None] - row) ** 2 + (line[None, :] - column) ** 2) / (2 * reach**2))
    push = np.asarray([np.cos(at := rng.uniform(0, 2 * np.pi)), np.sin(at)]) * rng.uniform(0.035, 0.05) * size
    source = [np.add(axis, bump * move) for axis, move in zip(np.mgrid[:size, :size], push, strict=True)]
    moved = [ndimage.map_coordinates(surface.pixels[..., band], source, order=1, mode="nearest") for band in range(3)]
    return np.stack(moved, -1), bump


MATERIALS = {
    "carpet": Material(_carpet, ("hole", "stain", "thread", "contamination")),
    "grid": Material(_grid, ("bent", "thread", "contamination")),
    "leather": Material(_leather, ("scratch", "hole", "stain")),
    "tile": Material(_tile, ("crack", "stain", "scratch")),
    "wood": Material(_wood, ("scratch", "hole", "stain")),
    "steel": Material(_steel, ("scratch", "stain", "contamination")),
    "biscuit": Material(_biscuit, ("missing_part", "crack", "thread")),
    "metal_nut": Material(_metal_nut, ("missing_part", "scratch", "stain")),
    "pill": Material(_pill, ("missing_part", "crack", "contamination")),
}

DEFECTS = {
    "bent": _bent,
    "contamination": _contamination,
    "crack": _crack,
    "hole": _hole,
    "missing_part": _missing_part,
    "scratch": _scratch,
    "stain": _stain,
    "thread": _thread,
}
