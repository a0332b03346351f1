"""Pretraining of the small backbone: its loss by hand, its gradients, going on from a state, weights that load,
shares."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import safetensors
import torch
from numpy.testing import assert_allclose

from tests.needs import needs_muon
from zsad_core import backbones, pretraining
from zsad_core.clip_loading import load_backbone
from zsad_core.errors import UsageError, ZsadError
from zsad_core.pixels import normalised
from zsad_core.pretraining import (
    Objective,
    PretrainingSettings,
    _batches,
    _segmentation,
    _telling_apart,
    pretrain,
    save,
)

TINY = PretrainingSettings(steps=3, pairs=2, workers=1, bfloat16=False)


def test_segmentation_by_hand():
    """At the mask's own size nothing is interpolated."""
    generator = np.random.default_rng(0)
    logits, masks = generator.normal(size=(3, 16)), generator.uniform(size=(3, 4, 4))
    found, wanted = 1 / (1 + np.exp(-logits)).ravel(), masks.ravel()
    damaged = -(wanted * np.log(found) + (1 - wanted) * np.log(1 - found))
    balanced = np.average(damaged, weights=wanted) + np.average(damaged, weights=1 - wanted)
    dice = 1 - 2 * (found * wanted).sum() / (found.sum() + wanted.sum())
    assert _segmentation(torch.tensor(logits), torch.tensor(masks)).item() == pytest.approx(balanced + dice, rel=1e-6)


def test_telling_apart_by_hand():
    """Two pairs, the flawless first: every image for itself, and the damaged of each pair against its flawless."""
    flawless, damaged = np.array([0.3, -1.2]), np.array([0.1, 2.0])
    one_by_one = np.log1p(np.exp([*flawless, *-damaged])).mean()
    in_pairs = np.log1p(np.exp(flawless - damaged)).mean()
    found = _telling_apart(torch.tensor([*flawless, *damaged]))
    assert found.item() == pytest.approx(one_by_one + in_pairs, rel=1e-6)


def test_every_weight_of_both_towers_learns():
    torch.manual_seed(0)
    objective = Objective("zsad-small")
    ids = torch.randint(1, 4608, (8, 6))
    ids[:, -1] = 4609
    losses = objective(torch.randn(4, 3, 192, 192), (torch.rand(2, 64, 64) > 0.9).float(), ids[:4], ids[4:])
    assert set(losses) == {"captions", "state", "patches", "peaks", "probes"}
    sum(losses.values()).backward()
    without = [name for name, p in objective.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@needs_muon
def test_it_goes_on_from_its_state_and_its_weights_load(tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "SAVE_EVERY", 1)
    state, seen = str(tmp_path / "state"), []

    def stop_after_two(step, losses):
        seen.append(step)
        assert all(np.isfinite(loss) for loss in losses.values())
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(TINY, state, stop_after_two)
    clip = pretrain(TINY, state, stop_after_two)
    assert seen == [1, 2, 2, 3]  # the second step was not kept

    file = str(tmp_path / "weights.safetensors")
    save(clip, file, TINY)
    loaded = load_backbone(f"zsad-small:{file}").clip.state_dict()
    for name, value in clip.state_dict().items():
        torch.testing.assert_close(loaded[name], value, atol=1e-3, rtol=1e-3)


@needs_muon
def test_the_state_of_other_settings_is_refused_but_for_the_steps(tmp_path):
    state, steps = str(tmp_path / "state"), []
    short = replace(TINY, steps=1)
    pretrain(short, state, lambda step, losses: None)
    with pytest.raises(ZsadError, match=f"{state}: of a training with other settings; remove it"):
        pretrain(replace(short, seed=1), state, lambda step, losses: None)
    pretrain(replace(short, steps=2), state, lambda step, losses: steps.append(step))
    assert steps == [2]


@needs_muon
def test_it_begins_with_given_weights_and_says_what_made_them(tmp_path):
    settings = replace(TINY, steps=1, start="zsad-small:drawn", learning_rate=0.0)
    clip = pretrain(settings, str(tmp_path / "state"), lambda step, losses: None)
    shipped = load_backbone("zsad-small:drawn").clip.state_dict()
    for name, value in clip.state_dict().items():
        torch.testing.assert_close(value, shipped[name], rtol=0, atol=0)

    first, second = str(tmp_path / "first.safetensors"), str(tmp_path / "second.safetensors")
    save(clip, first, TINY)
    save(clip, second, replace(TINY, seed=1, start=f"zsad-small:{first}"))
    with safetensors.safe_open(second, "pt") as file:
        made = json.loads(file.metadata()["zsad"])
    assert made["seed"] == 1 and made["start_made_by"] == asdict(TINY)


@needs_muon
def test_weights_of_another_architecture_are_no_start(tmp_path):
    with pytest.raises(UsageError, match="ViT-B-16:openai: not weights of zsad-small, as zsad-small:FILE would be"):
        pretrain(replace(TINY, start="ViT-B-16:openai"), str(tmp_path / "state"), lambda step, losses: None)


@needs_muon
def test_workers_learn_the_mean_of_their_shares(tmp_path):
    """Two workers of a pair each, against both shares' gradients in this process."""
    settings = PretrainingSettings(1, pairs=2, workers=2, bfloat16=False)
    shared, again = (pretrain(settings, str(tmp_path / name), lambda step, losses: None) for name in ("one", "two"))
    for name, value in shared.state_dict().items():
        torch.testing.assert_close(value, again.state_dict()[name], rtol=0, atol=0)

    torch.manual_seed(settings.seed)
    alone = Objective(settings.backbone).train()
    tokenizer = backbones.tokenizer(alone.clip.token_embedding.num_embeddings, len(alone.clip.attn_mask))
    for rank in range(2):
        images, masks, ids = next(_batches([settings.seed, 0, rank], 1, alone.clip.visual.image_size[0], tokenizer))
        (sum(alone(normalised(images), masks, *ids.split(2)).values()) / 2).backward()
    weight = "visual.conv1.project.weight"  # AdamW's, not Muon's
    before, gradient = alone.clip.get_parameter(weight), alone.clip.get_parameter(weight).grad
    step = shared.get_parameter(weight) - before
    # AdamW's first step is the rate against the sign of every gradient that is no rounding error, and the decay.
    rate = settings.learning_rate / pretraining.WARM_UP
    clear = gradient.abs() > 1e-2 * gradient.abs().max()
    wanted = -rate * gradient.sign() - rate * settings.weight_decay * before
    assert clear.float().mean() > 0.3
    assert_allclose(step[clear].detach(), wanted[clear].detach(), atol=0.02 * rate)
