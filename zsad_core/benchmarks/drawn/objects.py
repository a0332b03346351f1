"""Drawn objects of MVTec-AD's kind: each function gives one sample without defect, seeded, at any size."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from zsad_core.benchmarks.drawn.surfaces import (
    Array,
    Rng,
    Surface,
    axes,
    box,
    dome,
    ground,
    mix,
    noise,
    on_backdrop,
    relief,
    segment,
    shadowed,
    shine,
    soft,
    tint,
    turned,
)


def bottle(rng: Rng, size: int) -> Surface:
    """A brown glass bottle seen into its mouth."""
    x, y = axes(size)
    x, y = x + rng.normal(0, 0.008), y + rng.normal(0, 0.008)
    radius, angle = np.hypot(x, y), np.arctan2(y, x) + rng.uniform(0, 2 * np.pi)
    stops = (0.0, 0.10, 0.185, 0.20, 0.215, 0.235, 0.25, 0.29, 0.33, 0.36, 0.40, 0.43)
    greys = (0.62, 0.55, 0.30, 0.08, 0.70, 0.85, 0.30, 0.16, 0.10, 0.30, 0.13, 0.05)
    warmth = (0.45, 0.50, 0.60, 0.60, 0.15, 0.05, 0.55, 0.70, 0.70, 0.85, 0.70, 0.50)
    level, warm = np.interp(radius, stops, greys), np.interp(radius, stops, warmth)
    arcs = sum(
        np.exp(-(((radius - at) / 0.011) ** 2)) * np.clip(np.cos(angle * turns + shift), 0, 1) ** 3 * strength
        for at, turns, shift, strength in (
            (0.30, 1, 0.3, 0.55),
            (0.395, 2, 1.9, 0.45),
            (0.33, 3, 4.0, 0.35),
            (0.15, 2, 1, 0.3),
        )
    )
    level = level * (1 + 0.05 * noise(rng, size, 0.03)) + arcs
    pixels = level[..., None] * mix(np.ones(3), np.asarray((1.35, 0.80, 0.38)), warm) + 0.35 * arcs[..., None]
    return on_backdrop(pixels, soft(radius - 0.43, size), ground(rng, size, (0.93, 0.93, 0.92), 0.005))


def cable(rng: Rng, size: int) -> Surface:
    """A cut through a cable with three insulated copper wires. Parts: the wires."""
    x, y = axes(size, rng.uniform(0, 2 * np.pi))
    radius = np.hypot(x, y) * (1 + 0.01 * noise(rng, size, 0.15))
    sheath = (
        tint(rng, (0.80, 0.80, 0.78)) * (1 + 0.03 * noise(rng, size, 0.02) - 0.25 * (radius / 0.43) ** 8)[..., None]
    )
    filler = tint(rng, (0.16, 0.16, 0.17)) * (1 + 0.10 * noise(rng, size, 0.01))[..., None]
    pixels = mix(sheath, filler, soft(radius - 0.365, size))
    bare, parts = pixels, np.zeros(x.shape, np.int32)
    for number, colour in enumerate(((0.25, 0.60, 0.30), (0.25, 0.40, 0.75), (0.45, 0.28, 0.18)), 1):
        at = 2 * np.pi * number / 3
        across, down = turned(x, y, at, (0.195 * np.cos(at), 0.195 * np.sin(at)))
        reach = np.hypot(across, down)
        skin = tint(rng, colour, 0.06) * (1 - 0.35 * (reach / 0.165) ** 6)[..., None]
        pixels = mix(shadowed(pixels, soft(reach - 0.16, size), 0.4), skin, soft(reach - 0.165, size))
        copper = _strands(rng, across, down, size)
        pixels = mix(pixels, copper, soft(reach - 0.115, size))
        parts[reach < 0.165] = number
    coverage = soft(radius - 0.43, size)
    table = ground(rng, size, (0.30, 0.30, 0.32), 0.05)
    whole = on_backdrop(pixels, coverage, table)
    return Surface(whole.pixels, whole.region, mix(table, bare * 0.8, coverage), parts)


def _strands(rng: Rng, x: Array, y: Array, size: int) -> Array:
    pitch = 0.034
    row = np.round(y / (pitch * 0.87))
    column = np.round(x / pitch - 0.5 * (row % 2)) + 0.5 * (row % 2)
    away = np.hypot(x - column * pitch, y - row * pitch * 0.87) / (0.5 * pitch)
    bright = np.clip(1.1 - 0.75 * away**2, 0.15, 1) * (1 + 0.12 * noise(rng, size, 0.015))
    return tint(rng, (0.90, 0.56, 0.36)) * bright[..., None] + (0.25 * np.clip(0.5 - away, 0, 1))[..., None]


def capsule(rng: Rng, size: int) -> Surface:
    """A capsule, half black and half orange, with a number on it."""
    turn, middle = rng.normal(0, 0.08), rng.normal(0, 0.01, 2)
    x, y = turned(*axes(size), turn, tuple(middle))
    distance = segment(x, y, (-0.26, 0), (0.26, 0)) - 0.135
    height = dome(distance, 0.135)
    cap = x < -0.03
    colour = np.where(cap[..., None], tint(rng, (0.13, 0.12, 0.13)), tint(rng, (0.83, 0.30, 0.12)))
    pixels = colour * (relief(height, 0.22) * (0.75 + 1.8 * height))[..., None]
    seam = np.exp(-(((x + 0.03) / 0.006) ** 2))
    pixels = pixels * (1 - 0.4 * seam)[..., None]
    digits = ndimage.rotate(_text("500", size, 0.13), -np.degrees(turn), reshape=False, order=1)
    digits = np.roll(digits, tuple(np.round(np.asarray((middle[1], middle[0] + 0.12)) * size).astype(int)), (0, 1))
    pixels = mix(pixels, np.asarray((0.95, 0.92, 0.88)), np.clip(digits, 0, 1) * 0.85)
    gleam = np.exp(-(((y + 0.062) / 0.016) ** 2)) * (0.5 + 0.2 * noise(rng, size, 0.05)) * (np.abs(x) < 0.29)
    pixels = mix(pixels, np.ones(3), np.clip(gleam, 0, 0.8))
    return on_backdrop(pixels, soft(distance, size), ground(rng, size, (0.84, 0.85, 0.85), 0.01))


def _text(text: str, size: int, height: float) -> Array:
    """Coverage of a text in the middle of the image."""
    canvas = Image.new("L", (size, size))
    font = ImageFont.load_default(max(height * size, 4))
    ImageDraw.Draw(canvas).text((size / 2, size / 2), text, fill=255, font=font, anchor="mm")
    return np.asarray(canvas) / 255


def hazelnut(rng: Rng, size: int) -> Surface:
    """A nut on its side: streaks from the tip, the pale rough base opposite."""
    x, y = axes(size, rng.uniform(0, 2 * np.pi))
    angle = np.arctan2(y, x)
    rim = 0.36 + 0.035 * np.exp(-((angle / 0.30) ** 2)) + 0.004 * noise(rng, size, 0.2)
    distance = np.hypot(x, y * 1.06) - rim
    height = dome(distance, 0.36)
    tip = np.arctan2(y, x - 0.46)
    streaks = np.interp(
        tip, np.linspace(-np.pi, np.pi, 480), ndimage.gaussian_filter1d(rng.standard_normal(480), 1.2, mode="wrap")
    )
    colour = tint(rng, (0.55, 0.33, 0.17), 0.05) * (1 + 0.16 * streaks + 0.08 * noise(rng, size, 0.05))[..., None]
    base = soft(np.hypot((x + 0.34) * 1.5, y) - 0.21 - 0.012 * noise(rng, size, 0.02), size)
    rough = tint(rng, (0.70, 0.55, 0.38)) * (1 + 0.16 * noise(rng, size, 0.007))[..., None]
    shaded = mix(colour, rough, base) * (relief(height, 0.30) * (0.45 + 1.7 * height))[..., None]
    pixels = shaded + (0.22 * shine(height, 14) * (1 - base))[..., None]
    return on_backdrop(pixels, soft(distance, size), ground(rng, size, (0.05, 0.05, 0.06), 0.10))


def screw(rng: Rng, size: int) -> Surface:
    """A countersunk wood screw on its side, in any direction."""
    x, y = turned(*axes(size), rng.uniform(0, 2 * np.pi), tuple(rng.normal(0, 0.01, 2)))
    thread = np.clip((x + 0.10) / 0.04, 0, 1) * np.clip((0.40 - x) / 0.10, 0.25, 1)
    wave = (x * 21 + 0.5 * np.sign(y) * 0.5) % 1
    tooth = np.abs(wave - 0.5) * 2
    half = np.interp(
        x, (-0.42, -0.405, -0.40, -0.33, -0.31, -0.10, 0.33, 0.44), (0.0, 0.085, 0.088, 0.045, 0.036, 0.036, 0.030, 0.0)
    )
    distance = np.abs(y) - half - 0.020 * thread * (1 - tooth) * (half > 0.001)
    distance = np.where((x > -0.42) & (x < 0.435), distance, 0.1)
    across = np.clip(y / np.maximum(half + 0.012, 0.01), -1, 1)
    round_light = 0.40 + 0.62 * np.sqrt(1 - across**2) * (1 - 0.55 * across)
    slant = (x * 21 + y * 3.2) % 1
    cut = (
        1
        - thread * 0.55 * np.exp(-(((slant - 0.5) / 0.20) ** 2))
        + 0.35 * thread * np.exp(-(((slant - 0.85) / 0.10) ** 2))
    )
    slope = 1 - 0.25 * ((x > -0.40) & (x < -0.32)) + 0.25 * (x < -0.40)
    grain = 1 + 0.04 * noise(rng, size, 0.005)
    pixels = tint(rng, (0.58, 0.56, 0.53)) * (round_light * cut * slope * grain)[..., None]
    pixels = pixels + (0.35 * np.exp(-(((across + 0.35) / 0.16) ** 2)))[..., None] * (1 - 0.5 * thread)[..., None]
    return on_backdrop(pixels, soft(distance, size), ground(rng, size, (0.80, 0.80, 0.80), 0.01))


def toothbrush(rng: Rng, size: int) -> Surface:
    """The head of a toothbrush from above. Parts: its tufts of bristles."""
    x, y = turned(*axes(size), rng.normal(0, 0.04), tuple(rng.normal(0, 0.008, 2)))
    head = box(x, y + 0.02, 0.20, 0.40, 0.19)
    neck = box(x, y - 0.5, 0.075, 0.2, 0.02)
    distance = np.minimum(head, neck)
    plastic = (0.88, 0.90, 0.92)
    bare = tint(rng, plastic) * (relief(dome(distance, 0.04), 0.25) * (1 + 0.01 * noise(rng, size, 0.02)))[..., None]
    pixels, parts, number = bare, np.zeros(x.shape, np.int32), 0
    brush = ((0.20, 0.42, 0.80), (0.92, 0.93, 0.90), (0.85, 0.35, 0.20))
    for row in range(9):
        columns = 3 if row in (0, 8) else 4
        for column in range(columns):
            number += 1
            at = ((column - (columns - 1) / 2) * 0.090, -0.345 + 0.081 * row)
            away = box(x - at[0] - rng.normal(0, 0.002), y - at[1] - rng.normal(0, 0.002), 0.036, 0.033, 0.020)
            coverage = soft(away + 0.0015 * noise(rng, size, 0.008), size)
            lit = 0.70 + 10 * np.clip(-away, 0, 0.03)
            colour = brush[0 if (row + column) % 2 else 1] if 1 < row < 7 else brush[2]
            pixels = mix(shadowed(pixels, coverage, 0.25), tint(rng, colour) * lit[..., None], coverage)
            parts[away < 0.002] = number
    bristle = 1 + np.where(parts > 0, 0.09, 0.0) * noise(rng, size, 0.004)
    pixels = pixels * bristle[..., None]
    coverage = soft(distance, size)
    table = ground(rng, size, (0.10, 0.11, 0.13), 0.05)
    whole = on_backdrop(pixels, coverage, table)
    return Surface(whole.pixels, whole.region, mix(table, bare, coverage), parts)


def transistor(rng: Rng, size: int) -> Surface:
    """A transistor with three leads in a perforated board. Parts: the leads and the case."""
    x, y = turned(*axes(size), rng.normal(0, 0.015), tuple(rng.normal(0, 0.006, 2)))
    board = tint(rng, (0.42, 0.34, 0.26)) * (1 + 0.06 * noise(rng, size, (0.003, 0.02)))[..., None]
    across, down = (x + 0.045) % 0.09 - 0.045, (y + 0.045) % 0.09 - 0.045
    hole = np.hypot(across, down)
    board = mix(board, tint(rng, (0.78, 0.66, 0.48)), soft(hole - 0.024, size))
    board = mix(board, np.asarray((0.06, 0.05, 0.05)), soft(hole - 0.014, size))
    pixels, parts = board, np.zeros(x.shape, np.int32)
    for number, at in enumerate((-0.09, 0.0, 0.09), 1):
        lead = segment(x, y, (at * 0.8, -0.05), (at, 0.13))
        lead = np.minimum(lead, segment(x, y, (at, 0.13), (at, 0.36))) - 0.017
        coverage = soft(lead, size)
        metal = tint(rng, (0.74, 0.74, 0.73)) * (0.55 + 0.65 * np.clip(-lead / 0.017, 0, 1))[..., None]
        pixels = mix(shadowed(pixels, coverage, 0.6), metal, coverage)
        parts[lead < 0.002] = number
    case = np.maximum(box(x, y + 0.20, 0.20, 0.17, 0.02), -y - 0.34 + 0.3 * (np.abs(x) - 0.12))
    coverage = soft(case, size)
    plastic = (
        tint(rng, (0.13, 0.13, 0.14))
        * (relief(dome(case, 0.03), 0.35) * (1 + 0.08 * noise(rng, size, 0.004)))[..., None]
    )
    plastic = plastic + (0.10 * np.exp(-(((y + 0.28 + 0.15 * x) / 0.05) ** 2)))[..., None]
    pixels = mix(shadowed(pixels, coverage, 0.7), plastic, coverage)
    parts[case < 0.002] = 4
    return Surface(pixels, case < -0.004, board, parts)


def zipper(rng: Rng, size: int) -> Surface:
    """A closed zip fastener on its tape. Parts: the teeth."""
    x, y = turned(*axes(size), rng.normal(0, 0.012), (rng.normal(0, 0.006), 0))
    rib = np.sin(2 * np.pi * (y * 55 + np.abs(x) * 55)) * 0.5 + np.sin(2 * np.pi * x * 60) * 0.3
    cloth = 1 + 0.22 * rib + 0.10 * noise(rng, size, 0.004)
    seam = np.exp(-(((np.abs(x) - 0.155) / 0.010) ** 2))
    tape = tint(rng, (0.17, 0.17, 0.20)) * (cloth * (1 + 0.5 * seam))[..., None]
    pixels, parts = shadowed(tape, soft(np.abs(x) - 0.085, size), 0.5), np.zeros(x.shape, np.int32)
    gap = mix(tape, np.asarray((0.04, 0.04, 0.05)), soft(np.abs(x) - 0.07, size))
    pitch, start = 0.066, rng.uniform(0, 0.066)
    for side in (-1, 1):
        row = (y + start + (0.25 if side > 0 else -0.25) * pitch) / pitch
        down = (row - np.round(row)) * pitch
        along = x * side
        tooth = np.minimum(box(along - 0.045, down, 0.045, 0.0145, 0.006), np.hypot(along + 0.004, down) - 0.019)
        coverage = soft(tooth, size)
        metal = (
            tint(rng, (0.62, 0.61, 0.58))
            * (relief(dome(tooth, 0.012), 0.45) * (1 + 0.04 * noise(rng, size, 0.004)))[..., None]
        )
        pixels = mix(shadowed(pixels, coverage, 0.5), metal, coverage)
        numbers = (np.round(row) * 2 + (side > 0)).astype(np.int32)
        inner = (tooth < 0.002) & (np.abs(y) < 0.44)
        parts[inner] = numbers[inner] + 1000
    return Surface(pixels, np.abs(x) < 0.34, gap, parts)
