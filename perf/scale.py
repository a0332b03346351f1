"""A run over so many images that only their number matters: python -m perf.scale [--shard-size 64] [IMAGES ...]

The images are grey noise of 32 x 32 pixels, one in ten with a mask, in four categories; local-contrast scores them, which
costs next to nothing. `zsad evaluate` runs three times: from nothing, with every hundredth prediction file removed, and with
all of them there. Prints Markdown tables: when each part was done, and what the driver held meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from perf.command import Measured, measured
from perf.inference import machine
from pipelines.shards import MANIFEST, shard_name, write_shard
from pipelines.tables import markdown_table

SIDE = 32
NAME = "noise"
CATEGORIES = ("bolt", "nut", "screw", "washer")
DEFECTS = ("bent", "dirt", "scratch")
SETTINGS = ["--method", "local-contrast", "--image-size", str(SIDE), "--batch-size", "64"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], metavar="IMAGES")
    parser.add_argument("--shard-size", type=int, default=64, metavar="IMAGES")
    parser.add_argument("--keep", metavar="FOLDER", help="where shards and run stay; default: a folder that is removed")
    options = parser.parse_args()
    print(f"{machine('cpu')}, {os.cpu_count()} cores, {options.shard_size} images a shard\n", flush=True)
    for count in options.counts:
        folder = options.keep or tempfile.mkdtemp(prefix="zsad-scale-")
        try:
            report(folder, count, options.shard_size)
        finally:
            if not options.keep:
                shutil.rmtree(folder)


def report(folder: str, count: int, shard_size: int) -> None:
    shards, run = os.path.join(folder, f"shards-{count}"), os.path.join(folder, f"run-{count}")
    if not os.path.exists(os.path.join(shards, NAME, MANIFEST)):
        start = time.perf_counter()
        draw(os.path.join(shards, NAME), count, shard_size)
        print(f"{count:,} images, drawn and written in {time.perf_counter() - start:.0f} s", flush=True)
    runs = {"from nothing": measured("evaluate", shards, run, *SETTINGS)}
    predictions = sorted(Path(run, "predictions", f"benchmark={NAME}").iterdir())
    for path in predictions[::100]:
        path.unlink()
    runs["every 100th file removed"] = measured("evaluate", shards, run, *SETTINGS)
    runs["all there"] = measured("evaluate", shards, run, *SETTINGS)
    head = [f"{count:,} images, {len(predictions):,} shards: seconds from the start", *PARTS, "end"]
    print(markdown_table(head, [[name, *times(each)] for name, each in runs.items()]), flush=True)
    first = runs["from nothing"]
    print(
        markdown_table(
            ["driver's MB while predicting, at", *[f"{part} %" for part in QUARTERS], "at most"], [memory(first)]
        )
    )
    print(f"all processes together at most {first.peak / 1e9:.2f} GB, {first.private / 1e9:.2f} without shared pages\n")
    print("\n".join(f"{seconds:8.1f} {line}" for seconds, line in first.said[-200:]), flush=True)


PARTS = {
    "listed": "^starting Ray",
    "Ray started": "^loading",
    "planned": r"^(predict|reduce): 0 of",
    "first shard": r"^predict: [1-9]",
    "all predicted": r"^reduce: 0 of",
    "all counted": r"^reduce: ([\d,]+) of \1 ",
}
QUARTERS = (0, 25, 50, 75, 100)


def times(command: Measured) -> list[str]:
    said = [(seconds, line) for seconds, line in command.said]
    found = []
    for pattern in PARTS.values():
        try:
            found.append(f"{command.first_said(pattern):.1f}")
        except StopIteration:  # nothing was left to predict
            found.append("–")
    return [*found, f"{command.seconds:.1f}"] if said else found


def memory(command: Measured) -> list[str]:
    """MB of the driver at the quarters of the time between the first and the last predicted shard, and at most."""
    first, last = command.first_said(PARTS["first shard"]), command.first_said(PARTS["all predicted"])
    held = [command.driver_at(first + (last - first) * part / 100) for part in QUARTERS]
    return ["", *(f"{each / 1e6:.0f}" for each in [*held, max(each for _, each in command.driver)])]


def draw(folder: str, count: int, shard_size: int) -> None:
    """A pack of `count` images of noise in `folder`."""
    number = -(-count // shard_size)
    tasks = [
        (
            os.path.join(folder, shard_name("test", index, number)),
            range(index * shard_size, min(count, (index + 1) * shard_size)),
            count,
        )
        for index in range(number)
    ]
    with multiprocessing.Pool() as pool:
        files = pool.starmap(_draw_shard, tasks, chunksize=16)
    counts = {"normal": 0, "anomalous": 0, "unlabelled": 0, "errors": 0, "mask_errors": 0}
    declared = {"small_defect": False, "expected_normal": None, "expected_anomalous": None}
    categories = {name: {"prompt": name, **declared, **counts} for name in CATEGORIES}
    manifest = {"benchmark": NAME, "split": "test", "domain": "own", "levels": ["image", "pixel"], "auxiliary": None}
    manifest |= {"variant": None, "mask_threshold": 128, "complete": True, "warnings": [], "files": files}
    Path(folder, MANIFEST).write_text(json.dumps(manifest | {"categories": categories}))


def _draw_shard(uri: str, numbers: range, count: int) -> dict:
    rows = []
    for number in numbers:
        rng = np.random.default_rng(number)
        pixels, mask = rng.integers(0, 128, (SIDE, SIDE), dtype=np.uint8), None
        if anomalous := number % 10 == 0:
            row, column = rng.integers(0, SIDE - 8, 2)
            spot = (slice(row, row + 8), slice(column, column + 6))
            pixels[spot] += 60
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[spot] = 255
        image = _png(pixels)
        category = CATEGORIES[number * len(CATEGORIES) // count]
        rows.append(
            {"key": f"{category}/{number:09d}.png", "benchmark": NAME, "category": category, "prompt": category}
            | {
                "split": "test",
                "defect": DEFECTS[number // 10 % len(DEFECTS)] if anomalous else "good",
                "label": int(anomalous),
            }
            | {"image": image, "mask": _png(mask) if anomalous else None, "height": SIDE, "width": SIDE}
            | {"sha256": hashlib.sha256(image).hexdigest()}
        )
    return write_shard(uri, rows)


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


if __name__ == "__main__":
    main()
