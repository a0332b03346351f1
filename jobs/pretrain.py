"""Train the small backbone on drawn images and captions.

Writes FILE (safetensors, half precision), to be named as `--backbone zsad-small:FILE`. Interrupted and started again,
it goes on from the last state, which lies beside FILE until it is done.
"""

from __future__ import annotations

import argparse
import os


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="where to put the weights, *.safetensors")
    parser.add_argument("--steps", type=int, default=5000, help="of 48 images each (default: %(default)s)")
    parser.add_argument(
        "--start", metavar="BACKBONE", help="weights of zsad-small to begin with, as --backbone names them"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and pictures (default: %(default)s)")
    parser.add_argument(
        "--learning-rate", type=float, default=1.2e-3, help="the highest; lower behind --start (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that share a step (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    from pipelines import console
    from zsad_core.errors import UsageError
    from zsad_core.pretraining import PretrainingSettings, pretrain, save

    if not options.file.endswith(".safetensors"):
        raise UsageError(f"{options.file}: the name has to end with .safetensors")
    if options.steps < 1 or options.seed < 0:
        raise UsageError("--steps: at least 1 is needed; --seed: must not be negative")
    if not 0 < options.learning_rate < 1:
        raise UsageError("--learning-rate: a number between 0 and 1 is needed")
    if options.workers < 1 or PretrainingSettings.pairs % options.workers:
        raise UsageError(f"--workers: a divisor of {PretrainingSettings.pairs} is needed, the pairs of a step")
    settings = PretrainingSettings(
        options.steps,
        workers=options.workers,
        learning_rate=options.learning_rate,
        start=options.start,
        seed=options.seed,
    )
    state_file = f"{options.file}.state"
    progress = console.Progress("pretraining", settings.steps, unit="steps")

    def report(step: int, losses: dict[str, float]) -> None:
        progress.advance(step - progress.done)
        if step % 50 == 0:
            console.say(f"step {step}: " + ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))

    save(pretrain(settings, state_file, report), options.file, settings)
    os.remove(state_file)
    print(f"weights: {options.file}; use them: --backbone zsad-small:{options.file}")
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("pretrain")
