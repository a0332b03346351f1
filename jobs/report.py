"""A page of a run's images, the most suspicious first, with their heat maps; it needs no network.

zsad report runs/biscuits                     writes runs/biscuits/report/report.html
zsad report runs/biscuits runs/other-method   and shows where two runs over the same images disagree
zsad report runs/line-3 --top 5000            pictures of the 5,000 highest scores alone

Started again after more images were scored, it makes only their pictures. The whole folder is the report: copy it as
it is.
"""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_uri", metavar="RUN", help="folder or URI of a finished run")
    parser.add_argument("other", nargs="?", metavar="OTHER", help="another run over the same images, to compare with")
    parser.add_argument(
        "--out", metavar="DIR", help="folder or URI that the report is written to (default: RUN/report)"
    )
    parser.add_argument("--top", type=int, metavar="N", help="draw the N highest scores alone (default: all)")
    parser.add_argument(
        "--size", type=int, default=144, metavar="PIXELS", help="of a picture's longer side (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    from pipelines import storage
    from pipelines.report.build import report

    out = options.out or f"{options.run_uri.rstrip('/')}/report"
    other = options.other and storage.normalise(options.other)
    made = report(storage.normalise(options.run_uri), other, storage.normalise(out), options.top, options.size)
    print(f"{made.images:,} images, {made.pictures:,} pictures, {made.made:,} of them made now")
    if made.without_original:
        print(f"{made.without_original:,} show the map alone: the original image was not found")
    if made.not_scored:
        print(f"{made.not_scored:,} could not be scored: the page says why")
    print(f"\n{out}/report.html")
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("report")
