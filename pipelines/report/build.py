"""A run to its report: the rows of all prediction files, their sprites, then index and page.

predictions ──> rows, cuts ──> scale of the maps ──> sprites (a file at a time) ──> index.js, report.html
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipelines import console, engine, lock, storage
from pipelines.finished import prediction_files, read_facts, read_images
from pipelines.originals import origin_of_run
from pipelines.predictions import PredictionFile
from pipelines.report import sprites
from pipelines.report.cuts import SOURCES, starting_cuts
from pipelines.report.index import index_script, report_index
from pipelines.report.page import report_page
from pipelines.report.rows import COLUMNS, add_other_run
from zsad_core.errors import UsageError, ZsadError

SIZES = (32, 512)
SCALE_IMAGES = 256
SCALE_PEAKS = 0.999


class Report(NamedTuple):
    """What was made: numbers of images, of pictures in all and of those made now, and of bytes."""

    images: int
    not_scored: int
    pictures: int
    made: int
    without_original: int
    index_bytes: int


def report(run_uri: str, other_uri: str | None, out: str, top: int | None, size: int) -> Report:
    """Write `report.html`, `index.js` and `sprites/` to the folder or URI `out`; what is there and up to date is kept.

    `other_uri`: a run over the same images; `top`: only so many images, of the highest scores, get pictures (None:
    all); `size`: of a picture's longer side in pixels. Raises ZsadError naming the file at fault, UsageError for a size
    or number that is out of range.
    """
    if not SIZES[0] <= size <= SIZES[1]:
        raise UsageError(f"--size {size}: between {SIZES[0]} and {SIZES[1]} pixels are possible")
    if top is not None and top < 0:
        raise UsageError(f"--top {top}: at least 0 is needed")
    facts, files = read_facts(run_uri), prediction_files(run_uri)
    rows = read_images(files, "rows", COLUMNS)
    cuts = starting_cuts(run_uri, facts["settings"], rows)
    if other_uri:
        others = read_images(prediction_files(other_uri), "rows of the other run", ["sha256"])
        rows = add_other_run(rows, others)
        if rows["other"].isna().all():
            raise ZsadError(f"{other_uri}: no image of {run_uri} was scored there")
    with lock.held(out):
        scale = _scale(out, files, rows)
        pictures, made = _make_sprites(run_uri, facts, files, rows, storage.join(out, "sprites"), scale, top, size)
        index = {
            "run": _name(run_uri),
            "other": other_uri and _name(other_uri),
            "method": str(facts["settings"].get("method", "")),
            "size": size,
            "sheet": [sprites.COLUMNS, sprites.ROWS],
            "scale": scale,
            "sources": SOURCES,
            "names": [sprites.sprites_uri("sprites", file) for file in files],
        }
        script = index_script(index | report_index(rows, cuts, pictures))
        storage.write_bytes(storage.join(out, "index.js"), script)
        storage.write_bytes(storage.join(out, "report.html"), report_page(script).encode())
    return Report(
        images=len(rows),
        not_scored=int(rows["score"].isna().sum()),
        pictures=len(pictures),
        made=made,
        without_original=int((pictures["flags"].astype(int) & sprites.GONE).astype(bool).sum()),
        index_bytes=len(script),
    )


def _name(uri: str) -> str:
    """The last part alone: no paths and no credentials on a page."""
    return storage.without_credentials(uri).rstrip("/").rsplit("/", 1)[-1]


def _scale(out: str, files: list[PredictionFile], rows: pd.DataFrame) -> list[float]:
    """[low, high] in [0, 1] of all maps, kept from the first time on: pictures of what comes later compare with it.

    From SCALE_IMAGES images at even distances by their score: the 0.1 % quantile of the lowest values that any of them
    has, to the quantile SCALE_PEAKS of their highest values.
    """
    uri = storage.join(out, "sprites", "scale.json")
    if storage.exists(uri):
        low, high = storage.read_json(uri)
        return [float(low), float(high)]
    ranked = rows.index[rows["score"].notna()].to_numpy()[np.argsort(rows["score"].dropna().to_numpy(), kind="stable")]
    chosen = ranked[np.unique(np.linspace(0, len(ranked) - 1, SCALE_IMAGES).round().astype(int))] if len(ranked) else []
    units = [
        {"name": files[file].uri, "rows": of_file["row"].tolist()} for file, of_file in rows.loc[chosen].groupby("file")
    ]
    progress, values = console.Progress("scale of the maps", len(units), "files", patience=2), []
    for unit in engine.map_units(units, sprites.measure_maps, few=engine.FEW):
        values += unit["values"]
        progress.advance(1)
    if not values:
        return [0.0, 1.0]
    lows, peaks = np.array(values).T
    scale = [round(float(lows.min()), 4), round(float(np.quantile(peaks, SCALE_PEAKS)), 4)]
    storage.write_json(uri, scale)
    return scale


def _make_sprites(
    run_uri: str,
    facts: dict[str, Any],
    files: list[PredictionFile],
    rows: pd.DataFrame,
    out: str,
    scale: list[float],
    top: int | None,
    size: int,
) -> tuple[pd.DataFrame, int]:
    """(cell, width, height, flags by the numbers of the rows that have a picture; how many were made now)."""
    first = rows.groupby("file")["key"].size().cumsum().shift(fill_value=0)
    chosen: dict[int, list[int]] = {number: [] for number in range(len(files))}
    if top is not None:
        for row in sorted(rows["score"].nlargest(top).index):
            chosen[rows.at[row, "file"]].append(row - int(first[rows.at[row, "file"]]))
    common = {"origin": origin_of_run(run_uri, facts), "out": out, "size": size, "scale": scale}
    units = [
        {
            **common,
            "name": file.uri,
            "file": file,
            "file_number": number,
            "rows": None if top is None else chosen[number],
        }
        for number, file in enumerate(files)
        if top is None or chosen[number]
    ]
    progress, made, places = console.Progress("pictures", len(units), "files"), 0, []
    for unit in engine.map_units(units, sprites.make_sprites):
        start = int(first[unit["file_number"]])
        places += [place._replace(row=start + place.row) for place in unit["places"]]
        made += unit["made"]
        progress.advance(1)
    return pd.DataFrame(places, columns=sprites.Place._fields).set_index("row"), made
