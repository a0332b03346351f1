"""A finished run as its readers find it: settings, prediction files, and of each image its key and score.

Benchmarks or an archive: all that is asked of the folder is `run.json` with settings, and prediction files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import console, engine, storage
from pipelines.predictions import PredictionFile, files_there, prediction_uri, read_predictions
from zsad_core.errors import ZsadError
from zsad_core.map_codec import decode, dequantise

MAP_COLUMNS = ["anomaly_map", "map_height", "map_width"]
_OF_EVERY_IMAGE = ("key", "category", "label", "score")


def read_facts(run_uri: str) -> dict[str, Any]:
    """The content of `<run>/run.json`, of which only `settings` is looked at. ZsadError where there is no run."""
    uri = storage.join(run_uri, "run.json")
    if not storage.exists(uri):
        raise ZsadError(f"{run_uri}: no run there (no run.json)")
    content = storage.read_json(uri)
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise ZsadError(f"{uri}: it names no settings; restore it, or make the run again")
    return content


def prediction_files(run_uri: str) -> list[PredictionFile]:
    """All prediction files of a run, sorted. ZsadError where it has none, or lacks one that run.json names."""
    found = files_there(run_uri)
    try:
        expected = [
            prediction_uri(run_uri, name, file["name"])
            for name, facts in read_facts(run_uri).get("benchmarks", {}).items()
            for file in facts["files"]
        ]
    except (LookupError, TypeError, AttributeError) as error:
        raise ZsadError(f"{run_uri}/run.json: not what made the run wrote ({error!r}); restore it") from None
    there = {file.uri for file in found}
    if missing := [uri for uri in expected if uri not in there]:
        raise ZsadError(
            f"{run_uri}: {len(missing)} of {len(expected)} prediction files are missing (the first: {missing[0]}); "
            "run the command that made it again: it does only what is missing"
        )
    if not found:
        raise ZsadError(f"{run_uri}/predictions: no prediction files there")
    return found


def read_images(files: list[PredictionFile], label: str, more: Sequence[str] = ()) -> pd.DataFrame:
    """A row an image, in the order of the files, without its map; what takes long shows its progress as `label`.

    Columns: benchmark, category, key, score (NaN where the image could not be scored), label (0 normal, 1 anomalous,
    NaN unknown), file (number of the prediction file), row (in that file), and `more` of the prediction's. ZsadError
    where a file is damaged, or an image has neither a score nor an error.
    """
    units = [{"name": file.uri, "file": number, "more": more} for number, file in enumerate(files)]
    progress, tables = console.Progress(label, len(units), "files", patience=2), {}
    for unit in engine.map_units(units, _read_small, few=engine.FEW):
        table, benchmark = unit["table"], files[unit["file"]].benchmark
        tables[unit["file"]] = table.append_column("benchmark", _repeated(table, benchmark))
        progress.advance(1)
    table = pa.concat_tables(tables[number] for number in range(len(files)))
    compact = {pa.string(): pd.ArrowDtype(pa.string())}  # a million keys as Python's texts are 100 MB
    return table.to_pandas(categories=["benchmark", "category"], types_mapper=compact.get)


def _read_small(unit: dict) -> dict:
    """`table`, what `read_images` has of one file but for the benchmark."""
    table = read_predictions(unit["name"], [*dict.fromkeys((*_OF_EVERY_IMAGE, "error", *unit["more"]))])
    failed = pc.is_valid(table["error"])
    bad = pc.invert(pc.or_(failed, pc.fill_null(pc.is_finite(table["score"]), False)))
    if pc.any(bad).as_py():
        key = table["key"].filter(bad)[0].as_py()
        raise ZsadError(
            f"{unit['name']}: row {key!r} has no finite score and no error; remove the file and make it again"
        )
    columns = {name: table[name] for name in (*_OF_EVERY_IMAGE, *unit["more"])}
    columns["score"] = pc.if_else(failed, pa.scalar(math.nan), table["score"])
    columns |= {"file": _repeated(table, unit["file"]), "row": pa.array(range(len(table)))}
    return {"file": unit["file"], "table": pa.table(columns)}


def _repeated(table: pa.Table, value: str | int) -> pa.Array:
    return pa.repeat(pa.scalar(value), len(table))


def map_peaks(images: pd.DataFrame, files: list[PredictionFile], label: str) -> np.ndarray:
    """The highest value, in [0, 1], of the smoothed map of each of these rows (n) of what `read_images` gives."""
    units = [
        {"name": files[number].uri, "places": rows.index.to_list(), "rows": rows["row"].to_list()}
        for number, rows in images.reset_index(drop=True).groupby("file")
    ]
    progress, peaks = console.Progress(label, len(units), "files", patience=2), np.full(len(images), np.nan)
    for unit in engine.map_units(units, _read_peaks, few=engine.FEW):
        peaks[unit["places"]] = unit["peaks"]
        progress.advance(1)
    return peaks


def _read_peaks(unit: dict) -> dict:
    table = read_predictions(unit["name"], ["key", *MAP_COLUMNS]).take(unit["rows"])
    peaks = [float(read_map(unit["name"], table, row).max()) for row in range(len(table))]
    return {"places": unit["places"], "peaks": peaks}


def read_map(uri: str, table: pa.Table, row: int) -> np.ndarray:
    """The smoothed map (H, W) in [0, 1] of a row of a prediction file's columns `key` and MAP_COLUMNS.

    ZsadError that names file and row where it is damaged.
    """
    key, coded, height, width = (table[name][row] for name in ("key", *MAP_COLUMNS))
    try:
        if not coded.is_valid:
            raise ValueError("there is none")
        return dequantise(decode(coded.as_buffer(), height.as_py(), width.as_py()))
    except (TypeError, ValueError) as error:
        raise ZsadError(
            f"{uri}: row {key.as_py()!r}: damaged map ({error}); remove the file and make it again"
        ) from None
