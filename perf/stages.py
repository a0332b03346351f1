"""The stages that each method scores a batch in, and by formula the FLOP that an image needs in each: two for a
multiplication with addition, of matrix products alone, without those of flows and of upsampling."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad_core.anomaly_map import nearest_upsampled, upsampled_probability
from zsad_core.clip import Backbone
from zsad_core.methods.base import Prediction
from zsad_core.methods.bayes_pfl.model import LAYERS, BayesPFL, Noise
from zsad_core.methods.clip_ensemble import TEMPERATURE, ClipEnsemble
from zsad_core.methods.cops.model import (
    CLASS_LENGTH,
    CONTEXT_LENGTH,
    PROTOTYPES,
    CoPS,
    neighbourhood_mean,
    probability,
)

Stages = Generator[str, None, Prediction]  # does what Method.forward does; says after each stage which it was


def bayes_pfl(
    model: BayesPFL, images: Tensor, prompts: Sequence[str], noise: Noise, options: Mapping[str, float]
) -> Stages:
    tokens, feature = model.backbone.encode_images(images)
    yield "image tower"
    text = model.text_features(feature, prompts, noise)
    yield "text tower"
    anomaly_map = model.anomaly_map(text, tokens)
    yield "map"
    score = model.image_score(text, tokens, feature)
    yield "image score"
    return Prediction(score, anomaly_map)


def bayes_pfl_flop(model: BayesPFL, prompt: str) -> dict[str, int]:
    backbone = model.backbone
    patches, width, joint = backbone.grid**2, backbone.vision_width, backbone.embed_dim
    ids, _ = backbone.tokenize([f"X {prompt}"])
    bank, context_length, _ = model.bank.context.shape
    pairs = model.samples * bank
    tokens = 1 + context_length + 2 * (model.bank.normal.shape[1] + ids.shape[1] - 2)
    fusion = LAYERS * patches * width**2 + patches * width + width * joint
    return {
        "image tower": _image_tower(backbone),
        "text tower": pairs * _text_tower(backbone, tokens, texts=2),
        "map": LAYERS * (2 * patches * width * joint + 2 * pairs * (2 * joint**2 + 5 * patches * joint)),
        "image score": fusion + 2 * (2 * pairs + 1) * joint**2 + 4 * pairs * joint,
    }


def clip_ensemble(
    model: ClipEnsemble, images: Tensor, prompts: Sequence[str], noise: None, options: Mapping[str, float]
) -> Stages:
    """With the option's default, ordinary patches."""
    tokens, feature = model.backbone.encode_images(images)
    yield "image tower"
    normal, anomalous = torch.stack([model.states(prompt) for prompt in prompts]).unbind(1)
    yield "texts, kept by name"
    patches = model.backbone.project(tokens[-1])
    difference = (anomalous - normal)[..., None] / TEMPERATURE
    score = (F.normalize(feature, dim=-1)[:, None] @ difference).sigmoid()
    logits = (F.normalize(patches, dim=-1) @ difference).view(-1, 1, model.backbone.grid, model.backbone.grid)
    anomaly_map = upsampled_probability(logits, model.image_size)
    yield "map, image score"
    return Prediction(score[:, 0, 0], anomaly_map)


def clip_ensemble_flop(model: ClipEnsemble, prompt: str) -> dict[str, int]:
    """Of an image whose name was seen before: its texts need nothing."""
    backbone = model.backbone
    patches, width, joint = backbone.grid**2, backbone.vision_width, backbone.embed_dim
    return {
        "image tower": _image_tower(backbone),
        "map, image score": 2 * patches * width * joint + 2 * (patches + 1) * joint,
    }


def cops(model: CoPS, images: Tensor, prompts: Sequence[str], noise: Tensor, options: Mapping[str, float]) -> Stages:
    alpha, beta, pooling = (options[name] for name in ("alpha", "beta", "pooling"))
    tokens, feature = model.backbone.encode_two_paths(images)
    yield "image tower, two paths"
    patches = neighbourhood_mean(tokens, pooling)
    prototypes = model.prototypes(patches)
    yield "prototypes"
    text = model.text_features(prototypes, noise)
    yield "text tower"
    patch_map = model.patch_map(text, patches, prototypes, alpha)
    score = beta * probability(text, feature[:, None])[:, 0] + (1 - beta) * patch_map.amax(dim=1)
    anomaly_map = nearest_upsampled(patch_map, model.image_size)
    yield "map, image score"
    return Prediction(score, anomaly_map)


def cops_flop(model: CoPS, prompt: str) -> dict[str, int]:
    """Nothing reads the first path's patches behind the last block, nor the second path's class token."""
    backbone = model.backbone
    patches, width, joint = backbone.grid**2, backbone.vision_width, backbone.embed_dim
    tokens, depth = patches + 1, len(backbone.clip.visual.transformer.resblocks)
    second_path = depth * (4 * patches * tokens * width + 2 * patches * width**2)
    both_paths = (depth - 1) * _block(tokens, width) + _block(tokens, width, read=1) + second_path
    queries = 2 * PROTOTYPES
    start, branch = 1 + CONTEXT_LENGTH + PROTOTYPES, CLASS_LENGTH + 2  # with start of text; with full stop, end of text
    text = _text_tower(backbone, start + model.samples * branch, texts=model.samples)
    return {
        "image tower, two paths": _patch_embeddings(backbone) + both_paths + 2 * tokens * width * joint,
        "prototypes": (4 * patches + 8 * queries) * joint**2 + 4 * queries * patches * joint,
        "text tower": 2 * text + 4 * model.samples * joint**2,  # with the decoder that makes the class words
        "map, image score": 2 * (patches + 1) * joint + 2 * queries * patches * joint,
    }


def _image_tower(backbone: Backbone) -> int:
    """Every block at every token, and the feature."""
    tokens, width = backbone.grid**2 + 1, backbone.vision_width
    blocks = len(backbone.clip.visual.transformer.resblocks) * _block(tokens, width)
    return _patch_embeddings(backbone) + blocks + 2 * width * backbone.embed_dim


def _patch_embeddings(backbone: Backbone) -> int:
    return 2 * 3 * backbone.patch_size**2 * backbone.grid**2 * backbone.vision_width


def _text_tower(backbone: Backbone, tokens: int, texts: int) -> int:
    """Of `texts` that share one sequence, `tokens` long up to the last end-of-text token: blocks, and features."""
    width, depth = backbone.embed_dim, len(backbone.clip.transformer.resblocks)
    return (depth - 1) * _block(tokens, width) + _block(tokens, width, read=texts) + 2 * texts * width**2


def _block(tokens: int, width: int, read: int | None = None) -> int:
    """With what is `read` behind it, by default all tokens: the others give keys and values alone."""
    read = tokens if read is None else read
    return 4 * tokens * width**2 + 20 * read * width**2 + 4 * read * tokens * width


STAGES: dict[str, Callable] = {"bayes-pfl": bayes_pfl, "clip-ensemble": clip_ensemble, "cops": cops}
NEEDED_FLOP: dict[str, Callable] = {"bayes-pfl": bayes_pfl_flop, "clip-ensemble": clip_ensemble_flop, "cops": cops_flop}
