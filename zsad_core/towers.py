"""The two towers of an open_clip model, run here on its weights: one fused attention a block, and nothing computed that
is not asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def states(blocks: Iterable[nn.Module], x: Tensor, visible: Tensor | None = None) -> Iterator[Tensor]:
    """The residual stream (B, L, W) behind each of open_clip's transformer blocks, one after another.

    x (B, L, W): what enters the first. visible (L, L) bool: which tokens (columns) each token (row) sees; None: all.
    """
    for block in blocks:
        x = x + block.ls_1(attention(block.attn, block.ln_1(x), visible))
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
        yield x


def attention(weights: nn.MultiheadAttention, x: Tensor, visible: Tensor | None = None) -> Tensor:
    """Self-attention of x (B, L, W) with the weights of torch's module, which would hold all (L, L) products at once."""
    projections = zip(weights.in_proj_weight.chunk(3), weights.in_proj_bias.chunk(3))
    x = x.to(weights.in_proj_weight.dtype)  # once: autocast would round it for each of the three
    # Each head's rows behind one another: the kernel for CPUs is a tenth slower on those of the whole width.
    queries, keys, values = (
        F.linear(x, matrix, bias).unflatten(-1, (weights.num_heads, -1)).transpose(1, 2).contiguous()
        for matrix, bias in projections
    )
    attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=visible)
    return weights.out_proj(attended.transpose(1, 2).flatten(2))


def image_embeddings(visual: nn.Module, images: Tensor) -> Tensor:
    """What enters the image tower's first block, (B, 1 + N, V): class token and patches with their positions."""
    patches = visual.conv1(images).flatten(2).transpose(1, 2)
    first = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    return visual.ln_pre(torch.cat([first, patches], dim=1) + visual.positional_embedding)
