"""Pixel-level metrics of a category from counts per 16-bit code, which add up over images, shards and runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from zsad_core.map_codec import LARGEST_CODE
from zsad_core.metrics.bins import binned
from zsad_core.metrics.curves import aupro, aupro_200, auroc, average_precision, f1_max, pro_thresholds

CODES = LARGEST_CODE + 1
_EIGHT_CONNECTED = np.ones((3, 3), bool)


class MapCounts(NamedTuple):
    """What PixelCounts holds, of one map and only at the codes that it has: small, and quick to make and to add.

    `normal` and `anomalous` (uint32) at the codes `code` and `anomalous_code` (uint16, ascending), `region_weight` at
    the latter.
    """

    code: np.ndarray
    normal: np.ndarray
    anomalous_code: np.ndarray
    anomalous: np.ndarray
    region_weight: np.ndarray
    regions: int

    @classmethod
    def of(cls, codes: np.ndarray, mask: np.ndarray) -> MapCounts:
        """Counts of codes uint16 (H, W) where the mask is bool (H, W)."""
        code, pixels = _by_code(codes.ravel())
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return cls(code, pixels, code[:0], pixels[:0], np.zeros(0), 0)
        # Labelling only the box that holds all regions saves most of its time.
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        mask, codes = mask[box], codes[box]
        labels, regions = ndimage.label(mask, _EIGHT_CONNECTED)
        region = labels[mask]
        weight = 1 / np.maximum(np.bincount(region), 1)
        anomalous_code, anomalous, region_weight = _by_code(codes[mask], weight[region])
        pixels[np.searchsorted(code, anomalous_code)] -= anomalous
        some = pixels > 0
        return cls(code[some], pixels[some], anomalous_code, anomalous, region_weight, regions)

    def binned(self, starts: np.ndarray) -> PixelCounts:
        """In bins that start at the codes `starts` (see metrics.bins)."""
        place, anomalous_place = (
            np.searchsorted(starts, code, side="right") - 1 for code in (self.code, self.anomalous_code)
        )
        return PixelCounts(
            np.bincount(place, self.normal, len(starts)).astype(np.int64),
            np.bincount(anomalous_place, self.anomalous, len(starts)).astype(np.int64),
            np.bincount(anomalous_place, self.region_weight, len(starts)),
            self.regions,
        )


def _by_code(codes: np.ndarray, *weights: np.ndarray) -> list[np.ndarray]:
    """[codes that occur uint16, how often uint32, sum of each of the weights there] of codes uint16 (n,)."""
    if codes.size < CODES // 8:  # few: sorting them is less work than going through all codes that there could be
        code, place, number = np.unique(codes, return_inverse=True, return_counts=True)
        return [code, number.astype(np.uint32), *(np.bincount(place, each) for each in weights)]
    number = np.bincount(codes, minlength=CODES)
    code = np.flatnonzero(number)
    sums = (np.bincount(codes, each, CODES)[code] for each in weights)
    return [code.astype(np.uint16), number[code].astype(np.uint32), *sums]


@dataclass(frozen=True)
class PixelCounts:
    """All that the pixel metrics need of a set of maps; index i of the arrays (..., 65536) is code i.

    `normal`, `anomalous` int64: pixels of either ground truth. `region_weight` float64: sum of 1/(area of its region)
    over the anomalous pixels, where regions are the 8-connected components of each mask. `regions` (...), or an int:
    their number.
    """

    normal: np.ndarray
    anomalous: np.ndarray
    region_weight: np.ndarray
    regions: Any

    @classmethod
    def empty(cls) -> PixelCounts:
        return cls.of_maps([])

    @classmethod
    def of_map(cls, codes: np.ndarray, mask: np.ndarray) -> PixelCounts:
        """Counts of one map: codes uint16 (H, W), mask bool (H, W)."""
        return cls.of_maps([MapCounts.of(codes, mask)])

    @classmethod
    def of_maps(cls, maps: Iterable[MapCounts]) -> PixelCounts:
        """The sum of the counts of some maps, added in their order."""
        normal, anomalous = np.zeros((2, CODES), np.int64)
        region_weight, regions = np.zeros(CODES), 0
        for each in maps:
            normal[each.code] += each.normal
            anomalous[each.anomalous_code] += each.anomalous
            region_weight[each.anomalous_code] += each.region_weight
            regions += each.regions
        return cls(normal, anomalous, region_weight, regions)

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

    def of_images(self, chosen: np.ndarray | int) -> PixelCounts:
        """The rows of some images, where the counts are (n, ...) of n images; `chosen` their places, or one's place."""
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
