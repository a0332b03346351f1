"""From images known to be good: the score to cut at for a wanted rate of false alarms, and the images above it.

zsad threshold RUN --normal runs/good           the good images are those of another run of the same settings
zsad threshold RUN --normal good.csv            those of RUN with these keys (column key; or a text, a key a line)
zsad threshold RUN --normal "line1/good/*"      those of RUN whose keys fit the pattern

Every category gets its own cut, from its own good images. Writes RUN/thresholds/thresholds.json and flagged.csv. The
exit status is 1 where a category has too few good images for a cut.
"""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_uri", metavar="RUN", help="folder or URI of a finished run")
    parser.add_argument(
        "--normal", required=True, metavar="WHICH", help="the good images: a run, a file of keys, or a pattern on keys"
    )
    parser.add_argument(
        "--false-alarms",
        type=float,
        default=0.05,
        metavar="RATE",
        help="share of good images that may be flagged, as expected (default: %(default)s)",
    )
    parser.add_argument(
        "--sure",
        type=float,
        metavar="PROBABILITY",
        help="have the share be at most RATE with this probability, 0.95 say, not only as expected",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE.csv",
        help="labels of some images (columns key and label: 0 or 1, normal or anomalous, good or bad): the precision",
    )
    parser.add_argument(
        "--pooled",
        action="store_true",
        help="give a category with too few good images the cut of the good images of all categories together",
    )


def run(options: argparse.Namespace) -> int:
    from pipelines import storage
    from pipelines.threshold import threshold, threshold_table

    labels = options.labels and storage.normalise(options.labels)
    content = threshold(
        storage.normalise(options.run_uri), options.normal, options.false_alarms, options.sure, labels, options.pooled
    )
    print(threshold_table(content))
    results = [result for each in content["benchmarks"].values() for result in each["categories"].values()]
    judged = sum(result["images"] for result in results if result["flagged"] is not None)
    print(f"\n{content['flagged']:,} of {judged:,} images flagged: {options.run_uri}/thresholds/flagged.csv", end=", ")
    print("thresholds.json")
    return 0 if all(result["flagged"] is not None for result in results) else 1


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("threshold")
