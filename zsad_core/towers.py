"""The two towers of an open_clip model, run here on its weights: one fused attention a block, and nothing computed that
is not asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# A model of open_clip's or one of its parts: torch's annotations take a module's attributes for tensors or modules.
OpenClip: TypeAlias = Any

# Parts of torch's in_proj, whose rows give queries, keys and values.
ALL, QUERIES, KEYS_AND_VALUES = slice(3), slice(1), slice(1, 3)


def through_block(block: OpenClip, x: Tensor, visible: Tensor | None = None) -> Tensor:
    """The residual stream (B, L, W) behind one block; arguments as for `states`."""
    queries, keys, values = projected(block.attn, block.ln_1(x), ALL)
    return _fed_forward(block, x + block.ls_1(attended(block.attn, queries, keys, values, visible)))


def states(
    blocks: Iterable[OpenClip],
    x: Tensor,
    visible: Tensor | None = None,
    deep: Sequence[Tensor] = (),
    through: Callable[[OpenClip, Tensor, Tensor | None], Tensor] = through_block,
) -> Iterator[Tensor]:
    """The residual stream (B, L, W) behind each of open_clip's transformer blocks, one after another.

    x (B, L, W): what enters the first. visible (L, L) bool: which tokens (columns) each token (row) sees; None: all.
    deep: for each block from the second on, as far as they go, what enters it at the places 1 .. T, (B, T, W).
    through: `through_block`, or what was compiled of it.
    """
    for number, block in enumerate(blocks):
        x = through(block, _with_deep(x, number, deep), visible)
        yield x


def states_at(
    blocks: Sequence[OpenClip],
    x: Tensor,
    visible: Tensor,
    at: Tensor,
    deep: Sequence[Tensor],
    through: Callable[[OpenClip, Tensor, Tensor | None], Tensor],
) -> Tensor:
    """Behind the last block the tokens at the places `at` (B, A) alone, (B, A, W); the rest as for `states`."""
    *before, last = blocks
    for x in states(before, x, visible, deep, through):  # noqa: B007, B020, the last is what counts
        pass
    x = _with_deep(x, len(before), deep)
    normed = last.ln_1(x)
    keys, values = projected(last.attn, normed, KEYS_AND_VALUES)
    (queries,) = projected(last.attn, _tokens(normed, at), QUERIES)
    added = attended(last.attn, queries, keys, values, visible[at].unsqueeze(1))
    return _fed_forward(last, _tokens(x, at) + last.ls_1(added))


def _with_deep(x: Tensor, number: int, deep: Sequence[Tensor]) -> Tensor:
    """What enters the block `number`, counted from 0, where the one before gave x."""
    if not 0 < number <= len(deep):
        return x
    prompts = deep[number - 1]
    return torch.cat([x[:, :1], prompts, x[:, 1 + prompts.shape[1] :]], dim=1)


def _fed_forward(block: OpenClip, x: Tensor) -> Tensor:
    """The residual stream behind a block, of that behind its attention."""
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def two_paths(blocks: Sequence[OpenClip], x: Tensor) -> tuple[Tensor, Tensor]:
    """The class token (B, W) behind the last block, and the patches (B, L - 1, W) behind a second path beside it.

    The second path begins as x (B, L, W), as the first does. What each block adds to it is read from the first path:
    attention in which values are queries and keys too (Li et al., "CLIP Surgery", 2023), without the feed-forward.
    """
    patches = x[:, 1:]
    for number, block in enumerate(blocks, 1):
        going_on = slice(1 if number == len(blocks) else None)  # nothing reads the patches that the last would give
        x, patches = _both_attentions(block, x, patches, going_on)
        x = _fed_forward(block, x)
    return x[:, 0], patches


def _both_attentions(block: OpenClip, x: Tensor, patches: Tensor, going_on: slice) -> tuple[Tensor, Tensor]:
    """Both paths with what the block's attention adds to them, of the first the tokens `going_on`."""
    weights, normed = block.attn, block.ln_1(x)
    keys, values = projected(weights, normed, KEYS_AND_VALUES)
    patches = patches + block.ls_1(attended(weights, values[:, :, 1:], values, values))
    (queries,) = projected(weights, normed[:, going_on], QUERIES)
    return x[:, going_on] + block.ls_1(attended(weights, queries, keys, values)), patches


def projected(weights: nn.MultiheadAttention, x: Tensor, parts: slice) -> Sequence[Tensor]:
    """Of x (B, L, W) the projections `parts`, each (B, heads, L, W / heads)."""
    width = x.shape[-1]
    rows = slice((parts.start or 0) * width, parts.stop * width)
    x = x.to(weights.in_proj_weight.dtype)  # once: autocast would round it again
    heads = F.linear(x, weights.in_proj_weight[rows], weights.in_proj_bias[rows])
    heads = heads.unflatten(-1, (-1, weights.num_heads, width // weights.num_heads)).permute(2, 0, 3, 1, 4)
    # Kernels for CPUs are a tenth slower where a head's rows are not behind one another.
    return heads.unbind() if x.is_cuda else [each.contiguous() for each in heads]


def attended(
    weights: nn.MultiheadAttention, queries: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None = None
) -> Tensor:
    """What the queries of all heads make of keys and values, (B, L, W), with the weights of torch's module.

    visible: as for `states`, or with leading axes (B, 1) where the images or texts differ."""
    heads = F.scaled_dot_product_attention(queries, keys, values, attn_mask=visible)
    return weights.out_proj(heads.transpose(1, 2).flatten(2))


def _tokens(x: Tensor, at: Tensor) -> Tensor:
    """Of x (B, L, W) the tokens at the places `at` (B, A), (B, A, W)."""
    return x.take_along_dim(at.unsqueeze(-1), dim=1)


def image_embeddings(visual: OpenClip, images: Tensor) -> Tensor:
    """What enters the image tower's first block, (B, 1 + N, V): class token and patches with their positions."""
    patches = _patch_embeddings(visual.conv1, images)
    first = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    return visual.ln_pre(torch.cat([first, patches], dim=1) + visual.positional_embedding)


def _patch_embeddings(stem: nn.Module, images: Tensor) -> Tensor:
    """(B, 3, S, S) -> (B, N, V). A convolution of patch by patch is done as the one matrix product that it is."""
    if not isinstance(stem, nn.Conv2d):
        return stem(images).flatten(2).transpose(1, 2)
    side, _ = stem.kernel_size
    patches = images.unflatten(3, (-1, side)).unflatten(2, (-1, side)).permute(0, 2, 4, 1, 3, 5)
    return F.linear(patches.flatten(3).flatten(1, 2), stem.weight.flatten(1), stem.bias)
