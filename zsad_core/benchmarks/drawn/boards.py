"""Drawn printed circuit boards: one plan of parts a board, the same traces, pads and components for all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
    relief,
    shadowed,
    soft,
    tint,
    turned,
)

Colour = tuple[float, float, float]
Drawn = tuple[Array, Array]  # pixels and signed distance
STEEL, BLACK, COPPER, TAN = (0.72, 0.73, 0.74), (0.11, 0.11, 0.12), (0.85, 0.66, 0.30), (0.70, 0.55, 0.38)


def pcb1(rng: Rng, size: int) -> Surface:
    """An ultrasonic sensor: two cans, a row of pins, small chips."""
    small = [("chip", across, 0.13, 0.05, 0.022) for across in (-0.06, 0.06)]
    small += [("resistor", -0.28 + 0.08 * step, -0.20, 0.024, 0.012) for step in range(8)]
    plan = [("can", -0.27, 0.0, 0.155, 0), ("can", 0.27, 0.0, 0.155, 0), ("crystal", 0.0, 0.03, 0.05, 0.02), *small]
    return _board(rng, size, (0.10, 0.26, 0.55), 0.46, 0.25, [*plan, *_pins(4, 0.0, 0.20)])


def pcb2(rng: Rng, size: int) -> Surface:
    """A small motion sensor: two trimmers, a square chip, an electrolytic capacitor."""
    plan = [("trimmer", -0.15, 0.18, 0.075, 0), ("trimmer", 0.15, 0.18, 0.075, 0), ("chip", 0.0, -0.05, 0.09, 0.06)]
    plan += [("barrel", across, -0.22, 0.055, 0) for across in (-0.22, 0.22)]
    plan += [("resistor", -0.25 + 0.10 * (step % 6), 0.045, 0.026, 0.013) for step in (0, 1, 4, 5)]
    return _board(rng, size, (0.08, 0.38, 0.20), 0.36, 0.36, [*plan, *_pins(3, 0.0, 0.31)])


def pcb3(rng: Rng, size: int) -> Surface:
    """A light sensor module: trimmer, chip, lamps, resistors in a row."""
    plan = [("trimmer", 0.13, 0.0, 0.085, 0), ("chip", -0.10, 0.0, 0.065, 0.05), ("lamp", -0.28, -0.11, 0.03, 0)]
    plan += [("lamp", -0.28, 0.11, 0.03, 0)]
    plan += [("resistor", -0.20 + 0.09 * step, side * 0.13, 0.026, 0.013) for step in range(5) for side in (-1, 1)]
    return _board(rng, size, (0.58, 0.10, 0.12), 0.45, 0.20, [*plan, *_pins(4, 0.37, 0.0, down=True)])


def pcb4(rng: Rng, size: int) -> Surface:
    """A charger: a big chip, barrel capacitors, a coil and a socket."""
    plan = [("coil", 0.20, -0.20, 0.105, 0), ("chip", -0.06, 0.10, 0.12, 0.075), ("socket", -0.31, -0.14, 0.09, 0.085)]
    plan += [("barrel", 0.27, 0.04 + 0.14 * step, 0.058, 0) for step in range(3)]
    plan += [("resistor", -0.30 + 0.075 * step, 0.26, 0.022, 0.012) for step in range(6)]
    plan += [("resistor", -0.10 + 0.075 * step, -0.10, 0.022, 0.012) for step in range(2)]
    return _board(rng, size, (0.12, 0.13, 0.16), 0.43, 0.38, [*plan, *_pins(6, -0.08, 0.34)])


def _pins(count: int, x: float, y: float, down: bool = False) -> list[tuple]:
    steps = [0.062 * (step - (count - 1) / 2) for step in range(count)]
    return [("pin", x, y + step, 0.019, 0) if down else ("pin", x + step, y, 0.019, 0) for step in steps]


def _board(rng: Rng, size: int, colour: Colour, half_width: float, half_height: float, plan: list[tuple]) -> Surface:
    """plan: (component, x, y, half width or radius, half height). Parts: all of them."""
    x, y = turned(*axes(size), rng.normal(0, 0.03), tuple(rng.normal(0, 0.006, 2)))
    table = ground(rng, size, (0.85, 0.85, 0.84) if max(colour) < 0.2 else (0.16, 0.16, 0.17), 0.02)
    distance = box(x, y, half_width, half_height, 0.015)
    for across in (-1, 1):
        for down in (-1, 1):
            corner = np.hypot(x - across * (half_width - 0.035), y - down * (half_height - 0.035))
            distance = np.maximum(distance, 0.017 - corner)
    board = tint(rng, colour, 0.06) * (1 + 0.04 * noise(rng, size, 0.004))[..., None]
    board = mix(board, np.clip(board * 1.45 + 0.03, 0, 1), _traces(rng, x, y, size))
    bare = mix(board, tint(rng, COPPER), _vias(rng, x, y, half_width, half_height, size))
    pixels, parts = bare, np.zeros(x.shape, np.int32)
    for number, (kind, across, down, wide, high) in enumerate(plan, 1):
        local = turned(x, y, rng.normal(0, 0.012), (across, down))
        for pad in (-1, 1):
            place = box(local[0] - pad * wide * 0.75, local[1], wide * 0.3, max(high, wide * 0.25), 0.002)
            bare = mix(bare, tint(rng, COPPER), soft(place, size))
        body, outline = COMPONENTS[kind](rng, size, *local, wide, high)
        coverage = soft(outline, size)
        pixels = mix(shadowed(pixels, coverage, 0.55), body, coverage)
        parts[outline < 0.002] = number
    coverage = soft(distance, size)
    lying = shadowed(table, coverage)
    return Surface(mix(lying, pixels, coverage), coverage > 0.5, mix(table, bare, coverage), parts)


def _traces(rng: Rng, x: Array, y: Array, size: int) -> Array:
    """Parallel conductors that change direction together from field to field."""
    fields = np.sign(
        np.sin(x * 11 + rng.uniform(0, 6)) + np.sin(y * 9 + rng.uniform(0, 6)) + 0.8 * np.sin((x + y) * 13)
    )
    way = np.where(fields > 0, x, np.where(np.sin(x * 23 + y * 17) > 0, y, (x + y) * 0.7071))
    return soft(0.006 - np.abs((way % 0.034) - 0.017) + 0.004, size) * 0.8


def _vias(rng: Rng, x: Array, y: Array, half_width: float, half_height: float, size: int) -> Array:
    rings = np.zeros(x.shape)
    for _ in range(26):
        away = np.hypot(x - rng.uniform(-1, 1) * half_width * 0.9, y - rng.uniform(-1, 1) * half_height * 0.9)
        rings = np.maximum(rings, soft(np.abs(away - 0.007) - 0.0035, size))
    return rings


def _chip(rng: Rng, size: int, x: Array, y: Array, wide: float, high: float) -> Drawn:
    body = box(x, y, wide, high, 0.006)
    legs = np.maximum(box(x, y, wide * 0.94, high + 0.024), np.abs((x % 0.026) - 0.013) - 0.007)
    plastic = tint(rng, BLACK) * relief(dome(body, 0.012), 0.4)[..., None] + 0.02
    dot = soft(np.hypot(x + wide * 0.7, y + high * 0.5) - 0.008, size)
    print_ = (np.abs(y) < high * 0.25) & (np.abs(x) < wide * 0.6) & (np.sin(x * 420) + np.sin(x * 173 + y * 300) > 0.5)
    plastic = mix(plastic, np.asarray((0.55, 0.55, 0.55)), np.maximum(dot, 0.7 * print_))
    return mix(np.broadcast_to(tint(rng, STEEL), plastic.shape), plastic, soft(body, size)), np.minimum(body, legs)


def _can(rng: Rng, size: int, x: Array, y: Array, radius: float, _: float) -> Drawn:
    away = np.hypot(x, y)
    metal = tint(rng, STEEL) * (0.85 + 0.22 * np.cos(2 * np.arctan2(y, x) + 0.7))[..., None]
    metal = metal * (1 - 0.55 * np.exp(-(((away - radius * 0.82) / 0.012) ** 2)))[..., None]
    mesh = 0.22 + 0.20 * (np.sin(x * 330) * np.sin(y * 330) > 0)
    inside = mix(metal, np.repeat(mesh[..., None], 3, 2), soft(away - radius * 0.68, size))
    return inside, away - radius


def _barrel(rng: Rng, size: int, x: Array, y: Array, radius: float, _: float) -> Drawn:
    away = np.hypot(x, y)
    top = tint(rng, (0.80, 0.81, 0.82)) * (0.9 + 0.12 * np.cos(np.arctan2(y, x) * 2))[..., None]
    cross = np.minimum(np.abs(x), np.abs(y)) < 0.003
    top = mix(top, top * 0.5, cross * soft(away - radius * 0.6, size))
    top = mix(top, np.asarray((0.10, 0.10, 0.12)), soft(box(x + radius * 0.75, y, radius * 0.25, radius), size))
    return mix(
        np.broadcast_to(tint(rng, (0.12, 0.14, 0.30)), top.shape), top, soft(away - radius * 0.86, size)
    ), away - radius


def _trimmer(rng: Rng, size: int, x: Array, y: Array, half: float, _: float) -> Drawn:
    body = box(x, y, half, half, 0.008)
    plastic = tint(rng, (0.15, 0.38, 0.78)) * relief(dome(body, 0.014), 0.4)[..., None]
    away = np.hypot(x, y)
    knob = tint(rng, (0.90, 0.89, 0.82)) * (1 - 2.2 * np.clip(away - half * 0.45, 0, 0.1))[..., None]
    slot = np.minimum(np.abs(x), np.abs(y)) < half * 0.10
    knob = mix(knob, knob * 0.4, slot * (away < half * 0.48))
    return mix(plastic, knob, soft(away - half * 0.68, size)), body


def _coil(rng: Rng, size: int, x: Array, y: Array, radius: float, _: float) -> Drawn:
    away, angle = np.hypot(x, y), np.arctan2(y, x)
    wound = 0.75 + 0.35 * np.sin(angle * 44) - 0.6 * np.abs(away / radius - 0.72)
    wire = tint(rng, (0.80, 0.42, 0.20)) * wound.clip(0.2, 1.1)[..., None]
    return mix(wire, np.asarray((0.08, 0.08, 0.09)), soft(away - radius * 0.42, size)), away - radius


def _socket(rng: Rng, size: int, x: Array, y: Array, wide: float, high: float) -> Drawn:
    metal = tint(rng, STEEL) * (0.9 + 0.12 * np.sin(y * 60) + 0.05 * noise(rng, size, (0.002, 0.05)))[..., None]
    slot = np.minimum(
        box(x - wide * 0.3, np.abs(y) - high * 0.5, wide * 0.35, high * 0.12), box(x + wide * 0.7, y, 0.008, high)
    )
    return mix(metal, metal * 0.3, soft(slot, size)), box(x, y, wide, high, 0.01)


def _crystal(rng: Rng, size: int, x: Array, y: Array, wide: float, high: float) -> Drawn:
    body = box(x, y, wide, high, high)
    return tint(rng, STEEL) * relief(dome(body, 0.014), 0.35)[..., None], body


def _resistor(rng: Rng, size: int, x: Array, y: Array, wide: float, high: float) -> Drawn:
    colour = TAN if rng.uniform() < 0.45 else BLACK
    middle = soft(np.abs(x) - wide * 0.55, size)
    return mix(np.broadcast_to(tint(rng, (0.80, 0.80, 0.78)), (*middle.shape, 3)), tint(rng, colour), middle), box(
        x, y, wide, high, 0.002
    )


def _lamp(rng: Rng, size: int, x: Array, y: Array, radius: float, _: float) -> Drawn:
    away = np.hypot(x, y)
    glass = np.asarray((0.92, 0.30, 0.22)) * (1.1 - 8 * away)[..., None].clip(0.4)
    return glass + (0.6 * np.exp(-((np.hypot(x + 0.008, y + 0.008) / 0.008) ** 2)))[..., None], away - radius


def _pin(rng: Rng, size: int, x: Array, y: Array, half: float, _: float) -> Drawn:
    plastic = np.broadcast_to(tint(rng, BLACK, 0.1), (*x.shape, 3))
    gold = tint(rng, (0.92, 0.78, 0.42)) * (1 + 12 * (-x - y))[..., None].clip(0.6, 1.4)
    return mix(plastic, gold, soft(box(x, y, half * 0.45, half * 0.45, 0.002), size)), box(
        x, y, half * 1.35, half * 1.35, 0.006
    )


COMPONENTS: dict[str, Callable[..., Drawn]] = {
    "barrel": _barrel,
    "can": _can,
    "chip": _chip,
    "coil": _coil,
    "crystal": _crystal,
    "lamp": _lamp,
    "pin": _pin,
    "resistor": _resistor,
    "socket": _socket,
    "trimmer": _trimmer,
}
