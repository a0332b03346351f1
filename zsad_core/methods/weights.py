"""A method's weights in files: our own checkpoints, and what is alike in reading and writing those of all authors.

Only the method's part of a model is in them: not the backbone, and not what training alone needs.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Mapping

import safetensors.torch
from torch import Tensor

from zsad_core.checkpoints import ENTRY, read_facts
from zsad_core.clip import ACTIVATIONS
from zsad_core.errors import ZsadError
from zsad_core.methods import options_of
from zsad_core.methods.base import Method
from zsad_core.settings import split_backbone
from zsad_core.weight_files import check_finite, read_tensors


def method_state(model: Method) -> dict[str, Tensor]:
    """The tensors of a checkpoint of `model` by name."""
    left_out = ("backbone.", *model.training_only)
    return {key: value for key, value in model.state_dict().items() if not key.startswith(left_out)}


def facts_of(
    method: str, model: Method, stage: int, auxiliary: str, training: dict, options: Mapping[str, float] | None = None
) -> dict:
    """The facts of a checkpoint of `model` (see zsad_core.checkpoints.FACTS), files by their name alone."""
    backbone = model.backbone
    architecture, weights = split_backbone(backbone.name)
    return {
        "method": method,
        "auxiliary": auxiliary,
        "stage": stage,
        "backbone": architecture + os.path.basename(weights),
        "backbone_sha256": backbone.weights_sha256(),
        "image_size": backbone.image_size,
        "activation": backbone.activation,
        "options": dict(options or {}),
        "training": training,
    }


def facts_for(method: str, path: str, stages: Collection[int] = (1,)) -> dict | None:
    """The facts of the checkpoint file `path`; None for a file of the authors'.

    Raises ZsadError where they are those of another method, or name no stage of `stages`, no activation, or options
    that are none.
    """
    if facts := read_facts(path):
        if facts["method"] != method:
            raise ZsadError(
                f"{path}: a checkpoint of {facts['method']}, not of {method}; add --method {facts['method']}"
            )
        if facts["stage"] not in stages or facts["activation"] not in ACTIVATIONS:
            raise ZsadError(
                f"{path}: its head names stage {facts['stage']} and activation {facts['activation']}, "
                "which do not exist"
            )
        for name, value in facts["options"].items():
            if name not in options_of(method) or type(value) not in (int, float) or not math.isfinite(value):
                raise ZsadError(
                    f"{path}: its head gives {name} as {value}, which is no option of {method}, or no number"
                )
    return facts


def save(model: Method, path: str, facts: dict) -> None:
    """Write the method's weights and `facts` (see facts_of) as `path`; equal content gives equal bytes."""
    metadata = {ENTRY: json.dumps(facts, sort_keys=True, ensure_ascii=False)}
    tensors = {key: value.detach().cpu().contiguous() for key, value in method_state(model).items()}
    safetensors.torch.save_file(tensors, path, metadata)


def load(model: Method, path: str, facts: dict) -> None:
    """Copy the weights of our checkpoint `path`, whose head holds `facts`, into `model`.

    Raises ZsadError when tensors are missing, or when it was made for another backbone, of these widths or others.
    """
    tensors, ours, backbone = read_tensors(path), method_state(model), model.backbone
    if differing := sorted(tensors.keys() ^ ours.keys()):
        missing = ", ".join(differing[:3])
        raise ZsadError(f"{path}: not a complete {facts['method']} checkpoint (missing or unknown: {missing})")
    for key, like in ours.items():
        if tensors[key].shape != like.shape:
            raise _another_backbone(path, key, tensors[key], like, model)
    check_finite(path, tensors)
    if facts["backbone_sha256"] != (sha256 := backbone.weights_sha256()):
        raise ZsadError(
            f"{path}: made for another backbone: it was trained on {facts['backbone']} with weights "
            f"{facts['backbone_sha256'][:8]}, those of {backbone.name} are {sha256[:8]}; "
            "--backbone has to name that one"
        )
    model.load_state_dict(tensors, strict=False)


def load_released(model: Method, path: str, authors: str, entry: str, their_name: Callable[[str], str]) -> None:
    """Copy the weights of the authors' checkpoint `path`, whose entry `entry` holds them, into `model`.

    authors: their name of the method, for messages. their_name(key): their name of our tensor `key`. Raises ZsadError
    when the file is none, lacks tensors, or was made for a backbone of other widths.
    """
    theirs = read_tensors(path).get(entry)
    if not isinstance(theirs, dict):
        raise ZsadError(f"{path}: not a {authors} checkpoint (it holds no '{entry}' with the weights)")
    translated = {}
    for key, like in method_state(model).items():
        value = theirs.get(their_key := their_name(key))
        if not isinstance(value, Tensor):
            raise ZsadError(f"{path}: not a complete {authors} checkpoint (no tensor '{their_key}')")
        # Axes of length one tell nothing of the backbone: the others must agree.
        if [n for n in value.shape if n != 1] != [n for n in like.shape if n != 1]:
            raise _another_backbone(path, their_key, value, like, model)
        translated[key] = value.float().reshape(like.shape)
    check_finite(path, translated)
    model.load_state_dict(translated, strict=False)


def _another_backbone(path: str, key: str, value: Tensor, like: Tensor, model: Method) -> ZsadError:
    backbone = model.backbone
    return ZsadError(
        f"{path}: made for another backbone: '{key}' is {tuple(value.shape)}, but {backbone.name} "
        f"(embedding {backbone.embed_dim}, vision width {backbone.vision_width}) needs {tuple(like.shape)}; "
        "--backbone has to name the one that it was trained on"
    )
