"""Every bad file of a source or of packed shards in one report; nothing is written and nothing stops at the first.

Each image and mask is decoded in full, in Ray tasks.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines import console, engine, isolation, storage
from pipelines.equal_images import LABELS, HashedImage, conflicts, equal_images, repeats_across, repeats_within
from pipelines.isolation import Call
from pipelines.shards import MANIFEST, ShardSet, list_shard_sets, parse_shard, read_shard_set
from pipelines.sources import (
    NO_SAMPLES,
    SHARD_SIZE,
    check_mask,
    count_differences,
    examine,
    image_size,
    images_found,
    list_source,
    mask_threshold_of,
    units_of,
)
from zsad_core.benchmarks import table
from zsad_core.benchmarks.layouts import duplicates
from zsad_core.benchmarks.table import Benchmark, Category
from zsad_core.errors import UsageError, ZsadError
from zsad_core.images import ImageError, decode_mask


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. file: path below the validated URI; row: row of a shard, from 0; key: the sample's."""

    file: str
    row: int | None
    key: str | None
    problem: str


@dataclass(frozen=True)
class Report:
    """What a validation found: `kind` is "source" or "shards", `images` how many samples were looked at.

    remarks: lines on what is no fault of the files, such as images that are there twice.
    """

    uri: str
    kind: str
    images: int
    problems: list[Problem]
    remarks: list[str]


def validate(uri: str, benchmark: Benchmark | None = None) -> Report:
    """Check the source of a benchmark (or of data of one's own), or without one every packed benchmark at `uri`.

    Raises UsageError where no benchmark is named and there are no shards; otherwise ZsadError only where the source
    cannot even be listed.
    """
    uri = storage.normalise(uri)
    return validate_source(uri, benchmark) if benchmark else validate_shards(uri)


def validate_source(uri: str, benchmark: Benchmark) -> Report:
    """Check the test images and masks of a source, and their number."""
    listing = list_source(benchmark, uri)
    problems = [
        Problem(".", None, None, line) for line in count_differences(benchmark.categories, images_found(listing))
    ]
    if not listing.samples:
        problems.append(Problem(".", None, None, NO_SAMPLES))
    problems += [
        Problem(later.place, None, later.key, f"the same sample as {earlier.place}")
        for earlier, later in duplicates(listing.samples)
    ]
    threshold = mask_threshold_of(benchmark, listing)
    units = [
        {
            "name": f"{uri}, images from {samples[0]['key']}",
            "source": uri,
            "mask_threshold": threshold,
            "samples": samples,
        }
        for samples in units_of(listing, SHARD_SIZE)
    ]
    progress = console.Progress(f"validate {benchmark.name}", len(listing.samples))
    images = []
    for result in engine.map_units(units, _source_unit):
        problems += [Problem(**problem) for problem in result["problems"]]
        images += [HashedImage(benchmark.name, **image) for image in result["images"]]
        progress.advance(result["samples"])
    equal, remarks = _compare(images)
    return Report(uri, "source", len(listing.samples), _sorted(problems + equal), listing.remarks + remarks)


def validate_shards(uri: str) -> Report:
    """Check every packed benchmark at `uri`: files against manifests, rows against their checksums, sizes and masks.

    Images with the same bytes, also of two benchmarks, are remarks, but a problem where their labels differ.
    """
    finished, unfinished = list_shard_sets(uri)
    if not storage.is_directory(uri):
        raise ZsadError(f"{uri}: {'a file, not a directory' if storage.exists(uri) else 'no such directory'}")
    if not finished and not unfinished:
        raise UsageError(f"{uri}: no shards there; raw images need their benchmark (or --layout and --name) named")
    problems = [
        Problem(name, None, None, f"shards without {MANIFEST}: packing was interrupted; pack it again")
        for name in unfinished
    ]
    sets = []
    for name, folder in finished.items():
        try:
            sets.append(read_shard_set(folder))
        except ZsadError as error:
            problems.append(Problem(f"{name}/{MANIFEST}", None, None, str(error)))
    progress = console.Progress(
        "validate shards", sum(file["rows"] for each in sets for file in each.manifest["files"])
    )
    images: list[HashedImage] = []
    for shard_set in sets:
        problems += _validate_set(shard_set, progress, images)
    equal, remarks = _compare(images)
    return Report(uri, "shards", progress.done, _sorted(problems + equal), remarks)


def _compare(images: list[HashedImage]) -> tuple[list[Problem], list[str]]:
    """Problems and remarks on images with the same bytes."""
    totals = Counter(image.benchmark for image in images)
    groups = equal_images(images)
    problems = [
        Problem(image.file, image.row, image.key, f"{LABELS[image.label]}, but {_place(first, image)}")
        for first, image in conflicts(groups)
    ]
    remarks = []
    for name in sorted(totals):
        within = [[image for image in group if image.benchmark == name] for group in groups]
        within = [group for group in within if len(group) > 1]
        remarks += [f"{name}: {line}" for line in repeats_within(within, totals[name])]
    return problems, remarks + repeats_across(groups)


def _place(first: HashedImage, image: HashedImage) -> str:
    of = "" if first.benchmark == image.benchmark else f" of {first.benchmark}"
    return f"{first.key}{of}, the same bytes, is {LABELS[first.label]}"


def _source_unit(unit: dict[str, Any]) -> dict[str, Any]:
    problems, images = [], []
    with isolation.calls(unit["isolated"]) as call:
        found = [_examined(unit, sample, call) for sample in unit["samples"]]
    for sample, examined in zip(unit["samples"], found):
        if not examined["error"]:
            listed = {"key": sample["key"], "label": sample["label"], "file": sample["key"]}
            images.append(listed | {"sha256": examined["sha256"]})
        else:
            problems.append(_problem(sample["key"], None, sample["key"], examined["error"]))
        if examined["mask_error"]:
            problems.append(_problem(sample["mask"] or sample["key"], None, sample["key"], examined["mask_error"]))
    return {"samples": len(unit["samples"]), "images": images, "problems": problems}


def _examined(unit: dict[str, Any], sample: dict[str, Any], call: Call) -> dict[str, Any]:
    try:
        return examine(unit["source"], sample, unit["mask_threshold"], call)
    except ZsadError as error:  # the storage failed; the other samples are still looked at
        return {"error": str(error), "mask_error": None}


def _validate_set(shard_set: ShardSet, progress: console.Progress, images: list[HashedImage]) -> list[Problem]:
    """The problems of one packed benchmark; its usable images are added to `images`."""
    manifest, name = shard_set.manifest, shard_set.uri.rsplit("/", 1)[-1]
    listed = {file["name"] for file in manifest["files"]}
    problems = [
        Problem(f"{name}/{other}", None, None, f"not in {MANIFEST}")
        for other in storage.list_names(shard_set.uri)
        if other.endswith(".parquet") and other not in listed
    ]
    units = [
        {"folder": name, "name": shard_set.shard_uri(file), "file": file, "pixel": "pixel" in manifest["levels"]}
        for file in manifest["files"]
    ]
    rows: Counter[tuple] = Counter()
    usable: Counter[tuple] = Counter()
    places: dict[str, tuple[str, int]] = {}
    whole = True
    for result in engine.map_units(units, _shard_unit):
        problems += [Problem(**problem) for problem in result["problems"]]
        whole &= result["whole"]
        for number, sample in enumerate(result["samples"]):
            counted = (sample["category"], sample["label"])
            rows[counted] += 1
            if not sample["error"]:
                usable[counted] += 1
                identity = sample["key"], sample["label"], sample["sha256"]
                images.append(HashedImage(name, *identity, result["file"], number))
            place = (result["file"], number)
            first = places.setdefault(sample["key"], place)
            if first != place:
                first, place = sorted((first, place))
                problems.append(
                    Problem(place[0], place[1], sample["key"], f"the same key as row {first[1]} of {first[0]}")
                )
        progress.advance(result["rows"])
    if whole:
        problems += [
            Problem(f"{name}/{MANIFEST}", None, None, line) for line in _count_problems(manifest, rows, usable)
        ]
    return problems


def _shard_unit(unit: dict[str, Any]) -> dict[str, Any]:
    """Check one shard; `whole` is false where its rows could not be read, `rows` is what the manifest says."""
    file, expected = f"{unit['folder']}/{unit['file']['name']}", unit["file"]
    result = {"file": file, "rows": expected["rows"], "whole": False, "samples": [], "problems": []}
    try:
        content = storage.read_bytes(unit["name"])
    except OSError as error:
        return result | {"problems": [_problem(file, None, None, f"cannot be read ({type(error).__name__})")]}
    problems = []
    if hashlib.sha256(content).hexdigest() != expected["sha256"]:
        problems.append(_problem(file, None, None, f"not the file that {MANIFEST} names: its sha256 differs"))
    try:
        shard = parse_shard(unit["name"], content)
    except ZsadError as error:
        return result | {"problems": [*problems, _problem(file, None, None, str(error))]}
    if shard.num_rows != expected["rows"]:
        problems.append(_problem(file, None, None, f"{shard.num_rows} rows, {MANIFEST} says {expected['rows']}"))
    with isolation.calls(unit["isolated"]) as call:
        for number, row in enumerate(_rows(shard)):
            problems += [_problem(file, number, row["key"], text) for text in _row_problems(row, unit["pixel"], call)]
    samples = shard.select(["key", "category", "label", "sha256", "error"]).to_pylist()
    return result | {"whole": True, "samples": samples, "problems": problems}


def _rows(shard: pa.Table) -> Iterator[dict[str, Any]]:
    """Rows one by one: a whole shard as Python values would hold every image twice."""
    for number in range(shard.num_rows):
        yield shard.slice(number, 1).to_pylist()[0]


def _row_problems(row: dict[str, Any], pixel: bool, call: Call) -> Iterator[str]:
    if row["error"]:
        yield f"no usable image in the source: {row['error']}"
        return
    if row["image"] is None or hashlib.sha256(row["image"]).hexdigest() != row["sha256"]:
        yield "the image is not the one of its sha256"
        return
    try:
        size = call(image_size, row["image"])
    except ImageError as error:
        yield str(error)
        return
    if size != (row["height"], row["width"]):
        yield f"the image is {size[1]} x {size[0]}, its row says {row['width']} x {row['height']}"
    try:
        if row["mask"] is not None:
            check_mask(call(decode_mask, row["mask"], 0), row["label"], size)
        elif row["mask_error"]:
            yield f"no usable mask in the source: {row['mask_error']}"
        elif pixel and row["label"] == 1:
            yield "no mask of an anomalous image"
    except ImageError as error:
        yield f"mask: {error}"


def _count_problems(manifest: dict[str, Any], rows: Counter, usable: Counter) -> Iterator[str]:
    names = {category for category, _ in rows} | set(manifest["categories"])
    for name in sorted(names):
        said = manifest["categories"].get(name, {})
        for column, label in (("normal", 0), ("anomalous", 1), ("unlabelled", None)):
            if rows[name, label] != said.get(column, 0):
                yield f"{name}: {rows[name, label]} {column} rows, {MANIFEST} says {said.get(column, 0)}"
    try:
        expected = list(table.benchmark(manifest["benchmark"], manifest.get("variant")).categories)
    except UsageError:  # data of one's own
        expected = [
            Category(name, said["prompt"], said.get("expected_normal"), said.get("expected_anomalous"))
            for name, said in manifest["categories"].items()
        ]
    yield from count_differences(expected, usable)


def _problem(file: str, row: int | None, key: str | None, problem: str) -> dict[str, Any]:
    return {"file": file, "row": row, "key": key, "problem": problem}


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda each: (each.file, -1 if each.row is None else each.row, each.problem))
