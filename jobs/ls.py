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

    line = "{:14}{:12}{:>11}{:>8}{:>11}  {:13}{:12}{}".format
    rows = [
        line(
            each.name,
            each.domain,
            len(each.categories),
            sum(category.test_normal for category in each.categories),
            sum(category.test_anomalous for category in each.categories),
            "+".join(each.levels),
            each.auxiliary,
            each.layout or "curated copy only",
        )
        for each in benchmarks()
    ]
    total = sum(each.test_images for each in benchmarks())
    return [
        line("benchmark", "domain", "categories", "normal", "anomalous", "levels", "auxiliary", "layout on disk"),
        *rows,
        f"{len(rows)} benchmarks, {total:,} test images",
    ]


def _methods() -> list[str]:
    from zsad_core.methods import METHODS

    return list(METHODS)


def _backbones() -> list[str]:
    from zsad_core.clip import backbone_names

    return [*backbone_names(), "or the file of an OpenAI-format state dict (.pt, .safetensors), or ARCHITECTURE:FILE"]


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("ls")
