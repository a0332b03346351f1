"""A prediction file reduced to two small ones: pixel counts by code, and what each image has and adds to them.

Made once for a shard, in a task of its own; the tables of a run, or of several, need nothing else.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.predictions import footer_of, read_predictions
from zsad_core.errors import ZsadError
from zsad_core.map_codec import decode, unpack_mask
from zsad_core.metrics.bins import bin_starts
from zsad_core.metrics.pixel import CODES, PixelCounts

# One row a code that pixels of the group have. Categories add up; so do normal images (label 0) and one defect.
COUNTS_SCHEMA = pa.schema(
    [
        ("category", pa.string()),
        ("label", pa.int8()),
        ("defect", pa.string()),
        ("code", pa.uint16()),
        ("normal", pa.int64()),
        ("anomalous", pa.int64()),
        ("region_weight", pa.float64()),
    ]
)
# One row an image. The last four are its own counts, put together in bins that start at the codes `bin_starts`: raw
# little-endian uint16, uint32, uint32 and float64; null where the image is in no pixel metric.
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
        ("regions", pa.int32()),
        ("bin_starts", pa.binary()),
        ("normal", pa.binary()),
        ("anomalous", pa.binary()),
        ("region_weight", pa.binary()),
    ]
)
SCORES = ("score_text", "score_map", "score")
_BINNED = {"bin_starts": "<u2", "normal": "<u4", "anomalous": "<u4", "region_weight": "<f8"}
_SOURCE = "made_from"


class Group(NamedTuple):
    """Images whose pixels are counted together: the normal ones (label 0) of a category, or those of one defect."""

    category: str
    label: int | None
    defect: str


def count_file(unit: dict) -> dict:
    """Ray task: make `unit["images"]` and, for pixel metrics, `unit["counts"]` from `unit["predictions"]`.

    Files that were made from these predictions are left as they are. `counts` is None for a benchmark without pixel
    level; `rows`, `origin` (see predictions.made_from) and `categories` are what the run says of the predictions.
    """
    uri = unit["predictions"]
    origin, source = footer_of(uri)
    if origin != unit["origin"]:
        raise ZsadError(f"{uri}: not made from this run's settings and shard; run evaluate again to make it")
    files = [file for file in (unit["images"], unit["counts"]) if file]
    if all(_source_of(file) == source for file in files):
        return unit
    table = read_predictions(uri)
    _check(table, unit)
    groups: dict[Group, PixelCounts] = {}
    binned = _count(table, uri, groups) if unit["counts"] else [{}] * len(table)
    columns = {name: table[name] for name in ("key", "sha256", "category", "label", "defect", *SCORES)}
    columns["failed"] = pc.is_valid(table["error"])
    columns |= {name: pa.array([row.get(name) for row in binned]) for name in ("regions", *_BINNED)}
    images = pa.table({name: columns[name].cast(IMAGES_SCHEMA.field(name).type) for name in IMAGES_SCHEMA.names})
    _write(unit["images"], images, source)
    if unit["counts"]:
        _write(unit["counts"], _counts_table(groups), source)
    return unit


def read_images(uri: str) -> pa.Table:
    """An images file without the counts."""
    return _read(uri, [name for name in IMAGES_SCHEMA.names if name not in _BINNED])


def read_binned(uri: str, category: str) -> tuple[np.ndarray, PixelCounts]:
    """(bin starts, counts (n, bins)) of the n counted images of a category that a file has; n is at least 1."""
    rows = _read(uri, ["category", "regions", *_BINNED], category)
    rows = rows.filter(pc.is_valid(rows["regions"])).to_pydict()
    normal, anomalous, weight = (
        np.stack([np.frombuffer(content, _BINNED[name]) for content in rows[name]])
        for name in ("normal", "anomalous", "region_weight")
    )
    starts = np.frombuffer(rows["bin_starts"][0], _BINNED["bin_starts"])
    counts = PixelCounts(normal.astype(np.int64), anomalous.astype(np.int64), weight, np.array(rows["regions"]))
    return starts.astype(np.int64), counts


def read_counts(uri: str, category: str) -> dict[Group, PixelCounts]:
    """Counts by code of each group of a category. The regions, which the images file has, are left 0."""
    table = _read(uri, category=category)
    code = table["code"].to_numpy()
    values = {name: table[name].to_numpy() for name in ("normal", "anomalous", "region_weight")}
    names = list(zip(*(table[name].to_pylist() for name in Group._fields)))
    # The rows of a group stand together, as they were written.
    edges = [0, *(i for i in range(1, len(names)) if names[i] != names[i - 1]), len(names)]
    groups = {}
    for first, end in itertools.pairwise(edges):
        dense = {name: np.zeros(CODES, column.dtype) for name, column in values.items()}
        for name, column in values.items():
            dense[name][code[first:end]] = column[first:end]
        groups[Group(*names[first])] = PixelCounts(**dense, regions=0)
    return groups


def _check(table: pa.Table, unit: dict) -> None:
    uri = unit["predictions"]
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


def _count(table: pa.Table, uri: str, groups: dict[Group, PixelCounts]) -> list[dict]:
    """Adds the images' counts to their groups; returns of each row its regions and binned counts, {} if not counted."""
    sparse: list[tuple | None] = []
    rows = table.select(["key", *Group._fields, "anomaly_map", "map_height", "map_width", "mask", "error"]).to_pylist()
    for row in rows:
        counts = _counts_of(row, uri)
        sparse.append(None)
        if counts is not None:
            group = Group(*(row[name] for name in Group._fields))
            groups[group] = groups.get(group, PixelCounts.empty()) + counts
            # Until the bins are known, the codes that the image has are kept, which takes less than its map did.
            code = np.flatnonzero(counts.normal + counts.anomalous)
            sparse[-1] = (code, counts.normal[code], counts.anomalous[code], counts.region_weight[code], counts.regions)
    starts = {}
    for category in sorted({group.category for group in groups}):
        of_category = [counts for group, counts in groups.items() if group.category == category]
        starts[category] = bin_starts(sum(counts.normal + counts.anomalous for counts in of_category))
    return [_binned(image, starts[row["category"]]) if image else {} for row, image in zip(rows, sparse)]


def _counts_of(row: dict, uri: str) -> PixelCounts | None:
    if row["error"] is not None or row["mask"] is None:
        return None
    try:
        codes = decode(row["anomaly_map"], row["map_height"], row["map_width"])
        return PixelCounts.of_map(codes, unpack_mask(row["mask"], row["map_height"], row["map_width"]))
    except (TypeError, ValueError) as error:
        raise ZsadError(
            f"{uri}: row {row['key']!r}: damaged map or mask ({error}); remove the file and run evaluate again"
        ) from None


def _binned(image: tuple, starts: np.ndarray) -> dict:
    code, *counts, regions = image
    place = np.searchsorted(starts, code, side="right") - 1
    sums = [starts, *(np.bincount(place, values, len(starts)) for values in counts)]
    return {"regions": regions} | {
        name: values.astype(kind).tobytes() for (name, kind), values in zip(_BINNED.items(), sums)
    }


def _counts_table(groups: dict[Group, PixelCounts]) -> pa.Table:
    tables = [COUNTS_SCHEMA.empty_table()]
    for group, counts in groups.items():
        code = np.flatnonzero(counts.normal + counts.anomalous)
        columns = {
            name: pa.repeat(pa.scalar(value, COUNTS_SCHEMA.field(name).type), len(code))
            for name, value in group._asdict().items()
        }
        columns |= {"code": code.astype(np.uint16)}
        columns |= {name: getattr(counts, name)[code] for name in ("normal", "anomalous", "region_weight")}
        tables.append(pa.table(columns, schema=COUNTS_SCHEMA))
    return pa.concat_tables(tables).combine_chunks()


def _write(uri: str, table: pa.Table, source: str) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({_SOURCE: source}).combine_chunks(),
        sink,
        compression="zstd",
        use_dictionary=[name for name in ("category", "defect", "bin_starts") if name in table.column_names],
        write_page_checksum=True,
    )
    storage.write_bytes(uri, sink.getvalue().to_pybytes())


def _read(uri: str, columns: list[str] | None = None, category: str | None = None) -> pa.Table:
    """All rows, or those of a category. ZsadError where the file is missing or damaged."""
    try:
        with storage.open_for_reading(uri) as file:
            table = pq.ParquetFile(file, page_checksum_verification=True).read(columns)
            return table if category is None else table.filter(pc.equal(table["category"], category))
    except (pa.ArrowException, OSError) as error:
        raise ZsadError(f"{uri}: damaged counts ({error}); remove it and run reduce again") from None


def _source_of(uri: str) -> str | None:
    """What a file was made from (see predictions.footer_of); None where there is no whole such file."""
    try:
        table = _read(uri)
    except ZsadError:
        return None
    if not any(table.schema.equals(schema) for schema in (COUNTS_SCHEMA, IMAGES_SCHEMA)):
        return None
    return (table.schema.metadata or {}).get(_SOURCE.encode(), b"").decode() or None
