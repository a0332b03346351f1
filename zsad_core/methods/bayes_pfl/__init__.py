"""Bayes-PFL: its published protocol, and how it is built from a backbone and a checkpoint."""

from __future__ import annotations

import torch

from zsad_core.checkpoints import read_facts
from zsad_core.clip import ACTIVATIONS, load_backbone
from zsad_core.errors import UsageError, ZsadError
from zsad_core.methods.base import Protocol
from zsad_core.methods.bayes_pfl.checkpoint import (
    NAME,
    RELEASED_ACTIVATION,
    load,
    load_released,
    trained_stage,
)
from zsad_core.methods.bayes_pfl.model import BayesPFL

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
    facts = read_facts(checkpoint)
    if facts is None:
        stage, activation = trained_stage(checkpoint), RELEASED_ACTIVATION
    else:
        stage, activation = facts["stage"], facts["activation"]
        if facts["method"] != NAME:
            raise ZsadError(f"{checkpoint}: a checkpoint of {facts['method']}, not of {NAME}")
        if stage not in (1, 2) or activation not in ACTIVATIONS:
            raise ZsadError(
                f"{checkpoint}: its head names stage {stage} and activation {activation}, which do not exist"
            )
    clip = load_backbone(backbone, image_size=image_size, activation=activation)
    model = BayesPFL(clip, samples, fused_image_score=stage == 2)
    load_released(model, checkpoint) if facts is None else load(model, checkpoint, facts)
    return model.eval()
