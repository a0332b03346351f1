"""How CoPS is trained: everything that it learns at one rate, in one stage of a fixed length."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zsad_core.methods import cops, weights
from zsad_core.methods.base import Batch, Recipe, Stage
from zsad_core.methods.cops import checkpoint
from zsad_core.methods.cops.loss import training_losses
from zsad_core.methods.cops.model import CoPS
from zsad_core.noise import standard_normal

RATE = 1e-3


def recipe(auxiliary: str, published: bool) -> Recipe:
    """The authors' recipe, which depends on the auxiliary benchmark; no validation judges it, `published` or not."""
    on_mvtec = auxiliary == "MVTec-AD"

    def losses(model: CoPS, batch: Batch, *key: str | int) -> dict[str, Tensor]:
        return training_losses(
            model, batch.images, batch.masks, batch.labels, drawn(model, batch, *key),
            pooling=3 if on_mvtec else 5, reconstructs=auxiliary != "VisA",
        )  # fmt: skip

    return Recipe(
        stages=(Stage(_begin, losses, lambda step, steps: 1.0),),
        epochs=5 if on_mvtec else 10,
        batch_size=8,
        validation_samples=10,
    )


def untrained(backbone: str, image_size: int | None, seed: int) -> CoPS:
    """Initial weights by the seed."""
    return cops.untrained(backbone, image_size, seed)


def save(model: CoPS, path: str, auxiliary: str, training: dict) -> None:
    """Write the checkpoint file `path`; equal weights and facts give equal bytes."""
    weights.save(model, path, checkpoint.facts_of(model, auxiliary, training))


def _begin(model: CoPS) -> list[dict]:
    learning = [parameter for name, parameter in model.named_parameters() if not name.startswith("backbone.")]
    return [{"params": learning, "lr": RATE}]


def drawn(model: CoPS, batch: Batch, *key: str | int) -> Tensor:
    """Standard normal noise of the step's images, (B, D)."""
    width = model.backbone.embed_dim
    noise = np.stack([standard_normal((width,), *key, "vae", sample) for sample in batch.keys])
    return torch.from_numpy(noise).to(batch.images.device)
