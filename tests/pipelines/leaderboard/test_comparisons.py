"""Paired comparisons against numpy and scipy on the influence values themselves; what cannot be compared, and why."""

import itertools
import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.leaderboard.build import leaderboard
from pipelines.leaderboard.comparisons import holm
from pipelines.predictions import partition_uri
from tests.pipelines.leaderboard.made_up_runs import (
    HEAD,
    LINE,
    change_results,
    influence_of,
    of,
    variance_and_freedom,
)
from zsad_core.errors import ZsadError


def compared(board, benchmark, group, metric):
    return next(
        each
        for each in board["comparisons"]
        if (each["benchmark"], each["group"], each["metric"]) == (benchmark, group, metric)
    )


def test_pairs_on_the_same_images_equal_numpy(make):
    a, b = make("a", {"our line": LINE, "HeadCT": HEAD}), make("b", {"HeadCT": HEAD, "our line": LINE}, base=5)
    board = leaderboard([f"A={a}", f"B={b}"], "none")
    assert len(board["comparisons"]) == 2 * 3 + 5 + 2 * 3 and board["not_compared"] == []
    values = [of(board, "our line")["cells"][name]["mean"]["pixel"]["ap"]["value"] for name in "AB"]
    of_a, of_b = (influence_of(run, "our line", "pixel_ap") for run in (a, b))
    strata = [of_a[category][label] - of_b[category][label] for category in of_a for label in of_a[category]]
    assert len(strata) == 5
    variance, freedom = variance_and_freedom(strata)
    error = math.sqrt(variance) / 3
    difference = values[0] - values[1]
    half = stats.t.ppf(0.975, freedom) * error
    found = compared(board, "our line", "pixel", "ap")
    assert (found["a"], found["b"], found["images"]) == ("A", "B", 27)
    expected = [difference, difference - half, difference + half, 2 * stats.t.sf(abs(difference) / error, freedom)]
    assert np.allclose([found[key] for key in ("difference", "low", "high", "p")], expected, rtol=1e-9, atol=1e-12)
    assert compared(board, "our line", "image", "ap")["images"] == 22

    both = next(e for e in board["overall_comparisons"] if (e["group"], e["metric"]) == ("image", "auroc"))
    assert both["benchmarks"] == ["HeadCT", "our line"] and both["images"] == 13 + 22
    differences, strata = [], []
    for benchmark, categories in (("HeadCT", 1), ("our line", 2)):
        means = [of(board, benchmark)["cells"][name]["mean"]["image"]["auroc"]["value"] for name in "AB"]
        differences.append(means[0] - means[1])
        of_a, of_b = (influence_of(run, benchmark, "image_auroc") for run in (a, b))
        strata += [(of_a[c][label] - of_b[c][label]) / categories / 2 for c in of_a for label in of_a[c]]
    assert both["difference"] == pytest.approx(np.mean(differences))
    variance, freedom = variance_and_freedom(strata)
    assert both["high"] - both["low"] == pytest.approx(2 * stats.t.ppf(0.975, freedom) * math.sqrt(variance))


def test_entries_of_seeds_are_compared_by_their_mean_influence(make):
    first = [make(f"a{seed}", {"our line": LINE}, seed=seed) for seed in (0, 1)]
    other = make("b", {"our line": LINE}, image_size=224)
    board = leaderboard([first[0], other, first[1]], "none")
    assert [entry["name"] for entry in board["entries"]] == ["bayes-pfl (518 pixels)", "bayes-pfl (224 pixels)"]
    of_a = [influence_of(run, "our line", "image_ap") for run in first]
    of_b = influence_of(other, "our line", "image_ap")
    strata = [(of_a[0][c][label] + of_a[1][c][label]) / 2 - of_b[c][label] for c in of_b for label in of_b[c]]
    variance, freedom = variance_and_freedom(strata)
    found = compared(board, "our line", "image", "ap")
    assert found["high"] - found["low"] == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(variance))


def test_only_exactly_the_same_images_are_compared(make):
    a = make("a", {"our line": LINE, "HeadCT": HEAD})
    b = make("b", {"our line": LINE}, base=3, salt="other")
    c = make("c", {"our line": LINE}, base=4, drop=(1,))
    board = leaderboard([f"a={a}", f"b={b}", f"c={c}"], "none")
    assert board["comparisons"] == []
    assert {(e["a"], e["b"], e["benchmark"], e["why"]) for e in board["not_compared"]} == {
        ("a", "b", "our line", "not the same images"),
        ("a", "c", "our line", "not the same images"),
        ("b", "c", "our line", "not the same images"),
        ("a", "b", "HeadCT", "only a has it"),
        ("a", "c", "HeadCT", "only a has it"),
    }
    cell = of(board, "our line")["cells"]["c"]
    assert cell["left_out"] == 3 and "3 images could not be scored, left out" in cell["remarks"]


def test_equal_methods_do_not_differ(make):
    a = make("a", {"our line": LINE})
    shutil.copytree(a, f"{a}-again")
    found = compared(leaderboard([f"x={a}", f"y={a}-again"], "none"), "our line", "pixel", "aupro")
    assert (found["difference"], found["low"], found["high"], found["p"]) == (0, 0, 0, 1)


def test_too_few_images_are_not_compared(make):
    tiny = {"tiny": (("image",), {"x": (1, 3)})}
    runs = [make("a", tiny), make("b", tiny, base=1)]
    for run in runs:
        change_results(
            run,
            lambda r: [
                v.update(low=None, high=None) for v in r["benchmarks"]["tiny"]["categories"]["x"]["image"].values()
            ],
        )
    board = leaderboard([f"a={runs[0]}", f"b={runs[1]}"], "none")
    why = {column: each["why"] for each in board["not_compared"] for column in each["columns"]}
    assert why["image_auroc"] == "a category with too few images to tell"
    assert why["image_plain_auroc"] == "no image tells them apart"  # a stratum of one image has no variance


def test_damaged_influence_is_named(make):
    runs = [make("a", {"HeadCT": HEAD}), make("b", {"HeadCT": HEAD}, seed=1)]
    path = partition_uri(f"{runs[1]}/metrics/influence", "HeadCT", "images")
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(ZsadError, match="12 images of 'head ct' where results.json has 13; run `zsad reduce "):
        leaderboard(runs)
    pq.write_table(table.drop_columns("image_ap").append_column("image_ap", pa.nulls(len(table), pa.float64())), path)
    with pytest.raises(ZsadError, match="no image_ap of 'head ct'; run `zsad reduce "):
        leaderboard(runs)
    pq.write_table(table.drop_columns("image_ap"), path)
    with pytest.raises(ZsadError, match="images.parquet: damaged"):
        leaderboard(runs)
    Path(path).write_bytes(b"PAR1")
    with pytest.raises(ZsadError, match="images.parquet: damaged"):
        leaderboard(runs)
    shutil.rmtree(f"{runs[1]}/metrics/influence")
    with pytest.raises(ZsadError, match="images.parquet: no such file; run `zsad reduce "):
        leaderboard(runs)


def test_holm_by_hand():
    # 4 x 0.01; 3 x 0.02 = 0.06; 2 x 0.03 = 0.06; 0.2
    assert holm([0.02, 0.2, 0.01, 0.03]) == pytest.approx([0.06, 0.2, 0.04, 0.06])
    assert holm([0.5, 0.4]) == pytest.approx([0.8, 0.8]) and holm([]) == [] and holm([0.9, 0.9]) == [1, 1]


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p):
    subsets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size)]
    expected = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in range(len(p))]
    assert holm(p) == pytest.approx(expected)
