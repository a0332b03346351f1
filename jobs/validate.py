"""Report every bad file of a source or of packed shards at once; writes nothing.

zsad validate shards                                          every packed benchmark there
zsad validate ~/data/HeadCT --benchmark HeadCT                raw images of a benchmark
zsad validate ~/cookies --benchmark cookies.toml              raw images of your own (see zsad pack --help)
zsad validate ~/cookies --layout mvtec --name cookies         the same, without a file

Images that are there twice, in one benchmark or in two, are remarks; they do not change the exit status.
"""

from __future__ import annotations

import argparse

from jobs.pack import add_own_options, described_benchmark


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", metavar="SOURCE|SHARDS")
    parser.add_argument("--benchmark", help="the benchmark, or TOML file, of raw images (default: packed shards)")
    parser.add_argument("--variant", help="which of its published test lists")
    add_own_options(parser)


def run(options: argparse.Namespace) -> int:
    from pipelines.validate import validate
    from zsad_core.errors import UsageError

    named = options.benchmark or options.layout or options.name
    if not named and (options.variant or options.mask_threshold is not None):
        raise UsageError("--variant and --mask-threshold are for raw images; name their benchmark, or layout and name")
    report = validate(options.place, described_benchmark(options.benchmark, options) if named else None)
    for each in report.problems:
        row = "" if each.row is None else f" row {each.row}"
        key = f" ({each.key})" if each.key and each.key != each.file else ""
        print(f"{each.file}{row}{key}: {each.problem}")
    for remark in report.remarks:
        print(f"remark: {remark}")
    found = len(report.problems)
    print(f"{report.uri}: {report.images:,} images looked at, {found:,} problem{'' if found == 1 else 's'}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("validate")
