"""Where the time of one block of ViT-L/14's image tower goes on a CPU: its parts alone, against the matrix rate.

python -m perf.block [--threads N] [--repeats 7]

Random values in float32. Every repetition does each part once, so that a machine whose speed wanders is fair to them;
medians over the repetitions. The last row is attention without a softmax, each core at a head of its own: what is left
for the products of a library. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F

from perf.inference import SIDE, machine, timed
from pipelines.texts import markdown_table
from zsad_core.scoring import keep_freed_memory
from zsad_core.settings import USEFUL_BATCH

WIDTH, HEADS, TOKENS = 1024, 16, 37**2 + 1  # at 518 px
QUERIES = 128  # of a head at once: then what they give stays in the cache
SQUARE = "product of two square matrices"

Part = tuple[Callable[[], object], int]  # what is done, and its FLOP in matrix products


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    print(f"{machine('cpu')}, {options.threads} threads, torch {torch.__version__}\n")
    with ThreadPoolExecutor(options.threads, initializer=torch.set_num_threads, initargs=(1,)) as cores:
        work = parts(USEFUL_BATCH["cpu"], TOKENS, cores)
        print(table(measured(work, options.repeats), work))


def parts(images: int, tokens: int, cores: ThreadPoolExecutor) -> dict[str, Part]:
    side = SIDE["cpu"]
    one, other = torch.randn(2, side, side)
    x, wide = torch.randn(images, tokens, WIDTH), torch.randn(images, tokens, 4 * WIDTH)
    as_projected = torch.randn(images, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
    queries, keys, values = (each.contiguous() for each in as_projected)
    columns = keys.transpose(2, 3).contiguous()

    def linear(of: torch.Tensor, width: int) -> Part:
        matrix, bias = torch.randn(width, of.shape[-1]), torch.randn(width)
        return lambda: F.linear(of, matrix, bias), 2 * of.numel() * width

    def products(place: tuple[int, int]) -> None:
        for some in queries[place].split(QUERIES):
            some @ columns[place] @ values[place]

    heads = [(image, head) for image in range(images) for head in range(HEADS)]
    attention = 4 * images * tokens**2 * WIDTH
    return {
        SQUARE: (lambda: one @ other, 2 * side**3),
        "queries, keys and values": linear(x, 3 * WIDTH),
        "a head's rows behind one another": (lambda: [each.contiguous() for each in as_projected], 0),
        "attention": (lambda: F.scaled_dot_product_attention(queries, keys, values), attention),
        "projection of the heads": linear(x, WIDTH),
        "feed-forward, up": linear(x, 4 * WIDTH),
        "GELU": (lambda: F.gelu(wide), 0),
        "feed-forward, down": linear(wide, WIDTH),
        "two normalisations": (lambda: [F.layer_norm(x, (WIDTH,)) for _ in "ab"], 0),
        "two residuals": (lambda: [x + x for _ in "ab"], 0),
        "attention without a softmax": (lambda: list(cores.map(products, heads)), attention),
    }


def measured(work: dict[str, Part], repeats: int) -> dict[str, float]:
    """Seconds of each part, the median."""
    for do, _ in work.values():
        do()  # warms up
    seconds = [{name: timed(do, "cpu") for name, (do, _) in work.items()} for _ in range(repeats)]
    return {name: statistics.median(each[name] for each in seconds) for name in work}


def table(seconds: dict[str, float], work: dict[str, Part]) -> str:
    rate = work[SQUARE][1] / seconds[SQUARE]
    rows = []
    for name, (_, flop) in work.items():
        part = f"{flop / seconds[name] / rate:.0%}" if flop else "–"
        rows.append([name, f"{1000 * seconds[name]:.1f}", f"{flop / 1e9:,.1f}", part])
    return markdown_table(["one block, float32", "ms", "GFLOP", f"of {rate / 1e9:,.1f} GFLOP/s"], rows)


if __name__ == "__main__":
    main()
