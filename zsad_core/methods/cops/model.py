"""CoPS (Chen et al., "CoPS: Conditional Prompt Synthesis for Zero-Shot Anomaly Detection", 2025): the model.

Many images at once, all prompt samples together. D: embedding width, N: patches, R: samples, K: prototypes of a state.
States come in the order normal, abnormal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from zsad_core import towers
from zsad_core.anomaly_map import nearest_upsampled
from zsad_core.clip import Backbone
from zsad_core.errors import UsageError
from zsad_core.methods.base import Method, Prediction
from zsad_core.noise import standard_normal
from zsad_core.pixels import to_device

PROTOTYPES = 6  # of each state, each of which moves one of the state vectors
CONTEXT_LENGTH = 6
CLASS_LENGTH = 2
DEEP_BLOCKS = 8  # text blocks with prompts of their own, from the second on
DEEP_LENGTH = 4
HEADS = 12
OTHER_HEAD_WIDTH = 32
TEMPERATURE = 0.07


class Prototypes(nn.Module):
    """What an image looks like where it is normal, and where not: learned queries that have looked at its patches."""

    def __init__(self, width: int):
        super().__init__()
        self.normal, self.abnormal = (_vectors(PROTOTYPES, width) for _ in range(2))
        # Published are 12 heads; a width that they do not divide has heads of 32.
        heads = HEADS if width % HEADS == 0 else width // OTHER_HEAD_WIDTH
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, width), QuickGELU(), nn.Linear(width, width))

    def forward(self, patches: Tensor) -> Tensor:
        """Patches (B, N, D), not normalised, to prototypes (B, 2, K, D)."""
        queries = torch.cat([self.normal, self.abnormal])[None]
        (asking,) = towers.projected(self.attention, self.attention_norm(queries), towers.QUERIES)
        keys, values = towers.projected(self.attention, self.attention_norm(patches), towers.KEYS_AND_VALUES)
        x = queries + towers.attended(self.attention, asking.expand(len(patches), -1, -1, -1), keys, values)
        return (x + self.mlp(self.mlp_norm(x))).unflatten(1, (2, PROTOTYPES))


class Prompts(nn.Module):
    """Learned vectors: `normal` and `abnormal`, each (14, D), stand for the words of a state's prompt, 6 of context, 6
    of state, 2 of class. `deep`: for each text block from the second on (4, D), what enters it at places 1 to 4."""

    def __init__(self, width: int, deep_blocks: int):
        super().__init__()
        self.normal, self.abnormal = (_vectors(CONTEXT_LENGTH + PROTOTYPES + CLASS_LENGTH, width) for _ in range(2))
        self.deep = nn.ParameterList(_vectors(DEEP_LENGTH, width) for _ in range(deep_blocks))

    def forward(self, prototypes: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Prototypes (B, 2, K, D) and R class vectors (B, R, D) to a prompt's words: what its R samples have in common
        (B, 2, 12, D), and the class words of each (B, 2, R, 2, D)."""
        learned = torch.stack([self.normal, self.abnormal])
        context, state, classes_of = learned.split([CONTEXT_LENGTH, PROTOTYPES, CLASS_LENGTH], dim=1)
        # The prototypes of each state move the other's prompt: so it is in the released program.
        state = state + prototypes.flip(1)
        common = torch.cat([context.expand(len(state), -1, -1, -1), state], dim=2)
        return common, classes_of[:, None] + classes[:, None, :, None]


class VaeEncoder(nn.Module):
    """Image features (B, D) to mean and log-variance (B, D) of what the decoder makes class vectors of; for
    training."""

    def __init__(self, width: int):
        super().__init__()
        self.hidden, self.mean, self.log_variance = (nn.Linear(width, width) for _ in range(3))

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(feature).relu()
        return self.mean(hidden), self.log_variance(hidden)


class CoPS(Method):
    """Prompts made of what an image's patches are like, over a frozen CLIP; class names are not read."""

    training_only = ("vae_encoder.",)

    def __init__(self, backbone: Backbone, samples: int = 10):
        super().__init__()
        width = backbone.embed_dim
        self.samples = samples
        self.prototypes = Prototypes(width)
        self.prompts = Prompts(width, min(DEEP_BLOCKS, len(backbone.clip.transformer.resblocks) - 1))
        self.vae_encoder = VaeEncoder(width)
        self.vae_decoder = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.backbone = backbone

    def draw_noise(self, seed: int, image_sha256s: Sequence[str]) -> Tensor:
        """Standard normal, (B, R, D)."""
        shape = (self.samples, self.backbone.embed_dim)
        noise = np.stack([standard_normal(shape, seed, "vae", sha256) for sha256 in image_sha256s])
        return to_device(noise, self.prototypes.normal.device)

    def forward(
        self, images: Tensor, prompts: Sequence[str], noise: Tensor, options: Mapping[str, float]
    ) -> Prediction:
        """See Method. `noise` (B, R, D). Raises UsageError for an option that cannot be."""
        alpha, beta, pooling = (options[name] for name in ("alpha", "beta", "pooling"))
        for name in ("alpha", "beta"):
            if not 0 <= options[name] <= 1:
                raise UsageError(f"{name} {options[name]:g}: it lies between 0 and 1")
        tokens, feature = self.backbone.encode_two_paths(images)
        patches = neighbourhood_mean(tokens, pooling)
        prototypes = self.prototypes(patches)
        text = self.text_features(prototypes, noise)
        patch_map = self.patch_map(text, patches, prototypes, alpha)
        score = beta * probability(text, feature[:, None])[:, 0] + (1 - beta) * patch_map.amax(dim=1)
        return Prediction(score, nearest_upsampled(patch_map, self.image_size))

    def text_features(self, prototypes: Tensor, latents: Tensor) -> Tensor:
        """Normalised text features (B, 2, D) of an image's prototypes (B, 2, K, D) and R latents (B, R, D)."""
        common, classes = self.prompts(prototypes, self.vae_decoder(latents))
        ids, _ = self.backbone.tokenize(["."])
        first, *rest = self.backbone.embed_tokens(ids.to(latents.device, non_blocking=True))[
            0
        ]  # start of text; full stop, end of text
        shape = (*common.shape[:2], latents.shape[1])  # B, 2, R
        start = torch.cat([first.expand(*shape[:2], 1, -1), common], dim=2)
        branches = torch.cat([classes, torch.stack(rest).expand(*shape, -1, -1)], dim=3)
        ends = torch.full((shape[0] * 2, shape[2]), branches.shape[3] - 1)
        # Rounded as in the released program, which has them in float16, and their gradients of each text.
        deep = [vectors.expand(shape[0] * 2, -1, -1).half().float() for vectors in self.prompts.deep]
        text = self.backbone.encode_texts(start.flatten(0, 1), branches.flatten(0, 1), ends, deep)
        return F.normalize(F.normalize(text, dim=-1).mean(dim=1), dim=-1).unflatten(0, shape[:2])

    def patch_map(self, text: Tensor, patches: Tensor, prototypes: Tensor, alpha: float) -> Tensor:
        """How anomalous each patch is, (B, N) in [0, 1]: by the text, times by the distances from the prototypes."""
        from_normal, from_abnormal = (minmax(each) for each in distances(patches, prototypes).unbind(1))
        return probability(text, patches) * (alpha * from_normal + (1 - alpha) * (1 - from_abnormal))


def neighbourhood_mean(patches: Tensor, side: float) -> Tensor:
    """Patches (B, N, D) of a square grid, each the mean of the `side` x `side` around it; beyond the border lie zeros.

    Raises UsageError for a side that is no odd whole number.
    """
    if side < 1 or side % 2 != 1:
        raise UsageError(f"pooling {side:g}: it is an odd number of patches, at least 1")
    batch, count, width = patches.shape
    grid = round(count**0.5)
    maps = patches.transpose(1, 2).view(batch, width, grid, grid)
    return F.avg_pool2d(maps, int(side), stride=1, padding=int(side) // 2).flatten(2).transpose(1, 2)


def contrast(text: Tensor, x: Tensor) -> Tensor:
    """How much nearer each of x (B, M, D) is to the abnormal text (B, 2, D) than to the normal one, (B, M), as logits.

    A softmax over two is a sigmoid of their difference.
    """
    return (F.normalize(x, dim=-1) @ (text[:, 1] - text[:, 0])[..., None])[..., 0] / TEMPERATURE


def probability(text: Tensor, x: Tensor) -> Tensor:
    """How likely each of x (B, M, D) is abnormal by the text (B, 2, D), (B, M)."""
    return contrast(text, x).sigmoid()


def distances(patches: Tensor, prototypes: Tensor) -> Tensor:
    """1 - cosine of each patch (B, N, D) and the nearest of each state's prototypes (B, 2, K, D): (B, 2, N)."""
    cosines = F.normalize(prototypes, dim=-1) @ F.normalize(patches, dim=-1)[:, None].transpose(-1, -2)
    return 1 - cosines.amax(dim=2)


def minmax(x: Tensor) -> Tensor:
    """x (B, N) from 0 to 1, each image on its own; 0 where all are equal."""
    lowest, highest = x.aminmax(dim=1, keepdim=True)
    span = highest - lowest
    return (x - lowest) / torch.where(span == 0, 1, span)


def _vectors(count: int, width: int) -> nn.Parameter:
    return nn.Parameter(nn.init.normal_(torch.empty(count, width), std=0.02))
