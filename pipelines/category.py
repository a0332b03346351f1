"""One category's metrics with intervals, by defect too, its curves, and the influence of its images."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import engine
from pipelines.counts import SCORES, Group, read_binned, read_counts
from pipelines.tables import GROUPS
from zsad_core.metrics import intervals
from zsad_core.metrics.curves import FPR_LIMIT, pro_curve, roc_curve
from zsad_core.metrics.image import ScoreRule, image_counts, image_influence, image_metrics, image_score_published
from zsad_core.metrics.pixel import PIXEL_METRICS, PixelCounts, moved_without_each, pixel_metrics

CURVE_POINTS = 101
PART = 32  # shards that one task reads of a category; with fewer the driver does it itself
UNKNOWN = -1  # label of an image without one
_T = TypeVar("_T")


class Cell(NamedTuple):
    """A value of the tables and its 95 % interval; NaN where undefined or unknown."""

    value: float
    low: float
    high: float


class Shard(NamedTuple):
    """The two files that the predictions of a shard were counted into; `counts` is None without pixel level."""

    name: str
    images: str
    counts: str | None


Subset = str | None
"""The images that are judged together: those of a defect and all normal ones, or (None) the whole category."""


def parts_of(of_shards: list[_T]) -> list[list[_T]]:
    """Lists of PART, one task each; which they are hangs on nothing but the order, and so do the tables."""
    return [of_shards[start : start + PART] for start in range(0, len(of_shards), PART)]


class CategoryResults(NamedTuple):
    """`cells` and those of each defect: group (image, image_plain, pixel) -> metric -> Cell, None without the level.

    `influence`: "<group>_<metric>" -> float64 (n,) over the category's images, NaN where an image is not counted.
    `curves`: name -> [x, y], None where undefined.
    """

    cells: dict[str, dict[str, Cell] | None]
    defects: dict[str, dict[str, dict[str, Cell] | None]]
    influence: dict[str, np.ndarray]
    curves: dict[str, list[list[float]] | None]


class _Group(NamedTuple):
    """The cells of each subset; influence and curves of the whole category."""

    cells: dict[Subset, dict[str, Cell]]
    influence: dict[str, np.ndarray]
    curves: dict[str, list[list[float]] | None]


def category_results(
    category: str, images: pa.Table, shards: list[Shard], levels: Collection[str], rule: ScoreRule
) -> CategoryResults:
    """Results of a category from its `images`, rows of the shards' images files.

    `images` has a column `shard` besides, the place of its row's shard in `shards`. A defect's images are judged
    against all normal images; a category with one defect only has no results by defect.
    """
    label = images["label"].fill_null(UNKNOWN).to_numpy()
    defect = np.array(images["defect"].to_pylist(), object)
    defects = sorted(set(defect[label == 1]))
    subsets: dict[Subset, np.ndarray] = {None: np.full(len(label), True)}
    if len(defects) > 1:
        subsets |= {kind: (label == 0) | ((label == 1) & (defect == kind)) for kind in defects}
    groups = {}
    if "image" in levels:
        for group, scores in _image_scores(images, levels, rule).items():
            groups[group] = _image_group(f"{group}_roc", scores, label, subsets)
    if "pixel" in levels:
        groups["pixel"] = _pixel_group(category, images, shards, label, subsets)
    cells = {
        subset: {group: groups[group].cells[subset] if group in groups else None for group in GROUPS}
        for subset in subsets
    }
    influence = {f"{group}_{name}": each for group in groups for name, each in groups[group].influence.items()}
    curves = {name: curve for group in groups.values() for name, curve in group.curves.items()}
    of_defects = {subset: of_subset for subset, of_subset in cells.items() if subset is not None}
    return CategoryResults(cells[None], of_defects, influence, curves)


def _image_group(curve: str, scores: np.ndarray, label: np.ndarray, subsets: dict[Subset, np.ndarray]) -> _Group:
    """`scores` (n,) are NaN for images that were not scored; `curve` is the name of the ROC."""
    scored = np.isfinite(scores) & (label != UNKNOWN)
    moved = {subset: image_influence(scores[each & scored], label[each & scored]) for subset, each in subsets.items()}
    cells = {
        subset: _cells(image_metrics(scores[each & scored], label[each & scored]), moved[subset], label[each & scored])
        for subset, each in subsets.items()
    }
    roc = _points(*roc_curve(*image_counts(scores[scored], label[scored])[:2]))
    return _Group(cells, {name: _spread_out(each, scored) for name, each in moved[None].items()}, {curve: roc})


def _pixel_group(
    category: str, images: pa.Table, shards: list[Shard], label: np.ndarray, subsets: dict[Subset, np.ndarray]
) -> _Group:
    counted = pc.is_valid(images["regions"]).to_numpy()
    rows = np.flatnonzero(counted)
    numbers, starts = np.unique(images["shard"].to_numpy()[rows], return_index=True)  # sorted already: by shard
    rows_of = {shards[number]: part for number, part in zip(numbers, np.split(rows, starts[1:]))}
    whole = _pooled(category, [*rows_of], [*subsets])
    cells, of_whole = {}, {}
    for subset, moved in _moved(category, rows_of, subsets, whole).items():
        chosen = counted & subsets[subset]
        of_images = {name: intervals.influence(each[chosen], label[chosen]) for name, each in moved.items()}
        cells[subset] = _cells(pixel_metrics(whole[subset]), of_images, label[chosen])
        if subset is None:
            of_whole = {name: _spread_out(each, chosen) for name, each in of_images.items()}
    counts = whole[None]
    curves = {
        "pixel_roc": _points(*roc_curve(counts.normal, counts.anomalous)),
        "pro": _points(*pro_curve(counts.normal, counts.region_weight, counts.regions), FPR_LIMIT),
    }
    return _Group(cells, of_whole, curves)


def _image_scores(images: pa.Table, levels: Collection[str], rule: ScoreRule) -> dict[str, np.ndarray]:
    """Group -> image scores (n,), NaN where an image was not scored."""
    scored = ~images["failed"].to_numpy()
    text, highest, plain = (images[name].to_numpy()[scored] for name in SCORES)
    return {
        "image": _spread_out(image_score_published(text, highest, levels, rule), scored),
        "image_plain": _spread_out(plain, scored),
    }


def _cells(values: dict[str, float], influence: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, Cell]:
    return {
        name: Cell(value, *intervals.interval(value, intervals.spread(influence[name], labels)))
        for name, value in values.items()
    }


def _pooled(category: str, shards: list[Shard], subsets: list[Subset]) -> dict[Subset, PixelCounts]:
    """Counts by code of each subset."""
    of_groups: dict[Group, PixelCounts] = {}
    for part in engine.in_order(f"pixels of {category}", _counts_of_groups, parts_of(shards), category):
        _add(of_groups, part.items())
    whole = {}
    for subset in subsets:
        members = [counts for group, counts in of_groups.items() if _belongs(group, subset)]
        whole[subset] = sum(members, PixelCounts.empty())
    return whole


def _belongs(group: Group, subset: Subset) -> bool:
    return subset is None or group.label == 0 or (group.label == 1 and group.defect == subset)


def _counts_of_groups(shards: list[Shard], category: str) -> dict[Group, PixelCounts]:
    of_groups: dict[Group, PixelCounts] = {}
    for shard in shards:
        if shard.counts:
            _add(of_groups, read_counts(shard.counts, category))
    return of_groups


def _add(of_groups: dict[Group, PixelCounts], more: Iterable[tuple[Group, PixelCounts]]) -> None:
    """Sums of 1/area are floats: in the order of the shards they are the same whatever ran when."""
    for group, counts in more:
        of_groups[group] = of_groups[group] + counts if group in of_groups else counts


def _moved(
    category: str, rows_of: dict[Shard, np.ndarray], subsets: dict[Subset, np.ndarray], whole: dict
) -> dict[Subset, dict[str, np.ndarray]]:
    """Subset -> metric -> (n,): metric of the subset - metric without the image; NaN for images outside of it."""
    moved = {
        subset: {name: np.full(len(members), np.nan) for name in PIXEL_METRICS} for subset, members in subsets.items()
    }
    chosen = [
        (shard, {subset: members[rows] for subset, members in subsets.items()}) for shard, rows in rows_of.items()
    ]
    rows_of_parts = parts_of([*rows_of.values()])
    for rows_of_shards, part in zip(
        rows_of_parts, engine.in_order(f"influence in {category}", _moved_part, parts_of(chosen), category, whole)
    ):
        rows = np.concatenate(rows_of_shards)
        for subset, members in subsets.items():
            for name, values in part[subset].items():
                moved[subset][name][rows[members[rows]]] = values
    return moved


def _moved_part(
    chosen: list[tuple[Shard, dict[Subset, np.ndarray]]], category: str, whole: dict[Subset, PixelCounts]
) -> dict[Subset, dict[str, np.ndarray]]:
    """Of shards, and which of their counted images each subset has: what `_moved` gives, of those alone."""
    moved: dict[Subset, dict[str, list[np.ndarray]]] = {
        subset: {name: [] for name in PIXEL_METRICS} for subset in whole
    }
    for shard, members in chosen:
        starts, counts = read_binned(shard.images, category)
        for subset, inside in members.items():
            for name, values in moved_without_each(whole[subset], counts.of_images(inside), starts).items():
                moved[subset][name].append(values)
    return {subset: {name: np.concatenate(each) for name, each in of.items()} for subset, of in moved.items()}


def _spread_out(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The values at the chosen places of a float64 array, NaN elsewhere."""
    whole = np.full(len(chosen), np.nan)
    whole[chosen] = values
    return whole


def _points(x: np.ndarray, y: np.ndarray, x_end: float = 1.0) -> list[list[float]] | None:
    """A curve from x = 0 to x_end in few points, evenly spread along its length."""
    if np.isnan(x[-1] + y[-1]):
        return None
    inside = int(np.searchsorted(x, x_end, side="right"))
    end = float(np.interp(x_end, x, y)) if inside < len(x) else float(y[-1])
    x, y = np.append(x[:inside], x_end), np.append(y[:inside], end)
    along = x / x_end + y
    chosen = np.unique(np.searchsorted(along, np.linspace(0, along[-1], CURVE_POINTS)))
    return [np.round(axis[chosen], 4).tolist() for axis in (x, y)]
