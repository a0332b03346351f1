"""Drawn medical findings: each function marks a surface as a defect does and gives pixels and coverage (H, W)."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from zsad_core.benchmarks.drawn.marks import blob, side, spot
from zsad_core.benchmarks.drawn.surfaces import Array, Rng, Surface, dome, mix, noise, relief, shine, soft, tint


def _haemorrhage(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """Fresh blood in the brain."""
    shape = surface.region.shape
    outline = blob(rng, surface.region, rng.uniform(0.05, 0.10), 0.25)
    return _bleed(rng, surface, soft(outline, side(shape)) * surface.region)


def _subdural(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A crescent of blood below the skull."""
    shape = surface.region.shape
    depth = ndimage.distance_transform_edt(surface.region) / side(shape)
    row, column = spot(rng, surface.region & (depth <= max(0.02, 1 / side(shape))), 0.0)
    down, across = np.ogrid[: shape[0], : shape[1]]
    away = np.hypot(down - row, across - column) / side(shape) / rng.uniform(0.20, 0.30)
    thick = rng.uniform(0.05, 0.075) * np.sqrt(np.clip(1 - away**2, 0, 1)) + 0.003 * noise(rng, shape, 0.03)
    return _bleed(rng, surface, soft(depth - thick, side(shape)) * (surface.region & (away < 1)))


def _bleed(rng: Rng, surface: Surface, coverage: Array) -> tuple[Array, Array]:
    blood = rng.uniform(0.72, 0.92) + 0.04 * noise(rng, coverage.shape, 0.02)
    return mix(surface.pixels, np.repeat(blood[..., None], 3, 2), coverage), coverage


def _tumour(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A mass with a bright rim, an uneven core and swollen tissue around it, which counts as its part."""
    shape = surface.region.shape
    outline = blob(rng, surface.region, rng.uniform(0.05, 0.085), 0.18)
    swelling = np.clip(0.5 - (outline - 0.03 - 0.012 * noise(rng, shape, 0.03)) / 0.02, 0, 1) * surface.region
    body = soft(outline, side(shape)) * surface.region
    core = 0.38 + 0.14 * noise(rng, shape, 0.02)
    rim = np.exp(-(((outline + 0.010) / 0.009) ** 2))
    grey = np.clip(core + rng.uniform(0.35, 0.5) * rim, 0.05, 0.97)
    pixels = surface.pixels * (1 + rng.choice((-0.4, 0.55)) * swelling)[..., None]
    return mix(pixels, np.repeat(grey[..., None], 3, 2), body), swelling


def _cyst(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A smooth dark hollow with a thin bright wall."""
    outline = blob(rng, surface.region, rng.uniform(0.04, 0.075), 0.05)
    coverage = soft(outline - 0.008, side(outline.shape)) * surface.region
    wall = np.exp(-((outline / 0.005) ** 2))
    grey = rng.uniform(0.03, 0.08) + rng.uniform(0.6, 0.8) * wall
    return mix(surface.pixels, np.repeat(grey[..., None], 3, 2), coverage), coverage


def _polyp(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    shape = surface.region.shape
    radius = rng.uniform(0.07, 0.14)
    outline = blob(rng, surface.region, radius, 0.05)
    coverage = soft(outline, side(shape)) * surface.pixels.any(2)
    height = dome(outline, radius) * 0.8 + 0.003 * noise(rng, shape, 0.02)
    height = ndimage.gaussian_filter(height, side(shape) / 100)
    inside = coverage > 0.5
    level = surface.pixels[inside].mean(0) if inside.any() else surface.pixels.mean((0, 1))
    colour = 0.35 * level + (0.28 + 0.45 * level.max()) * tint(rng, (0.95, 0.50, 0.42), 0.08)
    body = colour * (relief(height, 0.28) * (1 + 0.07 * noise(rng, shape, 0.012)))[..., None]
    body = body * (0.62 + 0.38 * np.clip(-outline / (0.45 * radius), 0, 1) ** 0.7)[..., None]
    gleam = np.clip((shine(height + 0.0025 * noise(rng, shape, 0.012), 12) - 0.72) * 9, 0, 1)
    body = mix(body, np.asarray((1.0, 0.98, 0.94)), gleam)
    return mix(surface.pixels, body, coverage), coverage


def _flat_polyp(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A low patch of redder, coarser mucosa."""
    shape = surface.region.shape
    outline = blob(rng, surface.region, rng.uniform(0.08, 0.15), 0.16)
    coverage = np.clip(0.5 - outline / 0.012, 0, 1) * surface.pixels.any(2)
    height = dome(outline, 0.03) * 0.5 + 0.0022 * noise(rng, shape, 0.012)
    shade = relief(ndimage.gaussian_filter(height, side(shape) / 200), 0.5)
    return mix(surface.pixels, surface.pixels * (1.06, 0.82, 0.79) * shade[..., None], coverage), coverage


def _mole(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """An even brown spot."""
    return _pigment(rng, surface, rng.uniform(0.12, 0.20), 0.06, ((0.55, 0.33, 0.22), (0.40, 0.22, 0.15)))


def _melanoma(rng: Rng, surface: Surface) -> tuple[Array, Array]:
    """A ragged patch of several browns."""
    return _pigment(rng, surface, rng.uniform(0.17, 0.26), 0.16, ((0.48, 0.27, 0.20), (0.16, 0.11, 0.13)))


def _pigment(
    rng: Rng, surface: Surface, radius: float, roughness: float, browns: tuple[tuple[float, ...], tuple[float, ...]]
) -> tuple[Array, Array]:
    shape = surface.region.shape
    outline = blob(rng, surface.region, radius, roughness) + 0.006 * noise(rng, shape, 0.015)
    coverage = np.clip(0.5 - outline / 0.025, 0, 1)
    dark = np.clip(0.45 - outline / radius * 0.35 + roughness * 2.2 * noise(rng, shape, 0.06), 0, 1)
    colour = mix(tint(rng, browns[0], 0.08), tint(rng, browns[1], 0.08), dark)
    net = np.exp(-((noise(rng, shape, 0.013) / 0.3) ** 2))
    texture = surface.pixels.mean(2) / ndimage.gaussian_filter(surface.pixels.mean(2), side(shape) / 30).clip(0.05)
    return mix(surface.pixels, colour * ((1 - 0.25 * net) * texture)[..., None], coverage * 0.95), coverage


LESIONS = {
    "cyst": _cyst,
    "flat_polyp": _flat_polyp,
    "haemorrhage": _haemorrhage,
    "melanoma": _melanoma,
    "mole": _mole,
    "polyp": _polyp,
    "subdural": _subdural,
    "tumour": _tumour,
}
