"""Image-level metrics and the published image score, which needs all images of a category."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from zsad_core.metrics.curves import auroc, average_precision, f1_max


def image_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """`auroc`, `ap`, `f1_max` of scores float (N,) and labels (N,) in {0, 1}; ValueError for NaN scores."""
    values, positions = np.unique(_finite(scores), return_inverse=True)
    anomalous = np.bincount(positions[labels == 1], minlength=len(values))
    normal = np.bincount(positions[labels == 0], minlength=len(values))
    return {
        "auroc": auroc(normal, anomalous),
        "ap": average_precision(normal, anomalous),
        "f1_max": f1_max(normal, anomalous),
    }


def image_score_published(score_text: np.ndarray, score_map: np.ndarray, levels: Collection[str]) -> np.ndarray:
    """Published score rule of Bayes-PFL over all scored images of a category: 0.5 minmax(text) + 0.5 minmax(map).

    Both inputs float64 (N,). A benchmark without the `pixel` level takes the text part alone. ValueError for NaN.
    """
    if "pixel" not in levels:
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
