"""Pixel-level metrics of a category from counts per 16-bit code, which add up over images, shards and runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from zsad_core.map_codec import LARGEST_CODE
from zsad_core.metrics.curves import aupro, aupro_200, auroc, average_precision, f1_max

CODES = LARGEST_CODE + 1
_EIGHT_CONNECTED = np.ones((3, 3), bool)


@dataclass(frozen=True)
class PixelCounts:
    """All that the pixel metrics need of a set of maps; index i of the arrays (65536,) is code i.

    `normal`, `anomalous` int64: pixels of either ground truth. `region_weight` float64: sum of 1/(area of its region)
    over the anomalous pixels, where regions are the 8-connected components of each mask. `regions`: their number.
    """

    normal: np.ndarray
    anomalous: np.ndarray
    region_weight: np.ndarray
    regions: int

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


def pixel_metrics(counts: PixelCounts) -> dict[str, float | None]:
    """`auroc`, `ap`, `f1_max`, `aupro`, `aupro_200`; each None where it is undefined."""
    normal, anomalous = counts.normal, counts.anomalous
    return {
        "auroc": auroc(normal, anomalous),
        "ap": average_precision(normal, anomalous),
        "f1_max": f1_max(normal, anomalous),
        "aupro": aupro(normal, counts.region_weight, counts.regions),
        "aupro_200": aupro_200(normal, anomalous, counts.region_weight, counts.regions),
    }
