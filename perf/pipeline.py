"""What the way through Ray costs: the pipeline against the model alone, what feeding it takes, and growth.

python -m perf.pipeline decoding [--images FOLDER ...]     decode and resize, images/s a core, and cores for one GPU
python -m perf.pipeline throughput [--backbone NAME] ...   `zsad evaluate` against the same model without a pipeline
python -m perf.pipeline growth [COUNT ...]                 `zsad evaluate` of ever more images: images/s, memory

Images are drawn. Rates of a command are taken from the times at which its prediction files were written, without the
first third, in which the models load: they are what a long run has. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perf.command import measured
from perf.inference import machine
from pipelines.texts import markdown_table
from zsad_core.benchmarks.drawn import draw_sample
from zsad_core.benchmarks.drawn.catalogue import MATERIALS
from zsad_core.images import decode_image
from zsad_core.settings import ScoringSettings
from zsad_core.tiling import Tiling, tile_pixels

GPU_RATE = 350  # images/s of ViT-L/14 at 518 px in bf16 that one H200 is to reach
ROUNDS = 5
GROWTH_SHARD = 16  # images: so that a hundred are enough shards to take a rate from
SIDES = (1024, 3000)  # of drawn images on disk
DISTINCT = 40  # drawn images; of more than that each stands several times, with other bytes behind its end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    decoding = parts.add_parser("decoding")
    decoding.add_argument("--images", nargs="*", default=[], metavar="FOLDER", help="of real ones, beside the drawn")
    decoding.add_argument("--image-size", type=int, default=518)
    decoding.set_defaults(report=lambda options: decoding_report(options.images, options.image_size))
    throughput = parts.add_parser("throughput")
    throughput.add_argument("--backbone", default="ViT-B-16:random", metavar="NAME|FILE")
    throughput.add_argument("--image-size", type=int, metavar="PIXELS")
    throughput.add_argument("--precision", default="fp32")
    throughput.add_argument("--compile", action="store_true")
    throughput.add_argument("--count", type=int, default=128, help="images (default: %(default)s)")
    throughput.add_argument("--shard-size", type=int, default=4, help="images (default: %(default)s)")
    throughput.add_argument("--models", type=int, default=os.cpu_count(), help="at once (default: one a core)")
    throughput.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    throughput.add_argument("--side", type=int, default=1024, help="of the images on disk (default: %(default)s)")
    throughput.set_defaults(report=throughput_report)
    growth = parts.add_parser("growth")
    growth.add_argument("counts", type=int, nargs="*", default=[100, 1000, 10_000], metavar="COUNT")
    growth.set_defaults(report=lambda options: growth_report(options.counts))
    options = parser.parse_args()
    print(f"{machine('cpu')}, {os.cpu_count()} cores\n", flush=True)
    print(options.report(options))


def drawn(count: int, side: int) -> Iterator[tuple[Image.Image, Image.Image | None]]:
    """`count` images of the area of a square of `side`, of all materials; every second one has a defect and a mask."""
    for number, (name, material) in enumerate(islice(cycle(MATERIALS.items()), count)):
        defect = material.defects[number % len(material.defects)] if number % 2 else None
        pixels, mask = draw_sample(name, defect, number, side, seed=4)
        yield Image.fromarray(pixels), Image.fromarray(mask) if defect else None


def decoding_report(folders: list[str], size: int) -> str:
    """A row a kind of image: megapixels and bytes, decoded and resized a second by one core, cores for one GPU."""
    kinds = {
        f"drawn, {side} px, {kind}": [_encoded(image, kind) for image, _ in drawn(8, side)]
        for side in SIDES
        for kind in ("PNG", "JPEG")
    }
    for folder in folders:
        files = [path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in (".png", ".jpg", ".jpeg")]
        kinds[folder.rstrip("/").rsplit("/", 1)[-1]] = [path.read_bytes() for path in files[:40]]
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, contents in kinds.items():
            start = time.perf_counter()
            for content in contents:
                tile_pixels(decode_image(content), Tiling.whole(size), size)
            rates[name].append(len(contents) / (time.perf_counter() - start))
    rows = []
    for name, contents in kinds.items():
        pixels = statistics.mean(float(np.prod(Image.open(io.BytesIO(content)).size)) for content in contents)
        rate = statistics.median(rates[name])
        cells = [f"{pixels / 1e6:.2f}", f"{statistics.mean(map(len, contents)) / 1e6:.2f}", f"{rate:,.0f}"]
        rows.append([name, *cells, f"{GPU_RATE / rate:.1f}"])
    head = ["images", "megapixels", "MB", f"to {size} px, images/s a core", f"cores for {GPU_RATE} images/s"]
    return markdown_table(head, rows)


def _encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, quality=92)
    return file.getvalue()


def throughput_report(options: argparse.Namespace) -> str:
    """The model alone, `zsad evaluate` with as many models, on the CPU the model alone again: cores vary, GPUs do
    not."""
    call = ["--backbone", options.backbone, "--checkpoint", "random", "--precision", options.precision]
    call += ["--image-size", str(options.image_size)] if options.image_size else []
    call += ["--compile"] if options.compile else []
    settings = ScoringSettings(
        backbone=options.backbone,
        image_size=options.image_size,
        precision=options.precision,
        compile=options.compile,
        device=options.device,
    )
    alone_models = options.models if options.device == "cpu" else 1
    alone_images = max(16, options.count // 2) // alone_models
    with tempfile.TemporaryDirectory(prefix="zsad-pipeline-") as folder:
        shards = packed(folder, options.count, options.side, options.shard_size)
        rates = [rate_alone(settings, alone_models, alone_images)]
        run = os.path.join(folder, "run")
        call += ["--actors", str(options.models), "--device", options.device]
        whole = measured("evaluate", shards, run, *call)
        if options.device == "cpu":
            rates.append(rate_alone(settings, alone_models, alone_images))
        steady = steady_rate(run, options.shard_size, options.models)
    alone = statistics.mean(rates)
    rows = [
        [
            f"the model alone, {alone_models} process(es)",
            f"{alone:.2f} ({', '.join(f'{rate:.2f}' for rate in rates)})",
            "100.0 %",
        ],
        ["through the pipeline, once loaded", f"{steady:.2f}", f"{steady / alone:.1%}".replace("%", " %")],
        [f"the whole command, {whole.seconds:.0f} s", f"{options.count / whole.seconds:.2f}", ""],
    ]
    head = f"{options.backbone}, {options.precision}, {options.count} PNG images of {options.side} px, "
    head += f"{options.models} models; peak memory of all processes {whole.peak / 1e9:.1f} GB\n\n"
    return head + markdown_table(["", "images/s", "of the model alone"], rows)


def rate_alone(settings: ScoringSettings, models: int, images: int) -> float:
    """Images/s of `models` processes together, each with the model and decoded images in its memory."""
    context = multiprocessing.get_context("spawn")
    barrier, seconds = context.Barrier(models), context.Queue()
    processes = [context.Process(target=_alone, args=(settings, images, barrier, seconds)) for _ in range(models)]
    for process in processes:
        process.start()
    rates = [images / seconds.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(rates)


def _alone(settings: ScoringSettings, images: int, barrier: Any, seconds: Any) -> None:
    from zsad_core.scoring import Scorer

    scorer = Scorer(settings)
    batch_size = scorer.settings.batch_size
    pixels = np.random.default_rng(0).integers(0, 256, (images, scorer.image_size, scorer.image_size, 3), np.uint8)
    names = [f"{number:064x}" for number in range(images)]
    scorer.score(pixels[:batch_size], ["bottle"] * batch_size, names[:batch_size], [False] * batch_size)
    barrier.wait()
    start = time.perf_counter()
    scorer.score(pixels, ["bottle"] * images, names, [False] * images)
    seconds.put(time.perf_counter() - start)
    barrier.wait()  # until both are done, neither has a core for itself


def growth_report(counts: list[int]) -> str:
    """`zsad evaluate` with the shipped model and the default settings, a row a number of images."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="zsad-growth-") as folder:
            shards, run = packed(folder, count, 224, GROWTH_SHARD), os.path.join(folder, "run")
            seconds, peak, private, *_ = measured("evaluate", shards, run)
            steady = steady_rate(run, GROWTH_SHARD, os.cpu_count() or 1)
        memory = [f"{each / 1e9:.2f}" for each in (private, peak)]
        rows.append([f"{count:,}", f"{steady:.1f}", f"{seconds:.0f}", f"{count / seconds:.1f}", *memory])
    head = ["images", "images/s, once loaded", "whole command, s", "images/s of it", "GB, all processes"]
    return markdown_table([*head, "with the object store"], rows)


def packed(folder: str, count: int, side: int, shard_size: int) -> str:
    """Draw and pack `count` images of one category, no two with the same bytes; the folder of the shards."""
    source, shards = os.path.join(folder, "source"), os.path.join(folder, "shards")
    samples = [
        (_encoded(image, "PNG"), _encoded(mask, "PNG") if mask else None)
        for image, mask in drawn(min(count, DISTINCT), side)
    ]
    for number, (image, mask) in enumerate(islice(cycle(samples), count)):
        kind = "mark" if mask else "good"
        _write(os.path.join(source, "part", "test", kind, f"{number}.png"), image + b"%d" % number)
        if mask:
            _write(os.path.join(source, "part", "ground_truth", kind, f"{number}_mask.png"), mask)
    measured("pack", "--layout", "mvtec", "--name", "drawn", "--shard-size", str(shard_size), source, shards)
    shutil.rmtree(source)
    return shards


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_bytes(content)


def steady_rate(run: str, shard_size: int, models: int) -> float:
    """Images/s between the first files, as many as there are models, or a third of all, and the last file."""
    written = sorted(path.stat().st_mtime for path in Path(run, "predictions").rglob("*.parquet"))
    before = max(models, len(written) // 3)
    return (len(written) - before) * shard_size / (written[-1] - written[before - 1])


if __name__ == "__main__":
    main()
