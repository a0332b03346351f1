"""The cuts that a report begins with: where they are from, and that of the highest F1 against scikit-learn."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from pipelines.report.cuts import cut_of_best_f1, starting_cuts
from zsad_core.errors import ZsadError

ITEMS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=2, max_size=30)


@given(ITEMS.filter(lambda items: len({label for _, label in items}) == 2))
def test_no_cut_has_a_higher_f1(items):
    scores, labels = np.array(items, float).T
    cut = cut_of_best_f1(scores / 7, labels)
    possible = [-1, *np.unique(scores / 7)]
    best = {each: f1_score(labels, scores / 7 > each, zero_division=0) for each in possible}
    assert f1_score(labels, scores / 7 > cut) == pytest.approx(max(best.values()))
    higher = [each for each in possible if each > cut]
    assert all(best[each] < max(best.values()) - 1e-12 for each in higher)


def rows(**groups):
    return pd.concat(
        pd.DataFrame({"benchmark": "parts", "category": name, "score": scores, "label": labels})
        for name, (scores, labels) in groups.items()
    )


def write_thresholds(folder, settings, cuts):
    (folder / "thresholds").mkdir()
    categories = {name: {"score": {"cut": cut}, "map": {"cut": 0.1}} for name, cut in cuts.items()}
    content = {"run": settings, "benchmarks": {"parts": {"categories": categories}}}
    (folder / "thresholds/thresholds.json").write_text(json.dumps(content))


def test_known_good_images_come_first_then_labels_then_a_share(tmp_path):
    unknown = [np.nan] * 3
    table = rows(
        known=([0.1, 0.2, 0.3], [0, 1, 1]),
        labelled=([0.1, 0.2, 0.3], [0, 1, np.nan]),
        unlabelled=([0.1, 0.2, 0.3], unknown),
        dead=([np.nan] * 3, unknown),
    )
    write_thresholds(tmp_path, {"seed": 0}, {"known": 0.25, "labelled": None})
    found = starting_cuts(str(tmp_path), {"seed": 0}, table)
    assert {category: cut.source for (_, category), cut in found.items()} == {
        "known": "threshold",
        "labelled": "f1",
        "unlabelled": "quantile",
        "dead": "none",
    }
    cuts = {category: cut.cut for (_, category), cut in found.items()}
    assert cuts["known"] == 0.25 and cuts["labelled"] == 0.1 and cuts["dead"] is None
    assert cuts["unlabelled"] == pytest.approx(np.percentile([0.1, 0.2, 0.3], 95))


def test_thresholds_of_other_settings_or_damaged_are_refused(tmp_path):
    write_thresholds(tmp_path, {"seed": 1}, {})
    with pytest.raises(ZsadError, match="the run had other settings"):
        starting_cuts(str(tmp_path), {"seed": 0}, rows(a=([0.1], [0])))
    (tmp_path / "thresholds/thresholds.json").write_text("[]")
    with pytest.raises(ZsadError, match="not what `zsad threshold` wrote"):
        starting_cuts(str(tmp_path), {"seed": 0}, rows(a=([0.1], [0])))
