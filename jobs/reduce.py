"""Make the metrics and tables of a run whose predictions are all there."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="folder or URI that `zsad evaluate` wrote to")


def run(options: argparse.Namespace) -> int:
    from pipelines import storage
    from pipelines.reduce import reduce
    from pipelines.tables import summary_table

    print(summary_table(reduce(storage.normalise(options.run_folder))))
    print(f"\ntables: {options.run_folder}/metrics/table.md, table.csv, results.json")
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("reduce")
