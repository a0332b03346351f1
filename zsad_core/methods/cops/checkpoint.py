"""CoPS's checkpoints: the facts of our own; the authors', whose names and shapes are translated both ways."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from zsad_core.clip import Activation
from zsad_core.errors import ZsadError
from zsad_core.methods import weights
from zsad_core.methods.cops.model import CoPS

NAME = "cops"
RELEASED_ACTIVATION: Activation = "quick_gelu"  # of the authors' program, whose backbone is OpenAI's

# Ours: theirs, by prefix.
PREFIXES = {
    "prompts.normal": "ctx_pos",
    "prompts.abnormal": "ctx_neg",
    "prompts.deep": "compound_prompts_text",
    "prototypes.normal": "t_n",
    "prototypes.abnormal": "t_a",
    "prototypes.attention_norm": "extractor.ln_1",
    "prototypes.attention": "extractor.attn",
    "prototypes.mlp_norm": "extractor.ln_2",
    "prototypes.mlp.0": "extractor.mlp.c_fc",
    "prototypes.mlp.2": "extractor.mlp.c_proj",
    "vae_encoder.hidden": "vae_encoder.net.0",
    "vae_encoder.mean": "vae_encoder.mean",
    "vae_encoder.log_variance": "vae_encoder.log_var",
    "vae_decoder.0": "vae_decoder.net.0",
    "vae_decoder.2": "vae_decoder.net.2",
}
# Their tensors' further axes of length one, by our names.
AXES = {"prompts.normal": (None, None), "prompts.abnormal": (None, None)}


def facts_of(model: CoPS, auxiliary: str, training: dict, options: Mapping[str, float] | None = None) -> dict:
    """The facts of a checkpoint of `model` (see zsad_core.checkpoints.FACTS); its training has one stage."""
    return weights.facts_of(NAME, model, 1, auxiliary, training, options)


def load_released(model: CoPS, path: str) -> None:
    """Copy the weights of the authors' checkpoint `path` into `model`; they publish no VAE encoder.

    Raises ZsadError when the file is none, lacks tensors, or was made for a backbone of other widths.
    """
    weights.load_released(model, path, "CoPS", "prompt_learner", their_name)


def save_released(model: CoPS, path: str) -> None:
    """Write the weights as the authors' program reads them. Raises ZsadError where the activation is not theirs."""
    if model.backbone.activation != RELEASED_ACTIVATION:
        raise ZsadError(
            f"{path}: cannot be written: it was trained with {model.backbone.activation}, the authors' program "
            f"knows {RELEASED_ACTIVATION} alone"
        )
    ours = weights.method_state(model)
    theirs = {their_name(key): value.detach().cpu()[AXES.get(key, ...)] for key, value in ours.items()}
    torch.save({"prompt_learner": theirs}, path)


def their_name(key: str) -> str:
    """The authors' name of our tensor `key`."""
    prefix = next(prefix for prefix in PREFIXES if key == prefix or key.startswith(prefix + "."))
    return PREFIXES[prefix] + key[len(prefix) :]
