"""Images and masks from their encoded bytes: decoded, oriented by EXIF, in 8 bits, resized as the methods expect.

Whatever is wrong with the bytes comes out as an ImageError with a short reason; nothing broken is passed on half read.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from zsad_core.errors import ZsadError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# PIL also opens formats that start other programs (EPS) or hold no picture of pixels; an archive has no use for them.
FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "WEBP", "GIF", "PPM")


class ImageError(ZsadError):
    """The bytes are no image that can be used; the message is a short reason without a file name."""


def decode_image(content: bytes) -> Image.Image:
    """The upright 8-bit RGB image of encoded bytes. Raises ImageError (empty, truncated, no image, too many pixels).

    16-bit grey is scaled by 1/257. An alpha channel is dropped, as the published programs do.
    """
    return _decode(content, "RGB")


def image_pixels(content: bytes, size: int) -> np.ndarray:
    """uint8 (size, size, 3): the image resized bicubic to a square, its aspect not kept. Raises ImageError."""
    return np.asarray(decode_image(content).resize((size, size), Image.Resampling.BICUBIC))


def decode_mask(content: bytes, threshold: int) -> np.ndarray:
    """bool (H, W): where the mask's grey value (0..255) is above `threshold`. Raises ImageError."""
    return np.asarray(_decode(content, "L")) > threshold


def encode_mask(mask: np.ndarray) -> bytes:
    """A bool (H, W) mask as a 1-bit PNG."""
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).convert("1").save(file, format="PNG")
    return file.getvalue()


def mask_pixels(mask_png: bytes, size: int) -> np.ndarray:
    """bool (size, size): the mask resized bilinear between 0 and 1, then above 0.5. Raises ImageError."""
    resized = _decode(mask_png, "L").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized) > 127


def _decode(content: bytes, mode: str) -> Image.Image:
    if not content:
        raise ImageError("empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                image.load()  # before its EXIF block is read: PNG may keep that behind the pixels
                return _to_8_bits(_upright(image)).convert(mode)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"not an image ({', '.join(FORMATS)} are read)") from None
    except Image.DecompressionBombError:
        raise ImageError(f"too many pixels (more than {2 * Image.MAX_IMAGE_PIXELS:,})") from None
    except Exception as error:  # noqa: BLE001, PIL's decoders raise nearly anything on broken bytes
        truncated = "truncated" in str(error).lower()
        raise ImageError("truncated" if truncated else f"cannot be decoded ({error})") from None


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001, a damaged EXIF block must not cost its image
        return image


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Wider grey scaled to 8 bits (PIL's own conversion clips at 255); every other mode as it is."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if image.mode == "F":
        low, high = float(values.min()), float(values.max())
        if not (0 <= low and high <= 255):
            raise ImageError(f"floating point pixels from {low:g} to {high:g}; 0 to 1 or 0 to 255 can be read")
        values = values * 255 if high <= 1 else values
    else:
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(f"pixels from {values.min()} to {values.max()}; at most 16 bits can be read")
        values = values / 257
    return Image.fromarray(np.rint(values).astype(np.uint8))
