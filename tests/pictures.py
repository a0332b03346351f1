"""Encoded images and their pixels, by Pillow alone."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    """An array as Pillow writes it."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def square(content: bytes, size: int) -> np.ndarray:
    """uint8 (size, size, 3) of an encoded image, resized bicubic."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
