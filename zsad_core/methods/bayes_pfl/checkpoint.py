"""Bayes-PFL's checkpoints: the facts of our own; the authors', whose names and shapes are translated both ways."""

from __future__ import annotations

import os
import re

import torch

from zsad_core.clip import Activation
from zsad_core.errors import UsageError, ZsadError
from zsad_core.methods import weights
from zsad_core.methods.bayes_pfl.model import BayesPFL

NAME = "bayes-pfl"
RELEASED_ACTIVATION: Activation = "gelu"  # of the authors' program in both towers, whatever the backbone's own

# Ours: theirs, by prefix.
PREFIXES = {
    "bank.context": "prompt_context",
    "bank.normal": "prompt_state_normal",
    "bank.abnormal": "prompt_state_abnormal",
    "pixel_temperature": "temperature_pixel",
    "image_temperature": "temperature_image",
    "context_encoder.mean": "context_encoder.weight_mean.module",
    "context_encoder.log_variance": "context_encoder.weight_log_variance.module",
    "state_encoder.mean": "state_encoder.weight_mean.module",
    "state_encoder.log_variance": "state_encoder.weight_log_variance.module",
    "context_flow.u": "PFL_context.amor_u",
    "context_flow.w": "PFL_context.amor_w",
    "context_flow.b": "PFL_context.amor_b",
    "normal_flow.u": "PFL_normal.amor_u",
    "normal_flow.w": "PFL_normal.amor_w",
    "normal_flow.b": "PFL_normal.amor_b",
    "normal_flow.state": "PFL_normal.state",
    "abnormal_flow.u": "PFL_abnormal.amor_u",
    "abnormal_flow.w": "PFL_abnormal.amor_w",
    "abnormal_flow.b": "PFL_abnormal.amor_b",
    "abnormal_flow.state": "PFL_abnormal.state",
    "attention.query": "RCA.q_proj_pre",
    "attention.patch_projections": "RCA.linear_proj",
    "fusion.merge": "fuse.fuse_modules",
    "fusion.weigh": "fuse.compress",
    "fusion.project": "fuse.post_process",
    "text_mapping": "class_mapping",
    "image_mapping": "image_mapping",
}
# Their tensors' further axes of length one, by our names.
AXES = {
    "attention.query.weight": (..., None),
    "normal_flow.u": (None, ..., None),
    "normal_flow.w": (None, slice(None), None),
    "normal_flow.b": (None, slice(None), None, None),
    "normal_flow.state": (None,),
    "abnormal_flow.u": (None, ..., None),
    "abnormal_flow.w": (None, slice(None), None),
    "abnormal_flow.b": (None, slice(None), None, None),
    "abnormal_flow.state": (None,),
}
# Their flows, each with the name of the encoder that stands in it once more.
FLOWS = {"PFL_context": "context", "PFL_normal": "state", "PFL_abnormal": "state"}


def facts_of(model: BayesPFL, auxiliary: str, training: dict) -> dict:
    """The facts of a checkpoint of `model` (see zsad_core.checkpoints.FACTS)."""
    return weights.facts_of(NAME, model, 2 if model.fused_image_score else 1, auxiliary, training)


def trained_stage(path: str) -> int:
    """The training stage of a released checkpoint: the authors write `epoch_post_<epoch>_<stage>.pth`; else 2."""
    match = re.fullmatch(r"epoch_post_\d+_([12])\.pth", os.path.basename(path))
    return int(match.group(1)) if match else 2


def load_released(model: BayesPFL, path: str) -> None:
    """Copy the weights of the authors' checkpoint `path` into `model`.

    Raises ZsadError when the file is none, lacks tensors, or was made for a backbone of other widths.
    """
    weights.load_released(model, path, "Bayes-PFL", "MyModel", _their_name)


def save_released(model: BayesPFL, path: str) -> None:
    """Write the weights as the authors' program reads them, with every key that it asks for.

    Their file holds each encoder once more in every flow that uses it: the same tensors here. It also holds decoders
    (shaped as an encoder's mean) and a layer `p_mu` in each flow, which nothing uses: zeros here. Raises UsageError
    where the file's name would tell another stage than the model's, or the activation is not theirs.
    """
    stage = 2 if model.fused_image_score else 1
    if trained_stage(path) != stage:
        raise UsageError(
            f"{path}: the name must tell that training stage {stage} made it, as epoch_post_30_{stage}.pth"
        )
    if model.backbone.activation != RELEASED_ACTIVATION:
        raise ZsadError(
            f"{path}: cannot be written: it was trained with {model.backbone.activation}, the authors' program "
            f"knows {RELEASED_ACTIVATION} alone"
        )
    theirs = {
        _their_name(key): value.detach().cpu()[AXES.get(key, ...)] for key, value in weights.method_state(model).items()
    }
    width = model.backbone.embed_dim
    for flow, owner in FLOWS.items():
        for key, value in [*theirs.items()]:
            if key.startswith(f"{owner}_encoder."):
                part = key.removeprefix(f"{owner}_encoder.")
                theirs[f"{flow}.encoder.{part}"] = value
                if part.startswith("weight_mean."):
                    theirs[f"{flow}.decoder.{part}"] = theirs[f"{owner}_decoder.{part}"] = torch.zeros_like(value)
        theirs |= {f"{flow}.p_mu.0.weight": torch.zeros(width, width), f"{flow}.p_mu.0.bias": torch.zeros(width)}
    torch.save({"MyModel": theirs}, path)


def _their_name(key: str) -> str:
    prefix = next(prefix for prefix in PREFIXES if key == prefix or key.startswith(prefix + "."))
    return PREFIXES[prefix] + key[len(prefix) :]
