"""How small and how fast stored anomaly maps are, on one core: python -m perf.storage [--maps N] [--size PIXELS]

Maps of the shipped model on drawn samples of every material, smoothed as they are stored, cut to --size. The codings
take turns, so that a machine whose speed wanders is fair to all; medians of several rounds. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice

import numpy as np
import pyarrow as pa
from PIL import Image

from perf.inference import machine
from perf.pipeline import drawn
from pipelines.predictions import PREDICTION_SCHEMA, read_predictions, write_predictions
from pipelines.texts import markdown_table
from zsad_core.benchmarks.drawn.catalogue import MATERIALS
from zsad_core.map_codec import decode, dequantise, encode
from zsad_core.methods import shipped_checkpoint
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings

ROUNDS = 5
SHARD = 64
Coding = tuple[Callable[[np.ndarray], bytes], Callable[[bytes], np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=SHARD, metavar="N")
    parser.add_argument("--size", type=int, default=518, metavar="PIXELS")
    options = parser.parse_args()
    codes = maps_of_shipped_model(options.maps, options.size)
    print(f"{machine('cpu')}, one core; {len(codes)} maps of the shipped model, {options.size} x {options.size}\n")
    print(report(codes) + "\n\n" + file_report(codes))


def maps_of_shipped_model(count: int, size: int) -> np.ndarray:
    """uint16 (count, size, size): every second drawn sample has a defect."""
    patch = 8  # of the shipped backbone
    checkpoint = shipped_checkpoint("bayes-pfl") or "random"
    scorer = Scorer(ScoringSettings(checkpoint=checkpoint, image_size=-(-size // patch) * patch))
    side = (scorer.image_size, scorer.image_size)
    names = list(islice(cycle(MATERIALS), count))
    pixels = np.stack([np.asarray(image.resize(side)) for image, _ in drawn(count, size)])
    scored = scorer.score(pixels, names, [f"{number:064x}" for number in range(count)], [False] * count)
    return np.ascontiguousarray(scored.codes[:, :size, :size])


def codings(shape: tuple[int, int]) -> dict[str, Coding]:
    """By name: codes to bytes and back, as the program does it and as others might."""
    zstd = pa.Codec("zstd", compression_level=3)

    def plain(blob: bytes, dtype: str) -> np.ndarray:
        return np.frombuffer(zstd.decompress(blob, decompressed_size=2 * shape[0] * shape[1]), dtype).reshape(shape)

    def first_differences(codes: np.ndarray) -> bytes:
        down = np.diff(codes, axis=0, prepend=np.uint16(0))
        return zstd.compress(np.diff(down, axis=1, prepend=np.uint16(0)), asbytes=True)

    def png(codes: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(codes).save(file, format="PNG")
        return file.getvalue()

    return {
        "zsad: second differences, bytes apart, zstd 1": (encode, lambda blob: decode(blob, *shape)),
        "first differences, zstd 3": (
            first_differences,
            lambda blob: plain(blob, "<u2").cumsum(0, dtype=np.uint16).cumsum(1, dtype=np.uint16),
        ),
        "codes, zstd 3": (lambda codes: zstd.compress(codes, asbytes=True), lambda blob: plain(blob, "<u2")),
        "float16, zstd 3 (rounds)": (
            lambda codes: zstd.compress(dequantise(codes).astype("<f2"), asbytes=True),
            lambda blob: plain(blob, "<f2"),
        ),
        "PNG of 16 bits": (png, lambda blob: np.asarray(Image.open(io.BytesIO(blob))).astype(np.uint16)),
    }


def report(codes: np.ndarray) -> str:
    """A Markdown table: a row a coding, kilobytes a map, maps a second written and read, whether it loses nothing."""
    coded = codings(codes.shape[1:])
    writes, reads, sizes = ({name: list[float]() for name in coded} for _ in range(3))
    exact: dict[str, bool] = {}
    for _ in range(ROUNDS):
        for name, (to_bytes, from_bytes) in coded.items():
            seconds, blobs = _timed(to_bytes, list(codes))
            writes[name].append(len(codes) / seconds)
            seconds, back = _timed(from_bytes, blobs)
            reads[name].append(len(codes) / seconds)
            sizes[name] = [len(blob) / 1e3 for blob in blobs]
            exact[name] = all(np.array_equal(*pair) for pair in zip(back, codes))
    rows = [
        [
            name,
            f"{statistics.mean(sizes[name]):.1f}",
            f"{max(sizes[name]):.1f}",
            f"{statistics.median(writes[name]):,.0f}",
            f"{statistics.median(reads[name]):,.0f}",
            "yes" if exact[name] else "no",
        ]
        for name in coded
    ]
    return markdown_table(["coding", "KB a map", "largest", "written, maps/s", "read, maps/s", "exact"], rows)


def file_report(codes: np.ndarray) -> str:
    """The same for whole prediction files of SHARD rows, to a disk and back."""
    rows = [
        {"key": str(number), "category": "part", "prompt": "part", "label": 0, "score": 0.5, "anomaly_map": each}
        for number, each in enumerate(codes[:SHARD])
    ]

    def written(uri: str) -> None:
        coded = [row | {"anomaly_map": encode(row["anomaly_map"])} for row in rows]
        write_predictions(uri, pa.Table.from_pylist(coded, schema=PREDICTION_SCHEMA), origin="measured")

    def read(uri: str) -> list[np.ndarray]:
        return [decode(blob.as_py(), *codes.shape[1:]) for blob in read_predictions(uri)["anomaly_map"]]

    with tempfile.TemporaryDirectory() as folder:
        uri = os.path.join(folder, "predictions.parquet")
        rates = [[len(rows) / _timed(step, [uri])[0] for step in (written, read)] for _ in range(ROUNDS)]
        megabytes = os.path.getsize(uri) / 1e6
    write, back = (statistics.median(each) for each in zip(*rates))
    return markdown_table(
        ["file", "MB", "coded and written, maps/s", "read and decoded, maps/s"],
        [[f"predictions of {len(rows)} images", f"{megabytes:.2f}", f"{write:,.0f}", f"{back:,.0f}"]],
    )


def _timed(work: Callable, arguments: list) -> tuple[float, list]:
    start = time.perf_counter()
    results = [work(each) for each in arguments]
    return time.perf_counter() - start, results


if __name__ == "__main__":
    main()
