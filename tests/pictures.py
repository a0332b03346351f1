"""Encoded images and their pixels, by Pillow alone."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encoded(picture: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """An array or an image as Pillow writes it."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def square(content: bytes, size: int) -> np.ndarray:
    """uint8 (size, size, 3) of an encoded image, resized bicubic."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
