"""Layouts in which the folder of an image, or its mask, tells its label."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from zsad_core.benchmarks.layouts.source import (
    Sample,
    Tree,
    by_stem,
    category_of,
    find_root,
    images_in,
    plain,
    sample,
    stem,
)
from zsad_core.benchmarks.table import Benchmark
from zsad_core.errors import ZsadError
from zsad_core.images import ImageError, decode_mask

READERS = 8  # threads, so that masks on a remote storage are not waited for one by one
PAIRED_FOLDERS = (("images", "masks"), ("Original", "Ground Truth"))
RSDD_TYPES = {"type I": "Type-I RSDDs dataset", "type II": "Type-II RSDDs dataset"}


def mvtec(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`<category>/test/<defect>/<stem>.png`, normal in `good`; `<category>/ground_truth/<defect>/<stem>_mask.png`.

    A mask may also be named as its image is.
    """
    return _by_defect(benchmark, tree, "good")


def btad(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """As `mvtec`, with `<category>/test/ok` and `<category>/test/ko`."""
    return _by_defect(benchmark, tree, "ok")


def _by_defect(benchmark: Benchmark, tree: Tree, normal: str) -> Iterator[Sample]:
    looked_for = "<category>/test/<defect>/<image>"
    if any(plain(path.split("/")[0]) == "test" and path.count("/") == 2 for path in tree.images):
        looked_for += "; SOURCE looks like a single category: give the folder above it"
    root, _ = find_root(benchmark, tree, ["*/test/*"], looked_for)
    test, masks = [], {}
    for folder, paths in tree.images_by_folder.items():
        if not root or folder.startswith(f"{root}/"):
            category_name, kind, *rest = [*folder[len(root) :].lstrip("/").split("/"), ""]
            if plain(kind) == "test":
                if len(rest) != 2:
                    raise ZsadError(f"{paths[0]}: not in the layout <category>/test/<defect>/<image>; move it there")
                test.append((category_name, rest[0], folder))
            elif plain(kind) == "groundtruth" and len(rest) == 2:
                masks[category_name, rest[0]] = by_stem(paths, "_mask")
    for category_name, defect, folder in test:
        category = category_of(benchmark, category_name, f"folder {category_name}")
        for path in tree.images_by_folder[folder]:
            mask = masks.get((category_name, defect), {}).get(stem(path))
            yield sample(tree, path, category, int(plain(defect) != normal), mask, defect=defect)


def yes_no(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """Folders `no` (normal) and `yes` (anomalous); of a benchmark with a test list only what it names."""
    _, found = find_root(benchmark, tree, ["no", "yes"], "folders no and yes with images")
    for label, name in enumerate(("no", "yes")):
        paths = images_in(tree, found[name])
        if benchmark.test_list:
            listed = benchmark.test_list[label]
            paths = [path for path in paths if stem(path) in listed]
            absent = sorted(listed - {stem(path) for path in paths})
            paths += [posixpath.join(found[name][0], missing) for missing in absent]
        for path in paths:
            yield sample(tree, path, benchmark.single_category, label)


def pairs(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`images/` and `masks/`, or `Original/` and `Ground Truth/`, matched by stem; every image is anomalous."""
    names = {plain(posixpath.basename(folder)) for folder in tree.images_by_folder}
    folders = next((each for each in PAIRED_FOLDERS if names >= set(map(plain, each))), PAIRED_FOLDERS[0])
    looked_for = f"folders {' or '.join(' and '.join(each) for each in PAIRED_FOLDERS)} with images"
    yield from _paired(benchmark, tree, folders, looked_for)


def isic(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`ISBI2016_ISIC_Part1_Test_Data/ISIC_0000003.jpg`, `..._Test_GroundTruth/ISIC_0000003_Segmentation.png`."""
    folders = ("ISBI2016_ISIC_Part1_Test_Data", "ISBI2016_ISIC_Part1_Test_GroundTruth")
    yield from _paired(benchmark, tree, folders, f"folders {' and '.join(folders)} with images", "_segmentation")


def _paired(
    benchmark: Benchmark, tree: Tree, folders: tuple[str, str], looked_for: str, suffix: str = ""
) -> Iterator[Sample]:
    _, found = find_root(benchmark, tree, folders, looked_for)
    masks = by_stem(images_in(tree, found[folders[1]]), suffix)
    for path in images_in(tree, found[folders[0]]):
        yield sample(tree, path, benchmark.single_category, 1, masks.get(stem(path)))


def rsdd(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`Type-I RSDDs dataset/` and `Type-II RSDDs dataset/`, in each `Rail surface images/` and `GroundTruth/`.

    Matched by stem; every image is anomalous. One type alone is read too: that it is not all shows in the counts.
    """
    patterns = [f"{folder}/Rail surface images" for folder in RSDD_TYPES.values()]
    _, found = find_root(benchmark, tree, patterns, " or ".join(patterns), needs=any)
    for defect, pattern in zip(RSDD_TYPES, patterns):
        for folder in found[pattern]:
            truth = plain(posixpath.join(posixpath.dirname(folder), "GroundTruth"))
            masks = by_stem(images_in(tree, (other for other in tree.images_by_folder if plain(other) == truth)))
            for path in tree.images_by_folder[folder]:
                yield sample(tree, path, benchmark.single_category, 1, masks.get(stem(path)), defect=defect)


def ksdd2(benchmark: Benchmark, tree: Tree) -> Iterator[Sample]:
    """`test/NNNNN.png` with `NNNNN_GT.png` beside each: an image is anomalous if its mask has any anomalous pixel.

    Where a mask is missing or cannot be read the label is unknown, and the sample says why.
    """
    _, found = find_root(benchmark, tree, ["test"], "test/NNNNN.png and test/NNNNN_GT.png")
    paths = images_in(tree, found["test"])
    masks = {stem(path)[:-3]: path for path in paths if _is_ground_truth(path)}
    images = [path for path in paths if not _is_ground_truth(path)]
    if not masks:
        raise ZsadError(
            f"{benchmark.name}: no NNNNN_GT.png among the images of {found['test'][0]}; these masks tell "
            "which are normal"
        )

    assert benchmark.mask_threshold is not None
    threshold = benchmark.mask_threshold

    def label_of(path: str) -> tuple[int | None, str | None]:
        try:
            if stem(path) not in masks:
                raise ImageError("no mask, which would tell whether the image is normal")
            return int(decode_mask(tree.read(masks[stem(path)]), threshold).any()), None
        except ImageError as error:
            return None, str(error)

    with ThreadPoolExecutor(READERS) as readers:
        for path, (label, mask_error) in zip(images, readers.map(label_of, images)):
            mask = masks.get(stem(path))
            yield sample(tree, path, benchmark.single_category, label, mask, mask_error=mask_error)


def _is_ground_truth(path: str) -> bool:
    return stem(path).casefold().endswith("_gt")
