"""What Bayes-PFL minimises on a batch with one prompt pair: `training_losses` in stage 1, `fusion_losses` in stage 2.

Every loss is a float32 scalar, under autocast too. B: images, S: image size, D: embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad_core.methods.bayes_pfl.flow import FlowSample
from zsad_core.methods.bayes_pfl.model import BayesPFL, Noise

KL_WEIGHT = 0.01


def training_losses(
    model: BayesPFL,
    images: Tensor,
    masks: Tensor,
    labels: Tensor,
    prompts: Sequence[str],
    noise: Noise,
    pair: int,
) -> dict[str, Tensor]:
    """Stage 1: the terms whose sum is minimised, by name, those of the flows with their weight.

    images (B, 3, S, S) normalised; masks (B, S, S) of 0 and 1; labels (B,), 1 for anomalous; prompts B class names;
    noise of one sample (R = 1); pair: the index of the prompt bank's pair that judges image and pixels.
    """
    with torch.no_grad():
        tokens, feature = model.backbone.encode_images(images)
    samples = model.sample_flows(feature, noise)
    text = model.encode_prompts(prompts, samples)
    judging = text[:, :, pair : pair + 1]
    maps = [model.layer_map(judging, layer_tokens, layer) for layer, layer_tokens in enumerate(tokens)]
    contrast = model.contrast(judging, feature)
    with torch.autocast(images.device.type, enabled=False):
        return {
            "image": _image_loss(model.image_temperature, contrast, labels),
            "focal": reduce(torch.add, (focal_loss(each, masks) for each in maps)),
            "dice": reduce(torch.add, (dice_loss(each, masks) for each in maps)),
            "orthogonal": orthogonal_loss(text),
            "kl_context": KL_WEIGHT * divergence(samples.context, len(images)),
            "kl_normal": KL_WEIGHT * divergence(samples.normal, len(images)),
            "kl_abnormal": KL_WEIGHT * divergence(samples.abnormal, len(images)),
        }


def fusion_losses(
    model: BayesPFL, images: Tensor, labels: Tensor, prompts: Sequence[str], noise: Noise, pair: int
) -> dict[str, Tensor]:
    """Stage 2: the image loss, whose gradients reach text_mapping, image_mapping and fusion alone.

    The arguments are those of `training_losses`.
    """
    with torch.no_grad():
        tokens, feature = model.backbone.encode_images(images)
        text = model.encode_prompts(prompts, model.sample_flows(feature, noise), slice(pair, pair + 1))
    contrast = model.contrast(text, model.fused_feature(tokens, feature))
    return {"image": _image_loss(model.image_temperature.detach(), contrast, labels)}


def _image_loss(temperature: Tensor, contrast: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the one pair's softmax, which is a sigmoid of the scaled contrast (B, 1)."""
    logits = temperature.exp() * contrast.float()[:, 0]
    return F.binary_cross_entropy_with_logits(logits, labels.float())


def focal_loss(probability: Tensor, masks: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al. 2017) of the abnormal probability (B, S, S), balanced over the batch: its mean over the
    anomalous pixels plus its mean over the others. A batch that has no pixels of a kind has no term for them."""
    right = torch.where(masks > 0.5, probability, 1 - probability)
    loss = -((1 - right) ** gamma) * torch.log(right + 1e-8)
    normal, anomalous = ((loss * kind).sum() / kind.sum().clamp(min=1) for kind in (1 - masks, masks))
    return normal + anomalous


def dice_loss(probability: Tensor, masks: Tensor, smoothing: float = 1e-5) -> Tensor:
    """1 - Dice coefficient (Milletari et al. 2016) of the abnormal probability (B, S, S), the batch as one image."""
    overlap, total = (probability * masks).sum(), probability.sum() + masks.sum()
    return 1 - (2 * overlap + smoothing) / (total + smoothing)


def orthogonal_loss(text: Tensor) -> Tensor:
    """How alike an image's prompts of one state are, mean over the images of normalised text features (B, 2, T, D).

    For each state the mean of the T x T matrix of squared cosines, whose diagonal counts as 0; the two are added.
    """
    text = text.float()
    squared = (text @ text.transpose(-1, -2)) ** 2
    alike = squared.sum((-1, -2)) - squared.diagonal(dim1=-2, dim2=-1).sum(-1)
    return alike.sum(1).mean() / text.shape[2] ** 2


def divergence(sample: FlowSample, batch: int) -> Tensor:
    """Kullback-Leibler divergence of a flow from the standard normal, estimated by its samples.

    A flow that serves all images has one sample for the whole batch. As published, its density then counts once, but
    log|det| by the batch size less.
    """
    return sample.density_ratio().mean() - sample.log_det().sum() / batch
