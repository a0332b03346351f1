"""The published figures beside a run's: as entries of their own, and whether they are on the same images."""

from __future__ import annotations

from pipelines.leaderboard.entries import Entry
from pipelines.tables import COUNTS
from pipelines.texts import number_of_images
from zsad_core.benchmarks.published import PublishedFigure, published_test_list
from zsad_core.benchmarks.table import Benchmark
from zsad_core.benchmarks.table import benchmark as benchmark_of_the_table

PUBLISHED_MARK = " (published)"


ONE_TEST_SET = "published"  # name of the test set where only one is published


def add_published(
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


def test_set_of(benchmark: Benchmark, of_run: dict) -> tuple[str | None, list[str]]:
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


def published_entry(method: str) -> dict:
    return {
        "name": method + PUBLISHED_MARK,
        "kind": "published",
        "method": method,
        "made_by": None,
        "untrained": False,
        "seeds": [],
        "runs": [],
    }


def published_cell(method: str, benchmark: Benchmark, figures: list[PublishedFigure]) -> dict:
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
