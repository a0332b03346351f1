"""Results as tables: CSV with full precision, Markdown and plain text in percent."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any, NamedTuple

from pipelines.runs import NONE, is_untrained
from pipelines.texts import DASH, escape, markdown_table, number_of_images, one_line, percent, text_table


class Column(NamedTuple):
    """A metric in the results: `group` is a key of results.json (image, image_plain, pixel), `metric` one below it."""

    group: str
    metric: str
    title: str

    @property
    def name(self) -> str:
        return f"{self.group}_{self.metric}"

    @property
    def level(self) -> str:
        """At which it is taken: "image" or "pixel"."""
        return "pixel" if self.group == "pixel" else "image"


_TITLES = {"auroc": "AUROC", "ap": "AP", "f1_max": "F1-max", "aupro": "AUPRO", "aupro_200": "AUPRO-200"}
GROUPS = {"image": "Image", "image_plain": "Plain", "pixel": "Pixel"}
COLUMNS = [
    Column(group, metric, title)
    for group in GROUPS
    for metric, title in _TITLES.items()
    if group == "pixel" or not metric.startswith("aupro")
]
COUNTS = ("images", "anomalous", "left_out", "unlabelled", "pixel_left_out")
FEWER = "†"
_LEGEND = (
    "Percent. Image: the method's published score rule. Plain: each image's own score, which needs no other image. "
    f"In brackets: the 95 % interval. {DASH}: undefined (one class only, no masks)."
)
_FEWER_LEGEND = f"{FEWER}: mean over fewer categories than the benchmark has; it is undefined in the others."


def table_csv(results: dict) -> str:
    """Fractions in full precision, empty where undefined: a row a category, a defect of it, and a benchmark's mean.

    Each metric has its 95 % interval in columns `_low` and `_high`. `fewer` names the means that are over fewer
    categories than the benchmark has, and over how many.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    metrics = [f"{column.name}{end}" for column in COLUMNS for end in ("", "_low", "_high")]
    writer.writerow(["benchmark", "row", "category", "defect", *COUNTS, *metrics, "fewer"])
    for name, benchmark in results["benchmarks"].items():
        categories = benchmark["categories"]
        for category, result in categories.items():
            counts = [result[count] for count in COUNTS]
            writer.writerow([name, "category", category, "", *counts, *_bounded_values(result), ""])
            for defect, of_defect in result["defects"].items():
                counts = [of_defect["images"], of_defect["images"], *[""] * (len(COUNTS) - 2)]
                writer.writerow([name, "defect", category, defect, *counts, *_bounded_values(of_defect), ""])
        mean = benchmark["mean"]
        fewer = [f"{column.name}={_defined(mean, column)}" for column in COLUMNS if _is_fewer(mean, column, categories)]
        totals = [sum(result[count] for result in categories.values()) for count in COUNTS]
        writer.writerow([name, "mean", "", "", *totals, *_bounded_values(mean), " ".join(fewer)])
    return text.getvalue()


def _bounded_values(result: dict) -> list[float | None]:
    cells = [result[column.group] and result[column.group][column.metric] for column in COLUMNS]
    return [cell and cell[bound] for cell in cells for bound in ("value", "low", "high")]


def table_markdown(results: dict) -> str:
    """A table over the benchmarks, then for each its categories and their defects; remarks below each."""
    parts = [
        "# Results",
        escape(made_by(results["run"])),
        _LEGEND,
        _markdown(["Benchmark"], _benchmark_rows(results, _with_interval)),
        _remark_list(_benchmark_remarks(results), escape),
    ]
    for name, benchmark in results["benchmarks"].items():
        present = {category: result for category, result in benchmark["categories"].items() if result["images"]}
        remarks = [(category, remarks_on([result])) for category, result in present.items()]
        if absent := [category for category in benchmark["categories"] if category not in present]:
            remarks.append((", ".join(absent), ["no image"]))
        rows = _category_rows(benchmark, _with_interval)
        parts += [f"## {escape(name)}", _markdown(["Category"], rows), _remark_list(remarks, escape)]
        if defects := _defect_rows(benchmark):
            parts += ["Each kind of defect against the category's normal images:"]
            parts += [_markdown(["Category", "Defect"], defects)]
    if any(FEWER in part for part in parts):
        parts.insert(3, _FEWER_LEGEND)
    return "\n\n".join(part for part in parts if part) + "\n"


def summary_table(results: dict) -> str:
    """For a terminal: the benchmarks' means, or the categories of the one benchmark there is; remarks below."""
    benchmarks = list(results["benchmarks"].items())
    if len(benchmarks) == 1:
        name, benchmark = benchmarks[0]
        rows, remarks = (
            _category_rows(benchmark, _percent_of),
            [(name, remarks_on(list(benchmark["categories"].values())))],
        )
    else:
        rows, remarks = _benchmark_rows(results, _percent_of), _benchmark_remarks(results)
    groups = [""] * 2 + [GROUPS[c.group].lower() if c.metric == "auroc" else "" for c in COLUMNS]
    head = ["", "images", *(column.title for column in COLUMNS)]
    text = text_table([groups, head, *rows])
    if any(FEWER in cell for row in rows for cell in row):
        text.append(_FEWER_LEGEND)
    return "\n".join([*text, _remark_list(remarks, one_line)]).rstrip("\n")


def made_by(settings: dict) -> str:
    """One line on the model behind the figures, so that a table that is passed on says what made it."""
    method, size = settings["method"], f"{settings['image_size']} x {settings['image_size']} pixels"
    if settings["backbone"] == NONE:
        line = f"{method}, {size}; it learns nothing."
    elif NONE in settings["checkpoints"]:
        line = f"{method} on {settings['backbone']}, {size}, {settings['precision']}; it learns nothing."
    else:
        weights = [_weights(auxiliary, facts) for auxiliary, facts in settings["checkpoints"].items()]
        line = (
            f"{method} on {settings['backbone']}, {size}, {settings['samples']} samples, seed {settings['seed']}, "
            f"{settings['precision']}; weights: {', '.join(weights)}."
        )
    if options := options_in_words(settings):
        line += f" Options: {options}."
    if is_untrained(settings):
        line += " Untrained weights: the figures mean nothing."
    return line


def _weights(auxiliary: str, facts: dict) -> str:
    known = [f"trained on {auxiliary}"] if auxiliary != facts["file"] else []
    known += [f"seed {facts['training_seed']}"] if "training_seed" in facts else []
    return f"{facts['file']} ({', '.join(known)})" if known else facts["file"]


def options_in_words(settings: dict) -> str:
    """The options of the method that the user gave, which replace the published ones."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.get("options", {}).items())


def _benchmark_rows(results: dict, shown: Callable) -> list[list[str]]:
    return [_mean_row(name, benchmark, shown) for name, benchmark in results["benchmarks"].items()]


def _category_rows(benchmark: dict, shown: Callable) -> list[list[str]]:
    rows = [
        [category, str(result["images"]), *(shown(_cell(result, column)) for column in COLUMNS)]
        for category, result in benchmark["categories"].items()
        if result["images"]
    ]
    return [*rows, _mean_row("mean", benchmark, shown)]


def _defect_rows(benchmark: dict) -> list[list[str]]:
    return [
        [category, defect, str(of_defect["images"]), *(_with_interval(_cell(of_defect, column)) for column in COLUMNS)]
        for category, result in benchmark["categories"].items()
        for defect, of_defect in result["defects"].items()
    ]


def _mean_row(title: str, benchmark: dict, shown: Callable) -> list[str]:
    mean, categories = benchmark["mean"], benchmark["categories"]
    cells = [shown(_cell(mean, column)) + (FEWER if _is_fewer(mean, column, categories) else "") for column in COLUMNS]
    return [title, str(sum(result["images"] for result in categories.values())), *cells]


def _cell(result: dict, column: Column) -> dict[str, float | None] | None:
    group = result[column.group]
    return group[column.metric] if group else None


def _defined(mean: dict, column: Column) -> int:
    return mean[column.group][column.metric]["categories"] if mean[column.group] else 0


def _is_fewer(mean: dict, column: Column, categories: dict) -> bool:
    return 0 < _defined(mean, column) < len(categories)


def _percent_of(cell: dict[str, float | None] | None) -> str:
    return percent(cell["value"] if cell else None)


def _with_interval(cell: dict[str, float | None] | None) -> str:
    if not cell or cell["low"] is None:
        return _percent_of(cell)
    return f"{_percent_of(cell)} [{percent(cell['low'])}, {percent(cell['high'])}]"


def _benchmark_remarks(results: dict) -> list[tuple[str, list[str]]]:
    return [(name, remarks_on(list(b["categories"].values()))) for name, b in results["benchmarks"].items()]


def remarks_on(categories: list[dict[str, Any]]) -> list[str]:
    """What a reader of these categories' figures has to know about the images behind them."""
    left_out, unlabelled, pixel_left_out = (
        sum(result[count] for result in categories) for count in ("left_out", "unlabelled", "pixel_left_out")
    )
    remarks = []
    if left_out:
        remarks.append(f"{number_of_images(left_out)} could not be scored, left out")
    if unlabelled:
        remarks.append(f"{number_of_images(unlabelled)} without a label, in no image metric")
    if pixel_left_out:
        remarks.append(f"{number_of_images(pixel_left_out)} without a known mask, in no pixel metric")
    if absent := sum(not result["images"] for result in categories):
        remarks.append(f"no image of {absent} of {len(categories)} categories")
    other = [result for result in categories if result["expected"] and _found(result) != result["expected"]]
    if other:
        found, expected = (
            " + ".join(f"{sum(counts[kind] for counts in all_counts):,} {kind}" for kind in ("normal", "anomalous"))
            for all_counts in ([_found(result) for result in other], [result["expected"] for result in other])
        )
        where = f" ({len(other)} of {len(categories)} categories differ)" if len(categories) > 1 else ""
        remarks.append(f"found {found} images, expected {expected}{where}")
    return remarks


def _found(result: dict) -> dict[str, int]:
    return {
        "normal": result["images"] - result["anomalous"] - result["unlabelled"],
        "anomalous": result["anomalous"],
    }


def _markdown(names: list[str], rows: list[list[str]]) -> str:
    """`names` head the columns whose cells are names."""
    head = [*names, "Images", *(f"{GROUPS[column.group]} {column.title}" for column in COLUMNS)]
    return markdown_table(head, [[*map(escape, row[: len(names)]), *row[len(names) :]] for row in rows], len(names))


def _remark_list(remarks: list[tuple[str, list[str]]], shown: Callable[[str], str]) -> str:
    return "\n".join(f"- {shown(name)}: {'; '.join(texts)}." for name, texts in remarks if texts)
