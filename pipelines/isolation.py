"""Calls in a child process, for files that kill the process that decodes them: the caller lives and says so."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from zsad_core.images import ImageError

Call = Callable[..., Any]
"""`call(function, *arguments)` is `function(*arguments)`."""


@contextlib.contextmanager
def calls(isolated: bool) -> Iterator[Call]:
    """How to call decoders: in this process, or `isolated` in a child, which is started again where it dies.

    A call that the child did not survive raises ImageError.
    """
    if not isolated:
        yield _directly
        return
    child = _Child()
    try:
        yield child.call
    finally:
        child.end()


def _directly(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


class _Child:
    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy the locks of Ray's threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            self._connection.send((function, arguments))
            value, error = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            self.end()
            self._start()
            died_of = signal.Signals(-code).name if code and code < 0 else f"exit status {code}"
            raise ImageError(f"the process that decodes it dies ({died_of})") from None
        if error:
            raise error
        return value

    def end(self) -> None:
        self._connection.close()  # which ends the child
        self._process.join()
        self._process.close()


def _serve(connection: Connection) -> None:
    with contextlib.suppress(EOFError):
        while True:
            function, arguments = connection.recv()
            try:
                connection.send((function(*arguments), None))
            except Exception as error:  # noqa: BLE001, raised by the caller
                connection.send((None, error))
