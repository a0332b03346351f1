"""Packed benchmarks to a run: which checkpoint serves which, which shards are missing, predictions, metrics."""

from __future__ import annotations

import dataclasses
import json
import os
from concurrent.futures import ThreadPoolExecutor

from pipelines import engine, lock, predictions, runs, shards, storage
from pipelines.predict import MODELS_A_GPU, describe, predict
from pipelines.reduce import reduce
from zsad_core.errors import UsageError
from zsad_core.methods import shipped_checkpoint, traits_of
from zsad_core.settings import USEFUL_BATCH, ScoringSettings, split_backbone

FOOTERS_AT_ONCE = 32
WORKER_BYTES = 2 * 2**30  # what an actor takes besides the weights: libraries, one batch, one shard


def evaluate(
    shards_uri: str,
    run_uri: str,
    settings: ScoringSettings,
    checkpoints: list[str],
    benchmark_names: list[str] | None = None,
    actors: int | None = None,
) -> dict:
    """Predict every shard of the named benchmarks (all that are packed) that has no predictions yet, then reduce.

    `settings.checkpoint` is ignored: `checkpoints` are routed by auxiliary set (see runs.route_checkpoints). Returns
    the content of `<run>/metrics/results.json`. Raises ZsadError where the run folder holds another run.
    """
    shards_uri, run_uri = storage.normalise(shards_uri), storage.normalise(run_uri)
    runs.check_folder(run_uri)
    sets = shards.find_manifests(shards_uri, benchmark_names)
    for shard_set in sets:
        for line in shards.shown_warnings(shard_set.manifest):
            engine.say(line)
    auxiliaries = {each.manifest["benchmark"]: each.manifest["auxiliary"] for each in sets}
    traits = traits_of(settings.method)
    _check_use(settings, checkpoints)
    if not traits.has_backbone:
        settings = dataclasses.replace(settings, backbone=runs.NONE)
    if traits.learns:
        files, routes = runs.route_checkpoints(checkpoints or [_shipped_checkpoint(settings)], auxiliaries)
    else:
        files, routes = {runs.NONE: runs.NONE}, dict.fromkeys(auxiliaries, runs.NONE)
    hashed = _hashed(files)

    gpus = engine.resources()["GPU"]
    given_batch_size = settings.batch_size
    settings = settings.on(gpu=gpus > 0)
    if settings.device == "cuda" and not gpus:
        if not os.environ.get("RAY_ADDRESS"):
            raise UsageError("--device cuda: Ray finds no GPU in this machine")
        engine.say("no GPU in the cluster yet: the work waits until one joins")
    on = "" if settings.backbone == runs.NONE else f" on {settings.backbone}"
    engine.say(f"loading {settings.method}{on}")
    facts = {name: describe(_with_files(settings, file), [*auxiliaries]) for name, file in files.items()}
    first = next(iter(facts.values()))
    actors = actors or _actors_that_fit(settings, first["parameter_bytes"])
    if settings.device == "cuda" and not given_batch_size:
        settings = dataclasses.replace(settings, batch_size=_batch_that_fits(first))
    recorded = _recorded(settings, hashed, first)
    options_of = {name: facts[file]["options_of"][name] for name, file in routes.items()}
    benchmarks = _benchmarks(sets, routes, options_of)
    if runs.is_untrained(recorded):
        engine.say("untrained weights: the figures of this run mean nothing")
    with lock.held(run_uri):
        for version in runs.open_run(run_uri, recorded, benchmarks, shards_uri):
            engine.say(f"this run was begun with other software, its last bits may differ (there | now): {version}")
        for name, file in files.items():
            served = [each for each in sets if routes[each.manifest["benchmark"]] == name]
            pending = [unit for shard_set in served for unit in _pending(shard_set, run_uri, recorded, options_of)]
            models = min(actors, len(pending))
            if pending:
                engine.say(_how(settings, models))
            predict(pending, _with_files(settings, file), first["image_size"], first["map_size"], models)
        return reduce([run_uri])


def _check_use(settings: ScoringSettings, checkpoints: list[str]) -> None:
    """Raises UsageError for what was given and means nothing to the method."""
    traits, default = traits_of(settings.method), ScoringSettings()
    of_a_backbone = () if traits.has_backbone else ("backbone", "precision", "compile")
    useless = [f"--{name}" for name in of_a_backbone if getattr(settings, name) != getattr(default, name)]
    if checkpoints and not traits.learns:
        useless.insert(0, "--checkpoint")
    if useless:
        what = "learns nothing" if traits.has_backbone else "learns nothing and has no backbone"
        raise UsageError(f"{settings.method} {what}: leave out {' and '.join(useless)}")


def _with_files(settings: ScoringSettings, checkpoint: str) -> ScoringSettings:
    """As workers read it, whatever folder they run in."""
    architecture, weights = split_backbone(settings.backbone)
    return dataclasses.replace(
        settings, backbone=architecture + storage.absolute(weights), checkpoint=storage.absolute(checkpoint)
    )


def _how(settings: ScoringSettings, models: int) -> str:
    values = {"device": settings.device, "models": models, "threads": settings.threads}
    values |= {"batch size": settings.batch_size, "precision": settings.precision}
    compiled = ", compiled" if settings.compile else ""
    return "scoring: " + ", ".join(f"{name} {value}" for name, value in values.items()) + compiled


def _shipped_checkpoint(settings: ScoringSettings) -> str:
    shipped = shipped_checkpoint(settings.method)
    if settings.backbone != ScoringSettings.backbone or not shipped:
        raise UsageError(
            f"--checkpoint: name {settings.method}'s weights for {settings.backbone}, a file, or {runs.UNTRAINED} for "
            "untrained ones"
        )
    engine.say("no --checkpoint: taking the weights that zsad brings, which were trained on drawn images alone")
    return shipped


def _file_name(file: str) -> str:
    return file.rsplit("/", 1)[-1]


def _hashed(files: dict[str, str]) -> dict[str, dict]:
    """The checkpoints by name and content."""
    return {
        _file_name(name): {
            "file": _file_name(file),
            "sha256": None if file in (runs.UNTRAINED, runs.NONE) else storage.sha256(file),
        }
        for name, file in files.items()
    }


def _recorded(settings: ScoringSettings, checkpoints: dict, facts: dict) -> dict:
    """The settings as run.json keeps them: files by name and content, so that moving one changes nothing."""
    recorded = {**dataclasses.asdict(settings), **facts, "checkpoints": checkpoints}
    for name in ("checkpoint", "options_of", "parameter_bytes", "working_bytes", "gpu_bytes"):
        recorded.pop(name, None)
    architecture, weights = split_backbone(settings.backbone)
    return recorded | {"backbone": architecture + _file_name(weights)}


def _benchmarks(sets: list[shards.ShardSet], routes: dict[str, str], options_of: dict[str, dict]) -> dict:
    return {
        each.manifest["benchmark"]: {
            **{key: each.manifest.get(key) for key in ("domain", "levels", "auxiliary", "variant", "categories")},
            "checkpoint": _file_name(routes[each.manifest["benchmark"]]),
            "options": options_of[each.manifest["benchmark"]],
            "files": sorted(each.manifest["files"], key=lambda file: file["name"]),
        }
        for each in sets
    }


def _pending(shard_set: shards.ShardSet, run_uri: str, settings: dict, options_of: dict[str, dict]) -> list[dict]:
    """The units of work whose predictions are not there, or not whole, or not this run's; in the manifest's order."""
    name, manifest = shard_set.manifest["benchmark"], shard_set.manifest
    small_defect = json.dumps([name for name, facts in manifest["categories"].items() if facts["small_defect"]])
    units = [
        {
            "rows": file["rows"],
            "shard_sha256": file["sha256"],
            "origin": predictions.made_from(settings, file["sha256"], options_of[name]),
            "name": shard_set.shard_uri(file),
            "predictions": predictions.prediction_uri(run_uri, name, file["name"]),
            "small_defect": small_defect,
            "options": json.dumps(options_of[name]),
        }
        for file in manifest["files"]
    ]
    if not units:
        return []
    folder = units[0]["predictions"].rsplit("/", 1)[0]
    there = set(storage.list_names(folder))

    def is_done(unit: dict) -> bool:
        uri = unit["predictions"]
        return _file_name(uri) in there and predictions.origin_of(uri) == unit["origin"]

    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as threads:  # an object store answers slowly, but many at once
        return [unit for unit, done in zip(units, threads.map(is_done, units)) if not done]


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
