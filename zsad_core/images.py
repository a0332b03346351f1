"""Images and masks from their encoded bytes: decoded, oriented by EXIF, in 8 bits, resized as the methods expect.

Whatever is wrong with the bytes comes out as an ImageError with a short reason; nothing broken is passed on half read.
What would take more than about MAX_BYTES of memory is refused by its header, before a pixel is decoded.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, UnidentifiedImageError

from zsad_core.errors import ZsadError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# PIL also opens formats that start other programs (EPS) or hold no picture of pixels; an archive has no use for them.
FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "WEBP", "GIF", "PPM")
_ENDINGS = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jp2", ".j2k", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".gif", ".ppm",
    ".pgm", ".pbm",
)  # fmt: skip

# Decoding takes up to 8 bytes a pixel, the image in 4 and a converted or turned one beside it: 134 million pixels. Two
# decoders keep more: JPEG2000's 32 bits of every channel (44 million), WEBP's three canvases (53 million). A
# progressive JPEG is held in coefficients (107 million).
MAX_BYTES = 2**30
BYTES_A_PIXEL = {"JPEG2000": 24, "WEBP": 20}
PROGRESSIVE = 10
# Resizing goes through an image as tall as the source and as wide as the result, whatever the source's width.
MAX_SIDE = 2**17

_ORIENTATION = 0x0112  # of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # of TIFF
_STRIP = 2**20  # pixels that are scaled at once


class ImageError(ZsadError):
    """The bytes are no image that can be used; the message is a short reason without a file name."""


def decode_image(content: bytes) -> Image.Image:
    """The upright 8-bit RGB image of encoded bytes. Raises ImageError (empty, truncated, no image, too many pixels).

    16-bit grey is scaled by 1/257. An alpha channel is dropped, as the published programs do.
    """
    return _decode(content, "RGB")


def decode_mask(content: bytes, threshold: int) -> np.ndarray:
    """bool (H, W): where the mask's grey value (0..255) is above `threshold`. Raises ImageError."""
    return np.asarray(_decode(content, "L")) > threshold


def encode_mask(mask: np.ndarray) -> bytes:
    """A bool (H, W) mask as a 1-bit PNG."""
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).convert("1").save(file, format="PNG")
    return file.getvalue()


def mask_pixels(mask_png: bytes, height: int, width: int | None = None) -> np.ndarray:
    """bool (height, width), a square without `width`: the mask resized bilinear between 0 and 1, then above 0.5.

    Raises ImageError.
    """
    resized = _decode(mask_png, "L").resize((width or height, height), Image.Resampling.BILINEAR)
    return np.asarray(resized) > 127


def is_image_name(path: str) -> bool:
    """Whether a file of that name is taken for an image of one of FORMATS, whatever it holds."""
    return path.lower().endswith(_ENDINGS)


def _decode(content: bytes, mode: str) -> Image.Image:
    if not content:
        raise ImageError("empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _check_size(image)
                image.load()
                turn = _turn(image)  # of the loaded image: PNG may keep its EXIF block behind the pixels
                pixels = _to_8_bits(image).convert(mode)
                image.close()  # frees its pixels before there is a turned copy too
        return pixels if turn is None else pixels.transpose(turn)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"not an image ({', '.join(FORMATS)} are read)") from None
    except Image.DecompressionBombError:
        raise ImageError(f"too many pixels (at most {MAX_BYTES // 8:,}): cut or reduce it") from None
    except Exception as error:  # noqa: BLE001, PIL's decoders raise nearly anything on broken bytes
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise ImageError("truncated" if "truncated" in reason.lower() else f"cannot be decoded ({reason})") from None


def _check_size(image: Image.Image) -> None:
    """Raises ImageError for an image, opened but not decoded, that would take too much memory."""
    usual = PROGRESSIVE if image.info.get("progressive") else 8
    most = MAX_BYTES // BYTES_A_PIXEL.get(image.format or "", usual)
    if image.width * image.height > most:
        raise ImageError(f"too many pixels ({image.width} x {image.height}; at most {most:,}): cut or reduce it")
    if max(image.size) > MAX_SIDE:
        raise ImageError(f"too long ({image.width} x {image.height}; at most {MAX_SIDE:,} pixels a side): cut it")
    tags = getattr(image, "tag_v2", {})  # a tile is decoded whole, however little of it lies in the image
    if tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0) > most:
        raise ImageError(
            f"tiles of too many pixels ({tags[_TILE_WIDTH]} x {tags[_TILE_LENGTH]}): write it with smaller ones"
        )


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes the image upright."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001, a damaged EXIF block must not cost its image
        return None


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Wider grey scaled to 8 bits (PIL's own conversion clips at 255); every other mode as it is."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    low, high = (bound([bound(strip) for strip in _strips(image)]).item() for bound in (np.min, np.max))
    if image.mode == "F":
        if not (low >= 0 and high <= 255):
            raise ImageError(f"floating point pixels from {low:g} to {high:g}; 0 to 1 or 0 to 255 can be read")
        scaled = (strip * 255 if high <= 1 else strip for strip in _strips(image))
    else:
        if low < 0 or high > 65535:
            raise ImageError(f"pixels from {low} to {high}; at most 16 bits can be read")
        scaled = (strip / 257 for strip in _strips(image))
    return Image.fromarray(np.concatenate([np.rint(strip).astype(np.uint8) for strip in scaled]))


def _strips(image: Image.Image) -> Iterator[np.ndarray]:
    """The rows of a grey image, few at a time."""
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        yield np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
