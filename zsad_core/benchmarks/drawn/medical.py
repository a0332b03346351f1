"""Drawn medical images without finding: head slices (CT, MRI), skin under the dermatoscope, the wall of the colon."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.marks import curve
from zsad_core.benchmarks.drawn.surfaces import (
    Array,
    Rng,
    Size,
    Surface,
    axes,
    box,
    mix,
    noise,
    relief,
    segment,
    shine,
    soft,
    tint,
    unit,
)


def head_ct(rng: Rng, size: Size) -> Surface:
    matter = rng.uniform(0.30, 0.48)
    levels = {"scalp": 0.16, "bone": 1.0, "fluid": matter * 0.35, "grey": matter + 0.05, "white": matter - 0.02}
    return _head(rng, size, 1.05, speckle=0.06, **levels)


def brain_mri(rng: Rng, size: Size, zoom: float = 1.05) -> Surface:
    """One of three weightings, in which fluid and matter change places. zoom: how far the head fills the frame."""
    scalp, fluid, grey, white = ((0.85, 0.08, 0.34, 0.44), (0.45, 0.80, 0.42, 0.26), (0.75, 0.05, 0.42, 0.33))[
        rng.integers(3)
    ]
    return _head(rng, size, zoom, scalp=scalp, bone=0.06, fluid=fluid, grey=grey, white=white, speckle=0.03)


def _head(
    rng: Rng,
    size: Size,
    zoom: float,
    scalp: float,
    bone: float,
    fluid: float,
    grey: float,
    white: float,
    speckle: float,
) -> Surface:
    """An axial slice; the other arguments are grey values of its tissues. Region: the brain."""
    x, y = (axis / zoom for axis in axes(size, rng.normal(0, 0.06)))
    x, y = x + rng.normal(0, 0.01), y + rng.normal(0, 0.01)
    width, length = rng.uniform(0.355, 0.385), rng.uniform(0.43, 0.46)
    radius = np.hypot(x / width * (1 - 0.25 * y), y / length)
    depth = (1 - radius) * width * (1 + 0.02 * noise(rng, size, 0.15))
    inner = depth - 0.062
    fine = noise(rng, size, 0.018)
    cortex = soft(inner - 0.045 - 0.014 * fine, size)
    level = white + (grey - white) * cortex + 0.012 * noise(rng, size, 0.06)
    deep = np.minimum(*(np.hypot((x - side * 0.075) / 0.75, y - 0.01) - 0.06 for side in (-1, 1)))
    level = level + (grey - white) * 0.8 * soft(deep + 0.01 * fine, size)
    folds = np.exp(-((noise(rng, size, 0.022) / 0.16) ** 2)) * np.exp(-((inner / 0.05) ** 2))
    level = level + (fluid - level) * np.clip(folds * 1.1, 0, 1)
    wide = rng.uniform(0.8, 1.5)
    ventricles = np.full(level.shape, np.inf)
    for side in (-1, 1):
        for start, bend, end, thick in (
            ((0.016, 0.01), (0.030, -0.05), (0.062, -0.115), 0.013),
            ((0.018, 0.02), (0.055, 0.07), (0.105, 0.145), 0.012),
        ):
            ends = [(side * across, down) for across, down in (start, bend, end)]
            for first, second in pairwise(ends):
                ventricles = np.minimum(ventricles, segment(x, y, first, second) - thick * wide)
    level = level + (fluid - level) * soft(ventricles + 0.003 * fine, size)
    falx = np.exp(-(((x + 0.004 * np.sin(y * 25)) / 0.0035) ** 2) / 1) * (np.abs(y) > 0.16)
    level = level + (grey * 1.35 - level) * 0.7 * falx
    level = level * (1 + speckle * noise(rng, size, 0.004))
    gap = soft(inner, size)
    level = level + (fluid * 0.8 - level) * gap
    level = level + (bone - level) * soft(inner + 0.006 + 0.003 * fine, size)
    shell = np.clip(1 - np.abs(depth - 0.012) / 0.010, 0, 1) * (1 + 0.25 * noise(rng, size, 0.03))
    level = np.where(depth < 0.021, bone * 0.2 * (bone < 0.5) + scalp * shell.clip(0, 1.2), level)
    level = level * soft(-depth, size)
    rest = np.exp(-(((np.hypot(x, y + 0.05) - 0.56) / 0.006) ** 2)) * (y > 0.3) * 0.12 * (bone > 0.5)
    pixels = np.repeat((level + rest)[..., None], 3, 2)
    pixels = ndimage.gaussian_filter(pixels, (unit(size) / 400, unit(size) / 400, 0))
    return Surface(pixels, inner > 0.012, np.zeros_like(pixels))


def skin(rng: Rng, size: Size) -> Surface:
    """Region: where a lesion may begin, the middle."""
    x, y = axes(size, rng.uniform(0, np.pi))
    lines = np.exp(-((noise(rng, size, 0.012) / 0.25) ** 2)) + np.exp(-((noise(rng, size, 0.016) / 0.25) ** 2))
    base = np.asarray([(0.86, 0.68, 0.60), (0.80, 0.58, 0.52), (0.88, 0.76, 0.68), (0.72, 0.55, 0.50)][rng.integers(4)])
    flush = np.clip(0.5 + 0.25 * noise(rng, size, 0.15), 0, 1)
    pixels = mix(tint(rng, base), tint(rng, base * (1.0, 0.86, 0.86)), flush)
    pixels = pixels * (1 - 0.05 * lines + 0.02 * noise(rng, size, 0.004))[..., None]
    everywhere = np.ones(x.shape, bool)
    for _ in range(rng.integers(0, 9)):
        hair = curve(rng, everywhere, rng.uniform(0.4, 0.9), 0.006, 0.05)
        pixels = mix(pixels, np.asarray((0.20, 0.13, 0.10)), 0.8 * hair)
    radius = np.hypot(x, y)
    rim = rng.choice((0.0, 0.55))
    if rim:
        pixels = pixels * np.clip(1 - (radius - rim) / 0.05, 0.02, 1)[..., None]
    return Surface(pixels, radius < 0.13, np.zeros_like(pixels))


def colon(
    rng: Rng,
    size: Size,
    wall: Sequence[float] = (0.80, 0.46, 0.34),
    deep: Sequence[float] = (0.30, 0.08, 0.05),
    folds: float = 1.0,
    corner: float = 0.25,
    veins: float = 0.3,
    panel: bool = False,
) -> Surface:
    """The inside of the bowel with its lumen. wall, deep: colours near and far. corner: cut off the frame's corners.

    folds, veins: how strong. panel: a picture of the endoscope's position in the lower left corner. Region: the wall.
    """
    x, y = axes(size)
    high, wide = x.shape[0] / unit(size) / 2, x.shape[1] / unit(size) / 2
    at, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.38)
    across, down = x - far * np.cos(at), y - far * np.sin(at)
    radius = np.hypot(across * rng.uniform(0.85, 1.2), down) + 0.02 * noise(rng, size, 0.12) + 0.012
    angle = np.arctan2(down, across)
    lobes = 1 + 0.16 * np.cos(3 * angle + rng.uniform(0, 6)) + 0.05 * noise(rng, size, 0.15)
    ring = np.log(np.clip(radius * lobes, 0.02, None)) * rng.uniform(1.1, 1.5) + rng.uniform()
    phase = ring % 1
    ridge = np.where(phase < 0.72, phase / 0.72, (1 - phase) / 0.28)
    height = (
        folds * 0.09 * np.clip(radius - 0.05, 0, None) * ridge**1.6
        + 0.006 * noise(rng, size, 0.05)
        + 0.0012 * noise(rng, size, 0.012)
    )
    height = ndimage.gaussian_filter(height, unit(size) / 120)
    near = np.clip(radius / rng.uniform(0.38, 0.55), 0, 1) ** 0.9
    behind = 1 - 0.36 * near * folds * np.clip((phase - 0.70) / 0.12, 0, 1) * np.clip((1 - phase) / 0.18, 0, 1)
    colour = mix(tint(rng, deep), tint(rng, wall, 0.05), np.clip(near + 0.05 * noise(rng, size, 0.08), 0, 1))
    vessels = np.exp(-((noise(rng, size, 0.045) / 0.07) ** 2)) * np.clip(noise(rng, size, 0.12), 0, 1)
    colour = mix(colour, colour * (0.80, 0.42, 0.42), np.clip(veins * vessels, 0, 1))
    lamp = 0.35 + 0.75 * near
    pixels = colour * (relief(height, 0.38) * lamp * behind)[..., None]
    wet = np.clip((shine(height + 0.0035 * noise(rng, size, 0.016), 9) - 0.68) * 8, 0, 1) * near
    wet = wet * np.clip(noise(rng, size, 0.10) - 0.3, 0, 1)
    pixels = mix(pixels, np.asarray((1.0, 0.98, 0.93)), ndimage.gaussian_filter(wet, unit(size) / 300).clip(0, 1))
    frame = np.maximum(
        np.maximum(np.abs(x) - wide, np.abs(y) - high) + 0.012, (np.abs(x) + np.abs(y)) - wide - high + corner
    )
    seen = soft(frame, size)
    pixels = pixels * seen[..., None]
    if panel:
        inset = box(x + wide - 0.14, y - high + 0.13, 0.12, 0.11)
        picture = mix(
            np.asarray((0.05, 0.30, 0.16)), np.asarray((0.35, 0.75, 0.50)), _loop(x + wide - 0.14, y - high + 0.13)
        )
        pixels = mix(pixels, picture, soft(inset, size))
        seen = seen * (inset > 0.02)
    region = (frame < -0.10) & (radius > 0.20) & (seen > 0.5)
    return Surface(pixels, region if region.any() else seen > 0.5, pixels)


def _loop(x: Array, y: Array) -> Array:
    return np.exp(-(((np.hypot(x * 0.8, y) - 0.06) / 0.012) ** 2)) * (y < 0.04)
