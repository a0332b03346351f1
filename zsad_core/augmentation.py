"""Random changes of a training image at its own size; what moves pixels moves the mask along.

All randomness comes from a generator that belongs to a key (see zsad_core.noise), so any image of any epoch can be
made again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageEnhance, ImageFilter
from scipy import ndimage

Array = np.ndarray

LARGEST_ROTATION = 30.0  # degrees
LARGEST_CHANGE = 0.2  # of brightness, contrast, saturation and hue, as parts of their range
NOISE_VARIANCE = (10.0, 50.0)  # of grey values 0..255
GAUSSIAN_KERNELS = (3, 5, 7)


def augment(pixels: Array, mask: Array, generator: Generator) -> tuple[Array, Array]:
    """Pixels uint8 (H, W, 3) and mask bool (H, W), changed as Bayes-PFL's authors do; H and W may change places.

    Each with probability 0.5: a rotation, a turn by a random number of quarters, brightness and contrast, Gaussian
    noise, and one of three kinds of blur and colour (see _one_of_three).
    """
    if generator.random() < 0.5:
        pixels, mask = rotated(pixels, mask, generator.uniform(-LARGEST_ROTATION, LARGEST_ROTATION))
    if generator.random() < 0.5:
        turns = int(generator.integers(4))
        pixels, mask = np.rot90(pixels, turns), np.rot90(mask, turns)
    if generator.random() < 0.5:
        pixels = _brightness_and_contrast(pixels, generator)
    if generator.random() < 0.5:
        pixels = _noisy(pixels, generator)
    if generator.random() < 0.5:
        pixels = _one_of_three(pixels, generator)
    return pixels, mask


def mosaic(images: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Four (pixels, mask) as a 2 x 2 mosaic of twice the first one's sides; others are resized to the first's size."""
    height, width = images[0][1].shape
    resized = [_resized(pixels, mask, width, height) for pixels, mask in images]
    pixels, masks = (np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])]) for parts in zip(*resized))
    return pixels, masks


def _resized(pixels: Array, mask: Array, width: int, height: int) -> tuple[Array, Array]:
    if mask.shape == (height, width):
        return pixels, mask
    size, nearest = (width, height), Image.Resampling.NEAREST
    return (
        np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)),
        np.asarray(Image.fromarray(mask.view(np.uint8)).resize(size, nearest)).astype(bool),
    )


def rotated(pixels: Array, mask: Array, degrees: float) -> tuple[Array, Array]:
    """Turned counter-clockwise about the centre, the size kept; what comes in from outside is reflected at the edge."""
    height, width = mask.shape
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    # How far the turned rectangle reaches beyond the upright one; two more for the interpolation.
    above = int(max(0.0, width * abs(sin) + height * cos - height) / 2) + 2
    beside = int(max(0.0, width * cos + height * abs(sin) - width) / 2) + 2
    to_source = (
        cos, -sin, width / 2 + beside - cos * width / 2 + sin * height / 2,
        sin, cos, height / 2 + above - sin * width / 2 - cos * height / 2,
    )  # fmt: skip

    def turn(plane: Array, resampling: Image.Resampling) -> Array:
        margins = ((above, above), (beside, beside), (0, 0))[: plane.ndim]
        padded = Image.fromarray(np.pad(plane, margins, mode="symmetric"))
        return np.asarray(padded.transform((width, height), Image.Transform.AFFINE, to_source, resampling))

    return turn(pixels, Image.Resampling.BILINEAR), turn(mask.view(np.uint8), Image.Resampling.NEAREST).astype(bool)


def _brightness_and_contrast(pixels: Array, generator: Generator) -> Array:
    contrast, brightness = generator.uniform(-LARGEST_CHANGE, LARGEST_CHANGE, 2)
    return _grey_values(np.arange(256) * (1 + contrast) + 255 * brightness)[pixels]


def _noisy(pixels: Array, generator: Generator) -> Array:
    deviation = np.float32(np.sqrt(generator.uniform(*NOISE_VARIANCE)))
    return _grey_values(pixels + deviation * generator.standard_normal(pixels.shape, np.float32))


def _one_of_three(pixels: Array, generator: Generator) -> Array:
    """A 3 x 3 mean, colour jitter or a Gaussian blur, drawn uniformly; then done with probability 0.5."""
    kind = int(generator.integers(3))
    if generator.random() >= 0.5:
        return pixels
    if kind == 0:
        return np.asarray(Image.fromarray(pixels).filter(ImageFilter.BoxBlur(1)))
    return _colours_changed(pixels, generator) if kind == 1 else _blurred(pixels, generator)


def _colours_changed(pixels: Array, generator: Generator) -> Array:
    image = Image.fromarray(pixels)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(1 + generator.uniform(-LARGEST_CHANGE, LARGEST_CHANGE))
    hue, saturation, value = image.convert("HSV").split()
    shift = round(255 * generator.uniform(-LARGEST_CHANGE, LARGEST_CHANGE))
    hue = hue.point([(grey + shift) % 256 for grey in range(256)])
    return np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"))


def _blurred(pixels: Array, generator: Generator) -> Array:
    """Gaussian kernels of 3, 5 or 7 pixels with OpenCV's sigma for them."""
    radius = int(generator.choice(GAUSSIAN_KERNELS)) // 2
    sigma = 0.3 * (radius - 1) + 0.8
    blurred = ndimage.gaussian_filter(
        pixels.astype(np.float32), (sigma, sigma, 0), radius=(radius, radius, 0), mode="mirror"
    )
    return _grey_values(blurred)


def _grey_values(values: Array) -> Array:
    return np.rint(values).clip(0, 255).astype(np.uint8)
