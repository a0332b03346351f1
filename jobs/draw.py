"""Draw miniatures of the 15 benchmarks, each in its owners' layout, so that all can be tried without a download."""

from __future__ import annotations

import argparse
import os


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="where to put them, each in a folder of its benchmark's name")
    parser.add_argument("benchmarks", metavar="BENCHMARK", nargs="*", help="which to draw (default: all 15)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other pictures (default: 0)")
    parser.add_argument("--size", type=int, default=224, metavar="PX", help="side of a square picture (default: 224)")


def run(options: argparse.Namespace) -> int:
    from pipelines import engine
    from zsad_core.benchmarks.drawn.miniatures import MINIATURES, draw_miniature, miniature_name
    from zsad_core.errors import UsageError

    if options.size < 32:
        raise UsageError(f"--size {options.size}: at least 32 pixels are needed to draw anything")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: must not be negative")
    names = [miniature_name(name) for name in options.benchmarks] or list(MINIATURES)
    names = list(dict.fromkeys(names))
    progress = engine.Progress(f"drawing into {options.folder}", len(names), unit="benchmarks")
    for name in names:
        draw_miniature(name, os.path.join(options.folder, name), size=options.size, seed=options.seed)
        progress.advance(1)
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("draw")
