"""Bayes-PFL's recipe: which parameters learn at which rate in which stage, the schedule, and what is drawn."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from zsad_core.benchmarks.drawn import captions
from zsad_core.methods.base import Batch
from zsad_core.methods.bayes_pfl.model import BayesPFL
from zsad_core.methods.bayes_pfl.training import _drawn, recipe, untrained, warm_up_and_cosine


@pytest.fixture(scope="module")
def model(bayes_pfl_golden):
    return untrained(bayes_pfl_golden.backbone, 28, seed=3)


def learning_rates(model, stage):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = recipe("VisA", False, None).stages[stage].begin(model)
    listed = [(names[id(parameter)], group["lr"]) for group in groups for parameter in group["params"]]
    assert len(listed) == len(dict(listed))
    return dict(listed)


def test_the_seed_makes_the_initial_weights(bayes_pfl_golden, model):
    again, other = (untrained(bayes_pfl_golden.backbone, 28, seed=seed) for seed in (3, 4))
    assert torch.equal(again.attention.query.weight, model.attention.query.weight)
    assert not torch.equal(other.attention.query.weight, model.attention.query.weight)
    assert model.backbone.activation == "gelu"


def said_of(model, name):
    """Normal and abnormal text features of the class name for six images without content, (6, 2, T, D)."""
    feature = torch.randn(6, model.backbone.embed_dim, generator=torch.Generator().manual_seed(0))
    return model.text_features(feature, [name] * 6, model.draw_noise(0, [f"{image}" for image in range(6)]))


@pytest.mark.parametrize("seed", range(3))
def test_on_a_small_backbone_prompts_begin_with_what_words_say(seed):
    ours = untrained("zsad-small:drawn", None, seed)
    backbone = ours.backbone
    torch.manual_seed(seed)
    published = BayesPFL(backbone)
    words = [caption.format("bottle") for caption in (*captions.FLAWLESS, *captions.DAMAGED)]
    ids, _ = backbone.tokenize(words)
    ids = torch.nn.functional.pad(ids, (0, backbone.context_length - ids.shape[1]))
    with torch.inference_mode():
        flawless, damaged = backbone.clip.encode_text(ids, normalize=True).view(2, 10, -1)
        wrong = (damaged - flawless).mean(0)
        ours, published = (said_of(model, "bottle").mean((0, 2)).diff(dim=0)[0] for model in (ours, published))
        assert torch.cosine_similarity(ours, wrong, dim=0) > 0.5 > torch.cosine_similarity(published, wrong, dim=0)


def test_on_a_small_backbone_both_image_scores_begin_as_cosines():
    model = untrained("zsad-small:drawn", None, seed=0)
    generator = torch.Generator().manual_seed(1)
    text, feature, *tokens = (
        torch.randn(*shape, generator=generator) for shape in ((2, 2, 3, 128), (2, 128), *4 * [(2, 9, 128)])
    )
    cosines = torch.cosine_similarity(text, feature[:, None, None], dim=-1)
    expected = (model.image_temperature.exp() * cosines.diff(dim=1)[:, 0]).sigmoid().mean(1)
    for model.fused_image_score in (False, True):
        assert_allclose(model.image_score(text, tokens, feature).detach(), expected.detach(), rtol=1e-5)


def test_stage_1_has_three_rates(model):
    rates = learning_rates(model, 0)
    assert rates.keys() == {name for name, _ in model.named_parameters() if not name.startswith("backbone.")}
    assert {name for name, rate in rates.items() if rate == 1e-2} == {"pixel_temperature", "image_temperature"}
    flows = {f"{state}_flow.{name}" for state in ("normal", "abnormal") for name in ("u", "w", "b", "state")}
    flows |= {f"context_flow.{name}.{kind}" for name in "uwb" for kind in ("weight", "bias")}
    bank = {"bank.context", "bank.normal", "bank.abnormal"}
    assert {name for name, rate in rates.items() if rate == 1e-3} == flows | bank
    others = {rate for name, rate in rates.items() if not name.endswith("temperature") and name not in flows | bank}
    assert others == {1e-4 * 1024 / model.backbone.vision_width}  # published for a width of 1024
    assert model.fused_image_score is False


def test_stage_2_has_the_fusion_alone(model):
    rates = learning_rates(model, 1)
    assert {name.split(".")[0] for name in rates} == {"text_mapping", "image_mapping", "fusion"}
    assert set(rates.values()) == {1e-4 * 1024 / model.backbone.vision_width} and len(rates) == 4 + 6
    assert model.fused_image_score is True


def test_the_schedule():
    steps = 600
    rates = [warm_up_and_cosine(step, steps) for step in range(steps)]
    assert_allclose(rates[:60], np.arange(60) / 60)
    assert rates[60] == 1.0
    assert_allclose(rates[60 + 270], 0.5, atol=1e-12)
    assert_allclose(rates[60:], [(1 + math.cos(math.pi * k / 540)) / 2 for k in range(540)])
    assert 0 < rates[-1] < 1e-4
    assert warm_up_and_cosine(0, 3) == 1.0  # too few steps to warm up


def test_recipe():
    ours, published = recipe("VisA", False, None), recipe("VisA", True, None)
    assert (ours.epochs, ours.batch_size, ours.adam_betas, ours.validation_samples) == (30, 32, (0.5, 0.999), 5)
    assert [stage.judged_by for stage in ours.stages] == ["pixel", "image"]
    assert [stage.restores_best for stage in ours.stages] == [True, True]
    assert [stage.restores_best for stage in published.stages] == [True, False]
    assert ours.stages[1].rate(0, 9) == ours.stages[1].rate(8, 9) == 1.0
    assert (ours.mosaic, recipe("MVTec-AD", False, None).mosaic) == (0.0, 0.4)


def batch(keys):
    return Batch(torch.zeros(len(keys), 3, 28, 28), None, None, ["x"] * len(keys), keys)


def test_what_is_drawn(model):
    noise, _ = _drawn(model, batch(["a", "b"]), 0, 1, 1, 0)
    width = model.backbone.embed_dim
    assert noise.context.shape == (2, 1, width) and noise.normal.shape == noise.abnormal.shape == (1, width)
    alone, _ = _drawn(model, batch(["b"]), 0, 1, 1, 0)
    assert torch.equal(alone.context[0], noise.context[1]) and not torch.equal(noise.context[0], noise.context[1])
    other_step, _ = _drawn(model, batch(["a", "b"]), 0, 1, 1, 1)
    assert all(not torch.equal(one, other) for one, other in zip(noise, other_step))
    assert not torch.equal(noise.normal, noise.abnormal)


def test_the_pairs_are_drawn_alike(model):
    counts = np.bincount([_drawn(model, batch(["a"]), 0, 1, 1, step)[1] for step in range(900)], minlength=3)
    assert len(counts) == 3 and (abs(counts - 300) < 4.5 * math.sqrt(900 * 2 / 9)).all()


def random_batch(model, seed):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(3, 28, 28)
    masks[1:, 5:15, 5:15] = 1
    return Batch(
        torch.randn(3, 3, 28, 28, generator=generator), masks, torch.tensor([0, 1, 1]), ["pill"] * 3, ["a", "b", "c"]
    )


@pytest.mark.parametrize("stage", [0, 1])
def test_steps_move_what_learns_and_nothing_else(bayes_pfl_golden, stage):
    model = untrained(bayes_pfl_golden.backbone, 28, seed=0)
    rates = learning_rates(model, stage)
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.Adam([value for name, value in model.named_parameters() if name in rates], lr=1e-3)
    for step in range(2):  # what reads a matrix that begins as 0 learns from the second on
        losses = recipe("VisA", False, None).stages[stage].losses(model, random_batch(model, 0), 0, stage, 1, step)
        assert losses.keys() == (
            {"image", "focal", "dice", "orthogonal", "kl_context", "kl_normal", "kl_abnormal"}
            if not stage
            else {"image"}
        )
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    if stage:
        assert moved == rates.keys()
    else:  # the fused image score has no part in the first stage
        assert moved == {name for name in rates if not name.startswith(("fusion.", "image_mapping."))}
