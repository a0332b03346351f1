"""The prompt flows of Bayes-PFL: a Gaussian whose mean and variance a network gives, moved by planar steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS = 10


class GaussianEncoder(nn.Module):
    """Two MLPs of one input (B, D): mean (B, D) and log-variance (B, D) of the flow's base distribution."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.mean = _mlp(width, hidden)
        self.log_variance = _mlp(width, hidden)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Samples z_0 (B, R, D) for x (B, D) and standard normal noise (B, R, D).

        z_0 = mean + sqrt(v) noise with v = exp(l / 2): the published program calls exp(l / 2) the variance and takes
        its root again, and released weights are trained so.
        """
        deviation = torch.exp(self.log_variance(x) / 4)
        return self.mean(x)[:, None] + deviation[:, None] * noise


def _mlp(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.Softplus(), nn.Linear(hidden, hidden), nn.Softplus(), nn.Linear(hidden, width)
    )


def planar_steps(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Planar flow (Rezende and Mohamed 2015): z <- z + u tanh(w.z + b), once for each of K steps.

    z (B, R, D); u, w (B or 1, K, D); b (B or 1, K).
    """
    for k in range(u.shape[1]):
        height = torch.tanh((z * w[:, None, k]).sum(-1, keepdim=True) + b[:, k, None, None])
        z = z + u[:, None, k] * height
    return z


class ImageFlow(nn.Module):
    """The image-specific flow: u, w and b of every step are linear functions of the image feature."""

    def __init__(self, width: int):
        super().__init__()
        self.u = nn.Linear(width, STEPS * width)
        self.w = nn.Linear(width, STEPS * width)
        self.b = nn.Linear(width, STEPS)

    def forward(self, z: Tensor, feature: Tensor) -> Tensor:
        """z_0 (B, R, D) and image feature (B, D) to z_K (B, R, D)."""
        batch, _, width = z.shape
        u, w = (linear(feature).view(batch, STEPS, width) for linear in (self.u, self.w))
        return planar_steps(z, u, w, self.b(feature))


class AgnosticFlow(nn.Module):
    """The flow that serves all images: u, w and b are parameters, and `state` is what its encoder reads."""

    def __init__(self, width: int):
        super().__init__()
        self.u = nn.Parameter(torch.randn(STEPS, width))
        self.w = nn.Parameter(torch.randn(STEPS, width))
        self.b = nn.Parameter(torch.randn(STEPS))
        self.state = nn.Parameter(torch.randn(width))

    def forward(self, encoder: GaussianEncoder, noise: Tensor) -> Tensor:
        """Standard normal noise (R, D) to z_K (R, D)."""
        z = encoder(self.state[None], noise[None])
        return planar_steps(z, self.u[None], self.w[None], self.b[None])[0]
