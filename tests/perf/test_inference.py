"""The measuring script: its stages against the methods, its formulas of the work needed against torch's own count."""

import dataclasses

import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from perf.inference import ALL, PROMPT, batch_table, measure, stage_table
from perf.stages import NEEDED_FLOP, STAGES
from tests.needs import needs_flop_counter
from zsad_core.anomaly_map import upsampled_probability
from zsad_core.methods.bayes_pfl.model import LAYERS
from zsad_core.scoring import Scorer

pytestmark = pytest.mark.usefixtures("torch_restored")
METHODS = pytest.mark.parametrize("method", STAGES)


def scorer_of(settings, method, **changes):
    return Scorer(dataclasses.replace(settings, method=method, checkpoint="random", **changes).on(gpu=False))


def counted(stages):
    """(FLOP done by stage, what the stages give)"""
    done = {}
    while True:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            try:
                stage = next(stages)
            except StopIteration as end:
                return done, end.value
        done[stage] = counter.get_total_flops()


def of_upsampling(model, maps):
    grid = model.backbone.grid
    with FlopCounterMode(display=False) as counter:
        upsampled_probability(torch.zeros(1, maps, grid, grid), model.image_size)
    return counter.get_total_flops()


def of_flows(model, noise):
    with FlopCounterMode(display=False) as counter:
        model.sample_flows(torch.zeros(1, model.backbone.embed_dim), noise)
    return counter.get_total_flops()


def left_out(method, model, noise):
    """FLOP by stage that are done and that the formulas do not count."""
    if method == "bayes-pfl":
        pairs = model.samples * len(model.bank.context)
        return {"text tower": of_flows(model, noise), "map": LAYERS * of_upsampling(model, pairs)}
    return {"map, image score": of_upsampling(model, 1)} if method == "clip-ensemble" else {}


@needs_flop_counter
@METHODS
@torch.inference_mode()
def test_stages_give_what_the_method_gives_and_do_what_is_needed_and_no_more(settings, method):
    scorer = scorer_of(settings, method, samples=3)
    model, noise = scorer.method, scorer.method.draw_noise(0, ["0"])
    image = torch.randn(1, 3, 98, 98, generator=torch.Generator().manual_seed(0))
    given = image, [PROMPT], noise, scorer.default_options
    expected = model(*given)  # from here on clip-ensemble has the texts of this name
    done, prediction = counted(STAGES[method](model, *given))
    for values, others in zip(prediction[:2], expected[:2]):
        assert_allclose(values, others, rtol=0, atol=1e-6)
    beyond, needed = left_out(method, model, noise), NEEDED_FLOP[method](model, PROMPT)
    assert {stage: flop - beyond.get(stage, 0) for stage, flop in done.items() if flop} == needed


@METHODS
def test_tables(settings, method):
    curve = [measure(scorer_of(settings, method, batch_size=size), repeats=1) for size in (1, 3)]
    table = stage_table(curve[1])
    assert table.startswith(f"{method}, ") and "98 px, R = 2, fp32, batch 3; matrix rate " in table
    first, second, *_, last = (line.split(" | ") for line in table.splitlines()[4:])
    assert first[0] == "| pixels in, noise" and second[0].startswith("| image tower") and last[0] == f"| {ALL}"
    assert curve[1].flop.keys() < curve[1].seconds.keys()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in batch_table(curve).splitlines()]
    assert [row[0] for row in rows] == ["batch, fp32", "---", "1", "3"]
    assert [float(row[1].replace(",", "")) for row in rows[2:]] == pytest.approx(
        [size / each.seconds[ALL] for size, each in zip((1, 3), curve)], abs=0.01
    )
