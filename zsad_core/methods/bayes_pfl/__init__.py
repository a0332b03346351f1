"""Bayes-PFL: its published protocol, and how it is built from a backbone and a checkpoint."""

from __future__ import annotations

import torch

from zsad_core.clip import load_backbone
from zsad_core.errors import UsageError
from zsad_core.methods.base import Protocol
from zsad_core.methods.bayes_pfl.checkpoint import load_released, trained_stage
from zsad_core.methods.bayes_pfl.model import BayesPFL

PROTOCOL = Protocol(smoothing_sigma=8.0, top_k=2000, top_k_small_defect=20)


def build(backbone: str, checkpoint: str, image_size: int | None, samples: int) -> BayesPFL:
    """The method on `backbone` with the weights of the authors' file `checkpoint`, or untrained with "random".

    Released checkpoints were trained with exact GELU in both towers, whatever the backbone's own activation.
    """
    if samples < 1:
        raise UsageError(f"{samples} prompt samples: at least 1 is needed")
    if checkpoint == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return BayesPFL(load_backbone(backbone, image_size=image_size), samples).eval()
    model = BayesPFL(
        load_backbone(backbone, image_size=image_size, activation="gelu"),
        samples,
        fused_image_score=trained_stage(checkpoint) == 2,
    )
    load_released(model, checkpoint)
    return model.eval()
