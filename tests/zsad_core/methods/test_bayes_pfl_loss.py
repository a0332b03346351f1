"""Bayes-PFL's losses against one published training step, and against their formulas where that step shows nothing."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.stats import norm
from torch import nn

from tests.zsad_core.methods.golden_models import built, golden_prompts
from zsad_core.methods.bayes_pfl.checkpoint import PREFIXES
from zsad_core.methods.bayes_pfl.flow import AgnosticFlow, FlowSample, GaussianEncoder, ImageFlow, planar_steps
from zsad_core.methods.bayes_pfl.loss import (
    dice_loss,
    divergence,
    focal_loss,
    fusion_losses,
    orthogonal_loss,
    training_losses,
)
from zsad_core.methods.bayes_pfl.model import Noise

PUBLISHED_NAMES = {"image": "ce", "focal": "focal", "dice": "dice", "orthogonal": "orthogonal",
                   "kl_context": "kl_context", "kl_normal": "kl_normal", "kl_abnormal": "kl_abnormal"}  # fmt: skip
FUSION = ("fusion.", "image_mapping.")


class Step(NamedTuple):
    """The model and the inputs of the golden files' training step."""

    model: nn.Module
    images: torch.Tensor
    masks: torch.Tensor
    labels: torch.Tensor
    prompts: list
    noise: Noise
    pair: int

    def first_stage(self):
        return training_losses(*self)

    def second_stage(self):
        return fusion_losses(self.model, self.images, self.labels, self.prompts, self.noise, self.pair)


@pytest.fixture
def step(bayes_pfl_golden):
    arrays = {name: bayes_pfl_golden.arrays[f"train/{name}"] for name in
              ("gt", "label", "eps_context", "eps_normal", "eps_abnormal", "prompt_index")}  # fmt: skip
    context, normal, abnormal = (torch.from_numpy(arrays[f"eps_{name}"]) for name in ("context", "normal", "abnormal"))
    return Step(
        built(bayes_pfl_golden, samples=1),
        bayes_pfl_golden.images,
        torch.from_numpy(arrays["gt"]).float(),
        torch.from_numpy(arrays["label"]),
        golden_prompts(bayes_pfl_golden),
        Noise(context[:, None], normal, abnormal),
        int(arrays["prompt_index"]),
    )


def test_losses_equal_the_published_ones(bayes_pfl_golden, step):
    arrays, losses = bayes_pfl_golden.arrays, step.first_stage()
    assert losses.keys() == PUBLISHED_NAMES.keys()
    for name, published in PUBLISHED_NAMES.items():
        assert_allclose(losses[name].item(), arrays[f"train/loss_{published}"], rtol=1e-5, err_msg=name)
    assert_allclose(sum(losses.values()).item(), arrays["train/loss_total"], rtol=1e-5)


def test_gradients_equal_the_published_ones(bayes_pfl_golden, step, monkeypatch):
    """Behind the published image tower's output: the image flow's tanh is nearly 1 here, and what the order of float32
    sums changes in the tower (1e-6) would change its gradients by 5e-4; its own sums still do so by 7e-5."""
    arrays = bayes_pfl_golden.arrays
    feature, patches = (
        torch.from_numpy(np.stack([arrays[f"image{number}/{name}"] for number in range(len(step.images))]))
        for name in ("image_features", "patch_tokens")
    )
    monkeypatch.setattr(step.model.backbone, "encode_images", lambda images: (list(patches.unbind(1)), feature))
    sum(step.first_stage().values()).backward()
    norms = {name: each.grad.norm() for name, each in step.model.named_parameters() if each.grad is not None}
    published = {key.removeprefix("train/gradnorm/"): arrays[key] for key in arrays if "gradnorm" in key}
    assert {their_name(name) for name in norms} == published.keys()
    for name, value in norms.items():
        assert_allclose(value, published[their_name(name)], rtol=1e-4, err_msg=name)


def their_name(name):
    prefix = next(prefix for prefix in PREFIXES if name == prefix or name.startswith(f"{prefix}."))
    return PREFIXES[prefix] + name.removeprefix(prefix)


def test_the_texts_of_the_training_step(bayes_pfl_golden, step):
    with torch.inference_mode():
        _, feature = step.model.backbone.encode_images(step.images)
        text = step.model.text_features(feature, step.prompts, step.noise)
    assert_allclose(text.flatten(1, 2), bayes_pfl_golden.arrays["train/text_embeddings"], rtol=0, atol=5e-5)


def test_the_second_stages_loss_and_what_it_trains(bayes_pfl_golden, step):
    losses = step.second_stage()
    assert losses.keys() == {"image"}
    assert_allclose(losses["image"].item(), bayes_pfl_golden.arrays["train/loss_ce_stage2"], rtol=1e-5)
    losses["image"].backward()
    learning = {name for name, each in step.model.named_parameters() if each.grad is not None}
    assert learning == {
        name for name, _ in step.model.named_parameters() if name.startswith((*FUSION, "text_mapping."))
    }


@pytest.mark.parametrize("stage", ["first_stage", "second_stage"])
def test_losses_are_float32_under_autocast(step, stage):
    exact = getattr(step, stage)()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = getattr(step, stage)()
    for name, value in losses.items():
        assert value.dtype == torch.float32
        assert_allclose(value.item(), exact[name].item(), rtol=0.1, err_msg=name)


def random_maps(seed, masks):
    probability = np.random.default_rng(seed).uniform(0.02, 0.98, masks.shape)
    return torch.tensor(probability, dtype=torch.float32), torch.tensor(masks, dtype=torch.float32), probability


MASKS = {"some pixels": (np.arange(75) % 7 == 0).reshape(3, 5, 5).astype(float),
         "no anomalous pixel": np.zeros((3, 5, 5)), "no normal pixel": np.ones((3, 5, 5))}  # fmt: skip


@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS.keys())
def test_pixel_losses_are_ratios_over_the_whole_batch(masks):
    tensor, mask_tensor, p = random_maps(4, masks)
    terms = [
        np.mean([-((1 - each) ** 2) * np.log(each + 1e-8) for each in probability])
        for probability in (p[masks == 1], 1 - p[masks == 0])
        if probability.size
    ]
    assert_allclose(focal_loss(tensor, mask_tensor).item(), sum(terms), rtol=1e-5)
    dice = (2 * (p * masks).sum() + 1e-5) / (p.sum() + masks.sum() + 1e-5)
    assert_allclose(dice_loss(tensor, mask_tensor).item(), 1 - dice, rtol=1e-5)


def test_pixel_losses_stay_finite_where_the_map_is_certain_and_wrong():
    probability = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]], requires_grad=True)
    masks = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    loss = focal_loss(probability, masks) + dice_loss(probability, masks)
    loss.backward()
    assert_allclose(loss.item(), -np.log(1e-8) + 0.5, rtol=1e-4)
    assert probability.grad.isfinite().all()


@pytest.mark.parametrize("labels", [[0, 1, 0], [1, 1, 1], [0, 0, 0]])
def test_image_losses_are_cross_entropies_of_the_drawn_pair(step, labels):
    """In a batch of both kinds, without normal images, and without anomalous ones."""
    step = step._replace(labels=torch.tensor(labels), masks=torch.zeros_like(step.masks))
    model = step.model
    with torch.no_grad():
        tokens, feature = model.backbone.encode_images(step.images)
        text = model.text_features(feature, step.prompts, step.noise)[:, :, step.pair]
        mapped = normalised(text.numpy() @ model.text_mapping.weight.numpy().T + model.text_mapping.bias.numpy())
        fused = model.image_mapping(feature + model.fusion(tokens)).numpy()
        temperature = np.exp(model.image_temperature.item())
    for losses, image in ((step.first_stage(), feature.numpy()), (step.second_stage(), fused)):
        logits = temperature * np.einsum("bsd,bd->bs", mapped, normalised(image))
        probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        expected = np.mean([-np.log(probability[i, label]) for i, label in enumerate(labels)])
        assert_allclose(losses["image"].item(), expected, rtol=1e-4)


def normalised(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_orthogonal_loss_is_the_mean_squared_cosine_of_different_prompts():
    text = normalised(np.random.default_rng(5).standard_normal((2, 2, 3, 8)))
    squared = [
        [sum(float(a @ b) ** 2 for i, a in enumerate(side) for j, b in enumerate(side) if i != j) / 9 for side in image]
        for image in text
    ]
    result = orthogonal_loss(torch.tensor(text, dtype=torch.float32))
    assert_allclose(result.item(), np.mean([sum(sides) for sides in squared]), rtol=1e-5)


@pytest.fixture
def flow_samples():
    """Samples of the two kinds of flow, four images of width 6, with the means that their encoder gave."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        encoder, image_flow, agnostic_flow = (
            each.requires_grad_(False) for each in (GaussianEncoder(6, 5), ImageFlow(6), AgnosticFlow(6))
        )
        feature, noise = torch.randn(4, 6), torch.randn(4, 1, 6)
        of_images, for_all = image_flow(encoder, feature, noise), agnostic_flow(encoder, noise[0])
        return {
            "image": (of_images, encoder.mean(feature)),
            "agnostic": (for_all, encoder.mean(agnostic_flow.state)[None]),
        }


def published_density_ratio(sample, mean):
    """log N(z_0; m, v) - log N(z_K; 0, 1) of each image, where v = exp(l / 2)."""
    mean, deviation = mean.numpy(), np.exp(sample.log_variance.numpy() / 2) ** 0.5
    z_0 = mean + deviation * sample.noise[:, 0].numpy()
    return (norm.logpdf(z_0, mean, deviation) - norm.logpdf(sample.z[:, 0].numpy())).sum(-1)


def test_divergence_of_a_flow_for_each_image_is_the_mean_of_theirs(flow_samples):
    sample, mean = flow_samples["image"]
    expected = published_density_ratio(sample, mean) - sample.log_det()[:, 0].numpy()
    assert_allclose(divergence(sample, 4), expected.mean(), rtol=1e-5)


def test_divergence_of_a_flow_for_all_images_counts_its_log_det_by_the_batch_size_less(flow_samples):
    sample, mean = flow_samples["agnostic"]
    (ratio,), (log_det,) = published_density_ratio(sample, mean), sample.log_det()[:, 0].numpy()
    assert_allclose(divergence(sample, 4), ratio - log_det / 4, rtol=1e-5)


def test_log_det_is_that_of_the_jacobian():
    generator = torch.Generator().manual_seed(7)
    z, u, w, b = (0.6 * torch.randn(shape, generator=generator, dtype=torch.float64)
                  for shape in ((3, 2, 6), (3, 10, 6), (3, 10, 6), (3, 10)))  # fmt: skip
    moved, heights = planar_steps(z, u, w, b)
    sample = FlowSample(moved, z, z[:, 0], u, w, heights)
    for i, r in np.ndindex(3, 2):

        def move(x, i=i):
            return planar_steps(x[None, None], u[i : i + 1], w[i : i + 1], b[i : i + 1])[0][0, 0]

        jacobian = torch.autograd.functional.jacobian(move, z[i, r])
        assert_allclose(sample.log_det()[i, r], torch.linalg.slogdet(jacobian).logabsdet, rtol=0, atol=1e-3)
