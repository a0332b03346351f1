"""The reduction's speed, exactness and memory, against scikit-learn and ADEval on the same maps.

python -m perf.reduction [--maps 200] [--adeval PYTHON]    the metrics alone, maps in memory, three ways
python -m perf.reduction --stored 1000 10000 16042         `zsad reduce` on so many stored maps: rate and peak memory

ADEval 1.1.0 wants another numpy: --adeval names the interpreter of an environment with `adeval==1.1.0 "numpy<2"
opencv-python-headless`. Both print Markdown tables. Maps are 518 x 518.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from perf.command import measured
from pipelines.predictions import PREDICTION_SCHEMA, made_from, prediction_uri, write_predictions
from zsad_core.map_codec import encode, pack_mask
from zsad_core.metrics.pixel import MapCounts, PixelCounts, pixel_metrics

SIDE = 518
SHARD = 64
ADEVAL = """
import json, sys, time
import numpy as np
from adeval import EvalAccumulator
maps, masks = np.load(sys.argv[1]), np.load(sys.argv[2]).astype(np.uint8)
start = time.perf_counter()
accumulator = EvalAccumulator(0.0, 1.0, float(maps.min()), float(maps.max()))
for anomaly_map, mask in zip(maps, masks):
    accumulator.add_anomap(anomaly_map, mask)
found = accumulator._auroc(accumulator._pixel_acc), accumulator._aupr(accumulator._pixel_acc), accumulator._aupro()
print(json.dumps([time.perf_counter() - start, *found]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=200)
    parser.add_argument("--adeval", metavar="PYTHON")
    parser.add_argument("--stored", type=int, nargs="+", metavar="MAPS")
    options = parser.parse_args()
    if options.stored:
        _stored(options.stored)
    else:
        _in_memory(options.maps, options.adeval)


def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes uint16 and masks bool (count, SIDE, SIDE): smooth maps, 60 % of them with one to four blurred regions."""
    rng = np.random.default_rng(0)
    codes, masks = np.empty((count, SIDE, SIDE), np.uint16), np.zeros((count, SIDE, SIDE), bool)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for i in range(count):
        strength = np.zeros((SIDE, SIDE), np.float32)
        for _ in range(rng.integers(1, 5) if i % 5 < 3 else 0):
            row, column, high, wide = *rng.integers(20, SIDE - 20, 2), *rng.integers(5, 60, 2)
            inside = ((rows - row) / high) ** 2 + ((columns - column) / wide) ** 2 < 1
            masks[i] |= inside
            strength[inside] = rng.gamma(4, 0.6)
        texture = ndimage.zoom(rng.normal(size=(37, 37)).astype(np.float32), SIDE / 37, order=1)
        level = ndimage.gaussian_filter(0.6 * texture + strength, 8) + 0.4 * rng.normal() - 1.5
        codes[i] = np.rint(65535 / (1 + np.exp(-level)))
    return codes, masks


def _in_memory(count: int, adeval: str | None) -> None:
    codes, masks = draw(count)
    maps = (codes / 65535).astype(np.float32)
    rows = []

    start = time.perf_counter()
    ours = pixel_metrics(PixelCounts.of_maps(MapCounts.of(*pair) for pair in zip(codes, masks)))
    rows.append(("zsad", time.perf_counter() - start, ours["auroc"], ours["ap"], ours["aupro"]))

    start = time.perf_counter()
    auroc = roc_auc_score(masks.ravel(), codes.ravel())
    ap = average_precision_score(masks.ravel(), codes.ravel())
    aupro = aupro_by_sorting(codes, masks)
    rows.append(("scikit-learn, AUPRO by one sort", time.perf_counter() - start, auroc, ap, aupro))

    if adeval:
        with tempfile.TemporaryDirectory() as folder:
            for name, values in (("maps", maps), ("masks", masks)):
                np.save(f"{folder}/{name}.npy", values)
            call = [adeval, "-c", ADEVAL, f"{folder}/maps.npy", f"{folder}/masks.npy"]
            rows.append(("ADEval 1.1.0", *json.loads(subprocess.run(call, check=True, capture_output=True).stdout)))

    print(f"{count} maps of {SIDE} x {SIDE} in memory, one process, {os.cpu_count()} cores\n")
    print("| | seconds | maps/s | time against zsad | AUROC | AP | AUPRO |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, seconds, *metrics in rows:
        shown = " | ".join(f"{value:.12f}" for value in metrics)
        print(f"| {name} | {seconds:.2f} | {count / seconds:,.1f} | {seconds / rows[0][1]:.1f} | {shown} |")


def aupro_by_sorting(codes: np.ndarray, masks: np.ndarray) -> float:
    """AUPRO of codes and masks (N, H, W) by one sort of all pixels, as one would write it without counts."""
    weights, regions = np.zeros(codes.shape), 0
    for i, mask in enumerate(masks):
        labels, found = ndimage.label(mask, np.ones((3, 3)))
        area = np.bincount(labels.ravel())
        weights[i][mask] = 1 / area[labels[mask]]
        regions += found
    order = np.argsort(codes.ravel())[::-1]
    ends = np.append(np.flatnonzero(np.diff(codes.ravel()[order].astype(np.int32))), codes.size - 1)
    fpr = np.append(0, np.cumsum(~masks.ravel()[order])[ends] / np.count_nonzero(~masks))
    pro = np.append(0, np.cumsum(weights.ravel()[order])[ends] / regions)
    last = np.searchsorted(fpr, 0.3, side="right")
    end = np.interp(0.3, fpr[last - 1 : last + 1], pro[last - 1 : last + 1])
    return float(np.trapezoid(np.append(pro[:last], end), np.append(fpr[:last], 0.3)) / 0.3)


def _stored(sizes: list[int]) -> None:
    drawn = list(zip(*draw(4 * SHARD)))
    print(f"`zsad reduce` on stored maps of {SIDE} x {SIDE}, {os.cpu_count()} cores; Ray's start is in the seconds\n")
    print(
        "| maps | GB read | seconds in all | maps/s | again | peak memory, all processes |\n"
        "|---:|---:|---:|---:|---:|---:|"
    )
    for size in sizes:
        folder = Path(tempfile.mkdtemp(prefix="zsad-reduction-"))
        try:
            _write_run(folder, drawn, size)
            stored = sum(path.stat().st_size for path in folder.rglob("predictions/**/*.parquet"))
            first, again = measured("reduce", str(folder)), measured("reduce", str(folder))
            print(
                f"| {size:,} | {stored / 1e9:.2f} | {first.seconds:.0f} | {size / first.seconds:,.0f} "
                f"| {again.seconds:.0f} s | {first.peak / 1e9:.2f} GB |",
                flush=True,
            )
        finally:
            shutil.rmtree(folder)


def _write_run(folder: Path, drawn: list[tuple[np.ndarray, np.ndarray]], size: int) -> None:
    """A run of one benchmark whose maps are the drawn ones, each shifted by an own distance."""
    rng = np.random.default_rng(1)
    settings = {"method": "drawn", "backbone": "none", "image_size": SIDE, "samples": 1, "seed": 0, "precision": "fp32"}
    settings |= {"checkpoints": {"VisA": {"file": "none", "sha256": None}}}
    files: list[dict] = []
    for numbers in (range(start, min(start + SHARD, size)) for start in range(0, size, SHARD)):
        name = f"test-{len(files):05d}-of-{-(-size // SHARD):05d}.parquet"
        rows = []
        for number in numbers:
            codes, mask = drawn[number % len(drawn)]
            shift = tuple(rng.integers(0, SIDE, 2))
            label = int(mask.any())
            text, highest = rng.uniform(0.2, 0.6, 2) + 0.2 * label
            rows.append(
                {"key": f"{number:06d}", "category": f"category {number * 5 // size}", "prompt": "part", "label": label}
                | {"defect": f"kind {number % 3}" if label else "good", "sha256": f"{number:064x}"}
                | {"score_text": text, "score_map": highest, "score": (text + highest) / 2}
                | {"anomaly_map": encode(np.roll(codes, shift, (0, 1))), "map_height": SIDE, "map_width": SIDE}
                | {"mask": pack_mask(np.roll(mask, shift, (0, 1)))}
            )
        table = pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)
        write_predictions(prediction_uri(str(folder), "drawn", name), table, made_from(settings, name))
        files.append({"name": name, "rows": len(rows), "sha256": name})
    declared = {"prompt": "part", "small_defect": False, "expected_normal": None, "expected_anomalous": None}
    benchmark: dict[str, Any] = {"levels": ["image", "pixel"], "domain": "own", "auxiliary": None, "files": files}
    benchmark["categories"] = {f"category {number}": declared for number in range(5)}
    run = {"settings": settings, "benchmarks": {"drawn": benchmark}, "versions": {}, "command": []}
    (folder / "run.json").write_text(json.dumps(run))


if __name__ == "__main__":
    main()
