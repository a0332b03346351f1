"""Train the small backbone on drawn images and captions.

Writes FILE (safetensors, half precision), to be named as `--backbone zsad-small:FILE`. Interrupted and started again, it
goes on from the last state, which lies beside FILE until it is done.
"""

from __future__ import annotations

import argparse
import os


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="where to put the weights, *.safetensors")
    parser.add_argument("--steps", type=int, help="of 48 images each (default: 2600)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and pictures (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")


def run(options: argparse.Namespace) -> int:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait take the drawing's core
    import torch

    from pipelines import engine
    from zsad_core.errors import UsageError
    from zsad_core.pretraining import PretrainingSettings, pretrain, save

    if not options.file.endswith(".safetensors"):
        raise UsageError(f"{options.file}: the name has to end with .safetensors")
    if min(1 if options.steps is None else options.steps, options.threads) < 1 or options.seed < 0:
        raise UsageError("--steps and --threads: at least 1 is needed; --seed: must not be negative")
    torch.set_num_threads(options.threads)
    settings = PretrainingSettings(steps=options.steps or PretrainingSettings.steps, seed=options.seed)
    state_file = f"{options.file}.state"
    progress = engine.Progress("pretraining", settings.steps, unit="steps")

    def report(step: int, losses: dict[str, float]) -> None:
        progress.advance(step - progress.done)
        if step % 50 == 0:
            engine.say(f"step {step}: " + ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))

    save(pretrain(settings, state_file, report), options.file, settings)
    os.remove(state_file)
    print(f"weights: {options.file}; use them: --backbone zsad-small:{options.file}")
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("pretrain")
