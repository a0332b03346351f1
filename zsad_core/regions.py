"""Connected regions of an anomaly map above a cut, measured in the pixels of the original image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


class Region(NamedTuple):
    """Lengths in pixels of the original image, from its upper left corner; map values in [0, 1]."""

    left: float
    top: float
    width: float
    height: float
    area: float  # square pixels
    length: float  # the largest distance between two points of the region (its maximal Feret diameter)
    peak: float
    mean: float


def regions(anomaly_map: np.ndarray, cut: float, height: float, width: float) -> list[Region]:
    """The 8-connected regions of a map (H, W) strictly above `cut`, by falling peak; of equal ones the upper first.

    `height` and `width` are the original image's, whose sides the map may stretch differently. A region is the union
    of its pixels' rectangles: a single pixel has the length of its diagonal.
    """
    labels, count = ndimage.label(anomaly_map > cut, _EIGHT_NEIGHBOURS)
    if not count:
        return []
    rows, columns = anomaly_map.shape
    down, right = height / rows, width / columns
    numbers = labels.ravel()
    pixels = np.bincount(numbers, minlength=count + 1)
    sums = np.bincount(numbers, weights=anomaly_map.ravel(), minlength=count + 1)
    peaks = ndimage.maximum(anomaly_map, labels, np.arange(count + 1))
    found = []
    for number, (of_rows, of_columns) in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[of_rows, of_columns] == number
        first_pixel = of_rows.start, of_columns.start + int(inside[0].argmax())
        region = Region(
            left=of_columns.start * right,
            top=of_rows.start * down,
            width=inside.shape[1] * right,
            height=inside.shape[0] * down,
            area=float(pixels[number]) * right * down,
            length=_length(inside, right, down),
            peak=float(peaks[number]),
            mean=float(sums[number] / pixels[number]),
        )
        found.append((-region.peak, first_pixel, region))
    return [region for *_, region in sorted(found)]


def _length(inside: np.ndarray, right: float, down: float) -> float:
    """Largest distance between two corners of the pixels (h, w) that are true, each `right` wide and `down` high.

    Every row has one. Two points that lie farthest apart are corners of the convex hull, and only the two ends of a
    row can be such.
    """
    first = inside.argmax(axis=1)
    end = inside.shape[1] - inside[:, ::-1].argmax(axis=1)
    row = np.arange(len(inside))
    corners = np.concatenate([np.stack([x, y], axis=1) for x in (first, end) for y in (row, row + 1)])
    hull = corners[ConvexHull(corners).vertices]
    return float(pdist(hull * (right, down)).max())
