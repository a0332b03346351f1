"""The seam: what a method gives the pipeline, and the randomness and settings that it is given.

A method's package holds `PROTOCOL` (a Protocol) and
`build(backbone, checkpoint, image_size, samples) -> Method`, where `backbone` and `checkpoint` are the names or files
that the user gave, `checkpoint` may be "random" (untrained) and `image_size` None (the backbone's default).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from zsad_core.clip import Backbone

PUBLISHED_IMAGE_SIZE = 518


@dataclass(frozen=True)
class Protocol:
    """How a method's authors judge its maps, in pixels at 518 x 518.

    smoothing_sigma: of the Gaussian before the pixel metrics. top_k: how many highest unsmoothed pixels the map's
    image score averages; top_k_small_defect: the same for categories of small defects.
    """

    smoothing_sigma: float
    top_k: int
    top_k_small_defect: int

    def scaled_sigma(self, image_size: int) -> float:
        """sigma S/518, so that maps of another size S are smoothed alike."""
        return self.smoothing_sigma * image_size / PUBLISHED_IMAGE_SIZE

    def scaled_top_k(self, image_size: int, small_defect: bool) -> int:
        """k (S/518)^2, at least 1: the same part of the image at every size S."""
        k = self.top_k_small_defect if small_defect else self.top_k
        return max(1, round(k * (image_size / PUBLISHED_IMAGE_SIZE) ** 2))


class Prediction(NamedTuple):
    """image_score_text: (B,), the text part of the image score. anomaly_map: (B, S, S) in [0, 1], unsmoothed."""

    image_score_text: Tensor
    anomaly_map: Tensor


class Method(nn.Module):
    """A backbone with a method's weights, ready to score images; a pure function of images, prompts and noise."""

    backbone: Backbone

    @abstractmethod
    def draw_noise(self, seed: int, image_sha256s: Sequence[str]) -> Any:
        """The randomness of one batch: a function of the run's seed and of each image's bytes, of nothing else."""

    @abstractmethod
    def forward(self, images: Tensor, prompts: Sequence[str], noise: Any) -> Prediction:
        """`images` (B, 3, S, S), normalised; `prompts` B class names; `noise` as draw_noise gives it."""
