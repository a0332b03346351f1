"""Tables of a made-up run against plain pandas and scikit-learn, and everything that may be wrong with a run."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logit

from pipelines.leaderboard.build import leaderboard
from pipelines.predictions import (
    prediction_uri,
)
from pipelines.reduce import reduce
from tests.made_up_predictions import H, W, made_up_run, sample, write_run
from tests.made_up_results import SETTINGS
from tests.run_files import change_run, rewrite
from zsad_core.errors import UsageError, ZsadError
from zsad_core.map_codec import encode

CHECKER = Path(__file__).parents[1] / "plain_check.py"


@pytest.fixture(scope="module")
def plain_check():
    spec = importlib.util.spec_from_file_location("plain_check", CHECKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tmp_path_factory, without_ray):
    folder = tmp_path_factory.mktemp("run")
    made_up_run(folder)
    reduce([str(folder)])
    return folder


@pytest.fixture
def copied(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "copy"))


def outputs(folder):
    return {name: (folder / "metrics" / name).read_bytes() for name in ("results.json", "table.csv", "table.md")}


def test_everything_equals_plain_pandas_and_sklearn(run, plain_check, capsys):
    assert plain_check.main(run) == 0, capsys.readouterr().out
    source = CHECKER.read_text()
    assert "import zsad_core" not in source and "from zsad_core" not in source and "pipelines" not in source


def test_the_rule_of_the_runs_method_is_followed(run, plain_check, without_ray, tmp_path, capsys):
    """The text part alone; runs that do not name a rule are of versions that always fused."""
    results = {}
    for rule in ("fused", "text"):
        (tmp_path / rule).mkdir()
        made_up_run(tmp_path / rule, SETTINGS | {"image_score": rule})
        results[rule] = reduce([str(tmp_path / rule)])["benchmarks"]
        assert plain_check.main(tmp_path / rule) == 0, capsys.readouterr().out
    assert results["fused"] == json.loads((run / "metrics" / "results.json").read_text())["benchmarks"]
    assert results["fused"]["HeadCT"] == results["text"]["HeadCT"]
    assert results["fused"]["MVTec-AD"]["mean"]["image"] != results["text"]["MVTec-AD"]["mean"]["image"]


def test_a_rule_of_another_version_is_named(without_ray, tmp_path):
    made_up_run(tmp_path, SETTINGS | {"image_score": "majority"})
    with pytest.raises(ZsadError, match="image_score is majority, which this version does not know: fused, text"):
        reduce([str(tmp_path)])


def test_shards_that_tasks_share_give_the_same_figures(copied, plain_check, monkeypatch, capsys):
    monkeypatch.setattr("pipelines.category.PART", 2)
    reduce([str(copied)])
    assert plain_check.main(copied) == 0, capsys.readouterr().out


def test_the_checker_sees_a_wrong_value(copied, plain_check):
    uri = copied / "metrics" / "results.json"
    results = json.loads(uri.read_text())
    results["benchmarks"]["CVC-ColonDB"]["categories"]["colon"]["pixel"]["aupro"]["value"] += 1e-8
    results["benchmarks"]["HeadCT"]["mean"]["image"]["ap"]["value"] = None
    uri.write_text(json.dumps(results))
    wrong = plain_check.differences(plain_check.tables_from_files(copied), results["benchmarks"])
    assert [path for path, *_ in wrong] == [
        "/HeadCT/mean/image/ap/value",
        "/CVC-ColonDB/categories/colon/pixel/aupro",
    ]


def test_what_is_counted_and_what_is_left_out(run):
    results = json.loads((run / "metrics" / "results.json").read_text())
    assert results["run"] == SETTINGS
    counted = {
        (name, category): tuple(
            result[count] for count in ("images", "anomalous", "left_out", "unlabelled", "pixel_left_out")
        )
        for name, benchmark in results["benchmarks"].items()
        for category, result in benchmark["categories"].items()
    }
    assert counted == {
        ("MVTec-AD", "metal_nut"): (17, 8, 3, 1, 0),
        ("MVTec-AD", "a|b"): (9, 4, 0, 1, 1),
        ("MVTec-AD", "only normal"): (3, 0, 0, 0, 0),
        ("MVTec-AD", "not there"): (0, 0, 0, 0, 0),
        ("HeadCT", "head ct"): (12, 6, 0, 0, 0),
        ("CVC-ColonDB", "colon"): (30, 30, 0, 0, 0),
        ("our line/3", "part"): (4, 0, 0, 4, 0),
    }
    mvtec = results["benchmarks"]["MVTec-AD"]
    assert mvtec["mean"]["image"]["auroc"]["categories"] == 2
    undefined = {"value": None, "low": None, "high": None}
    assert mvtec["categories"]["only normal"]["pixel"]["aupro"] == undefined
    assert set(mvtec["categories"]["metal_nut"]["defects"]) == {"spot", "hole"}
    assert sum(defect["images"] for defect in mvtec["categories"]["metal_nut"]["defects"].values()) == 8
    assert mvtec["categories"]["only normal"]["defects"] == {}
    assert results["benchmarks"]["HeadCT"]["mean"]["pixel"] is None
    assert results["benchmarks"]["CVC-ColonDB"]["categories"]["colon"]["image"] is None
    assert results["benchmarks"]["our line/3"]["mean"]["image"]["auroc"] == undefined | {"categories": 0}


def test_counts_and_images_files_are_plain_tables(run):
    counts, images = (
        pd.concat(pd.read_parquet(path) for path in (run / "metrics" / folder).rglob("*.parquet"))
        for folder in ("counts", "images")
    )
    kinds = {"normal": "<i8", "anomalous": "<i8", "region_weight": "<f8"}
    for name, kind in kinds.items():
        counts[name] = [np.frombuffer(content, kind).sum() for content in counts[name]]
    sums = counts.groupby("category")[list(kinds)].sum()
    counted = images[images["regions"].notna()].groupby("category")["regions"].agg(["size", "sum"])
    assert (sums["normal"] + sums["anomalous"] == counted["size"] * H * W).all()
    assert np.allclose(sums["region_weight"], counted["sum"])
    assert "head ct" not in sums.index and counted.loc["metal_nut", "size"] == 14
    assert len(images) == 75 and images["failed"].sum() == 3
    one = images[images["regions"] > 0].iloc[0]
    assert np.frombuffer(one["normal"], "<i8").sum() + np.frombuffer(one["anomalous"], "<i8").sum() == H * W
    assert np.frombuffer(one["region_weight"], "<f8").sum() == pytest.approx(one["regions"])


def test_influence_is_what_each_image_does_to_each_metric(run, plain_check):
    table = pd.read_parquet(run / "metrics" / "influence" / "benchmark=MVTec-AD" / "images.parquet")
    table = table[table["category"] == "metal_nut"].set_index("key")
    rows = pd.concat(map(pd.read_parquet, sorted((run / "predictions" / "benchmark=MVTec-AD").iterdir())))
    rows = rows[rows["category"] == "metal_nut"].set_index("key")
    scored = rows[rows["error"].isna()]
    assert table.index.tolist() == rows.index.tolist()
    assert table.loc[rows["error"].notna(), "pixel_auroc"].isna().all()
    published = 0.5 * plain_check._minmax(scored["score_text"]) + 0.5 * plain_check._minmax(scored["score_map"])
    metrics = {
        "image": lambda rows: plain_check._classification(rows["label"].astype(int), published[rows.index]),
        "image_plain": lambda rows: plain_check._classification(rows["label"].astype(int), rows["score"]),
        "pixel": plain_check._pixel,
    }
    for group, metric in metrics.items():
        whole = metric(scored)
        for key, label in scored["label"].items():
            without = metric(scored.drop(key))
            others = (scored["label"] == label).sum() - 1
            for name in whole:
                if name != "aupro_200":  # its thresholds stay, here they would move with the extremes
                    assert table.loc[key, f"{group}_{name}"] == pytest.approx(
                        others * (whole[name] - without[name]), abs=1e-9
                    ), (group, name)


def test_intervals_come_from_the_influence(run):
    results = json.loads((run / "metrics" / "results.json").read_text())["benchmarks"]["MVTec-AD"]
    table = pd.read_parquet(run / "metrics" / "influence" / "benchmark=MVTec-AD" / "images.parquet")
    for category in ("metal_nut", "a|b"):
        of_label = table[(table["category"] == category)].groupby("label")["pixel_aupro"]
        parts = of_label.var() / of_label.count()
        freedom = parts.sum() ** 2 / (parts**2 / (of_label.count() - 1)).sum()
        cell = results["categories"][category]["pixel"]["aupro"]
        half = stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum()) / (cell["value"] * (1 - cell["value"]))
        assert logit([cell["low"], cell["high"]]) == pytest.approx(logit(cell["value"]) + np.array([-half, half]))
    cells = [results["categories"][category]["pixel"]["aupro"] for category in ("metal_nut", "a|b")]
    mean = results["mean"]["pixel"]["aupro"]
    for bound in ("low", "high"):
        distances = [cell[bound] - cell["value"] for cell in cells]
        assert abs(mean[bound] - mean["value"]) == pytest.approx(np.linalg.norm(distances) / 2)
    assert mean["categories"] == 2


def test_runs_of_parts_merge_into_the_table_of_the_whole(run, copied, tmp_path):
    other = Path(shutil.copytree(copied, tmp_path / "other"))
    change_run(copied, lambda content: [b.update(files=b["files"][::2]) for b in content["benchmarks"].values()])
    change_run(
        other,
        lambda content: (
            [b.update(files=b["files"][1::2]) for b in content["benchmarks"].values()]
            and content["benchmarks"].pop("our line/3")
        ),
    )
    with pytest.raises(UsageError, match="give it with --out"):
        reduce([str(other), str(copied)])
    reduce([str(other), str(copied)], str(tmp_path / "merged"))
    parts, whole = (json.loads(outputs(folder)["results.json"]) for folder in (tmp_path / "merged", run))
    assert parts["benchmarks"] == whole["benchmarks"]
    with pytest.raises(ZsadError, match="stands there 2 times; merge runs of different images"):
        reduce([str(copied), str(run)], str(tmp_path / "again"))
    change_run(other, lambda content: content["settings"].update(seed=9))
    with pytest.raises(ZsadError, match=r"not the settings of .*copy \(seed\)"):
        reduce([str(copied), str(other)], str(tmp_path / "again"))


def test_bytes_do_not_depend_on_the_order_of_files_or_on_what_was_there(run, copied):
    change_run(copied, lambda content: [b["files"].reverse() for b in content["benchmarks"].values()])
    shutil.rmtree(copied / "metrics")
    reduce([str(copied)])
    assert outputs(copied) == outputs(run)


def test_only_counts_of_changed_predictions_are_made_again(copied):
    files = sorted((copied / "metrics" / "counts" / "benchmark=MVTec-AD").glob("*.parquet"))
    before = {path: path.stat().st_mtime_ns for path in files}
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-9])

    def darken(rows):
        rows[0]["anomaly_map"] = encode(np.zeros((H, W), np.uint16))

    rewrite(prediction_uri(str(copied), "MVTec-AD", files[2].name), darken)
    first = outputs(copied)
    reduce([str(copied)])
    changed = [path for path in files if path.stat().st_mtime_ns != before[path]]
    assert changed == files[:3]
    assert outputs(copied)["results.json"] != first["results.json"]


def test_missing_predictions_are_counted(copied):
    for name in ("HeadCT", "MVTec-AD"):
        next((copied / "predictions" / f"benchmark={name}").iterdir()).unlink()
    with pytest.raises(ZsadError, match=r"2 of \d+ prediction files are missing.*run the command that made it again"):
        reduce([str(copied)])
    with pytest.raises(ZsadError, match="no run there"):
        reduce([str(copied / "predictions")])


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("HeadCT", lambda rows: rows.pop(), "4 rows instead of 5; remove it and run evaluate again"),
        ("HeadCT", lambda rows: rows[0].update(category="hand"), "category 'hand' is not among the benchmark's"),
        ("HeadCT", lambda rows: rows[1].update(score_map=float("nan")), "row 'head ct/[0-9]+' has no finite score_map"),
        ("HeadCT", lambda rows: rows[1].update(score=None), "row 'head ct/[0-9]+' has no finite score "),
        ("CVC-ColonDB", lambda rows: rows[2].update(anomaly_map=b"x"), "row 'colon/[0-9]+': damaged map or mask"),
        ("CVC-ColonDB", lambda rows: rows[2].update(anomaly_map=None), "row 'colon/[0-9]+': damaged map or mask"),
        ("CVC-ColonDB", lambda rows: rows[2].update(mask=b"x"), "row 'colon/[0-9]+': damaged map or mask"),
    ],
)
def test_predictions_that_are_not_the_run_s_are_named(copied, name, change, message):
    uri = min((copied / "predictions" / f"benchmark={name}").iterdir())
    rewrite(str(uri), change)
    with pytest.raises(ZsadError, match=message) as raised:
        reduce([str(copied)])
    assert str(uri) in str(raised.value)


def test_a_truncated_prediction_file_is_named(copied):
    uri = sorted((copied / "predictions" / "benchmark=MVTec-AD").iterdir())[1]
    uri.write_bytes(uri.read_bytes()[:-100])
    with pytest.raises(ZsadError, match=f"{uri.name}: damaged prediction file"):
        reduce([str(copied)])


def test_predictions_of_another_shard_or_run_are_refused(copied):
    first, second = (prediction_uri(str(copied), "CVC-ColonDB", name) for name in shards_of(copied, "CVC-ColonDB")[:2])
    shutil.copy(first, second)
    with pytest.raises(ZsadError, match="not made from this run's settings and shard; run evaluate again"):
        reduce([str(copied)])
    change_run(copied, lambda content: content["settings"].update(seed=9))
    with pytest.raises(ZsadError, match="not made from this run's settings and shard"):
        reduce([str(copied)])


def shards_of(run, benchmark):
    return [file["name"] for file in json.loads((run / "run.json").read_text())["benchmarks"][benchmark]["files"]]


def test_categories_too_small_for_intervals_stand_in_a_leaderboard(tmp_path, without_ray):
    runs = []
    for name in "ab":
        rng = np.random.default_rng(ord(name))
        rows = [sample(rng, f"x/{label}", "x", label) for label in (0, 1)]
        lone = [sample(rng, "y/0", "y", 1)]
        (folder := tmp_path / name).mkdir()
        levels = ["image", "pixel"]
        write_run(folder, {"pair": (levels, {"x": (1, 1)}, rows), "one": (levels, {"y": (0, 1)}, lone)})
        results = reduce([str(folder)])
        assert results["benchmarks"]["pair"]["mean"]["image"]["auroc"]["low"] is None
        assert results["benchmarks"]["one"]["mean"]["pixel"]["auroc"]["value"] is not None
        runs.append(f"{name}={folder}")
    board = leaderboard(runs, "none")
    assert board["comparisons"] == []
    assert {each["why"] for each in board["not_compared"]} == {"a category with too few images to tell"}


def test_merged_tables_do_not_depend_on_the_order_or_the_places_of_the_runs(tmp_path, without_ray):
    rng = np.random.default_rng(3)
    levels = ["image", "pixel"]

    def rows(category, part):
        return [sample(rng, f"{category}/{part}{i}", category, label) for i, label in enumerate([0, 1, 1, 0, 1])]

    for run, own, categories in (("a", "x", ("one", "two")), ("b", "y", ("two", "three"))):
        shared = [row for category in categories for row in rows(category, run)]
        both = {"both": (levels, dict.fromkeys(categories, (None, None)), shared)}
        (tmp_path / run).mkdir()
        write_run(tmp_path / run, both | {own: (levels, {own: (None, None)}, rows(own, run))})
    shutil.copytree(tmp_path / "a", tmp_path / "z")
    merged = []
    for order in ("ab", "ba", "bz"):
        reduce([str(tmp_path / run) for run in order], str(tmp_path / "merged" / order))
        merged.append(outputs(tmp_path / "merged" / order))
    assert merged[0] == merged[1] == merged[2]
    assert list(json.loads(merged[0]["results.json"])["benchmarks"]["both"]["categories"]) == ["one", "two", "three"]
