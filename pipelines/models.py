"""Which model scores, and how: the weights for each target, the device, the batch size, the number of actors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from pipelines import console, engine, predictions, runs, storage
from pipelines.predict import MODELS_A_GPU, Predicted, describe, predict
from pipelines.routes import route_checkpoints
from zsad_core import methods
from zsad_core.checkpoints import SUFFIX, read_facts
from zsad_core.errors import UsageError
from zsad_core.methods import shipped_checkpoint, traits_of
from zsad_core.settings import USEFUL_BATCH, PlacedSettings, ScoringSettings, split_backbone

FOOTERS_AT_ONCE = 32
WORKER_BYTES = 2 * 2**30  # what an actor takes besides the weights: libraries, one batch, one shard


class Models(NamedTuple):
    """`files`: the checkpoints by name; `routes`: which of them serves which target; `options_of` a target: the
    method's options. `recorded`: what run.json keeps of all, which the predictions depend on. `actors`: how many hold a
    model."""

    settings: PlacedSettings
    files: dict[str, str]
    routes: dict[str, str]
    options_of: dict[str, dict[str, float]]
    recorded: dict
    image_size: int
    map_size: int
    actors: int

    def predict_missing(self, name: str, units: list[dict], **tiles: Any) -> Predicted:
        """Score those units (see predict) whose predictions are not there, or not whole, or not this run's, with the
        checkpoint of that name. `tiles`: see predict."""
        pending = _pending(units)
        if not pending:
            return Predicted()
        settings, actors = self.settings, min(self.actors, len(pending))
        values: dict[str, Any] = {"device": settings.device, "models": actors, "threads": settings.threads}
        values |= {"batch size": settings.batch_size, "precision": settings.precision}
        compiled = ", compiled" if settings.compile else ""
        console.say("scoring: " + ", ".join(f"{name} {value}" for name, value in values.items()) + compiled)
        settings = _with_files(settings, self.files[name])
        return predict(pending, settings, self.image_size, self.map_size, actors, **tiles)


def choose_models(
    settings: ScoringSettings, checkpoints: list[str], auxiliaries: dict[str, str | None], actors: int | None
) -> Models:
    """Build each model once, in a process of its own, and decide how it is run here.

    `settings.checkpoint` is ignored: `checkpoints` are routed to the targets that `auxiliaries` maps to their auxiliary
    sets (see route_checkpoints). `actors`: None for as many as fit. Raises UsageError for what does not go together.
    """
    traits = traits_of(settings.method)
    _check_use(settings, checkpoints)
    if settings.options:  # looked at before Ray starts; it loads torch
        from zsad_core.methods.base import option_values

        option_values(methods.options_of(settings.method), settings.options, {})
    if not traits.has_backbone:
        settings = dataclasses.replace(settings, backbone=runs.NONE)
    if traits.learns:
        files, routes = route_checkpoints(checkpoints or [_shipped_checkpoint(settings)], auxiliaries)
    else:
        files, routes = {runs.NONE: runs.NONE}, dict.fromkeys(auxiliaries, runs.NONE)
    hashed = _hashed(files)

    placed = settings.on(gpu=engine.device(settings.device) == "cuda")
    on = "" if settings.backbone == runs.NONE else f" on {settings.backbone}"
    console.say(f"loading {settings.method}{on}")
    facts = {name: describe(_with_files(placed, file), [*auxiliaries]) for name, file in files.items()}
    first = next(iter(facts.values()))
    actors = actors or _actors_that_fit(placed, first["parameter_bytes"])
    if placed.device == "cuda" and not settings.batch_size:
        placed = dataclasses.replace(placed, batch_size=_batch_that_fits(first))
    recorded = _recorded(placed, hashed, first)
    options_of = {name: facts[file]["options_of"][name] for name, file in routes.items()}
    if runs.is_untrained(recorded):
        console.say("untrained weights: the figures of this run mean nothing")
    return Models(placed, files, routes, options_of, recorded, first["image_size"], first["map_size"], actors)


def known_settings(settings: ScoringSettings) -> dict[str, Any]:
    """Of what run.json keeps, what is known before a model is built."""
    values = dataclasses.asdict(settings)
    known = ("method", "samples", "seed", "precision", "threads", "compile", "uncertainty")
    given = [name for name in ("image_size", "map_size", "batch_size", "device") if values[name] is not None]
    return {name: values[name] for name in (*known, *given)}


def _check_use(settings: ScoringSettings, checkpoints: list[str]) -> None:
    """Raises UsageError for what was given and means nothing to the method, and for a backbone that cannot be one."""
    traits, default = traits_of(settings.method), ScoringSettings()
    of_a_backbone = () if traits.has_backbone else ("backbone", "precision", "compile")
    useless = [f"--{name}" for name in of_a_backbone if getattr(settings, name) != getattr(default, name)]
    if checkpoints and not traits.learns:
        useless.insert(0, "--checkpoint")
    if ":" not in settings.backbone and not storage.exists(storage.normalise(settings.backbone)):
        raise UsageError(
            f"--backbone {settings.backbone}: no such file, and no ARCHITECTURE:WEIGHTS "
            "(`zsad ls backbones` lists them)"
        )
    if useless:
        what = "learns nothing" if traits.has_backbone else "learns nothing and has no backbone"
        raise UsageError(f"{settings.method} {what}: leave out {' and '.join(useless)}")


def _with_files(settings: PlacedSettings, checkpoint: str) -> PlacedSettings:
    """As workers read it, whatever folder they run in."""
    architecture, weights = split_backbone(settings.backbone)
    return dataclasses.replace(
        settings, backbone=architecture + storage.absolute(weights), checkpoint=storage.absolute(checkpoint)
    )


def _shipped_checkpoint(settings: ScoringSettings) -> str:
    shipped = shipped_checkpoint(settings.method)
    if settings.backbone != ScoringSettings.backbone or not shipped:
        raise UsageError(
            f"--checkpoint: name {settings.method}'s weights for {settings.backbone}, a file, or {runs.UNTRAINED} for "
            "untrained ones"
        )
    console.say("no --checkpoint: taking the weights that zsad brings, which were trained on drawn images alone")
    return shipped


def _hashed(files: dict[str, str]) -> dict[str, dict]:
    """The checkpoints by name and content; of our own trainings what made them, which tells those of other seeds."""
    return {
        storage.file_name(name): {
            "file": storage.file_name(file),
            "sha256": None if file in (runs.UNTRAINED, runs.NONE) else storage.sha256(file),
            **_training_of(file),
        }
        for name, file in files.items()
    }


def _training_of(file: str) -> dict[str, Any]:
    """`training_seed`, and `recipe`, a hash of all else that the training of a checkpoint depended on, where it says
    so."""
    if not file.endswith(SUFFIX):
        return {}
    with storage.local_copy(file) as path:
        training = (read_facts(path) or {})["training"]
    try:
        settings = dict(training["settings"])
        seed = settings.pop("seed")
        others = [settings, training["training"], training["validation"]]
    except (LookupError, TypeError, ValueError):  # imported, or by a program of one's own
        return {}
    recipe = hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()
    return {"training_seed": seed, "recipe": recipe}


def _recorded(settings: ScoringSettings, checkpoints: dict, facts: dict) -> dict:
    """The settings as run.json keeps them: files by name and content, so that moving one changes nothing."""
    recorded = {**dataclasses.asdict(settings), **facts, "checkpoints": checkpoints}
    for name in ("checkpoint", "options_of", "parameter_bytes", "working_bytes", "gpu_bytes"):
        recorded.pop(name, None)
    architecture, weights = split_backbone(settings.backbone)
    return recorded | {"backbone": architecture + storage.file_name(weights)}


def _actors_that_fit(settings: ScoringSettings, parameter_bytes: int) -> int:
    there = engine.resources()
    if settings.device == "cuda":
        return max(1, int(there["GPU"])) * MODELS_A_GPU
    by_cores = int(there["CPU"]) // settings.threads
    by_memory = int(there["memory"] // (parameter_bytes + WORKER_BYTES))
    return max(1, min(by_cores, by_memory))


def _batch_that_fits(facts: dict) -> int:
    """Images at once for one of the models of a GPU: a power of two, as many as are useful and its memory takes."""
    room = 0.8 * facts["gpu_bytes"] / MODELS_A_GPU - facts["parameter_bytes"]
    batch_size = USEFUL_BATCH["cuda"]
    while batch_size > 1 and batch_size * facts["working_bytes"] > room:
        batch_size //= 2
    return batch_size


def _pending(units: list[dict]) -> list[dict]:
    """Those without predictions that are made from the same (see predictions.made_from)."""
    folders = {unit["predictions"].rsplit("/", 1)[0] for unit in units}
    there = {storage.join(folder, name) for folder in folders for name in storage.list_names(folder)}

    def is_done(unit: dict) -> bool:
        uri = unit["predictions"]
        return uri in there and predictions.origin_of(uri) == unit["origin"]

    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as threads:  # an object store answers slowly, but many at once
        return [unit for unit, done in zip(units, threads.map(is_done, units)) if not done]
