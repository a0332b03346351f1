"""Starts or joins Ray, streams units of work (shards) through steps, and shows progress."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Callable, Iterator

import ray
import ray.data
import ray.exceptions

from zsad_core.errors import ZsadError


def start() -> None:
    """Join the cluster named by RAY_ADDRESS (as `ray job submit` sets it); without one, start Ray in this machine."""
    if ray.is_initialized():
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        ray.init(address="local", include_dashboard=False, **quiet)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = None  # a shard stays one block whatever its size


def map_units(units: list[dict], work: Callable[[dict], dict], *, cpus: float = 0.5) -> Iterator[dict]:
    """Yield `work(unit)` for every unit, in the order in which they finish; each runs in a Ray task of its own.

    `work` and its results travel between processes: plain values, small results. A ZsadError raised in it is raised
    here as it was.
    """
    yield from results(ray.data.from_items(units, override_num_blocks=len(units)).map(work, num_cpus=cpus)) if units else ()


def results(dataset: ray.data.Dataset) -> Iterator[dict]:
    """The rows of a dataset as its tasks finish; a ZsadError raised in a task is raised here as it was."""
    try:
        yield from dataset.iter_rows()
    except ray.exceptions.RayError as error:
        cause: Any = error
        while cause is not None and not isinstance(cause, ZsadError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is None:
            raise
        raise ZsadError(str(cause)) from None


class Progress:
    """One line on standard error: done of total, rate, time left. Rewritten on a terminal, now and then in a log."""

    def __init__(self, label: str, total: int, unit: str = "images"):
        self.label, self.total, self.unit = label, total, unit
        self.done, self.started, self.shown = 0, time.monotonic(), float("-inf")
        self.terminal = sys.stderr.isatty()

    def advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.shown >= (0.2 if self.terminal else 10) or self.done >= self.total:
            self.shown = now
            elapsed = max(now - self.started, 1e-9)
            left = (self.total - self.done) * elapsed / max(self.done, 1)
            line = (
                f"{self.label}: {self.done:,} of {self.total:,} {self.unit}, {self.done / elapsed:,.1f} {self.unit}/s, "
                + (f"{_duration(left)} left" if self.done < self.total else f"{_duration(elapsed)} in all")
            )
            end = "\n" if not self.terminal or self.done >= self.total else ""
            print(f"\r\x1b[2K{line}" if self.terminal else line, end=end, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
