"""How sources lie on disk: one pure function a layout, from a listing of the source to its test samples.

Only names, label files and (where nothing else tells the label) masks are looked at; whether an image can be decoded
shows when it is packed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zsad_core.benchmarks.layouts.by_folder import btad, isic, ksdd2, mvtec, pairs, rsdd, yes_no
from zsad_core.benchmarks.layouts.by_list import curated, curated_lists, dagm, headct, visa
from zsad_core.benchmarks.layouts.source import (
    ANOMALOUS,
    DIRECTORY,
    MISSING,
    NORMAL,
    Sample,
    Tree,
    plain,
)
from zsad_core.benchmarks.table import Benchmark
from zsad_core.errors import ZsadError
from zsad_core.images import is_image_name

__all__ = [
    "ANOMALOUS",
    "DIRECTORY",
    "LAYOUTS",
    "MISSING",
    "NORMAL",
    "Listing",
    "Sample",
    "Tree",
    "duplicates",
    "list_samples",
]

LAYOUTS = {
    "mvtec": mvtec,
    "btad": btad,
    "yes-no": yes_no,
    "pairs": pairs,
    "isic": isic,
    "rsdd": rsdd,
    "ksdd2": ksdd2,
    "headct": headct,
    "visa": visa,
    "dagm": dagm,
    "curated": curated,
}


SHOWN = 3  # paths that a remark names
TRAINING = frozenset({"train", "training"})


@dataclass(frozen=True)
class Listing:
    """The test samples of a source by (category, key), the layout they were read by and the threshold of its masks.

    remarks: what the reader of its figures has to know, a line each.
    """

    layout: str
    mask_threshold: int | None
    samples: list[Sample]
    remarks: list[str]


def list_samples(benchmark: Benchmark, tree: Tree) -> Listing:
    """The test samples of a source; an authors' curated copy (meta*.json in its root) goes before the owners' layout.

    Raises ZsadError where nothing is found, where a list of samples makes no sense and for a category that is not
    known.
    """
    layout = "curated" if not benchmark.own and curated_lists(tree) else benchmark.layout
    remarks = []
    if layout != "curated":
        if benchmark.published_on == "curated":
            remarks.append(
                f"the published counts and figures of {benchmark.name} hold on the authors' curated copy only "
                f"(a folder with a meta*.json); this is the owners' copy"
            )
        kept = tree.without(benchmark.left_out)
        if left_out := len(tree.images) - len(kept.images):
            names = ", ".join(benchmark.left_out)
            remarks.append(
                f"image files left out, in folders that are no part of {benchmark.name} ({names}): {left_out}"
            )
        tree = kept
    samples = list(LAYOUTS[layout](benchmark, tree))
    for sample in samples:
        _check_name(sample.key)
    samples.sort(key=lambda sample: (sample.category, sample.key))
    remarks += _unread(tree, samples)
    threshold = 0 if layout == "curated" and not benchmark.own else benchmark.mask_threshold
    return Listing(layout, threshold, samples, remarks)


def duplicates(samples: Iterable[Sample]) -> Iterator[tuple[Sample, Sample]]:
    """Every sample whose key an earlier one has, after that earlier one."""
    first: dict[str, Sample] = {}
    for sample in samples:
        earlier = first.setdefault(sample.key, sample)
        if earlier is not sample:
            yield earlier, sample


def _unread(tree: Tree, samples: list[Sample]) -> Iterator[str]:
    """What a misspelt folder or an unknown format would leave out unseen; the training split is not missed."""
    folders = {posixpath.dirname(sample.key) for sample in samples}
    beside = [path for path in tree.files if posixpath.dirname(path) in folders and not is_image_name(path)]
    others = [path for path in beside if path not in curated_lists(tree)]
    if others:
        yield f"files beside the images that have no image's name and are not read: {_counted(others)}"
    folders |= {posixpath.dirname(sample.mask) for sample in samples if sample.mask}
    tested = [path for path in tree.images_by_folder if TRAINING.isdisjoint(map(plain, path.split("/")))]
    others = [f"{path or '.'}/" for path in tested if path not in folders]
    if others:
        yield f"folders with images that are neither test images nor masks of any and are not read: {_counted(others)}"


def _counted(paths: list[str]) -> str:
    return f"{len(paths)} ({', '.join(paths[:SHOWN])}{', ...' if len(paths) > SHOWN else ''})"


def _check_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ZsadError(f"{path.encode(errors='replace').decode()}: the file name is not UTF-8; rename it") from None
