"""List the benchmarks, the methods or the backbones that can be named in other commands."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["benchmarks", "methods", "backbones"])


def run(options: argparse.Namespace) -> int:
    lines = {"benchmarks": _benchmarks, "methods": _methods, "backbones": _backbones}[options.what]()
    print("\n".join(lines))
    return 0


def _benchmarks() -> list[str]:
    from zsad_core.benchmarks.table import benchmarks

    line = "{:14}{:11}{:>11}{:>8}{:>11}  {:13}{:11}{}".format
    table = benchmarks()
    rows = [
        line(
            each.name,
            each.domain,
            len(each.categories),
            sum(category.test_normal or 0 for category in each.categories),
            sum(category.test_anomalous or 0 for category in each.categories),
            "+".join(each.levels),
            each.auxiliary,
            each.layout,
        )
        for each in table
    ]
    curated = ", ".join(each.name for each in table if each.published_on == "curated")
    return [
        line("benchmark", "domain", "categories", "normal", "anomalous", "levels", "auxiliary", "layout"),
        *rows,
        f"{len(rows)} benchmarks, {sum(each.test_images for each in table):,} test images",
        *(f"{each.name}: test lists {', '.join(each.variants)} (--variant)" for each in table if each.variants),
        "The authors' curated copies (a meta*.json in the root) are read for each.",
        f"{curated}: the counts hold on these copies only.",
    ]


def _methods() -> list[str]:
    from zsad_core.checkpoints import read_facts
    from zsad_core.methods import METHODS, options_of, shipped_checkpoint, traits_of
    from zsad_core.methods.base import describe_options

    lines = []
    for method in METHODS:
        traits = traits_of(method)
        learns = "learns" if traits.learns else "learns nothing"
        shipped = shipped_checkpoint(method)
        facts = read_facts(shipped) if shipped else None
        wanted = facts["options"] if facts else {}
        wants = ", ".join(f"{name} {value:g}" for name, value in wanted.items())
        lines += [
            f"{method:16}{learns}{'' if traits.has_backbone else ', has no backbone'}"
            + (f"; the weights in the package take {wants}" if wants else ""),
            *(f"  --option {line}" for line in describe_options(options_of(method))),
        ]
    return lines


def _backbones() -> list[str]:
    from zsad_core.clip_loading import backbone_names

    return [*backbone_names(), "or the file of an OpenAI-format state dict (.pt, .safetensors), or ARCHITECTURE:FILE"]


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("ls")
