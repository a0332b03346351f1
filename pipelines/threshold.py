"""Good images to a cut of each category, and to the list of what lies above it.

scores of all, maps of the good ones ──> cuts ──> thresholds.json, flagged.csv
"""

from __future__ import annotations

import math
from typing import Any, Literal

import pandas as pd

from pipelines import storage
from pipelines.finished import prediction_files, read_facts, read_images
from pipelines.good_images import good_images, labels_of
from pipelines.texts import DASH, number_of_images, one_line, percent, text_table
from zsad_core import thresholds
from zsad_core.errors import ZsadError

_GROUP = ["benchmark", "category"]
_LEGEND = (
    "False alarms, in percent: the share of further good images above the cut, as expected, where it lies for 95 % of\n"
    "all draws of so many good images, and the probability that it is at most {}."
)


def threshold(
    run_uri: str,
    which: str,
    rate: float,
    sure: float | None = None,
    labels_uri: str | None = None,
    pooled: bool = False,
) -> dict[str, Any]:
    """The content of `<run>/thresholds/thresholds.json`, which is written with `flagged.csv` beside it.

    `which` names the good images (see good_images), `rate` and `sure` are those of thresholds.false_alarm_cut, the file
    at `labels_uri` has labels of some images, besides those that the run itself knows. A category with too few good
    images has no cut, or with `pooled` that of the good images of all. Below benchmarks, their names, `categories` and
    the names of these, and in `all`, lies what `_result` gives. Raises ZsadError naming the file at fault.
    """
    needed = thresholds.images_needed(rate, sure)
    facts, files = read_facts(run_uri), prediction_files(run_uri)
    images = read_images(files, "scores")
    if labels_uri:
        images["label"] = labels_of(images, labels_uri)
    good, own = good_images(run_uri, which, files, images)
    groups = _groups(images)
    of_all = _cuts(good, rate, sure) if len({*groups, *_groups(good)}) > 1 else None
    judged = images[~own].copy()
    judged["cut"] = math.nan
    benchmarks: dict[str, Any] = {}
    for benchmark, category in groups:
        own_cuts = _cuts(_of_group(good, benchmark, category), rate, sure)
        cuts = own_cuts
        if pooled and of_all is not None and own_cuts["score"].cut is None:
            cuts = of_all
        rows = _of_group(judged, benchmark, category)
        result = {"own_good_images": own_cuts["score"].good_images, "pooled": cuts is of_all} | _result(cuts, rows)
        benchmarks.setdefault(benchmark, {"categories": {}})["categories"][category] = result
        if cuts["score"].cut is not None:
            judged.loc[rows.index, "cut"] = cuts["score"].cut
    content = {
        "run": facts["settings"],
        "normal": storage.without_credentials(which),
        "false_alarms": rate,
        "sure": sure,
        "needed": needed,
        "good_not_scored": int(good["score"].isna().sum()),
        "benchmarks": benchmarks,
        "all": of_all and _result(of_all, judged),
    }
    flagged = _flagged(judged)
    content["flagged"] = len(flagged)
    folder = storage.join(run_uri, "thresholds")
    storage.write_bytes(storage.join(folder, "flagged.csv"), flagged.to_csv(index=False, lineterminator="\n").encode())
    storage.write_json(storage.join(folder, "thresholds.json"), content)
    return content


def _groups(images: pd.DataFrame) -> list[tuple[str, str]]:
    return sorted(images[_GROUP].astype(str).drop_duplicates().itertuples(index=False, name=None))


def _of_group(images: pd.DataFrame, benchmark: str, category: str) -> pd.DataFrame:
    return images[(images["benchmark"] == benchmark) & (images["category"] == category)]


def _cuts(good: pd.DataFrame, rate: float, sure: float | None) -> dict[str, thresholds.Cut]:
    """On the score and on the map's peak."""
    scored = good[good["score"].notna()]
    columns = {"score": scored["score"], "map": scored["peak"]}
    return {name: thresholds.false_alarm_cut(values, rate, sure) for name, values in columns.items()}


def _result(cuts: dict[str, thresholds.Cut], judged: pd.DataFrame) -> dict[str, Any]:
    """What thresholds.json has of a category, or of all: the cuts, and what they do to the images that are judged."""
    scored = judged[judged["score"].notna()]
    cut = cuts["score"].cut
    result: dict[str, Any] = {name: of_name._asdict() for name, of_name in cuts.items()}
    result |= {"images": len(scored), "not_scored": len(judged) - len(scored), "flagged": None, "labelled": None}
    if cut is None:
        return result
    above = scored["score"] > cut
    anomalous = scored["label"] == 1
    result["flagged"] = int(above.sum())
    if judged["label"].notna().any():
        flagged, of_them = int((above & scored["label"].notna()).sum()), int((above & anomalous).sum())
        share = thresholds.precision(of_them, flagged)
        result["labelled"] = {
            "flagged": flagged,
            "flagged_anomalous": of_them,
            "precision": share and dict(zip(("value", "low", "high"), share)),
            # Of those below the cut some have to be labelled: often only what was flagged is looked at.
            "missed": int((~above & anomalous).sum()) if (~above & scored["label"].notna()).any() else None,
            "anomalous": int(anomalous.sum()),
            "anomalous_not_scored": int((judged["label"] == 1).sum() - anomalous.sum()),
        }
    return result


def _flagged(judged: pd.DataFrame) -> pd.DataFrame:
    """Most suspicious first; of equal ones in the order of benchmarks and keys."""
    flagged = judged[judged["score"] > judged["cut"]]
    flagged = flagged.assign(above=flagged["score"] - flagged["cut"])
    flagged = flagged[["benchmark", "key", "category", "score", "cut", "above"]].astype(
        {"benchmark": str, "category": str, "key": str}
    )
    return flagged.sort_values(["above", "benchmark", "key"], ascending=[False, True, True], kind="stable")


def threshold_table(content: dict[str, Any]) -> str:
    """The content of thresholds.json for a terminal, in percent where not cuts or counts; remarks below."""
    asked = f"{100 * content['false_alarms']:g} %"
    several = len(content["benchmarks"]) > 1
    results = [
        (f"{benchmark}: {category}" if several else category, result)
        for benchmark, of_benchmark in content["benchmarks"].items()
        for category, result in of_benchmark["categories"].items()
    ]
    remarks = [line for name, result in results if (line := _remark(name, result, content, asked))]
    if content["all"]:
        results.append(("all", content["all"]))
    head = ["", "good", "cut", "false alarms", "95 % interval", f"P(≤ {asked})", "map's cut", "images", "flagged"]
    rows = [[name, *_cells(result)] for name, result in results]
    if any(result["labelled"] for _, result in results):
        head += ["precision", "95 % interval", "anomalous", "missed"]
        rows = [row + _labelled_cells(result["labelled"]) for row, (_, result) in zip(rows, results)]
    return "\n".join([*text_table([head, *rows]), *remarks, f"\n{_LEGEND.format(asked)}"])


def _cells(result: dict[str, Any]) -> list[str]:
    cut, map_cut = result["score"], result["map"]["cut"]
    shown = [DASH if value is None else f"{value:.4f}" for value in (cut["cut"], map_cut)]
    flagged = DASH if result["flagged"] is None else f"{result['flagged']:,}"
    probability, images = percent(cut["probability"]), f"{result['images']:,}"
    good = f"{cut['good_images']:,}"
    return [good, shown[0], percent(cut["expected"]), _interval(cut), probability, shown[1], images, flagged]


def _labelled_cells(labelled: dict[str, Any] | None) -> list[str]:
    if not labelled:
        return [DASH] * 4
    share = labelled["precision"] or {"value": None, "low": None}
    pairs = ("flagged_anomalous", "flagged"), ("missed", "anomalous")
    counts = [DASH if labelled[some] is None else f"{labelled[some]:,} of {labelled[whole]:,}" for some, whole in pairs]
    return [percent(share["value"]), _interval(share), *counts]


def _interval(cell: dict[str, Any]) -> str:
    return DASH if cell["low"] is None else f"[{percent(cell['low'])}, {percent(cell['high'])}]"


def _remark(name: str, result: dict[str, Any], content: dict[str, Any], asked: str) -> str | None:
    """Why a category has no cut of its own, or not all of its images are judged."""
    texts = []
    if result["pooled"] or result["score"]["cut"] is None:
        sure = "" if content["sure"] is None else f" with a probability of {content['sure']:g}"
        count, needed = number_of_images(result["own_good_images"]), content["needed"]
        texts.append(f"{count} known to be good, {needed:,} are needed for {asked}{sure}")
        if result["pooled"] and result["score"]["cut"] is not None:
            texts.append("it takes the cut of all")
        elif (of_all := content["all"]) and of_all["score"]["cut"] is not None:
            texts.append("no cut (--pooled gives it that of all)")
        else:
            texts.append("no cut")
    if result["not_scored"]:
        texts.append(f"{number_of_images(result['not_scored'])} could not be scored")
    return f"- {one_line(name)}: {'; '.join(texts)}." if texts else None


def read_cuts(run_uri: str, settings: dict, what: Literal["score", "map"]) -> dict[str, dict[str, float | None]]:
    """Benchmark -> category -> its cut of `<run>/thresholds/thresholds.json`, None where it has none; empty without a
    file.

    ZsadError where the file is damaged, or was made when the run had other `settings`.
    """
    uri = storage.join(run_uri, "thresholds", "thresholds.json")
    if not storage.exists(uri):
        return {}
    content = storage.read_json(uri)
    try:
        if content["run"] != settings:
            raise ZsadError(f"{uri}: made when the run had other settings; run `zsad threshold` again, or remove it")
        return {
            benchmark: {category: result[what]["cut"] for category, result in of_benchmark["categories"].items()}
            for benchmark, of_benchmark in content["benchmarks"].items()
        }
    except (LookupError, TypeError, AttributeError) as error:
        raise ZsadError(f"{uri}: not what `zsad threshold` wrote ({error!r}); run it again, or remove it") from None
