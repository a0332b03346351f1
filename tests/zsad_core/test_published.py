"""Published figures as they are read, against the file itself; which test list they are of."""

import json
from importlib import resources

import pytest

from zsad_core.benchmarks.published import STATUSES, published_figures, published_test_list
from zsad_core.benchmarks.table import benchmark, benchmarks

ROWS = json.loads(resources.files("zsad_core.benchmarks").joinpath("published.json").read_text())["rows"]


def figure(method, name, level, metric):
    found = [
        f for f in published_figures() if (f.method, f.benchmark, f.level, f.metric) == (method, name, level, metric)
    ]
    assert len(found) <= 1
    return found[0] if found else None


def test_every_row_is_read_as_a_fraction():
    figures = published_figures()
    assert len(figures) == len(ROWS) == 310
    for row, read in zip(ROWS, figures):
        assert (read.method, read.benchmark, read.level, read.status) == tuple(
            row[key] for key in ("method", "benchmark", "level", "status")
        )
        assert read.value == pytest.approx(row["value"] / 100) and 0 < read.value < 1


def test_facts():
    first = figure("Bayes-PFL", "MVTec-AD", "image", "auroc")
    assert (first.value, first.status) == (0.923, "first-hand")
    assert figure("Bayes-PFL", "HeadCT", "image", "auroc").status == "re-run"
    assert figure("CoPS", "VisA", "pixel", "ap").value == 0.234


def test_published_aupro_is_the_variant_with_200_thresholds():
    assert figure("Bayes-PFL", "BTAD", "pixel", "aupro_200").value == 0.766
    assert {f.metric for f in published_figures()} == {"auroc", "ap", "f1_max", "aupro_200"}


def test_no_figure_stands_twice_and_all_are_at_a_level_of_their_benchmark():
    figures = published_figures()
    assert len({(f.method, f.benchmark, f.level, f.metric) for f in figures}) == len(figures)
    levels = {each.name: each.levels for each in benchmarks()}
    assert {f.benchmark for f in figures} - set(levels) == {"MPDD"}
    assert all(f.level in levels.get(f.benchmark, f.level) and f.status in STATUSES for f in figures)


def test_test_lists_are_those_of_the_table():
    assert (
        published_test_list("bayes-pfl", "BrainMRI") == "bayes-pfl" and published_test_list("COPS", "BrainMRI") == "all"
    )
    assert published_test_list("Crane", "BrainMRI") is None and published_test_list("CoPS", "HeadCT") is None
    assert benchmark("BrainMRI", published_test_list("CoPS", "BrainMRI")).test_images == 253
