"""Predictions of a run to metrics and tables; they depend on the predictions alone, not on what ran when."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import engine, storage
from pipelines.pixel_counts import CategoryCounts, count_file, read_counts
from pipelines.predictions import made_from, origin_of, partition_uri, prediction_uri, read_predictions
from pipelines.runs import read_run
from pipelines.tables import table_csv, table_markdown
from zsad_core.errors import ZsadError
from zsad_core.metrics.image import image_metrics, image_score_published
from zsad_core.metrics.pixel import pixel_metrics

_SCORES = ["score_text", "score_map", "score"]


def reduce(run_uri: str) -> dict:
    """The content of `<run>/metrics/results.json`, which is written with `table.csv` and `table.md` beside it.

    ZsadError where predictions are missing, damaged or not those that `run.json` names.
    """
    run = read_run(run_uri)
    _require_predictions(run_uri, run["benchmarks"])
    _count_pixels(run_uri, run["benchmarks"])
    results = {
        "run": run["settings"],
        "benchmarks": {
            name: _benchmark_results(run_uri, name, benchmark, run["settings"])
            for name, benchmark in run["benchmarks"].items()
        },
    }
    storage.write_json(storage.join(run_uri, "metrics", "results.json"), results)
    storage.write_bytes(storage.join(run_uri, "metrics", "table.csv"), table_csv(results).encode())
    storage.write_bytes(storage.join(run_uri, "metrics", "table.md"), table_markdown(results).encode())
    return results


def _require_predictions(run_uri: str, benchmarks: dict[str, dict]) -> None:
    missing, total = [], 0
    for name, benchmark in benchmarks.items():
        uris = [prediction_uri(run_uri, name, shard) for shard in _shards(benchmark)]
        present = set(storage.list_names(uris[0].rsplit("/", 1)[0])) if uris else set()
        missing += [uri for uri in uris if uri.rsplit("/", 1)[1] not in present]
        total += len(uris)
    if missing:
        raise ZsadError(
            f"{run_uri}: {len(missing)} of {total} prediction files are missing (the first: {missing[0]}); "
            "run evaluate again with the same arguments: it does only what is missing"
        )


def _count_pixels(run_uri: str, benchmarks: dict[str, dict]) -> None:
    units = [
        {"predictions": prediction_uri(run_uri, name, shard), "counts": _counts_uri(run_uri, name, shard)}
        for name, benchmark in benchmarks.items()
        if "pixel" in benchmark["levels"]
        for shard in _shards(benchmark)
    ]
    progress = engine.Progress("reduce", len(units), "shards")
    for _ in engine.map_units(units, count_file):
        progress.advance(1)


def _benchmark_results(run_uri: str, name: str, benchmark: dict, settings: dict) -> dict:
    scores = _read_scores(run_uri, name, benchmark, settings)
    counts: dict[str, CategoryCounts] = {}
    if "pixel" in benchmark["levels"]:
        # Sums of 1/area are floats: added in the order of the shards' names they are the same whatever ran when.
        for shard in sorted(_shards(benchmark)):
            for category, of_shard in read_counts(_counts_uri(run_uri, name, shard)).items():
                counts[category] = counts.get(category, CategoryCounts.empty()) + of_shard
    categories = {
        category: _category_results(
            scores.filter(pc.equal(scores["category"], category)),
            counts.get(category, CategoryCounts.empty()),
            benchmark["levels"],
            declared,
        )
        for category, declared in benchmark["categories"].items()
    }
    return {
        "domain": benchmark["domain"],
        "levels": benchmark["levels"],
        "auxiliary": benchmark["auxiliary"],
        "categories": categories,
        "mean": {group: _mean(categories, group) for group in ("image", "image_plain", "pixel")},
    }


def _category_results(scores: pa.Table, counts: CategoryCounts, levels: Collection[str], declared: dict) -> dict:
    scored = scores.filter(pc.invert(scores["failed"]))
    labelled = pc.is_valid(scored["label"]).to_numpy()
    labels = scored.filter(labelled)["label"].to_numpy()
    score_text, score_map, score = (scored[name].to_numpy() for name in _SCORES)
    image = image_plain = pixel = None
    if "image" in levels:
        published = image_score_published(score_text, score_map, levels)
        image = _values(image_metrics(published[labelled], labels))
        image_plain = _values(image_metrics(score[labelled], labels))
    if "pixel" in levels:
        pixel = _values(pixel_metrics(counts.pixels))
    expected = {"normal": declared["expected_normal"], "anomalous": declared["expected_anomalous"]}
    return {
        "images": len(scores),
        "anomalous": pc.sum(pc.equal(scores["label"], 1), min_count=0).as_py(),
        "left_out": len(scores) - len(scored),
        "unlabelled": scores["label"].null_count,
        "pixel_left_out": counts.left_out,
        "expected": None if None in expected.values() else expected,
        "image": image,
        "image_plain": image_plain,
        "pixel": pixel,
    }


def _read_scores(run_uri: str, name: str, benchmark: dict, settings: dict) -> pa.Table:
    """Of every sample of the benchmark: category, label, scores, and `failed` where it could not be scored."""
    tables = []
    for file in sorted(benchmark["files"], key=lambda file: file["name"]):
        uri = prediction_uri(run_uri, name, file["name"])
        table = read_predictions(uri, ["key", "category", "label", *_SCORES, "error"])
        if len(table) != file["rows"]:
            raise ZsadError(f"{uri}: {len(table)} rows instead of {file['rows']}; remove it and run evaluate again")
        if origin_of(uri) != made_from(settings, file["sha256"]):
            raise ZsadError(f"{uri}: not made from this run's settings and shard; run evaluate again to make it")
        failed = pc.is_valid(table["error"])
        _require_scores(uri, table.filter(pc.invert(failed)))
        unknown = set(pc.unique(table["category"]).to_pylist()) - set(benchmark["categories"])
        if unknown:
            raise ZsadError(f"{uri}: category {min(unknown, key=str)!r} is not among those of {name} in run.json")
        tables.append(table.drop_columns(["key", "error"]).append_column("failed", failed))
    if not tables:
        raise ZsadError(f"{run_uri}: run.json names no file for {name}")
    return pa.concat_tables(tables)


def _require_scores(uri: str, scored: pa.Table) -> None:
    for column in _SCORES:
        bad = pc.invert(pc.fill_null(pc.is_finite(scored[column]), False))
        if pc.any(bad).as_py():
            key = scored["key"].filter(bad)[0].as_py()
            raise ZsadError(
                f"{uri}: row {key!r} has no finite {column} and no error; remove the file and run evaluate again"
            )


def _mean(categories: dict[str, dict], group: str) -> dict[str, Any] | None:
    """Plain mean of each metric over the categories where it is defined, and how many these are."""
    results = [result[group] for result in categories.values() if result[group] is not None]
    if not results:
        return None
    means = {}
    for metric in results[0]:
        values = [result[metric]["value"] for result in results if result[metric]["value"] is not None]
        means[metric] = {"value": math.fsum(values) / len(values) if values else None, "categories": len(values)}
    return means


def _values(metrics: dict[str, float | None]) -> dict[str, dict[str, float | None]]:
    return {metric: {"value": value} for metric, value in metrics.items()}


def _shards(benchmark: dict) -> list[str]:
    return [file["name"] for file in benchmark["files"]]


def _counts_uri(run_uri: str, benchmark: str, shard: str) -> str:
    return partition_uri(storage.join(run_uri, "metrics", "counts"), benchmark, shard)
