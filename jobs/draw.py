"""Draw miniatures of the 15 benchmarks, each in its owners' layout, so that all can be tried without a download.

DrawnWorld, asked for by name, is a set to train methods on, of other materials and with a caption for every image.
"""

from __future__ import annotations

import argparse
import os


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="where to put them, each in a folder of its benchmark's name")
    parser.add_argument(
        "benchmarks", metavar="BENCHMARK", nargs="*", help="which to draw (default: all 15), or DrawnWorld"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other pictures (default: 0)")
    parser.add_argument(
        "--size", type=int, metavar="PX", help="side of a square picture (default: 224, of DrawnWorld 160)"
    )


def run(options: argparse.Namespace) -> int:
    from pipelines import console
    from zsad_core.benchmarks.drawn import auxiliary, miniatures
    from zsad_core.errors import UsageError

    if options.size is not None and options.size < 32:
        raise UsageError(f"--size {options.size}: at least 32 pixels are needed to draw anything")
    if options.seed < 0:
        raise UsageError(f"--seed {options.seed}: must not be negative")
    world = [name for name in options.benchmarks if name.casefold() == auxiliary.NAME.casefold()]
    others = [miniatures.miniature_name(name) for name in options.benchmarks if name not in world]
    if world:
        images = auxiliary.CATEGORIES * (auxiliary.NORMAL + auxiliary.ANOMALOUS)
        progress = console.Progress(f"drawing into {options.folder}", images)
        folder = os.path.join(options.folder, auxiliary.NAME)
        auxiliary.draw_auxiliary(
            folder, size=options.size or auxiliary.SIZE, seed=options.seed, advance=progress.advance
        )
    names = list(dict.fromkeys(others)) if options.benchmarks else list(miniatures.MINIATURES)
    if names:
        progress = console.Progress(f"drawing into {options.folder}", len(names), unit="benchmarks")
    for name in names:
        folder = os.path.join(options.folder, name)
        miniatures.draw_miniature(name, folder, size=options.size or miniatures.SIZE, seed=options.seed)
        progress.advance(1)
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("draw")
