"""Draw a small data set, pack it, evaluate it with the package's own backbone and print the table.

Nothing is downloaded. Started again on the same folder, it draws and packs anew and keeps the finished predictions.
"""

from __future__ import annotations

import argparse
import os


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="where to put images, shards and the run")


def run(options: argparse.Namespace) -> int:
    from jobs.cli import main
    from pipelines import engine
    from zsad_core.benchmarks.drawn import draw_mvtec

    images, shards, run_folder = (os.path.join(options.folder, name) for name in ("images", "shards", "run"))
    engine.say(f"drawing images into {images}")
    draw_mvtec(images)
    for arguments in (
        ["pack", "--layout", "mvtec", "--name", "drawn", "--overwrite", images, shards],
        ["evaluate", shards, run_folder],
    ):
        engine.say(f"zsad {' '.join(arguments)}")
        if status := main(arguments):
            return status
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("demo")
