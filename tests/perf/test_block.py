"""The parts of a block do what they are said to do, and their table says how fast."""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from perf.block import QUERIES, SQUARE, measured, parts, table
from tests.needs import needs_flop_counter


class HereAndNow:
    """In place of the threads, in which nobody counts."""

    map = staticmethod(map)


@needs_flop_counter
@torch.inference_mode()
def test_flop_are_those_that_are_done():
    for do, flop in parts(2, QUERIES + 1, HereAndNow()).values():
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            do()
        assert counter.get_total_flops() == flop


def test_table():
    done = []
    work = {
        SQUARE: (lambda: done.append("square"), 4000),
        "half": (lambda: done.append("half"), 1000),
        "moves": (int, 0),
    }
    assert measured(work, repeats=2).keys() == work.keys()
    assert done == ["square", "half"] * 3
    rows = table({SQUARE: 2e-6, "half": 1e-6, "moves": 0.5}, work).splitlines()
    assert rows[0] == "| one block, float32 | ms | GFLOP | of 2.0 GFLOP/s |"
    assert [row.split(" | ")[-1] for row in rows[2:]] == ["100% |", "50% |", "– |"]
    assert rows[-1].startswith("| moves | 500.0 | 0.0 |")
