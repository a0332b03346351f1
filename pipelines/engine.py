"""Starts or joins Ray, streams units of work (shards) through steps, and shows progress."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
import ray.data

from pipelines import interrupt
from zsad_core.errors import ZsadError


def start() -> None:
    """Join the cluster named by RAY_ADDRESS (as `ray job submit` sets it); without one, start Ray in this machine."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = None  # a shard stays one block whatever its size
    if ray.is_initialized():
        return
    say("starting Ray")
    # Ray's native layer warns on every start of an actor pool (ray-project/ray#53727), and says so when told not to.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Arrow's own allocator keeps what a worker once had; the system's gives it back, a fifth of a worker's memory.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # Actors compute in a thread that is not their first: with a heap of its own, glibc would give its memory back after
    # every tensor, whatever zsad_core.scoring asks for.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    with _native_messages_hidden():
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**quiet)
        else:
            _start_here(address="local", include_dashboard=False, **quiet)


def map_units(units: list[dict], work: Callable[[dict], dict], *, cpus: float = 0.5) -> Iterator[dict]:
    """Yield `work(unit)` for every unit, in the order in which they finish; each runs in a Ray task of its own.

    `work` and its results travel between processes: plain values, small results. ZsadErrors raised in it are raised
    here, together, after all other units.
    """
    if units:
        yield from results(dataset_of(units).map(guarded(work), num_cpus=cpus))


def dataset_of(units: list[dict]) -> ray.data.Dataset:
    """One row and one block a unit."""
    start()
    return ray.data.from_items(units, override_num_blocks=len(units))


def guarded(work: Callable[[dict], dict]) -> Callable[[dict], dict]:
    """`work` as a step of a dataset: a ZsadError, or an error of the storage, becomes a row that passes all later
    steps and that `results` raises.

    Ray turns an exception of a task into a text with tracebacks; the user is to see the message alone.
    """

    @functools.wraps(work)
    def step(unit: dict) -> dict:
        if "failure" in unit:
            return unit
        try:
            return work(unit)
        except (ZsadError, OSError) as error:
            return {"failure": str(error)}

    return step


def results(dataset: ray.data.Dataset) -> Iterator[dict]:
    """The rows of a dataset of guarded steps, as its tasks finish; at the end a ZsadError that names all failures."""
    failures = []
    for row in dataset.iter_rows():
        interrupt.check()
        if "failure" in row:
            failures.append(row["failure"])
        else:
            yield row
    interrupt.check()
    if failures:
        more = f"\nand {len(failures) - 10} more" if len(failures) > 10 else ""
        raise ZsadError("\n".join(sorted(failures)[:10]) + more)


def call(function: Callable[..., dict], *arguments: Any, gpu: bool = False) -> dict:
    """`function(*arguments)` in a worker process that ends with it, so that what it loads (torch) is not kept.

    `gpu`: where there is one, which it may share with anything.
    """

    def guarded_call() -> tuple[dict | None, ZsadError | None]:
        try:
            return function(*arguments), None
        except ZsadError as error:
            return None, error

    start()
    value, error = ray.get(ray.remote(num_cpus=0.5, num_gpus=0.01 if gpu else 0, max_calls=1)(guarded_call).remote())
    if error:
        raise error
    return value


class Progress:
    """One line on standard error: done of total, rate, time left. Rewritten on a terminal, now and then in a log."""

    def __init__(self, label: str, total: int, unit: str = "images"):
        self.label, self.total, self.unit = label, total, unit
        self.done, self.started, self.shown = 0, time.monotonic(), float("-inf")
        self.first: tuple[float, int] | None = None  # when the first were done and how many: workers start before that
        self.terminal = sys.stderr.isatty()
        self._show(self.started)

    def advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        self.first = self.first or (now, self.done)
        if now - self.shown >= (0.2 if self.terminal else 10) or self.done >= self.total:
            self.shown = now
            self._show(now)

    def _show(self, now: float) -> None:
        finished = self.done >= self.total
        since, before = (self.started, 0) if finished or not self.first else self.first
        line = f"{self.label}: {self.done:,} of {self.total:,} {self.unit}"
        if self.done > before:
            rate = (self.done - before) / max(now - since, 1e-9)
            ending = (
                f"{_duration(now - since)} in all" if finished else f"{_duration((self.total - self.done) / rate)} left"
            )
            shown = f"{rate:,.1f}" if rate >= 1 else f"{rate:.2g}"
            line += f", {shown} {self.unit}/s, {ending}"
        end = "" if self.terminal and not finished else "\n"
        print(f"\r\x1b[2K{line}" if self.terminal else line, end=end, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def say(text: str) -> None:
    """A line for the user, apart from the output proper."""
    print(text, file=sys.stderr, flush=True)


def _start_here(**options: Any) -> None:
    """Ray gives its own processes 30 seconds to start, which a busy small machine may miss once."""
    for attempts_left in (2, 1, 0):
        try:
            ray.init(**options)
            return
        except Exception as error:  # it raises a plain one
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            if not attempts_left:
                raise ZsadError("Ray could not start within its time; is this machine very busy?") from None


@contextlib.contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """Keeps what is not Python's from standard error; errors still come out as exceptions."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def resources() -> dict[str, float]:
    """What all of Ray's nodes have together: CPU (cores), GPU, memory (bytes)."""
    start()
    return {name: ray.cluster_resources().get(name, 0.0) for name in ("CPU", "GPU", "memory")}
