"""What the user is told while work goes on, on standard error: lines, and progress with the time that is left."""

from __future__ import annotations

import sys
import time

from pipelines import storage


class Progress:
    """One line on standard error: done of total, rate, time left. Rewritten on a terminal, now and then in a log.

    What is done within `patience` seconds shows nothing.
    """

    def __init__(self, label: str, total: int, unit: str = "images", patience: float = 0):
        self.label, self.total, self.unit, self.patience = label, total, unit, patience
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
        if now - self.started < self.patience:
            return
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
    print(storage.without_credentials(text), file=sys.stderr, flush=True)
