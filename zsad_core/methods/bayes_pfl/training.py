"""How Bayes-PFL is trained: prompts, flows and attention in stage 1, the fused image score in stage 2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zsad_core.augmentation import augment
from zsad_core.clip import Backbone
from zsad_core.clip_loading import load_backbone
from zsad_core.methods import weights
from zsad_core.methods.base import Batch, Recipe, Stage
from zsad_core.methods.bayes_pfl import checkpoint
from zsad_core.methods.bayes_pfl.loss import fusion_losses, training_losses
from zsad_core.methods.bayes_pfl.model import BayesPFL, Noise
from zsad_core.noise import keyed_generator, standard_normal

WARM_UP = 0.1  # of all steps
PROMPT_RATE = 1e-3  # prompt bank and the flows' own parameters
TEMPERATURE_RATE = 1e-2
OTHER_RATE = 1e-4  # at PUBLISHED_WIDTH
PUBLISHED_WIDTH = 1024  # of ViT-L/14's image tower
SMALL_LOG_VARIANCE = -8.0  # exp(-8 / 4): noise of 0.14 for each standard normal one
# What the bank's three prompts begin with on a small backbone, as far as they go: five tokens each.
CONTEXT_WORDS = ("a photo of a the", "a picture of one single", "a close up view of")
NORMAL_WORDS = (
    "flawless perfect normal intact clean",
    "undamaged good healthy complete fine",
    "pristine sound smooth whole regular",
)
ABNORMAL_WORDS = (
    "damaged broken flawed defect crack",
    "faulty defective scratched stained torn",
    "abnormal damage hole diseased bad",
)
FLOWS = ("context_flow.", "normal_flow.", "abnormal_flow.")
FUSION = ("text_mapping.", "image_mapping.", "fusion.")


def recipe(auxiliary: str, published: bool, backbone: Backbone) -> Recipe:
    """The authors' recipe. Its stage 2 keeps its last weights; ours, unless `published`, its best."""
    return Recipe(
        stages=(
            Stage(_begin_prompts, _prompt_losses, warm_up_and_cosine, "pixel"),
            Stage(_begin_fusion, _fusion_losses, lambda step, steps: 1.0, "image", restores_best=not published),
        ),
        epochs=30,
        batch_size=32,
        augment=augment,
        mosaic=0.4 if auxiliary == "MVTec-AD" else 0.0,
        validation_samples=5,
    )


def untrained(backbone: str, image_size: int | None, seed: int) -> BayesPFL:
    """Initial weights by the seed, on a backbone with the exact GELU that the method's checkpoints depend on."""
    clip = load_backbone(backbone, image_size=image_size, activation=checkpoint.RELEASED_ACTIVATION)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BayesPFL(clip)
    if clip.vision_width < PUBLISHED_WIDTH:
        _begin_with_clip(model)
    return model


@torch.no_grad()
def _begin_with_clip(model: BayesPFL) -> None:
    """Begin with CLIP's own judgement by words of both states: small noise, flows at rest, mappings that change
    nothing.

    As published, what the flows add to the learned vectors has a standard deviation of 1 to 3 in each dimension. The
    token embeddings of the small backbone have 0.04: its prompts of both states would read alike, and it takes some
    seeds an epoch to get out of that, others more than five.
    """
    bank, flows = model.bank, (model.normal_flow, model.abnormal_flow)
    for learned, phrases in (
        (bank.context, CONTEXT_WORDS),
        (bank.normal, NORMAL_WORDS),
        (bank.abnormal, ABNORMAL_WORDS),
    ):
        ids, _ = model.backbone.tokenize(list(phrases))
        learned.copy_(model.backbone.embed_tokens(ids[:, 1 : 1 + learned.shape[1]]))
    for encoder in (model.context_encoder, model.state_encoder):
        last: Any = encoder.log_variance[-1]
        last.bias.fill_(SMALL_LOG_VARIANCE)
    for adding in (model.context_flow.u.weight, *(flow.u for flow in flows), model.fusion.project.weight):
        adding.zero_()
    for mapping in (model.text_mapping, model.image_mapping):
        torch.nn.init.eye_(mapping.weight)


def save(model: BayesPFL, path: str, auxiliary: str, training: dict) -> None:
    """Write the checkpoint file `path`; equal weights and facts give equal bytes."""
    weights.save(model, path, checkpoint.facts_of(model, auxiliary, training))


def warm_up_and_cosine(step: int, steps: int) -> float:
    """From 0 up to 1 in the first tenth of all steps, then down to 0 along half a cosine."""
    warm_up = int(WARM_UP * steps)
    if step < warm_up:
        return step / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


def _other_rate(model: BayesPFL) -> float:
    """The rate of all matrices that read features: as published for ViT-L/14, higher for a narrower backbone.

    A step of Adam moves each weight by about the rate, so an output by the rate times the number of inputs (Yang et
    al., "Tensor Programs V", 2022). At 1e-4 a backbone of width 128 hardly learned.
    """
    return OTHER_RATE * PUBLISHED_WIDTH / model.backbone.vision_width


def _begin_prompts(model: BayesPFL) -> list[dict]:
    model.fused_image_score = False
    prompts, temperatures, others = [], [], []
    for name, parameter in model.named_parameters():
        if name.startswith(("bank.", *FLOWS)):
            prompts.append(parameter)
        elif name.endswith("_temperature"):
            temperatures.append(parameter)
        elif not name.startswith("backbone."):
            others.append(parameter)
    return [
        {"params": prompts, "lr": PROMPT_RATE},
        {"params": temperatures, "lr": TEMPERATURE_RATE},
        {"params": others, "lr": _other_rate(model)},
    ]


def _begin_fusion(model: BayesPFL) -> list[dict]:
    model.fused_image_score = True
    parameters = [parameter for name, parameter in model.named_parameters() if name.startswith(FUSION)]
    return [{"params": parameters, "lr": _other_rate(model)}]


def _prompt_losses(model: BayesPFL, batch: Batch, *key: str | int) -> dict[str, Tensor]:
    noise, pair = _drawn(model, batch, *key)
    return training_losses(model, batch.images, batch.masks, batch.labels, batch.prompts, noise, pair)


def _fusion_losses(model: BayesPFL, batch: Batch, *key: str | int) -> dict[str, Tensor]:
    noise, pair = _drawn(model, batch, *key)
    return fusion_losses(model, batch.images, batch.labels, batch.prompts, noise, pair)


def _drawn(model: BayesPFL, batch: Batch, *key: str | int) -> tuple[Noise, int]:
    """One prompt sample an image, one of the states a step, and the step's pair of the bank."""
    shape = (1, model.backbone.embed_dim)
    context = np.stack([standard_normal(shape, *key, "context", sample) for sample in batch.keys])
    states = (standard_normal(shape, *key, state) for state in ("normal", "abnormal"))
    pair = int(keyed_generator(*key, "pair").integers(len(model.bank.context)))
    return Noise(*(torch.from_numpy(x).to(batch.images.device) for x in (context, *states))), pair
