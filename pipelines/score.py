"""An archive of images to predictions: what is new in it is listed, scored and added; tables need labels, this does
not."""

from __future__ import annotations

import dataclasses
import json
from typing import NamedTuple

from pipelines import archive, console, lock, predictions, runs, storage
from pipelines.containers import IMAGE_COLUMN
from pipelines.models import choose_models, known_settings
from pipelines.predict import Predicted
from pipelines.prompts import read_prompts
from pipelines.shards import is_plain_name
from zsad_core.errors import UsageError, ZsadError
from zsad_core.settings import ScoringSettings
from zsad_core.tiling import OVERLAP

# Images: whole batches on every device; those that are cut into tiles take the room of many.
UNIT, TILED_UNIT = 32, 8
PACKED = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


class Scored(NamedTuple):
    """`there`: images of the whole archive. `now`: what this call predicted."""

    there: int
    now: Predicted


def score(
    source_uri: str,
    run_uri: str,
    settings: ScoringSettings,
    checkpoints: list[str],
    *,
    prompt: str | None = None,
    prompts: str | None = None,
    name: str | None = None,
    tile: int | None = None,
    overlap: float = OVERLAP,
    image_column: str = IMAGE_COLUMN,
    actors: int | None = None,
) -> Scored:
    """Score the images of an archive that have no predictions in the run yet.

    `source_uri`: a folder of images, tar files and Parquet files, in any mixture, or one such file. `prompt`, `prompts`
    (a CSV file), `name`: see prompts.Prompts; by default the name of the folder. `tile`, `overlap`: see
    zsad_core.tiling. Raises ZsadError where the run folder holds another run.
    """
    source_uri, run_uri = storage.normalise(source_uri), storage.normalise(run_uri)
    settings = dataclasses.replace(settings, uncertainty=True)
    _check(tile, overlap)
    runs.check_folder(run_uri)
    source = archive.open_source(source_uri)
    source = source._replace(versions=_without_run(source, run_uri))
    if not any(archive.is_usable(file) for file in source.versions):
        packed = " (it is compressed: unpack it)" if source_uri.lower().endswith(PACKED) else ""
        raise ZsadError(f"{source_uri}: no images there, nor tar or Parquet files of images{packed}")
    there = runs.read_archive(run_uri) if storage.exists(storage.join(run_uri, "run.json")) else None
    known = there if archive.is_begun(run_uri) else None
    if known:  # what a run began with it goes on with, unless it is told otherwise
        name = name or known["archive"]["name"]
        prompt = known["archive"].get("prompt") if prompt is None and prompts is None else prompt
    name = name or storage.file_name(source_uri).split(".")[0]
    if not is_plain_name(name):
        raise UsageError(f"--name: {name!r} is no plain name; give the archive one (letters, digits, '_', '-', blanks)")
    called = read_prompts(name, prompt, prompts)
    made = {"name": name, "prompt": prompt, "tile": tile, "overlap": overlap, "image_column": image_column}
    if known:
        runs.check_archive(run_uri, known, known_settings(settings), made)
    else:
        archive.check_called(source, called)
    models = choose_models(settings, checkpoints, {name: None}, actors)
    with lock.held(run_uri):
        if there and not archive.is_begun(run_uri):  # of a call that could not list anything
            storage.remove(storage.join(run_uri, "run.json"))
        runs.open_archive(run_uri, models.recorded, made, source_uri)
        moved = runs.note_source(run_uri, source_uri)
        update = archive.update(run_uri, source, called, image_column, TILED_UNIT if tile else UNIT, moved)
        _say(update)
        options = models.options_of[name]
        units = [
            {
                **unit,
                "name": f"{source_uri} ({unit['file_name']})",
                "source": source.uri,
                "image_column": image_column,
                "origin": predictions.made_from({**models.recorded, **made}, unit["sha256"], options),
                "predictions": predictions.prediction_uri(run_uri, name, unit["file_name"]),
                "small_defect": "[]",
                "options": json.dumps(options),
            }
            for unit in archive.units_of(run_uri)
        ]
        done = models.predict_missing(next(iter(models.files)), units, tile=tile, overlap=overlap)
    return Scored(sum(unit["rows"] for unit in units), done)


def _check(tile: int | None, overlap: float) -> None:
    if tile is not None and tile < 16:
        raise UsageError(f"--tile {tile}: at least 16 pixels are needed")
    if not 0 <= overlap <= 0.9:
        raise UsageError(f"--overlap {overlap:g}: a share of a tile's side from 0 to 0.9 is needed")


def _without_run(source: archive.Source, run_uri: str) -> dict[str, str]:
    """This run, and others, may lie in the archive's own folder."""
    runs_there = {file.removesuffix("run.json") for file in source.versions if file.endswith("/run.json")}
    runs_there = {
        folder for folder in runs_there if any(file.startswith(f"{folder}inventory/") for file in source.versions)
    }
    if run_uri.startswith(source.uri + "/"):
        runs_there.add(f"{run_uri.removeprefix(source.uri).strip('/')}/")
    if not runs_there:
        return source.versions
    return {file: version for file, version in source.versions.items() if not file.startswith(tuple(runs_there))}


def _say(update: archive.Update) -> None:
    parts = [f"{update.there + update.new:,} images, {update.new:,} of them new"]
    if update.changed:
        parts.append(f"{update.changed:,} written anew since")
    if update.gone:
        parts.append(f"{update.gone:,} not there any more, whose scores stay")
    if update.skipped:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in update.skipped.most_common(5))
        parts.append(f"left out as no images: {kinds}")
    console.say("archive: " + "; ".join(parts))
