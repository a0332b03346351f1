"""The pictures of a report: sheets of small ones, of each image itself and of its map over it, made a prediction file
at a time.

A file's sheets lie where the file lies below `predictions`, with a JSON of the same name that is written last and says
what they were made from: pictures of a file that has not changed are never made again.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image

from pipelines import storage
from pipelines.originals import original_images
from pipelines.predictions import PredictionFile, footer_of, partition_uri, read_predictions
from zsad_core import heat_maps
from zsad_core.errors import ZsadError
from zsad_core.images import ImageError, decode_image
from zsad_core.map_codec import LARGEST_CODE, decode, unpack_mask

COLUMNS, ROWS = 4, 4  # of a sheet's cells: a file's most suspicious images share one, which is loaded for all of them
CELLS = COLUMNS * ROWS
VERSION = 1  # changes with what a sheet shows
GONE, OUTLINED = 1, 2  # flags of a picture: the original was not found; the true region is drawn
_READ = ["key", "sha256", "score", "error", "anomaly_map", "map_height", "map_width", "mask"]


class Place(NamedTuple):
    """Where the picture of a row is: the cell's number in the file, CELLS a sheet; the picture's size in pixels."""

    row: int
    cell: int
    width: int
    height: int
    flags: int


def sheet_name(number: int) -> str:
    return f"-{number}.webp"


def make_sprites(unit: dict) -> dict:
    """Ray task: gives `places`, a Place for each row of the prediction file that has a picture, `made`, how many were
    made now, and the unit's `file_number`.

    The unit: `name` (URI of the file), `file` (a PredictionFile), `origin` (where its images lie), `out` (folder of all
    sprites), `size` (pixels of a picture's longer side), `scale` (low, high) of the maps and `rows`, the numbers
    of the rows to draw, or None for all that were scored. What an image or map lacks costs its own picture alone.
    ZsadError where the file is damaged.
    """
    base = sprites_uri(unit["out"], unit["file"])
    made_from = _made_from(unit)
    there = read_marker(base)
    if there and there["made_from"] == made_from and _still_gone(unit, there["places"]):
        return {"file_number": unit["file_number"], "places": there["places"], "made": 0}
    if there:
        storage.remove(base + ".json")
    sheets, places = _draw(unit)
    for number, sheet in enumerate(sheets):
        storage.write_bytes(base + sheet_name(number), heat_maps.webp(sheet))
    for number in range(len(sheets), there["sheets"] if there else 0):
        storage.remove(base + sheet_name(number))
    marker = {"made_from": made_from, "sheets": len(sheets), "places": places}
    storage.write_bytes(base + ".json", json.dumps(marker).encode())
    return {"file_number": unit["file_number"], "places": places, "made": len(places)}


def sprites_uri(out: str, file: PredictionFile) -> str:
    """Of what a prediction file's sprites are named by, without an ending."""
    return partition_uri(out, file.benchmark, file.name).removesuffix(".parquet")


def read_marker(base: str) -> dict | None:
    """What the JSON beside the sheets says; None where they are not all there."""
    try:
        content = json.loads(storage.read_bytes(base + ".json"))
        _ = content["made_from"], int(content["sheets"])
        return content | {"places": [Place(*map(int, place)) for place in content["places"]]}
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _made_from(unit: dict) -> str:
    parts = [VERSION, unit["size"], unit["scale"], unit["rows"], footer_of(unit["name"])]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _draw(unit: dict) -> tuple[list[Image.Image], list[Place]]:
    table = read_predictions(unit["name"], _READ)
    small = table.select(["key", "sha256", "score", "error", "map_height", "map_width"]).to_pylist()
    scored = [row for row, each in enumerate(small) if each["error"] is None and _is_finite(each["score"])]
    chosen = scored if unit["rows"] is None else sorted(set(scored).intersection(unit["rows"]))
    chosen.sort(key=lambda row: -small[row]["score"])
    originals = _originals(unit, {small[row]["key"]: small[row]["sha256"] for row in chosen})
    size = unit["size"]
    sheets: list[Image.Image] = []
    places: list[Place] = []
    for row in chosen:
        drawn = draw_pair(table, row, originals.get(small[row]["key"]), unit["scale"], size)
        if drawn is None:
            continue
        image, over, flags = drawn
        number, cell = divmod(len(places), CELLS)
        if number == len(sheets):
            sheets.append(Image.new("RGB", (COLUMNS * 2 * size, ROWS * size), (128, 128, 128)))
        x, y = cell % COLUMNS * 2 * size, cell // COLUMNS * size
        if image:
            sheets[-1].paste(image, (x, y))
        sheets[-1].paste(over, (x + size, y))
        places.append(Place(row, len(places), *over.size, flags))
    if sheets:
        used = -(-(len(places) - CELLS * (len(sheets) - 1)) // COLUMNS)
        sheets[-1] = sheets[-1].crop((0, 0, COLUMNS * 2 * size, used * size))
    return sheets, places


def _is_finite(score: float | None) -> bool:
    return score is not None and math.isfinite(score)


def _originals(unit: dict, sha256s: dict[str, str]) -> dict[str, bytes]:
    try:
        return original_images(unit["origin"], unit["file"].benchmark, unit["file"].name, sha256s)
    except ZsadError:
        return {}


def _still_gone(unit: dict, places: list[Place]) -> bool:
    """Whether none of the originals that were not found is back."""
    gone = [place.row for place in places if place.flags & GONE]
    if not gone:
        return True
    rows = read_predictions(unit["name"], ["key", "sha256"]).take(pa.array(gone)).to_pylist()
    return not _originals(unit, {row["key"]: row["sha256"] for row in rows})


def draw_pair(
    table: pa.Table, row: int, content: bytes | None, scale: tuple[float, float], size: int
) -> tuple[Image.Image | None, Image.Image, int] | None:
    """(the image, or None where it is gone; its map over it; flags) of a row; None where its map is damaged.

    `table`: the columns anomaly_map, map_height, map_width, mask; `content`: the encoded image; `size`: of the longer
    side.
    """
    coded, height, width, packed = (table[name][row] for name in ("anomaly_map", "map_height", "map_width", "mask"))
    try:
        codes = decode(coded.as_py(), height.as_py(), width.as_py())
        mask = unpack_mask(packed.as_py(), *codes.shape) if packed.is_valid else None
    except (ValueError, TypeError):
        return None
    try:
        image = decode_image(content) if content else None
    except ImageError:
        image = None
    shape = heat_maps.fit(image or Image.new("L", codes.shape[::-1]), size)
    if image:
        image = image.resize(shape, Image.Resampling.BICUBIC, reducing_gap=3)
    outlined = mask is not None and bool(mask.any())
    over = heat_maps.overlay(codes, *scale, shape, image, mask if outlined else None)
    return image, over, (0 if image else GONE) | (OUTLINED if outlined else 0)


def measure_maps(unit: dict) -> dict:
    """Ray task: adds `values`, the (0.1 % quantile, highest value) in [0, 1] of the maps in the unit's `rows`."""
    table = read_predictions(unit["name"], ["anomaly_map", "map_height", "map_width"])
    values = []
    for row in table.take(pa.array(unit["rows"], pa.int64())).to_pylist():
        try:
            codes = decode(row["anomaly_map"], row["map_height"], row["map_width"])
        except (ValueError, TypeError):
            continue
        values.append((float(np.quantile(codes, 0.001)) / LARGEST_CODE, int(codes.max()) / LARGEST_CODE))
    return {**unit, "values": values}
