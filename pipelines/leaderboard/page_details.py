"""What the leaderboard's page shows behind a cell: a run's curves, and heat maps of a few telling images.

Only a few rows' maps and images are read; whatever is missing costs its part of the page alone, with a note.
"""

from __future__ import annotations

import base64
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pipelines import storage
from pipelines.originals import Origin, origin_of_run, original_images
from pipelines.predictions import PREDICTION_SCHEMA, PredictionFile, files_there, read_predictions
from zsad_core import heat_maps
from zsad_core.errors import ZsadError
from zsad_core.images import decode_image
from zsad_core.map_codec import decode, unpack_mask

PICTURE_SIDE = 192  # pixels of a picture's longer side

# Why an image is shown: its label, and its place among the images of its category with that label, by score.
_REASONS: list[tuple[str, int | None, float]] = [
    ("highest score of its category's anomalous images", 1, 1.0),
    ("middle score of its category's anomalous images", 1, 0.5),
    ("lowest score of its category's anomalous images", 1, 0.0),
    ("highest score of its category's normal images", 0, 1.0),
]
_SCORES = ["key", "category", "label", "score"]
_CHOSEN = [name for name in PREDICTION_SCHEMA.names if name not in ("prompt", "score_text", "score_map", "mask_error")]


class _Sample(NamedTuple):
    """A row of a run's predictions, and why it is shown."""

    reason: str
    file: PredictionFile
    row: int
    key: str


def page_details(runs: dict[str, list[str]], shards_uri: str | None) -> dict:
    """Curves and heat maps of every entry's runs, as plain JSON values.

    `runs`: entry name -> URIs of its runs; a benchmark is shown from the first of them that has it. `shards_uri`: where
    the original images are; None takes what each run's `run.json` names. Returns
    {"curves": {benchmark: {entry: what curves.json holds of the benchmark}},
     "maps": {benchmark: {entry: {"low", "high" (the scale's ends), "note" or null, "samples": [{"key", "category",
     "defect", "label" or null, "score", "reason", "width", "height", "outlined", "image" or null, "overlay"}]}}},
     "legend": picture of the scale}, pictures as data: URIs. An entry whose maps cannot be read has a note and no
    samples; one whose predictions are gone is not in "maps". Raises ZsadError for a damaged curves.json or run.json.
    """
    curves: dict[str, dict] = {}
    maps: dict[str, dict] = {}
    for entry, uris in runs.items():
        for run in uris:
            for benchmark, of_categories in _curves(run).items():
                curves.setdefault(benchmark, {}).setdefault(entry, of_categories)
            origin = Origin(shards_uri) if shards_uri else _origin(run)
            for benchmark, files in itertools.groupby(files_there(run), key=lambda file: file.benchmark):
                if entry not in maps.setdefault(benchmark, {}):
                    maps[benchmark][entry] = _heat_maps(list(files), origin)
    return {"curves": curves, "maps": maps, "legend": _data_uri("image/png", heat_maps.legend())}


def _curves(run: str) -> dict:
    uri = storage.join(run, "metrics", "curves.json")
    curves = storage.read_json(uri) if storage.exists(uri) else {}
    if not isinstance(curves, dict) or not all(isinstance(each, dict) for each in curves.values()):
        raise ZsadError(f"{uri}: not the curves of a run; `zsad reduce {run}` writes them anew")
    return curves


def _origin(run: str) -> Origin:
    uri = storage.join(run, "run.json")
    return origin_of_run(run, storage.read_json(uri)) if storage.exists(uri) else Origin()


def _heat_maps(files: list[PredictionFile], origin: Origin) -> dict[str, Any]:
    try:
        chosen = _choose(files)
        if not chosen:
            return {"note": "No heat maps: no image of this benchmark was scored.", "samples": []}
        rows = _read_rows(chosen)
        decoded = [decode(row["anomaly_map"], row["map_height"], row["map_width"]) for row in rows]
        low, high = heat_maps.value_range(decoded)
        images, note = _read_images(origin, chosen, rows)
        samples = [
            _sample(why.reason, row, codes, image, low, high)
            for why, row, codes, image in zip(chosen, rows, decoded, images)
        ]
    except (ZsadError, ValueError) as error:
        folder = files[0].uri.removesuffix(files[0].name)  # no paths on a page
        return {"note": f"No heat maps: {str(error).replace(folder, '')}", "samples": []}
    return {"low": low, "high": high, "note": note, "samples": samples}


def _choose(files: list[PredictionFile]) -> list[_Sample]:
    """One image for each reason, from categories spread over the benchmark; ties go to the lowest key."""
    labelled: dict[str, dict[int | None, list[tuple]]] = {}
    for file in files:
        for number, row in enumerate(read_predictions(file.uri, [*_SCORES, "error"]).to_pylist()):
            if row["error"] is None and row["score"] is not None and math.isfinite(row["score"]):
                by_label = labelled.setdefault(row["category"], {})
                by_label.setdefault(row["label"], []).append((row["score"], row["key"], file, number))
    categories = sorted(labelled)
    reasons = _REASONS
    if not any(label is not None for by_label in labelled.values() for label in by_label):
        reasons = [
            (f"{which} score of its category's images", None, place)
            for which, place in (("highest", 1.0), ("middle", 0.5), ("lowest", 0.0))
        ]
    chosen: list[_Sample] = []
    for index, (reason, label, place) in enumerate(reasons):
        start = index * len(categories) // len(reasons)
        for category in categories[start:] + categories[:start]:
            taken = {(sample.file, sample.row) for sample in chosen}
            free = sorted(row for row in labelled[category].get(label, []) if row[2:] not in taken)
            if free:
                score = free[round(place * (len(free) - 1))][0]
                _, key, file, number = next(row for row in free if row[0] == score)
                chosen.append(_Sample(reason, file, number, key))
                break
    return chosen


def _read_rows(chosen: list[_Sample]) -> list[dict]:
    """The chosen rows with their maps, in the order of `chosen`; each file is opened once."""
    rows: dict[_Sample, dict] = {}
    for file in sorted({sample.file for sample in chosen}):
        table = read_predictions(file.uri, _CHOSEN)
        rows |= {sample: table.slice(sample.row, 1).to_pylist()[0] for sample in chosen if sample.file == file}
    return [rows[sample] for sample in chosen]


def _read_images(
    origin: Origin, chosen: list[_Sample], rows: list[dict]
) -> tuple[list[Image.Image | None], str | None]:
    """The original images at the size of the pictures, None where one is not found, and a note that says so."""
    found: list[Image.Image | None] = [None] * len(rows)
    if origin == Origin():
        return found, "The heat maps stand alone: it is not known where the original images are."
    try:
        for file in sorted({sample.file for sample in chosen}):
            wanted = {index: row for index, row in enumerate(rows) if chosen[index].file == file}
            sha256s = {row["key"]: row["sha256"] for row in wanted.values()}
            contents = original_images(origin, file.benchmark, file.name, sha256s)
            for index, row in wanted.items():
                if row["key"] in contents:
                    image = decode_image(contents[row["key"]])
                    found[index] = image.resize(heat_maps.fit(image, PICTURE_SIDE), Image.Resampling.BICUBIC)
    except ZsadError:
        pass  # what was found until then is shown; the note below says that some are missing
    missing = sum(image is None for image in found)
    if not missing:
        return found, None
    return found, f"{missing} of {len(found)} heat maps stand alone: the original image was not found in the shards."


def _sample(reason: str, row: dict, codes: np.ndarray, image: Image.Image | None, low: float, high: float) -> dict:
    mask = None if row["mask"] is None else unpack_mask(row["mask"], *codes.shape)
    size = image.size if image else heat_maps.fit(Image.new("L", codes.shape[::-1]), PICTURE_SIDE)
    over = heat_maps.overlay(codes, low, high, size, image, mask if mask is not None and mask.any() else None)
    return {
        **{name: row[name] for name in ("key", "category", "defect", "label", "score")},
        "reason": reason,
        "width": size[0],
        "height": size[1],
        "outlined": bool(mask is not None and mask.any()),
        "image": image and _data_uri("image/webp", heat_maps.webp(image)),
        "overlay": _data_uri("image/webp", heat_maps.webp(over)),
    }


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
