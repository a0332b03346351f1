"""Put runs beside each other and beside the published figures, with intervals and tests of what differs.

zsad leaderboard runs/bayes-pfl --out board                       one run and what was published
zsad leaderboard runs/seed-0 runs/seed-1 runs/seed-2 --out board  seeds alone apart: one entry, mean and spread
zsad leaderboard ours=runs/a ours=runs/b theirs=runs/c --out board

Writes leaderboard.md, .csv, .tex, .json and .html (one file, opens without a network) to DIR.
"""

from __future__ import annotations

import argparse

METRICS = ("auroc", "ap", "f1_max", "aupro", "aupro_200")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="[NAME=]RUN",
        help="folder or URI of a reduced run; those of one NAME, or that differ in the seed alone, are one entry",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder or URI that the leaderboard is written to")
    parser.add_argument(
        "--published",
        choices=("all", "same", "none"),
        default="all",
        help="whose published figures stand beside: of all methods, or the same as in the runs (default: %(default)s)",
    )
    parser.add_argument(
        "--metric", choices=METRICS, default="auroc", help="which one is printed here (default: %(default)s)"
    )
    parser.add_argument(
        "--shards", help="where the original images lie, for the page (default: where each run found them)"
    )


def run(options: argparse.Namespace) -> int:
    from pipelines import storage
    from pipelines.leaderboard.build import leaderboard
    from pipelines.leaderboard.latex import leaderboard_latex
    from pipelines.leaderboard.page import leaderboard_page
    from pipelines.leaderboard.page_details import page_details
    from pipelines.leaderboard.tables import leaderboard_csv, leaderboard_markdown, leaderboard_summary
    from zsad_core.errors import ZsadError

    out, shards = storage.normalise(options.out), options.shards and storage.normalise(options.shards)
    if shards and not storage.is_directory(shards):
        raise ZsadError(f"--shards {options.shards}: no such directory")
    content = leaderboard(options.runs, options.published)
    runs = {entry["name"]: entry["runs"] for entry in content["entries"] if entry["kind"] == "run"}
    details = page_details(runs, shards)  # before anything is written: it may find a file damaged
    for entry in content["entries"]:
        entry["runs"] = [storage.without_credentials(uri) for uri in entry["runs"]]  # no credentials in files
    storage.write_bytes(storage.join(out, "leaderboard.md"), leaderboard_markdown(content).encode())
    storage.write_bytes(storage.join(out, "leaderboard.csv"), leaderboard_csv(content).encode())
    storage.write_bytes(storage.join(out, "leaderboard.tex"), leaderboard_latex(content).encode())
    storage.write_json(storage.join(out, "leaderboard.json"), content)
    storage.write_bytes(storage.join(out, "leaderboard.html"), leaderboard_page(content, details).encode())
    print(leaderboard_summary(content, options.metric))
    print(f"\n{options.out}: leaderboard.html, leaderboard.md, leaderboard.csv, leaderboard.tex, leaderboard.json")
    return 0


if __name__ == "__main__":
    from jobs.cli import run_module

    run_module("leaderboard")
