"""The two towers of an open_clip model, run here on its weights: one fused attention a block, and nothing computed that
is not asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUERIES, KEYS, VALUES = range(3)  # of torch's in_proj


def states(
    blocks: Iterable[nn.Module], x: Tensor, visible: Tensor | None = None, deep: Sequence[Tensor] = ()
) -> Iterator[Tensor]:
    """The residual stream (B, L, W) behind each of open_clip's transformer blocks, one after another.

    x (B, L, W): what enters the first. visible (L, L) bool: which tokens (columns) each token (row) sees; None: all.
    deep: for each block from the second on, as far as they go, what enters it at the places 1 .. T, (B, T, W).
    """
    for number, block in enumerate(blocks):
        if 0 < number <= len(deep):
            prompts = deep[number - 1]
            x = torch.cat([x[:, :1], prompts, x[:, 1 + prompts.shape[1] :]], dim=1)
        x = x + block.ls_1(attention(block.attn, block.ln_1(x), visible))
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
        yield x


def two_paths(blocks: Sequence[nn.Module], x: Tensor) -> tuple[Tensor, Tensor]:
    """The class token (B, W) behind the last block, and the patches (B, L - 1, W) behind a second path beside it.

    The second path begins as x (B, L, W), as the first does. What each block adds to it is read from the first path:
    attention in which values are queries and keys too (Li et al., "CLIP Surgery", 2023), without the feed-forward.
    """
    patches = x[:, 1:]
    for number, block in enumerate(blocks, 1):
        going_on = slice(1 if number == len(blocks) else None)  # nothing reads the patches that the last would give
        x, patches = _both_attentions(block, x, patches, going_on)
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
    return x[:, 0], patches


def _both_attentions(block: nn.Module, x: Tensor, patches: Tensor, going_on: slice) -> tuple[Tensor, Tensor]:
    """Both paths with what the block's attention adds to them, of the first the tokens `going_on`."""
    weights = block.attn
    normed = block.ln_1(x).to(weights.in_proj_weight.dtype)  # once: autocast would round it for each product
    values = projected(weights, normed, VALUES)
    patches = patches + block.ls_1(attended(weights, values[:, :, 1:], values, values))
    queries, keys = projected(weights, normed[:, going_on], QUERIES), projected(weights, normed, KEYS)
    return x[:, going_on] + block.ls_1(attended(weights, queries, keys, values)), patches


def attention(weights: nn.MultiheadAttention, x: Tensor, visible: Tensor | None = None) -> Tensor:
    """Self-attention of x (B, L, W) with the weights of torch's module, which would hold all (L, L) products at once."""
    x = x.to(weights.in_proj_weight.dtype)  # once: autocast would round it for each of the three
    return attended(weights, *(projected(weights, x, part) for part in (QUERIES, KEYS, VALUES)), visible)


def projected(weights: nn.MultiheadAttention, x: Tensor, part: int) -> Tensor:
    """QUERIES, KEYS or VALUES of x (B, L, W), each head's apart: (B, heads, L, W / heads)."""
    matrix, bias = (both.chunk(3)[part] for both in (weights.in_proj_weight, weights.in_proj_bias))
    # Each head's rows behind one another: the kernel for CPUs is a tenth slower on those of the whole width.
    return F.linear(x, matrix, bias).unflatten(-1, (weights.num_heads, -1)).transpose(1, 2).contiguous()


def attended(
    weights: nn.MultiheadAttention, queries: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None = None
) -> Tensor:
    """What the queries of all heads make of keys and values, (B, L, W)."""
    heads = F.scaled_dot_product_attention(queries, keys, values, attn_mask=visible)
    return weights.out_proj(heads.transpose(1, 2).flatten(2))


def image_embeddings(visual: nn.Module, images: Tensor) -> Tensor:
    """What enters the image tower's first block, (B, 1 + N, V): class token and patches with their positions."""
    patches = visual.conv1(images).flatten(2).transpose(1, 2)
    first = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    return visual.ln_pre(torch.cat([first, patches], dim=1) + visual.positional_embedding)
