"""How a report's page behaves with many images, and what its pictures cost: python -m perf.report [--images N]

Sheets of drawn images, made once on one core and linked for every prediction file, so that the page loads as many files
as it would of a real run; scores are random, so the most suspicious images lie in all of them. Needs playwright and a
Chromium. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from playwright.sync_api import Page, sync_playwright
from scipy.ndimage import zoom

from perf.inference import machine
from perf.pipeline import drawn
from pipelines.originals import Origin
from pipelines.predictions import PREDICTION_SCHEMA, PredictionFile, write_predictions
from pipelines.report import sprites
from pipelines.report.cuts import SOURCES, starting_cuts
from pipelines.report.index import index_script, report_index
from pipelines.report.page import report_page
from pipelines.texts import markdown_table
from zsad_core.map_codec import encode, quantise

A_FILE = 64
SIZE = 144
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FIRST_PICTURE = """window.pictures = []; document.addEventListener("load",
    (event) => event.target.tagName === "IMG" && window.pictures.push(performance.now()), true);"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000, metavar="N")
    options = parser.parse_args()
    print(f"{machine('cpu')}\n")
    with tempfile.TemporaryDirectory() as folder:
        print(report(folder, options.images))


def report(folder: str, images: int) -> str:
    """Both tables, of a report with so many images that is made in `folder`."""
    unit, seconds = one_file(folder)
    names = make_report(folder, unit, images)
    sheets = sum(os.path.getsize(file) for file in Path(folder, "sprites", "0").glob("*.webp"))
    kinds = {name: os.path.getsize(os.path.join(folder, name)) for name in ("index.js", "report.html")}
    rows = [
        ["pictures a second, one core (512 px images, 518 px maps)", f"{A_FILE / seconds:.1f}"],
        ["sprites, KB an image (itself and its map over it)", f"{sheets / A_FILE / 1e3:.2f}"],
        [f"index.js, MB for {images:,} images in {names:,} files", f"{kinds['index.js'] / 1e6:.2f}"],
        ["index.js, bytes an image", f"{kinds['index.js'] / images:.1f}"],
        ["report.html, KB", f"{kinds['report.html'] / 1e3:.0f}"],
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        seen = in_browser(browser, Path(folder, "report.html").resolve().as_uri())
        browser.close()
    return markdown_table(["made", ""], rows) + "\n\n" + markdown_table(["in the browser", ""], seen)


def one_file(folder: str) -> tuple[dict, float]:
    """The unit of a prediction file after its sprites were made, in the folder's `sprites/0`, and the seconds it
    took."""
    rng = np.random.default_rng(0)
    rows, contents = [], {}
    for number, (image, mask) in enumerate(drawn(A_FILE, 512)):
        file = io.BytesIO()
        image.save(file, format="JPEG", quality=90)
        key = f"{number:03d}.jpg"
        contents[key] = file.getvalue()
        smooth = zoom(rng.uniform(0, 0.7, (38, 38)), 518 / 38, order=1)
        rows.append(
            {
                "key": key,
                "category": "part",
                "label": int(mask is not None),
                "sha256": hashlib.sha256(contents[key]).hexdigest(),
                "score": float(rng.beta(2, 5)),
                "anomaly_map": encode(quantise(smooth)),
                "map_height": 518,
                "map_width": 518,
            }
        )
    uri = os.path.join(folder, "predictions.parquet")
    write_predictions(uri, pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA), "measured")
    sprites.original_images = lambda *_: contents  # decoded as ever, but not read from shards
    unit: dict[str, Any] = {
        "name": uri,
        "file": PredictionFile("line", "0", uri),
        "origin": Origin(),
        "file_number": 0,
        "rows": None,
    }
    unit |= {"out": os.path.join(folder, "made"), "size": SIZE, "scale": [0.0, 0.7]}
    start = time.perf_counter()
    made = sprites.make_sprites(unit)
    seconds = time.perf_counter() - start
    os.makedirs(os.path.join(folder, "sprites"))
    shutil.move(os.path.join(folder, "made", "benchmark=line"), os.path.join(folder, "sprites", "0"))
    return made, seconds


def make_report(folder: str, unit: dict, images: int) -> int:
    """Writes the page with `images` rows; returns over how many files they are spread."""
    rng = np.random.default_rng(1)
    files = -(-images // A_FILE)
    first = os.path.join(folder, "sprites", "0")
    for number in range(1, files):
        os.makedirs(os.path.join(folder, "sprites", str(number)))
        for name in os.listdir(first):
            os.link(os.path.join(first, name), os.path.join(folder, "sprites", str(number), name))
    label = rng.choice([0.0, 1.0, np.nan], images, p=[0.6, 0.1, 0.3])
    rows = pd.DataFrame({"key": [f"line-{n % 3}/2026-05-{n % 28 + 1:02d}/cam2/img_{n:06d}.jpg" for n in range(images)]})
    rows["score"] = rng.beta(2, 5, images) + 0.2 * (label == 1)
    rows["score_std"] = rng.uniform(0, 0.1, images)
    rows["category"], rows["benchmark"] = [f"line-{n % 3}" for n in range(images)], "line"
    rows = rows.assign(label=label, defect="unknown", error=None, file=np.arange(images) // A_FILE).sort_values("key")
    rows = rows.assign(file=np.arange(images) // A_FILE).reset_index(drop=True)
    places = pd.DataFrame(unit["places"]).set_index("row").loc[rows.groupby("file").cumcount()]
    index = {
        "run": "made-up",
        "other": None,
        "method": "bayes-pfl",
        "size": SIZE,
        "sheet": [sprites.COLUMNS, sprites.ROWS],
        "scale": [0.0, 0.7],
        "sources": SOURCES,
        "names": [f"sprites/{number}/0" for number in range(files)],
    }
    cuts = starting_cuts(folder, {}, rows)
    script = index_script(index | report_index(rows, cuts, places.reset_index(drop=True)))
    Path(folder, "index.js").write_bytes(script)
    Path(folder, "report.html").write_text(report_page(script))
    return files


def in_browser(browser: Any, address: str) -> list[list[str]]:
    """Rows of the table: milliseconds to the first picture and of a filter, megabytes of the renderer."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(FIRST_PICTURE)
    page.goto(address)
    page.wait_for_function("window.pictures.length >= 12")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    first, all_seen = page.evaluate("[window.pictures[2], window.pictures.at(-1)]")  # the legend's two are before
    rows = [
        ["first picture, ms after the start", f"{first:.0f}"],
        ["all pictures on the screen and near it, ms", f"{all_seen:.0f}"],
        ["tiles in the document", page.locator(".tile").count()],
    ]
    memory = [_memory(page)]
    for name, change in {
        "filter by text in the key": '{search: "cam2/img_0012"}',
        "filter back": '{search: ""}',
        "filter by category": "{group: groupCode(1)}",
        "misses": '{group: "", kind: "misses"}',
        "sort by deviation, the first time": '{kind: "all", sort: "uncertainty"}',
        "sort by score": '{sort: "score"}',
    }.items():
        took = page.evaluate(f"(() => {{ const t = performance.now(); change({change}); document.body.offsetHeight; "
                             "return performance.now() - t; })()")  # fmt: skip
        rows.append([f"{name}, ms", f"{took:.0f}"])
    frames = page.evaluate(
        """new Promise((done) => { const times = []; let last = performance.now();
        const step = () => { const now = performance.now(); times.push(now - last); last = now;
          scrollBy(0, 400); times.length < 150 ? requestAnimationFrame(step) : done(times); };
        requestAnimationFrame(step); })"""
    )
    rows.append(
        ["scrolling 400 px a frame: median, slowest frame of 150, ms", f"{np.median(frames):.0f}, {max(frames):.0f}"]
    )
    page.wait_for_timeout(1000)
    memory.append(_memory(page))
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    page.wait_for_timeout(1500)
    memory.append(_memory(page))
    for when, (heap, resident) in zip(("at the start", "after 60,000 px", "in the middle"), memory):
        rows.append([f"renderer {when}: JavaScript, resident, MB", f"{heap:.0f}, {resident:.0f}"])
    return [[name, str(value)] for name, value in rows]


def _memory(page: Page) -> tuple[float, float]:
    """Megabytes of JavaScript's heap, and resident in the largest renderer process."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    browser: Any = page.context.browser
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    resident = 0
    for process in processes:
        if process["type"] == "renderer":
            lines = Path(f"/proc/{process['id']}/status").read_text().splitlines()
            resident = max(resident, *(int(line.split()[1]) for line in lines if line.startswith("VmRSS")))
    return metrics["JSHeapUsedSize"] / 1e6, resident / 1e3


if __name__ == "__main__":
    main()
