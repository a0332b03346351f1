"""Drawn materials: each function gives one sample without defect, seeded, at any size."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.surfaces import (
    Rng,
    Surface,
    axes,
    cells,
    filling,
    mix,
    noise,
    on_backdrop,
    relief,
    soft,
    tint,
)


def carpet(rng: Rng, size: int) -> Surface:
    x, y = (axis * 30 + rng.uniform() for axis in axes(size, rng.normal(0, 0.03)))
    x, y = x + 0.12 * noise(rng, size, 0.03), y + 0.12 * noise(rng, size, 0.03)
    across, along = np.abs((x % 1) - 0.5), np.abs((y % 1) - 0.5)
    over = (np.floor(x) + np.floor(y)) % 2 == 0
    thread = np.where(over, np.cos(np.pi * across) * (1 - along), np.cos(np.pi * along) * (1 - across))
    colour = np.where(over[..., None], tint(rng, (0.60, 0.59, 0.57)), tint(rng, (0.40, 0.41, 0.44)))
    fibres = 1 + 0.07 * noise(rng, size, 0.003) + 0.03 * noise(rng, size, 0.05)
    return filling(colour * ((0.35 + 0.85 * thread) * fibres)[..., None])


def grid(rng: Rng, size: int) -> Surface:
    turn = rng.normal(0, 0.02)
    wires = np.zeros((size, size))
    for angle in (np.pi / 4 + turn, -np.pi / 4 + turn):
        x, y = axes(size, angle)
        offset = ((x + 0.003 * np.sin(y * 40)) * 11 + rng.uniform()) % 1 - 0.5
        wires = np.maximum(wires, np.sqrt(np.clip(1 - (offset / 0.14) ** 2, 0, 1)))
    ground = tint(rng, (0.16, 0.16, 0.17)) * (1 + 0.10 * noise(rng, size, 0.01))[..., None]
    wire = tint(rng, (0.66, 0.67, 0.68)) * (0.45 + 0.55 * wires)[..., None] * relief(wires, 0.006)[..., None]
    return filling(mix(ground, wire, np.clip(wires * 3, 0, 1)))


def leather(rng: Rng, size: int) -> Surface:
    numbers, distance = cells(rng, size, 26)
    edges = (numbers != np.roll(numbers, 1, 0)) | (numbers != np.roll(numbers, 1, 1))
    creases = ndimage.gaussian_filter(edges.astype(float), size / 300)
    height = ndimage.gaussian_filter(-distance - 0.02 * creases, size / 250) + 0.0015 * noise(rng, size, 0.006)
    colour = tint(rng, (0.40, 0.25, 0.16), 0.06) * (1 + 0.05 * noise(rng, size, 0.08))[..., None]
    return filling(colour * (relief(height, 0.22) * (1 - 0.35 * np.clip(creases, 0, 1)))[..., None])


def tile(rng: Rng, size: int) -> Surface:
    pixels = np.empty((size, size, 3))
    pixels[:] = tint(rng, (0.74, 0.72, 0.68))
    for count, share in ((60, 0.35), (24, 0.3)):
        numbers, distance = cells(rng, size, count)
        shades = np.asarray([(0.25, 0.24, 0.25), (0.50, 0.45, 0.41), (0.60, 0.40, 0.33), (0.88, 0.87, 0.85)])
        chip = rng.choice(len(shades), count * count)
        radius = np.where(rng.uniform(size=count * count) < share, rng.uniform(0.25, 0.5, count * count), 0) / count
        outline = distance - radius[numbers] * (1 + 0.25 * noise(rng, size, 0.15 / count))
        pixels = mix(pixels, shades[chip[numbers]], soft(outline, size) * (radius[numbers] > 0))
    return filling(pixels * (1 + 0.03 * noise(rng, size, 0.004))[..., None])


def wood(rng: Rng, size: int) -> Surface:
    x, _ = axes(size, rng.normal(0, 0.04))
    bent = x + 0.035 * noise(rng, size, (0.5, 0.12)) + 0.006 * noise(rng, size, (0.2, 0.02))
    ring = (bent * rng.uniform(7, 10) + rng.uniform()) % 1
    late = ring**3 * np.clip((1 - ring) * 8, 0, 1)
    grain = 0.05 * noise(rng, size, (0.06, 0.002)) + 0.05 * noise(rng, size, (0.4, 0.01))
    pores = np.clip(noise(rng, size, (0.018, 0.0015)) - 1.8, 0, 1)
    light, dark = tint(rng, (0.78, 0.58, 0.37), 0.04), tint(rng, (0.50, 0.31, 0.17), 0.04)
    return filling(mix(light, dark, np.clip(late + 0.15, 0, 1)) * (1 + grain - 0.35 * pores)[..., None])


def steel(rng: Rng, size: int) -> Surface:
    x, _ = axes(size, rng.normal(0, 0.02))
    brushed = 0.05 * noise(rng, size, (0.0015, 0.15)) + 0.035 * noise(rng, size, (0.004, 0.5))
    gleam = 0.22 * np.exp(-(((x - rng.uniform(-0.3, 0.3)) / 0.25) ** 2))
    return filling(tint(rng, (0.56, 0.58, 0.60)) * (1 + brushed + gleam)[..., None])


def biscuit(rng: Rng, size: int) -> Surface:
    turn = rng.uniform(0, 2 * np.pi)
    x, y = axes(size, turn)
    x, y = x + rng.normal(0, 0.012), y + rng.normal(0, 0.012)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    rim = rng.uniform(0.375, 0.395) + 0.010 * np.abs(np.sin(angle * 14)) + 0.004 * noise(rng, size, 0.1)
    coverage = soft(radius - rim, size)
    crumb = 0.0018 * noise(rng, size, 0.006) + 0.004 * noise(rng, size, 0.03)
    height = crumb - 0.05 * np.clip((radius - rim + 0.05) / 0.05, 0, 1) ** 3
    height = height - 0.010 * np.exp(-(((radius - 0.31) / 0.012) ** 2))
    holes = np.zeros((size, size))
    for ring, count in ((0.0, 1), (0.12, 6), (0.23, 12)):
        for step in range(count):
            at = 2 * np.pi * step / count
            holes = np.maximum(holes, soft(np.hypot(x - ring * np.cos(at), y - ring * np.sin(at)) - 0.013, size))
    baked = np.clip((radius / rim) ** 5 + 0.12 * noise(rng, size, 0.07), 0, 1)
    colour = mix(tint(rng, (0.84, 0.66, 0.42), 0.03), tint(rng, (0.58, 0.36, 0.18), 0.03), baked)
    pixels = colour * (relief(height, 0.35) * (1 - 0.7 * holes))[..., None]
    cloth = tint(rng, (0.20, 0.24, 0.29)) * (1 + 0.06 * noise(rng, size, (0.002, 0.02)))[..., None]
    return on_backdrop(pixels, coverage, cloth)


def metal_nut(rng: Rng, size: int) -> Surface:
    x, y = axes(size, rng.uniform(0, 2 * np.pi))
    x, y = x + rng.normal(0, 0.015), y + rng.normal(0, 0.015)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    hexagon = radius * np.cos((angle % (np.pi / 3)) - np.pi / 6) - 0.33
    outside, inside = np.maximum(hexagon, radius - 0.365), 0.165 - radius
    coverage = soft(np.maximum(outside, inside), size)
    height = 0.03 * np.clip(-outside / 0.035, 0, 1) + 0.025 * np.clip(-inside / 0.03, 0, 1)
    height = height + 0.003 * np.sin(2 * np.pi * (radius / 0.012)) * (radius < 0.185)
    turned = 0.05 * np.sin(radius * 900 + 2 * noise(rng, size, 0.05)) + 0.04 * noise(rng, size, 0.004)
    sheen = 0.14 * np.cos(2 * angle + rng.uniform(0, 2 * np.pi))
    pixels = tint(rng, (0.58, 0.57, 0.55)) * (relief(height, 0.35) * (1 + turned + sheen))[..., None]
    ground = tint(rng, (0.10, 0.11, 0.13)) * (1 + 0.10 * noise(rng, size, 0.01))[..., None]
    return on_backdrop(pixels, coverage, ground)


def pill(rng: Rng, size: int) -> Surface:
    x, y = axes(size, rng.normal(0, 0.15))
    x, y = x + rng.normal(0, 0.01), y + rng.normal(0, 0.01)
    reach = np.maximum(np.abs(x) - 0.20, 0)
    radius = np.hypot(reach, y) / 0.19
    coverage = soft((radius - 1) * 0.19, size)
    dome = 0.10 * np.sqrt(np.clip(1 - radius**2, 0, 1))
    score = 0.012 * np.exp(-((x / 0.008) ** 2))
    height = ndimage.gaussian_filter(dome - score, size / 200) + 0.0008 * noise(rng, size, 0.006)
    specks = np.clip(noise(rng, size, 0.006) - 2.0, 0, 1)
    colour = mix(tint(rng, (0.90, 0.87, 0.80), 0.02), np.asarray((0.75, 0.35, 0.25)), specks)
    ground = tint(rng, (0.24, 0.33, 0.30)) * (1 + 0.04 * noise(rng, size, 0.008))[..., None]
    return on_backdrop(colour * relief(height, 0.30)[..., None], coverage, ground)
