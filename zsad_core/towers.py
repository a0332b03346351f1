"""The two towers of an open_clip model, run here on its weights: one fused attention a block, and nothing computed that
is not asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def through(block: nn.Module, x: Tensor, visible: Tensor | None = None) -> Tensor:
    """The residual stream (B, L, W) behind one of open_clip's transformer blocks; arguments as for `states`."""
    x = x + block.ls_1(attention(block.attn, block.ln_1(x), visible))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def states(
    blocks: Iterable[nn.Module],
    x: Tensor,
    visible: Tensor | None = None,
    through: Callable[[nn.Module, Tensor, Tensor | None], Tensor] = through,
) -> Iterator[Tensor]:
    """The residual stream (B, L, W) behind each of open_clip's transformer blocks, one after another.

    x (B, L, W): what enters the first. visible (L, L) bool: which tokens (columns) each token (row) sees; None: all.
    """
    for block in blocks:
        x = through(block, x, visible)
        yield x


def attention(weights: nn.MultiheadAttention, x: Tensor, visible: Tensor | None = None) -> Tensor:
    """Self-attention of x (B, L, W) with the weights of torch's module, which would hold all (L, L) products at once."""
    x = x.to(weights.in_proj_weight.dtype)  # once: autocast would round it for each product
    heads = F.linear(x, weights.in_proj_weight, weights.in_proj_bias).unflatten(-1, (3, weights.num_heads, -1))
    queries, keys, values = heads.permute(2, 0, 3, 1, 4)
    if not x.is_cuda:  # kernels for CPUs are a tenth slower where a head's rows are not behind one another
        queries, keys, values = queries.contiguous(), keys.contiguous(), values.contiguous()
    attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=visible)
    return weights.out_proj(attended.transpose(1, 2).flatten(2))


def image_embeddings(visual: nn.Module, images: Tensor) -> Tensor:
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
