"""Runs and published figures to one leaderboard: what every method got on every benchmark, and what differs for sure.

Several runs of an entry give their mean. Its interval is for the images, with the runs as they are: each image's
influence on the mean is the mean of its influences. How much the runs differ is beside it, as `spread`.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable

from pipelines.leaderboard.comparisons import Influence, compare, mean_influence, read_influence, same_images
from pipelines.leaderboard.entries import Entry, read_entries
from pipelines.tables import COLUMNS, COUNTS, GROUPS, number_of_images, remarks_on
from zsad_core.benchmarks.published import STATUSES, PublishedFigure, published_figures, published_test_list
from zsad_core.benchmarks.table import Benchmark
from zsad_core.benchmarks.table import benchmark as benchmark_of_the_table
from zsad_core.benchmarks.table import benchmarks as benchmarks_of_the_table
from zsad_core.errors import UsageError
from zsad_core.metrics.intervals import interval, interval_of_mean

PUBLISHED_MARK = " (published)"
ONE_TEST_SET = "published"  # name of the test set where only one is published


def leaderboard(runs: list[str], published: str = "all") -> dict:
    """The content of leaderboard.json: fractions, None where undefined; the same runs give the same dict.

    `runs`: RUN or NAME=RUN, see `read_entries`. `published`: the methods whose published figures stand beside, "all",
    the "same" as in the runs, or "none". Raises ZsadError where a run's metrics are missing or damaged.
    """
    entries = read_entries(runs)
    table = {each.name: each for each in benchmarks_of_the_table()}
    covered = dict.fromkeys(name for entry in entries for run in entry.runs for name in run.results["benchmarks"])
    names = [name for name in table if name in covered] + [name for name in covered if name not in table]
    influence = _read_influence(entries, names)
    methods = {entry.method.casefold() for entry in entries}
    chosen = [] if published == "none" else list(published_figures())
    if published == "same":
        chosen = [figure for figure in chosen if figure.method.casefold() in methods]
    figures = [figure for figure in chosen if figure.benchmark in table]  # data of one's own may have any other name
    others = list(dict.fromkeys(figure.method for figure in figures if figure.benchmark in names))
    for entry in entries:
        if entry.name.removesuffix(PUBLISHED_MARK) in others and entry.name.endswith(PUBLISHED_MARK):
            raise UsageError(f"{entry.name}: so the published figures are called; choose another name")

    benchmarks = []
    for name in names:
        cells = {
            entry.name: _cell(entry, name, influence.get((entry.name, name), {}), table.get(name), figures)
            for entry in entries
            if entry.runs_of(name)
        }
        for method in others:
            of_method = [figure for figure in figures if (figure.method, figure.benchmark) == (method, name)]
            if of_method:
                cells[method + PUBLISHED_MARK] = _published_cell(method, table[name], of_method)
        of_runs = [run.results["benchmarks"][name] for entry in entries for run in entry.runs_of(name)]
        benchmarks.append(
            {
                "name": name,
                "domain": of_runs[0]["domain"],
                "levels": [level for level in ("image", "pixel") if any(level in each["levels"] for each in of_runs)],
                "expected_images": table[name].test_images if name in table else None,
                "test_set": (table[name].variant or ONE_TEST_SET) if name in table else None,
                "cells": cells,
            }
        )
    return {
        "entries": [entry.facts() for entry in entries] + [_published_entry(method) for method in others],
        "columns": [{"group": column.group, "metric": column.metric, "title": column.title} for column in COLUMNS],
        "benchmarks": benchmarks,
        "overall": _overall(benchmarks),
        **compare([entry.name for entry in entries], benchmarks, influence),
        "published_left_out": [
            {"benchmark": name, "why": "no run covers it" if name in table else "not one of the table's benchmarks"}
            for name in sorted({figure.benchmark for figure in chosen} - (table.keys() & names))
        ],
    }


def _read_influence(entries: list[Entry], names: list[str]) -> dict[tuple[str, str], Influence]:
    """Of (entry, benchmark), where something follows from it: where several runs cover the benchmark."""
    influence = {}
    for name in names:
        of_entries = [(entry, entry.runs_of(name)) for entry in entries]
        if sum(len(runs) for _, runs in of_entries) > 1:
            for entry, runs in of_entries:
                if runs:
                    of_runs = [read_influence(run.uri, name, run.results["benchmarks"][name]) for run in runs]
                    influence[entry.name, name] = mean_influence(of_runs)
    return influence


def _cell(
    entry: Entry, name: str, influence: Influence, benchmark: Benchmark | None, figures: list[PublishedFigure]
) -> dict:
    """What an entry got on a benchmark. `figures` that the same method published stand beside its means."""
    of_runs = [run.results["benchmarks"][name] for run in entry.runs_of(name)]
    categories = {
        category: _category(
            [each["categories"][category] for each in of_runs if category in each["categories"]], category, influence
        )
        for category in dict.fromkeys(category for each in of_runs for category in each["categories"])
    }
    mean = {
        group: _over_runs(
            [each["mean"][group] for each in of_runs],
            functools.partial(_interval_of_mean, categories, group),
        )
        for group in GROUPS
    }
    for group, values in mean.items():
        for metric, facts in (values or {}).items():
            facts["categories"] = min(
                each["mean"][group][metric]["categories"] for each in of_runs if each["mean"][group]
            )
    found = [_test_set(benchmark, each) for each in of_runs] if benchmark else [(None, [])]
    test_set = found[0][0] if len({test_set for test_set, _ in found}) == 1 else None
    remarks = list(dict.fromkeys(remark for _, of_run in found for remark in of_run))
    remarks += _add_published(mean, entry, benchmark, test_set, figures)
    remarks += remarks_on(list(categories.values()))
    if any(same_images(influence, column) is None for column in COLUMNS if influence.get(column.name)):
        remarks.append(f"its {len(of_runs)} runs are not on the same images, so their mean has no interval everywhere")
    return {
        **{count: sum(result[count] for result in categories.values()) for count in COUNTS},
        "test_set": test_set,
        "remarks": remarks,
        "mean": mean,
        "categories": categories,
    }


def _add_published(
    mean: dict, entry: Entry, benchmark: Benchmark | None, test_set: str | None, figures: list[PublishedFigure]
) -> list[str]:
    """Put what the entry's method published beside the means in `mean`; remarks on the images of the published."""
    own = [
        figure
        for figure in figures
        if benchmark and figure.benchmark == benchmark.name and figure.method.casefold() == entry.method.casefold()
    ]
    of_method = _published_test_set(entry.method, benchmark) if benchmark and own else None
    for group, values in mean.items():
        for metric, facts in (values or {}).items():
            figure = next((each for each in own if (each.level, each.metric) == (group, metric)), None)
            facts["published"] = figure and {
                "value": figure.value,
                "status": figure.status,
                "source": figure.source,
                "difference": None if facts["value"] is None else facts["value"] - figure.value,
                "same_test_set": test_set is not None and test_set == of_method,
            }
    if not own or benchmark is None or not benchmark.variant:
        return []
    if of_method is None:
        return ["the published figures' test list is not known"]
    of_runs = [run.results["benchmarks"][benchmark.name] for run in entry.runs_of(benchmark.name)]
    if all((each.get("variant") or benchmark.variant) == of_method for each in of_runs):
        return []
    return [f"the published figures' test list: {of_method}"]


def _category(of_runs: list[dict], category: str, influence: Influence) -> dict:
    """A category's part of `results.json`, with the mean over the runs; counts are the first run's."""

    def of_images(group: str) -> Callable[[str], tuple[float | None, float | None]]:
        return lambda metric: _interval(of_runs, category, group, metric, influence)

    def of_defect(defect: str) -> dict:
        there = [each["defects"][defect] for each in of_runs if defect in each["defects"]]
        # Of a defect's images no influence is kept, so the mean of several runs has no interval.
        values = {group: _over_runs([each[group] for each in there], lambda _: (None, None)) for group in GROUPS}
        return {"images": there[0]["images"], **values}

    return {
        **{count: of_runs[0][count] for count in COUNTS},
        "expected": of_runs[0]["expected"],
        **{group: _over_runs([each[group] for each in of_runs], of_images(group)) for group in GROUPS},
        "defects": {
            defect: of_defect(defect)
            for defect in dict.fromkeys(defect for each in of_runs for defect in each["defects"])
        },
    }


def _over_runs(
    of_runs: list[dict | None], interval_of: Callable[[str], tuple[float | None, float | None]]
) -> dict | None:
    """{metric: value, low, high, spread, runs} of a group: the run's own, or the mean of several with its interval."""
    there = [each for each in of_runs if each is not None]
    if not there:
        return None
    values = {}
    for metric in there[0]:
        defined = [each[metric]["value"] for each in there if each[metric]["value"] is not None]
        if len(there) == 1:
            low, high = there[0][metric].get("low"), there[0][metric].get("high")
        else:
            low, high = interval_of(metric)
        values[metric] = {
            "value": statistics.fmean(defined) if defined else None,
            "low": low,
            "high": high,
            "spread": statistics.stdev(defined) if len(defined) > 1 else None,
            "runs": len(defined),
        }
    return values


def _interval(
    of_runs: list[dict], category: str, group: str, metric: str, influence: Influence
) -> tuple[float | None, float | None]:
    """Of the mean over several runs in a category; (None, None) where a run has none or the images differ."""
    of_metric = [each[group][metric] for each in of_runs if each[group]]
    counted = influence.get(f"{group}_{metric}", {}).get(category)
    if counted is None or counted.images is None or any(each.get("low") is None for each in of_metric):
        return None, None
    value = statistics.fmean(each["value"] for each in of_metric)
    return _known(*interval(value, counted.spread))


def _interval_of_mean(categories: dict[str, dict], group: str, metric: str) -> tuple[float | None, float | None]:
    """Of the benchmark's mean of the mean over several runs, from the categories' values and intervals."""
    cells = [result[group][metric] for result in categories.values() if result[group]]
    return _interval_over([cell for cell in cells if cell["value"] is not None])


def _interval_over(cells: list[dict]) -> tuple[float | None, float | None]:
    """Of the mean of independent values, of categories or of benchmarks; (None, None) where one has no interval."""
    if not cells or any(cell.get("low") is None for cell in cells):
        return None, None
    return interval_of_mean([cell["value"] for cell in cells], [(cell["low"], cell["high"]) for cell in cells])


def _known(low: float, high: float) -> tuple[float | None, float | None]:
    return (None, None) if math.isnan(low) else (low, high)


def _test_set(benchmark: Benchmark, of_run: dict) -> tuple[str | None, list[str]]:
    """(the published test set that a run's images are, None where they are others; remarks on what is other)."""
    variant = of_run.get("variant") or benchmark.variant
    listed = benchmark_of_the_table(benchmark.name, variant)
    categories = {name: result for name, result in of_run["categories"].items() if result["images"]}
    totals = {count: sum(result[count] for result in categories.values()) for count in COUNTS}
    found = {
        name: (result["images"] - result["anomalous"] - result["unlabelled"], result["anomalous"])
        for name, result in categories.items()
    }
    remarks = [] if variant == benchmark.variant else [_other_list(listed)]
    scored = totals["images"] - totals["left_out"]
    if scored != listed.test_images:
        return None, [f"{scored:,} of {number_of_images(listed.test_images)}", *remarks]
    if found != {each.name: (each.test_normal, each.test_anomalous) for each in listed.categories}:
        return None, [f"other {number_of_images(scored)} than published", *remarks]
    return None if totals["pixel_left_out"] else variant or ONE_TEST_SET, remarks


def _other_list(listed: Benchmark) -> str:
    return f"other test list: {listed.variant}, {number_of_images(listed.test_images)}"


def _published_test_set(method: str, benchmark: Benchmark) -> str | None:
    """The test set of a method's published figures, None where it is not known."""
    return published_test_list(method, benchmark.name) if benchmark.variant else ONE_TEST_SET


def _published_entry(method: str) -> dict:
    return {
        "name": method + PUBLISHED_MARK,
        "kind": "published",
        "method": method,
        "made_by": None,
        "untrained": False,
        "seeds": [],
        "runs": [],
    }


def _published_cell(method: str, benchmark: Benchmark, figures: list[PublishedFigure]) -> dict:
    test_set, remarks = _published_test_set(method, benchmark), []
    if test_set is None:
        remarks.append("test list not known")
    elif benchmark.variant and test_set != benchmark.variant:
        remarks.append(_other_list(benchmark_of_the_table(benchmark.name, test_set)))
    mean: dict[str, dict] = {}
    for figure in figures:
        facts = {"value": figure.value, "status": figure.status, "source": figure.source}
        mean.setdefault(figure.level, {})[figure.metric] = facts
    return {"test_set": test_set, "remarks": remarks, "mean": mean}


def _overall(benchmarks: list[dict]) -> list[dict]:
    """Means over the benchmarks of a domain, and over all, of those values that are there.

    A value is there where it is the mean over all categories. `benchmarks` of a mean says over how many it is, `of`
    how many have its level, `other_images` whether one of them is not of the benchmark's published test set,
    `statuses` how published ones were read.
    """
    domains = {
        domain: [each for each in benchmarks if each["domain"] == domain] for domain in ("industrial", "medical")
    }
    parts = {domain: part for domain, part in domains.items() if 0 < len(part) < len(benchmarks)} | {"all": benchmarks}
    entries = list(dict.fromkeys(entry for each in benchmarks for entry in each["cells"]))
    return [
        {
            "name": name,
            "benchmarks": [each["name"] for each in part],
            "means": {entry: _overall_means(entry, part) for entry in entries},
        }
        for name, part in parts.items()
        if len(part) > 1
    ]


def _overall_means(entry: str, benchmarks: list[dict]) -> dict[str, dict]:
    means: dict[str, dict] = {}
    for column in COLUMNS:
        having = [each for each in benchmarks if column.level in each["levels"]]
        cells: list[dict] = []
        statuses, other_images = set(), False
        for benchmark in having:
            cell = benchmark["cells"].get(entry, {"mean": {}})
            found = (cell["mean"].get(column.group) or {}).get(column.metric)
            if found is None or found["value"] is None:
                continue
            if found.get("categories") in (None, len(cell.get("categories", ()))):
                cells.append(found)
                statuses |= {found["status"]} if "status" in found else set()
                other_images |= cell["test_set"] != benchmark["test_set"]
        low, high = _interval_over(cells)
        means.setdefault(column.group, {})[column.metric] = {
            "value": statistics.fmean(each["value"] for each in cells) if cells else None,
            "low": low,
            "high": high,
            "benchmarks": len(cells),
            "of": len(having),
            "other_images": other_images,
            "statuses": [status for status in STATUSES if status in statuses],
        }
    return means
