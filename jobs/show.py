"""One image of a run as a picture: the original beside its heat map, with the score and the scale.

zsad show runs/biscuits line1/cam2/0815.png                 writes line1-cam2-0815.png to the current folder
zsad show runs/first cookie/test/defect/anomaly-1.jpg --out why.png

Where the run has it, the map of the deviation over the prompt samples stands beside, on a scale of its own.
"""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_uri", metavar="RUN", help="folder or URI of a finished run")
    parser.add_argument("key", metavar="KEY", help="of the image, as the predictions and the report have it")
    parser.add_argument("--out", metavar="FILE.png", help="default: a name made from KEY, in the current folder")
    parser.add_argument("--benchmark", metavar="NAME", help="needed where several benchmarks have KEY")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE.png where it is there already")


def run(options: argparse.Namespace) -> int:
    from pipelines import storage
    from pipelines.show import default_name, show
    from zsad_core.errors import UsageError, ZsadError

    out = options.out or default_name(options.key)
    if not out.lower().endswith(".png"):
        raise UsageError(f"--out {out}: the name has to end with .png")
    uri = storage.normalise(out)
    if storage.exists(uri) and not options.overwrite:
        raise ZsadError(f"{out}: there already; --overwrite replaces it, --out names another")
    content, caption = show(storage.normalise(options.run_uri), options.key, options.benchmark)
    storage.write_bytes(uri, content)
    print("\n".join([*caption, "", out]))
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("show")
