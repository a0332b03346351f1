"""A zsad command in a process of its own, with its time and the memory of all its processes together."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ZSAD = "import sys; from jobs.cli import main; sys.exit(main(sys.argv[1:]))"


class Measured(NamedTuple):
    """seconds; `peak`: most bytes that all its processes held together, `private` without what they share (the object
    store, whose pages count when they are first touched)."""

    seconds: float
    peak: int
    private: int


def measured(*arguments: str) -> Measured:
    """Run `zsad ARGUMENTS`, whose output is not shown. Ends this program where the command fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", ZSAD, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak = private = 0

    def watch() -> None:
        nonlocal peak, private
        while process.poll() is None:
            held = [_memory(pid) for pid in _family(process.pid)]
            peak = max(peak, sum(total for total, _ in held))
            private = max(private, sum(total - shared for total, shared in held))
            time.sleep(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = process.stderr.read()
    if process.wait():
        raise SystemExit(f"zsad {' '.join(arguments)} ended with {process.returncode}:\n{said}")
    watcher.join()
    return Measured(time.perf_counter() - start, peak, private)


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        if fields := _text(str(stat)).rpartition(")")[2].split():
            parents[int(stat.parent.name)] = int(fields[1])
    family, added = {pid}, True
    while added:
        added = {child for child, parent in parents.items() if parent in family} - family
        family |= added
    return sorted(family)


def _memory(pid: int) -> tuple[int, int]:
    """Bytes that a process holds, and those of them in shared memory; what several share is divided among them."""
    lines = dict(line.split(":", 1) for line in _text(f"/proc/{pid}/smaps_rollup").splitlines()[1:])
    return tuple(1024 * int(lines.get(name, "0 kB").split()[0]) for name in ("Pss", "Pss_Shmem"))


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""
