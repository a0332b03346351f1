"""Standard normal numbers that belong to a key, not to a place in a stream: order and batches cannot change them.

Philox, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), keyed by a hash.
"""

from __future__ import annotations

import hashlib

import numpy as np
from scipy.special import ndtri


def keyed_generator(*key: str | int) -> np.random.Generator:
    """A generator that is determined by the parts of `key` alone."""
    return np.random.Generator(_philox(*key))


def standard_normal(shape: tuple[int, ...], *key: str | int) -> np.ndarray:
    """float32 array of `shape`, determined by the parts of `key` alone.

    Made from the generator's raw words by the inverse normal distribution: numpy keeps raw words the same in all
    versions, but not the streams of its distributions.
    """
    words = _philox(*key).random_raw(int(np.prod(shape)))
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # strictly between 0 and 1
    return ndtri(uniform).astype(np.float32).reshape(shape)


def _philox(*key: str | int) -> np.random.Philox:
    digest = hashlib.sha256("\0".join(map(str, key)).encode()).digest()
    return np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8"))
