"""Thresholds of a made-up run against plain pandas and scipy, and everything that may be wrong with what is given."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipelines import engine
from pipelines.predictions import prediction_uri
from pipelines.threshold import threshold, threshold_table
from tests.made_up_predictions import H, W, write_run
from tests.made_up_results import SETTINGS
from tests.run_files import change_run, rewrite
from zsad_core.errors import UsageError, ZsadError
from zsad_core.map_codec import encode


@pytest.fixture
def here(monkeypatch):
    """The work is done in this process, in another order."""

    def map_units(units, work, **_):
        yield from (work(unit) for unit in reversed(units))

    monkeypatch.setattr(engine, "map_units", map_units)


def row(rng, key, category, score, label=None, error=None):
    codes = (rng.integers(0, 65536, (H, W)) // rng.integers(1, 5)).astype(np.uint16)
    made = {"key": key, "category": category, "defect": "unknown", "prompt": category, "sha256": key, "label": label}
    made |= {"map_height": H, "map_width": W, "error": error}
    return made if error else made | {"score": score, "anomaly_map": encode(codes), "peak": codes.max() / 65535}


def rows_of(rng, category, good, others, folder=""):
    """Others are more suspicious; every third is labelled."""
    rows = [row(rng, f"{folder}good/{category}/{i}", category, rng.normal(0.4, 0.05)) for i in range(good)]
    labels = [None, 0, None, None, 1, None]
    rows += [
        row(
            rng,
            f"{folder}new/{category}/{i}",
            category,
            rng.normal(0.45 + 0.1 * (labels[i % 6] or 0), 0.05),
            labels[i % 6],
        )
        for i in range(others)
    ]
    return [rows[i] for i in rng.permutation(len(rows))]


def write(folder, benchmarks, settings=SETTINGS):
    folder.mkdir()
    made = {}
    for name, rows in benchmarks.items():
        categories = dict.fromkeys(sorted({each["category"] for each in rows}), (None, None))
        made[name] = (["image"], categories, [{k: v for k, v in each.items() if k != "peak"} for each in rows])
    write_run(folder, made, per_file=9, settings=settings)
    frame = pd.DataFrame(
        [{"benchmark": name, "error": None, **each} for name, rows in benchmarks.items() for each in rows]
    )
    return str(folder), frame


@pytest.fixture
def run(tmp_path, here):
    rng = np.random.default_rng(5)
    line = rows_of(rng, "a", 40, 60) + rows_of(rng, "b", 12, 30)
    line += [
        row(rng, "new/b/broken", "b", None, 1, error="truncated"),
        row(rng, "good/b/broken", "b", None, error="cut"),
    ]
    other = rows_of(rng, "a", 25, 20, "other/")
    return write(tmp_path / "run", {"our line/3": line, "Other": other})


def good_of(frame, of="good"):
    return frame[frame["key"].str.contains(f"(?:^|/){of}/") & frame["error"].isna()]


def plain_cut(values, rate=0.05):
    """(cut, expected rate) by the definition."""
    n, m = len(values), math.ceil((len(values) + 1) * (1 - rate))
    return (None, None) if m > n else (sorted(values)[m - 1], (n + 1 - m) / (n + 1))


def results_of(content):
    return {(b, c): result for b, each in content["benchmarks"].items() for c, result in each["categories"].items()}


def flagged_of(folder):
    return pd.read_csv(f"{folder}/thresholds/flagged.csv", float_precision="round_trip")


def plainly_flagged(frame, cuts):
    """`cuts`: (benchmark, category) -> cut."""
    frame = good_of(frame, "new").copy()
    frame["cut"] = [cuts.get(group) for group in zip(frame["benchmark"], frame["category"])]
    frame["above"] = frame["score"] - frame["cut"].astype(float)
    return frame[frame["above"] > 0].sort_values("above", ascending=False)


def test_cuts_and_what_is_above_them_are_as_plain_pandas_has_them(run):
    folder, frame = run
    content = threshold(folder, "*good/*", 0.05)
    assert content == json.loads(Path(folder, "thresholds/thresholds.json").read_text())
    good = good_of(frame)
    cuts = {}
    for group, result in results_of(content).items():
        own = good[(good["benchmark"] == group[0]) & (good["category"] == group[1])]
        for column, name in (("score", "score"), ("peak", "map")):
            cut, expected = plain_cut(own[column])
            assert (result[name]["cut"], result[name]["good_images"]) == (cut, len(own))
            assert result[name]["expected"] == pytest.approx(expected) if expected else result[name]["expected"] is None
        cuts[group] = result["score"]["cut"]
        assert not result["pooled"] and result["score"]["needed"] == 19
    assert [group for group, cut in cuts.items() if cut is None] == [("our line/3", "b")]
    cut, expected = plain_cut(good["score"])
    assert content["all"]["score"]["cut"] == cut and content["all"]["map"]["cut"] == plain_cut(good["peak"])[0]
    assert content["good_not_scored"] == 1 and content["run"] == SETTINGS

    expected, found = plainly_flagged(frame, cuts), flagged_of(folder)
    assert len(found) == content["flagged"] > 3
    for column in ("benchmark", "key", "category"):
        assert found[column].tolist() == expected[column].tolist()
    for column in ("score", "cut", "above"):
        assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy(float), abs=0)


def test_what_is_said_of_the_rate_is_the_beta_distribution(run):
    result = results_of(threshold(run[0], "*good/*", 0.1, sure=0.9))[("our line/3", "a")]["score"]
    ordered = sorted(good_of(run[1]).query("benchmark == 'our line/3' and category == 'a'")["score"])
    m = ordered.index(result["cut"]) + 1
    beta = stats.beta(40 - m + 1, m)
    assert beta.cdf(0.1) >= 0.9 > stats.beta(40 - m + 2, m - 1).cdf(0.1)
    assert (result["low"], result["high"]) == pytest.approx(beta.interval(0.95))
    assert (result["expected"], result["probability"]) == pytest.approx((beta.mean(), beta.cdf(0.1)))


def test_a_category_without_a_cut_takes_that_of_all_if_asked(run):
    folder, frame = run
    without = threshold(folder, "*good/*", 0.05)
    text = threshold_table(without)
    assert "- our line/3: b: 12 images known to be good, 19 are needed for 5 %; no cut (--pooled gives it" in text
    assert "; 1 image could not be scored." in text
    content = threshold(folder, "*good/*", 0.05, pooled=True)
    pooled = results_of(content)[("our line/3", "b")]
    assert pooled["pooled"] and pooled["score"] == content["all"]["score"] and pooled["map"] == content["all"]["map"]
    assert pooled["own_good_images"] == 12
    cuts = {group: result["score"]["cut"] for group, result in results_of(content).items()}
    assert flagged_of(folder)["key"].tolist() == plainly_flagged(frame, cuts)["key"].tolist()
    assert "19 are needed for 5 %; it takes the cut of all; 1 image could not" in threshold_table(content)
    for group in (("our line/3", "a"), ("Other", "a")):
        assert results_of(content)[group] == results_of(without)[group]


def test_precision_comes_from_the_labels_that_are_known(run, tmp_path):
    folder, frame = run
    labels = frame.set_index("key")["label"]
    told = {"new/a/0": 1, "new/a/1": 1, "new/a/2": 0, "good/a/3": 0}  # the second is 0 in the run
    (tmp_path / "labels.csv").write_text(
        "\ufeffkey,who,label\r\nnew/a/0,x,Anomalous\r\nnew/a/1,,1\r\nnew/a/2,x, good \r\nnew/a/6,x,\r\ngood/a/3,x,normal\r\n"
    )
    labels.update(pd.Series(told))
    content = threshold(folder, "*good/*", 0.1, labels_uri=str(tmp_path / "labels.csv"))
    for group, result in [*results_of(content).items(), (None, content["all"])]:
        rows = good_of(frame, "new")
        rows = rows if group is None else rows[(rows["benchmark"] == group[0]) & (rows["category"] == group[1])]
        known = labels[rows["key"]].to_numpy(float)
        above = rows["score"].to_numpy(float) > result["score"]["cut"]
        anomalous, flagged = int((known[above] == 1).sum()), int((~np.isnan(known[above])).sum())
        interval = stats.binomtest(anomalous, flagged).proportion_ci(0.95)
        assert result["labelled"]["precision"] == pytest.approx(
            {"value": anomalous / flagged, "low": interval.low, "high": interval.high}
        )
        assert result["labelled"]["flagged"] == flagged and result["labelled"]["flagged_anomalous"] == anomalous
        assert result["labelled"]["missed"] == (known[~above] == 1).sum()
        assert result["labelled"]["anomalous"] == (known == 1).sum()
    assert results_of(content)[("our line/3", "b")]["labelled"]["anomalous_not_scored"] == 1


def test_good_images_named_in_files(run, tmp_path):
    folder, frame = run
    keys = [*good_of(frame)["key"], "good/b/broken"]
    by_pattern = threshold(folder, "*good/*", 0.05)
    (tmp_path / "good.txt").write_text("\r\n".join(keys[:-1]) + "\n\n" + keys[-1])
    pd.DataFrame({"why": "seen", "key": keys}).to_csv(tmp_path / "good.csv")
    for name in ("good.txt", "good.csv"):
        by_file = threshold(folder, str(tmp_path / name), 0.05)
        assert by_file | {"normal": "*good/*"} == by_pattern


def test_good_images_of_another_run(run, tmp_path, capsys):
    """Under another benchmark's name; `c` is no category of the run, and counts in the cut of all alone."""
    rng = np.random.default_rng(8)
    rows = rows_of(rng, "b", 30, 0) + rows_of(rng, "c", 20, 0)
    other, frame = write(tmp_path / "other", {"good": rows})
    content = threshold(run[0], other, 0.05)
    assert "the run does not have c, whose good images are in no cut but that of all" in capsys.readouterr().err
    assert {group for group, result in results_of(content).items() if result["score"]["cut"]} == {("our line/3", "b")}
    of_b = frame[frame["category"] == "b"]
    result = results_of(content)[("our line/3", "b")]
    assert (result["score"]["cut"], result["map"]["cut"]) == (plain_cut(of_b["score"])[0], plain_cut(of_b["peak"])[0])
    assert content["all"]["score"]["cut"] == plain_cut(frame["score"])[0]
    judged = run[1].query("category == 'b'")["score"].astype(float)  # its own good/ too: nobody says that they are good
    assert content["flagged"] == (judged > result["score"]["cut"]).sum()


def test_of_a_category_in_two_benchmarks_the_name_decides(run, tmp_path):
    rows = rows_of(np.random.default_rng(8), "a", 30, 0)
    other, _ = write(tmp_path / "other", {"Other": rows, "third": rows_of(np.random.default_rng(9), "b", 30, 0)})
    content = threshold(run[0], other, 0.05)
    found = {group for group, result in results_of(content).items() if result["score"]["cut"]}
    assert found == {("Other", "a"), ("our line/3", "b")}


def test_one_category_in_each_run_is_the_same_and_needs_no_row_of_all(here, tmp_path):
    rng = np.random.default_rng(1)
    folder, _ = write(tmp_path / "run", {"tuesday": rows_of(rng, "tuesday", 0, 30)})
    other, frame = write(tmp_path / "other", {"known good": rows_of(rng, "known good", 20, 0)})
    change_run(tmp_path / "run", lambda content: content.pop("benchmarks") and content.update(archive={"tile": None}))
    content = threshold(folder, other, 0.05)
    assert content["all"] is None
    assert results_of(content)[("tuesday", "tuesday")]["score"]["cut"] == plain_cut(frame["score"])[0]
    assert threshold_table(content).splitlines()[2] == ""  # behind the head and one row
    change_run(tmp_path / "run", lambda content: content.update(archive={"tile": 512, "overlap": 0.25}))
    with pytest.raises(
        ZsadError, match=r"What differs \(there \| here\):\n  tile: None \| 512\n  overlap: None \| 0.25$"
    ):
        threshold(folder, other, 0.05)


def test_another_run_must_have_the_same_settings(run, tmp_path):
    other, _ = write(
        tmp_path / "other", {"good": rows_of(np.random.default_rng(8), "a", 30, 0)}, SETTINGS | {"seed": 4}
    )
    with pytest.raises(ZsadError, match=r"other: its settings are not those of .*\n  seed: 4 \| 0$"):
        threshold(run[0], other, 0.05)
    with pytest.raises(UsageError, match="the run itself; name those of its images"):
        threshold(run[0], run[0], 0.05)


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "good.txt",
            "new/a/1\nnowhere/1\nnowhere/2",
            r"2 of 3 keys are not in the run \(the first: nowhere/1\); its keys",
        ),
        ("good.txt", " \n", "no keys in it"),
        ("good.txt", b"\xff\xfe", "not UTF-8 text"),
        ("good.csv", "name,label\na,1", r"line 1: the columns key are missing; key are needed \(it has: name, label\)"),
        ("good.csv", "key\nnew/a/4", r"1 of these images are labelled anomalous, not good \(the first: new/a/4\)"),
        ("good.csv", "key\ngood/b/broken", "none of these 1 images could be scored"),
        ("labels.csv", "key,label\nnowhere,1", r"1 of 1 keys are not in the run \(the first: nowhere\)"),
        ("labels.csv", "key,label\nnew/a/1,2", "line 2: the label '2' is none of 0, normal, good, 1, anomalous, bad"),
        ("labels.csv", "key,label\nnew/a/1,1\nnew/a/1,good", "line 3: new/a/1 has another label further up"),
        ("labels.csv", "key\nnew/a/1", "line 1: the columns label are missing"),
        ("labels.csv", "key,label\ngood/a/1,bad", "1 of these images are labelled anomalous"),
        ("labels.csv", "key,label\n,bad", "line 2: no key"),
        ("labels.csv", 'key,label\n"' + "x" * 200_000, "line 2: not CSV"),
        ("labels.csv", "", "line 1: the columns key, label are missing"),
    ],
)
def test_files_that_cannot_be_meant(run, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ZsadError, match=message):
        if name.startswith("good"):
            threshold(run[0], str(path), 0.05)
        else:
            threshold(run[0], "*good/*", 0.05, labels_uri=str(path))


def test_a_key_of_two_benchmarks_names_no_image(here, tmp_path):
    rng = np.random.default_rng(1)
    folder, _ = write(tmp_path / "run", {"one": rows_of(rng, "a", 20, 2), "two": rows_of(rng, "a", 20, 2)})
    (tmp_path / "good.txt").write_text("good/a/3")
    with pytest.raises(ZsadError, match="good/a/3 is a key of several images of the run"):
        threshold(folder, str(tmp_path / "good.txt"), 0.05)
    assert results_of(threshold(folder, "good/*", 0.05)).keys() == {("one", "a"), ("two", "a")}


def test_without_any_cut_nothing_is_flagged(run):
    folder, _ = run
    content = threshold(folder, "good/b/*", 0.05)  # 12 of them, where 19 are needed
    assert content["flagged"] == 0 and len(flagged_of(folder)) == 0
    assert list(flagged_of(folder).columns) == ["benchmark", "key", "category", "score", "cut", "above"]


def test_what_is_asked_for_is_looked_at_first(run, tmp_path):
    with pytest.raises(UsageError, match="--false-alarms 0: a share between 0 and 1"):
        threshold("nowhere", "x", 0.0)
    with pytest.raises(ZsadError, match="nowhere: no run there"):
        threshold("nowhere", "x", 0.05)
    with pytest.raises(ZsadError, match=r"no run and no file, and as a pattern it fits none of the run's 189 keys"):
        threshold(run[0], str(tmp_path), 0.05)  # a folder that is no run
    with pytest.raises(ZsadError, match="labels.csv: no such file"):
        threshold(run[0], "*good/*", 0.05, labels_uri=str(tmp_path / "labels.csv"))
    assert not (tmp_path / "run" / "thresholds").exists()


def test_predictions_that_are_wrong_are_named(run, tmp_path):
    folder, frame = run
    key = good_of(frame)["key"].iloc[0]
    uri = prediction_uri(folder, "our line/3", "test-00000-of-00016.parquet")

    def spoil(**columns):
        return lambda rows: next(each for each in rows if each["key"] == key).update(columns)

    for columns, message in (
        ({"anomaly_map": b"x"}, f"row '{key}': damaged map .*; remove the file"),
        ({"anomaly_map": None}, f"row '{key}': damaged map"),
        ({"score": None}, f"row '{key}' has no finite score and no error"),
    ):
        rewrite(uri, spoil(**columns))
        with pytest.raises(ZsadError, match=message) as raised:
            threshold(folder, "*good/*", 0.05)
        assert uri in str(raised.value)
    (tmp_path / "run/predictions/benchmark=our line%2F3/test-00001-of-00016.parquet").unlink()
    with pytest.raises(ZsadError, match="1 of 21 prediction files are missing"):
        threshold(folder, "*good/*", 0.05)
    shutil.rmtree(tmp_path / "run/predictions")
    change_run(tmp_path / "run", lambda content: content.pop("benchmarks"))
    with pytest.raises(ZsadError, match="predictions: no prediction files there"):
        threshold(folder, "*good/*", 0.05)
    (tmp_path / "run/run.json").write_text("[]")
    with pytest.raises(ZsadError, match="it names no settings"):
        threshold(folder, "*good/*", 0.05)


def test_the_table_is_aligned_and_names_every_row(run):
    text = threshold_table(threshold(run[0], "*good/*", 0.05)).splitlines()
    assert [line.partition("  ")[0] for line in text[1:5]] == ["Other: a", "our line/3: a", "our line/3: b", "all"]
    titles = ["good", "cut", "false alarms", "95 % interval", "P(≤ 5 %)", "map's cut", "images", "flagged", "precision"]
    assert [title in text[0] for title in [*titles, "anomalous", "missed"]] == [True] * 11
    for title in titles:  # numbers end where their titles do
        end = text[0].index(title) + len(title)
        assert {(line + " " * 200)[end - 1 : end + 2] for line in text[1:5]} & {"   "} == set()
        assert all((line + "  ")[end : end + 2] == "  " for line in text[:5])
    assert text[-1].endswith("the probability that it is at most 5 %.")
