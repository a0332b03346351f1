"""Image-level metrics, how much each image moves them, and the image scores that methods' rules make."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from zsad_core.metrics import intervals
from zsad_core.metrics.bins import bin_starts, binned
from zsad_core.metrics.curves import auroc, average_precision, f1_max

if TYPE_CHECKING:  # loads for seconds; metrics are computed without it
    from torch import Tensor
ScoreRule = Literal["fused", "text"]
"""A method's image score: the text part and the map's fused half and half, or the text part alone."""
IMAGE_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "auroc": auroc,
    "ap": average_precision,
    "f1_max": f1_max,
}
_Values = TypeVar("_Values", np.ndarray, "Tensor")
_ROWS = 64  # of left-out images at a time, which bounds the memory


def image_counts(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(normal, anomalous, positions): items of each class by distinct score, and which of these each score is.

    Scores float (N,), labels (N,) in {0, 1}. ValueError for NaN scores.
    """
    values, positions = np.unique(_finite(scores), return_inverse=True)
    normal, anomalous = (np.bincount(positions[labels == label], minlength=len(values)) for label in (0, 1))
    return normal, anomalous, positions


def image_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """`auroc`, `ap`, `f1_max` of scores float (N,) and labels (N,) in {0, 1}; NaN where undefined.

    ValueError for NaN scores.
    """
    normal, anomalous, _ = image_counts(scores, labels)
    return {name: float(metric(normal, anomalous)) for name, metric in IMAGE_METRICS.items()}


def image_influence(scores: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Of each metric the influence (N,) of every image (see intervals.influence); arguments as for image_metrics.

    Of more than about 300 images those of neighbouring scores are put together (see metrics.bins).
    """
    normal, anomalous, positions = image_counts(scores, labels)
    if not len(normal):
        return {name: np.empty(0) for name in IMAGE_METRICS}
    starts = bin_starts(normal + anomalous)
    positions = np.searchsorted(starts, positions, side="right") - 1
    normal, anomalous = binned(normal, starts), binned(anomalous, starts)
    return {
        name: intervals.influence(
            metric(normal, anomalous) - _without_each(metric, normal, anomalous)[labels, positions], labels
        )
        for name, metric in IMAGE_METRICS.items()
    }


def _without_each(metric: Callable, normal: np.ndarray, anomalous: np.ndarray) -> np.ndarray:
    """(2, bins): the metric without one normal, or one anomalous, image of each bin; NaN where the bin has none."""
    without = np.full((2, len(normal)), np.nan)
    for label, counts in enumerate((normal, anomalous)):
        there = np.flatnonzero(counts)
        for some in (there[first : first + _ROWS] for first in range(0, len(there), _ROWS)):
            rest = np.tile(counts, (len(some), 1))
            rest[np.arange(len(some)), some] -= 1
            without[label, some] = metric(*((rest, anomalous) if label == 0 else (normal, rest)))
    return without


def image_score_plain(score_text: _Values, score_map: _Values, rule: ScoreRule) -> _Values:
    """Each image's own score, which needs no other image: the mean of both parts where `rule` fuses them.

    Both parts numpy arrays, or tensors, of one shape.
    """
    return score_text if rule == "text" else (score_text + score_map) / 2


def image_score_published(
    score_text: np.ndarray, score_map: np.ndarray, levels: Collection[str], rule: ScoreRule
) -> np.ndarray:
    """The score by which a method's authors judge images, over all scored images of a category.

    "fused" is Bayes-PFL's 0.5 minmax(text) + 0.5 minmax(map), but the text part alone for a benchmark without the
    `pixel` level; "text" is always the text part. Both inputs float64 (N,). ValueError for NaN.
    """
    if rule == "text" or "pixel" not in levels:
        return _finite(score_text)
    return 0.5 * _minmax(score_text) + 0.5 * _minmax(score_map)


def _minmax(values: np.ndarray) -> np.ndarray:
    values = _finite(values)
    return (values - values.min()) / (values.max() - values.min() + 1e-8) if len(values) else values


def _finite(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinite values")
    return scores
