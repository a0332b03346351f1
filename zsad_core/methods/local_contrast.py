"""Local contrast, a baseline that learns nothing: how far each pixel is from its wide Gaussian surround.

It has no backbone, no weights and no prompts; what a trained method adds is what it finds beyond this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from zsad_core.anomaly_map import smooth
from zsad_core.methods.base import PUBLISHED_IMAGE_SIZE, Method, Prediction, Protocol
from zsad_core.pixels import colours

PROTOCOL = Protocol(image_score="text", smoothing_sigma=8.0, top_k=1, top_k_small_defect=1)
# Sigma of the surround, as a part of the image's side: wider than most defects, which would blend into a narrower one,
# and narrower than most objects, whose outline stands out from a wider one. Of 0.03 to 0.3 the best on drawn images; so
# is an image that is not smoothed first.
WIDTH = 0.12


def build(backbone: str, checkpoint: str, image_size: int | None, samples: int) -> LocalContrast:
    """The baseline at `image_size` (default 518, as most methods are published); the other arguments mean nothing."""
    return LocalContrast(image_size or PUBLISHED_IMAGE_SIZE)


class LocalContrast(Method):
    """Map: Euclidean distance of colours in [0, 1] from their surround, over sqrt(3). The image score
    is the map's maximum."""

    def __init__(self, image_size: int):
        super().__init__()
        self._image_size = image_size

    @property
    def image_size(self) -> int:
        return self._image_size

    def weights_facts(self) -> dict[str, str]:
        return {}

    def working_bytes(self) -> int:
        return 4 * 8 * 3 * self.image_size**2

    def draw_noise(self, seed: int, image_sha256s: Sequence[str]) -> None:
        """Nothing is random."""

    def forward(self, images: Tensor, prompts: Sequence[str], noise: None, options: Mapping[str, float]) -> Prediction:
        own = colours(images)
        surround = smooth(own.flatten(0, 1), WIDTH * self.image_size).view_as(own)
        anomaly_map = (own - surround).square().mean(dim=1).sqrt().clamp(max=1)
        return Prediction(anomaly_map.amax(dim=(1, 2)), anomaly_map)
