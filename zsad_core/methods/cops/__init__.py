"""CoPS: its published protocol and options, and how it is built from a backbone and a checkpoint."""

from __future__ import annotations

import torch

from zsad_core.clip import Activation, Backbone, PositionResize
from zsad_core.clip_loading import load_backbone
from zsad_core.errors import UsageError
from zsad_core.methods.base import Option, Protocol
from zsad_core.methods.cops.checkpoint import NAME, load_released
from zsad_core.methods.cops.model import CoPS
from zsad_core.methods.weights import facts_for, load

PROTOCOL = Protocol(image_score="text", smoothing_sigma=4.0, top_k=1, top_k_small_defect=1)
OPTIONS = {
    "alpha": Option(0.26, {"VisA": 0.35}, "how much the distance from the normal prototypes counts in the map, 0 to 1"),
    "beta": Option(0.9, {"VisA": 1.0}, "how much the whole image counts in its score beside the map's highest, 0 to 1"),
    "pooling": Option(
        5, {"VisA": 3}, "side in patches, odd, of the neighbourhood that a patch's feature is the mean of"
    ),
}


def build(backbone: str, checkpoint: str, image_size: int | None, samples: int) -> CoPS:
    """The method on `backbone` with the weights of the file `checkpoint`, or untrained with "random".

    The file is one of our own, whose head tells the activation, or one of the authors', who have the backbone's. Raises
    ZsadError for a file that is neither, that is damaged or incomplete, or that was made for another method or
    backbone.
    """
    if samples < 1:
        raise UsageError(f"{samples} prompt samples: at least 1 is needed")
    if checkpoint == "random":
        return untrained(backbone, image_size, 0, samples).eval()
    facts = facts_for(NAME, checkpoint)
    model = CoPS(_backbone(backbone, image_size, facts["activation"] if facts else None), samples)
    load(model, checkpoint, facts) if facts else load_released(model, checkpoint)
    return model.eval()


def untrained(backbone: str, image_size: int | None, seed: int, samples: int = 10) -> CoPS:
    """Initial weights by the seed."""
    clip = _backbone(backbone, image_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CoPS(clip, samples)


def _backbone(name: str, image_size: int | None, activation: Activation | None = None) -> Backbone:
    return load_backbone(
        name, image_size=image_size, activation=activation, position_resize=PositionResize("bilinear", antialias=False)
    )
