"""Trains the small backbone on drawn pairs: images against captions (CLIP), and every patch against what its image
should be and what is wrong with it.

Captions of whole images alone teach a model nothing of defects, which are a small part of them: so patches, of the four
layers that methods read, are matched to the flawless and the damaged text by the true masks.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
import open_clip
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from zsad_core import backbones
from zsad_core.benchmarks.drawn.lessons import Pair, pairs
from zsad_core.clip import quarter_points
from zsad_core.clip_loading import load_backbone
from zsad_core.errors import UsageError, ZsadError
from zsad_core.pixels import normalised
from zsad_core.towers import OpenClip
from zsad_core.weight_files import read_tensors

WARM_UP = 150  # steps
DECAY = 0.5  # of the steps, the last, in which the learning rate falls to 0
SAVE_EVERY = 250  # steps
PEAK = 5  # the patches of an image that its peak is the mean of
CAPTIONS_SHARE = 0.25  # of both directions of the caption loss, which would drown that of the patches
MASK_SIZE = 64  # patches are compared with the mask at this size


Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class PretrainingSettings:
    """pairs: a step's, so twice as many images. workers: processes of one thread, each of which draws and learns its
    share of the pairs; captions are told apart within a share. learning_rate: the highest. start: the weights to begin
    with, as `load_backbone` takes them."""

    steps: int
    backbone: str = "zsad-small"
    pairs: int = 24
    workers: int = 2
    learning_rate: float = 1.2e-3
    weight_decay: float = 0.05
    start: str | None = None
    seed: int = 0
    bfloat16: bool = True


class Objective(nn.Module):
    """A backbone's open_clip model with the heads that are needed in training only."""

    def __init__(self, name: str):
        super().__init__()
        self.clip: OpenClip = backbones.build(name)
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
        texts = F.normalize(_text_features(self.clip, ids).float(), dim=-1)
        captions, (flawless, damaged) = texts[: len(images)], texts[len(images) :].chunk(2)
        wrong = (damaged - flawless).repeat(2, 1)

        similarity = self.clip.logit_scale.exp().clamp(max=100) * features @ captions.T
        own = torch.arange(len(images), device=images.device)
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
            "state": _telling_apart(states_apart),
            "patches": torch.stack([_segmentation(each, masks) for each in logits]).mean(),
            # Weighed by area, a false alarm on a flawless image costs next to nothing; here it costs a whole image.
            "peaks": _telling_apart(self.peak_scale * peaks + self.peak_shift),
            "probes": torch.stack([_segmentation(each, masks) for each in probed]).mean(),
        }


def _text_features(clip: OpenClip, ids: Tensor) -> Tensor:
    """open_clip's encode_text of token ids (M, L) that are cut behind the longest text; (M, D)."""
    length = ids.shape[1]
    embeddings = clip.token_embedding(ids) + clip.positional_embedding[:length]
    hidden = clip.transformer(embeddings, attn_mask=clip.attn_mask[:length, :length])
    at_end = hidden[torch.arange(len(ids), device=ids.device), ids.argmax(dim=-1)]
    return clip.ln_final(at_end) @ clip.text_projection


def _telling_apart(logits: Tensor) -> Tensor:
    """Of logits (2P,) of images, flawless then damaged: cross-entropy, and that of which of a pair is damaged. The
    latter is what image AUROC asks within a category; the former also compares categories, which differ more than most
    damage."""
    flawless, damaged = logits.chunk(2)
    return F.softplus(torch.cat([flawless, -damaged])).mean() + F.softplus(flawless - damaged).mean()


def _segmentation(logits: Tensor, masks: Tensor) -> Tensor:
    """Of logits (B, N) of the patches: cross-entropy, in which damaged and flawless area count alike, and one minus the
    overlap (dice)."""
    grid = math.isqrt(logits.shape[1])
    logits = F.interpolate(logits.view(-1, 1, grid, grid), masks.shape[1:], mode="bilinear", align_corners=True)[:, 0]
    losses = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    balanced = (losses * masks).sum() / masks.sum() + (losses * (1 - masks)).sum() / (1 - masks).sum()
    found = logits.sigmoid()
    return balanced + 1 - 2 * (found * masks).sum() / (found.sum() + masks.sum())


Batch = tuple[np.ndarray, Tensor, Tensor]


def _batches(seed: list[int], count: int, image_size: int, tokenizer: open_clip.SimpleTokenizer) -> Iterator[Batch]:
    """Endless batches of `count` pairs: images uint8 (2P, S, S, 3), masks (P, m, m), token ids (4P, L) of the captions
    and the states."""
    words = [word.removesuffix("</w>") for word in tokenizer.encoder if word.endswith("</w>")]
    words = [word for word in words if word.isascii() and word.isalpha() and len(word) > 2]
    drawn = pairs(seed, image_size, words)
    while True:
        chosen: list[Pair] = list(islice(drawn, count))
        images = np.stack([*(pair.flawless for pair in chosen), *(pair.damaged for pair in chosen)])
        masks = torch.from_numpy(np.stack([pair.mask for pair in chosen])).float()[:, None]
        texts = [pair.captions[i] for i in (0, 1) for pair in chosen] + [
            pair.texts[i] for i in (0, 1) for pair in chosen
        ]
        ids = tokenizer(texts)
        yield images, F.adaptive_avg_pool2d(masks, MASK_SIZE)[:, 0], ids[:, : int(ids.argmax(1).max()) + 1]


def pretrain(settings: PretrainingSettings, state_file: str, report: Report) -> OpenClip:
    """Train from the state in `state_file`, where there is one; it is written anew every SAVE_EVERY steps.

    `report` is called after each step with the step's number and losses. Returns the open_clip model. With one seed
    and no interruption the weights are the same; a training that goes on draws other pictures from there.
    Raises ZsadError where the state is that of other settings (the steps may be others), UsageError where torch is too
    old or `start` names another architecture.
    """
    if not hasattr(torch.optim, "Muon"):
        raise UsageError(f"pretraining needs torch 2.9 or newer, for its optimiser Muon; this is {torch.__version__}")
    _read_state(settings, state_file)
    if settings.start and settings.start.partition(":")[0] != settings.backbone:
        raise UsageError(f"{settings.start}: not weights of {settings.backbone}, as {settings.backbone}:FILE would be")
    # Several threads of one process waste a third of two cores: most operations are too small to be shared out.
    start = multiprocessing.get_context("spawn").Process
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{folder}/meeting"
        others = [
            start(target=_work, args=(rank, meeting, settings, state_file), daemon=True)
            for rank in range(1, settings.workers)
        ]
        for other in others:
            other.start()
        try:
            return _work(0, meeting, settings, state_file, report)
        finally:
            for other in others:
                other.terminate()
                other.join()


def _work(
    rank: int, meeting: str, settings: PretrainingSettings, state_file: str, report: Report = lambda step, losses: None
) -> OpenClip:
    """What each process does: its share of every step. The first keeps the state."""
    if rank:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the others
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=settings.workers)
    try:
        return _train(rank, settings, state_file, report)
    except RuntimeError:
        if (parent := multiprocessing.parent_process()) and not parent.is_alive():
            sys.exit(1)  # there is nobody to tell
        raise
    finally:
        distributed.destroy_process_group()


def _train(rank: int, settings: PretrainingSettings, state_file: str, report: Report) -> OpenClip:
    torch.manual_seed(settings.seed)
    objective = Objective(settings.backbone).train()
    optimisers = _optimisers(objective, settings)
    done = 0
    if state := _read_state(settings, state_file):
        objective.load_state_dict(state["objective"])
        for optimiser, kept in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        done = state["step"]
    elif settings.start and rank == 0:  # whose weights the others get
        begun = load_backbone(settings.start, image_size=objective.clip.visual.image_size[0])
        objective.clip.load_state_dict(begun.clip.state_dict())
    clip = objective.clip
    tokenizer = backbones.tokenizer(clip.token_embedding.num_embeddings, len(clip.attn_mask))
    batches = _batches(
        [settings.seed, done, rank], settings.pairs // settings.workers, clip.visual.image_size[0], tokenizer
    )
    shared = DistributedDataParallel(objective)
    for step, (images, masks, ids) in zip(range(done + 1, settings.steps + 1), batches):
        for group in (group for optimiser in optimisers for group in optimiser.param_groups):
            group["lr"] = settings.learning_rate * _schedule(step, settings.steps)
        captions, states = ids.split(len(images))
        with torch.autocast("cpu", torch.bfloat16, settings.bfloat16):
            losses = shared(normalised(images), masks, captions, states)
        objective.zero_grad()
        sum(losses.values()).backward()
        nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        report(step, {name: loss.item() for name, loss in losses.items()})
        if rank == 0 and (step % SAVE_EVERY == 0 or step == settings.steps):
            state = {
                "objective": objective.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in optimisers],
                "step": step,
                "settings": asdict(settings),
            }
            torch.save(state, state_file + ".tmp")
            os.replace(state_file + ".tmp", state_file)
    return clip.eval()


def _optimisers(objective: Objective, settings: PretrainingSettings) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al., 2024) for the matrices of the transformers' blocks, AdamW for all else.

    Of two trainings from one state on the same pictures, 300 steps each, that with Muon learned faster (mean loss of
    the captions over the last 50 steps 0.70 against 0.79, of the patches 1.85 against 1.88).
    """
    in_blocks: list[Tensor] = []
    matrices: list[Tensor] = []
    vectors: list[Tensor] = []
    for name, parameter in objective.named_parameters():
        if parameter.ndim < 2:
            vectors.append(parameter)
        else:
            (in_blocks if ".resblocks." in name else matrices).append(parameter)
    rate, decay = settings.learning_rate, settings.weight_decay
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return [
        torch.optim.Muon(in_blocks, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, lr=rate, weight_decay=decay, betas=(0.9, 0.98)),
    ]


def _read_state(settings: PretrainingSettings, state_file: str) -> dict | None:
    if not os.path.exists(state_file):
        return None
    state = read_tensors(state_file)
    made = state.get("settings")
    if not isinstance(made, dict) or made | {"steps": settings.steps} != asdict(settings):
        raise ZsadError(f"{state_file}: of a training with other settings; remove it, or name another file")
    return state


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then constant, then linear to 0: whoever has more time than planned may ask for more steps."""
    return min(1.0, step / WARM_UP, (steps - step + 1) / (DECAY * steps))


def save(clip: OpenClip, file: str, settings: PretrainingSettings) -> None:
    """Write the weights in half precision, with what made them, and what made those that they began with."""
    weights = {name: value.detach().half().contiguous() for name, value in clip.state_dict().items()}
    made = asdict(settings)
    if settings.start:
        made["start_made_by"] = _made_by(settings.start)
    safetensors.torch.save_file(weights, file, metadata={"zsad": json.dumps(made, sort_keys=True)})


def _made_by(start: str) -> dict | None:
    architecture, _, weights = start.partition(":")
    path = backbones.tags(architecture).get(weights, weights)
    if not path.endswith(".safetensors"):
        return None
    with safetensors.safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get("zsad", "null"))
