"""How far two runs on the same shards are apart, by benchmark: python -m perf.precision RUN OTHER

For runs that differ in precision, device or --compile alone. Prints a Markdown table: differences of the anomaly maps
(in the mean, and of the image whose map differs most in the mean) and of the AUROC means.
"""

from __future__ import annotations

import sys

import numpy as np

from pipelines import storage
from pipelines.predictions import prediction_uri, read_predictions
from pipelines.runs import read_run
from pipelines.texts import markdown_table
from zsad_core.map_codec import LARGEST_CODE, decode

COLUMNS = ["key", "anomaly_map", "map_height", "map_width"]


def comparison(run: str, other: str) -> str:
    """The table of two finished runs; ValueError where they hold other samples."""
    results = [storage.read_json(storage.join(each, "metrics", "results.json"))["benchmarks"] for each in (run, other)]
    rows, means = [], []
    for name, benchmark in read_run(run)["benchmarks"].items():
        distances = [
            distance
            for file in benchmark["files"]
            for distance in _distances(*(prediction_uri(each, name, file["name"]) for each in (run, other)))
        ]
        means.append(np.mean(distances))
        cells = [f"{means[-1]:.5f}", f"{max(distances):.5f}"]
        for level in ("image", "pixel"):
            values = [(each[name]["mean"][level] or {}).get("auroc", {}).get("value") for each in results]
            cells.append("–" if None in values else f"{values[1] - values[0]:+.5f}")
        rows.append([name, str(len(distances)), *cells])
    rows.append(["mean", "", f"{np.mean(means):.5f}", "", "", ""])
    head = ["benchmark", "images", "maps, mean", "maps, worst image", "image AUROC", "pixel AUROC"]
    return markdown_table(head, rows)


def _distances(uri: str, other: str) -> list[float]:
    """Mean absolute difference of each sample's two maps, those left out that were not scored."""
    rows, others = (read_predictions(each, COLUMNS).to_pylist() for each in (uri, other))
    if [row["key"] for row in rows] != [row["key"] for row in others]:
        raise ValueError(f"{uri} and {other} hold other samples")
    maps = (
        [decode(each["anomaly_map"], each["map_height"], each["map_width"]) / LARGEST_CODE for each in pair]
        for pair in zip(rows, others)
        if all(each["anomaly_map"] for each in pair)
    )
    return [float(np.abs(one - two).mean()) for one, two in maps]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(comparison(*sys.argv[1:]))
