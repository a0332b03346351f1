"""Backbones by their name: open_clip's architectures and weights, files in OpenAI's format, this package's own.

A backbone is named `ARCHITECTURE:WEIGHTS` (`ViT-L-14-336:openai`, `ViT-B-16:weights.safetensors`,
`ViT-B-16:random`) or by the file of an OpenAI-format state dict, whose sizes are read off its tensors. The backbones
that this package brings are in zsad_core/backbones.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import open_clip
import torch
from open_clip.model import build_model_from_openai_state_dict
from torch import Tensor

from zsad_core import backbones
from zsad_core.clip import ACTIVATIONS, PUBLISHED_RESIZE, Activation, Backbone, PositionResize
from zsad_core.errors import UsageError, ZsadError
from zsad_core.towers import OpenClip
from zsad_core.weight_files import check_archive, check_finite, first_line, read_tensors

RANDOM = "random"


_LONGEST_TEXT = 1024  # tokens; a table of pairs is made of them


def load_backbone(
    source: str,
    *,
    image_size: int | None = None,
    activation: Activation | None = None,
    position_resize: PositionResize = PUBLISHED_RESIZE,
) -> Backbone:
    """Build the backbone that `source` names (see the module's docstring), at `image_size` x `image_size` pixels.

    Without `image_size`: 518 rounded to the patch, or the input size of a backbone that ships with this package.
    `activation` replaces the backbone's own, for method checkpoints trained with another one.
    Raises UsageError for an unknown name or an image size that the patch does not divide, ZsadError for bad weights.
    """
    clip = _clip_from_file(source) if os.path.isfile(source) else _clip_by_name(source)
    if activation:
        for block in [*clip.visual.transformer.resblocks, *clip.transformer.resblocks]:
            block.mlp.gelu = ACTIVATIONS[activation]()
    return Backbone(clip, source, image_size, position_resize)


def backbone_names() -> list[str]:
    """Every `ARCHITECTURE:WEIGHTS` that can be used, this package's own first, then open_clip's."""
    pretrained = [
        f"{name}:{tag}" for name, tag in open_clip.list_pretrained() if _is_usable(open_clip.get_model_config(name))
    ]
    own = [f"{name}:{tag}" for name in backbones.names() for tag in (*backbones.tags(name), RANDOM)]
    return own + pretrained


def _is_usable(config: dict) -> bool:
    vision, text = config["vision_cfg"], config["text_cfg"]
    plain = not any(key in vision for key in ("timm_model_name", "attentional_pool", "pool_type", "no_ln_pre"))
    clip_text = not any(key in text for key in ("hf_model_name", "hf_tokenizer_name", "pool_type", "embed_cls"))
    return (
        plain
        and clip_text
        and not config.get("custom_text")
        and "multimodal_cfg" not in config
        and isinstance(vision["layers"], int)
        and text.get("vocab_size", 49408) == 49408
        and text["width"] == config["embed_dim"]
    )


def _clip_by_name(source: str) -> OpenClip:
    name, _, weights = source.partition(":")
    if name in backbones.names():
        return _own_clip(source, name, weights)
    if name not in open_clip.list_models():
        raise UsageError(f"{source}: neither a file nor a backbone by name; `zsad ls backbones` lists the names")
    if not _is_usable(open_clip.get_model_config(name)):
        raise UsageError(
            f"{name}: not a ViT with CLIP's own text tower of the embedding's width; "
            "`zsad ls backbones` lists those that work"
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if weights == RANDOM:
        with torch.random.fork_rng(devices=[]), _open_clip_quiet():
            torch.manual_seed(0)
            return open_clip.create_model(name, pretrained=None)
    if weights not in tags and not os.path.isfile(weights):
        known = ", ".join([*tags, "a file", f"{RANDOM} (untrained)"])
        raise UsageError(f"{source}: no such weights; write {name}:WEIGHTS with one of {known}")
    if os.path.isfile(weights):
        check_archive(weights)
    # open_clip only warns where a tag's weights want QuickGELU and the plain architecture has GELU.
    quick_gelu = bool((open_clip.get_pretrained_cfg(name, weights) or {}).get("quick_gelu"))
    try:
        with _open_clip_quiet():
            return open_clip.create_model(name, pretrained=weights, force_quick_gelu=quick_gelu)
    except Exception as error:  # network, hub and checkpoint failures of any kind
        raise ZsadError(
            f"{source}: its weights could not be had ({first_line(error)}); with the file at hand: "
            f"--backbone {name}:FILE"
        ) from error


def _own_clip(source: str, name: str, weights: str) -> OpenClip:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip = backbones.build(name)
    if weights == RANDOM:
        return clip
    file = backbones.tags(name).get(weights, weights)
    if not os.path.isfile(file):
        known = ", ".join([*backbones.tags(name), "a file", f"{RANDOM} (untrained)"])
        raise UsageError(f"{source}: no such weights; write {name}:WEIGHTS with one of {known}")
    try:
        clip.load_state_dict(tensors := read_tensors(file))
    except RuntimeError as error:
        raise ZsadError(f"{file}: its tensors do not fit {name} ({first_line(error)})") from None
    check_finite(file, tensors)
    return clip


def _clip_from_file(path: str) -> OpenClip:
    state = read_tensors(path)
    if isinstance(state.get("state_dict"), dict):  # as open_clip's training script saves it
        state = {str(key).removeprefix("module."): value for key, value in state["state_dict"].items()}
    state = {
        str(key): value
        for key, value in state.items()
        if key not in ("input_resolution", "context_length", "vocab_size")
    }
    needed = ["visual.proj", "visual.conv1.weight", "visual.positional_embedding", "token_embedding.weight",
              "positional_embedding", "ln_final.weight", "text_projection"]  # fmt: skip
    missing = [key for key in needed if key not in state]
    if missing:
        kind = (
            "a ResNet's, and only ViTs work"
            if "visual.attnpool.positional_embedding" in state
            else "lacking " + ", ".join(missing)
        )
        raise ZsadError(f"{path}: not the state dict of a CLIP ViT in OpenAI's format ({kind})")
    check_finite(path, state)
    try:
        _check_widths(state)
        clip = build_model_from_openai_state_dict(dict(state), quick_gelu=True).float()
        clip.load_state_dict(state)  # once more: the builder rounds everything to half precision
    except Exception as error:  # noqa: BLE001, the builder trusts its tensors
        raise ZsadError(f"{path}: its tensors do not form a CLIP ViT ({first_line(error)})") from None
    return clip


def _check_widths(state: Mapping[str, Tensor]) -> None:
    """Raises ValueError where the model that the builder would make is larger than the tensors that ask for it."""
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    vision, _, _, patch = shapes["visual.conv1.weight"]
    (text,) = shapes["ln_final.weight"]
    _, embedding = shapes["text_projection"]
    wanted = {
        "visual.conv1.weight": (vision, 3, patch, patch),
        "visual.proj": (vision, embedding),
        "visual.positional_embedding": (shapes["visual.positional_embedding"][0], vision),
        "token_embedding.weight": (shapes["token_embedding.weight"][0], text),
        "positional_embedding": (min(shapes["positional_embedding"][0], _LONGEST_TEXT), text),
        "text_projection": (text, embedding),
    }
    for tower, size in (("visual.transformer.resblocks", vision), ("transformer.resblocks", text)):
        blocks = {key.split(".")[tower.count(".") + 1] for key in state if key.startswith(tower)}
        wanted |= {f"{tower}.{block}.attn.in_proj_weight": (3 * size, size) for block in blocks or "0"}
    for key, shape in wanted.items():
        if shapes.get(key) != shape:
            raise ValueError(f"{key} is {shapes.get(key)}, not {shape}")


class _open_clip_quiet:
    """Keeps open_clip's remarks (no weights loaded, sizes resized) from the user: what matters is said by us."""

    def __enter__(self) -> None:
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._level)
