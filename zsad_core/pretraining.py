"""Trains the small backbone on drawn pairs: images against captions (CLIP), and every patch against what its image
should be and what is wrong with it.

Captions of whole images alone teach a model nothing of defects, which are a small part of them: so patches, of the four
layers that methods read, are matched to the flawless and the damaged text by the true masks.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, IterableDataset

from zsad_core import backbones
from zsad_core.benchmarks.drawn.lessons import Pair, pairs
from zsad_core.clip import normalised, quarter_points, text_features
from zsad_core.errors import ZsadError

WARM_UP = 150  # steps
SAVE_EVERY = 250  # steps
PEAK = 5  # the patches of an image that its peak is the mean of
CAPTIONS_SHARE = 0.25  # of both directions of the caption loss, which would drown that of the patches
MASK_SIZE = 64  # patches are compared with the mask at this size


@dataclass(frozen=True)
class PretrainingSettings:
    """pairs: a batch, so twice as many images. learning_rate: the highest of a cosine with warm-up."""

    backbone: str = "zsad-small"
    steps: int = 2600
    pairs: int = 24
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    seed: int = 0
    bfloat16: bool = True


class Objective(nn.Module):
    """A backbone's open_clip model with the heads that are needed in training only."""

    def __init__(self, name: str):
        super().__init__()
        self.clip = backbones.build(name)
        visual = self.clip.visual
        width, embed_dim = visual.transformer.width, self.clip.text_projection.shape[1]
        self.layers = quarter_points(len(visual.transformer.resblocks))
        self.patch_heads = nn.ModuleList(nn.Linear(width, embed_dim, bias=False) for _ in self.layers)
        self.probes = nn.ModuleList(nn.Linear(width, 1) for _ in self.layers)
        self.patch_scale, self.state_scale = (nn.Parameter(torch.tensor(math.log(1 / 0.07))) for _ in range(2))
        self.peak_scale, self.peak_shift = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(0.0))

    def forward(self, images: Tensor, masks: Tensor, captions: Tensor, states: Tensor) -> dict[str, Tensor]:
        """Losses of P pairs: images (2P, 3, S, S), flawless then damaged; masks (P, m, m) in 0..1; token ids of the
        captions (2P, L) and of the states (2P, L), flawless then damaged."""
        out = self.clip.visual.forward_intermediates(
            images, indices=self.layers, output_fmt="NLC", normalize_intermediates=False
        )
        features = F.normalize(out["image_features"].float(), dim=-1)
        ids = torch.cat([captions, states])
        texts = text_features(self.clip, self.clip.token_embedding(ids), ids.argmax(dim=-1))
        texts = F.normalize(texts.float(), dim=-1)
        captions, (flawless, damaged) = texts[: len(images)], texts[len(images) :].chunk(2)
        wrong = (damaged - flawless).repeat(2, 1)

        similarity = self.clip.logit_scale.exp().clamp(max=100) * features @ captions.T
        own = torch.arange(len(images), device=images.device)
        labels = torch.cat([torch.zeros(len(masks)), torch.ones(len(masks))]).to(images.device)
        states_apart = self.state_scale.exp() * (wrong * features).sum(-1)
        masks = torch.cat([torch.zeros_like(masks), masks])
        visual = self.clip.visual
        last = visual.ln_post(out["image_intermediates"][-1]) @ visual.proj
        patches = [head(tokens) for head, tokens in zip(self.patch_heads, out["image_intermediates"], strict=True)]
        logits = [
            self.patch_scale.exp() * (F.normalize(tokens.float(), dim=-1) @ wrong[..., None])[..., 0]
            for tokens in (*patches, last)
        ]
        peaks = torch.stack(logits).mean(0).topk(PEAK).values.mean(-1)
        # The probes know no text: they teach the image tower to see damage while the texts do not yet tell it apart.
        probed = [
            probe(tokens)[..., 0].float() for probe, tokens in zip(self.probes, out["image_intermediates"], strict=True)
        ]
        return {
            "captions": CAPTIONS_SHARE * (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)),
            "state": F.binary_cross_entropy_with_logits(states_apart, labels),
            "patches": torch.stack([_segmentation(each, masks) for each in logits]).mean(),
            # Weighed by area, a false alarm on a flawless image costs next to nothing; here it costs a whole image.
            "peaks": F.binary_cross_entropy_with_logits(self.peak_scale * peaks + self.peak_shift, labels),
            "probes": torch.stack([_segmentation(each, masks) for each in probed]).mean(),
        }


def _segmentation(logits: Tensor, masks: Tensor) -> Tensor:
    """Of logits (B, N) of the patches: cross-entropy, in which damaged and flawless area count alike, and one minus the
    overlap (dice)."""
    grid = math.isqrt(logits.shape[1])
    logits = F.interpolate(logits.view(-1, 1, grid, grid), masks.shape[1:], mode="bilinear", align_corners=True)[:, 0]
    losses = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    balanced = (losses * masks).sum() / masks.sum() + (losses * (1 - masks)).sum() / (1 - masks).sum()
    found = logits.sigmoid()
    return balanced + 1 - 2 * (found * masks).sum() / (found.sum() + masks.sum())


class _Batches(IterableDataset):
    """Endless batches of pairs, drawn anew for each step that training begins or goes on with."""

    def __init__(self, settings: PretrainingSettings, first: int, image_size: int, vocabulary: int, length: int):
        self.settings, self.first, self.image_size = settings, first, image_size
        self.tokenizer = backbones.tokenizer(vocabulary, length)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        words = [word.removesuffix("</w>") for word in self.tokenizer.encoder if word.endswith("</w>")]
        words = [word for word in words if word.isascii() and word.isalpha() and len(word) > 2]
        drawn = pairs(self.settings.seed + 1000 * self.first, self.image_size, words)
        while True:
            yield self._batch(list(islice(drawn, self.settings.pairs)))

    def _batch(self, chosen: list[Pair]) -> tuple[Tensor, ...]:
        images = np.stack([*(pair.flawless for pair in chosen), *(pair.damaged for pair in chosen)])
        masks = torch.from_numpy(np.stack([pair.mask for pair in chosen])).float()[:, None]
        texts = [pair.captions[i] for i in (0, 1) for pair in chosen] + [
            pair.texts[i] for i in (0, 1) for pair in chosen
        ]
        ids = self.tokenizer(texts)
        ids = ids[:, : int(ids.argmax(1).max()) + 1]
        return torch.from_numpy(images), F.adaptive_avg_pool2d(masks, MASK_SIZE)[:, 0], ids


def pretrain(
    settings: PretrainingSettings, state_file: str, report: Callable[[int, dict[str, float]], None]
) -> nn.Module:
    """Train from the state in `state_file`, where there is one; it is written anew every SAVE_EVERY steps.

    `report` is called after each step with the step's number and losses. Returns the open_clip model.
    Raises ZsadError where the state is that of other settings.
    """
    torch.manual_seed(settings.seed)
    objective = Objective(settings.backbone).train()
    decayed = [p for p in objective.parameters() if p.ndim > 1]
    others = [p for p in objective.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
    )
    done = 0
    if os.path.exists(state_file):
        state = torch.load(state_file, weights_only=True)
        if state["settings"] != asdict(settings):
            raise ZsadError(f"{state_file}: of a training with other settings; remove it, or name another file")
        objective.load_state_dict(state["objective"])
        optimiser.load_state_dict(state["optimiser"])
        done = state["step"]
    clip = objective.clip
    loader = DataLoader(
        _Batches(settings, done, clip.visual.image_size[0], clip.token_embedding.num_embeddings, len(clip.attn_mask)),
        batch_size=None,
        num_workers=1,
        prefetch_factor=6,
    )
    for step, (images, masks, ids) in zip(range(done, settings.steps), loader):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _schedule(step, settings.steps)
        images = normalised(images.numpy()).contiguous()  # a normalisation of each channel is slow with channels last
        captions, states = ids.split(len(images))
        # On a CPU, plain attention trains faster than the fused kernel: its backward pass is the slower.
        with torch.autocast("cpu", torch.bfloat16, settings.bfloat16), sdpa_kernel(SDPBackend.MATH):
            losses = objective(images, masks, captions, states)
        optimiser.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimiser.step()
        report(step + 1, {name: loss.item() for name, loss in losses.items()})
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == settings.steps:
            state = {
                "objective": objective.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step + 1,
                "settings": asdict(settings),
            }
            torch.save(state, state_file + ".tmp")
            os.replace(state_file + ".tmp", state_file)
    return clip.eval()


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to 0."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * 0.5 * (1 + math.cos(math.pi * step / steps))


def save(clip: nn.Module, file: str, settings: PretrainingSettings) -> None:
    """Write the weights in half precision, with what made them."""
    weights = {name: value.detach().half().contiguous() for name, value in clip.state_dict().items()}
    safetensors.torch.save_file(weights, file, metadata={"zsad": json.dumps(asdict(settings), sort_keys=True)})
