"""Train a method on a packed auxiliary benchmark; the checkpoint then serves every other benchmark.

Writes RUN/checkpoint.safetensors, train.json (all that made it), losses.csv and losses.svg. Started again, it goes on
behind the last finished epoch.
"""

from __future__ import annotations

import argparse
from typing import get_args

from jobs.evaluate import add_method_and_backbone
from zsad_core.settings import Device
from zsad_core.training_settings import TrainingSettings


def configure(parser: argparse.ArgumentParser) -> None:
    default = TrainingSettings()
    parser.add_argument("shards", metavar="SHARDS", help="folder or URI that `zsad pack` wrote to")
    parser.add_argument("run_folder", metavar="RUN", help="folder or URI of this training; new, or one to go on with")
    parser.add_argument("--auxiliary", required=True, metavar="BENCHMARK", help="the packed benchmark to learn from")
    add_method_and_backbone(parser)
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="default: as for `zsad evaluate`")
    parser.add_argument("--epochs", type=int, help="the most that a stage takes (default: the method's)")
    parser.add_argument("--batch-size", type=int, metavar="IMAGES", help="of a step (default: the method's)")
    parser.add_argument("--seed", type=int, default=default.seed, help="of all that is drawn (default: %(default)s)")
    parser.add_argument(
        "--validation",
        default="held-out",
        metavar="held-out|published|BENCHMARK:CATEGORY,...",
        help="what tells the best epoch: about a fifth of the auxiliary categories, which are not learnt from "
        "(default); five categories of a target benchmark, as the authors have it; or the named ones",
    )
    parser.add_argument("--device", choices=get_args(Device), help="default: cuda where Ray has GPUs, else cpu")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")


def run(options: argparse.Namespace) -> int:
    import shlex

    from pipelines.losses import losses_table
    from pipelines.train import evaluation_targets, train
    from pipelines.training_task import CHECKPOINT

    names = ("method", "backbone", "image_size", "epochs", "batch_size", "seed", "device", "threads")
    settings = TrainingSettings(**{name: getattr(options, name) for name in names})
    rows = train(options.shards, options.run_folder, settings, options.auxiliary, options.validation)
    print(losses_table(rows))
    folder = options.run_folder.rstrip("/")
    print(f"\n{folder}: {CHECKPOINT}, train.json, losses.csv, losses.svg")
    targets = evaluation_targets(options.shards, options.auxiliary)
    call = ["zsad", "evaluate", options.shards, f"{folder}-evaluated", "--method", options.method]
    call += ["--backbone", options.backbone, "--checkpoint", f"{folder}/{CHECKPOINT}"]
    call += ["--image-size", str(options.image_size)] if options.image_size else []
    if targets:
        print("to evaluate it:")
        print(shlex.join([*call, "--benchmarks", ",".join(targets)]))
    else:
        print(f"no benchmark beside {options.auxiliary} is packed in {options.shards} that it may be judged on")
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("train")
