"""CLIP asked in hand-written words, a baseline that learns nothing: is this a flawless or a damaged one?

The ensemble of prompts follows WinCLIP (Jeong et al., CVPR 2023), without its windows. Ordinary patches serve best with
the shipped backbone (pixel AUROC 0.90 on the miniatures, 0.80 by V-V attention), which learned to find damage; those of
OpenAI's weights are known to locate poorly, and want `--option value-attention=1`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad_core.anomaly_map import upsampled_probability
from zsad_core.clip import Backbone
from zsad_core.clip_loading import load_backbone
from zsad_core.methods.base import Method, Option, Prediction, Protocol

PROTOCOL = Protocol(image_score="text", smoothing_sigma=8.0, top_k=1, top_k_small_defect=1)
OPTIONS = {
    "value-attention": Option(
        0, {}, "1 takes patches from a second path of V-V attention, as CoPS does; 0 the ordinary"
    )
}
# That of CoPS, too. Images are ordered as by CLIP's own 0.01, but maps saturate less before they are smoothed: on the
# miniatures, with the shipped backbone, their pixel AP is 0.43 where it would be 0.38.
TEMPERATURE = 0.07

NORMAL = (
    "{}", "flawless {}", "perfect {}", "unblemished {}", "{} without flaw", "{} without defect", "{} without damage",
)  # fmt: skip
ANOMALOUS = ("damaged {}", "{} with flaw", "{} with defect", "{} with damage")
TEMPLATES = (
    "a photo of a {}.", "a photo of the {}.", "a photo of one {}.", "a photo of a small {}.", "a photo of a large {}.",
    "a good photo of a {}.", "a bad photo of a {}.", "a bright photo of a {}.", "a dark photo of a {}.",
    "a blurry photo of a {}.", "a black and white photo of a {}.", "a low resolution photo of a {}.",
    "a cropped photo of a {}.", "a cropped photo of the {}.", "a close-up photo of a {}.",
    "a close-up photo of the {}.", "a jpeg corrupted photo of a {}.", "a photo of my {}.", "this is a {} in the scene.",
    "there is a {} in the scene.",
)  # fmt: skip
NAMES_KEPT = 256  # whose text features are kept: more than the categories of all benchmarks


def build(backbone: str, checkpoint: str, image_size: int | None, samples: int) -> ClipEnsemble:
    """The method on `backbone`; it has no checkpoint, and nothing in it is random."""
    return ClipEnsemble(load_backbone(backbone, image_size=image_size)).eval()


class ClipEnsemble(Method):
    """Whole image and patches of a frozen CLIP, compared with the mean text of either state."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone
        self.states = lru_cache(NAMES_KEPT)(self._states)  # they depend on the name alone

    def draw_noise(self, seed: int, image_sha256s: Sequence[str]) -> None:
        """Nothing is random."""

    def forward(self, images: Tensor, prompts: Sequence[str], noise: None, options: Mapping[str, float]) -> Prediction:
        tokens, feature = self.backbone.encode_images(images)
        if options["value-attention"]:
            patches = self.backbone.encode_two_paths(images).patches
        else:
            patches = self.backbone.project(tokens[-1])
        normal, anomalous = torch.stack([self.states(prompt) for prompt in prompts]).unbind(1)
        # A softmax over two is a sigmoid of their difference.
        difference = (anomalous - normal)[..., None] / TEMPERATURE
        score = (F.normalize(feature, dim=-1)[:, None] @ difference).sigmoid()
        logits = (F.normalize(patches, dim=-1) @ difference).view(-1, 1, self.backbone.grid, self.backbone.grid)
        return Prediction(score[:, 0, 0], upsampled_probability(logits, self.image_size))

    def _states(self, name: str) -> Tensor:
        """(2, D): the normalised mean text feature of a normal and of an anomalous thing called `name`."""
        means = [self.encode(prompts_of(states, name)).mean(dim=0) for states in (NORMAL, ANOMALOUS)]
        return F.normalize(torch.stack(means), dim=-1)

    def encode(self, texts: list[str]) -> Tensor:
        """Normalised text features (M, D)."""
        ids, ends = self.backbone.tokenize(texts)
        words = self.backbone.embed_tokens(ids.to(self.backbone.clip.text_projection.device))
        # Each is the one branch behind a beginning of one token.
        features = self.backbone.encode_texts(words[:, :1], words[:, None, 1:], ends[:, None] - 1)
        return F.normalize(features[:, 0], dim=-1)


def prompts_of(states: Sequence[str], name: str) -> list[str]:
    """Every template with every state of `name`."""
    return [template.format(state.format(name)) for state in states for template in TEMPLATES]
