"""A zsad command in a process of its own, with its time and the memory of all its processes together."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ZSAD = "import sys; from jobs.cli import main; sys.exit(main(sys.argv[1:]))"


class Measured(NamedTuple):
    """seconds; `peak`: most bytes that all its processes held together, `private` without what they share (the object
    store, whose pages count when they are first touched); `said`: its lines on standard error, `driver`: the bytes of
    its first process, both with the seconds since its start."""

    seconds: float
    peak: int
    private: int
    said: list[tuple[float, str]]
    driver: list[tuple[float, int]]

    def first_said(self, pattern: str) -> float:
        """Seconds at which it first said what the regular expression `pattern` finds."""
        return next(seconds for seconds, line in self.said if re.search(pattern, line))

    def driver_at(self, wanted: float) -> int:
        """Bytes of the driver at about that second."""
        return min(self.driver, key=lambda sample: abs(sample[0] - wanted))[1]


def measured(*arguments: str) -> Measured:
    """Run `zsad ARGUMENTS`, whose output is not shown. Ends this program where the command fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", ZSAD, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak = private = 0
    driver = []

    def watch() -> None:
        nonlocal peak, private
        while process.poll() is None:
            held = {pid: _memory(pid) for pid in _family(process.pid)}
            driver.append((time.perf_counter() - start, held[process.pid][0]))
            peak = max(peak, sum(total for total, _ in held.values()))
            private = max(private, sum(total - shared for total, shared in held.values()))
            time.sleep(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = [(time.perf_counter() - start, line.rstrip("\n")) for line in process.stderr or ()]
    if process.wait():
        lines = "\n".join(line for _, line in said)
        raise SystemExit(f"zsad {' '.join(arguments)} ended with {process.returncode}:\n{lines}")
    watcher.join()
    return Measured(time.perf_counter() - start, peak, private, said, driver)


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        if fields := _text(str(stat)).rpartition(")")[2].split():
            parents[int(stat.parent.name)] = int(fields[1])
    family: set[int] = set()
    added = {pid}
    while added:
        family |= added
        added = {child for child, parent in parents.items() if parent in family} - family
    return sorted(family)


def _memory(pid: int) -> tuple[int, int]:
    """Bytes that a process holds, and those of them in shared memory; what several share is divided among them."""
    lines = dict(line.split(":", 1) for line in _text(f"/proc/{pid}/smaps_rollup").splitlines()[1:])
    total, shared = (1024 * int(lines.get(name, "0 kB").split()[0]) for name in ("Pss", "Pss_Shmem"))
    return total, shared


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""
