"""Regions of the anomaly maps above a cut, a row each: box, area, length and peak, in the original image's pixels.

zsad regions RUN              above the cut of the maps that `zsad threshold` found for each category
zsad regions RUN --cut 0.7    above this value of the map, from 0 to 1

Writes RUN/regions/benchmark=.../*.parquet; started again, it does only what is missing or has another cut.
"""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_uri", metavar="RUN", help="folder or URI of a finished run")
    parser.add_argument("--cut", type=float, metavar="VALUE", help="of all maps, from 0 to 1 (default: see above)")


def run(options: argparse.Namespace) -> int:
    from pipelines import console, storage
    from pipelines.regions import find_regions
    from pipelines.texts import number_of_images

    found = find_regions(storage.normalise(options.run_uri), options.cut)
    if found.sizes_unknown:
        console.say(
            f"{number_of_images(found.sizes_unknown)} of an earlier version, whose predictions do not know the image's "
            "size: lengths there are in pixels of the map"
        )
    print(
        f"{found.regions:,} region{'' if found.regions == 1 else 's'} in {found.images:,} of "
        f"{number_of_images(found.of_images)}: ",
        end="",
    )
    print(f"{options.run_uri}/regions")
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("regions")
