"""Which processes a process has started, and what they call themselves (Linux)."""

from pathlib import Path


def descendants(process_id: int) -> list[int]:
    """Ids of all living processes that descend from one."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(fields[1])
    found, fresh = [], {process_id}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh}
        found += fresh
    return found


def title(process_id: int) -> str:
    """The command line, which a process may change; empty where there is none any more."""
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
