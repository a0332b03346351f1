"""Repeats the tests of faults and prints what became of the runs: `python -m tests.repeat_faults --repetitions 5`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict

TESTS = ("tests/e2e/test_faults.py", "tests/e2e/test_cluster.py", "tests/e2e/test_training.py")
HEAD = ("fault", "how it was provoked", "times", "rows lost", "rows twice", "files as of an undisturbed run")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--only", default="", metavar="NAME", help="tests whose names match this expression of pytest's -k"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        records = os.path.join(folder, "records")
        failed = 0
        for number in range(options.repetitions):
            print(f"repetition {number + 1} of {options.repetitions}", file=sys.stderr, flush=True)
            only = ["-k", options.only] if options.only else []
            command = [sys.executable, "-m", "pytest", "-q", "-m", "fault", *TESTS, *only]
            failed += subprocess.run(command, check=False, env=os.environ | {"ZSAD_FAULTS": records}).returncode != 0
        with open(records) as file:
            print(table([json.loads(line) for line in file]))
    return int(failed > 0)


def table(records: list[dict]) -> str:
    """The records that tests write (see tests/e2e/conftest.py) as Markdown, a line a fault."""
    of_fault = defaultdict(list)
    for record in records:
        of_fault[record["fault"]].append(record)
    lines = [HEAD, ("---", "---", "---:", "---:", "---:", "---:")]
    for fault, repeated in of_fault.items():
        sums = [sum(record[name] for record in repeated) for name in ("lost", "twice", "equal")]
        lines.append((fault, repeated[0]["how"], len(repeated), *sums[:2], f"{sums[2]} of {len(repeated)}"))
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
