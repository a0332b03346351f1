"""The frozen vision-language backbone, built by open_clip: patch tokens, image features and text features.

A backbone is named `ARCHITECTURE:WEIGHTS` (`ViT-L-14-336:openai`, `ViT-B-16:weights.safetensors`,
`ViT-B-16:random`) or by the file of an OpenAI-format state dict, whose sizes are read off its tensors. The backbones
that this package brings are in zsad_core/backbones.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import open_clip
import torch
from open_clip.model import build_model_from_openai_state_dict, resize_pos_embed
from open_clip.transformer import QuickGELU
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from zsad_core import backbones, towers
from zsad_core.errors import UsageError, ZsadError
from zsad_core.towers import OpenClip
from zsad_core.weight_files import check_archive, check_finite, first_line, read_tensors

Activation = Literal["gelu", "quick_gelu"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"gelu": nn.GELU, "quick_gelu": QuickGELU}
RANDOM = "random"
# Of a GPU's fused attentions the one that wastes least on a text's twenty tokens: cuDNN's, which torch would take, needs
# twice the time. On a CPU there is one.
KERNELS_FOR_TEXTS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]

_LONGEST_TEXT = 1024  # tokens; a table of pairs is made of them


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
        self._through_text_block = towers.through
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
            self._through_text_block = torch.compile(towers.through, dynamic=True)

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
        blocks = self.clip.transformer.resblocks
        with self._precision(), sdpa_kernel(KERNELS_FOR_TEXTS):
            states = towers.states(blocks, embeddings, seen, deep, self._through_text_block)
            for hidden in states:  # noqa: B007, the last is what counts
                pass
        branches_begin = common + length * torch.arange(count, device=start.device)
        at_end = branches_begin + ends.to(start.device, non_blocking=True)
        hidden = hidden[torch.arange(texts, device=start.device)[:, None], at_end]
        return self.clip.ln_final(hidden) @ self.clip.text_projection

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


def quarter_points(depth: int) -> list[int]:
    """The blocks, counted from 0, at the quarters of an image tower: those whose patch tokens methods read."""
    return [depth * quarter // 4 - 1 for quarter in (1, 2, 3, 4)]


def load_backbone(
    source: str,
    *,
    image_size: int | None = None,
    activation: Activation | None = None,
    position_resize: PositionResize = PUBLISHED_RESIZE,
) -> Backbone:
    """Build the backbone that `source` names (see the module's docstring), at `image_size` x `image_size` pixels.

    Without `image_size`: 518 rounded to the patch, or the input size of a backbone that ships with this package.
    `activation` replaces the backbone's own, for method checkpoints trained with another one.
    Raises UsageError for an unknown name or an image size that the patch does not divide, ZsadError for bad weights.
    """
    clip = _clip_from_file(source) if os.path.isfile(source) else _clip_by_name(source)
    if activation:
        for block in [*clip.visual.transformer.resblocks, *clip.transformer.resblocks]:
            block.mlp.gelu = ACTIVATIONS[activation]()
    return Backbone(clip, source, image_size, position_resize)


def backbone_names() -> list[str]:
    """Every `ARCHITECTURE:WEIGHTS` that can be used, this package's own first, then open_clip's."""
    pretrained = [
        f"{name}:{tag}" for name, tag in open_clip.list_pretrained() if _is_usable(open_clip.get_model_config(name))
    ]
    own = [f"{name}:{tag}" for name in backbones.names() for tag in (*backbones.tags(name), RANDOM)]
    return own + pretrained


def _is_usable(config: dict) -> bool:
    vision, text = config["vision_cfg"], config["text_cfg"]
    plain = not any(key in vision for key in ("timm_model_name", "attentional_pool", "pool_type", "no_ln_pre"))
    clip_text = not any(key in text for key in ("hf_model_name", "hf_tokenizer_name", "pool_type", "embed_cls"))
    return (
        plain
        and clip_text
        and not config.get("custom_text")
        and "multimodal_cfg" not in config
        and isinstance(vision["layers"], int)
        and text.get("vocab_size", 49408) == 49408
        and text["width"] == config["embed_dim"]
    )


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


def _clip_by_name(source: str) -> OpenClip:
    name, _, weights = source.partition(":")
    if name in backbones.names():
        return _own_clip(source, name, weights)
    if name not in open_clip.list_models():
        raise UsageError(f"{source}: neither a file nor a backbone by name; `zsad ls backbones` lists the names")
    if not _is_usable(open_clip.get_model_config(name)):
        raise UsageError(
            f"{name}: not a ViT with CLIP's own text tower of the embedding's width; "
            "`zsad ls backbones` lists those that work"
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if weights == RANDOM:
        with torch.random.fork_rng(devices=[]), _open_clip_quiet():
            torch.manual_seed(0)
            return open_clip.create_model(name, pretrained=None)
    if weights not in tags and not os.path.isfile(weights):
        known = ", ".join([*tags, "a file", f"{RANDOM} (untrained)"])
        raise UsageError(f"{source}: no such weights; write {name}:WEIGHTS with one of {known}")
    if os.path.isfile(weights):
        check_archive(weights)
    # open_clip only warns where a tag's weights want QuickGELU and the plain architecture has GELU.
    quick_gelu = bool((open_clip.get_pretrained_cfg(name, weights) or {}).get("quick_gelu"))
    try:
        with _open_clip_quiet():
            return open_clip.create_model(name, pretrained=weights, force_quick_gelu=quick_gelu)
    except Exception as error:  # network, hub and checkpoint failures of any kind
        raise ZsadError(f"{source}: its weights could not be had ({first_line(error)})") from error


def _own_clip(source: str, name: str, weights: str) -> OpenClip:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip = backbones.build(name)
    if weights == RANDOM:
        return clip
    file = backbones.tags(name).get(weights, weights)
    if not os.path.isfile(file):
        known = ", ".join([*backbones.tags(name), "a file", f"{RANDOM} (untrained)"])
        raise UsageError(f"{source}: no such weights; write {name}:WEIGHTS with one of {known}")
    try:
        clip.load_state_dict(tensors := read_tensors(file))
    except RuntimeError as error:
        raise ZsadError(f"{file}: its tensors do not fit {name} ({first_line(error)})") from None
    check_finite(file, tensors)
    return clip


def _clip_from_file(path: str) -> OpenClip:
    state = read_tensors(path)
    if isinstance(state.get("state_dict"), dict):  # as open_clip's training script saves it
        state = {str(key).removeprefix("module."): value for key, value in state["state_dict"].items()}
    state = {
        str(key): value
        for key, value in state.items()
        if key not in ("input_resolution", "context_length", "vocab_size")
    }
    needed = ["visual.proj", "visual.conv1.weight", "visual.positional_embedding", "token_embedding.weight",
              "positional_embedding", "ln_final.weight", "text_projection"]  # fmt: skip
    missing = [key for key in needed if key not in state]
    if missing:
        kind = (
            "a ResNet's, and only ViTs work"
            if "visual.attnpool.positional_embedding" in state
            else "lacking " + ", ".join(missing)
        )
        raise ZsadError(f"{path}: not the state dict of a CLIP ViT in OpenAI's format ({kind})")
    check_finite(path, state)
    try:
        _check_widths(state)
        clip = build_model_from_openai_state_dict(dict(state), quick_gelu=True).float()
        clip.load_state_dict(state)  # once more: the builder rounds everything to half precision
    except Exception as error:  # noqa: BLE001, the builder trusts its tensors
        raise ZsadError(f"{path}: its tensors do not form a CLIP ViT ({first_line(error)})") from None
    return clip


def _check_widths(state: Mapping[str, Tensor]) -> None:
    """Raises ValueError where the model that the builder would make is larger than the tensors that ask for it."""
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    vision, _, _, patch = shapes["visual.conv1.weight"]
    (text,) = shapes["ln_final.weight"]
    _, embedding = shapes["text_projection"]
    wanted = {
        "visual.conv1.weight": (vision, 3, patch, patch),
        "visual.proj": (vision, embedding),
        "visual.positional_embedding": (shapes["visual.positional_embedding"][0], vision),
        "token_embedding.weight": (shapes["token_embedding.weight"][0], text),
        "positional_embedding": (min(shapes["positional_embedding"][0], _LONGEST_TEXT), text),
        "text_projection": (text, embedding),
    }
    for tower, size in (("visual.transformer.resblocks", vision), ("transformer.resblocks", text)):
        blocks = {key.split(".")[tower.count(".") + 1] for key in state if key.startswith(tower)}
        wanted |= {f"{tower}.{block}.attn.in_proj_weight": (3 * size, size) for block in blocks or "0"}
    for key, shape in wanted.items():
        if shapes.get(key) != shape:
            raise ValueError(f"{key} is {shapes.get(key)}, not {shape}")


class _open_clip_quiet:
    """Keeps open_clip's remarks (no weights loaded, sizes resized) from the user: what matters is said by us."""

    def __enter__(self) -> None:
        self._level = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._level)
