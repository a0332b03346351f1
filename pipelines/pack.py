"""Raw images to shards: lists a source by its layout, checks the counts, writes Parquet shards and their manifest.

source ──list──> samples ──64 each──> read, decode, check ──> shard files ──> manifest.json
The driver holds the listing; image bytes stay in the Ray tasks, one task a shard.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pipelines import console, engine, isolation, lock, storage
from pipelines.equal_images import HashedImage, conflicts_within, count_repeats, equal_images, repeats_within
from pipelines.shards import MANIFEST, is_shard_name, shard_name, write_shard
from pipelines.sources import (
    NO_SAMPLES,
    SHARD_SIZE,
    count_differences,
    examine,
    images_found,
    levels_of,
    list_source,
    mask_threshold_of,
    units_of,
)
from zsad_core.benchmarks.layouts import Listing, Sample, duplicates
from zsad_core.benchmarks.table import Benchmark
from zsad_core.errors import ZsadError

SPLIT = "test"
WARNED_FILES = 20  # a manifest lists so many damaged files; the shards' error columns hold all


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
    listing = list_source(benchmark, source_uri)
    _refuse_unusable(listing, source_uri)
    differing = count_differences(benchmark.categories, images_found(listing))
    if strict and differing:
        raise ZsadError(
            f"{source_uri}: refused by --strict, nothing was written:\n" + "\n".join(differing + listing.remarks)
        )
    _refuse_files(target)
    with lock.held(target):
        _clear(target, overwrite)
        return _pack_listing(benchmark, listing, source_uri, target, strict, shard_size)


def _pack_listing(
    benchmark: Benchmark, listing: Listing, source_uri: str, target: str, strict: bool, shard_size: int
) -> dict[str, Any]:
    """Write the shards of a source's listing to the folder `target`, last their manifest, which is returned."""
    mask_threshold = mask_threshold_of(benchmark, listing)
    units = [
        {
            "name": storage.join(target, shard_name(SPLIT, index, -(-len(listing.samples) // shard_size))),
            "source": source_uri,
            "benchmark": benchmark.name,
            "mask_threshold": mask_threshold,
            "samples": samples,
        }
        for index, samples in enumerate(units_of(listing, shard_size))
    ]
    progress = console.Progress(f"pack {benchmark.name}", len(listing.samples))
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
    differing = count_differences(benchmark.categories, images_found(listing))
    warnings = listing.remarks + differing + _file_warnings(damaged)
    warnings += repeats_within(equal, len(images)) + conflicts_within(equal)
    manifest = {
        "benchmark": benchmark.name,
        "split": SPLIT,
        "domain": benchmark.domain,
        "levels": list(levels_of(benchmark, listing)),
        "auxiliary": benchmark.auxiliary,
        "mask_threshold": mask_threshold,
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


def _pack_unit(unit: dict[str, Any]) -> dict[str, Any]:
    """Write one shard; returns its manifest entry, under `damaged` its rows with an error, and its `images`' sha256."""
    rows = []
    with isolation.calls(unit["isolated"]) as call:
        for sample in unit["samples"]:
            examined = examine(unit["source"], sample, unit["mask_threshold"], call)
            listed = {name: sample[name] for name in ("key", "category", "prompt", "defect", "label")}
            rows.append({"benchmark": unit["benchmark"], "split": SPLIT, **listed, **examined})
    damaged = [
        {name: row[name] for name in ("category", "key", "error", "mask_error")}
        for row in rows
        if row["error"] or row["mask_error"]
    ]
    images = [{name: row[name] for name in ("key", "label", "sha256")} for row in rows if not row["error"]]
    return {**write_shard(unit["name"], rows), "damaged": damaged, "images": images}


def _refuse_unusable(listing: Listing, source_uri: str) -> None:
    samples = listing.samples
    if not samples:
        raise ZsadError(f"{source_uri}: {NO_SAMPLES}")
    if all(sample.error for sample in samples):
        first = f"{samples[0].key}: {samples[0].error}"
        raise ZsadError(
            f"{source_uri}: none of the {len(samples)} listed images is there (first: {first}); is SOURCE right?"
        )
    for earlier, later in duplicates(samples):
        raise ZsadError(
            f"{source_uri}: two samples of the key {later.key}: {earlier.place} and {later.place}; keep one"
        )


def _refuse_files(target: str) -> None:
    for folder in (target.rsplit("/", 1)[0], target):
        if storage.exists(folder) and not storage.is_directory(folder):
            raise ZsadError(f"{folder}: a file where the folder of the shards is to be; move it, or choose another")


def _clear(target: str, overwrite: bool) -> None:
    """Make room for a pack: a finished one only if told to, the manifest first so that half a pack never has one."""
    names = storage.list_names(target)
    if MANIFEST in names:
        if not overwrite:
            raise ZsadError(f"{target}: holds a finished pack; remove it, choose another folder, or use --overwrite")
        storage.remove(storage.join(target, MANIFEST))
    for name in filter(is_shard_name, names):
        storage.remove(storage.join(target, name))


def _file_warnings(damaged: list[dict[str, Any]]) -> list[str]:
    lines = [f"{row['key']}: {row['error'] or 'its mask cannot be used: ' + row['mask_error']}" for row in damaged]
    more = len(lines) - WARNED_FILES
    return lines[:WARNED_FILES] + ([f"and {more} more files that cannot be used"] if more > 0 else [])


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
