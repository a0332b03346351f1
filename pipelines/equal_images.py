"""Images whose bytes are those of another image, within a benchmark and across benchmarks, by their sha256."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import NamedTuple

SHOWN = 3  # pairs that a line names
LABELS = {0: "normal", 1: "anomalous", None: "without a label"}


class HashedImage(NamedTuple):
    """One image that can be used. label: 0 normal, 1 anomalous, None unknown; file, row: where it lies."""

    benchmark: str
    key: str
    label: int | None
    sha256: str
    file: str = ""
    row: int | None = None


def equal_images(images: Iterable[HashedImage]) -> list[list[HashedImage]]:
    """The groups of images with the same bytes, each by (benchmark, key), and so the groups."""
    by_sha256 = defaultdict(list)
    for image in images:
        by_sha256[image.sha256].append(image)
    groups = [sorted(group, key=_order) for group in by_sha256.values() if len(group) > 1]
    return sorted(groups, key=lambda group: _order(group[0]))


def count_repeats(groups: list[list[HashedImage]]) -> int:
    """How many images could go without one being lost."""
    return sum(len(group) - 1 for group in groups)


def repeats_within(groups: list[list[HashedImage]], total: int) -> list[str]:
    """One line on the groups of a benchmark of `total` images, or none."""
    pairs = [f"{group[0].key} = {other.key}" for group in groups for other in group[1:]]
    return [f"{len(pairs)} of {total} files have the same bytes as another: {_shown(pairs)}"] if pairs else []


def repeats_across(groups: list[list[HashedImage]]) -> list[str]:
    """One line for each two benchmarks that have images in common."""
    common = defaultdict(list)
    for group in groups:
        first = {image.benchmark: image for image in reversed(group)}
        for names in combinations(sorted(first), 2):
            common[names].append(f"{first[names[0]].key} = {first[names[1]].key}")
    return [
        f"{one} and {other} have {len(pairs)} images in common: {_shown(pairs)}"
        for (one, other), pairs in sorted(common.items())
    ]


def conflicts(groups: list[list[HashedImage]]) -> Iterator[tuple[HashedImage, HashedImage]]:
    """Each image whose label contradicts that of the first one with the same bytes, after that first one."""
    for group in groups:
        labelled = [image for image in group if image.label is not None]
        for image in labelled[1:]:
            if image.label != labelled[0].label:
                yield labelled[0], image


def conflicts_within(groups: list[list[HashedImage]]) -> list[str]:
    """One line on the contradicting labels in a benchmark, or none."""
    pairs = [f"{one.key} ({LABELS[one.label]}) = {two.key} ({LABELS[two.label]})" for one, two in conflicts(groups)]
    return [f"{len(pairs)} files have the bytes of another but not its label: {_shown(pairs)}"] if pairs else []


def _order(image: HashedImage) -> tuple[str, str, str, int]:
    return image.benchmark, image.key, image.file, image.row or 0


def _shown(pairs: list[str]) -> str:
    return ", ".join(pairs[:SHOWN]) + (", ..." if len(pairs) > SHOWN else "")
