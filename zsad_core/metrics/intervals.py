"""95 % intervals and paired differences from how much each image moves a metric (the delete-one jackknife).

Images are drawn within two strata, normal and anomalous; for the AUROC this variance is DeLong's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, stdtr, stdtrit

COVERAGE = 0.95
ROUNDING = 1e-9
"""Differences up to this may come from the order of sums of floats, and tell nothing."""


class Spread(NamedTuple):
    """How uncertain a metric is: its variance, the degrees of freedom of that, and the images of its smallest stratum.

    All NaN or 0 where it is not known.
    """

    variance: float
    freedom: float
    images: int


UNKNOWN = Spread(math.nan, math.nan, 0)


def influence(moved: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) influence of each image: how far the metric moves by it, times the number of the other images of its label.

    0 where there is no other image, whatever the metric without it. `moved` float64 (n,): metric of all images -
    metric without the image. `labels` (n,): numbers that tell the strata.
    """
    _, stratum, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    others = sizes[stratum] - 1
    return np.where(others, others * moved, 0.0)


def spread(influence: np.ndarray, labels: np.ndarray) -> Spread:
    """Spread of a metric from its images' influence (n,); unknown where a stratum has one image, or there is none.

    The variance is the sum over the strata s of sum_i (I_i - mean_s)^2 / (n_s (n_s - 1)): the stratified jackknife, for
    the AUROC equal to DeLong et al., Biometrics 44 (1988). Of two methods on the same images, I of one minus I of the
    other gives the spread of the difference.
    """
    strata = [influence[labels == label] for label in np.unique(labels)]
    if not strata or any(len(each) < 2 or not np.isfinite(each).all() for each in strata):
        return UNKNOWN
    parts = [(float(np.sum((each - each.mean()) ** 2)) / (len(each) * (len(each) - 1)), len(each)) for each in strata]
    total = combined([Spread(variance, size - 1, size) for variance, size in parts])
    return total if total.variance > ROUNDING**2 else total._replace(variance=0.0)


def combined(spreads: list[Spread]) -> Spread:
    """Spread of a sum of independent values (degrees of freedom: Satterthwaite, Biometrics Bulletin 2 (1946))."""
    variance = math.fsum(each.variance for each in spreads)
    scale = math.fsum((each.variance / variance) ** 2 / each.freedom for each in spreads) if variance else 1.0
    return Spread(variance, 1 / scale, min(each.images for each in spreads))


def interval(value: float, spread: Spread) -> tuple[float, float]:
    """95 % interval (low, high) of a metric in [0, 1], symmetric on the logit scale; (NaN, NaN) where it is unknown.

    Where no image moves the metric (it is 1, say), Wilson's interval of a share seen in the smallest stratum's images.
    """
    if math.isnan(value) or math.isnan(spread.variance):
        return math.nan, math.nan
    if not spread.variance or not ROUNDING < value < 1 - ROUNDING:
        z, n = _quantile(math.inf), spread.images
        centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * math.sqrt(value * (1 - value) / n + z**2 / (4 * n**2))
        return min(max(centre - half, 0.0), value), max(min(centre + half, 1.0), value)
    half = _quantile(spread.freedom) * math.sqrt(spread.variance) / (value * (1 - value))
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def interval_of_mean(values: Sequence[float], bounds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """95 % interval of the mean of independent values, one or more, from that of each; NaN where one is unknown.

    Zou and Donner, Statistics in Medicine 27 (2008): to either side, the squares of the distances to the bounds add up.
    Near 1 these differ much between the sides, and the mean stays within [0, 1].
    """
    mean = statistics.fmean(values)
    down, up = (
        math.hypot(*(value - each[side] for value, each in zip(values, bounds, strict=True))) / len(values)
        for side in (0, 1)
    )
    return max(mean - down, 0.0), min(mean + up, 1.0)


def paired_difference(value_a: float, value_b: float, spread: Spread) -> dict[str, float]:
    """`difference` a - b of two methods on the same images, its 95 % interval `low`, `high` and two-sided `p`.

    `spread` is that of the difference. NaN where it is unknown. Where no image tells the methods apart, p is 1 if
    their values are equal, else NaN.
    """
    difference, error = value_a - value_b, math.sqrt(spread.variance)
    if not error and abs(difference) <= ROUNDING:
        return {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    half = _quantile(spread.freedom) * error
    p = 2 * float(stdtr(spread.freedom, -abs(difference) / error)) if error else math.nan
    return {"difference": difference, "low": difference - half, "high": difference + half, "p": p}


def _quantile(freedom: float) -> float:
    """Of Student's t: how many standard errors the interval reaches to either side."""
    return float(stdtrit(freedom, (1 + COVERAGE) / 2))
