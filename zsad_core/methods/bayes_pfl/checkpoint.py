"""The authors' Bayes-PFL checkpoints: their names and shapes translated into ours."""

from __future__ import annotations

import os
import re

import torch
from torch import Tensor

from zsad_core.clip import read_tensors
from zsad_core.errors import ZsadError
from zsad_core.methods.bayes_pfl.model import BayesPFL

# Ours <- theirs, by prefix. Their file repeats the encoders inside the flows and keeps decoders that nothing uses.
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


def trained_stage(path: str) -> int:
    """The training stage of a released checkpoint: the authors write `epoch_post_<epoch>_<stage>.pth`; else 2."""
    match = re.fullmatch(r"epoch_post_\d+_([12])\.pth", os.path.basename(path))
    return int(match.group(1)) if match else 2


def load_released(model: BayesPFL, path: str) -> None:
    """Copy the weights of the authors' checkpoint `path` into `model`.

    Raises ZsadError when the file is none, lacks tensors, or was made for a backbone of other widths.
    """
    content = read_tensors(path)
    theirs = content.get("MyModel")
    if not isinstance(theirs, dict):
        raise ZsadError(f"{path}: not a Bayes-PFL checkpoint (it holds no 'MyModel' with the weights)")
    ours = {key: value for key, value in model.state_dict().items() if not key.startswith("backbone.")}
    translated = {key: _translate(key, like, theirs, path, model) for key, like in ours.items()}
    model.load_state_dict(translated, strict=False)


def _translate(key: str, like: Tensor, theirs: dict, path: str, model: BayesPFL) -> Tensor:
    prefix = next(prefix for prefix in PREFIXES if key == prefix or key.startswith(prefix + "."))
    their_key = PREFIXES[prefix] + key[len(prefix) :]
    value = theirs.get(their_key)
    if not isinstance(value, torch.Tensor):
        raise ZsadError(f"{path}: not a complete Bayes-PFL checkpoint (no tensor '{their_key}')")
    # Theirs carry axes of length one (a convolution of width one, broadcast axes): the others must agree.
    if [n for n in value.shape if n != 1] != [n for n in like.shape if n != 1]:
        raise ZsadError(
            f"{path}: made for another backbone: '{their_key}' is {tuple(value.shape)}, but {model.backbone.name} "
            f"(embedding {model.backbone.embed_dim}, vision width {model.backbone.vision_width}) needs {tuple(like.shape)}"
        )
    return value.float().reshape(like.shape)
