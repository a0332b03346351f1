"""A prediction file reduced to two small ones: pixel counts by code, and what each image has and adds to them.

Made once for a shard, in a task of its own; the tables of a run, or of several, need nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import parquet, storage
from pipelines.predictions import ORIGIN, footer_of, origin_of, read_predictions
from zsad_core.errors import ZsadError
from zsad_core.map_codec import LARGEST_CODE, decode, unpack_mask
from zsad_core.metrics.bins import bin_starts
from zsad_core.metrics.pixel import MapCounts, PixelCounts

# Counts are raw little-endian int64, int64 and float64 by code, of every image or group that is in pixel metrics.
_COUNTS = {"normal": "<i8", "anomalous": "<i8", "region_weight": "<f8"}
_COUNTS_FIELDS = [("regions", pa.int64()), *((name, pa.binary()) for name in _COUNTS)]
# One row a group of a category: its normal images (label 0), or those of one defect.
COUNTS_SCHEMA = pa.schema([("category", pa.string()), ("label", pa.int8()), ("defect", pa.string()), *_COUNTS_FIELDS])
# One row an image; its codes are put together in bins that start at the codes `bin_starts` (little-endian uint16).
IMAGES_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("sha256", pa.string()),
        ("category", pa.string()),
        ("label", pa.int8()),
        ("defect", pa.string()),
        ("score_text", pa.float64()),
        ("score_map", pa.float64()),
        ("score", pa.float64()),
        ("failed", pa.bool_()),
        ("bin_starts", pa.binary()),
        *_COUNTS_FIELDS,
    ]
)
SCORES = ("score_text", "score_map", "score")


class Group(NamedTuple):
    """Images whose pixels are counted together: the normal ones (label 0) of a category, or those of one defect."""

    category: str
    label: int | None
    defect: str


def count_file(unit: dict) -> dict:
    """Ray task: make `unit["images"]` and, for pixel metrics, `unit["counts"]` from the predictions `unit["name"]`.

    Files that were made from these predictions are left as they are. `counts` is None for a benchmark without pixel
    level; `rows`, `origin` (see predictions.made_from) and `categories` are what the run says of the predictions.
    """
    uri = unit["name"]
    origin, footer = footer_of(uri)
    if origin != unit["origin"]:
        raise ZsadError(f"{uri}: not made from this run's settings and shard; run evaluate again to make it")
    source = hashlib.sha256("\n".join([footer, str(IMAGES_SCHEMA), str(COUNTS_SCHEMA)]).encode()).hexdigest()
    if all(origin_of(file) == source for file in (unit["images"], unit["counts"]) if file):
        return unit
    table = read_predictions(uri)
    _check(table, unit)
    binned, groups = _count(table, uri) if unit["counts"] else ([{}] * len(table), {})
    columns = {name: table[name] for name in ("key", "sha256", "category", "label", "defect", *SCORES)}
    columns["failed"] = pc.is_valid(table["error"])
    columns |= {name: pa.array([row.get(name) for row in binned]) for name in ("bin_starts", "regions", *_COUNTS)}
    images = pa.table({name: columns[name].cast(IMAGES_SCHEMA.field(name).type) for name in IMAGES_SCHEMA.names})
    _write(unit["images"], images, source)
    if unit["counts"]:
        of_groups = [group._asdict() | _as_bytes(counts) for group, counts in groups.items()]
        _write(unit["counts"], pa.Table.from_pylist(of_groups, schema=COUNTS_SCHEMA), source)
    return unit


def read_images(uri: str) -> pa.Table:
    """An images file without the counts, which `regions` says it has."""
    return _read(uri, IMAGES_SCHEMA, [name for name in IMAGES_SCHEMA.names if name not in ("bin_starts", *_COUNTS)])


def read_binned(uri: str, category: str) -> tuple[np.ndarray, PixelCounts]:
    """(bin starts, counts (n, bins)) of the n counted images of a category that a file has; n is at least 1."""
    rows = _read(uri, IMAGES_SCHEMA, ["category", "bin_starts", "regions", *_COUNTS], category)
    rows = rows.filter(pc.is_valid(rows["regions"]))
    try:
        starts = np.frombuffer(rows["bin_starts"][0].as_py(), "<u2").astype(np.int64)
        if starts[0] or (np.diff(starts) <= 0).any():
            raise ValueError("bins that do not rise from 0")
        return starts, _counts_of_rows(rows, len(starts))
    except (IndexError, TypeError, ValueError) as error:
        raise _damaged(uri, error) from None


def read_counts(uri: str, category: str) -> Iterator[tuple[Group, PixelCounts]]:
    """The groups of a category and their counts by code."""
    rows = _read(uri, COUNTS_SCHEMA, category=category)
    try:
        counts = _counts_of_rows(rows, LARGEST_CODE + 1)
    except (TypeError, ValueError) as error:
        raise _damaged(uri, error) from None
    for number, group in enumerate(rows.select(Group._fields).to_pylist()):
        yield Group(**group), counts.of_images(number)


def _counts_of_rows(rows: pa.Table, codes: int) -> PixelCounts:
    """Counts (n, `codes`) of n rows, by code or bin. TypeError or ValueError where they are none."""
    fields = {}
    for name, kind in _COUNTS.items():
        counts = np.stack([np.frombuffer(content.as_buffer(), kind) for content in rows[name]])
        if counts.shape[1] != codes or not (counts >= 0).all():
            raise ValueError(f"no {codes} counts {name} in every row")
        fields[name] = counts
    return PixelCounts(**fields, regions=rows["regions"].to_numpy())


def _as_bytes(counts: PixelCounts) -> dict:
    columns = {name: getattr(counts, name).astype(kind).tobytes() for name, kind in _COUNTS.items()}
    return {"regions": counts.regions} | columns


def _check(table: pa.Table, unit: dict) -> None:
    uri = unit["name"]
    if len(table) != unit["rows"]:
        raise ZsadError(f"{uri}: {len(table)} rows instead of {unit['rows']}; remove it and run evaluate again")
    unknown = set(pc.unique(table["category"]).to_pylist()) - set(unit["categories"])
    if unknown:
        raise ZsadError(f"{uri}: category {min(unknown, key=str)!r} is not among the benchmark's in run.json")
    scored = table.filter(pc.is_null(table["error"]))
    for column in SCORES:
        bad = pc.invert(pc.fill_null(pc.is_finite(scored[column]), False))
        if pc.any(bad).as_py():
            key = scored["key"].filter(bad)[0].as_py()
            raise ZsadError(
                f"{uri}: row {key!r} has no finite {column} and no error; remove the file and run evaluate again"
            )


def _count(table: pa.Table, uri: str) -> tuple[list[dict], dict[Group, PixelCounts]]:
    """(of each row its regions and binned counts, {} where it is not counted; the counts of each group)."""
    groups = [Group(**row) for row in table.select(Group._fields).to_pylist()]
    of_rows = _counts_of_maps(table, uri)
    of_groups: dict[Group, list[MapCounts]] = {}
    for group, counts in zip(groups, of_rows):
        if counts:
            of_groups.setdefault(group, []).append(counts)
    summed = {group: PixelCounts.of_maps(maps) for group, maps in of_groups.items()}
    starts = {}
    for category in sorted({group.category for group in summed}):
        of_category = [counts for group, counts in summed.items() if group.category == category]
        starts[category] = bin_starts(sum(counts.normal + counts.anomalous for counts in of_category))
    return [_binned(counts, starts[group.category]) if counts else {} for group, counts in zip(groups, of_rows)], summed


def _counts_of_maps(table: pa.Table, uri: str) -> list[MapCounts | None]:
    """The counts of each row; None where it was not scored or its pixel truth is unknown."""
    found: list[MapCounts | None] = []
    small = table.select(["key", "map_height", "map_width"]).to_pylist()
    for row, failed, coded, mask in zip(small, *(table[name] for name in ("error", "anomaly_map", "mask"))):
        if failed.is_valid or not mask.is_valid:
            found.append(None)
            continue
        size = row["map_height"], row["map_width"]
        try:
            found.append(MapCounts.of(decode(coded.as_buffer(), *size), unpack_mask(mask.as_buffer(), *size)))
        except (TypeError, ValueError) as error:
            raise ZsadError(
                f"{uri}: row {row['key']!r}: damaged map or mask ({error}); remove the file and run evaluate again"
            ) from None
    return found


def _binned(counts: MapCounts, starts: np.ndarray) -> dict:
    """The columns of the images file."""
    return {"bin_starts": starts.astype("<u2").tobytes()} | _as_bytes(counts.binned(starts))


def _write(uri: str, table: pa.Table, source: str) -> None:
    repeated = [name for name in ("category", "defect", "bin_starts") if name in table.column_names]
    storage.write_bytes(uri, parquet.whole_file(table, {ORIGIN: source}, repeated))


def _read(uri: str, schema: pa.Schema, columns: list[str] | None = None, category: str | None = None) -> pa.Table:
    """All rows, or those of a category. ZsadError where the file is missing or damaged."""
    try:
        with storage.open_for_reading(uri) as file:
            table = parquet.read(file, schema, columns)
            return table if category is None else table.filter(pc.equal(table["category"], category))
    except (parquet.OtherColumns, pa.ArrowException, OSError) as error:
        raise _damaged(uri, error) from None


def _damaged(uri: str, error: Exception) -> ZsadError:
    return ZsadError(f"{uri}: damaged counts ({parquet.reason(error)}); remove it and run reduce again")
