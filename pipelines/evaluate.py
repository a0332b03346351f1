"""Packed benchmarks to a run: which checkpoint serves which, which shards are missing, predictions, metrics."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os

from pipelines import engine, predictions, runs, shards, storage
from pipelines.predict import describe, predict
from pipelines.reduce import reduce
from zsad_core.errors import ZsadError
from zsad_core.settings import ScoringSettings

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
    sets = shards.find_manifests(shards_uri, benchmark_names)
    for shard_set in sets:
        for warning in shard_set.manifest["warnings"]:
            engine.say(f"{shard_set.manifest['benchmark']}: {warning}")
    files, routes = runs.route_checkpoints(
        checkpoints, {each.manifest["benchmark"]: each.manifest["auxiliary"] for each in sets}
    )

    settings = settings.on(gpu=engine.resources()["GPU"] > 0)
    scoring = {
        name: dataclasses.replace(settings, backbone=_absolute(settings.backbone), checkpoint=_absolute(file))
        for name, file in files.items()
    }
    facts = {name: describe(each) for name, each in scoring.items()}
    recorded = _recorded(settings, files, next(iter(facts.values())))
    if runs.is_untrained(recorded):
        engine.say("untrained weights: the figures of this run mean nothing")
    runs.open_run(run_uri, recorded, _benchmarks(sets, routes))

    for name, each in scoring.items():
        pending = [
            unit
            for shard_set in sets
            if routes[shard_set.manifest["benchmark"]] == name
            for unit in _units(shard_set, run_uri)
        ]
        count = actors or _actors_that_fit(each, facts[name]["parameter_bytes"])
        predict(pending, each, facts[name]["image_size"], min(count, len(pending)))
    return reduce(run_uri)


def _absolute(name: str) -> str:
    """A file named by itself or behind `ARCHITECTURE:` by its full path, since workers run elsewhere."""
    if os.path.exists(name):
        return os.path.abspath(name)
    architecture, separator, weights = name.partition(":")
    return f"{architecture}:{os.path.abspath(weights)}" if separator and os.path.isfile(weights) else name


def _recorded(settings: ScoringSettings, files: dict[str, str], facts: dict) -> dict:
    """The settings as run.json keeps them: files by name and content, so that moving one changes nothing."""
    recorded = {**dataclasses.asdict(settings), **facts}
    del recorded["checkpoint"], recorded["parameter_bytes"]
    recorded["backbone"] = settings.backbone.rsplit("/", 1)[-1]
    recorded["checkpoints"] = {
        name.rsplit("/", 1)[-1]: {"file": file.rsplit("/", 1)[-1], "sha256": _sha256(file)}
        for name, file in files.items()
    }
    return recorded


def _sha256(file: str) -> str | None:
    if file == runs.UNTRAINED:
        return None
    try:
        return hashlib.sha256(storage.read_bytes(file)).hexdigest()
    except OSError as error:
        raise ZsadError(f"{file}: cannot be read ({error.strerror or error})") from None


def _benchmarks(sets: list[shards.ShardSet], routes: dict[str, str]) -> dict:
    return {
        each.manifest["benchmark"]: {
            **{key: each.manifest.get(key) for key in ("domain", "levels", "auxiliary", "variant", "categories")},
            "checkpoint": routes[each.manifest["benchmark"]].rsplit("/", 1)[-1],
            "files": sorted(each.manifest["files"], key=lambda file: file["name"]),
        }
        for each in sets
    }


def _units(shard_set: shards.ShardSet, run_uri: str) -> list[dict]:
    """The units of work whose predictions are not there yet, in the manifest's order."""
    name, manifest = shard_set.manifest["benchmark"], shard_set.manifest
    small_defect = json.dumps([name for name, facts in manifest["categories"].items() if facts["small_defect"]])
    units = [
        {
            "benchmark": name,
            "file": file["name"],
            "rows": file["rows"],
            "shard_sha256": file["sha256"],
            "shard": shard_set.shard_uri(file),
            "predictions": predictions.prediction_uri(run_uri, name, file["name"]),
            "small_defect": small_defect,
        }
        for file in manifest["files"]
    ]
    return [unit for unit in units if not storage.exists(unit["predictions"])]


def _actors_that_fit(settings: ScoringSettings, parameter_bytes: int) -> int:
    there = engine.resources()
    if settings.device == "cuda":
        return max(1, int(there["GPU"]))
    by_cores = int(there["CPU"]) // settings.threads
    by_memory = int(there["memory"] // (parameter_bytes + WORKER_BYTES))
    return max(1, min(by_cores, by_memory))
