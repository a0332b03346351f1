"""Leaderboards of made-up runs against numpy on the influence values themselves; seeds, partial runs, refusals."""

import math

import numpy as np
import pytest
from scipy import stats

from pipelines.leaderboard.build import leaderboard
from pipelines.leaderboard.entries import name_and_run
from tests.pipelines.leaderboard.made_up_runs import (
    GROUPS,
    HEAD,
    LINE,
    change_results,
    influence_of,
    of,
    read_results,
    variance_and_freedom,
)
from zsad_core.benchmarks.table import benchmark as benchmark_of_the_table
from zsad_core.errors import UsageError, ZsadError


def test_one_run_keeps_its_figures(make):
    run = make("a", {"our line": LINE, "HeadCT": HEAD})
    results = read_results(run)
    board = leaderboard([run], "none")
    assert [each["name"] for each in board["benchmarks"]] == ["HeadCT", "our line"]
    assert board["entries"] == [
        board["entries"][0] | {"name": "bayes-pfl", "kind": "run", "seeds": [0], "runs": [run], "untrained": False}
    ]
    cell, there = of(board, "our line")["cells"]["bayes-pfl"], results["benchmarks"]["our line"]
    for group, metrics in GROUPS.items():
        for metric in metrics:
            shown = cell["mean"][group][metric]
            assert {key: shown[key] for key in ("value", "low", "high", "categories")} == there["mean"][group][metric]
            assert (shown["spread"], shown["runs"], shown["published"]) == (None, shown["categories"] and 1, None)
            shown = cell["categories"]["wood"][group][metric]
            assert {key: shown[key] for key in ("value", "low", "high")} == there["categories"]["wood"][group][metric]
    assert cell["images"] == 27 and board["comparisons"] == [] == board["not_compared"]
    assert cell["categories"]["only normal"]["image"]["auroc"]["value"] is None
    assert cell["categories"]["wood"]["defects"]["crack"]["images"] == 2
    assert of(board, "HeadCT")["cells"]["bayes-pfl"]["mean"]["pixel"] is None


def test_trainings_that_differ_in_the_seed_alone_are_one_entry(make):
    def trained(recipe, seed):
        facts = {"file": "checkpoint.safetensors", "sha256": f"{seed}" * 64, "recipe": recipe, "training_seed": seed}
        return {"VisA": facts}

    runs = [make(f"s{seed}", {"our line": LINE}, base=seed, checkpoints=trained("a", seed)) for seed in (1, 0)]
    other = make("other", {"our line": LINE}, checkpoints=trained("b", 0))
    board = leaderboard([*runs, other], "none")
    first, second = board["entries"]
    assert (first["seeds"], first["runs"], second["runs"]) == ([0, 1], runs, [other])
    assert "seed 0, fp32; weights: checkpoint.safetensors (trained on VisA, seed 0, 1)." in first["made_by"]
    auroc = of(board, "our line")["cells"][first["name"]]["mean"]["image"]["auroc"]
    values = [read_results(run)["benchmarks"]["our line"]["mean"]["image"]["auroc"]["value"] for run in runs]
    assert auroc["value"] == pytest.approx(np.mean(values)) and auroc["spread"] == pytest.approx(np.std(values, ddof=1))


def test_seeds_are_one_entry_with_mean_spread_and_interval(make):
    runs = [make(f"s{seed}", {"our line": LINE}, seed=seed) for seed in (2, 0, 1)]
    board = leaderboard(runs)
    assert [(e["name"], e["seeds"], e["runs"]) for e in board["entries"]] == [("bayes-pfl", [0, 1, 2], runs)]
    assert "seed 0, 1, 2," in board["entries"][0]["made_by"]
    cell = of(board, "our line")["cells"]["bayes-pfl"]
    of_runs = [read_results(run)["benchmarks"]["our line"] for run in runs]
    values = [each["mean"]["pixel"]["aupro"]["value"] for each in of_runs]
    aupro = cell["mean"]["pixel"]["aupro"]
    assert aupro["value"] == pytest.approx(np.mean(values)) and aupro["spread"] == pytest.approx(np.std(values, ddof=1))
    assert (aupro["runs"], aupro["categories"]) == (3, 3)
    defect = cell["categories"]["nut"]["defects"]["crack"]["image"]["ap"]
    assert defect["runs"] == 3 and defect["spread"] > 0 and defect["low"] is None
    assert cell["remarks"] == []

    shown = cell["categories"]["nut"]["image"]["auroc"]
    of_runs = [influence_of(run, "our line", "image_auroc")["nut"] for run in runs]
    strata = [np.mean([each[label] for each in of_runs], axis=0) for label in (0, 1)]
    variance, freedom = variance_and_freedom(strata)
    value = shown["value"]
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance) / (value * (1 - value))
    logit = math.log(value / (1 - value))
    expected = [1 / (1 + math.exp(-(logit - half))), 1 / (1 + math.exp(-(logit + half)))]
    assert [shown["low"], shown["high"]] == pytest.approx(expected)

    mean = cell["mean"]["image"]["auroc"]
    parts = [cell["categories"][name]["image"]["auroc"] for name in ("wood", "nut")]
    for bound in ("low", "high"):
        squares = [(part[bound] - part["value"]) ** 2 for part in parts]
        assert abs(mean[bound] - mean["value"]) == pytest.approx(math.sqrt(sum(squares)) / 2)


def test_partial_runs_unite(make):
    a = make("a", {"our line": LINE})
    b = make("b", {"HeadCT": HEAD}, domain="medical")
    c = make("c", {"HeadCT": HEAD}, seed=1, domain="medical")
    board = leaderboard([a, b, c], "none")
    assert [(entry["name"], entry["runs"]) for entry in board["entries"]] == [("bayes-pfl", [a, b, c])]
    cells = {each["name"]: each["cells"]["bayes-pfl"]["mean"]["image"]["auroc"]["runs"] for each in board["benchmarks"]}
    assert cells == {"HeadCT": 2, "our line": 1}
    other = make("d", {"our line": LINE}, backbone="ViT-B-16:openai", checkpoints={"MVTec-AD": {"file": "m.pth"}})
    united = leaderboard([f"ours={b}", f"ours={other}"], "none")
    assert [(entry["name"], len(entry["runs"])) for entry in united["entries"]] == [("ours", 2)]
    assert "ViT-B-16:openai" in united["entries"][0]["made_by"] and "ViT-L-14-336" in united["entries"][0]["made_by"]


def test_runs_of_an_entry_on_different_images_have_no_interval_and_say_so(make):
    runs = [make("a", {"our line": LINE}), make("b", {"our line": LINE}, seed=1, drop=(0,))]
    other = make("c", {"our line": LINE}, samples=3)
    board = leaderboard([*runs, other], "none")
    cell = of(board, "our line")["cells"]["bayes-pfl (samples 10)"]
    auroc = cell["mean"]["image"]["auroc"]
    assert auroc["value"] is not None and auroc["spread"] is not None and auroc["low"] is None
    assert "its 2 runs are not on the same images, so their mean has no interval everywhere" in cell["remarks"]
    assert board["comparisons"] == [] and {each["why"] for each in board["not_compared"]} == {"not the same images"}


def published_sizes(name, variant=None, only=None):
    known = benchmark_of_the_table(name, variant)
    return known.levels, {c.name: (c.test_normal, c.test_anomalous) for c in known.categories[:only]}


def test_differences_to_the_published_figures(make):
    run = make("a", {"Br35H": (("image",), {"brain": (1500, 1500)}), "HeadCT": HEAD, "BTAD": published_sizes("BTAD")})
    board = leaderboard([run], "same")
    assert [entry["name"] for entry in board["entries"]] == ["bayes-pfl", "Bayes-PFL (published)"]
    cell = of(board, "Br35H")["cells"]["bayes-pfl"]
    published = cell["mean"]["image"]["auroc"]["published"]
    assert published == {
        "value": 0.97,
        "status": "first-hand",
        "source": published["source"],
        "difference": cell["mean"]["image"]["auroc"]["value"] - 0.97,
        "same_test_set": True,
    }
    assert (
        cell["mean"]["image_plain"]["auroc"]["published"] is None and cell["mean"]["image"]["ap"]["published"] is None
    )
    assert (cell["test_set"], cell["remarks"], of(board, "Br35H")["expected_images"]) == ("published", [], 3000)
    btad = of(board, "BTAD")["cells"]
    assert btad["bayes-pfl"]["mean"]["pixel"]["aupro"]["published"] is None
    assert btad["bayes-pfl"]["mean"]["pixel"]["aupro_200"]["published"]["value"] == 0.766
    assert btad["Bayes-PFL (published)"]["mean"]["pixel"]["aupro_200"] == {
        "value": 0.766,
        "status": "second-hand",
        "source": "quoted by a later paper or note from the paper",
    }
    partial = of(board, "HeadCT")["cells"]["bayes-pfl"]
    assert partial["test_set"] is None and "13 of 200 images" in partial["remarks"]
    published = partial["mean"]["image"]["auroc"]["published"]
    assert published["difference"] is not None and published["same_test_set"] is False
    left_out = {each["benchmark"]: each["why"] for each in board["published_left_out"]}
    assert "VisA" in left_out and left_out["VisA"] == "no run covers it"
    left_out = {each["benchmark"]: each["why"] for each in leaderboard([run])["published_left_out"]}
    assert left_out["MPDD"] == "not one of the table's benchmarks"
    alone = leaderboard([run], "none")
    assert (
        len(alone["entries"]) == 1
        and of(alone, "Br35H")["cells"]["bayes-pfl"]["mean"]["image"]["auroc"]["published"] is None
    )


def test_each_method_stands_beside_its_own_published_figures(make):
    btad = {"BTAD": published_sizes("BTAD")}
    runs = [make(method, btad, method=method) for method in ("bayes-pfl", "cops", "clip-ensemble")]
    board = leaderboard(runs, "same")
    names = ["bayes-pfl", "cops", "clip-ensemble", "Bayes-PFL (published)", "CoPS (published)"]
    assert [entry["name"] for entry in board["entries"]] == names
    cells = of(board, "BTAD")["cells"]
    found = [cells[name]["mean"]["image"]["auroc"]["published"] for name in names[:3]]
    assert [each and each["value"] for each in found] == [0.932, 0.936, None]
    pairs = {(each["a"], each["b"]) for each in board["comparisons"]}
    assert pairs == {("bayes-pfl", "cops"), ("bayes-pfl", "clip-ensemble"), ("cops", "clip-ensemble")}


OTHER_LIST = "other test list: all, 253 images"


@pytest.mark.parametrize(
    "method, variant, remarks, test_set, same",
    [
        ("bayes-pfl", "bayes-pfl", [], "bayes-pfl", True),
        ("bayes-pfl", None, [], "bayes-pfl", True),
        ("bayes-pfl", "all", [OTHER_LIST, "the published figures' test list: bayes-pfl"], "all", False),
        ("cops", "all", [OTHER_LIST], "all", True),
        ("CoPS", "bayes-pfl", ["the published figures' test list: all"], "bayes-pfl", False),
        ("crane", "all", [OTHER_LIST, "the published figures' test list is not known"], "all", False),
        ("our own", "all", [OTHER_LIST], "all", None),
    ],
)
def test_another_test_list_is_another_test_set(make, method, variant, remarks, test_set, same):
    run = make("a", {"BrainMRI": published_sizes("BrainMRI", variant)}, method=method)
    change_results(run, lambda results: results["benchmarks"]["BrainMRI"].update(variant=variant))
    board = of(leaderboard([f"r={run}"]), "BrainMRI")
    cells, published = board["cells"], board["cells"]["r"]["mean"]["image"]["auroc"]["published"]
    assert (cells["r"]["test_set"], cells["r"]["remarks"], board["test_set"]) == (test_set, remarks, "bayes-pfl")
    assert (published and published["same_test_set"]) == same
    found = {
        name: (cells[f"{name} (published)"]["test_set"], cells[f"{name} (published)"]["remarks"])
        for name in ("CoPS", "Bayes-PFL", "Crane")
    }
    assert found == {
        "CoPS": ("all", [OTHER_LIST]),
        "Bayes-PFL": ("bayes-pfl", []),
        "Crane": (None, ["test list not known"]),
    }


def test_data_of_ones_own_may_be_called_like_a_published_benchmark(make):
    board = leaderboard([make("a", {"MPDD": LINE})])
    assert list(of(board, "MPDD")["cells"]) == ["bayes-pfl"] == [entry["name"] for entry in board["entries"]]
    assert {"benchmark": "MPDD", "why": "not one of the table's benchmarks"} in board["published_left_out"]


def test_other_images_of_the_same_number_are_seen(make):
    sizes = published_sizes("BTAD")[1]
    run = make("a", {"BTAD": (("image",), sizes | {"metal1": (20, 50)})})
    assert "other 741 images than published" in of(leaderboard([run]), "BTAD")["cells"]["bayes-pfl"]["remarks"]


def test_overall_means_are_over_what_is_there(make):
    whole = {
        "BTAD": (("image", "pixel"), {"wood": (3, 3)}),
        "HeadCT": HEAD,
        "CVC-ColonDB": (("pixel",), {"colon": (0, 9)}),
    }
    a = make("a", whole, domain="medical")
    change_results(a, lambda results: results["benchmarks"]["BTAD"].update(domain="industrial"))
    b = make("b", {"BTAD": whole["BTAD"], "own": LINE}, base=2)
    change_results(b, lambda results: results["benchmarks"]["own"].update(domain="own"))
    board = leaderboard([f"a={a}", f"b={b}"], "same")
    parts = {part["name"]: part for part in board["overall"]}
    assert {name: part["benchmarks"] for name, part in parts.items()} == {
        "medical": ["HeadCT", "CVC-ColonDB"],
        "all": ["BTAD", "HeadCT", "CVC-ColonDB", "own"],
    }
    value = {name: of(board, name)["cells"]["a"]["mean"]["image"]["auroc"]["value"] for name in ("BTAD", "HeadCT")}
    mean = parts["all"]["means"]["a"]["image"]["auroc"]
    assert mean == {
        "value": pytest.approx(np.mean(list(value.values()))),
        "low": pytest.approx(np.mean(list(value.values())) - np.hypot(0.02, 0.02) / 2),
        "high": pytest.approx(np.mean(list(value.values())) + np.hypot(0.02, 0.02) / 2),
        "benchmarks": 2,
        "of": 3,
        "other_images": True,
        "statuses": [],
    }
    assert parts["medical"]["means"]["a"]["image"]["auroc"]["benchmarks"] == 1
    # The image level of "own" is undefined in one of its categories: not all of its values are there.
    assert parts["all"]["means"]["b"]["image"]["auroc"]["benchmarks"] == 1
    assert parts["all"]["means"]["b"]["pixel"]["auroc"]["benchmarks"] == 2
    assert parts["medical"]["means"]["b"]["image"]["auroc"] == {
        "value": None,
        "low": None,
        "high": None,
        "benchmarks": 0,
        "of": 1,
        "other_images": False,
        "statuses": [],
    }
    published = parts["all"]["means"]["Bayes-PFL (published)"]["image"]["auroc"]
    assert published["value"] == pytest.approx((0.932 + 0.919) / 2)
    assert published["statuses"] == ["first-hand", "re-run"]


def test_names_hold_only_what_tells_runs_apart(make):
    one = {"HeadCT": HEAD}
    other = {"VisA": {"file": "b.pth", "sha256": "0" * 64}}
    runs = [
        make("a", one),
        make("b", one, checkpoints=other),
        make("c", one, checkpoints=other, image_size=224),
        make("d", one, checkpoints={"VisA": {"file": "b.pth", "sha256": "1" * 64}}),
        make("e", one, method="cops"),
    ]
    names = [entry["name"] for entry in leaderboard(runs, "none")["entries"]]
    assert names == [
        "bayes-pfl (a_b.pth + other.pth)",
        "bayes-pfl (b.pth, 518 pixels, 00000000)",
        "bayes-pfl (b.pth, 224 pixels)",
        "bayes-pfl (b.pth, 518 pixels, 11111111)",
        "cops",
    ]
    assert [e["name"] for e in leaderboard(runs[:2], "none")["entries"]] == [
        "bayes-pfl (a_b.pth + other.pth)",
        "bayes-pfl (b.pth)",
    ]
    given = [make(name, one, options=options) for name, options in (("f", {}), ("g", {"beta": 1.0, "alpha": 0.5}))]
    assert [e["name"] for e in leaderboard(given, "none")["entries"]] == [
        "bayes-pfl (default options)",
        "bayes-pfl (beta 1, alpha 0.5)",
    ]
    assert [e["name"] for e in leaderboard([f"bayes-pfl={runs[1]}", runs[0]], "none")["entries"]] == [
        "bayes-pfl",
        "bayes-pfl #2",
    ]


@pytest.mark.parametrize(
    "argument, expected",
    [
        ("ours=runs/a", ("ours", "runs/a")),
        ("a b|<$>=s3://x/y=1", ("a b|<$>", "s3://x/y=1")),
        ("runs/seed=1", (None, "runs/seed=1")),
        ("s3://bucket?v=1", (None, "s3://bucket?v=1")),
        ("./a=b", (None, "./a=b")),
        ("=x", (None, "=x")),
        ("runs", (None, "runs")),
    ],
)
def test_a_name_before_a_run(argument, expected):
    assert name_and_run(argument) == expected


def test_refusals(make, tmp_path):
    a = make("a", {"HeadCT": HEAD})
    with pytest.raises(ZsadError, match="nowhere: no such folder; name the folder of a run"):
        leaderboard([a, str(tmp_path / "nowhere")])
    (tmp_path / "trained").mkdir()
    with pytest.raises(ZsadError, match="trained: no run .no metrics/results.json and no run.json.; name what"):
        leaderboard([a, str(tmp_path / "trained")])
    (tmp_path / "trained" / "run.json").write_text("{}")
    with pytest.raises(ZsadError, match=r"no metrics/results.json there; run `zsad reduce .*trained` first"):
        leaderboard([a, str(tmp_path / "trained")])
    with pytest.raises(UsageError, match="given 2 times"):
        leaderboard([a, f"x={a}/"])
    with pytest.raises(UsageError, match="name a run behind the ="):
        leaderboard(["x="])
    again = make("b", {"HeadCT": HEAD, "own": LINE})
    with pytest.raises(ZsadError, match=r"both cover HeadCT; merge them with `zsad reduce .*a .*b --out MERGED`"):
        leaderboard([a, again])
    assert len(leaderboard([f"x={a}", f"y={again}"], "none")["entries"]) == 2
    with pytest.raises(UsageError, match=r"x: runs of several methods \(bayes-pfl, cops\)"):
        leaderboard([f"x={a}", f"x={make('c', {'own': LINE}, method='cops')}"])
    with pytest.raises(UsageError, match="so the published figures are called"):
        leaderboard([f"CoPS (published)={a}"])


@pytest.mark.parametrize(
    "change",
    [
        lambda results: results.pop("run"),
        lambda results: results["run"].pop("checkpoints"),
        lambda results: results["benchmarks"]["HeadCT"].pop("mean"),
        lambda results: results["benchmarks"]["HeadCT"]["categories"]["head ct"].pop(
            "defects"
        ),  # as older versions wrote
        lambda results: results["benchmarks"]["HeadCT"]["categories"]["head ct"]["image"]["auroc"].update(value="1"),
        lambda results: results["benchmarks"]["HeadCT"]["mean"]["image"]["auroc"].update(value=math.nan),
        lambda results: results.update(benchmarks=[]),
    ],
)
def test_damaged_results_are_named(make, change):
    run = make("a", {"HeadCT": HEAD})
    change_results(run, change)
    with pytest.raises(
        ZsadError, match="results.json: not what this version's `zsad reduce` writes .*run `zsad reduce "
    ):
        leaderboard([run])


def test_twenty_runs(make):
    small = {"HeadCT": HEAD, "BTAD": (("image", "pixel"), {"wood": (3, 3)})}
    runs = [f"run {i}={make(f'r{i}', small, base=i)}" for i in range(20)]
    board = leaderboard(runs)
    assert len(board["comparisons"]) == 190 * (6 + 11) and len(board["entries"]) == 20 + 8
