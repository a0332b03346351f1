"""The frozen vision-language backbone, built by open_clip: patch tokens, image features and text features."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import open_clip
import torch
from open_clip.model import resize_pos_embed
from open_clip.transformer import QuickGELU
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from zsad_core import backbones, towers
from zsad_core.errors import UsageError, ZsadError
from zsad_core.towers import OpenClip

Activation = Literal["gelu", "quick_gelu"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"gelu": nn.GELU, "quick_gelu": QuickGELU}
# Of a GPU's fused attentions the one that wastes least on a text's twenty tokens: cuDNN's, which torch would take,
# needs twice the time. On a CPU there is one.
KERNELS_FOR_TEXTS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
TILE = 64  # tokens that it takes at once: a sequence of fewer costs it as much


class PositionResize(NamedTuple):
    """How a method's authors resized the grid of position embeddings to another input size."""

    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    antialias: bool = True


PUBLISHED_RESIZE = PositionResize()  # that of most methods; a method may name another


class ImageTokens(NamedTuple):
    """What the image tower gives for B images: `patches` of the four quarter-point blocks, each (B, N, V) without the
    class token and before ln_post; `feature` (B, D) = ln_post(class token) @ proj, not normalised."""

    patches: list[Tensor]
    feature: Tensor


class TwoPathTokens(NamedTuple):
    """What the two paths of the image tower give for B images: `patches` (B, N, D) = ln_post(patches of the second) @
    proj; `feature` (B, D) = class token of the first @ proj, without ln_post. Neither is normalised."""

    patches: Tensor
    feature: Tensor


class Backbone(nn.Module):
    """An open_clip ViT-CLIP with frozen weights at one input size, in float32 unless it is told otherwise."""

    def __init__(self, clip: OpenClip, name: str, image_size: int | None, position_resize: PositionResize):
        super().__init__()
        _check_architecture(clip, name)
        self.name = name
        self.clip: OpenClip = clip.float().eval().requires_grad_(False)
        visual = clip.visual
        self.patch_size: int = visual.patch_size[0]
        self.image_size = image_size or _default_image_size(name, self.patch_size)
        if self.image_size % self.patch_size:
            below = self.image_size // self.patch_size * self.patch_size
            raise UsageError(
                f"image size {self.image_size} is no multiple of the patch size {self.patch_size} of {name}: "
                f"take {below or self.patch_size} or {below + self.patch_size}"
            )
        self.grid = self.image_size // self.patch_size
        self._low: torch.dtype | None = None
        self._through_text_block = towers.through_block
        self.vision_width: int = visual.transformer.width
        self.embed_dim: int = clip.text_projection.shape[1]
        self.context_length: int = clip.positional_embedding.shape[0]
        depth = len(visual.transformer.resblocks)
        self.quarter_points = quarter_points(depth)
        self._tokenizer = backbones.tokenizer(clip.token_embedding.num_embeddings, self.context_length)
        self._positions = visual.positional_embedding.detach()  # as loaded: the hash is not to depend on the image size
        self._resize_positions(position_resize)

    def _resize_positions(self, rule: PositionResize) -> None:
        visual = self.clip.visual
        state = {"visual.positional_embedding": visual.positional_embedding.detach()}
        visual.image_size = (self.image_size, self.image_size)
        visual.grid_size = (self.grid, self.grid)
        resize_pos_embed(state, self.clip, rule.interpolation, rule.antialias)
        visual.positional_embedding = nn.Parameter(state["visual.positional_embedding"], requires_grad=False)

    def compute_in(self, low: torch.dtype) -> None:
        """From now on have the towers' blocks multiply in `low`, bfloat16 or float16; what they add up stays float32.

        So does all before and behind the blocks: rounding there costs most (half of the maps' error) and gains least.
        Matrices are rounded here, once, to the values that autocast would give them at every product.
        """
        self._low = low
        for block in [*self.clip.visual.transformer.resblocks, *self.clip.transformer.resblocks]:
            for module in block.modules():
                if isinstance(module, (nn.Linear, nn.MultiheadAttention)):
                    for parameter in module.parameters(recurse=False):
                        parameter.data = parameter.data.to(low)

    def _precision(self) -> contextlib.AbstractContextManager:
        if self._low is None:
            return contextlib.nullcontext()
        return torch.autocast(self.clip.visual.proj.device.type, self._low)

    def encode_images(self, images: Tensor) -> ImageTokens:
        """`images` float (B, 3, S, S), normalised with CLIP's mean and standard deviation."""
        visual = self.clip.visual
        embeddings, patches = towers.image_embeddings(visual, images), []
        with self._precision():
            for number, state in enumerate(towers.states(visual.transformer.resblocks, embeddings)):
                if number in self.quarter_points:
                    patches.append(state[:, 1:])
        return ImageTokens(patches, self.project(state[:, 0]))

    def encode_two_paths(self, images: Tensor) -> TwoPathTokens:
        """`images` as in encode_images; the second path runs through all blocks (see towers.two_paths)."""
        visual = self.clip.visual
        embeddings = towers.image_embeddings(visual, images)
        with self._precision():
            first, patches = towers.two_paths(visual.transformer.resblocks, embeddings)
        return TwoPathTokens(self.project(patches), first @ visual.proj)

    def project(self, tokens: Tensor) -> Tensor:
        """Tokens of the image tower (..., V) as features (..., D) beside those of texts: ln_post, then @ proj."""
        visual = self.clip.visual
        return visual.ln_post(tokens) @ visual.proj

    def compile_towers(self) -> None:
        """Have torch.compile make kernels for whichever function encodes images, for batches of one size, when it first
        runs.

        On a CPU its products then add biases and apply activations themselves. On a GPU there are kernels for the text
        tower's blocks as well, for texts of every length. A compiler has to be there.
        """
        from torch._inductor import config

        on_gpu = self.clip.visual.proj.is_cuda
        # Weights as constants, laid out for the products that they enter. As an option of the call it comes too late.
        config.freezing = not on_gpu
        for name in ("encode_images", "encode_two_paths"):
            setattr(self, name, torch.compile(getattr(self, name), dynamic=False))
        if on_gpu:
            self._through_text_block = torch.compile(towers.through_block, dynamic=True)

    def tokenize(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Token ids (M, L), cut behind the last end-of-text token, and the position (M,) of each end-of-text token."""
        ids = self._tokenizer(texts)
        ends = ids.argmax(dim=-1)  # the end-of-text token has the highest id
        return ids[:, : int(ends.max()) + 1], ends

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Token embeddings (M, L, D) of ids (M, L), without positions."""
        return self.clip.token_embedding(ids)

    def encode_texts(self, start: Tensor, branches: Tensor, ends: Tensor, deep: Sequence[Tensor] = ()) -> Tensor:
        """Text features (M, N, D), not normalised, of N texts that begin alike; the beginning is computed once.

        start (M, P, D): token embeddings, without positions, of what the N texts begin with. branches (M, N, Q, D):
        those of what follows in each. ends (M, N): place of each branch's end-of-text token in it. The tower is causal:
        nothing behind that token changes the result, so Q may stop there. deep: see towers.states; within the start.
        """
        (texts, common, _), (_, count, length, _) = start.shape, branches.shape
        if common + length > self.context_length:
            raise ZsadError(
                f"a prompt of {common + length} tokens is too long: {self.name} reads {self.context_length}"
            )
        # One sequence: a branch stands behind the others, but at the positions behind the start, and sees no other.
        token = torch.arange(common + count * length, device=start.device)
        branch = (token - common).div(length, rounding_mode="floor").clamp(min=-1)
        position = torch.where(branch == -1, token, common + (token - common) % length)
        seen = (position <= position[:, None]) & ((branch == -1) | (branch == branch[:, None]))
        embeddings = torch.cat([start, branches.flatten(1, 2)], dim=1) + self.clip.positional_embedding[position]
        at_end = common + length * torch.arange(count, device=start.device) + ends.to(start.device, non_blocking=True)
        together = 1 if deep else _texts_together(texts, len(token), on_gpu=start.is_cuda)
        embeddings = embeddings.unflatten(0, (-1, together)).flatten(1, 2)
        seen = torch.block_diag(*[seen] * together)
        of_each = len(token) * torch.arange(together, device=start.device)
        at_ends = (of_each[:, None] + at_end.unflatten(0, (-1, together))).flatten(1)
        blocks = self.clip.transformer.resblocks
        with self._precision(), sdpa_kernel(KERNELS_FOR_TEXTS):
            hidden = towers.states_at(blocks, embeddings, seen, at_ends, deep, self._through_text_block)
        return self.clip.ln_final(hidden.view(texts, count, -1)) @ self.clip.text_projection

    @property
    def activation(self) -> Activation:
        """The activation of the MLPs in both towers."""
        module = self.clip.visual.transformer.resblocks[0].mlp.gelu
        return next(name for name, kind in ACTIVATIONS.items() if isinstance(module, kind))

    def weights_sha256(self) -> str:
        """A hash of all weights, the same whatever file format they came in and at every image size."""
        digest = hashlib.sha256()
        state = self.clip.state_dict() | {"visual.positional_embedding": self._positions}
        for key, value in sorted(state.items()):
            digest.update(f"{key} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()


def _texts_together(texts: int, tokens: int, on_gpu: bool) -> int:
    """How many texts of so many tokens go through the tower as one sequence, in which none sees another: on a GPU as
    many as fill a tile, where `texts` is a multiple of them."""
    most = max(1, TILE // tokens) if on_gpu else 1
    return next(count for count in range(most, 0, -1) if texts % count == 0)


def quarter_points(depth: int) -> list[int]:
    """The blocks, counted from 0, at the quarters of an image tower: those whose patch tokens methods read."""
    return [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]


def _default_image_size(name: str, patch_size: int) -> int:
    if (own := name.split(":")[0]) in backbones.names():
        return backbones.input_size(own)
    return max(1, round(518 / patch_size)) * patch_size


def _check_architecture(clip: OpenClip, name: str) -> None:
    visual = clip.visual
    if not isinstance(visual, open_clip.transformer.VisionTransformer) or visual.attn_pool is not None:
        raise UsageError(f"{name}: the image tower is no plain ViT; `zsad ls backbones` lists those that work")
    if not hasattr(clip, "text_projection") or clip.text_projection is None:
        raise UsageError(f"{name}: the text tower is not CLIP's own; `zsad ls backbones` lists those that work")
    text_width, embed_dim = clip.token_embedding.weight.shape[1], clip.text_projection.shape[1]
    if text_width != embed_dim:
        raise UsageError(
            f"{name}: its text width {text_width} differs from its embedding width {embed_dim}; "
            "learned prompts need them equal (`zsad ls backbones` lists those that work)"
        )
