"""Make the metrics and tables of a run whose predictions are all there, or of several parts of one together.

zsad reduce RUN                          writes RUN/metrics
zsad reduce RUN RUN ... --out FOLDER     runs of the same settings on different images, as one table in FOLDER/metrics
"""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder or URI that `zsad evaluate` wrote to")
    parser.add_argument("--out", metavar="FOLDER", help="where the tables of several runs go")


def run(options: argparse.Namespace) -> int:
    from pipelines import storage
    from pipelines.reduce import reduce
    from pipelines.tables import summary_table

    out = options.out and storage.normalise(options.out)
    print(summary_table(reduce([storage.normalise(uri) for uri in options.runs], out)))
    print(f"\ntables: {options.out or options.runs[0]}/metrics/table.md, table.csv, results.json")
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("reduce")
