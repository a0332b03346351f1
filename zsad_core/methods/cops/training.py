"""How CoPS is trained: by its authors' recipe; on a backbone that this package brings, by one of our own."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zsad_core import backbones, towers
from zsad_core.clip import Backbone
from zsad_core.methods import cops, weights
from zsad_core.methods.base import Batch, Recipe, Stage
from zsad_core.methods.cops import checkpoint
from zsad_core.methods.cops.loss import training_losses
from zsad_core.methods.cops.model import (
    CLASS_LENGTH,
    CONTEXT_LENGTH,
    DEEP_BLOCKS,
    DEEP_LENGTH,
    PROTOTYPES,
    CoPS,
)
from zsad_core.noise import standard_normal

RATE = 1e-3

# Of our own recipe. What is read after training goes into the checkpoint: of a grid of 24 patches a side, 3 are about
# what 5 are of the published 37, and the image feature of such a backbone tells less than its patches.
OWN_POOLING = 3
OWN_OPTIONS = {"alpha": 0.15, "beta": 0.4, "pooling": OWN_POOLING}
OWN_RATES = {"prompts.": 5e-4, "prototypes.": 2e-4, "vae_": 1e-5}
OWN_IMAGE_WEIGHT = 3.0
OWN_WORDS_WEIGHT = 0.2
# What the prompts begin with, as many tokens as there are vectors: 6, 6 and 2.
CONTEXT_WORDS = "a photo of a the one"
NORMAL_WORDS = "flawless perfect normal"
ABNORMAL_WORDS = "damaged broken flawed"
CLASS_WORDS = "thing one"


def recipe(auxiliary: str, published: bool, backbone: Backbone) -> Recipe:
    """The authors' recipe, which depends on the auxiliary benchmark; no validation judges it, `published` or not."""
    if _is_own(backbone):
        return _own_recipe(backbone)
    on_mvtec = auxiliary == "MVTec-AD"

    def losses(model: CoPS, batch: Batch, *key: str | int) -> dict[str, Tensor]:
        return training_losses(
            model, batch.images, batch.masks, batch.labels, drawn(model, batch, *key),
            pooling=3 if on_mvtec else 5, reconstructs=auxiliary != "VisA",
        )  # fmt: skip

    return Recipe(
        stages=(Stage(functools.partial(_learning, rates={"": RATE}), losses, lambda step, steps: 1.0),),
        epochs=5 if on_mvtec else 10,
        batch_size=8,
        validation_samples=10,
    )


def _own_recipe(backbone: Backbone) -> Recipe:
    """Prompts that begin with words and are held near them, in place of whatever the seed gives.

    Of drawn images alone the published recipe learns what their defects look like and forgets what a defect is: on
    kinds that were not drawn it ends below hand-written words. The penalty is L2-SP (Li et al., "Explicit inductive
    bias for transfer learning with convolutional networks", 2018).
    """
    words = words_of(backbone)

    def losses(model: CoPS, batch: Batch, *key: str | int) -> dict[str, Tensor]:
        losses = training_losses(
            model, batch.images, batch.masks, batch.labels, drawn(model, batch, *key),
            pooling=OWN_POOLING, reconstructs=False,
        )  # fmt: skip
        ways = ((now - words[name].to(now.device)).square().sum() for name, now in model.prompts.named_parameters())
        return losses | {
            "image": OWN_IMAGE_WEIGHT * losses["image"],
            "words": OWN_WORDS_WEIGHT * functools.reduce(torch.add, ways),
        }

    return Recipe(
        stages=(Stage(functools.partial(_learning, rates=OWN_RATES), losses, _half_a_cosine),),
        epochs=8,
        batch_size=8,
        validation_samples=10,
    )


def _half_a_cosine(step: int, steps: int) -> float:
    return (1 + math.cos(math.pi * step / steps)) / 2


def untrained(backbone: str, image_size: int | None, seed: int) -> CoPS:
    """Initial weights by the seed; on a backbone that this package brings, words and nothing that changes them."""
    model = cops.untrained(backbone, image_size, seed)
    if _is_own(model.backbone):
        model.prompts.load_state_dict(words_of(model.backbone))
        prototypes, decoder, encoder = model.prototypes, model.vae_decoder, model.vae_encoder
        lasts: list[Any] = [prototypes.attention.out_proj, prototypes.mlp[-1], decoder[-1]]
        for last in [*lasts, encoder.mean, encoder.log_variance]:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
    return model


@torch.no_grad()
def words_of(backbone: Backbone) -> dict[str, Tensor]:
    """The state of `Prompts` made of words: their token embeddings, and as deep prompts what blocks make of these."""

    def ids_of(words: str, count: int) -> Tensor:
        return backbone.tokenize([words])[0][0, 1 : 1 + count]

    start = backbone.tokenize([CONTEXT_WORDS])[0][0, :1]
    context, of_class = ids_of(CONTEXT_WORDS, CONTEXT_LENGTH), ids_of(CLASS_WORDS, CLASS_LENGTH)
    state = {
        name: backbone.embed_tokens(torch.cat([context, ids_of(words, PROTOTYPES), of_class]))
        for name, words in (("normal", NORMAL_WORDS), ("abnormal", ABNORMAL_WORDS))
    }
    clip = backbone.clip
    x = backbone.embed_tokens(torch.cat([start, context[:DEEP_LENGTH]]))[None]
    x = x + clip.positional_embedding[: x.shape[1]]
    seen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
    entering = list(towers.states(clip.transformer.resblocks, x, seen))[:-1]
    return state | {f"deep.{number}": each[0, 1:] for number, each in enumerate(entering[:DEEP_BLOCKS])}


def save(model: CoPS, path: str, auxiliary: str, training: dict) -> None:
    """Write the checkpoint file `path`; equal weights and facts give equal bytes."""
    options = OWN_OPTIONS if _is_own(model.backbone) else {}
    weights.save(model, path, checkpoint.facts_of(model, auxiliary, training, options))


def _is_own(backbone: Backbone) -> bool:
    return backbone.name.partition(":")[0] in backbones.names()


def _learning(model: CoPS, rates: Mapping[str, float]) -> list[dict]:
    """Everything but the backbone, as groups by what names begin with."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if not name.startswith("backbone.")]
    return [
        {"params": [parameter for name, parameter in named if name.startswith(prefix)], "lr": rate}
        for prefix, rate in rates.items()
    ]


def drawn(model: CoPS, batch: Batch, *key: str | int) -> Tensor:
    """Standard normal noise of the step's images, (B, D)."""
    width = model.backbone.embed_dim
    noise = np.stack([standard_normal((width,), *key, "vae", sample) for sample in batch.keys])
    return torch.from_numpy(noise).to(batch.images.device)
