"""The prediction file: one row a sample of a shard, scored or with the reason why not."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import parquet, storage
from zsad_core.errors import ZsadError
from zsad_core.map_codec import CODING

PREDICTION_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("category", pa.string()),
        ("defect", pa.string()),
        ("prompt", pa.string()),
        ("label", pa.int8()),  # 0, 1 or null: unknown
        ("sha256", pa.string()),
        ("score_text", pa.float64()),
        ("score_map", pa.float64()),
        ("score", pa.float64()),
        ("anomaly_map", pa.binary()),  # zsad_core.map_codec.encode of the smoothed map
        ("map_height", pa.int32()),
        ("map_width", pa.int32()),
        ("mask", pa.binary()),  # zsad_core.map_codec.pack_mask at the map's size; null where pixel truth is unknown
        ("error", pa.string()),  # why the sample was not scored; scores and map are null then
        ("mask_error", pa.string()),  # why pixel truth is unknown although the sample was scored
        ("height", pa.int32()),  # of the upright image, in its own pixels; null where it cannot be decoded
        ("width", pa.int32()),
        ("score_std", pa.float64()),  # of `score` over the prompt samples; null where they were not asked for
        ("anomaly_map_std", pa.binary()),  # of the smoothed map over the prompt samples, coded as anomaly_map is
    ]
)

_ENCODED = ("anomaly_map", "anomaly_map_std")
_LARGE = (*_ENCODED, "mask")
_EARLIER = pa.schema(list(PREDICTION_SCHEMA)[:-4])  # what versions wrote that knew nothing of archives
_PARTITION = "benchmark="
ORIGIN = "made_from"  # in a file's metadata
_ALWAYS = ("key", "category")  # that every row has
_MAKE_AGAIN = "remove it and run the command that made it again"
_SMALL = [name for name in PREDICTION_SCHEMA.names if name not in _LARGE]


class PredictionFile(NamedTuple):
    benchmark: str
    name: str  # `test-00000-of-00004.parquet` say
    uri: str


def prediction_uri(run: str, benchmark: str, shard_name: str) -> str:
    """`<run>/predictions/benchmark=<name>/<shard name>.parquet`, for a shard's name with or without `.parquet`."""
    return partition_uri(storage.join(run, "predictions"), benchmark, shard_name)


def partition_uri(folder: str, benchmark: str, shard_name: str) -> str:
    """A shard's file below a folder that Parquet readers take as partitioned by `benchmark`.

    Characters that a path or a pattern would misread are percent-encoded, as those readers expect.
    """
    return storage.join(
        folder, _PARTITION + quote(benchmark, safe=" "), shard_name.removesuffix(".parquet") + ".parquet"
    )


def files_there(run_uri: str) -> list[PredictionFile]:
    """The prediction files that a run has, sorted; none of a run that only has tables."""
    predictions = storage.join(run_uri, "predictions")
    found = []
    for folder in storage.list_names(predictions):
        if folder.startswith(_PARTITION):
            benchmark = unquote(folder.removeprefix(_PARTITION))
            names = storage.list_names(storage.join(predictions, folder))
            uris = [(name, storage.join(predictions, folder, name)) for name in names if name.endswith(".parquet")]
            found += [PredictionFile(benchmark, name, uri) for name, uri in uris if not name.startswith(".")]
    return found


def made_from(settings: dict, shard_sha256: str, options: dict | None = None) -> str:
    """A hash that names what predictions are made from: the run's settings, the shard's content, how maps are coded,
    and the values of the method's options for the benchmark, where the method has any."""
    parts = [settings, shard_sha256, CODING, *([options] if options else [])]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def write_predictions(uri: str, table: pa.Table, origin: str) -> None:
    """Write a table of PREDICTION_SCHEMA, whole or not at all; equal tables give equal bytes.

    `origin`, what `made_from` gives, stands in the file's metadata. ValueError where the table has another schema.
    """
    if not table.schema.equals(PREDICTION_SCHEMA):
        raise ValueError(f"not the prediction schema:\n{table.schema}")
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata({ORIGIN: origin}).combine_chunks(),  # chunk borders would show in the pages
        sink,
        compression={name: "NONE" if name in _ENCODED else "ZSTD" for name in PREDICTION_SCHEMA.names},
        use_dictionary=["category", "defect", "prompt"],
        write_statistics=_SMALL,
        write_page_checksum=True,
    )
    storage.write_bytes(uri, sink.getvalue().to_pybytes())


def origin_of(uri: str) -> str | None:
    """What the predictions (see made_from) or counts in a file were made from; None where there is no whole such
    file."""
    try:
        return footer_of(uri)[0]
    except ZsadError:
        return None


def footer_of(uri: str) -> tuple[str | None, str]:
    """(what the predictions were made from, sha256 of the file's footer), without reading the rows.

    The footer holds what the predictions were made from, sizes and places of all columns and the scores' extremes: it
    tells one file from another at the cost of a few kilobytes. ZsadError where the file is missing or damaged.
    """
    with _opened(uri) as file:
        metadata = pq.read_metadata(file)
        file.seek(-8 - metadata.serialized_size, os.SEEK_END)
        footer = file.read()
    origin = (metadata.metadata or {}).get(ORIGIN.encode(), b"").decode(errors="replace")
    return origin or None, hashlib.sha256(footer).hexdigest()


def read_predictions(uri: str, columns: list[str] | None = None) -> pa.Table:
    """All rows of a prediction file, or only some columns of it (nothing else is fetched).

    ZsadError where the file is missing, damaged or no prediction file.
    """
    with _opened(uri) as file:
        schema = parquet.open_file(file).schema_arrow
        if schema.names in ([*PREDICTION_SCHEMA.names], [*_EARLIER.names]) and _of_equal_types(schema):
            file.seek(0)
            return _checked(uri, _read(file, schema, columns))
    differing = [field.name for field in PREDICTION_SCHEMA if field not in schema]
    raise ZsadError(
        f"{uri}: not a prediction file of this version: "
        + (f"columns missing or of another type: {', '.join(differing)}" if differing else "unknown or moved columns")
        + f"; {_MAKE_AGAIN}"
    )


@contextlib.contextmanager
def _opened(uri: str) -> Iterator[BinaryIO]:
    """To read from; ZsadError where the file is missing, or what is read from it damaged."""
    try:
        with storage.open_for_reading(uri) as file:
            yield file
    except FileNotFoundError:
        raise ZsadError(f"{uri}: no such prediction file; {_MAKE_AGAIN}") from None
    except (pa.ArrowException, OSError) as error:
        raise ZsadError(f"{uri}: damaged prediction file ({parquet.reason(error)}); {_MAKE_AGAIN}") from None


def _of_equal_types(schema: pa.Schema) -> bool:
    return all(field.equals(PREDICTION_SCHEMA.field(field.name)) for field in schema)


def _read(file: BinaryIO, schema: pa.Schema, columns: list[str] | None) -> pa.Table:
    """What an earlier version's file lacks is null."""
    names = PREDICTION_SCHEMA.names if columns is None else columns
    table = parquet.read(file, PREDICTION_SCHEMA, [name for name in names if name in schema.names])
    for position, name in enumerate(names):
        if name not in schema.names:
            field = PREDICTION_SCHEMA.field(name)
            table = table.add_column(position, field, pa.nulls(len(table), field.type))
    return table


def _checked(uri: str, table: pa.Table) -> pa.Table:
    wrong = {name: pc.is_null(table[name]) for name in _ALWAYS if name in table.column_names}
    if "label" in table.column_names:
        wrong["label"] = parquet.wrong_labels(table["label"])
    for name, rows in wrong.items():
        if (number := pc.index(rows, True).as_py()) >= 0:
            value = table[name][number].as_py()
            raise ZsadError(f"{uri}: row {number} has the {name} {value}; {_MAKE_AGAIN}")
    return table
