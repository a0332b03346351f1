"""The pixel counts of a shard as a small file: made once from its prediction file, merged by reduce."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import storage
from pipelines.predictions import parse_predictions
from zsad_core.errors import ZsadError
from zsad_core.map_codec import decode, unpack_mask
from zsad_core.metrics.pixel import CODES, PixelCounts

# Two kinds of rows, so that sums by category are right for every column: one a code, with the pixels that have it; and
# one a category, without a code, with the number of regions, of counted images, and of scored and labelled images
# that could not be counted because their mask is unknown.
COUNTS_SCHEMA = pa.schema(
    [
        ("category", pa.string()),
        ("code", pa.int32()),
        ("normal", pa.int64()),
        ("anomalous", pa.int64()),
        ("region_weight", pa.float64()),
        ("regions", pa.int64()),
        ("images", pa.int64()),
        ("left_out", pa.int64()),
    ]
)
_SOURCE = b"predictions_sha256"


@dataclass(frozen=True)
class CategoryCounts:
    """Pixel counts of a category's `images`, and how many scored and labelled images are `left_out` of them."""

    pixels: PixelCounts
    images: int
    left_out: int

    @classmethod
    def empty(cls) -> CategoryCounts:
        return cls(PixelCounts.empty(), 0, 0)

    def __add__(self, other: CategoryCounts) -> CategoryCounts:
        return CategoryCounts(self.pixels + other.pixels, self.images + other.images, self.left_out + other.left_out)


def count_file(unit: dict) -> dict:
    """Ray task: make `unit["counts"]` from the prediction file `unit["predictions"]`, unless it was made from it."""
    content = storage.read_bytes(unit["predictions"])
    source = hashlib.sha256(content).hexdigest().encode()
    if _source_of(unit["counts"]) != source:
        table = parse_predictions(
            unit["predictions"],
            pa.BufferReader(content),
            ["key", "category", "label", "anomaly_map", "map_height", "map_width", "mask", "error"],
        )
        storage.write_bytes(unit["counts"], _to_bytes(_count(table, unit["predictions"]), source))
    return unit


def read_counts(uri: str) -> dict[str, CategoryCounts]:
    """Counts by category of one counts file; ZsadError where it is damaged."""
    try:
        with storage.open_for_reading(uri) as file:
            table = pq.ParquetFile(file, page_checksum_verification=True).read()
    except (pa.ArrowException, OSError) as error:
        raise ZsadError(f"{uri}: damaged counts ({error}); remove it and run reduce again") from None
    counts = {}
    for category in pc.unique(table["category"]).to_pylist():
        rows = table.filter(pc.equal(table["category"], category))
        of_codes = rows.filter(pc.is_valid(rows["code"]))
        dense = {
            name: _dense(of_codes["code"].to_numpy(), of_codes[name].to_numpy())
            for name in ("normal", "anomalous", "region_weight")
        }
        regions, images, left_out = (pc.sum(rows[name]).as_py() for name in ("regions", "images", "left_out"))
        counts[category] = CategoryCounts(PixelCounts(**dense, regions=regions), images, left_out)
    return counts


def _dense(code: np.ndarray, values: np.ndarray) -> np.ndarray:
    dense = np.zeros(CODES, values.dtype)
    dense[code] = values
    return dense


def _source_of(uri: str) -> bytes | None:
    """The hash of the prediction file that a counts file was made from; None where there is no whole such file."""
    try:
        with storage.open_for_reading(uri) as file:
            schema = pq.ParquetFile(file, page_checksum_verification=True).read().schema
    except (pa.ArrowException, OSError):
        return None
    return schema.metadata.get(_SOURCE) if schema.metadata and schema.equals(COUNTS_SCHEMA) else None


def _count(table: pa.Table, uri: str) -> dict[str, CategoryCounts]:
    counts: dict[str, CategoryCounts] = {}
    for row in table.to_pylist():
        before = counts.setdefault(row["category"], CategoryCounts.empty())
        if row["error"] is not None:
            continue
        if row["mask"] is None:
            if row["label"] is not None:
                counts[row["category"]] = before + CategoryCounts(PixelCounts.empty(), 0, 1)
            continue
        try:
            codes = decode(row["anomaly_map"], row["map_height"], row["map_width"])
            mask = unpack_mask(row["mask"], row["map_height"], row["map_width"])
        except (TypeError, ValueError) as error:
            raise ZsadError(
                f"{uri}: row {row['key']!r}: damaged map or mask ({error}); remove the file and run evaluate again"
            ) from None
        counts[row["category"]] = before + CategoryCounts(PixelCounts.of_map(codes, mask), 1, 0)
    return counts


def _to_bytes(counts: dict[str, CategoryCounts], source: bytes) -> bytes:
    tables = [COUNTS_SCHEMA.empty_table()]
    for category, of_category in counts.items():
        pixels = of_category.pixels
        code = np.flatnonzero(pixels.normal + pixels.anomalous)
        by_code = {"normal": pixels.normal, "anomalous": pixels.anomalous, "region_weight": pixels.region_weight}
        totals = {"regions": pixels.regions, "images": of_category.images, "left_out": of_category.left_out}
        tables += [
            _rows(len(code), category=category, code=code, **{name: counts[code] for name, counts in by_code.items()}),
            _rows(1, category=category, code=None, **totals),
        ]
    table = pa.concat_tables(tables).combine_chunks().replace_schema_metadata({_SOURCE: source})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=["category"], write_page_checksum=True)
    return sink.getvalue().to_pybytes()


def _rows(number: int, **columns: np.ndarray | str | int | None) -> pa.Table:
    """`number` rows of COUNTS_SCHEMA; one value stands for a whole column, a column not given is 0."""
    arrays = []
    for field in COUNTS_SCHEMA:
        value = columns.get(field.name, 0)
        if isinstance(value, np.ndarray):
            arrays.append(pa.array(value, field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(value, field.type), number))
    return pa.Table.from_arrays(arrays, schema=COUNTS_SCHEMA)
