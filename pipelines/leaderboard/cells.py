"""What a cell of a leaderboard's tables shows, whatever they are written in: its figures, marks and rank."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from pipelines.tables import FEWER, Column
from pipelines.texts import DASH, percent

STATUS_MARKS = {"first-hand": "ᶠ", "second-hand": "ˢ", "re-run": "ʳ"}
OTHER_IMAGES = "‡"
_OVER = "(k/n)"
LEGENDS = {
    "ᶠ": "published, read first-hand on the method's own page",
    "ˢ": "published, read second-hand in a later work",
    "ʳ": "published by others who ran the method again",
    FEWER: "mean over fewer categories than the benchmark has",
    OTHER_IMAGES: "not on the published test set (remarks in leaderboard.md); of a mean: one of its values is not",
    _OVER: "mean over those k of the n benchmarks whose values are there",
    "±": "standard deviation over the runs",
    DASH: "undefined or not known",
}
HIGHLIGHTS = "Bold and underlined: the best and the second of those that are on the same images."


class Shown(NamedTuple):
    """A cell of a table of means: fractions, `over` as "k/n" where a mean lacks benchmarks, `rank` 1 or 2 of those
    that can be compared, else 0."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    marks: str = ""
    over: str = ""
    rank: int = 0


def means_table(leaderboard: dict, column: Column) -> tuple[list[str], list[tuple[dict, list[Shown]]]]:
    """(titles, rows) of a metric: the benchmarks that have its level, then their overall means; an entry a row.

    Entries without any value have no row.
    """
    shown = [each for each in leaderboard["benchmarks"] if column.level in each["levels"]]
    overall = [each for each in leaderboard["overall"] if sum(b["name"] in each["benchmarks"] for b in shown) > 1]
    compared = {
        (each["a"], each["b"], each["benchmark"])
        for each in leaderboard["comparisons"]
        if (each["group"], each["metric"]) == (column.group, column.metric)
    }
    columns = []
    for benchmark in shown:
        best = _ranks(leaderboard["entries"], [benchmark], column, compared)
        columns.append({name: shown_cell(benchmark, name, column, best.get(name, 0)) for name in benchmark["cells"]})
    for part in overall:
        of_part = [each for each in shown if each["name"] in part["benchmarks"]]
        best = _ranks(leaderboard["entries"], of_part, column, compared)
        columns.append(
            {
                name: _overall_cell(means[column.group][column.metric], best.get(name, 0))
                for name, means in part["means"].items()
            }
        )
    rows = [(entry, [each.get(entry["name"], Shown()) for each in columns]) for entry in leaderboard["entries"]]
    titles = [each["name"] for each in shown] + [f"mean of {each['name']}" for each in overall]
    return titles, [(entry, cells) for entry, cells in rows if any(cell.value is not None for cell in cells)]


def cell_text(cell: Shown) -> str:
    """The cell as plain text, without its interval."""
    spread = "" if cell.spread is None else f" ± {percent(cell.spread)}"
    return percent(cell.value) + cell.marks + spread + (f" ({cell.over})" if cell.over else "")


def shown_cell(benchmark: dict, name: str, column: Column, rank: int = 0) -> Shown:
    cell = benchmark["cells"].get(name, {"mean": {}})
    found = (cell["mean"].get(column.group) or {}).get(column.metric)
    if found is None or found["value"] is None:
        return Shown()
    marks = OTHER_IMAGES if cell["test_set"] != benchmark["test_set"] else ""
    if "status" in found:
        return Shown(found["value"], marks=marks + STATUS_MARKS[found["status"]], rank=rank)
    marks = (FEWER if found["categories"] < len(cell["categories"]) else "") + marks
    return Shown(found["value"], found["low"], found["high"], found["spread"], marks, rank=rank)


def _overall_cell(mean: dict, rank: int) -> Shown:
    over = f"{mean['benchmarks']}/{mean['of']}" if is_partial(mean) else ""
    marks = (OTHER_IMAGES if mean["other_images"] else "") + "".join(STATUS_MARKS[each] for each in mean["statuses"])
    if mean["value"] is None:
        return Shown()
    return Shown(mean["value"], mean["low"], mean["high"], marks=marks, over=over, rank=rank)


def _ranks(
    entries: list[dict], benchmarks: list[dict], column: Column, compared: set[tuple[str, str, str]]
) -> dict[str, int]:
    """Entry -> 1 or 2: the best and the second of the mean over `benchmarks`, among entries on the same images.

    Those are the entries on the published test sets, or those that were `compared` in pairs (a, b, benchmark); where
    there are several such groups, the one with the most runs. A value that all of them share is no best one, nor is one
    of untrained weights.
    """

    def same_images(a: str, b: str) -> bool:
        for benchmark in benchmarks:
            test_sets = [benchmark["cells"][name]["test_set"] for name in (a, b)]
            if (None in test_sets or test_sets[0] != test_sets[1]) and (a, b, benchmark["name"]) not in compared:
                return False
        return True

    values: dict[str, float] = {}
    groups: list[list[str]] = []
    for entry in entries:
        name = entry["name"]
        cells = [shown_cell(each, name, column) for each in benchmarks]
        known = [cell.value for cell in cells if cell.value is not None and FEWER not in cell.marks]
        if entry["untrained"] or len(known) < len(cells):
            continue
        values[name] = float(percent(math.fsum(known) / len(cells)))  # as it is shown
        group = next((group for group in groups if same_images(group[0], name)), None)
        groups.append([name]) if group is None else group.append(name)
    runs = {entry["name"] for entry in entries if entry["kind"] == "run"}
    group = max(groups, key=lambda group: sum(name in runs for name in group), default=[])
    steps = sorted({values[name] for name in group}, reverse=True)[:2]
    return {name: steps.index(values[name]) + 1 for name in group if values[name] in steps} if len(steps) > 1 else {}


def untrained_note(leaderboard: dict) -> str:
    """Says which entries no figure can be taken from; empty where there are none."""
    names = [entry["name"] for entry in leaderboard["entries"] if entry["untrained"]]
    return f"untrained weights, the figures mean nothing: {', '.join(names)}" if names else ""


def legend(texts: list[str]) -> list[str]:
    """What the marks in `texts` stand for, a line each."""
    text = "\n".join(texts)
    used = [mark for mark in LEGENDS if (re.search(r"\(\d+/\d+\)", text) if mark == _OVER else mark in text)]
    return [f"{mark} {LEGENDS[mark]}" for mark in used]


def is_partial(mean: dict) -> bool:
    """Whether an overall mean lacks the values of some benchmarks."""
    return 0 < mean["benchmarks"] < mean["of"]
