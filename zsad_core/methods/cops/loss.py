"""What CoPS minimises on a batch: `training_losses`, and the pixel losses that are its own.

B: images, S: image size, N: patches, D: embedding width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zsad_core.anomaly_map import nearest_upsampled
from zsad_core.methods.cops.model import CoPS, contrast, distances, neighbourhood_mean, probability

PIXEL_WEIGHT = 4.0


def training_losses(
    model: CoPS, images: Tensor, masks: Tensor, labels: Tensor, noise: Tensor, pooling: int, reconstructs: bool
) -> dict[str, Tensor]:
    """The terms whose sum is minimised, by name, those of pixels with their weight.

    images (B, 3, S, S) normalised; masks (B, S, S) of 0 and 1; labels (B,), 1 for anomalous; noise (B, D), standard
    normal; pooling: side of the neighbourhood mean; reconstructs: whether the image features are to come back.
    """
    with torch.no_grad():
        tokens, feature = model.backbone.encode_two_paths(images)
        patches = neighbourhood_mean(tokens, pooling)
    prototypes = model.prototypes(patches)
    from_normal, from_abnormal = distances(patches, prototypes).unbind(1)
    mean, log_variance = model.vae_encoder(feature)
    latents = mean + torch.exp(log_variance / 2) * noise
    # Prototypes learn from the distances alone, not from what they do to the prompts.
    text = model.text_features(prototypes.detach(), latents[:, None])
    anomaly_map = nearest_upsampled(probability(text, patches), model.image_size)
    anomalous = F.max_pool2d(masks, model.backbone.patch_size).flatten(1)  # a patch is, if one of its pixels is
    losses = {
        "image": F.binary_cross_entropy_with_logits(contrast(text, feature[:, None])[:, 0], labels.float()),
        "focal": PIXEL_WEIGHT * focal_loss(anomaly_map, masks),
        "dice": PIXEL_WEIGHT * (dice_loss(anomaly_map, masks) + dice_loss(1 - anomaly_map, 1 - masks)),
        "gather": mean_over(from_normal, 1 - anomalous),
        "scatter": mean_over(from_abnormal, anomalous),
        "kl": divergence(mean, log_variance),
    }
    if reconstructs:
        losses["reconstruction"] = reconstruction_loss(model.vae_decoder(latents), feature)
    return losses


def focal_loss(probability: Tensor, masks: Tensor, gamma: float = 2.0, smoothing: float = 1e-5) -> Tensor:
    """Focal loss (Lin et al. 2017) of the abnormal probability (B, S, S), its mean over all pixels.

    As released, the right answer counts by 1 - smoothing, the other by smoothing, and their sum is that much higher.
    """
    right = torch.where(masks > 0.5, probability, 1 - probability)
    right = (1 - smoothing) * right + smoothing * (1 - right) + smoothing
    return (-((1 - right) ** gamma) * right.log()).mean()


def dice_loss(probability: Tensor, masks: Tensor, smoothing: float = 1.0) -> Tensor:
    """1 - Dice coefficient (Milletari et al. 2016) of probabilities (B, S, S) against masks, the mean over the
    images."""
    overlap, total = (probability * masks).sum((1, 2)), (probability + masks).sum((1, 2))
    return (1 - (2 * overlap + smoothing) / (total + smoothing)).mean()


def mean_over(distance: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the distances (B, N) of the patches that are 1 in `chosen` (B, N), over the batch; 0 where none is."""
    return (distance * chosen).sum() / chosen.sum().clamp(min=1)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of Gaussians (B, D) from the standard normal, the mean over the batch."""
    return ((mean**2 + log_variance.exp() - 1 - log_variance) / 2).sum(1).mean()


def reconstruction_loss(decoded: Tensor, feature: Tensor) -> Tensor:
    """Mean squared difference of decoded latents (B, D) and image features (B, D), over all pairs in the batch."""
    return ((feature - decoded[:, None]) ** 2).mean()
