"""Anomaly maps to regions above a cut, a row each, so that a query finds the long ones.

predictions ──a task a file──> regions
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import console, engine, lock, parquet, storage
from pipelines.finished import MAP_COLUMNS, prediction_files, read_facts, read_map
from pipelines.predictions import ORIGIN, footer_of, origin_of, partition_uri, read_predictions
from pipelines.texts import few
from pipelines.threshold import read_cuts
from zsad_core.errors import UsageError, ZsadError
from zsad_core.regions import regions

# Lengths are pixels of the original image; see zsad_core.regions.Region.
REGIONS_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("category", pa.string()),
        ("region", pa.int32()),  # 1, 2, ... by falling peak
        ("left", pa.float64()),
        ("top", pa.float64()),
        ("width", pa.float64()),
        ("height", pa.float64()),
        ("area", pa.float64()),
        ("length", pa.float64()),
        ("peak", pa.float64()),
        ("mean", pa.float64()),
        ("score", pa.float64()),  # the image's
        ("cut", pa.float64()),
    ]
)


class Found(NamedTuple):
    regions: int
    images: int  # that have any
    of_images: int  # that were looked at
    sizes_unknown: int  # images whose regions are in pixels of the map


def find_regions(run_uri: str, cut: float | None = None) -> Found:
    """Write `<run>/regions`, a file for each prediction file; those that are up to date stay.

    `cut` in [0, 1]; by default each category's map cut in `<run>/thresholds/thresholds.json`. ZsadError where there is
    none, or a file or map is damaged.
    """
    if cut is not None and not 0 <= cut <= 1:
        raise UsageError(f"--cut {cut:g}: maps have values from 0 to 1")
    files = prediction_files(run_uri)
    cuts = _known_cuts(run_uri) if cut is None else None
    folder = storage.join(run_uri, "regions")
    units: list[dict[str, Any]] = [
        {
            "name": file.uri,
            "regions": partition_uri(folder, file.benchmark, file.name),
            "cuts": cut if cuts is None else cuts.get(file.benchmark, {}),
        }
        for file in files
    ]
    with lock.held(folder):
        _remove_others(folder, {unit["regions"] for unit in units})
        progress, found = console.Progress("regions", len(units), "files"), Found(0, 0, 0, 0)
        for unit in engine.map_units(units, _regions_of_file, cpus=1, few=engine.FEW):
            found = Found(*(a + b for a, b in zip(found, unit["found"])))
            progress.advance(1)
    return found


def _known_cuts(run_uri: str) -> dict[str, dict[str, float]]:
    cuts = read_cuts(run_uri, read_facts(run_uri)["settings"], "map")
    if not cuts:
        raise ZsadError(f"{run_uri}: no cut is known for its maps: give --cut, or run `zsad threshold` first")
    known = {
        benchmark: {category: cut for category, cut in of_benchmark.items() if cut is not None}
        for benchmark, of_benchmark in cuts.items()
    }
    without = [
        category for name, of_benchmark in cuts.items() for category in of_benchmark if category not in known[name]
    ]
    if without:
        raise ZsadError(
            f"{run_uri}: `zsad threshold` found too few good images for {few(without)}: give --cut, or run it with "
            "more of them or with --pooled"
        )
    return known


def _remove_others(folder: str, wanted: set[str]) -> None:
    """Regions of predictions that are gone."""
    there = storage.list_tree(folder)[0]
    for uri in (storage.join(folder, name) for name in there if name.endswith(".parquet")):
        if uri not in wanted:
            storage.remove(uri)


def _regions_of_file(unit: dict) -> dict:
    """Ray task: make the file `unit["regions"]` from the predictions `unit["name"]`, unless it is up to date.

    `cuts` is one for all, or by category. Adds `found`.
    """
    uri, cuts = unit["name"], unit["cuts"]
    parts = [footer_of(uri)[1], str(REGIONS_SCHEMA), json.dumps(cuts, sort_keys=True)]
    source = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    size = read_predictions(uri, ["key", "error", "height", "width"])
    scored = pc.is_null(size["error"])
    unknown = pc.and_(scored, pc.or_(pc.is_null(size["height"]), pc.is_null(size["width"])))
    keys = _keys_there(unit["regions"], source)
    if keys is None:
        storage.remove(unit["regions"])  # of other predictions, or another cut
        table = _regions_table(uri, cuts)
        _write(unit["regions"], table, source)
        keys = table["key"]
    counts = (
        len(keys),
        pc.count_distinct(keys).as_py(),
        *(pc.sum(each, min_count=0).as_py() for each in (scored, unknown)),
    )
    return {"found": counts}


def _keys_there(uri: str, source: str) -> pa.ChunkedArray | None:
    """The keys in a file of regions; None where it is not whole, or not made from this source."""
    if origin_of(uri) != source:
        return None
    try:
        with storage.open_for_reading(uri) as file:
            return parquet.read(file, REGIONS_SCHEMA, ["key"])["key"]
    except (parquet.OtherColumns, pa.ArrowException, OSError):
        return None


def _regions_table(uri: str, cuts: float | Mapping[str, float | None]) -> pa.Table:
    columns = ["key", "category", "score", "error", "height", "width", *MAP_COLUMNS]
    table = read_predictions(uri, columns)
    table = table.filter(pc.is_null(table["error"]))
    small = table.select(["key", "category", "score", "height", "width", "map_height", "map_width"]).to_pylist()
    rows = []
    for number, row in enumerate(small):
        cut = cuts.get(row["category"]) if isinstance(cuts, Mapping) else cuts
        if cut is None:
            raise ZsadError(
                f"{uri}: the category {row['category']} is not in thresholds.json: give --cut, or run "
                "`zsad threshold` again"
            )
        anomaly_map = read_map(uri, table, number)
        size = row["height"], row["width"]
        height, width = anomaly_map.shape if None in size else size
        same = {"key": row["key"], "category": row["category"], "score": row["score"], "cut": cut}
        rows += [
            same | {"region": place} | region._asdict()
            for place, region in enumerate(regions(anomaly_map, cut, height, width), start=1)
        ]
    return pa.Table.from_pylist(rows, schema=REGIONS_SCHEMA)


def _write(uri: str, table: pa.Table, source: str) -> None:
    storage.write_bytes(uri, parquet.whole_file(table, {ORIGIN: source}, ["key", "category"]))
