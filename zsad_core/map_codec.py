"""Anomaly maps as 16-bit codes in small blobs, and masks as packed bits.

A blob holds differences of the codes, taken twice along both axes (modulo 2^16, so nothing is lost): 128 is added, and
all low bytes stand before all high bytes, under zstd. A smoothed map bends little from pixel to pixel, so that nearly
every high byte is 0 and the low ones keep near 128. Readers need no code of ours: decompress with any zstd, put the
bytes together, take two cumulative sums along each axis in uint16.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

LARGEST_CODE = 65535
CODING = "zstd of second differences + 128, low bytes first"  # changes with what a blob holds

# Level 1 codes the bytes' frequencies, which is all there is to gain: level 3 takes longer for no fewer bytes.
_ZSTD = pa.Codec("zstd", compression_level=1)
_MIDDLE = np.uint16(128)
MOST_PIXELS = 2**26  # of a map or mask that is read: a few bytes can stand for any number of equal ones


def quantise(anomaly_map: np.ndarray) -> np.ndarray:
    """Floats in [0, 1] of any shape -> uint16 codes round(65535 p); ValueError for NaN or values outside."""
    codes = np.multiply(anomaly_map, LARGEST_CODE, dtype=np.float64)
    np.rint(codes, out=codes)
    # Compared after rounding: smoothing in float32 may leave 1 + 1e-7, which is code 65535. NaN fails both.
    if codes.size and not (codes.min() >= 0 and codes.max() <= LARGEST_CODE):
        raise ValueError("anomaly map holds values outside [0, 1] or NaN")
    return codes.astype(np.uint16)


def dequantise(codes: np.ndarray) -> np.ndarray:
    """uint16 codes of any shape -> float64 in [0, 1], the stored values."""
    return codes / np.float64(LARGEST_CODE)


def encode(codes: np.ndarray) -> bytes:
    """uint16 codes (H, W) -> blob."""
    if codes.dtype != np.uint16 or codes.ndim != 2:
        raise ValueError(f"codes must be uint16 (H, W), not {codes.dtype} {codes.shape}")
    differences = np.ascontiguousarray(codes)
    for axis in (0, 0, 1, 1):
        differences = np.diff(differences, axis=axis, prepend=np.uint16(0))
    differences += _MIDDLE
    return _ZSTD.compress(np.stack([differences.astype(np.uint8), (differences >> 8).astype(np.uint8)]), asbytes=True)


def decode(blob: bytes, height: int, width: int) -> np.ndarray:
    """Blob -> uint16 codes (height, width); ValueError where the blob is no such map."""
    size = 2 * _pixels(blob, height, width)
    try:
        content = _ZSTD.decompress(blob, decompressed_size=size)
    except OSError as error:
        raise ValueError(f"not a zstd blob of {size} bytes, a {height} x {width} map: {error}") from None
    low, high = np.frombuffer(content, np.uint8).reshape(2, height, width)
    differences = low + 256 * high.astype(np.uint16) - _MIDDLE
    return _summed_twice(_summed_twice(differences.T).T)


def _summed_twice(rows: np.ndarray) -> np.ndarray:
    """Two cumulative sums of uint16 (H, W) down the rows; whole rows at once take half the time of numpy's cumsum."""
    sums = np.ascontiguousarray(rows)
    once, twice = np.zeros((2, sums.shape[1]), np.uint16)
    for row in sums:
        once += row
        twice += once
        row[:] = twice
    return sums


def _pixels(stored: bytes | None, height: int, width: int) -> int:
    if stored is None or None in (height, width):
        raise ValueError("no map or mask, or none of its sides")
    if height < 1 or width < 1 or height * width > MOST_PIXELS:
        raise ValueError(f"a {height} x {width} map or mask: at least 1 and at most {MOST_PIXELS:,} pixels are read")
    return height * width


def pack_mask(mask: np.ndarray) -> bytes:
    """bool (H, W) -> its bits row by row, eight a byte, most significant bit first (numpy.packbits)."""
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise ValueError(f"mask must be bool (H, W), not {mask.dtype} {mask.shape}")
    return np.packbits(mask).tobytes()


def unpack_mask(packed: bytes, height: int, width: int) -> np.ndarray:
    """Packed bits -> bool (height, width); ValueError where the length does not fit."""
    pixels = _pixels(packed, height, width)
    if len(packed) != (pixels + 7) // 8:
        raise ValueError(f"a {height} x {width} mask has {(pixels + 7) // 8} bytes of packed bits, not {len(packed)}")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=pixels).reshape(height, width).view(np.bool_)
