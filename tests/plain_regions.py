"""Regions of a heat map by their definition, slow and plain."""

import itertools
import math

import numpy as np


def brute_force(anomaly_map, cut, height, width):
    """What zsad_core.regions.regions gives: flood fill, every pixel's four corners, all pairs of them."""
    rows, columns = anomaly_map.shape
    down, right = height / rows, width / columns
    left = {place for place in np.ndindex(rows, columns) if anomaly_map[place] > cut}
    found = []
    while left:
        start = min(left)
        region, edge = set(), [start]
        while edge:
            r, c = edge.pop()
            if (r, c) in left:
                left.remove((r, c))
                region.add((r, c))
                edge += itertools.product((r - 1, r, r + 1), (c - 1, c, c + 1))
        corners = {(x * right, y * down) for r, c in region for x in (c, c + 1) for y in (r, r + 1)}
        xs, ys = zip(*corners)
        values = [anomaly_map[place] for place in region]
        measures = (
            min(xs),
            min(ys),
            max(xs) - min(xs),
            max(ys) - min(ys),
            len(region) * right * down,
            max(math.dist(a, b) for a in corners for b in corners),
            max(values),
            math.fsum(values) / len(values),
        )
        found.append((-max(values), start, measures))
    return [measures for *_, measures in sorted(found)]
