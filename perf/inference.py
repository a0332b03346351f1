"""How fast one model scores images, by stage, against the matrix rate of the same machine in the same process.

python -m perf.inference [--method NAME] [--backbone ViT-L-14-336:random] [--precision fp32 bf16] [--batch-size N ...]
python -m perf.inference --device cuda --precision bf16 fp32 --compile off on --batch-size 1 2 4 8 16 32 64

Random pixels and weights: neither changes the time. Each repetition measures the matrix rate (a product of two square
matrices in the precision at hand), then the stages one after another, so that a machine whose speed wanders is fair to
both; medians over the repetitions. FLOP are those that the result needs, by formula (see perf.stages): what is
computed beyond that counts as time alone. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from perf.stages import NEEDED_FLOP, STAGES
from pipelines.texts import markdown_table
from zsad_core.pixels import normalised
from zsad_core.scoring import LOW_PRECISION, Scorer
from zsad_core.settings import PlacedSettings, ScoringSettings

PROMPT = "bottle"
SIDE = {"cpu": 4096, "cuda": 8192}  # of the matrices
BATCHES = {"cpu": 1, "cuda": 16}  # that Scorer.score is given: one is prepared while a GPU is at the one before
ALL = "all, as Scorer.score"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=list(STAGES), default="bayes-pfl")
    parser.add_argument("--backbone", default="ViT-L-14-336:random", metavar="NAME|FILE")
    parser.add_argument("--image-size", type=int, metavar="PIXELS")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--batch-size", type=int, nargs="+", metavar="N", help="default: what the program takes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", nargs="+", choices=["off", "on"], default=["off"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{machine(options.device)}, {options.threads} threads, torch {torch.__version__}\n")
    for precision, compiled in itertools.product(options.precision, options.compile):
        settings = ScoringSettings(
            method=options.method,
            backbone=options.backbone,
            image_size=options.image_size,
            samples=options.samples,
            precision=precision,
            threads=options.threads,
            compile=compiled == "on",
            device=options.device,
        )
        scorer, curve = Scorer(settings), []
        for batch_size in options.batch_size or [scorer.settings.batch_size]:
            scorer.settings = dataclasses.replace(scorer.settings, batch_size=batch_size)
            curve.append(measure(scorer, options.repeats))
            print(stage_table(curve[-1]), flush=True)
        if len(curve) > 1:
            print(batch_table(curve), flush=True)


class Measured(NamedTuple):
    """settings as scored; image_size; FLOP/s of the repetitions' matrix products; medians: seconds of each stage on one
    batch, the last being all of Scorer.score, its part of BATCHES; flop: what an image needs by stage; memory: peak
    bytes."""

    settings: PlacedSettings
    image_size: int
    rates: list[float]
    seconds: dict[str, float]
    flop: dict[str, int]
    memory: int

    @property
    def images_per_second(self) -> float:
        return self.settings.batch_size / self.seconds[ALL]


def measure(scorer: Scorer, repeats: int) -> Measured:
    settings, model = scorer.settings, scorer.method
    count, batches = settings.batch_size, BATCHES[settings.device]
    if settings.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    shape = (batches * count, model.image_size, model.image_size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    names = [f"{number:064x}" for number in range(len(pixels))]

    def score() -> None:
        scorer.score(pixels, [PROMPT] * len(pixels), names, [False] * len(pixels))

    score()  # warms up
    rates, seconds = [], []
    for _ in range(repeats):
        rates.append(matrix_rate(settings.precision, settings.device))
        seconds.append(stage_seconds(scorer, pixels[:count], names[:count]))
        seconds[-1][ALL] = timed(score, settings.device) / batches
    flop = NEEDED_FLOP[settings.method](model, PROMPT)
    flop[ALL] = sum(flop.values())
    medians = {stage: statistics.median(each[stage] for each in seconds) for stage in seconds[0]}
    return Measured(settings, model.image_size, rates, medians, flop, peak_memory(settings.device))


def stage_table(measured: Measured) -> str:
    """A Markdown table: a row a stage, seconds and FLOP an image, fraction of the matrix rate."""
    settings, rate = measured.settings, statistics.median(measured.rates)
    head = (
        f"{settings.method}, {settings.backbone}, {measured.image_size} px, R = {settings.samples}, "
        f"{_precision(settings)}, batch {settings.batch_size}; matrix rate {rate / 1e9:,.1f} GFLOP/s "
        f"({min(measured.rates) / 1e9:,.1f} to {max(measured.rates) / 1e9:,.1f}); "
        f"peak memory {measured.memory / 1e9:.2f} GB\n\n"
    )
    rows = []
    for stage, seconds in measured.seconds.items():
        each, needed = seconds / settings.batch_size, measured.flop.get(stage, 0)
        part = f"{needed / each / rate:.1%}" if needed else "–"
        rows.append([stage, f"{each:.4f}", f"{1 / each:,.2f}", f"{needed / 1e9:,.1f}", part])
    return head + markdown_table(["stage", "s/image", "images/s", "GFLOP needed", "of the matrix rate"], rows) + "\n"


def batch_table(curve: list[Measured]) -> str:
    """A Markdown table: a row a batch size, images/s, fraction of the matrix rate, peak memory."""
    rows = []
    for measured in curve:
        part = measured.flop[ALL] * measured.images_per_second / statistics.median(measured.rates)
        cells = [f"{measured.images_per_second:,.2f}", f"{part:.1%}", f"{measured.memory / 1e9:.2f}"]
        rows.append([f"{measured.settings.batch_size}", *cells])
    head = [f"batch, {_precision(curve[0].settings)}", "images/s", "of the matrix rate", "peak memory, GB"]
    return markdown_table(head, rows) + "\n"


def _precision(settings: PlacedSettings) -> str:
    return settings.precision + ", compiled" * settings.compile


def stage_seconds(scorer: Scorer, pixels: np.ndarray, names: list[str]) -> dict[str, float]:
    """Seconds of each stage on one batch, in the order and the precision in which a method does them."""
    seconds = {}
    with torch.inference_mode(), scorer.computing():
        begun = now(scorer.settings.device)
        for stage in stages(scorer, pixels, names):
            ended = now(scorer.settings.device)
            seconds[stage], begun = ended - begun, ended
    return seconds


def stages(scorer: Scorer, pixels: np.ndarray, names: list[str]) -> Iterator[str]:
    """Scores a batch and says after each stage which it was."""
    settings, model = scorer.settings, scorer.method
    images, noise = normalised(pixels, settings.device), model.draw_noise(settings.seed, names)
    yield "pixels in, noise"
    prompts = [PROMPT] * len(pixels)
    prediction = yield from STAGES[settings.method](model, images, prompts, noise, scorer.default_options)
    scorer.finish(prediction, [False] * len(pixels))
    yield "smoothing, highest pixels, codes"


def matrix_rate(precision: str, device: str) -> float:
    """FLOP/s of a product of two square matrices, the best of three."""
    side = SIDE[device]
    one, other = (torch.randn(side, side, device=device).to(LOW_PRECISION.get(precision, torch.float32)) for _ in "ab")
    return 2 * side**3 / min(timed(lambda: one @ other, device) for _ in range(3))


def timed(work: Callable[[], object], device: str) -> float:
    begun = now(device)
    work()
    return now(device) - begun


def now(device: str) -> float:
    """Seconds on a clock, when the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory(device: str) -> int:
    """Bytes: the GPU's, or this process's."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
