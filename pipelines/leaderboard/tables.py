"""A leaderboard as Markdown and CSV, and as what a terminal shows; percent for readers, fractions for programs."""

from __future__ import annotations

import csv
import io
from typing import Any

from pipelines.leaderboard.cells import (
    HIGHLIGHTS,
    OTHER_IMAGES,
    Shown,
    cell_text,
    is_partial,
    legend,
    means_table,
    shown_cell,
    untrained_note,
)
from pipelines.leaderboard.comparisons import holm
from pipelines.tables import COLUMNS, COUNTS, GROUPS, Column
from pipelines.texts import escape, markdown_table, one_line, percent, text_table

ALPHA = 0.05
SHOWN_IN_SHORT = 12
SHOWN = 30  # comparisons; of more the significant ones alone
MAIN = (("image", "auroc"), ("pixel", "auroc"), ("pixel", "aupro"))
_SEVERAL = ("low", "high", "spread", "published", "status", "difference")


def leaderboard_markdown(leaderboard: dict) -> str:
    """The entries, the means a metric and table, each benchmark with intervals and remarks, and what differs."""
    parts = []
    for column in COLUMNS:
        titles, rows = means_table(leaderboard, column)
        if rows:
            lines = [[escape(entry["name"]), *(_markdown_cell(cell) for cell in cells)] for entry, cells in rows]
            parts += [f"## {_title(column)}", markdown_table(["Method", *map(escape, titles)], lines)]
    for benchmark in leaderboard["benchmarks"]:
        parts += [f"## {escape(benchmark['name'])}", _benchmark(leaderboard, benchmark), _remark_lines(benchmark)]
    parts += ["## What differs", *_differences(leaderboard)]
    if left_out := leaderboard["published_left_out"]:
        names = "; ".join(f"{escape(each['benchmark'])} ({each['why']})" for each in left_out)
        parts.append(f"Published figures left out: {names}.")
    head = [
        "# Leaderboard",
        _entries(leaderboard),
        "Percent; in brackets the 95 % interval for the images. Categories and types of defects: leaderboard.csv.",
        " ".join([HIGHLIGHTS, *(f"{line}." for line in legend(parts))]),
    ]
    return "\n\n".join(part for part in head + parts if part) + "\n"


def _entries(leaderboard: dict) -> str:
    rows = [
        [escape(entry["name"]), escape(entry["made_by"]), str(len(entry["runs"]))]
        for entry in leaderboard["entries"]
        if entry["kind"] == "run"
    ]
    return markdown_table(["Method", "Made by", "Runs"], rows, 2)


def _benchmark(leaderboard: dict, benchmark: dict) -> str:
    columns = [column for column in COLUMNS if column.level in benchmark["levels"]]
    rows = []
    for entry in leaderboard["entries"]:
        cell = benchmark["cells"].get(entry["name"])
        if cell is None:
            continue
        images = str(cell["images"]) if entry["kind"] == "run" else ""
        shown = [_markdown_cell(shown_cell(benchmark, entry["name"], column), intervals=True) for column in columns]
        rows.append([escape(entry["name"]), images, *shown])
        published = [((cell["mean"].get(c.group) or {}).get(c.metric) or {}).get("published") for c in columns]
        if any(published):
            rows.append(["difference to its published figure", "", *map(_difference, published)])
    return markdown_table(["Method", "Images", *map(_title, columns)], rows)


def _difference(published: dict | None) -> str:
    if published is None:
        return ""
    return percent(published["difference"], signed=True) + ("" if published["same_test_set"] else OTHER_IMAGES)


def _remark_lines(benchmark: dict) -> str:
    lines = [
        f"- {escape(name)}: {'; '.join(map(escape, cell['remarks']))}."
        for name, cell in benchmark["cells"].items()
        if cell["remarks"]
    ]
    return "\n".join(lines)


def _differences(leaderboard: dict) -> list[str]:
    """The differences of the main metrics, of many the significant ones, and what could not be compared."""
    titles = {(column.group, column.metric): _title(column) for column in COLUMNS}
    main = [
        each
        for each in leaderboard["comparisons"] + leaderboard["overall_comparisons"]
        if (each["group"], each["metric"]) in MAIN
    ]
    corrected = holm([each["p"] for each in main])
    rows = []
    for each, p in zip(main, corrected):
        if p <= ALPHA or len(main) <= SHOWN:
            where = each.get("benchmark") or f"mean of {', '.join(each['benchmarks'])}"
            points = [percent(each[key], signed=True) for key in ("difference", "low", "high")]
            rows.append(
                [
                    escape(each["a"]),
                    escape(each["b"]),
                    escape(where),
                    titles[each["group"], each["metric"]],
                    f"{points[0]} [{points[1]}, {points[2]}]",
                    _p(each["p"]),
                    _p(p),
                ]
            )
    runs = sum(entry["kind"] == "run" for entry in leaderboard["entries"])
    parts = []
    if runs < 2:
        parts.append("There is one method that was run: nothing to compare it with.")
    elif not main:
        parts.append("No two methods that were run could be compared.")
    else:
        metrics = ", ".join(titles[each] for each in MAIN)
        significant = sum(p <= ALPHA for p in corrected)
        found = f"{significant} of {len(main):,} comparisons {'is' if significant == 1 else 'are'}"
        if not significant:
            found = f"None of {len(main):,} comparisons is"
        parts.append(
            f"Pairs on exactly the same images, {metrics}. {found} significant at {100 * ALPHA:.0f} % by Holm's "
            "correction for their number; all comparisons, of the other metrics too, are in leaderboard.json."
        )
    if rows:
        head = ["A", "B", "Benchmark", "Metric", "A - B, points", "p", "p by Holm"]
        parts.append(markdown_table(head, rows, 4))
    if leaderboard["not_compared"]:
        parts += ["Not compared:", "\n".join(_not_compared(leaderboard))]
    if any(entry["kind"] == "published" for entry in leaderboard["entries"]):
        parts.append("Published figures cannot be tested: the scores of their images are not published.")
    return parts


def _not_compared(leaderboard: dict) -> list[str]:
    compared = {(each["a"], each["b"], each["benchmark"]) for each in leaderboard["comparisons"]}
    titles = {column.name: _title(column) for column in COLUMNS}
    lines: dict[tuple[str, str, str], list[str]] = {}
    for each in leaderboard["not_compared"]:
        where = escape(each["benchmark"])
        if (each["a"], each["b"], each["benchmark"]) in compared:
            where += f" ({', '.join(titles[name] for name in each['columns'])})"
        lines.setdefault((each["a"], each["b"], each["why"]), []).append(where)
    return [
        f"- {escape(a)} and {escape(b)}, {escape(why)}: {', '.join(where)}." for (a, b, why), where in lines.items()
    ]


def _p(p: float) -> str:
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"


def _markdown_cell(cell: Shown, intervals: bool = False) -> str:
    number = percent(cell.value)
    number = {1: f"**{number}**", 2: f"<u>{number}</u>"}.get(cell.rank, number) + cell.marks
    if cell.spread is not None:
        number += f" ± {percent(cell.spread)}"
    if cell.over:
        number += f" ({cell.over})"
    if intervals and cell.low is not None:
        number += f" [{percent(cell.low)}, {percent(cell.high)}]"
    return number


def _title(column: Column) -> str:
    return f"{GROUPS[column.group]} {column.title}"


def leaderboard_csv(leaderboard: dict) -> str:
    """Fractions in full precision, empty where undefined: of every entry and benchmark a row `mean`, then a row a
    `category`, each followed by its `defect` types; at last the rows `overall`, whose benchmark is "all" or a domain.

    `fewer` names the means that lack categories (or, overall, benchmarks), as name=k/n.
    """
    head = ["entry", "kind", "method", "domain", "benchmark", "row", "category", "defect", "runs", *COUNTS]
    head += ["test_set", "fewer", "remarks"]
    head += [name for c in COLUMNS for name in (c.name, *(f"{c.name}_{each}" for each in _SEVERAL))]
    text = io.StringIO()
    writer = csv.DictWriter(text, head, restval="", lineterminator="\n")
    writer.writeheader()
    for entry in leaderboard["entries"]:
        facts = {key: entry[key] for key in ("kind", "method")} | {"entry": entry["name"]}
        for benchmark in leaderboard["benchmarks"]:
            if entry["name"] in benchmark["cells"]:
                of_benchmark = facts | {"domain": benchmark["domain"], "benchmark": benchmark["name"]}
                writer.writerows(of_benchmark | row for row in _benchmark_rows(benchmark["cells"][entry["name"]]))
        for part in leaderboard["overall"]:
            if entry["name"] in part["means"]:
                writer.writerow(facts | {"benchmark": part["name"]} | _overall_row(part["means"][entry["name"]]))
    return text.getvalue()


def _benchmark_rows(cell: dict) -> list[dict[str, Any]]:
    values = _csv_values(cell["mean"])
    rows = [{"row": "mean", "test_set": cell["test_set"], "remarks": "; ".join(cell["remarks"]), **values}]
    if "categories" not in cell:
        return rows
    rows[0] |= {count: cell[count] for count in COUNTS}
    means = {c.name: cell["mean"][c.group][c.metric] for c in COLUMNS if cell["mean"][c.group]}
    count = len(cell["categories"])
    rows[0]["runs"] = max((mean["runs"] for mean in means.values()), default="")
    rows[0]["fewer"] = " ".join(
        f"{name}={mean['categories']}/{count}" for name, mean in means.items() if 0 < mean["categories"] < count
    )
    for category, result in cell["categories"].items():
        counts = {each: result[each] for each in COUNTS}
        rows.append({"row": "category", "category": category, **counts, **_csv_values(result)})
        for defect, of_defect in result["defects"].items():
            named = {"row": "defect", "category": category, "defect": defect, "images": of_defect["images"]}
            rows.append(named | _csv_values(of_defect))
    return rows


def _csv_values(groups: dict) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column in COLUMNS:
        if found := (groups.get(column.group) or {}).get(column.metric):
            published = found.get("published") or found
            values |= {f"{column.name}_{each}": found.get(each) for each in ("low", "high", "spread")}
            values |= {column.name: found["value"], f"{column.name}_status": published.get("status")}
            if found.get("published"):
                values[f"{column.name}_published"] = published["value"]
                values[f"{column.name}_difference"] = published["difference"]
    return values


def _overall_row(means: dict) -> dict[str, Any]:
    found = {column.name: means[column.group][column.metric] for column in COLUMNS}
    fewer = [f"{name}={mean['benchmarks']}/{mean['of']}" for name, mean in found.items() if is_partial(mean)]
    values = {
        f"{name}{end}": mean[bound]
        for name, mean in found.items()
        for end, bound in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    return {"row": "overall", "fewer": " ".join(fewer), **values}


def leaderboard_summary(leaderboard: dict, metric: str = "auroc") -> str:
    """For a terminal: a table a level of one metric, methods by benchmarks, then what the marks mean."""
    parts = []
    for column in COLUMNS:
        titles, rows = means_table(leaderboard, column)
        if column.metric == metric and column.group != "image_plain" and rows:
            lines = [[_title(column), *titles]]
            lines += [[entry["name"], *(cell_text(cell) for cell in cells)] for entry, cells in rows]
            parts += text_table(lines)
            parts.append("")
    if not parts:
        return f"no {metric} of any benchmark\n"
    parts += _differences_in_short(leaderboard, metric)
    if untrained := untrained_note(leaderboard):
        parts.append(one_line(untrained))
    return "\n".join([*parts, *legend(parts)]).rstrip()


def _differences_in_short(leaderboard: dict, metric: str) -> list[str]:
    """Lines for a terminal: one metric of pairs of runs on the same images, where these are few."""
    pairs = []
    for group in ("image", "pixel"):
        overall, of_benchmarks = (
            [each for each in leaderboard[part] if (each["group"], each["metric"]) == (group, metric)]
            for part in ("overall_comparisons", "comparisons")
        )
        pairs += overall or of_benchmarks
    if not 0 < len(pairs) <= SHOWN_IN_SHORT:
        return []
    titles = {(column.group, column.metric): _title(column) for column in COLUMNS}
    lines = [["Same images, A - B in points", "A", "B", "difference", "95 % interval", "p"]]
    for each in pairs:
        what = f"{titles[each['group'], metric]}, {each.get('benchmark') or 'mean of ' + str(len(each['benchmarks']))}"
        difference, low, high = (percent(each[key], signed=True) for key in ("difference", "low", "high"))
        lines.append([what, each["a"], each["b"], difference, f"[{low}, {high}]", _p(each["p"])])
    return [*text_table(lines), ""]
