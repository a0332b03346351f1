"""The backbones that this package brings: open_clip ViTs with a convolutional stem and a shortened CLIP vocabulary.

Each is a `<name>.json` (open_clip's configuration and `stem`) and weights `<name>-<tag>.safetensors`.
"""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

FOLDER = Path(__file__).parent
BYTE_TOKENS = 512  # a token for every byte, within a word and at its end
SPECIAL_TOKENS = 2  # start and end of text


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.json"))


def tags(name: str) -> dict[str, str]:
    """Tag -> file of the weights that this package brings for the backbone `name`."""
    return {file.stem.removeprefix(f"{name}-"): str(file) for file in sorted(FOLDER.glob(f"{name}-*.safetensors"))}


def build(name: str) -> open_clip.CLIP:
    """The open_clip model of the own backbone `name`, with fresh weights."""
    config = _config(name)
    clip = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])
    clip.visual.conv1 = Stem(config["stem"], config["vision_cfg"]["width"])
    return clip


def input_size(name: str) -> int:
    """The side in pixels at which the own backbone `name` was trained, and is used by default."""
    return _config(name)["vision_cfg"]["image_size"]


def _config(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


class Stem(nn.Module):
    """Convolutions of (channels, stride), overlapping and normalised, in place of the patch embedding.

    A plain patch embedding learned nothing in the time that a small machine has; convolutions learn at once (Xiao et
    al., "Early convolutions help transformers see better", 2021). Each channel is normalised over its own image, so a
    feature says how unusual it is there; of the normalisations tried (one group, groups of 8, batch) that one learned
    to find damage by far the fastest. What it takes away, the colours as such, comes in again at the end.
    """

    def __init__(self, plan: list[tuple[int, int]], width: int):
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels, stride in plan:
            convolution = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
            layers += [convolution, nn.GroupNorm(channels, channels), nn.GELU()]
            before = channels
        self.layers = nn.Sequential(*layers)
        self.project = nn.Conv2d(before + 3, width, 1)
        self.stride = math.prod(stride for _, stride in plan)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, width, S / stride, S / stride)."""
        colours = F.avg_pool2d(images, self.stride)
        return self.project(torch.cat([self.layers(images), colours], dim=1))


def tokenizer(vocabulary: int, context_length: int) -> open_clip.SimpleTokenizer:
    """CLIP's byte-pair tokenizer with only the first merges, as many as a vocabulary of that size holds.

    Rare words fall into more and shorter pieces, so any text can still be encoded.
    """
    full = open_clip.SimpleTokenizer(context_length=context_length)
    if vocabulary == full.vocab_size:
        return full
    merges = vocabulary - BYTE_TOKENS - SPECIAL_TOKENS
    words = [*islice(full.encoder, BYTE_TOKENS + merges), *list(full.encoder)[-SPECIAL_TOKENS:]]
    full.encoder = {word: number for number, word in enumerate(words)}
    full.decoder = {number: word for word, number in full.encoder.items()}
    full.bpe_ranks = dict(islice(full.bpe_ranks.items(), merges))
    full.vocab_size = vocabulary
    full.sot_token_id, full.eot_token_id = vocabulary - 2, vocabulary - 1
    full.all_special_ids = [full.sot_token_id, full.eot_token_id]
    return full
