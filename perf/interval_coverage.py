"""How often the 95 % intervals hold the truth, over simulated repetitions: image and pixel metrics, and means.

The truth is the metric of ever more images. F1-max is a maximum and lies above it where images are few, which a mean
over categories does not heal.

python -m perf.interval_coverage [REPETITIONS]     (default 2,000; about ten minutes on one core)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from scipy import ndimage, stats

from zsad_core.metrics import intervals
from zsad_core.metrics.bins import bin_starts
from zsad_core.metrics.image import image_influence, image_metrics
from zsad_core.metrics.pixel import PixelCounts, moved_without_each, pixel_metrics

SIDE = 64
GREYS = 1024  # codes of a simulated map
POOL = 6000
CATEGORIES = 10


def main(repetitions: int) -> None:
    rng = np.random.default_rng(0)
    print(f"{repetitions:,} repetitions a row. Below, above: how often the truth lies below or above the interval.\n")
    print("| level | images | metric | truth | held | below | above |")
    print("|---|---|---|---:|---:|---:|---:|")
    for auroc in (0.8, 0.95):
        for normal, anomalous in ((12, 30), (100, 100), (500, 500)):
            _print("image", f"{normal} + {anomalous}", *_image(rng, auroc, normal, anomalous, 1, repetitions))
    for auroc in (0.9, 0.99):
        for normal, anomalous in ((12, 30), (40, 80)):
            rows = _image(rng, auroc, normal, anomalous, CATEGORIES, repetitions // CATEGORIES)
            _print("image, mean", f"{CATEGORIES} x {normal} + {anomalous}", *rows)
    for share in (0.4, 0.0):
        pool = Pool(rng, share)
        for images in (50, 200):
            normal = round(share * images)
            _print("pixel", f"{normal} + {images - normal}", *pool.repeat(rng, images, repetitions))


def _print(level: str, images: str, truth: dict[str, float], held: dict[str, np.ndarray]) -> None:
    for metric, sides in held.items():
        below, above = (f"{100 * side:.1f} %" for side in sides)
        print(
            f"| {level} | {images} | {metric} | {truth[metric]:.4f} | {100 * (1 - sides.sum()):.1f} % "
            f"| {below} | {above} |"
        )
    sys.stdout.flush()


def _intervals(values: dict, influences: dict, labels: np.ndarray) -> dict[str, tuple[float, float]]:
    return {
        metric: intervals.interval(values[metric], intervals.spread(influence, labels))
        for metric, influence in influences.items()
    }


def _missed(truth: dict, bounds: dict[str, tuple[float, float]]) -> dict[str, np.ndarray]:
    """Of each metric whether the truth lies (below, above) its interval."""
    return {metric: np.array([truth[metric] < low, truth[metric] > high]) for metric, (low, high) in bounds.items()}


def _shares(missed: Iterator[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    rows = list(missed)
    return {metric: np.mean([row[metric] for row in rows], 0) for metric in rows[0]}


def _image(
    rng: np.random.Generator, auroc: float, normal: int, anomalous: int, categories: int, repetitions: int
) -> tuple[dict, dict]:
    """The mean over categories whose scores are of two normal distributions; the truth of AP and F1-max is that of four
    million such scores."""
    distance = stats.norm.ppf(auroc) * np.sqrt(2)
    total = normal + anomalous

    def draw(factor: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat([0, 1], [normal * factor, anomalous * factor])
        return rng.normal(size=len(labels)) + distance * labels, labels

    truth = image_metrics(*draw(4_000_000 // total)) | {"auroc": auroc}

    def repeat() -> Iterator[dict[str, np.ndarray]]:
        for _ in range(repetitions):
            drawn = [draw(1) for _ in range(categories)]
            values = [image_metrics(*each) for each in drawn]
            bounds = [_intervals(value, image_influence(*each), each[1]) for value, each in zip(values, drawn)]
            of_mean = {
                metric: intervals.interval_of_mean([v[metric] for v in values], [b[metric] for b in bounds])
                for metric in truth
            }
            yield _missed(truth, of_mean)

    return truth, _shares(repeat())


class Pool:
    """A population of simulated maps, whose regions differ in strength, of which test sets are drawn."""

    def __init__(self, rng: np.random.Generator, share_normal: float):
        self.share = share_normal
        self.strata = [_maps(rng, 0, POOL), _maps(rng, 3, POOL)]
        # The truth is the metric of both strata in the test sets' proportion.
        weights = np.array([share_normal, 1 - share_normal])
        self.truth = pixel_metrics(_pooled(self.strata, weights))

    def repeat(self, rng: np.random.Generator, images: int, repetitions: int) -> tuple[dict, dict]:
        labels = np.repeat([0, 1], [normal := round(self.share * images), images - normal])

        def one() -> dict[str, np.ndarray]:
            drawn = [
                stratum.of_images(rng.integers(0, POOL, np.count_nonzero(labels == label)))
                for label, stratum in enumerate(self.strata)
            ]
            each = PixelCounts(*(np.concatenate(fields) for fields in zip(*map(_fields, drawn))))
            whole = _pooled([each], np.ones(1))
            starts = bin_starts(whole.normal + whole.anomalous)
            moved = moved_without_each(whole, each.binned(starts), starts)
            influences = {name: intervals.influence(values, labels) for name, values in moved.items()}
            return _missed(self.truth, _intervals(pixel_metrics(whole), influences, labels))

        return self.truth, _shares(one() for _ in range(repetitions))


def _pooled(strata: list[PixelCounts], weights: np.ndarray) -> PixelCounts:
    return PixelCounts(*(sum(w * field.sum(0) for w, field in zip(weights, f)) for f in zip(*map(_fields, strata))))


def _fields(counts: PixelCounts) -> tuple[np.ndarray, ...]:
    return counts.normal, counts.anomalous, counts.region_weight, counts.regions


def _maps(rng: np.random.Generator, most_regions: int, images: int) -> PixelCounts:
    """Counts (images, GREYS) of maps of smooth texture, each with an own level and up to `most_regions` regions."""
    fields = []
    for _ in range(images):
        mask, strength = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE))
        for _ in range(rng.integers(1, most_regions + 1) if most_regions else 0):
            row, column = rng.integers(0, SIDE - 4, 2)
            box = slice(row, row + rng.integers(2, 14)), slice(column, column + rng.integers(2, 14))
            mask[box] = True
            strength[box] = rng.gamma(4, 0.5)
        texture = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3)
        level = 0.5 * texture / texture.std() + 0.5 * rng.normal() + ndimage.gaussian_filter(strength, 1.5)
        codes = np.rint((GREYS - 1) / (1 + np.exp(2 - 1.5 * level))).astype(np.uint16)
        *by_code, regions = _fields(PixelCounts.of_map(codes, mask))
        fields.append([*(values[:GREYS] for values in by_code), regions])
    return PixelCounts(*(np.array(field) for field in zip(*fields)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
