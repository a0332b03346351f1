"""A raw source as packing and validation see it: what it lists, how many images that are, and each of them read.

Whatever is permanently wrong with a file is a text about its sample; failures of the storage raise.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from pipelines import storage
from pipelines.isolation import Call
from zsad_core.benchmarks.layouts import Listing, Tree, list_samples
from zsad_core.benchmarks.table import Benchmark, Category
from zsad_core.errors import ZsadError
from zsad_core.images import ImageError, decode_image, decode_mask, encode_mask

SHARD_SIZE = 64
NO_SAMPLES = "its list names no test images"
NOT_DATA = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
PERMANENT = {
    FileNotFoundError: "no such file",
    IsADirectoryError: "a directory where a file should be",
    NotADirectoryError: "no such file",
    PermissionError: "it may not be read",
}


def list_source(benchmark: Benchmark, source_uri: str) -> Listing:
    """The test samples of a source. Raises ZsadError, naming the source, where it cannot be listed."""
    files, directories = (
        [path for path in paths if not any(part.startswith(".") or part in NOT_DATA for part in path.split("/"))]
        for paths in storage.list_tree(source_uri)
    )
    tree = Tree(files, directories, lambda path: read(source_uri, path))
    try:
        return list_samples(benchmark, tree)
    except ZsadError as error:
        raise ZsadError(f"{source_uri}: {error}") from None


def levels_of(benchmark: Benchmark, listing: Listing) -> tuple[str, ...]:
    """The levels that the samples have labels for; where nobody says so, the pixel level if there is any mask."""
    if benchmark.levels:
        return benchmark.levels
    return ("image", "pixel") if any(sample.mask for sample in listing.samples) else ("image",)


def mask_threshold_of(benchmark: Benchmark, listing: Listing) -> int | None:
    """The threshold (0..255) of the masks; None without pixel level, whose masks are not looked at."""
    return listing.mask_threshold if "pixel" in levels_of(benchmark, listing) else None


def images_found(listing: Listing) -> Counter:
    """(category, label) -> how many listed images are there."""
    return Counter((sample.category, sample.label) for sample in listing.samples if not sample.error)


def count_differences(categories: Collection[Category], found: Counter) -> list[str]:
    """One line for each category whose images, counted by (category, label), are not as many as it expects."""
    lines, absent = [], []
    for category in categories:
        normal, anomalous, unknown = (found[category.name, label] for label in (0, 1, None))
        expected = (category.test_normal, category.test_anomalous)
        if not normal + anomalous + unknown:
            absent.append(category.name)
        elif expected != (None, None) and any(
            want not in (None, there) for want, there in zip((*expected, 0), (normal, anomalous, unknown))
        ):
            wanted = ["any number of" if want is None else want for want in expected]
            lines.append(
                f"{category.name}: expected {wanted[0]} normal and {wanted[1]} anomalous test images, found {normal} "
                f"and {anomalous}" + (f", and {unknown} without a label" if unknown else "")
            )
    if absent:
        lines.append(f"no test images of {len(absent)} of {len(categories)} categories: {', '.join(absent)}")
    return lines


def units_of(listing: Listing, size: int) -> Iterator[list[dict[str, Any]]]:
    """The samples as plain values, `size` of them a unit of work in their order; the last unit may be smaller."""
    for start in range(0, len(listing.samples), size):
        yield [dataclasses.asdict(sample) for sample in listing.samples[start : start + size]]


def examine(source_uri: str, sample: dict[str, Any], mask_threshold: int | None, call: Call) -> dict[str, Any]:
    """What a shard holds of one listed sample: image, mask, height, width, sha256, error, mask_error.

    `mask_threshold` is None for a benchmark without pixel level: masks are not looked at. Images are decoded by `call`
    (see isolation). Whatever is permanently wrong with a file stands in the error columns. Raises ZsadError where the
    storage fails.
    """
    row: dict[str, Any] = dict.fromkeys(("image", "mask", "height", "width", "sha256"))
    row |= {"error": sample["error"], "mask_error": sample["mask_error"]}
    if row["error"]:
        return row
    try:
        row["image"] = read(source_uri, sample["key"])
        row["sha256"] = hashlib.sha256(row["image"]).hexdigest()
        height, width = call(image_size, row["image"])
    except ImageError as error:
        return row | {"error": str(error)}
    row |= {"height": height, "width": width}
    if mask_threshold is not None and not row["mask_error"] and (sample["mask"] or sample["label"] == 1):
        try:
            row["mask"] = _usable_mask(source_uri, sample, mask_threshold, (height, width), call)
        except ImageError as error:
            row["mask_error"] = str(error)
    return row


def _usable_mask(source_uri: str, sample: dict[str, Any], threshold: int, size: tuple[int, int], call: Call) -> bytes:
    if not sample["mask"]:
        raise ImageError("no mask of an anomalous image")
    mask = call(decode_mask, read(source_uri, sample["mask"]), threshold)
    return encode_mask(check_mask(mask, sample["label"], size))


def image_size(content: bytes) -> tuple[int, int]:
    """(height, width) of an image that can be decoded in full; ImageError of any other."""
    image = decode_image(content)
    return image.height, image.width


def check_mask(mask: np.ndarray, label: int | None, size: tuple[int, int]) -> np.ndarray:
    """The bool (H, W) mask itself; raises ImageError where it does not go with its image's size or label."""
    if mask.shape != size:
        raise ImageError(f"mask is {mask.shape[1]} x {mask.shape[0]}, the image {size[1]} x {size[0]}")
    if label == 1 and not mask.any():
        raise ImageError("mask of an anomalous image is all black")
    if label == 0 and mask.any():
        raise ImageError("mask of a normal image has anomalous pixels")
    return mask


def read(source_uri: str, path: str) -> bytes:
    """The content of a source's file. Raises ImageError where it can never be read, ZsadError where reading failed."""
    try:
        return storage.read_bytes(storage.join(source_uri, path))
    except tuple(PERMANENT) as error:
        why = next(text for kind, text in PERMANENT.items() if isinstance(error, kind))
        raise ImageError(f"cannot be read ({why})") from None
    except OSError as error:
        raise ZsadError(f"{storage.join(source_uri, path)}: reading failed ({error.strerror or error})") from None
