"""Published figures of the field's methods, each with how it was read; the facts stand in published.json.

They are printed figures, not measurements of this package, and mostly without intervals.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

STATUSES = ("first-hand", "second-hand", "re-run")


@dataclass(frozen=True)
class PublishedFigure:
    """`value` in 0..1. `level`: "image" or "pixel". `metric`: auroc, ap, f1_max or aupro_200.

    `status`: "first-hand" (the method's own page), "second-hand" (quoted by a later work) or "re-run" (measured by
    others). `source`: where it was read.
    """

    method: str
    benchmark: str
    level: str
    metric: str
    value: float
    status: str
    source: str


def published_figures() -> tuple[PublishedFigure, ...]:
    """All published figures; what this field prints as AUPRO is the variant with 200 thresholds, and named so."""
    return tuple(
        PublishedFigure(
            **row | {"value": round(row["value"] / 100, 6), "metric": row["metric"].replace("aupro", "aupro_200")}
        )
        for row in _facts()["rows"]
    )


def published_test_list(method: str, benchmark: str) -> str | None:
    """Which of the benchmark's test lists (table.py: variants) the method, in any case, was measured on, if known."""
    lists = _facts()["test_lists"].get(benchmark, {})
    return next((test_list for name, test_list in lists.items() if name.casefold() == method.casefold()), None)


@cache
def _facts() -> dict[str, Any]:
    return json.loads(resources.files(__package__).joinpath("published.json").read_text(encoding="utf-8"))
