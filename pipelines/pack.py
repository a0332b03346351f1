"""Raw images to shards: lists a source by its layout, checks the counts, writes Parquet shards and their manifest.

source ──list──> samples ──64 each──> read, decode, check ──> shard files ──> manifest.json
The driver holds the listing; image bytes stay in the Ray tasks, one task a shard.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from pipelines import engine, storage
from pipelines.equal_images import HashedImage, conflicts_within, count_repeats, equal_images, repeats_within
from pipelines.shards import MANIFEST, is_shard_name, shard_name, write_shard
from zsad_core.benchmarks.layouts import Listing, Sample, Tree, duplicates, list_samples, unused_files
from zsad_core.benchmarks.table import Benchmark, Category
from zsad_core.errors import ZsadError
from zsad_core.images import ImageError, decode_image, decode_mask, encode_mask

SPLIT = "test"
SHARD_SIZE = 64
NOT_DATA = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
WARNED_FILES = 20  # a manifest lists so many damaged files; the shards' error columns hold all
PERMANENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


def pack(
    benchmark: Benchmark,
    source_uri: str,
    shards_uri: str,
    *,
    strict: bool = False,
    overwrite: bool = False,
    shard_size: int = SHARD_SIZE,
) -> dict[str, Any]:
    """Pack the test images of a source into `<shards_uri>/<benchmark>` and return the manifest.

    A copy whose counts differ from the table is packed with warnings, or refused (`strict`) before anything is
    written. Files that cannot be used become rows with `error` or `mask_error`, and warnings; `strict` refuses them
    too, and leaves no manifest, hence no pack.
    Raises ZsadError where nothing can be packed, for two samples of one key and where a finished pack is in the way.
    """
    source_uri = storage.normalise(source_uri)
    target = storage.join(storage.normalise(shards_uri), benchmark.name)
    tree = read_tree(source_uri)
    listing = list_samples(benchmark, tree)
    _refuse_unusable(listing, source_uri)
    levels = levels_of(benchmark, listing)
    differing = count_differences(benchmark.categories, images_found(listing))
    if strict and differing:
        raise ZsadError(
            f"{source_uri}: refused by --strict, nothing was written:\n" + "\n".join(differing + listing.remarks)
        )
    _clear(target, overwrite)

    units = [
        {
            "uri": storage.join(target, shard_name(SPLIT, index, -(-len(listing.samples) // shard_size))),
            "source": source_uri,
            "benchmark": benchmark.name,
            "mask_threshold": listing.mask_threshold if "pixel" in levels else None,
            "samples": [dataclasses.asdict(sample) for sample in samples],
        }
        for index, samples in enumerate(batches(listing.samples, shard_size))
    ]
    progress = engine.Progress(f"pack {benchmark.name}", len(listing.samples))
    files, damaged, images = [], [], []
    for result in engine.map_units(units, _pack_unit):
        damaged += result.pop("damaged")
        images += [HashedImage(benchmark.name, **image) for image in result.pop("images")]
        files.append(result)
        progress.advance(result["rows"])
    damaged.sort(key=lambda row: (row["category"], row["key"]))

    if strict and damaged:
        raise ZsadError(
            f"{source_uri}: refused by --strict, {target} was left without {MANIFEST}:\n"
            + "\n".join(_file_warnings(damaged))
        )
    equal = equal_images(images)
    warnings = listing.remarks + differing + _file_warnings(damaged) + _unused_warning(tree, listing)
    warnings += repeats_within(equal, len(images)) + conflicts_within(equal)
    manifest = {
        "benchmark": benchmark.name,
        "split": SPLIT,
        "domain": benchmark.domain,
        "levels": list(levels),
        "auxiliary": benchmark.auxiliary,
        "mask_threshold": listing.mask_threshold if "pixel" in levels else None,
        "layout": listing.layout,
        "variant": benchmark.variant,
        "files": sorted(files, key=lambda file: file["name"]),
        "categories": _category_counts(benchmark, listing.samples, damaged),
        "duplicates": count_repeats(equal),
        "complete": not differing and not damaged,
        "warnings": warnings,
    }
    storage.write_json(storage.join(target, MANIFEST), manifest)
    return manifest


def read_tree(source_uri: str) -> Tree:
    """Everything below a source but hidden files and what operating systems leave behind."""
    files, directories = (
        [path for path in paths if not any(part.startswith(".") or part in NOT_DATA for part in path.split("/"))]
        for paths in storage.list_tree(source_uri)
    )

    def read(path: str) -> bytes:
        try:
            return storage.read_bytes(storage.join(source_uri, path))
        except OSError as error:
            raise ZsadError(f"{storage.join(source_uri, path)}: cannot be read ({error})") from None

    return Tree(files, directories, read)


def levels_of(benchmark: Benchmark, listing: Listing) -> tuple[str, ...]:
    """The levels that the samples have labels for; where nobody says so, the pixel level if there is any mask."""
    if benchmark.levels:
        return benchmark.levels
    return ("image", "pixel") if any(sample.mask for sample in listing.samples) else ("image",)


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


def examine(source_uri: str, sample: dict[str, Any], mask_threshold: int | None) -> dict[str, Any]:
    """What a shard holds of one listed sample: image, mask, height, width, sha256, error, mask_error.

    `mask_threshold` is None for a benchmark without pixel level: masks are not looked at. Whatever is permanently
    wrong with a file stands in the error columns; other failures of the storage raise its OSError.
    """
    row = dict.fromkeys(("image", "mask", "height", "width", "sha256"))
    row |= {"error": sample["error"], "mask_error": sample["mask_error"]}
    if row["error"]:
        return row
    try:
        row["image"] = _read(source_uri, sample["key"])
        row["sha256"] = hashlib.sha256(row["image"]).hexdigest()
        image = decode_image(row["image"])
    except ImageError as error:
        return row | {"error": str(error)}
    row |= {"height": image.height, "width": image.width}
    if mask_threshold is not None and not row["mask_error"] and (sample["mask"] or sample["label"] == 1):
        try:
            row["mask"] = _usable_mask(source_uri, sample, mask_threshold, (image.height, image.width))
        except ImageError as error:
            row["mask_error"] = str(error)
    return row


def _usable_mask(source_uri: str, sample: dict[str, Any], threshold: int, size: tuple[int, int]) -> bytes:
    if not sample["mask"]:
        raise ImageError("no mask of an anomalous image")
    mask = decode_mask(_read(source_uri, sample["mask"]), threshold)
    return encode_mask(check_mask(mask, sample["label"], size))


def check_mask(mask: np.ndarray, label: int | None, size: tuple[int, int]) -> np.ndarray:
    """The bool (H, W) mask itself; raises ImageError where it does not go with its image's size or label."""
    if mask.shape != size:
        raise ImageError(f"mask is {mask.shape[1]} x {mask.shape[0]}, the image {size[1]} x {size[0]}")
    if label == 1 and not mask.any():
        raise ImageError("mask of an anomalous image is all black")
    if label == 0 and mask.any():
        raise ImageError("mask of a normal image has anomalous pixels")
    return mask


def _read(source_uri: str, path: str) -> bytes:
    try:
        return storage.read_bytes(storage.join(source_uri, path))
    except PERMANENT as error:
        raise ImageError(f"{path} cannot be read ({type(error).__name__})") from None


def _pack_unit(unit: dict[str, Any]) -> dict[str, Any]:
    """Write one shard; returns its manifest entry, under `damaged` its rows with an error, and its `images`' sha256."""
    rows = []
    for sample in unit["samples"]:
        try:
            examined = examine(unit["source"], sample, unit["mask_threshold"])
        except OSError as error:
            raise ZsadError(f"{storage.join(unit['source'], sample['key'])}: reading failed ({error})") from None
        listed = {name: sample[name] for name in ("key", "category", "prompt", "defect", "label")}
        rows.append({"benchmark": unit["benchmark"], "split": SPLIT, **listed, **examined})
    damaged = [
        {name: row[name] for name in ("category", "key", "error", "mask_error")}
        for row in rows
        if row["error"] or row["mask_error"]
    ]
    images = [{name: row[name] for name in ("key", "label", "sha256")} for row in rows if not row["error"]]
    return {**write_shard(unit["uri"], rows), "damaged": damaged, "images": images}


def _refuse_unusable(listing: Listing, source_uri: str) -> None:
    samples = listing.samples
    if all(sample.error for sample in samples):
        first = f" (first: {samples[0].key}: {samples[0].error})" if samples else ""
        raise ZsadError(f"{source_uri}: none of the {len(samples)} listed images is there{first}; is SOURCE right?")
    for earlier, later in duplicates(samples):
        raise ZsadError(f"{source_uri}: two samples of the key {later.key}: {earlier.place} and {later.place}")


def _clear(target: str, overwrite: bool) -> None:
    """Make room for a pack: a finished one only if told to, the manifest first so that half a pack never has one."""
    names = storage.list_names(target)
    if MANIFEST in names:
        if not overwrite:
            raise ZsadError(f"{target}: holds a finished pack; remove it, choose another folder, or use --overwrite")
        storage.remove(storage.join(target, MANIFEST))
    for name in filter(is_shard_name, names):
        storage.remove(storage.join(target, name))


def batches(samples: list[Sample], size: int) -> Iterator[list[Sample]]:
    """Runs of `size` samples in their order; the last may be shorter."""
    return (samples[start : start + size] for start in range(0, len(samples), size))


def _file_warnings(damaged: list[dict[str, Any]]) -> list[str]:
    lines = [f"{row['key']}: {row['error'] or 'its mask cannot be used: ' + row['mask_error']}" for row in damaged]
    more = len(lines) - WARNED_FILES
    return lines[:WARNED_FILES] + ([f"and {more} more files that cannot be used"] if more > 0 else [])


def _unused_warning(tree: Tree, listing: Listing) -> list[str]:
    paths = unused_files(tree, listing.samples)
    if not paths:
        return []
    shown = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
    return [f"{len(paths)} files beside the images have no image's name and are not packed: {shown}"]


def _category_counts(
    benchmark: Benchmark, samples: list[Sample], damaged: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    labels = Counter((sample.category, sample.label) for sample in samples)
    errors = Counter(row["category"] for row in damaged if row["error"])
    mask_errors = Counter(row["category"] for row in damaged if row["mask_error"])
    expected = {category.name: category for category in benchmark.categories}
    # Categories that the source lacks stand there with no image, so that a partial benchmark is seen to be one.
    prompts = {name: category.prompt for name, category in expected.items()}
    prompts |= {sample.category: sample.prompt for sample in samples}
    counts = {}
    for name, prompt in sorted(prompts.items()):
        published = expected.get(name)
        counts[name] = {
            "prompt": prompt,
            "small_defect": bool(published and published.small_defect),
            "normal": labels[name, 0],
            "anomalous": labels[name, 1],
            "unlabelled": labels[name, None],
            "expected_normal": published and published.test_normal,
            "expected_anomalous": published and published.test_anomalous,
            "errors": errors[name],
            "mask_errors": mask_errors[name],
        }
    return counts
