"""The prompt flows of Bayes-PFL: a Gaussian whose mean and variance a network gives, moved by planar steps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

STEPS = 10


class FlowSample(NamedTuple):
    """Samples z_K of a flow, `z` (B, R, D), and what their density is made of, worked out only where it is asked for.

    noise (B, R, D), standard normal, and log_variance (B, D), the encoder's l: they give the base density of z_0.
    u, w (B or 1, K, D) of the planar steps, heights (B, R, K) their tanh(w.z + b).
    """

    z: Tensor
    noise: Tensor
    log_variance: Tensor
    u: Tensor
    w: Tensor
    heights: Tensor

    def density_ratio(self) -> Tensor:
        """log N(z_0; m, v) - log N(z_K; 0, I) without the constants that cancel, (B, R) float32.

        z_0 lies sqrt(v) noise from m, so its distance from m needs no division by v; log v is l / 2.
        """
        base = -self.log_variance.float()[:, None] / 4 - self.noise.float() ** 2 / 2
        return (base + self.z.float() ** 2 / 2).sum(-1)

    def log_det(self) -> Tensor:
        """Sum over the steps of log(|det of the step's Jacobian| + 1e-5), (B, R) float32."""
        slope = 1 - self.heights.float() ** 2
        along = (self.w.float() * self.u.float()).sum(-1)[:, None]
        return torch.log((1 + slope * along).abs() + 1e-5).sum(-1)


class GaussianEncoder(nn.Module):
    """Two MLPs of one input (B, D): mean (B, D) and log-variance (B, D) of the flow's base distribution."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.mean = _mlp(width, hidden)
        self.log_variance = _mlp(width, hidden)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Samples z_0 (B, R, D) for x (B, D) and standard normal noise (B, R, D), and their log-variance l (B, D).

        z_0 = mean + sqrt(v) noise with v = exp(l / 2): the published program calls exp(l / 2) the variance and takes
        its root again, and released weights are trained so.
        """
        log_variance = self.log_variance(x)
        return self.mean(x)[:, None] + torch.exp(log_variance / 4)[:, None] * noise, log_variance


def _mlp(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.Softplus(), nn.Linear(hidden, hidden), nn.Softplus(), nn.Linear(hidden, width)
    )


def planar_steps(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Planar flow (Rezende and Mohamed 2015): z <- z + u tanh(w.z + b), once for each of K steps.

    z (B, R, D); u, w (B or 1, K, D); b (B or 1, K). Returns z_K (B, R, D) and every step's tanh (B, R, K).
    """
    heights = []
    for k in range(u.shape[1]):
        height = torch.tanh((z * w[:, None, k]).sum(-1, keepdim=True) + b[:, k, None, None])
        z = z + u[:, None, k] * height
        heights.append(height)
    return z, torch.cat(heights, dim=-1)


class ImageFlow(nn.Module):
    """The image-specific flow: u, w and b of every step are linear functions of the image feature."""

    def __init__(self, width: int):
        super().__init__()
        self.u = nn.Linear(width, STEPS * width)
        self.w = nn.Linear(width, STEPS * width)
        self.b = nn.Linear(width, STEPS)

    def forward(self, encoder: GaussianEncoder, feature: Tensor, noise: Tensor) -> FlowSample:
        """Image features (B, D) and standard normal noise (B, R, D) to samples (B, R, D)."""
        z, log_variance = encoder(feature, noise)
        u, w = (linear(feature).view(len(feature), STEPS, -1) for linear in (self.u, self.w))
        z, heights = planar_steps(z, u, w, self.b(feature))
        return FlowSample(z, noise, log_variance, u, w, heights)


class AgnosticFlow(nn.Module):
    """The flow that serves all images: u, w and b are parameters, and `state` is what its encoder reads."""

    def __init__(self, width: int):
        super().__init__()
        self.u = nn.Parameter(torch.randn(STEPS, width))
        self.w = nn.Parameter(torch.randn(STEPS, width))
        self.b = nn.Parameter(torch.randn(STEPS))
        self.state = nn.Parameter(torch.randn(width))

    def forward(self, encoder: GaussianEncoder, noise: Tensor) -> FlowSample:
        """Standard normal noise (R, D) to samples (1, R, D)."""
        z, log_variance = encoder(self.state[None], noise[None])
        u, w = self.u[None], self.w[None]
        z, heights = planar_steps(z, u, w, self.b[None])
        return FlowSample(z, noise[None], log_variance, u, w, heights)
