"""Pixel-level metrics of a category from counts per 16-bit code, which add up over images, shards and runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from zsad_core.map_codec import LARGEST_CODE
from zsad_core.metrics.bins import binned
from zsad_core.metrics.curves import aupro, aupro_200, auroc, average_precision, f1_max, pro_thresholds

CODES = LARGEST_CODE + 1
_EIGHT_CONNECTED = np.ones((3, 3), bool)


@dataclass(frozen=True)
class PixelCounts:
    """All that the pixel metrics need of a set of maps; index i of the arrays (..., 65536) is code i.

    `normal`, `anomalous` int64: pixels of either ground truth. `region_weight` float64: sum of 1/(area of its region)
    over the anomalous pixels, where regions are the 8-connected components of each mask. `regions` (...): their number.
    """

    normal: np.ndarray
    anomalous: np.ndarray
    region_weight: np.ndarray
    regions: int | np.ndarray

    @classmethod
    def empty(cls) -> PixelCounts:
        return cls(np.zeros(CODES, np.int64), np.zeros(CODES, np.int64), np.zeros(CODES), 0)

    @classmethod
    def of_map(cls, codes: np.ndarray, mask: np.ndarray) -> PixelCounts:
        """Counts of one map: codes uint16 (H, W), mask bool (H, W)."""
        pixels = np.bincount(codes.ravel(), minlength=CODES)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return cls(pixels, np.zeros(CODES, np.int64), np.zeros(CODES), 0)
        # Labelling only the box that holds all regions saves most of its time.
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        mask, codes = mask[box], codes[box]
        labels, regions = ndimage.label(mask, _EIGHT_CONNECTED)
        region, code = labels[mask], codes[mask]
        weight = 1 / np.maximum(np.bincount(region), 1)
        anomalous = np.bincount(code, minlength=CODES)
        return cls(pixels - anomalous, anomalous, np.bincount(code, weight[region], minlength=CODES), regions)

    def __add__(self, other: PixelCounts) -> PixelCounts:
        return PixelCounts(
            self.normal + other.normal,
            self.anomalous + other.anomalous,
            self.region_weight + other.region_weight,
            self.regions + other.regions,
        )

    def __sub__(self, other: PixelCounts) -> PixelCounts:
        """What is left when `other`, a part of these, is taken out."""
        return PixelCounts(
            self.normal - other.normal,
            self.anomalous - other.anomalous,
            self.region_weight - other.region_weight,
            self.regions - other.regions,
        )

    def of_images(self, chosen: np.ndarray) -> PixelCounts:
        """The rows of some images, where the counts are (n, ...) of n images; `chosen` their places."""
        return PixelCounts(
            self.normal[chosen], self.anomalous[chosen], self.region_weight[chosen], self.regions[chosen]
        )

    def binned(self, starts: np.ndarray) -> PixelCounts:
        """Codes put together in bins that start at the codes `starts` (see metrics.bins)."""
        return PixelCounts(
            binned(self.normal, starts),
            binned(self.anomalous, starts),
            binned(self.region_weight, starts),
            self.regions,
        )


PIXEL_METRICS = ("auroc", "ap", "f1_max", "aupro", "aupro_200")


def pixel_metrics(counts: PixelCounts) -> dict[str, float]:
    """Each of PIXEL_METRICS from counts by code; NaN where undefined."""
    thresholds = pro_thresholds(counts.normal + counts.anomalous)
    return {name: float(value) for name, value in _metrics(counts, np.arange(len(counts.normal)), thresholds).items()}


def moved_without_each(whole: PixelCounts, images: PixelCounts, starts: np.ndarray) -> dict[str, np.ndarray]:
    """Of each metric float64 (n,): metric of the whole set - metric without one of its images.

    `whole` by code, `images` (n, bins) in bins that start at the codes `starts`; both metrics are computed in
    bins. The thresholds of AUPRO-200 stay those of the whole set: its extremes hang on single pixels.
    """
    thresholds = pro_thresholds(whole.normal + whole.anomalous)
    highest_codes = np.append(starts[1:], len(whole.normal)) - 1
    whole = whole.binned(starts)
    of_all, without = (_metrics(counts, highest_codes, thresholds) for counts in (whole, whole - images))
    return {name: of_all[name] - without[name] for name in PIXEL_METRICS}


def _metrics(counts: PixelCounts, codes: np.ndarray, thresholds: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "auroc": auroc(counts.normal, counts.anomalous),
        "ap": average_precision(counts.normal, counts.anomalous),
        "f1_max": f1_max(counts.normal, counts.anomalous),
        "aupro": aupro(counts.normal, counts.region_weight, counts.regions),
        "aupro_200": aupro_200(counts.normal, counts.region_weight, counts.regions, codes, thresholds),
    }
