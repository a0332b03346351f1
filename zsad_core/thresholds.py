"""Where to cut scores so that known-good images raise a wanted share of false alarms, and how far that can be trusted.

Nothing is assumed of the scores' distribution: a cut is one of the good images' own scores.
"""

from __future__ import annotations

import bisect
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from zsad_core.errors import UsageError

_TAIL = 0.025  # on either side of the 95 % intervals


class Cut(NamedTuple):
    """An image is flagged when its score is above `cut`; what is known of the share of good images that are.

    All rates and probabilities are fractions; with `cut` None, for too few good images, they are None.
    """

    cut: float | None
    good_images: int
    needed: int  # good images from which on there is a cut
    expected: float | None  # the false-alarm rate, over all draws of so many good images
    low: float | None  # the central 95 % interval of that rate
    high: float | None
    probability: float | None  # that the rate is at most what was asked for


def false_alarm_cut(scores: ArrayLike, rate: float, sure: float | None = None) -> Cut:
    """The lowest of the scores (n,) of good images that flags good images at most at `rate` (in (0, 1)).

    By expectation, or, with `sure`, with at least this probability. The rate at the m-th smallest of n scores has the
    distribution Beta(n - m + 1, m) (Wilks, Annals of Mathematical Statistics 12, 1941) for continuous scores; ties can
    only lower it. m = ceil((n + 1)(1 - rate)), split conformal prediction's quantile, keeps the mean at `rate`, and
    the upper tolerance limit of content 1 - rate and confidence `sure` keeps the probability. All this holds for
    further good images that are drawn as these were. ValueError where a score is not finite; UsageError as
    `images_needed`.
    """
    needed = images_needed(rate, sure)
    ordered = np.sort(np.asarray(scores, float))
    if not np.isfinite(ordered).all():
        raise ValueError("a score that is not finite")
    n = len(ordered)
    m = _rank(n, rate, sure)
    if m > n:
        return Cut(None, n, needed, None, None, None, None)
    low, high = (float(special.betaincinv(n - m + 1, m, tail)) for tail in (_TAIL, 1 - _TAIL))
    return Cut(float(ordered[m - 1]), n, needed, (n - m + 1) / (n + 1), low, high, _probability(n, m, rate))


def images_needed(rate: float, sure: float | None = None) -> int:
    """The fewest good images that give a cut: ceil(1 / rate) - 1, or with `sure` the smallest n that has
    1 - (1 - rate)^n >= sure. UsageError where `rate` or `sure` is not in (0, 1)."""
    for option, value in (("--false-alarms", rate), ("--sure", sure)):
        if value is not None and not 0 < value < 1:
            raise UsageError(f"{option} {value:g}: a share between 0 and 1, these left out, is needed (0.05 is 5 %)")
    if sure is None:
        return math.ceil(1 / _decimal(rate)) - 1
    n = max(1, math.ceil(math.log1p(-sure) / math.log1p(-rate)))
    # The quotient may be rounded over a whole number: the smallest n is the one that has a rank.
    while _rank(n, rate, sure) > n:
        n += 1
    while n > 1 and _rank(n - 1, rate, sure) <= n - 1:
        n -= 1
    return n


def precision(anomalous: int, flagged: int) -> tuple[float, float, float] | None:
    """(share, low, high) of the anomalous among `flagged` images, with its 95 % interval; None for no image.

    The interval is exact: Clopper and Pearson, Biometrika 26, 1934.
    """
    if not flagged:
        return None
    low = special.betaincinv(anomalous, flagged - anomalous + 1, _TAIL) if anomalous else 0.0
    high = special.betaincinv(anomalous + 1, flagged - anomalous, 1 - _TAIL) if anomalous < flagged else 1.0
    return anomalous / flagged, float(low), float(high)


def _rank(n: int, rate: float, sure: float | None) -> int:
    """m, counted from 1, of the score to cut at; above n where there is none."""
    if sure is None:
        return n + 1 - math.floor((n + 1) * _decimal(rate))
    return 1 + bisect.bisect_left(range(1, n + 1), sure, key=lambda m: _probability(n, m, rate))


def _probability(n: int, m: int, rate: float) -> float:
    """That the false-alarm rate is at most `rate` at the m-th smallest of n scores; it rises with m."""
    return float(special.betainc(n - m + 1, m, rate))


def _decimal(rate: float) -> Fraction:
    """The rate as it is written: in floats, 100 * 0.29 is less than 29."""
    return Fraction(repr(float(rate)))
