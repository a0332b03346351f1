"""run.json: everything that made a run, and the refusal to continue one that was made otherwise."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

from pipelines import storage
from zsad_core.errors import UsageError, ZsadError

VERSIONS_OF = ("zsad", "torch", "open_clip_torch", "ray", "pyarrow", "numpy", "pillow", "scipy")
DEFAULT_AUXILIARY = "VisA"  # the published protocol's auxiliary set for every target but VisA itself
UNTRAINED = "random"


def open_run(run: str, settings: dict, benchmarks: dict) -> None:
    """Create `<run>/run.json`, or check that the run that lies there was made by the same settings and shards.

    Raises ZsadError naming what differs. `settings`: what the predictions depend on besides the shards; `benchmarks`:
    for each its levels, categories, checkpoint and shard files with their checksums.
    """
    uri = storage.join(run, "run.json")
    identity = {"settings": settings, "benchmarks": benchmarks}
    if storage.exists(uri):
        there = storage.read_json(uri)
        differing = _differences({key: there.get(key) for key in identity}, identity)
        if differing:
            raise ZsadError(
                f"{run} holds another run; choose another folder or remove it. What differs (there | now):\n  "
                + "\n  ".join(differing[:10])
                + (f"\n  and {len(differing) - 10} more" if len(differing) > 10 else "")
            )
        return
    if storage.list_names(run):
        raise ZsadError(f"{run}: not empty and no run (it holds no run.json); choose another folder")
    versions = {name: importlib.metadata.version(name) for name in VERSIONS_OF}
    versions["python"] = ".".join(map(str, sys.version_info[:3]))
    storage.write_json(uri, {**identity, "versions": versions, "command": sys.argv})


def is_untrained(settings: dict) -> bool:
    """Whether random weights stand where trained ones should, in the method or in the backbone."""
    return UNTRAINED in settings["checkpoints"] or settings["backbone"].endswith(f":{UNTRAINED}")


def read_run(run: str) -> dict:
    """The content of `<run>/run.json`."""
    if not storage.exists(storage.join(run, "run.json")):
        raise ZsadError(f"{run}: no run there (no run.json); `zsad evaluate` makes one")
    return storage.read_json(storage.join(run, "run.json"))


def _differences(there: Any, now: Any, path: str = "") -> list[str]:
    if isinstance(there, dict) and isinstance(now, dict):
        keys = [*there, *(key for key in now if key not in there)]
        return [
            line
            for key in keys
            for line in _differences(there.get(key), now.get(key), f"{path}.{key}" if path else key)
        ]
    if there == now:
        return []
    if isinstance(there, list) or isinstance(now, list):
        return [f"{path}: not the same files"]
    return [f"{path}: {there} | {now}"]


def route_checkpoints(options: list[str], auxiliaries: dict[str, str | None]) -> tuple[dict[str, str], dict[str, str]]:
    """Which checkpoint serves which benchmark.

    `options` are `FILE` or `AUXILIARY=FILE`, the benchmark that FILE was trained on, or "random" (untrained).
    `auxiliaries` maps each target benchmark to the auxiliary set that the published protocol names for it, None for
    data of one's own. Returns ({name: file}, {target: name}), where name is the auxiliary set, or the file itself
    where it is not known. Raises UsageError where a target would be its own auxiliary set, or nothing serves it.
    """
    known: dict[str, str] = {}
    for option in options or [UNTRAINED]:
        name, separator, file = option.partition("=")
        name, file = (name, file) if separator else (option, option)
        if name in known:
            raise UsageError(f"--checkpoint {option}: {name} is given twice")
        known[name] = file
    if UNTRAINED in known and len(known) > 1:
        raise UsageError("--checkpoint random: untrained weights cannot stand beside checkpoints")

    routes = {}
    for target, auxiliary in auxiliaries.items():
        if auxiliary is None:
            auxiliary = DEFAULT_AUXILIARY if DEFAULT_AUXILIARY in known else next(iter(known))
        elif list(known.values()) == [UNTRAINED]:
            auxiliary = UNTRAINED
        elif auxiliary not in known:
            told = [name for name, file in known.items() if name != file]
            if target in told:
                raise UsageError(
                    f"{target} is the auxiliary set of {known[target]}: a model is not judged on what it was trained "
                    f"on. Add --checkpoint {auxiliary}=FILE, or leave {target} out with --benchmarks"
                )
            raise UsageError(
                f"{target} is evaluated with weights trained on {auxiliary}: write --checkpoint {auxiliary}=FILE "
                f"(given: {', '.join(options)}; a file alone does not say what it was trained on)"
            )
        routes[target] = auxiliary
    return {name: known[name] for name in dict.fromkeys(routes.values())}, routes
