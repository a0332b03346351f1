"""Bayes-PFL: its published protocol, and how it is built from a backbone and a checkpoint."""

from __future__ import annotations

import torch

from zsad_core.clip_loading import load_backbone
from zsad_core.errors import UsageError
from zsad_core.methods.base import Protocol
from zsad_core.methods.bayes_pfl.checkpoint import NAME, RELEASED_ACTIVATION, load_released, trained_stage
from zsad_core.methods.bayes_pfl.model import BayesPFL
from zsad_core.methods.weights import facts_for, load

PROTOCOL = Protocol(image_score="fused", smoothing_sigma=8.0, top_k=2000, top_k_small_defect=20)


def build(backbone: str, checkpoint: str, image_size: int | None, samples: int) -> BayesPFL:
    """The method on `backbone` with the weights of the file `checkpoint`, or untrained with "random".

    The file is one of our own, whose head tells stage and activation, or one of the authors'. Raises ZsadError for a
    file that is neither, that is damaged or incomplete, or that was made for another method or backbone.
    """
    if samples < 1:
        raise UsageError(f"{samples} prompt samples: at least 1 is needed")
    if checkpoint == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return BayesPFL(load_backbone(backbone, image_size=image_size), samples).eval()
    facts = facts_for(NAME, checkpoint, stages=(1, 2))
    stage = facts["stage"] if facts else trained_stage(checkpoint)
    activation = facts["activation"] if facts else RELEASED_ACTIVATION
    clip = load_backbone(backbone, image_size=image_size, activation=activation)
    model = BayesPFL(clip, samples, fused_image_score=stage == 2)
    load(model, checkpoint, facts) if facts else load_released(model, checkpoint)
    return model.eval()
