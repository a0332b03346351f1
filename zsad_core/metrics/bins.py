"""Neighbouring scores put together, so that metrics can be computed again without each of many images.

Fine where the scores are many, and ever finer toward the top, where AP, F1-max and AUPRO are decided.
"""

from __future__ import annotations

import numpy as np

BINS = 512


def bin_starts(counts: np.ndarray) -> np.ndarray:
    """Indices (at most BINS + 1,) at which bins of the scores start, the first 0; `counts` int (N,) by score,
    ascending.

    Half of the bins share the items equally, half share the logarithm of their rank from the top.
    """
    total = max(int(counts.sum()), 1)
    from_top = np.cumsum(counts[::-1])[::-1]  # items of this score or higher
    place = from_top / total + np.log1p(from_top) / np.log1p(total)
    number = np.floor(place * (BINS / 2))
    return np.concatenate([[0], np.flatnonzero(np.diff(number)) + 1])


def binned(counts: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums (..., bins) of counts (..., N) over the bins."""
    return np.add.reduceat(counts, starts, -1)
