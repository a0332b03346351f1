"""What made a folder, in its one JSON file: written when the work begins, compared when it goes on."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from pipelines import console, storage
from zsad_core.errors import ZsadError

VERSIONS_OF = ("zsad", "torch", "open_clip_torch", "ray", "pyarrow", "numpy", "pillow", "scipy")
DIFFERENCES_SHOWN = 10


def begin_or_go_on(
    folder: str, file: str, kind: str, identity: dict[str, Any], places: dict[str, str], read: Callable[[], dict]
) -> None:
    """Write `<folder>/<file>` with `identity`, or check that what `read` finds there has the same.

    `identity` is what the results depend on; the software, the command and the `places` of what goes in, by name, are
    kept beside it.
    Says which software has another version than when the work was begun. Raises ZsadError naming what differs; `kind`
    is what the folder holds, "run".
    """
    now = versions()
    if not storage.exists(storage.join(folder, file)):
        facts = {
            **{name: storage.without_credentials(place) for name, place in places.items()},
            "versions": now,
            "command": [storage.without_credentials(argument) for argument in sys.argv],
        }
        storage.write_json(storage.join(folder, file), identity | facts)
        return
    there = read()
    check_same(folder, kind, {key: there[key] for key in identity}, identity)
    for version in _differences(there["versions"], now):
        console.say(f"this {kind} was begun with other software, its last bits may differ (there | now): {version}")


def check_same(folder: str, kind: str, there: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises ZsadError naming what differs, where what made a folder is not what would make it now."""
    if differing := _differences(there, now):
        more = len(differing) - DIFFERENCES_SHOWN
        raise ZsadError(
            f"{folder} holds another {kind}; choose another folder or remove it. What differs (there | now):\n  "
            + "\n  ".join(differing[:DIFFERENCES_SHOWN])
            + (f"\n  and {more} more" if more > 0 else "")
        )


def check_folder(folder: str, file: str, kind: str) -> None:
    """Raises ZsadError unless `folder` is new, empty, or begun by such work (it then holds `file`)."""
    if storage.exists(folder) and not storage.is_directory(folder):
        raise ZsadError(f"{folder}: a file; a {kind} is a folder")
    if not storage.is_uri(folder):
        above = os.path.abspath(folder)
        while not os.path.lexists(above):
            above = os.path.dirname(above)
        if not (os.path.isdir(above) and os.access(above, os.W_OK)):
            raise ZsadError(f"{folder}: nothing can be written there ({above})")
    names = [name for name in storage.list_names(folder) if not name.startswith(".")]
    if names and file not in names:
        raise ZsadError(f"{folder}: not empty and no {kind} (it holds no {file}); choose another folder")


def versions() -> dict[str, str]:
    """Of the software that the results come from."""
    found = {name: _version(name) for name in VERSIONS_OF}
    return found | {"python": ".".join(map(str, sys.version_info[:3]))}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # code that was copied to a machine, not installed there
        return "not installed"


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
    if isinstance(there, list) and there and isinstance(there[0], dict):
        return [f"{path}: not the same files"]
    return [f"{path}: {_short(there)} | {_short(now)}"]


def _short(value: Any) -> str:
    """Hashes by their beginning, tables not at all."""
    if isinstance(value, dict):
        return "something"
    return value[:8] if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else str(value)
