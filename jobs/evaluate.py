"""Score packed benchmarks with a method and reduce the predictions to tables.

Writes RUN/predictions (Parquet) and RUN/metrics (results.json, table.md, table.csv). Started again, it does only what
is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from typing import get_args

from zsad_core.errors import UsageError
from zsad_core.settings import Device, Precision, ScoringSettings


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shards", metavar="SHARDS", help="folder or URI that `zsad pack` wrote to")
    parser.add_argument("run_folder", metavar="RUN", help="folder or URI of this run; new, or one to go on with")
    parser.add_argument("--benchmarks", default="all", help="names, separated by commas (default: all that are packed)")
    add_model_options(parser)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which model scores and how."""
    default = ScoringSettings()
    add_method_and_backbone(parser)
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="[AUXILIARY=]FILE",
        help="the method's weights; may be repeated. The authors' files do not say which benchmark they were trained "
        'on: write VisA=FILE. "random" stands for untrained ones (default: those that come with zsad)',
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="default: 518 rounded to the backbone's patch, 192 for those that zsad brings",
    )
    parser.add_argument(
        "--map-size",
        type=int,
        metavar="PIXELS",
        help="of the stored maps and of pixel metrics, for archives: smaller takes less room (default: the image size)",
    )
    parser.add_argument("--samples", type=int, default=default.samples, help="prompt samples (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed, help="of the prompt samples (default: %(default)s)")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        dest="options",
        metavar="NAME=VALUE",
        help="a number of the method, for all benchmarks; may be repeated; `zsad ls methods` lists them (default: the "
        "published one for each benchmark)",
    )
    parser.add_argument("--precision", choices=get_args(Precision), default=default.precision)
    parser.add_argument("--device", choices=get_args(Device), help="default: cuda where Ray has GPUs, else cpu")
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="IMAGES",
        help="images at once (default: up to 32, as the GPU's memory allows; on a CPU 4)",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="have torch.compile make kernels for the towers: slower to start, faster in bf16; needs a C++ compiler",
    )
    parser.add_argument(
        "--threads", type=int, default=default.threads, help="CPU threads a model (default: %(default)s)"
    )
    parser.add_argument(
        "--actors", type=int, help="models at once (default: two a GPU, or as many as cores and memory take)"
    )


def add_method_and_backbone(parser: argparse.ArgumentParser) -> None:
    default = ScoringSettings()
    parser.add_argument("--method", default=default.method, help="see `zsad ls methods` (default: %(default)s)")
    parser.add_argument(
        "--backbone",
        default=default.backbone,
        metavar="NAME|FILE",
        help="see `zsad ls backbones` (default: %(default)s)",
    )


def model_settings(options: argparse.Namespace) -> ScoringSettings:
    """What the options of add_model_options say, but for the checkpoints; whether uncertainty is wanted is no
    option."""
    names = [
        field.name for field in dataclasses.fields(ScoringSettings) if field.name not in ("checkpoint", "uncertainty")
    ]
    given = {name: getattr(options, name) for name in names}
    return ScoringSettings(**given | {"options": _numbers(options.method, options.options)})


def _numbers(method: str, given: list[str]) -> dict[str, float]:
    """The options of the method by name, from NAME=VALUE."""
    numbers = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            numbers[name] = float(value)
        except ValueError:
            numbers[name] = math.nan
        if not math.isfinite(numbers[name]):
            from zsad_core.methods import options_of
            from zsad_core.methods.base import describe_options

            known = "; ".join(describe_options(options_of(method))) or "none"
            raise UsageError(f"--option {text}: write NAME=NUMBER; options of {method}: {known}")
    return numbers


def check_actors(options: argparse.Namespace) -> None:
    if options.actors is not None and options.actors < 1:
        raise UsageError(f"--actors {options.actors}: at least 1 is needed")


def run(options: argparse.Namespace) -> int:
    from pipelines.evaluate import evaluate
    from pipelines.tables import summary_table

    check_actors(options)
    names = [name.strip() for name in options.benchmarks.split(",") if name.strip()]
    if not names:
        raise UsageError("--benchmarks: name at least one, or all")
    results = evaluate(
        options.shards,
        options.run_folder,
        model_settings(options),
        options.checkpoint,
        None if names == ["all"] else names,
        options.actors,
    )
    print(summary_table(results))
    print(f"\ntables: {options.run_folder}/metrics/table.md, table.csv, results.json")
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("evaluate")
