"""A source of drawn images in MVTec-AD's layout, of any materials, for tests of data of one's own."""

import os
from collections.abc import Sequence

from PIL import Image

from zsad_core.benchmarks.drawn import draw_sample
from zsad_core.benchmarks.drawn.catalogue import MATERIALS


def draw_mvtec(
    folder: str, categories: Sequence[str], *, normal: int, anomalous: int, size: int, seed: int = 0
) -> None:
    """Draw test images of every category as PNG files below `folder`; the defects of a category take turns."""
    for category in categories:
        defects = MATERIALS[category].defects
        for number in range(normal):
            pixels, _ = draw_sample(category, None, number, size, seed)
            _save(pixels, folder, category, "test", "good", f"{number:03d}.png")
        for turn in range(anomalous):
            defect, number = defects[turn % len(defects)], turn // len(defects)
            pixels, mask = draw_sample(category, defect, number, size, seed)
            _save(pixels, folder, category, "test", defect, f"{number:03d}.png")
            _save(mask, folder, category, "ground_truth", defect, f"{number:03d}_mask.png")


def _save(pixels, *parts: str) -> None:
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=2)
