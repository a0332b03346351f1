"""An archive of small images scored, again, and with ten more: python -m perf.archive [--images 20000] [--method NAME
...]

The images are drawn parts of 64 x 64 pixels, a PNG file each, in folders of 1,000. `zsad score` runs from nothing, with
nothing new, and after ten more have come. Prints Markdown tables: images/s, memory, bytes on disk.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import tempfile
from pathlib import Path

from PIL import Image

from perf.command import measured
from perf.inference import machine
from pipelines.texts import markdown_table
from zsad_core.benchmarks.drawn import draw_sample
from zsad_core.benchmarks.drawn.catalogue import MATERIALS

SIDE = 64
MATERIAL = "pill"
LATER = 10
OPTIONS = {"local-contrast": ["--image-size", "64"]}
QUARTERS = (0, 25, 50, 75, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--method", action="append", dest="methods", help="default: local-contrast and bayes-pfl")
    options = parser.parse_args()
    print(
        f"{machine('cpu')}, {os.cpu_count()} cores, {options.images:,} images of {SIDE} x {SIDE} pixels\n", flush=True
    )
    for method in options.methods or ["local-contrast", "bayes-pfl"]:
        with tempfile.TemporaryDirectory(prefix="zsad-archive-") as folder:
            print(report(Path(folder), method, options.images) + "\n", flush=True)


def report(folder: Path, method: str, count: int) -> str:
    source, run = folder / "archive", folder / "run"
    draw(source, range(count))
    command = ["score", str(source), str(run), "--prompt", MATERIAL, "--method", method, *OPTIONS.get(method, [])]
    runs = {"from nothing": measured(*command)}
    sizes = [path.stat().st_size for path in (run / "predictions").rglob("*.parquet")]
    inventory = sum(path.stat().st_size for path in (run / "inventory").iterdir())
    runs["nothing new"] = measured(*command)
    draw(source, range(count, count + LATER))
    runs[f"{LATER} images more"] = measured(*command)
    first = runs["from nothing"]
    begin, end = first.first_said(r"^predict: [1-9]"), first.first_said(rf"^predict: {count:,} of")
    held = [first.driver_at(begin + (end - begin) * quarter / 100) for quarter in QUARTERS]
    rows = [[name, f"{each.seconds:,.0f}", f"{each.peak / 1e9:.2f}"] for name, each in runs.items()]
    rate, stored = (count - 32) / (end - begin), sum(sizes) / count
    summary = (
        f"{method}: {rate:,.1f} images/s between the first and the last; bytes on disk an image: {stored:,.0f} in "
    )
    summary += f"{len(sizes):,} prediction files, {inventory / count:,.0f} in the inventory"
    memory = ["driver's MB while predicting, at", *(f"{quarter} %" for quarter in QUARTERS)]
    return "\n\n".join(
        [
            summary,
            markdown_table(["zsad score", "s", "GB of all processes, at most"], rows),
            markdown_table(memory, [[method, *(f"{each / 1e6:,.0f}" for each in held)]]),
        ]
    )


def draw(folder: Path, numbers: range) -> None:
    with multiprocessing.Pool() as pool:
        pool.starmap(_draw, ((folder, number) for number in numbers), chunksize=100)


def _draw(folder: Path, number: int) -> None:
    defects = MATERIALS[MATERIAL].defects
    pixels, _ = draw_sample(
        MATERIAL, defects[number % len(defects)] if number % 10 == 0 else None, number, SIDE, seed=1
    )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    path = folder / f"{number // 1000:04d}" / f"{number:07d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())


if __name__ == "__main__":
    main()
