"""AUROC, AP, F1-max and AUPRO from counts per distinct score: float64, ties merged, NaN where undefined.

`normal` and `anomalous` are int64 (..., N): how many items of each class have the i-th score, scores ascending.
A score that nothing has may stand among them with zero counts. All functions give float64 (...), one value a row.
"""

from __future__ import annotations

import numpy as np

FPR_LIMIT = 0.3
"""Both PRO curves end at this false-positive rate (Bergmann et al., MVTec AD)."""

PRO_STEPS = 200


def auroc(normal: np.ndarray, anomalous: np.ndarray) -> np.ndarray:
    """Area under the ROC by trapezoid, equal to sklearn.metrics.roc_auc_score; NaN unless both classes are there."""
    # An anomalous item beats every normal item below it, and half of those that tie with it.
    beaten = np.cumsum(normal, -1) - normal / 2
    return _ratio(_ratio(np.sum(anomalous * beaten, -1), anomalous.sum(-1)), normal.sum(-1))


def average_precision(normal: np.ndarray, anomalous: np.ndarray) -> np.ndarray:
    """Sum of recall gain x precision, equal to sklearn.metrics.average_precision_score; NaN with one class only."""
    false_positives, true_positives = _descending_sums(normal), _descending_sums(anomalous)
    precision = true_positives / np.maximum(true_positives + false_positives, 1)
    area = _ratio(np.sum(anomalous[..., ::-1] * precision, -1), anomalous.sum(-1))
    return np.where(normal.any(-1), area, np.nan)


def f1_max(normal: np.ndarray, anomalous: np.ndarray) -> np.ndarray:
    """Maximum over thresholds of 2PR/(P+R) = 2TP/(2TP + FP + FN); NaN with one class only."""
    false_positives, true_positives = _descending_sums(normal), _descending_sums(anomalous)
    all_anomalous = anomalous.sum(-1, keepdims=True)
    f1 = 2 * true_positives / np.maximum(true_positives + false_positives + all_anomalous, 1)
    both = normal.any(-1) & anomalous.any(-1)
    return np.where(both, np.max(f1, -1, initial=0), np.nan)


def aupro(normal: np.ndarray, region_weight: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Area under the per-region overlap over the false-positive rate 0 to 0.3, divided by 0.3 (MVTec's definition).

    `region_weight` float64 (..., N): sum of 1/(area of its region) over the anomalous pixels of each score, so that
    its sum from the top is the sum over the `regions` int64 (...) of the covered fraction. The end point is
    interpolated. NaN without regions or without normal pixels.
    """
    fpr, pro = pro_curve(normal, region_weight, regions)
    left, right = fpr[..., :-1], fpr[..., 1:]
    width = np.minimum(right, FPR_LIMIT) - left
    rise = (pro[..., 1:] - pro[..., :-1]) * _ratio(width, right - left)
    return np.minimum(_sum_where(width > 0, width * (pro[..., :-1] + rise / 2), fpr, pro) / FPR_LIMIT, 1.0)


def aupro_200(
    normal: np.ndarray, region_weight: np.ndarray, regions: np.ndarray, codes: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """AUPRO as most papers of this field print it, for comparison with them only.

    `codes` int (N,) are the scores, a pixel is hit when its code is above one of the `thresholds` of pro_thresholds;
    points with FPR < 0.3, their FPR rescaled to [0, 1], trapezoid. NaN without regions or normal pixels, and where
    all points have one FPR.
    """
    hit = len(codes) - np.searchsorted(codes, thresholds[::-1], side="right")
    fpr, pro = (axis[..., hit] for axis in pro_curve(normal, region_weight, regions))
    low = fpr < FPR_LIMIT
    area = _sum_where(low[..., 1:], np.diff(fpr) * (pro[..., 1:] + pro[..., :-1]) / 2, fpr, pro)
    first = fpr[..., 0]
    return np.minimum(_ratio(area, np.maximum(np.max(fpr, -1, where=low, initial=0), first) - first), 1.0)


def pro_thresholds(counts: np.ndarray) -> np.ndarray:
    """The 200 thresholds int (200,) of aupro_200: min + i (max - min)/200 between the extremes of all pixels' codes.

    `counts` int (65536,): all pixels by code. Rounded down, which changes no hit: codes are whole numbers.
    """
    present = np.flatnonzero(counts)
    lowest, highest = (int(present[0]), int(present[-1])) if len(present) else (0, 0)
    return lowest + np.arange(PRO_STEPS) * (highest - lowest) // PRO_STEPS


def roc_curve(normal: np.ndarray, anomalous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """FPR and TPR (..., N + 1) each, ascending: element i is where the i highest scores are hit. NaN as for auroc."""
    fpr, tpr = (_from_zero(_ratio(_descending_sums(each), each.sum(-1)[..., None])) for each in (normal, anomalous))
    return fpr, tpr


def pro_curve(normal: np.ndarray, region_weight: np.ndarray, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """FPR and PRO (..., N + 1) each, ascending: element i is where the i highest scores are hit. NaN as for aupro."""
    fpr = _ratio(_descending_sums(normal), normal.sum(-1)[..., None])
    pro = _ratio(_descending_sums(region_weight), np.asarray(regions)[..., None])
    return _from_zero(fpr), _from_zero(pro)


def _descending_sums(counts: np.ndarray) -> np.ndarray:
    """(..., N): element i counts the items of the i + 1 highest scores."""
    return np.cumsum(counts[..., ::-1], -1)


def _from_zero(values: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros((*values.shape[:-1], 1)), values], -1)


def _sum_where(chosen: np.ndarray, areas: np.ndarray, fpr: np.ndarray, pro: np.ndarray) -> np.ndarray:
    """Sum of the chosen areas (...); NaN where a curve is undefined."""
    return np.sum(areas, -1, where=chosen) + 0 * (fpr[..., -1] + pro[..., -1])


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Numerator / denominator, NaN where the denominator is 0."""
    defined = denominator != 0
    return np.where(defined, numerator / np.where(defined, denominator, 1), np.nan)
