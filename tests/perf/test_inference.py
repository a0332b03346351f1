"""The measuring script's formula of the work needed, against torch's own count of what is done."""

import dataclasses

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from perf.inference import PROMPT, batch_table, measure, needed_flop, stage_table
from zsad_core.methods.bayes_pfl import build
from zsad_core.scoring import Scorer

pytestmark = pytest.mark.usefixtures("torch_restored")


def counted(work):
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        result = work()
    return result, counter.get_total_flops()


def test_the_towers_do_what_is_needed_and_no_more(bayes_pfl_golden):
    model = build(bayes_pfl_golden.backbone, bayes_pfl_golden.checkpoint, 98, samples=3).requires_grad_(False)
    needed = needed_flop(model, PROMPT)
    images = torch.zeros(1, 3, 98, 98)
    (_, feature), done = counted(lambda: model.backbone.encode_images(images))
    assert done == needed["image tower"]
    noise = model.draw_noise(0, ["0"])
    _, done = counted(lambda: model.text_features(feature, [PROMPT], noise))
    _, of_flows = counted(lambda: model.sample_flows(feature, noise))
    assert done - of_flows == needed["text tower"]


def test_tables(settings):
    curve = [
        measure(Scorer(dataclasses.replace(settings, batch_size=size).on(gpu=False)), repeats=1) for size in (1, 3)
    ]
    table = stage_table(curve[1])
    assert "98 px, R = 2, fp32, batch 3; matrix rate " in table
    stages = [line.split(" | ")[0] for line in table.splitlines()[4:]]
    assert stages[1:4] == ["| image tower", "| text tower", "| map"] and stages[-1] == "| all, as Scorer.score"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in batch_table(curve).splitlines()]
    assert [row[0] for row in rows] == ["batch, fp32", "---", "1", "3"]
    assert [float(row[1].replace(",", "")) for row in rows[2:]] == pytest.approx(
        [size / each.seconds["all, as Scorer.score"] for size, each in zip((1, 3), curve)], abs=0.01
    )
