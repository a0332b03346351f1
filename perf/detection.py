"""What a trained model detects that it has never seen, beside untrained weights and what learns nothing.

nice python -m perf.detection FOLDER --checkpoint FILE [--checkpoint FILE ...] [--backbone NAME|FILE]

Draws larger miniatures of the 15 benchmarks than the demo's, of another seed, packs them and evaluates each checkpoint
(as `zsad evaluate --checkpoint` takes it, of whichever methods), untrained weights of the first one's method,
clip-ensemble and local contrast, then prints Markdown tables. Whatever is in FOLDER already is not done again; after a
change of the drawings take another one.

A value is that of one kind of defect against all normal images of its category; then means over the kinds of a
category, the categories of a benchmark, and the benchmarks. No material was seen in training; kinds in TAUGHT were.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from jobs.cli import main as zsad
from pipelines import storage
from pipelines.predictions import prediction_uri, read_predictions
from pipelines.runs import UNTRAINED, read_run, score_rule
from pipelines.texts import markdown_table
from zsad_core.benchmarks.drawn.miniatures import MINIATURES, Drawing
from zsad_core.benchmarks.drawn.surfaces import Array
from zsad_core.benchmarks.drawn.world import TAUGHT
from zsad_core.benchmarks.layouts.by_list import SEVERAL_DEFECTS
from zsad_core.benchmarks.table import benchmark
from zsad_core.checkpoints import read_facts
from zsad_core.map_codec import decode, unpack_mask
from zsad_core.metrics.image import image_metrics, image_score_published
from zsad_core.metrics.pixel import MapCounts, PixelCounts, pixel_metrics
from zsad_core.settings import ScoringSettings

METRICS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
ENSEMBLE, CONTRAST = "clip-ensemble", "local-contrast"


class Figures(NamedTuple):
    """Of one kind of defect in one category; NaN where undefined."""

    benchmark: str
    category: str
    kind: str
    image_auroc: float
    pixel_auroc: float
    aupro: float


GROUPS: dict[str, Callable[[Figures], bool]] = {
    "seen kinds": lambda each: each.kind in TAUGHT,
    "unseen kinds": lambda each: each.kind not in TAUGHT,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="where drawn images, shards and runs are, or are to be put")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="[AUXILIARY=]FILE")
    parser.add_argument("--backbone", metavar="NAME|FILE", help="default: that of `zsad evaluate`")
    parser.add_argument("--normal", type=int, default=30, help="images a category (default: %(default)s)")
    parser.add_argument("--anomalous", type=int, default=30, help="images a category (default: %(default)s)")
    parser.add_argument("--size", type=int, default=224, help="side of a square picture (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the drawings (default: %(default)s)")
    options = parser.parse_args()
    drawn = {name: getattr(options, name) for name in ("normal", "anomalous", "size", "seed")}
    kinds = {name: _drawn_kinds(options.folder, name, drawn) for name in MINIATURES}

    backbone = ["--backbone", options.backbone] if options.backbone else []
    rows = {}
    methods = {checkpoint: _method_of(checkpoint) for checkpoint in options.checkpoint}
    untrained = next(iter(methods.values()), ScoringSettings.method)
    for checkpoint, method in [*methods.items(), (UNTRAINED, untrained)]:
        name = _run_name(checkpoint) if checkpoint in methods else f"{method}-{UNTRAINED}"
        run = _evaluated(options.folder, name, [*backbone, "--method", method, "--checkpoint", checkpoint])
        rows[checkpoint] = list(figures(run, kinds))
    image_size = str(read_run(run)["settings"]["image_size"])  # masks of one size for all
    for method, further in ((ENSEMBLE, backbone), (CONTRAST, ["--image-size", image_size])):
        run = _evaluated(options.folder, method, ["--method", method, *further])
        rows[method] = list(figures(run, kinds))
    counts = f"{options.normal} normal and {options.anomalous} anomalous images a category"
    print(f"\n{counts}, {image_size} x {image_size} pixels; in brackets the number of benchmarks\n")
    print(table_by_weights(rows, options.checkpoint))
    print(f"\nBy kind of defect, mean over materials: {next(iter(rows))}, and behind it {CONTRAST}\n")
    print(table_by_kind(next(iter(rows.values())), rows[CONTRAST]))


@dataclasses.dataclass(frozen=True)
class RecordedDrawing(Drawing):
    """`kinds`: the defect of each anomalous image by its path, since most owners' layouts do not say it."""

    kinds: dict[str, str] = dataclasses.field(default_factory=dict)
    _by_pixels: dict[bytes, str] = dataclasses.field(default_factory=dict)

    def bad(self, material: str) -> Iterator[tuple[str, Array, Array]]:
        for kind, pixels, mask in super().bad(material):
            self._by_pixels[_digest(pixels)] = kind
            yield kind, pixels, mask

    def save(self, pixels: Array, *parts: str, mode: str | None = None) -> None:
        super().save(pixels, *parts, mode=mode)
        if kind := self._by_pixels.get(_digest(pixels)):
            self.kinds["/".join(parts)] = kind


def _digest(pixels: Array) -> bytes:
    return hashlib.sha256(pixels.tobytes()).digest()


def _drawn_kinds(folder: str, name: str, drawn: dict[str, int]) -> dict[str, str]:
    """Draw and pack a miniature, unless that is done; key of each anomalous image -> its kind of defect.

    Keys that are missing are of layouts that say the kind themselves.
    """
    note = os.path.join(folder, "kinds", f"{name}.json")
    if os.path.isfile(note):
        with open(note, encoding="utf-8") as file:
            there = json.load(file)
        if there["drawn"] != drawn:
            sys.exit(f"{note}: drawn with {there['drawn']}, now {drawn}; take another folder")
        return there["kinds"]
    images = os.path.join(folder, "images", name)
    facts, miniature = benchmark(name), MINIATURES[name]
    normal, anomalous = (
        default if not default or facts.test_list else drawn[label]  # a published test list is there as a whole
        for label, default in (("normal", miniature.normal), ("anomalous", miniature.anomalous))
    )
    drawing = RecordedDrawing(facts, images, normal, anomalous, drawn["size"], drawn["seed"])
    miniature.draw(drawing)
    _zsad("pack", "--overwrite", name, images, os.path.join(folder, "shards"))
    storage.write_json(note, {"drawn": drawn, "kinds": drawing.kinds})
    return drawing.kinds


def _method_of(checkpoint: str) -> str:
    """The method that made one of our checkpoints; an authors' file is taken to be of the default method."""
    facts = read_facts(_file_of(checkpoint))
    return facts["method"] if facts else ScoringSettings.method


def _run_name(checkpoint: str) -> str:
    file = _file_of(checkpoint)
    return f"{os.path.basename(file)}-{storage.sha256(file)[:8]}"


def _file_of(checkpoint: str) -> str:
    return checkpoint if os.path.isfile(checkpoint) else checkpoint.partition("=")[2] or checkpoint


def _evaluated(folder: str, name: str, options: list[str]) -> str:
    """The folder of the run, finished."""
    run = os.path.join(folder, "runs", name)
    _zsad("evaluate", os.path.join(folder, "shards"), run, *options)
    return run


def _zsad(*arguments: str) -> None:
    with contextlib.redirect_stdout(sys.stderr):  # the tables alone are for stdout
        if status := zsad(list(arguments)):
            sys.exit(status)


def figures(run: str, kinds: dict[str, dict[str, str]]) -> Iterator[Figures]:
    """Figures of every kind in every category of a run; `kinds`: benchmark -> key -> kind where the run has none.

    The image score is that of the published rule. Images of several kinds at once are in no figure.
    """
    facts_of_run = read_run(run)
    rule = score_rule(facts_of_run["settings"])
    for name, facts in facts_of_run["benchmarks"].items():
        files = [read_predictions(prediction_uri(run, name, file["name"])) for file in facts["files"]]
        images = pa.concat_tables(files).to_pandas()
        if images["error"].notna().any():
            sys.exit(f"{run}: {name} has images that were not scored; figures without them would mislead")
        images["kind"] = [
            kinds[name].get(image.key, image.defect) if image.label else None for image in images.itertuples()
        ]
        for category, rows in images.groupby("category", sort=False):
            scores = image_score_published(
                rows["score_text"].to_numpy(), rows["score_map"].to_numpy(), facts["levels"], rule
            )
            normal = _pixel_counts(rows[rows["label"] == 0], facts["levels"])
            for kind, of_kind in rows[rows["label"] == 1].groupby("kind"):
                if kind == SEVERAL_DEFECTS:
                    continue
                judged = ((rows["label"] == 0) | (rows["kind"] == kind)).to_numpy()
                pixel = pixel_metrics(normal + _pixel_counts(of_kind, facts["levels"]))
                image = math.nan
                if "image" in facts["levels"]:
                    image = image_metrics(scores[judged], rows["label"].to_numpy()[judged])["auroc"]
                yield Figures(name, category, kind, image, pixel["auroc"], pixel["aupro"])


def _pixel_counts(images: pd.DataFrame, levels: list[str]) -> PixelCounts:
    maps = []
    for image in images.itertuples() if "pixel" in levels else ():
        shape = image.map_height, image.map_width
        maps.append(MapCounts.of(decode(image.anomaly_map, *shape), unpack_mask(image.mask, *shape)))
    return PixelCounts.of_maps(maps)


def mean_over_benchmarks(rows: list[Figures], metric: str) -> tuple[float, int]:
    """Mean over benchmarks of the mean over categories of the mean over kinds; and how many benchmarks have a value."""
    by_benchmark: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if not math.isnan(value := getattr(row, metric)):
            by_benchmark.setdefault(row.benchmark, {}).setdefault(row.category, []).append(value)
    means = [statistics.fmean(map(statistics.fmean, categories.values())) for categories in by_benchmark.values()]
    return (statistics.fmean(means) if means else math.nan), len(means)


def table_by_weights(rows: dict[str, list[Figures]], checkpoints: list[str]) -> str:
    """A row for each of the weights' figures, and one for the mean of `checkpoints` where there are several."""
    cells = {
        name: [
            mean_over_benchmarks(list(filter(of_group, each)), metric)
            for of_group in GROUPS.values()
            for metric in METRICS
        ]
        for name, each in rows.items()
    }
    numbers = [number for _, number in next(iter(cells.values()))]
    titles = [f"{group}: {title}" for group in GROUPS for title in METRICS.values()]
    head = ["weights", *(f"{title} ({number})" for title, number in zip(titles, numbers, strict=True))]
    values = {name: [value for value, _ in each] for name, each in cells.items()}
    shown = [[name, *map(_shown, each)] for name, each in values.items()]
    if len(checkpoints) > 1:
        means = np.mean([values[name] for name in checkpoints], axis=0)
        shown.insert(len(checkpoints), [f"mean of these {len(checkpoints)}", *map(_shown, means)])
    return markdown_table(head, shown)


def table_by_kind(first: list[Figures], contrast: list[Figures]) -> str:
    """A row a kind, the hardest at image level first: mean over its materials, of the first and of local contrast."""
    lines = []
    for kind in {row.kind for row in first}:
        chosen = [[row for row in rows if row.kind == kind] for rows in (first, contrast)]
        means = [_mean_over_materials(rows, metric) for rows in chosen for metric in METRICS]
        seen = "seen" if kind in TAUGHT else "unseen"
        lines.append((means[0], [kind, seen, str(len(chosen[0])), *map(_shown, means)]))
    lines.sort(key=lambda line: (math.isnan(line[0]), line[0], line[1]))
    titles = [*METRICS.values(), *(f"contrast: {title}" for title in METRICS.values())]
    return markdown_table(["kind", "in training", "materials", *titles], [line for _, line in lines], 2)


def _mean_over_materials(rows: list[Figures], metric: str) -> float:
    values = [value for row in rows if not math.isnan(value := getattr(row, metric))]
    return statistics.fmean(values) if values else math.nan


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


if __name__ == "__main__":
    main()
