"""Draw a miniature of every benchmark, pack and evaluate them all, and make a leaderboard of the run.

Nothing is downloaded. Started again on the same folder, it draws and packs anew and keeps the finished predictions.
"""

from __future__ import annotations

import argparse
import os


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="where to put images, shards, the run and the leaderboard")


def run(options: argparse.Namespace) -> int:
    from jobs.cli import main
    from pipelines import console

    images, shards, run_folder, board = (
        os.path.join(options.folder, name) for name in ("images", "shards", "run", "leaderboard")
    )
    for arguments in (
        ["draw", images],
        ["pack", "all", "--overwrite", images, shards],
        ["evaluate", shards, run_folder],
        ["leaderboard", run_folder, "--out", board],
    ):
        console.say(f"zsad {' '.join(arguments)}")
        if status := main(arguments):
            return status
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("demo")
