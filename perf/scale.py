"""A run over so many images that only their number matters: python -m perf.scale [--shard-size 64] [IMAGES ...]

The images are grey noise of 32 x 32 pixels, one in ten with a mask, in four categories; local-contrast scores them,
which costs next to nothing. `zsad evaluate` runs three times: from nothing, with every hundredth prediction file
removed, and with all of them there. Prints Markdown tables: when each part was done, and what the driver held
meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perf.command import Measured, measured
from perf.inference import machine
from pipelines.shards import MANIFEST, shard_name, write_shard
from pipelines.texts import markdown_table

SIDE = 32
NAME = "noise"
CATEGORIES = ("bolt", "nut", "screw", "washer")
DEFECTS = ("bent", "dirt", "scratch")
PARTS = {  # of a run, by what it says when they are done
    "listed": "^starting Ray",
    "Ray started": "^loading",
    "planned": r"^(predict|reduce): 0 of",
    "first shard": r"^predict: [1-9]",
    "all predicted": r"^reduce: 0 of",
    "all counted": r"^reduce: ([\d,]+) of \1 ",
}
QUARTERS = (0, 25, 50, 75, 100)
SETTINGS = ["--method", "local-contrast", "--image-size", str(SIDE), "--batch-size", "64"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], metavar="IMAGES")
    parser.add_argument("--shard-size", type=int, default=64, metavar="IMAGES")
    options = parser.parse_args()
    print(f"{machine('cpu')}, {os.cpu_count()} cores, {options.shard_size} images a shard\n", flush=True)
    for count in options.counts:
        with tempfile.TemporaryDirectory(prefix="zsad-scale-") as folder:
            print(report(Path(folder), count, options.shard_size) + "\n", flush=True)


def report(folder: Path, count: int, shard_size: int) -> str:
    draw(folder / "shards" / NAME, count, shard_size)
    command = ["evaluate", str(folder / "shards"), str(folder / "run"), *SETTINGS]
    runs = {"from nothing": measured(*command)}
    predictions = sorted((folder / "run" / "predictions" / f"benchmark={NAME}").iterdir())
    for path in predictions[::100]:
        path.unlink()
    runs["every 100th file removed"] = measured(*command)
    runs["all there"] = measured(*command)
    first = runs["from nothing"]
    parts = [f"{count:,} images, {len(predictions):,} shards", *PARTS, "end"]
    memory = ["driver's MB while predicting, at", *(f"{quarter} %" for quarter in QUARTERS), "at most"]
    return "\n\n".join(
        [
            markdown_table(parts, [[name, *times(run)] for name, run in runs.items()]),
            markdown_table(memory, [[f"{count:,} images", *driver_memory(first)]]),
            f"all processes together at most {first.peak / 1e9:.2f} GB",
        ]
    )


def times(run: Measured) -> list[str]:
    """Seconds at which each of PARTS was done, and of the end; a dash for what was not needed."""
    said = "\n".join(line for _, line in run.said)
    parts = (re.search(pattern, said, re.MULTILINE) and run.first_said(pattern) for pattern in PARTS.values())
    return ["–" if seconds is None else f"{seconds:,.0f}" for seconds in (*parts, run.seconds)]


def driver_memory(run: Measured) -> list[str]:
    """MB at QUARTERS of the time between the first and the last predicted shard, and at most."""
    first, last = run.first_said(PARTS["first shard"]), run.first_said(PARTS["all predicted"])
    held = [run.driver_at(first + (last - first) * quarter / 100) for quarter in QUARTERS]
    return [f"{each / 1e6:,.0f}" for each in (*held, max(each for _, each in run.driver))]


def draw(folder: Path, count: int, shard_size: int) -> None:
    """A pack of `count` images of noise in `folder`."""
    starts = range(0, count, shard_size)
    tasks = [
        (str(folder / shard_name("test", index, len(starts))), range(start, min(count, start + shard_size)), count)
        for index, start in enumerate(starts)
    ]
    with multiprocessing.Pool() as pool:
        files = pool.starmap(_draw_shard, tasks, chunksize=16)
    labels = Counter((_category(number, count), _is_anomalous(number)) for number in range(count))
    declared = dict.fromkeys(("expected_normal", "expected_anomalous")) | {"small_defect": False}
    none = dict.fromkeys(("unlabelled", "errors", "mask_errors"), 0)
    categories = {
        name: {"prompt": name, "normal": labels[name, False], "anomalous": labels[name, True]} | declared | none
        for name in CATEGORIES
    }
    facts: dict[str, Any] = {
        "benchmark": NAME,
        "split": "test",
        "domain": "own",
        "levels": ["image", "pixel"],
        "auxiliary": None,
    }
    facts |= {"variant": None, "mask_threshold": 128, "complete": True, "warnings": [], "files": files}
    (folder / MANIFEST).write_text(json.dumps(facts | {"categories": categories}))


def _category(number: int, count: int) -> str:
    return CATEGORIES[number * len(CATEGORIES) // count]


def _is_anomalous(number: int) -> bool:
    return number % 10 == 0


def _draw_shard(uri: str, numbers: range, count: int) -> dict:
    rows = []
    for number in numbers:
        rng = np.random.default_rng(number)
        pixels, mask = rng.integers(0, 128, (SIDE, SIDE), dtype=np.uint8), None
        if anomalous := _is_anomalous(number):
            row, column = rng.integers(0, SIDE - 8, 2)
            spot = (slice(row, row + 8), slice(column, column + 6))
            pixels[spot] += 60
            mask = np.zeros((SIDE, SIDE), np.uint8)
            mask[spot] = 255
        image = _png(pixels)
        category = _category(number, count)
        rows.append(
            {"key": f"{category}/{number:09d}.png", "benchmark": NAME, "category": category, "prompt": category}
            | {
                "split": "test",
                "defect": DEFECTS[number // 10 % len(DEFECTS)] if anomalous else "good",
                "label": int(anomalous),
            }
            | {"image": image, "mask": None if mask is None else _png(mask), "height": SIDE, "width": SIDE}
            | {"sha256": hashlib.sha256(image).hexdigest()}
        )
    return write_shard(uri, rows)


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


if __name__ == "__main__":
    main()
