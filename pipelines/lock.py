"""One driver at a time on a folder: the second is told who is at work there.

A local folder is locked by the system, which frees it when the driver dies. On an object store the driver writes a sign
of life every few seconds; one that does not change is a dead driver's. Work is done by whole files that are the same
whoever makes them, so that a lock which fails would cost time and no result.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator

from pipelines import console, storage
from zsad_core.errors import ZsadError

NAME = ".driver.json"  # who is at work in the folder; hidden from Parquet readers
BEAT = 5.0  # seconds between signs of life
SETTLING = 2.0  # seconds in which two that begin at once see each other


@contextlib.contextmanager
def held(folder: str) -> Iterator[None]:
    """Work in the folder, a path or URI, alone; half-written files of killed processes are removed before and after.

    ZsadError where another driver is at work there.
    """
    with _signing(folder) if storage.is_uri(folder) else _locking(folder):
        storage.remove_unfinished(folder)
        try:
            yield
        finally:
            storage.remove_unfinished(folder)


def _myself() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _busy(folder: str, driver: str) -> ZsadError:
    return ZsadError(f"{folder}: {driver} is at work there; wait until it has ended, or choose another folder")


@contextlib.contextmanager
def _locking(folder: str) -> Iterator[None]:
    path = os.path.join(folder, NAME)
    try:
        os.makedirs(folder, exist_ok=True)
        file = open(path, "a+")  # noqa: SIM115, closed below: the lock goes with it
    except OSError as error:
        raise ZsadError(f"{folder}: cannot be written ({error.strerror})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _busy(folder, file.read() or "another process") from None
        except OSError:
            pass  # a network disk that has no locks
        file.truncate(0)
        file.write(_myself())
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


@contextlib.contextmanager
def _signing(folder: str) -> Iterator[None]:
    uri, name = storage.join(folder, NAME), uuid.uuid4().hex
    if there := _sign(uri):
        console.say(f"{folder}: {there['driver']} began work there; looking whether it is alive")
        time.sleep(3 * BEAT)
        if _sign(uri) not in (there, None):
            raise _busy(folder, there["driver"])

    def sign(number: int) -> None:
        storage.write_json(uri, {"driver": _myself(), "name": name, "number": number})

    sign(0)
    time.sleep(SETTLING)
    if (there := _sign(uri)) and there["name"] != name:
        raise _busy(folder, there["driver"])
    ended = threading.Event()

    def go_on() -> None:
        number = 0
        while not ended.wait(BEAT):
            number += 1
            with contextlib.suppress(ZsadError):  # a store that fails now may do better next time
                sign(number)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        storage.remove(uri)


def _sign(uri: str) -> dict | None:
    """What the driver that is, or was, at work wrote last."""
    if not storage.exists(uri):
        return None
    try:
        sign = json.loads(storage.read_bytes(uri))
        return {key: str(sign[key]) for key in ("driver", "name", "number")}
    except (OSError, ValueError, LookupError, TypeError):  # gone by now, or not what a driver wrote
        return None
