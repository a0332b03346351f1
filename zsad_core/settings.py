"""Everything besides the image itself that a prediction depends on; light, so that a driver needs no torch for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from zsad_core.errors import UsageError

Precision = Literal["fp32", "bf16", "fp16"]
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class ScoringSettings:
    """A method with its weights, and how it is run.

    method: a name of zsad_core.methods. backbone: see zsad_core.clip. checkpoint: a file, or "random" (untrained).
    image_size: pixels of the model's square input, None for the backbone's default. samples: prompt samples R of an
    image. batch_size: images at once. threads: CPU threads of one model; 1 by default, so that the number of models
    on a machine changes no sum's order.
    """

    method: str = "bayes-pfl"
    backbone: str = "zsad-small:random"
    checkpoint: str = "random"
    image_size: int | None = None
    samples: int = 10
    seed: int = 0
    precision: Precision = "fp32"
    batch_size: int = 4
    threads: int = 1
    device: Device = "cpu"

    def __post_init__(self) -> None:
        for name in ("samples", "batch_size", "threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: at least 1 is needed")
        if self.image_size is not None and self.image_size < 1:
            raise UsageError(f"--image-size {self.image_size}: at least 1 is needed")
        if self.precision not in get_args(Precision):
            raise UsageError(f"--precision {self.precision}: one of {', '.join(get_args(Precision))}")
