"""A zsad command in a process of its own, with its time and the memory of all its processes together."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

ZSAD = "import sys; from jobs.cli import main; sys.exit(main(sys.argv[1:]))"


def measured(*arguments: str) -> tuple[float, int]:
    """(seconds, peak bytes of all its processes together) of `zsad ARGUMENTS`, whose output is not shown.

    Ends this program where the command fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", ZSAD, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak = 0

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, sum(map(_share_of_memory, _family(process.pid))))
            time.sleep(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    said = process.stderr.read()
    if process.wait():
        raise SystemExit(f"zsad {' '.join(arguments)} ended with {process.returncode}:\n{said}")
    watcher.join()
    return time.perf_counter() - start, peak


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


def _share_of_memory(pid: int) -> int:
    """Bytes that a process holds; what several share is divided among them (PSS)."""
    for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""
