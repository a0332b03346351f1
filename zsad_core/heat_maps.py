"""Anomaly maps as pictures: colours on a stated scale, laid over the image, the true region outlined (numpy, PIL).

The colours go from dark blue over red to pale yellow with evenly rising lightness, so they read in grey and without
red-green vision too.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from zsad_core.map_codec import LARGEST_CODE

OPACITY = 0.62  # of the colours over the image: the place stays recognisable, the scale readable

_QUALITY = 58
_LUMINANCE = np.array([0.299, 0.587, 0.114])


def _colour_table() -> np.ndarray:
    """uint8 (256, 3): lightness rises in equal steps of OKLab, hue turns from blue over red to yellow."""
    share = np.linspace(0, 1, 256)
    lightness = 0.21 + 0.76 * share
    hue = np.radians(np.interp(share, [0, 0.35, 0.65, 1], [268, 350, 412, 468]))
    chroma = np.interp(share, [0, 0.15, 0.45, 0.75, 1], [0.06, 0.13, 0.19, 0.15, 0.09])
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
    # OKLab to linear sRGB (B. Ottosson, 2020).
    cones = lab @ np.array(
        [[1, 1, 1], [0.3963377774, -0.1055613458, -0.0894841775], [0.2158037573, -0.0638541728, -1.2914855480]]
    )
    linear = cones**3 @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.7076147010],
        ]
    )
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)


COLOURS = _colour_table()
COLOURS.flags.writeable = False


def colour(codes: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint16 codes of any shape (...) -> uint8 (..., 3); `low` to `high` in [0, 1] span the colours, beyond is clipped.

    A scale without width (`high` <= `low`) shows its lowest colour.
    """
    if high <= low:
        return np.broadcast_to(COLOURS[0], (*codes.shape, 3)).copy()
    share = (codes / LARGEST_CODE - low) / (high - low)
    return COLOURS[np.rint(255 * share.clip(0, 1)).astype(np.uint8)]


def value_range(maps: list[np.ndarray]) -> tuple[float, float]:
    """Lowest and highest value in [0, 1] of some maps of uint16 codes, a scale that they share. ValueError for none."""
    return (
        min(int(codes.min()) for codes in maps) / LARGEST_CODE,
        max(int(codes.max()) for codes in maps) / LARGEST_CODE,
    )


def overlay(
    codes: np.ndarray,
    low: float,
    high: float,
    size: tuple[int, int],
    image: Image.Image | None,
    mask: np.ndarray | None,
) -> Image.Image:
    """The map as an RGB picture of `size` (width, height) in pixels, over the grey image where there is one.

    `codes`: uint16 (H, W); `low`, `high`: see colour; `image` of any size; `mask`: bool (H, W), outlined in white.
    """
    # Sampled before coloured: colours of the scale only, none mixed between two of them.
    sampled = np.asarray(Image.fromarray(codes.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    pixels = colour(np.rint(sampled).astype(np.uint16), low, high)
    if image is not None:
        grey = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC)) @ _LUMINANCE
        pixels = np.rint(OPACITY * pixels + (1 - OPACITY) * grey[..., None]).astype(np.uint8)
    if mask is not None:
        _draw_outline(pixels, mask)
    return Image.fromarray(pixels)


def _draw_outline(pixels: np.ndarray, mask: np.ndarray) -> None:
    """A white line just outside the mask, with a dark one around it: seen on every ground, hiding no region."""
    height, width = pixels.shape[:2]
    # A box average above nothing keeps regions that are smaller than a pixel of the picture.
    small = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    region = np.asarray(small) > 0
    line = _grown(region)
    around = _grown(line)
    pixels[around & ~line] = 20
    pixels[line & ~region] = 255


def _grown(region: np.ndarray) -> np.ndarray:
    """A bool (H, W) region with its 8 neighbours."""
    padded = np.pad(region, 1)
    height, width = region.shape
    grown = np.zeros_like(region)
    for row in range(3):
        for column in range(3):
            grown |= padded[row : row + height, column : column + width]
    return grown


def fit(image: Image.Image, side: int) -> tuple[int, int]:
    """(width, height) of an image whose longer side becomes `side` pixels, its aspect kept; never below 1."""
    scale = side / max(image.size)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def webp(picture: Image.Image) -> bytes:
    """A picture in WebP at modest quality, small enough for many on a page; equal pictures give equal bytes."""
    file = io.BytesIO()
    picture.save(file, format="WEBP", quality=_QUALITY, method=6)
    return file.getvalue()


def legend() -> bytes:
    """The colours from lowest to highest as a PNG of 256 x 1 pixels, for a bar beside the pictures."""
    file = io.BytesIO()
    Image.fromarray(COLOURS[None]).save(file, format="PNG")
    return file.getvalue()
