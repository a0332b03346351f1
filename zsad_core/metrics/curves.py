"""AUROC, AP, F1-max and AUPRO from counts per distinct score: float64, ties merged, None where undefined.

`normal` and `anomalous` are int64 (N,): how many items of each class have the i-th score, scores ascending.
A score that nothing has may stand among them with zero counts.
"""

from __future__ import annotations

import numpy as np

FPR_LIMIT = 0.3
"""Both PRO curves end at this false-positive rate (Bergmann et al., MVTec AD)."""

PRO_STEPS = 200


def auroc(normal: np.ndarray, anomalous: np.ndarray) -> float | None:
    """Area under the ROC by trapezoid, equal to sklearn.metrics.roc_auc_score; None unless both classes are there."""
    negatives, positives = int(normal.sum()), int(anomalous.sum())
    if not negatives or not positives:
        return None
    # An anomalous item beats every normal item below it, and half of those that tie with it.
    beaten = np.cumsum(normal) - normal / 2
    return float(np.dot(anomalous, beaten) / positives / negatives)


def average_precision(normal: np.ndarray, anomalous: np.ndarray) -> float | None:
    """Sum of recall gain x precision, equal to sklearn.metrics.average_precision_score; None with one class only."""
    if not normal.any() or not anomalous.any():
        return None
    false_positives, true_positives = _descending_sums(normal), _descending_sums(anomalous)
    precision = true_positives / np.maximum(true_positives + false_positives, 1)
    return float(np.dot(anomalous[::-1], precision) / true_positives[-1])


def f1_max(normal: np.ndarray, anomalous: np.ndarray) -> float | None:
    """Maximum over thresholds of 2PR/(P+R) = 2TP/(2TP + FP + FN); None with one class only."""
    if not normal.any() or not anomalous.any():
        return None
    false_positives, true_positives = _descending_sums(normal), _descending_sums(anomalous)
    return float(np.max(2 * true_positives / (true_positives + false_positives + true_positives[-1])))


def aupro(normal: np.ndarray, region_weight: np.ndarray, regions: int) -> float | None:
    """Area under the per-region overlap over the false-positive rate 0 to 0.3, divided by 0.3 (MVTec's definition).

    `region_weight` float64 (N,): sum of 1/(area of its region) over the anomalous pixels of each score, so that its
    sum from the top is the sum over regions of the covered fraction. The end point is interpolated. None without
    regions or without normal pixels.
    """
    if not regions or not normal.any():
        return None
    fpr, pro = _pro_curve(normal, region_weight, regions)
    inside = int(np.searchsorted(fpr, FPR_LIMIT, side="right"))
    area = _trapezoid(pro[:inside], fpr[:inside])
    if inside < len(fpr):
        step = FPR_LIMIT - fpr[inside - 1]
        slope = (pro[inside] - pro[inside - 1]) / (fpr[inside] - fpr[inside - 1])
        area += float(step * (pro[inside - 1] + slope * step / 2))
    return area / FPR_LIMIT


def aupro_200(normal: np.ndarray, anomalous: np.ndarray, region_weight: np.ndarray, regions: int) -> float | None:
    """AUPRO as most papers of this field print it, for comparison with them only; index i of the counts is code i.

    200 thresholds min + i (max - min)/200 between the extremes of all pixels, a pixel is hit when its value is above;
    points with FPR < 0.3, their FPR rescaled to [0, 1], trapezoid. None without regions or normal pixels, and where
    all points have one FPR.
    """
    if not regions or not normal.any():
        return None
    present = np.flatnonzero(normal + anomalous)
    lowest, highest = int(present[0]), int(present[-1])
    # Codes are whole numbers: code > threshold exactly where code > floor(threshold), which no rounding can move.
    thresholds = lowest + np.arange(PRO_STEPS) * (highest - lowest) // PRO_STEPS
    fpr, pro = _pro_curve(normal, region_weight, regions)
    above = len(normal) - 1 - thresholds[::-1]
    fpr, pro = fpr[above], pro[above]
    low = fpr < FPR_LIMIT
    fpr, pro = fpr[low], pro[low]
    if not len(fpr) or fpr[-1] == fpr[0]:
        return None
    return _trapezoid(pro, (fpr - fpr[0]) / (fpr[-1] - fpr[0]))


def _pro_curve(normal: np.ndarray, region_weight: np.ndarray, regions: int) -> tuple[np.ndarray, np.ndarray]:
    """FPR and PRO (N + 1,) each, ascending: element i is where the i highest scores are hit."""
    false_positives = _descending_sums(normal)
    fpr = np.concatenate([[0.0], false_positives / false_positives[-1]])
    pro = np.concatenate([[0.0], _descending_sums(region_weight) / regions])
    return fpr, pro


def _descending_sums(counts: np.ndarray) -> np.ndarray:
    """(N,): element i counts the items of the i + 1 highest scores."""
    return np.cumsum(counts[::-1])


def _trapezoid(y: np.ndarray, x: np.ndarray) -> float:
    return float(np.dot(np.diff(x), (y[1:] + y[:-1]) / 2))
