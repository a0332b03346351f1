"""Predictions to metrics and tables; they depend on the predictions alone, not on what ran when.

predictions ──a task a shard──> counts, images ──a category at a time──> values, intervals, curves ──> tables
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import console, engine, storage
from pipelines.category import CategoryResults, Cell, Shard, category_results, parts_of
from pipelines.counts import count_file, read_images
from pipelines.finished import prediction_files
from pipelines.influence import influence_table, influence_uri
from pipelines.predictions import made_from, partition_uri, prediction_uri
from pipelines.runs import read_run, score_rule
from pipelines.tables import GROUPS, table_csv, table_markdown
from zsad_core.errors import UsageError, ZsadError
from zsad_core.metrics import intervals
from zsad_core.metrics.image import ScoreRule


def reduce(run_uris: Sequence[str], out_uri: str | None = None) -> dict:
    """The content of `<out>/metrics/results.json`, which is written with tables, curves and influences beside it.

    Several runs, which must have the same settings and different images, give the tables of them all; these need an
    `out_uri`, one run is written to itself. ZsadError where predictions are missing, damaged or not those that
    `run.json` names.
    """
    if out_uri is None and len(run_uris) > 1:
        raise UsageError("several runs are merged into another folder: give it with --out")
    runs = {uri: read_run(uri) for uri in run_uris}
    # In an order of their content: the tables are the same in whatever order runs are given, and wherever they lie.
    runs = dict(sorted(runs.items(), key=lambda item: json.dumps(item[1]["benchmarks"], sort_keys=True)))
    benchmarks = merged(runs)
    settings = next(iter(runs.values()))["settings"]
    rule = score_rule(settings)
    for uri in runs:
        prediction_files(uri)  # all are there
    _count(runs)
    metrics = storage.join(out_uri or run_uris[0], "metrics")
    results: dict[str, Any] = {"run": settings, "benchmarks": {}}
    curves = {}
    for name, facts in benchmarks.items():
        of_runs = (
            _shard(uri, name, run["benchmarks"][name], file)
            for uri, run in runs.items()
            if name in run["benchmarks"]
            for file in run["benchmarks"][name]["files"]
        )
        shards = sorted(of_runs, key=lambda shard: shard.name)
        influence = influence_uri(metrics, name)
        results["benchmarks"][name], curves[name] = _benchmark_results(name, facts, shards, rule, influence)
    storage.write_json(storage.join(metrics, "curves.json"), curves)
    storage.write_json(storage.join(metrics, "results.json"), results)
    storage.write_bytes(storage.join(metrics, "table.csv"), table_csv(results).encode())
    storage.write_bytes(storage.join(metrics, "table.md"), table_markdown(results).encode())
    return results


def merged(runs: dict[str, dict]) -> dict[str, dict]:
    """Benchmark -> its facts in the runs together; ZsadError where the runs cannot stand in one table."""
    (first_uri, first), *others = runs.items()
    benchmarks: dict[str, dict] = {}
    for uri, run in others:
        keys = {**first["settings"], **run["settings"]}
        differing = [key for key in keys if run["settings"].get(key) != first["settings"].get(key)]
        if differing:
            raise ZsadError(
                f"{uri}: not the settings of {first_uri} ({', '.join(differing)}); `zsad leaderboard` compares"
            )
    for uri, run in runs.items():
        for name, facts in run["benchmarks"].items():
            known = benchmarks.setdefault(name, {**facts, "categories": {}})
            for key in ("levels", "variant", "checkpoint", "options"):
                if known.get(key) != facts.get(key):
                    raise ZsadError(f"{uri}: {name} has another {key} than in the runs before it")
            for category, declared in facts["categories"].items():
                known["categories"].setdefault(category, declared)
    return benchmarks


def _count(runs: dict[str, dict]) -> None:
    units = []
    for uri, run in runs.items():
        for name, benchmark in run["benchmarks"].items():
            for file in benchmark["files"]:
                shard = _shard(uri, name, benchmark, file)
                units.append(
                    {
                        "name": prediction_uri(uri, name, file["name"]),
                        "images": shard.images,
                        "counts": shard.counts,
                        "rows": file["rows"],
                        "origin": made_from(run["settings"], file["sha256"], benchmark.get("options")),
                        "categories": list(benchmark["categories"]),
                    }
                )
    progress = console.Progress("reduce", sum(unit["rows"] for unit in units))
    for unit in engine.map_units(units, count_file, cpus=1):
        progress.advance(unit["rows"])


def _shard(run_uri: str, name: str, benchmark: dict, file: dict) -> Shard:
    images, counts = (
        partition_uri(storage.join(run_uri, "metrics", folder), name, file["name"]) for folder in ("images", "counts")
    )
    return Shard(file["name"], images, counts if "pixel" in benchmark["levels"] else None)


def _benchmark_results(
    name: str, facts: dict, shards: list[Shard], rule: ScoreRule, influence_uri: str
) -> tuple[dict, dict]:
    """(results, curves) of a benchmark, a category at a time; the influence of the images is written to its file."""
    if not shards:
        raise ZsadError(f"{name}: run.json names no file for it")
    images = pa.concat_tables(engine.in_order(f"images of {name}", _numbered_images, parts_of([*enumerate(shards)])))
    _refuse_repeated(name, images)
    categories, cells, curves = {}, [], {}
    influences, writer = pa.BufferOutputStream(), None
    for category, declared in facts["categories"].items():
        of_category = images.filter(pc.equal(images["category"], category))
        results = category_results(category, of_category, shards, facts["levels"], rule)
        categories[category] = _counts(of_category, declared, facts["levels"]) | _shown(results, of_category)
        cells.append(results.cells)
        curves[category] = results.curves
        influence = influence_table(of_category, results.influence)
        writer = writer or pq.ParquetWriter(influences, influence.schema, compression="zstd")
        writer.write_table(influence)
    if writer:
        writer.close()
    storage.write_bytes(influence_uri, influences.getvalue().to_pybytes())
    of_benchmark = {
        **{key: facts.get(key) for key in ("domain", "levels", "auxiliary", "variant", "checkpoint", "options")},
        "categories": categories,
        "mean": {group: _mean([each[group] for each in cells]) for group in GROUPS},
    }
    return of_benchmark, curves


def _numbered_images(numbered: list[tuple[int, Shard]]) -> pa.Table:
    """The images of some shards, with the numbers of these in a column `shard`."""
    return pa.concat_tables(
        table.append_column("shard", pa.repeat(pa.scalar(number, pa.int32()), len(table)))
        for number, table in ((number, read_images(shard.images)) for number, shard in numbered)
    )


def _refuse_repeated(name: str, images: pa.Table) -> None:
    keys, numbers = pc.value_counts(images["key"]).flatten()
    if (number := pc.max(numbers).as_py() or 0) > 1:
        key = keys[pc.index(numbers, number).as_py()]
        raise ZsadError(f"{name}: the image {key} stands there {number} times; merge runs of different images")


def _counts(images: pa.Table, declared: dict, levels: Collection[str]) -> dict[str, Any]:
    """How many images a category has, and how many of them are in no metric."""
    uncounted = pc.and_(
        pc.invert(images["failed"]), pc.and_(pc.is_valid(images["label"]), pc.is_null(images["regions"]))
    )
    expected = {"normal": declared["expected_normal"], "anomalous": declared["expected_anomalous"]}
    return {
        "images": len(images),
        "anomalous": _number(pc.equal(images["label"], 1)),
        "left_out": _number(images["failed"]),
        "unlabelled": images["label"].null_count,
        "pixel_left_out": _number(uncounted) if "pixel" in levels else 0,
        "expected": None if None in expected.values() else expected,
    }


def _number(chosen: pa.ChunkedArray) -> int:
    return pc.sum(chosen, min_count=0).as_py()


def _shown(results: CategoryResults, images: pa.Table) -> dict[str, Any]:
    """The cells of a category and of its defects as results.json has them."""

    def of_groups(cells: dict[str, dict[str, Cell] | None]) -> dict:
        return {group: of_group and _as_json(of_group) for group, of_group in cells.items()}

    anomalous = Counter(pc.filter(images["defect"], pc.equal(images["label"], 1)).to_pylist())
    defects = {name: {"images": anomalous[name]} | of_groups(cells) for name, cells in results.defects.items()}
    return of_groups(results.cells) | {"defects": defects}


def _as_json(cells: dict[str, Cell]) -> dict[str, dict[str, float | None]]:
    return {
        metric: {name: None if math.isnan(number) else number for name, number in cell._asdict().items()}
        for metric, cell in cells.items()
    }


def _mean(categories: list[dict[str, Cell] | None]) -> dict[str, Any] | None:
    """Plain mean of each metric over the categories where it is defined, and how many these are."""
    defined = [cells for cells in categories if cells is not None]
    if not defined:
        return None
    means, numbers = {}, {}
    for metric in defined[0]:
        cells = [cells[metric] for cells in defined if not math.isnan(cells[metric].value)]
        numbers[metric] = {"categories": len(cells)}
        means[metric] = _mean_cell(cells) if cells else Cell(math.nan, math.nan, math.nan)
    return {metric: cell | numbers[metric] for metric, cell in _as_json(means).items()}


def _mean_cell(cells: list[Cell]) -> Cell:
    values = [cell.value for cell in cells]
    return Cell(statistics.fmean(values), *intervals.interval_of_mean(values, [(c.low, c.high) for c in cells]))
