"""The `zsad` command: finds the job that is asked for, runs it, and turns errors into messages and exit statuses.

0: everything asked for is done. 1: it is not. 2: the call is wrong. 130: interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import re
import sys

import shtab

from pipelines import interrupt
from pipelines.storage import without_credentials
from zsad_core.errors import UsageError, ZsadError

# Each is a module of this package with configure(parser) and run(arguments) -> exit status.
JOBS = (
    "ls", "draw", "pack", "validate", "pretrain", "train", "export", "evaluate", "score", "reduce",
    "threshold", "regions", "leaderboard", "report", "show", "demo",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the job named by the first of `arguments` (by default the command line's); returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="zsad", description="Zero-shot anomaly detection: leaderboards and inspection archives at scale."
    )
    parser.add_argument("--version", action="version", version=f"zsad {importlib.metadata.version('zsad')}")
    shtab.add_argument_to(parser, "--print-completion", help="a script for the shell: zsad --print-completion bash")
    jobs = parser.add_subparsers(dest="job", required=True, metavar="COMMAND")
    parsers = {}
    for name in JOBS:
        job = importlib.import_module(f"jobs.{name}")
        summary = (job.__doc__ or "").splitlines()[0]
        parsers[name] = jobs.add_parser(
            name, help=summary, description=job.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        job.configure(parsers[name])
        parsers[name].set_defaults(run=job.run)
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    if arguments[0] in parsers:
        # Options may stand between the places, which argparse allows in no parser that has subparsers.
        options = parsers[arguments[0]].parse_intermixed_args(arguments[1:])
    else:
        options = parser.parse_args(arguments)
    interrupt.remember()
    try:
        return options.run(options)
    except UsageError as error:
        return _fail(str(error), 2)
    except ZsadError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on where this one stopped", 130)
    except BrokenPipeError:  # the reader of our output, `head` say, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("ZSAD_DEBUG"):
            raise
        return _fail(f"{_cause(error)} (ZSAD_DEBUG=1 shows where)", 1)


def run_module(name: str) -> None:
    """What `python -m jobs.<name>` does: the same as `zsad <name>`."""
    sys.exit(main([name, *sys.argv[1:]]))


def _cause(error: Exception) -> str:
    """One line on an unexpected error; one of a Ray task holds a text of tracebacks whose first ends with the cause."""
    raised = re.search(r"^(?:\w+\.)*\w*(?:Error|Exception): .+", str(error), re.MULTILINE)
    first = next(iter(str(error).splitlines()), "")
    return raised.group(0) if raised else f"{type(error).__name__}: {first}"


def _fail(message: str, status: int) -> int:
    print(f"zsad: {without_credentials(message)}", file=sys.stderr)
    return status
