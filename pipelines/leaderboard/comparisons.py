"""Entries of a leaderboard compared on exactly the same images, from how much each image moves each metric.

Only images that both count are the same sample twice: on others the difference of two methods has no paired test.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import statistics
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines import parquet, storage
from pipelines.influence import INFLUENCE_SCHEMA, influence_uri
from pipelines.tables import COLUMNS, Column
from zsad_core.errors import ZsadError
from zsad_core.metrics.intervals import UNKNOWN, Spread, combined, paired_difference, spread

_OF_IMAGE = ("key", "sha256", "category", "label")


class Counted(NamedTuple):
    """The images of a category that a metric counts: which they are, their influence (n,) and labels (n,).

    `images` is a digest of their keys, contents and labels; None where the runs of an entry count different ones.
    """

    images: str | None
    influence: np.ndarray
    labels: np.ndarray

    @property
    def spread(self) -> Spread:
        """Of the metric in this category; unknown where the images are."""
        return UNKNOWN if self.images is None else spread(self.influence, self.labels)


Influence = dict[str, dict[str, Counted]]
"""Column name -> category -> the images counted there, of one benchmark."""


def read_influence(run: str, benchmark: str, results: dict) -> Influence:
    """What `zsad reduce` left about the images of a benchmark, whose part of `results.json` is `results`.

    ZsadError where it is missing, damaged or of another reduction than the results.
    """
    uri = influence_uri(storage.join(run, "metrics"), benchmark)
    columns = [column for column in COLUMNS if column.level in results["levels"]]
    try:
        with storage.open_for_reading(uri) as file:
            table = parquet.read(file, INFLUENCE_SCHEMA, [*_OF_IMAGE, *(column.name for column in columns)])
            table = table.sort_by([("category", "ascending"), ("key", "ascending")])
            categories = np.array(table["category"].to_pylist(), dtype=object)
            facts = zip(*(table[name].to_pylist() for name in ("key", "sha256", "label")), strict=True)
            images = np.array([repr(each) for each in facts], dtype=object)
            labels = table["label"].fill_null(-1).to_numpy()  # those without a label are a stratum too
            values = {column.name: np.array(table[column.name].to_numpy()) for column in columns}
    except FileNotFoundError:
        raise ZsadError(f"{uri}: no such file; run `zsad reduce {run}` to make it") from None
    except (pa.ArrowException, OSError, LookupError, ValueError) as error:
        raise ZsadError(f"{uri}: damaged ({error}); run `zsad reduce {run}` to make it again") from None

    influence: Influence = {column.name: {} for column in columns}
    for category, result in results["categories"].items():
        rows = np.flatnonzero(categories == category)
        if len(rows) != result["images"]:
            raise ZsadError(
                f"{uri}: {len(rows)} images of {category!r} where results.json has {result['images']}; "
                f"run `zsad reduce {run}` to make both again"
            )
        digests: dict[bytes, str] = {}
        for column in columns:
            counted = rows[~np.isnan(values[column.name][rows])]
            if not len(counted) and _value(result, column) is not None:
                raise ZsadError(f"{uri}: no {column.name} of {category!r}; run `zsad reduce {run}` to make it again")
            if len(counted):
                if (chosen := counted.tobytes()) not in digests:
                    digests[chosen] = hashlib.sha256("\n".join(images[counted]).encode()).hexdigest()
                influence[column.name][category] = Counted(
                    digests[chosen], values[column.name][counted], labels[counted]
                )
    return influence


def mean_influence(of_runs: list[Influence]) -> Influence:
    """Influence of each image on the mean of several runs' metrics: the mean of its influence on each.

    Where the runs count different images there is none (`Counted.images` is None).
    """
    if len(of_runs) == 1:
        return of_runs[0]
    united: Influence = {}
    for name in dict.fromkeys(name for each in of_runs for name in each):
        of_columns = [each.get(name, {}) for each in of_runs]
        united[name] = {}
        for category in dict.fromkeys(category for each in of_columns for category in each):
            cells = [each[category] for each in of_columns if category in each]
            first = cells[0]
            if len(cells) == len(of_columns) and all(cell.images == first.images for cell in cells):
                mean = np.mean([cell.influence for cell in cells], axis=0)
                united[name][category] = Counted(first.images, mean, first.labels)
            else:
                united[name][category] = Counted(None, np.empty(0), np.empty(0))
    return united


def same_images(influence: Influence, column: Column) -> str | None:
    """A text that is equal for two entries exactly where they count the same images; None where none is known."""
    counted = influence.get(column.name, {})
    if not counted or any(cell.images is None for cell in counted.values()):
        return None
    return repr(sorted((category, cell.images) for category, cell in counted.items()))


_Compared = tuple[dict, tuple[float, float], Spread]
"""Of a benchmark: what leaderboard.json has of the comparison, the two means, the spread of their difference."""


def compare(entries: list[str], benchmarks: list[dict], influence: dict[tuple[str, str], Influence]) -> dict:
    """All pairs of `entries` on all `benchmarks` (as in leaderboard.json) that both cover.

    `influence`: of (entry, benchmark). Returns the parts `comparisons`, `overall_comparisons` (of the means over the
    `benchmarks` that could be compared, two or more) and `not_compared` (with `why`) of leaderboard.json.
    """
    comparisons, overall, not_compared = [], [], []
    for a, b in itertools.combinations(entries, 2):
        of_columns: dict[Column, list[_Compared]] = {}
        for benchmark in benchmarks:
            name, pair = benchmark["name"], {"a": a, "b": b, "benchmark": benchmark["name"]}
            there = [entry for entry in (a, b) if entry in benchmark["cells"]]
            if len(there) < 2:
                not_compared += [{**pair, "columns": [], "why": f"only {only} has it"} for only in there]
                continue
            cells = [benchmark["cells"][entry] for entry in there]
            reasons: dict[str, list[str]] = {}
            for column in COLUMNS:
                mean_a, mean_b = (_value(cell["mean"], column) for cell in cells)
                if mean_a is None and mean_b is None:
                    continue
                if mean_a is None or mean_b is None:
                    reasons.setdefault("undefined in one of both", []).append(column.name)
                    continue
                means = mean_a, mean_b
                found = _compared(cells, means, [influence[entry, name] for entry in there], column)
                if isinstance(found, str):
                    reasons.setdefault(found, []).append(column.name)
                    continue
                of_difference, tested = found
                comparisons.append({**pair, "group": column.group, "metric": column.metric, **tested})
                of_columns.setdefault(column, []).append((comparisons[-1], means, of_difference))
            not_compared += [{**pair, "columns": columns, "why": why} for why, columns in reasons.items()]
        overall += [_overall(a, b, column, parts) for column, parts in of_columns.items() if len(parts) > 1]
    return {"comparisons": comparisons, "overall_comparisons": overall, "not_compared": not_compared}


def _compared(
    cells: list[dict], means: tuple[float, float], influence: list[Influence], column: Column
) -> tuple[Spread, dict] | str:
    """(spread of the difference of the means, the difference with what tells of it), or why there is none."""
    images = [same_images(each, column) for each in influence]
    if images[0] is None or images[0] != images[1]:
        return "not the same images"
    a, b = (each[column.name] for each in influence)
    spreads, counted = [], 0
    defined = [
        {name for name, result in cell["categories"].items() if _value(result, column) is not None} for cell in cells
    ]
    if defined[0] != defined[1] or not defined[0] <= a.keys():
        return "not defined in the same categories"
    for category in sorted(defined[0]):
        if any(cell["categories"][category][column.group][column.metric]["low"] is None for cell in cells):
            return "a category with too few images to tell"
        spreads.append(spread(a[category].influence - b[category].influence, a[category].labels))
        counted += len(a[category].labels)
    of_difference = _of_mean(spreads)
    tested = paired_difference(*means, of_difference)
    if math.isnan(tested["p"]):
        return "no image tells them apart"
    return of_difference, tested | {"images": counted}


def _of_mean(spreads: list[Spread]) -> Spread:
    total = combined(spreads)
    return total._replace(variance=total.variance / len(spreads) ** 2)


def _overall(a: str, b: str, column: Column, parts: list[_Compared]) -> dict:
    """The means over several benchmarks compared, which are independent of each other."""
    compared, means, spreads = zip(*parts)
    mean_a, mean_b = (statistics.fmean(values) for values in zip(*means))
    return {
        "a": a,
        "b": b,
        "benchmarks": [each["benchmark"] for each in compared],
        "group": column.group,
        "metric": column.metric,
        **paired_difference(mean_a, mean_b, _of_mean(list(spreads))),
        "images": sum(each["images"] for each in compared),
    }


def holm(p: list[float]) -> list[float]:
    """P values corrected for their number by Holm's step-down rule, in the given order.

    Those at most alpha are significant with a chance of at most alpha that any of them is so by accident.
    """
    corrected = [1.0] * len(p)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = highest
    return corrected


def _value(groups: dict, column: Column) -> float | None:
    return groups[column.group][column.metric]["value"] if groups[column.group] else None
