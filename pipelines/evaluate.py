"""Packed benchmarks to a run: which checkpoint serves which, which shards are missing, predictions, metrics."""

from __future__ import annotations

import json

from pipelines import console, lock, predictions, runs, shards, storage
from pipelines.models import choose_models, known_settings
from pipelines.reduce import reduce
from zsad_core.settings import ScoringSettings

FEW = 3  # benchmarks whose warnings are shown one by one


def evaluate(
    shards_uri: str,
    run_uri: str,
    settings: ScoringSettings,
    checkpoints: list[str],
    benchmark_names: list[str] | None = None,
    actors: int | None = None,
) -> dict:
    """Predict every shard of the named benchmarks (all that are packed) that has no predictions yet, then reduce.

    `settings.checkpoint` is ignored: `checkpoints` are routed by auxiliary set (see routes.route_checkpoints). Returns
    the content of `<run>/metrics/results.json`. Raises ZsadError where the run folder holds another run.
    """
    shards_uri, run_uri = storage.normalise(shards_uri), storage.normalise(run_uri)
    runs.check_folder(run_uri)
    sets = shards.find_manifests(shards_uri, benchmark_names)
    runs.check_begun(run_uri, known_settings(settings), [each.manifest["benchmark"] for each in sets])
    auxiliaries = {each.manifest["benchmark"]: each.manifest["auxiliary"] for each in sets}
    models = choose_models(settings, checkpoints, auxiliaries, actors)
    recorded, routes = models.recorded, models.routes
    _warn(sets)
    with lock.held(run_uri):
        benchmarks = _benchmarks(sets, routes, models.options_of)
        runs.open_run(run_uri, recorded, benchmarks, shards_uri)
        scored = 0
        for name in models.files:
            served = [each for each in sets if routes[each.manifest["benchmark"]] == name]
            units = [unit for shard_set in served for unit in _units(shard_set, run_uri, recorded, models.options_of)]
            scored += models.predict_missing(name, units).images
        if not scored:
            console.say("all predictions are there; the tables are made from them")
        return reduce([run_uri])


def _warn(sets: list[shards.ShardSet]) -> None:
    """Of every benchmark that is not as published; its remarks stand below the tables."""
    warned = [each for each in sets if each.manifest["warnings"]]
    if len(warned) > FEW:
        names = ", ".join(each.manifest["benchmark"] for each in warned)
        console.say(f"warning: not as published, see the remarks below the table: {names}")
        return
    for shard_set in warned:
        for line in shards.shown_warnings(shard_set.manifest):
            console.say(line)


def _benchmarks(sets: list[shards.ShardSet], routes: dict[str, str], options_of: dict[str, dict]) -> dict:
    return {
        each.manifest["benchmark"]: {
            **{key: each.manifest.get(key) for key in ("domain", "levels", "auxiliary", "variant", "categories")},
            "checkpoint": storage.file_name(routes[each.manifest["benchmark"]]),
            "options": options_of[each.manifest["benchmark"]],
            "files": sorted(each.manifest["files"], key=lambda file: file["name"]),
        }
        for each in sets
    }


def _units(shard_set: shards.ShardSet, run_uri: str, settings: dict, options_of: dict[str, dict]) -> list[dict]:
    """The units of work of a packed benchmark, in the manifest's order."""
    name, manifest = shard_set.manifest["benchmark"], shard_set.manifest
    small_defect = json.dumps([name for name, facts in manifest["categories"].items() if facts["small_defect"]])
    return [
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
