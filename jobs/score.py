"""Score an archive of images without labels: folders, tar files and Parquet files, in any mixture.

Writes RUN/predictions (Parquet): for each image a score, an anomaly map, and the standard deviation of both over the
prompt samples. Started again, it scores what has come since.

zsad score ~/biscuits runs/biscuits --prompt "round biscuit"
zsad score s3://factory/line-3 s3://factory/runs/line-3 --prompts parts.csv      with the columns category and prompt
zsad score scans.parquet runs/scans --prompt "head ct" --image-column scan
zsad score ~/fabric runs/fabric --prompt "woven fabric" --tile 518               large images, in overlapping tiles

With --prompt all images show the same, and are of one category wherever they lie. Without it the first folder that an
image lies in is its category and says what it shows, unless a table does, or the columns `category` and `prompt` of a
Parquet file. Such a file may also have a column `key`, which names its images, and `label` (0 good, 1 anomalous). A
compressed tar file cannot be read in parts: unpack it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jobs.evaluate import add_model_options, check_actors, model_settings

if TYPE_CHECKING:  # loads Ray
    from pipelines.score import Scored


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="folder, file or URI of the images")
    parser.add_argument("run_folder", metavar="RUN", help="folder or URI of this run; new, or one to go on with")
    parser.add_argument("--prompt", metavar="TEXT", help='what all images show: "metal nut"')
    parser.add_argument("--prompts", metavar="FILE.csv", help="what each shows: columns prompt, and category or key")
    parser.add_argument("--name", help="what the archive is called (default: the name of SOURCE)")
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help="cut images into tiles of this side, for small defects in large images",
    )
    parser.add_argument(
        "--overlap", type=float, metavar="SHARE", help="of its side that a tile shares with the next (default: 0.25)"
    )
    parser.add_argument("--image-column", metavar="NAME", help="of Parquet files: the encoded images (default: image)")
    add_model_options(parser)


def run(options: argparse.Namespace) -> int:
    from pipelines.score import score

    check_actors(options)
    names = ("prompt", "prompts", "name", "tile", "overlap", "image_column")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    scored = score(
        options.source,
        options.run_folder,
        model_settings(options),
        options.checkpoint,
        actors=options.actors,
        **given,
    )
    if not scored.now.images:
        print(f"nothing new: all {scored.there:,} images have their predictions")
    else:
        print(_table(scored))
    print(f"\npredictions: {options.run_folder}/predictions; to look at them: zsad report {options.run_folder}")
    return 0


def _table(scored: Scored) -> str:
    now = scored.now
    lines = [f"{now.images:,} images scored now, of {scored.there:,}; the most suspicious of them:", ""]
    lines += ["score  deviation  image"] if now.highest else []
    for row in now.highest:
        deviation = "–" if row["score_std"] is None else f"{row['score_std']:.3f}"
        lines.append(f"{row['score']:.3f}  {deviation:>9}  {row['key']}")
    if now.not_scored:
        lines += ["", f"{now.not_scored:,} could not be scored:"]
        lines += [f"  {key}: {why}" for key, why in now.errors]
        lines += ["  ..."] if now.not_scored > len(now.errors) else []
    return "\n".join(lines)


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("score")
