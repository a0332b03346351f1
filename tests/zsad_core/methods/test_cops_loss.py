"""CoPS's losses against one published training step, and against their formulas where that step shows nothing."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.stats import norm
from torch import nn

from tests.conftest import GOLDEN
from tests.zsad_core.methods.golden_models import built
from zsad_core.methods.cops.checkpoint import their_name
from zsad_core.methods.cops.loss import (
    dice_loss,
    divergence,
    focal_loss,
    mean_over,
    reconstruction_loss,
    training_losses,
)
from zsad_core.methods.cops.model import distances, neighbourhood_mean


class Step(NamedTuple):
    """The model and the inputs of the golden files' training step, on MVTec-AD."""

    model: nn.Module
    images: torch.Tensor
    masks: torch.Tensor
    labels: torch.Tensor
    noise: torch.Tensor
    pooling: int = 3
    reconstructs: bool = True

    def losses(self):
        return training_losses(*self)


@pytest.fixture
def step(cops_golden):
    model, arrays = built(cops_golden), cops_golden.arrays
    encoder = np.load(GOLDEN / "cops_tiny_vae_encoder.npz")
    model.vae_encoder.load_state_dict(
        {key: torch.from_numpy(encoder[their_name(f"vae_encoder.{key}")]) for key in model.vae_encoder.state_dict()}
    )
    masks, labels, noise = (torch.from_numpy(arrays[f"train/{name}"]) for name in ("gt", "label", "eps"))
    return Step(model, cops_golden.images, masks.float(), labels, noise)


def test_losses_equal_the_published_ones(cops_golden, step):
    losses, arrays = step.losses(), cops_golden.arrays
    total = sum(losses.values())
    losses["patch"] = (losses.pop("focal") + losses.pop("dice")) / 4
    published = {"image": "ce", "reconstruction": "recon"}
    assert losses.keys() == {"image", "patch", "gather", "scatter", "kl", "reconstruction"}
    for name, value in losses.items():
        expected = arrays[f"train/loss_{published.get(name, name)}"]
        assert_allclose(value.item(), expected, rtol=3e-6, err_msg=name)
    assert_allclose(total.item(), arrays["train/loss_total"], rtol=1e-6)


def test_gradients_equal_the_published_ones(cops_golden, step):
    sum(step.losses().values()).backward()
    norms = {
        their_name(name): each.grad.norm() for name, each in step.model.named_parameters() if each.grad is not None
    }
    published = {key.removeprefix("train/gradnorm/"): cops_golden.arrays[key] for key in cops_golden.arrays
                 if "gradnorm" in key}  # fmt: skip
    assert norms.keys() == published.keys()
    for name, value in norms.items():
        assert_allclose(value, published[name], rtol=1e-5, err_msg=name)


def pool_as_for_other_benchmarks(monkeypatch, step):
    return step._replace(pooling=5)


def leave_the_prototypes_attached(monkeypatch, step):
    monkeypatch.setattr(torch.Tensor, "detach", lambda self: self)
    return step


def keep_the_gradients_of_deep_prompts_exact(monkeypatch, step):
    monkeypatch.setattr(torch.Tensor, "half", lambda self: self + (self.to(torch.float16).float() - self).detach())
    return step


@pytest.mark.parametrize(
    ("mistake", "least"),
    [(pool_as_for_other_benchmarks, 1e-3), (leave_the_prototypes_attached, 1e-3),
     (keep_the_gradients_of_deep_prompts_exact, 1.5e-5)],
)  # fmt: skip
def test_a_mistake_shows_in_the_gradients(cops_golden, step, monkeypatch, mistake, least):
    step = mistake(monkeypatch, step)
    sum(step.losses().values()).backward()
    published = {name: cops_golden.arrays[f"train/gradnorm/{their_name(name)}"]
                 for name, each in step.model.named_parameters() if each.grad is not None}  # fmt: skip
    norms = {name: step.model.get_parameter(name).grad.norm().item() for name in published}
    assert max(abs(norms[name] / published[name] - 1) for name in norms) > least


def test_without_reconstruction_the_other_losses_stay(step):
    losses, without = step.losses(), step._replace(reconstructs=False).losses()
    assert without.keys() == losses.keys() - {"reconstruction"}
    assert all(torch.equal(value, losses[name]) for name, value in without.items())


def test_a_patch_is_anomalous_if_one_of_its_pixels_is(step):
    masks = torch.zeros_like(step.masks)
    masks[0, 13, 14] = masks[0, 97, 97] = masks[1, 70, 55] = 1  # patches of 14 pixels, 7 a side
    losses = step._replace(masks=masks).losses()
    with torch.no_grad():
        patches = neighbourhood_mean(step.model.backbone.encode_two_paths(step.images).patches, 3)
        normal, abnormal = distances(patches, step.model.prototypes(patches)).unbind(1)
    anomalous = [(0, 0 * 7 + 1), (0, 48), (1, 5 * 7 + 3)]
    chosen = np.zeros((2, 49), bool)
    chosen[tuple(zip(*anomalous))] = True
    assert_allclose(losses["scatter"].item(), abnormal.numpy()[chosen].mean(), rtol=1e-6)
    assert_allclose(losses["gather"].item(), normal.numpy()[~chosen].mean(), rtol=1e-6)


@pytest.mark.parametrize(("value", "without"), [(0.0, "scatter"), (1.0, "gather")])
def test_a_batch_without_patches_of_a_kind(step, value, without):
    losses = step._replace(masks=torch.full_like(step.masks, value)).losses()
    assert losses[without].item() == 0
    sum(losses.values()).backward()
    assert all(each.grad.isfinite().all() for each in step.model.parameters() if each.grad is not None)


MASKS = {"some pixels": (np.arange(75) % 7 == 0).reshape(3, 5, 5).astype(float),
         "no anomalous pixel": np.zeros((3, 5, 5)), "no normal pixel": np.ones((3, 5, 5))}  # fmt: skip


@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS.keys())
def test_pixel_losses_against_loops(masks):
    p = np.random.default_rng(0).uniform(0.02, 0.98, masks.shape)
    tensor, mask_tensor = (torch.tensor(each, dtype=torch.float32) for each in (p, masks))
    terms = []
    for probability, mask in zip(p.flat, masks.flat):
        classes = np.array([1 - probability, probability])
        one_hot = np.clip([1 - mask, mask], 1e-5, 1 - 1e-5)
        right = (one_hot * classes).sum() + 1e-5
        terms.append(-((1 - right) ** 2) * np.log(right))
    assert_allclose(focal_loss(tensor, mask_tensor).item(), np.mean(terms), rtol=2e-6)
    each = [1 - (2 * (q * g).sum() + 1) / (q.sum() + g.sum() + 1) for q, g in zip(p, masks)]
    assert_allclose(dice_loss(tensor, mask_tensor).item(), np.mean(each), rtol=2e-6)


def test_focal_loss_stays_finite_where_the_map_is_certain():
    probability = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]], requires_grad=True)
    focal_loss(probability, torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])).backward()
    assert probability.grad.isfinite().all()


def test_mean_over_chosen_patches():
    distance = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert mean_over(distance, torch.tensor([[1.0, 0.0], [0.0, 1.0]])) == 3
    assert mean_over(distance, torch.zeros(2, 2)) == 0


def test_divergence_is_that_of_the_densities():
    means, log_variances = np.array([[0.3, -1.0], [0.0, 2.0]]), np.array([[0.5, -0.7], [0.0, 1.0]])

    def of_one(mean, log_variance):
        one = norm(mean, np.exp(log_variance / 2))
        return quad(lambda x: one.pdf(x) * (one.logpdf(x) - norm.logpdf(x)), mean - 12, mean + 12)[0]

    expected = np.vectorize(of_one)(means, log_variances).sum(1).mean()
    assert_allclose(divergence(torch.from_numpy(means), torch.from_numpy(log_variances)), expected, rtol=1e-6)


def test_reconstruction_loss_is_over_all_pairs():
    decoded, feature = np.random.default_rng(1).standard_normal((2, 3, 4))
    expected = np.mean([(f - d) ** 2 for d in decoded for f in feature])
    assert_allclose(reconstruction_loss(torch.from_numpy(decoded), torch.from_numpy(feature)), expected)
