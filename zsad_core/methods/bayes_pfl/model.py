"""Bayes-PFL (Qu et al., "Bayesian Prompt Flow Learning for Zero-Shot Anomaly Detection", CVPR 2025): the model.

Many images at once, all prompt samples together. D: embedding width, V: vision width, N: patches, R: samples,
T = (bank size) x R: prompt pairs of an image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsad_core.anomaly_map import upsampled_probability
from zsad_core.clip import Backbone
from zsad_core.methods.base import Method, Prediction
from zsad_core.methods.bayes_pfl.flow import AgnosticFlow, FlowSample, GaussianEncoder, ImageFlow
from zsad_core.noise import standard_normal
from zsad_core.pixels import to_device

LAYERS = 4
HEADS = 4


class Noise(NamedTuple):
    """Standard normal noise: `context` (B, R, D), an image each; `normal` and `abnormal` (R, D), one for all images."""

    context: Tensor
    normal: Tensor
    abnormal: Tensor


class PromptSamples(NamedTuple):
    """Samples of the three flows: `context` an image each, `normal` and `abnormal` one batch entry for all images."""

    context: FlowSample
    normal: FlowSample
    abnormal: FlowSample


class PromptBank(nn.Module):
    """Learned prompts: `context` (bank, P, D), `normal` and `abnormal` states (bank, Q, D)."""

    def __init__(self, width: int, bank: int = 3, context_length: int = 5, state_length: int = 5):
        super().__init__()
        self.context, self.normal, self.abnormal = (
            nn.Parameter(nn.init.trunc_normal_(torch.empty(bank, length, width), mean=mean, std=0.02, a=-2, b=2))
            for length, mean in ((context_length, 0.0), (state_length, 0.5), (state_length, -0.5))
        )


class ResidualCrossModalAttention(nn.Module):
    """Text features that look at one layer's patches: t + attention(t, patches), keys and values being the patches."""

    def __init__(self, width: int, vision_width: int):
        super().__init__()
        self.query = nn.Linear(width, width)
        self.patch_projections = nn.ModuleList(nn.Linear(vision_width, width, bias=False) for _ in range(LAYERS))

    def forward(self, text: Tensor, tokens: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """text (B, M, D), tokens (B, N, V) -> normalised text (B, M, D) and normalised patches (B, N, D)."""
        batch, _, width = text.shape
        patches = F.normalize(self.patch_projections[layer](tokens), dim=-1)
        queries, keys = (x.view(batch, -1, HEADS, width // HEADS).transpose(1, 2) for x in (self.query(text), patches))
        keys = keys.contiguous()
        # The published scale is that of the full width, not of one head's. Two products, since so few queries take less
        # time than in a fused attention.
        attended = (queries * width**-0.5 @ keys.transpose(2, 3)).softmax(dim=-1) @ keys
        return F.normalize(text + attended.transpose(1, 2).flatten(2), dim=-1), patches


class PatchFusion(nn.Module):
    """The patches of all layers as one vector: a mean over patches weighted by a learned attention."""

    def __init__(self, width: int, vision_width: int):
        super().__init__()
        self.merge = nn.Linear(LAYERS * vision_width, vision_width // 2)
        self.weigh = nn.Linear(vision_width // 2, 1)
        self.project = nn.Linear(vision_width // 2, width)

    def forward(self, tokens: Sequence[Tensor]) -> Tensor:
        """LAYERS x (B, N, V) -> (B, D)."""
        of_layers = zip(tokens, self.merge.weight.chunk(LAYERS, dim=1))  # their tokens are never copied side by side
        merged = sum(F.linear(each, weight) for each, weight in of_layers) + self.merge.bias
        weights = self.weigh(merged).softmax(dim=1)
        return self.project((weights * merged).sum(dim=1))


class BayesPFL(Method):
    """Prompt distributions over a frozen CLIP. `fused_image_score`: the image score of stage 2, which released
    checkpoints have; without it, that of stage 1."""

    def __init__(self, backbone: Backbone, samples: int = 10, fused_image_score: bool = True):
        super().__init__()
        width, vision_width = backbone.embed_dim, backbone.vision_width
        self.samples, self.fused_image_score = samples, fused_image_score
        self.bank = PromptBank(width)
        self.context_encoder = GaussianEncoder(width, vision_width // 2)
        self.state_encoder = GaussianEncoder(width, vision_width // 2)
        self.context_flow = ImageFlow(width)
        self.normal_flow = AgnosticFlow(width)
        self.abnormal_flow = AgnosticFlow(width)
        self.attention = ResidualCrossModalAttention(width, vision_width)
        self.fusion = PatchFusion(width, vision_width)
        self.text_mapping = nn.Linear(width, width)
        self.image_mapping = nn.Linear(width, width)
        self.pixel_temperature = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.image_temperature = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.apply(_initialise)
        self.backbone = backbone

    def compile_kernels(self) -> None:
        super().compile_kernels()
        if self.pixel_temperature.is_cuda:
            setattr(self, "anomaly_map", torch.compile(self.anomaly_map, dynamic=False))  # noqa: B010, a method

    def draw_noise(self, seed: int, image_sha256s: Sequence[str]) -> Noise:
        device, shape = self.pixel_temperature.device, (self.samples, self.backbone.embed_dim)
        context = np.stack([standard_normal(shape, seed, "context", sha256) for sha256 in image_sha256s])
        normal, abnormal = (standard_normal(shape, seed, state) for state in ("normal", "abnormal"))
        return Noise(*(to_device(x, device) for x in (context, normal, abnormal)))

    def forward(self, images: Tensor, prompts: Sequence[str], noise: Noise, options: Mapping[str, float]) -> Prediction:
        tokens, feature = self.backbone.encode_images(images)
        text = self.text_features(feature, prompts, noise)
        scores = self.pair_scores(text, tokens, feature)
        if not self.keeps_samples:
            return Prediction(scores.mean(dim=1), self.anomaly_map(text, tokens))
        maps = images.new_zeros(len(images), self.samples, self.image_size, self.image_size)
        anomaly_map = self.anomaly_map(text, tokens, maps)
        return Prediction(scores.mean(dim=1), anomaly_map, scores.unflatten(1, (self.samples, -1)).mean(dim=2), maps)

    def text_features(self, feature: Tensor, prompts: Sequence[str], noise: Noise) -> Tensor:
        """Normalised text features (B, 2, T, D), normal before abnormal; sample outer, bank inner along T."""
        return self.encode_prompts(prompts, self.sample_flows(feature, noise))

    def sample_flows(self, feature: Tensor, noise: Noise) -> PromptSamples:
        """What the flows make of image features (B, D) and noise."""
        return PromptSamples(
            self.context_flow(self.context_encoder, feature, noise.context),
            self.normal_flow(self.state_encoder, noise.normal),
            self.abnormal_flow(self.state_encoder, noise.abnormal),
        )

    def encode_prompts(self, prompts: Sequence[str], samples: PromptSamples, of_bank: slice = slice(None)) -> Tensor:
        """Normalised text features (B, 2, T, D) of the bank's prompts `of_bank`, moved by the flows' samples."""
        context = self.bank.context[of_bank] + samples.context.z[:, :, None, None]  # (B, R, bank, P, D)
        state = torch.stack(
            [
                self.bank.normal[of_bank] + samples.normal.z[0, :, None, None],
                self.bank.abnormal[of_bank] + samples.abnormal.z[0, :, None, None],
            ]
        )  # (2, R, bank, Q, D)

        batch, count, bank, _, width = context.shape
        ids, ends = self.backbone.tokenize([f"X {prompt}".lower() for prompt in prompts])
        words = self.backbone.embed_tokens(ids.to(context.device, non_blocking=True))
        first, rest = words[:, :1], words[:, 2:]  # between them the placeholder X, for which what is learned stands
        pairs = (batch, count, bank)
        start = torch.cat([first[:, None, None].expand(*pairs, -1, width), context], dim=-2)
        states = state.permute(1, 2, 0, 3, 4).expand(*pairs, 2, -1, width)
        branches = torch.cat([states, rest[:, None, None, None].expand(*pairs, 2, -1, width)], dim=-2)
        ends = (ends - 2 + state.shape[3]).repeat_interleave(count * bank)[:, None].expand(-1, 2)
        text = self.backbone.encode_texts(start.flatten(0, 2), branches.flatten(0, 2), ends)
        return F.normalize(text, dim=-1).view(batch, count * bank, 2, width).transpose(1, 2)

    def image_score(self, text: Tensor, tokens: Sequence[Tensor], feature: Tensor) -> Tensor:
        """Mean over the pairs of the abnormal probability of the whole image, (B,) in [0, 1]."""
        return self.pair_scores(text, tokens, feature).mean(dim=1)

    def pair_scores(self, text: Tensor, tokens: Sequence[Tensor], feature: Tensor) -> Tensor:
        """The abnormal probability of the whole image by each pair, (B, T) in [0, 1]."""
        image = self.fused_feature(tokens, feature) if self.fused_image_score else feature
        return (self.image_temperature.exp() * self.contrast(text, image)).float().sigmoid()

    def fused_feature(self, tokens: Sequence[Tensor], feature: Tensor) -> Tensor:
        """Stage 2's image feature (B, D): with what the patches of all layers add to it."""
        return self.image_mapping(feature + self.fusion(tokens))

    def contrast(self, text: Tensor, image: Tensor) -> Tensor:
        """How much nearer `image` (B, D) is to the abnormal text of each pair than to the normal one, (B, T)."""
        text, image = F.normalize(self.text_mapping(text), dim=-1), F.normalize(image, dim=-1)
        similarity = torch.einsum("bstd,bd->bst", text, image)
        return similarity[:, 1] - similarity[:, 0]

    def anomaly_map(self, text: Tensor, tokens: Sequence[Tensor], samples: Tensor | None = None) -> Tensor:
        """Mean over layers and pairs of the abnormal probability of each pixel, (B, S, S) in [0, 1].

        `samples` (B, R, S, S), zeros: becomes the same of each prompt sample.
        """
        maps = (self.layer_map(text, layer_tokens, layer, samples) for layer, layer_tokens in enumerate(tokens))
        anomaly_map = reduce(torch.add, maps) / len(tokens)
        if samples is not None:
            samples /= len(tokens)
        return anomaly_map

    def layer_map(self, text: Tensor, tokens: Tensor, layer: int, samples: Tensor | None = None) -> Tensor:
        """Mean over the pairs of the abnormal probability of each pixel at one layer, (B, S, S) in [0, 1].

        That of each prompt sample is added to `samples` (B, R, S, S).
        """
        batch, _, pairs, _ = text.shape
        aligned, patches = self.attention(text.flatten(1, 2), tokens, layer)
        # A softmax over two is a sigmoid of their difference, and upsampling is linear: only differences go on.
        difference = aligned[:, pairs:] - aligned[:, :pairs]
        logits = self.pixel_temperature.exp() * difference @ patches.transpose(1, 2)
        grid = self.backbone.grid
        return upsampled_probability(logits.float().view(batch, pairs, grid, grid), self.backbone.image_size, samples)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
