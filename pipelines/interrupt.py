"""Remembers that the user pressed Ctrl-C: raised inside Ray's callbacks, a KeyboardInterrupt may be swallowed."""

from __future__ import annotations

import signal
import threading

_interrupted = threading.Event()


def remember() -> None:
    """From now on an interrupt is raised as ever, and once more by the next `check`."""

    def handle(*_: object) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    _interrupted.clear()
    signal.signal(signal.SIGINT, handle)


def check() -> None:
    """Raise KeyboardInterrupt if there was one since `remember`."""
    if _interrupted.is_set():
        raise KeyboardInterrupt
