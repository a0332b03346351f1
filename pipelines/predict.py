"""Shards to predictions: read and decode (tasks) -> score (actors that hold the model) -> write (tasks), streamed.

The unit of work is one shard, from its own file to its own file: a finished one is never done twice, and what a
prediction is depends on nothing outside the shard.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import ray.data

from pipelines import archive, console, engine, isolation, predictions, shards, storage
from zsad_core import map_codec
from zsad_core.images import ImageError, decode_image, mask_pixels
from zsad_core.settings import PlacedSettings, ScoringSettings, split_backbone
from zsad_core.tiling import OVERLAP, Tiling, of_whole_image, tile_pixels, tiling_of

if TYPE_CHECKING:  # loads torch, which the driver does without
    from zsad_core.scoring import Scorer

OF_TILES = ("score_text", "score_map", "score", "score_std", "codes", "codes_std")  # what the model gives
SHOWN = 10  # images that are named at the end
_SUMMARY = ("key", "category", "score", "score_std")
MODELS_A_GPU = 2  # while one fetches a shard or hands over its results, the other computes


class Predicted(NamedTuple):
    """What was predicted: `images`, how many of them were not scored, `errors` of these as (key, why), by key;
    `highest`: `key`, `category`, `score` and `score_std` of the most suspicious. Both at most SHOWN."""

    images: int = 0
    not_scored: int = 0
    errors: tuple[tuple[str, str], ...] = ()
    highest: tuple[dict[str, Any], ...] = ()

    def with_rows(self, rows: list[dict]) -> Predicted:
        """And these rows of predictions."""
        errors = tuple((row["key"], row["error"]) for row in rows if row["error"] is not None)
        scored = tuple({name: row[name] for name in _SUMMARY} for row in rows if row["error"] is None)
        return self.with_more(Predicted(len(rows), len(errors), errors, scored))

    def with_more(self, more: Predicted) -> Predicted:
        highest = sorted(self.highest + more.highest, key=lambda row: (-row["score"], row["key"]))
        return Predicted(
            self.images + more.images,
            self.not_scored + more.not_scored,
            tuple(sorted(self.errors + more.errors)[:SHOWN]),
            tuple(highest[:SHOWN]),
        )


def describe(settings: ScoringSettings, benchmarks: list[str]) -> dict:
    """Build the model once in a process of its own: its facts for run.json, and its errors before any work.

    Besides what Scorer.facts gives: `options_of`, the values of the method's options for each of `benchmarks`;
    `gpu_bytes`, the memory of a GPU of the cluster, where `settings.device` is cuda.
    """
    return engine.call(_describe, settings, benchmarks, gpu=settings.device == "cuda")


def _describe(settings: ScoringSettings, benchmarks: list[str]) -> dict:
    scorer = _scorer(dataclasses.replace(settings, device="cpu", precision="fp32", compile=False))
    facts = {**scorer.facts(), "options_of": {name: scorer.options_for(name) for name in benchmarks}}
    return facts | {"gpu_bytes": _gpu_bytes()} if settings.device == "cuda" else facts


def _gpu_bytes() -> int:
    import torch

    return torch.cuda.get_device_properties(0).total_memory


def _scorer(settings: ScoringSettings) -> Scorer:
    from zsad_core.scoring import Scorer

    architecture, weights = split_backbone(settings.backbone)
    with storage.local_copy(weights) as backbone, storage.local_copy(settings.checkpoint) as checkpoint:
        return Scorer(dataclasses.replace(settings, backbone=architecture + backbone, checkpoint=checkpoint))


def predict(
    units: list[dict],
    settings: PlacedSettings,
    image_size: int,
    map_size: int,
    actors: int,
    tile: int | None = None,
    overlap: float = OVERLAP,
) -> Predicted:
    """Write the predictions of every unit.

    A unit is one shard: `name` (its URI), `rows` (their number), `shard_sha256`, `origin` (see predictions.made_from),
    `predictions` (URI), `small_defect` (JSON list of the categories with small defects), `options` (JSON, the
    method's for its benchmark). One of an archive has `source` (see archive.read_unit) and no `shard_sha256`. `actors`
    hold the model, MODELS_A_GPU on each GPU where `settings.device` is cuda. `tile`, `overlap`: see zsad_core.tiling.
    """
    # Other resources than its neighbours keep the actors apart from them, so that decoding overlaps the model. Shares
    # of a core, under half of all cores for the actors: where one step takes all there is, the others never start.
    cores = max(1.0, engine.resources()["CPU"])  # none on a cluster whose workers are yet to come
    if settings.device == "cuda":
        model: dict[str, Any] = {"num_gpus": 1 / MODELS_A_GPU}
        reading = 1.0 if cores >= 4 else 0.4  # a whole core, where many decode for one GPU
    else:
        model = {"num_cpus": min(0.25 * settings.threads, 0.47 * cores / actors)}
        reading = 0.4
    model |= {"compute": ray.data.ActorPoolStrategy(size=actors), "fn_constructor_args": (settings,)}
    model |= {"max_task_retries": engine.RETRIES}

    def graph(dataset: ray.data.Dataset) -> ray.data.Dataset:
        return (
            dataset.map(engine.guarded(_read), num_cpus=reading, max_retries=engine.RETRIES)
            .map(_Model, **model)  # type: ignore[arg-type]  # Ray takes an actor's class, its annotation does not
            .map(engine.guarded(_write), num_cpus=0.3, max_retries=engine.RETRIES)
        )

    progress = console.Progress("predict", sum(unit["rows"] for unit in units))
    smallest_batch, predicted = settings.batch_size, Predicted()
    sizes = {"image_size": image_size, "map_size": map_size, "tile": tile, "overlap": overlap}
    for written in engine.stream([{**unit, **sizes} for unit in units], graph):
        predicted = predicted.with_more(written["predicted"])
        progress.advance(written["predicted"].images)
        smallest_batch = min(smallest_batch, written["batch_size"])
    if smallest_batch < settings.batch_size:
        console.say(f"memory was short: some batches were cut to {smallest_batch} images; --batch-size sets them all")
    return predicted


def _read(unit: dict) -> dict:
    """Read one shard and decode its images to the model's size: `pixels` (n, S, S, 3) of all tiles that can be scored.

    A sample's `tiling` says which map they make.
    """
    size, map_size = unit["image_size"], unit["map_size"]
    samples, pixels = [], []
    with isolation.calls(unit["isolated"]) as call:
        for row in _rows(unit):
            image, mask = row.pop("image"), row.pop("mask")
            row["tiling"] = Tiling.whole(map_size)
            if row["error"] is None:
                try:
                    tiles, row["tiling"], row["height"], row["width"] = call(
                        _tiles, image, row["sha256"], size, map_size, unit["tile"], unit["overlap"]
                    )
                    pixels.append(tiles)
                except ImageError as error:
                    row["error"] = str(error)
            row["mask"] = None
            try:
                if row["mask_error"] is None:
                    row["mask"] = call(_packed_mask, mask, row["label"], row["tiling"])
            except ImageError as error:
                row["mask_error"] = str(error)
            samples.append(row)
    stacked = np.concatenate(pixels) if pixels else np.empty((0, size, size, 3), np.uint8)
    return {**unit, "samples": pickle.dumps(samples), "pixels": stacked}


def _rows(unit: dict) -> list[dict]:
    if "source" in unit:
        return archive.read_unit(unit)
    return shards.read_shard(unit["name"], {"sha256": unit["shard_sha256"]}).to_pylist()


def _tiles(
    content: bytes, sha256: str, size: int, map_size: int, tile: int | None, overlap: float
) -> tuple[np.ndarray, Tiling, int, int]:
    """An image's tiles (n, S, S, 3), how they lie, its height and width."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ImageError("the image's bytes are not those that were packed (other sha256): pack it again")
    image = decode_image(content)
    tiling = tiling_of(image.height, image.width, tile, overlap, map_size)
    return tile_pixels(image, tiling, size), tiling, image.height, image.width


def _packed_mask(mask: bytes | None, label: int | None, tiling: Tiling) -> bytes | None:
    """Packed bits at the map's size: nothing is anomalous in a normal image, an anomalous one needs its mask."""
    shape = tiling.height, tiling.width
    if mask is not None:
        return map_codec.pack_mask(mask_pixels(mask, *shape))
    return map_codec.pack_mask(np.zeros(shape, bool)) if label == 0 else None


class _Model:
    """The actor that holds the model; adds the tiles' `score_text`, `score_map`, `score` (n,), `codes` (n, M, M), and
    `score_std`, `codes_std`, which are empty where nobody asked for them."""

    def __init__(self, settings: ScoringSettings):
        self.scorer = _scorer(settings)

    def __call__(self, unit: dict) -> dict:
        return engine.guarded(self._score)(unit)

    def _score(self, unit: dict) -> dict:
        pixels, small_defect = unit.pop("pixels"), set(json.loads(unit["small_defect"]))
        good = [sample for sample in pickle.loads(unit["samples"]) if sample["error"] is None]
        good = [sample for sample in good for _ in range(sample["tiling"].count)]
        scores = self.scorer.score(
            pixels,
            [sample["prompt"] for sample in good],
            [sample["sha256"] for sample in good],
            [sample["category"] in small_defect for sample in good],
            json.loads(unit["options"]),
        )
        return {**unit, "score_text": scores.text, "score_map": scores.map, "score": scores.score} | {
            "codes": scores.codes,
            "score_std": np.empty(0) if scores.score_std is None else scores.score_std,
            "codes_std": np.empty((0, 1, 1), np.uint16) if scores.codes_std is None else scores.codes_std,
            "batch_size": scores.batch_size,
        }


def _write(unit: dict) -> dict:
    """Write one shard's predictions, every sample a row in the shard's order."""
    rows, first = [], 0
    for sample in pickle.loads(unit["samples"]):
        tiling = sample["tiling"]
        row = dict.fromkeys(predictions.PREDICTION_SCHEMA.names) | {
            name: sample[name] for name in predictions.PREDICTION_SCHEMA.names if name in sample
        }
        row |= {"map_height": tiling.height, "map_width": tiling.width}
        if sample["error"] is None:
            row |= _scored(unit, slice(first, first + tiling.count), tiling)
            first += tiling.count
        rows.append(row)
    table = pa.Table.from_pylist(rows, schema=predictions.PREDICTION_SCHEMA)
    predictions.write_predictions(unit["predictions"], table, unit["origin"])
    return {"predicted": Predicted().with_rows(rows), "batch_size": unit["batch_size"]}


def _scored(unit: dict, tiles: slice, tiling: Tiling) -> dict:
    """An image's scores, those of its most suspicious tile, and its map out of the maps of all `tiles`; or its
    error."""
    if not (np.isfinite(unit["score_text"][tiles]) & np.isfinite(unit["score_map"][tiles])).all():
        return {"error": "the model gave a score that is no number (another --precision may help)"}
    of_tiles = {name: unit[name][tiles] for name in OF_TILES if len(unit[name])}
    scored = of_whole_image(of_tiles, tiling, unit["overlap"])
    maps = {"codes": "anomaly_map", "codes_std": "anomaly_map_std"}
    return {maps.get(name, name): map_codec.encode(each) if name in maps else each for name, each in scored.items()}
