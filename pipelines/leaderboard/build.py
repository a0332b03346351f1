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
from pipelines.leaderboard.published import (
    ONE_TEST_SET,
    PUBLISHED_MARK,
    add_published,
    published_cell,
    published_entry,
    test_set_of,
)
from pipelines.tables import COLUMNS, COUNTS, GROUPS, remarks_on
from zsad_core.benchmarks.published import STATUSES, PublishedFigure, published_figures
from zsad_core.benchmarks.table import Benchmark
from zsad_core.benchmarks.table import benchmarks as benchmarks_of_the_table
from zsad_core.errors import UsageError
from zsad_core.metrics.intervals import interval, interval_of_mean


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
                cells[method + PUBLISHED_MARK] = published_cell(method, table[name], of_method)
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
        "entries": [entry.facts() for entry in entries] + [published_entry(method) for method in others],
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
    found = [test_set_of(benchmark, each) for each in of_runs] if benchmark else [(None, [])]
    test_set = found[0][0] if len({test_set for test_set, _ in found}) == 1 else None
    remarks = list(dict.fromkeys(remark for _, of_run in found for remark in of_run))
    remarks += add_published(mean, entry, benchmark, test_set, figures)
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
