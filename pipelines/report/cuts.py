"""Above which score an image of a category counts as anomalous, for a report to begin with, and where that is from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipelines.report.rows import GROUP
from pipelines.threshold import read_cuts

SHARE = 0.95  # of images without labels that are below the cut


class Start(NamedTuple):
    """An image is above the cut when its score is larger; None where the category has no score."""

    cut: float | None
    source: str  # a key of SOURCES


SOURCES = {
    "threshold": "from known-good images, by zsad threshold",
    "f1": "the highest F1 on the labelled images",
    "quantile": f"{100 * SHARE:g} % of the category's images are below",
    "none": "no image was scored",
}


def starting_cuts(run_uri: str, settings: dict, rows: pd.DataFrame) -> dict[tuple[str, str], Start]:
    """(benchmark, category) -> its cut: of `zsad threshold` where that gave one, else that of the highest F1 where
    there are normal and anomalous images, else the quantile SHARE of all scores.

    `rows`: what finished.read_images gives. ZsadError where thresholds.json is damaged, or of other settings than the
    run.
    """
    known = read_cuts(run_uri, settings, "score")
    cuts = {}
    for (benchmark, category), of_group in rows.groupby(GROUP, observed=True):
        group, of_good_images = (benchmark, category), known.get(benchmark, {}).get(category)
        scored = of_group[of_group["score"].notna()]
        labelled = scored[scored["label"].notna()]
        if of_good_images is not None:
            cuts[group] = Start(of_good_images, "threshold")
        elif labelled["label"].nunique() == 2:
            cuts[group] = Start(cut_of_best_f1(labelled["score"], labelled["label"]), "f1")
        elif len(scored):
            cuts[group] = Start(float(np.quantile(scored["score"], SHARE)), "quantile")
        else:
            cuts[group] = Start(None, "none")
    return cuts


def cut_of_best_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """The cut above which the flagged images (score > cut) have the highest F1; of equal ones the highest.

    Scores float (N,), labels (N,) of both 0 and 1. The cut is the next lower score than the flagged ones', or just
    below all.
    """
    values, positions = np.unique(np.asarray(scores, float), return_inverse=True)
    normal, anomalous = (np.bincount(positions[np.asarray(labels) == label], minlength=len(values)) for label in (0, 1))
    false_alarms, hits = (np.cumsum(counts[::-1])[::-1] for counts in (normal, anomalous))
    f1 = 2 * hits / (hits + false_alarms + anomalous.sum())
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    return float(values[best - 1] if best else np.nextafter(values[0], -np.inf))
