"""Everything besides the image itself that a prediction depends on; light, so that a driver needs no torch for it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from zsad_core.errors import UsageError

Precision = Literal["fp32", "bf16", "fp16"]
Device = Literal["cpu", "cuda"]
USEFUL_BATCH: dict[str, int] = {"cpu": 4, "cuda": 64}  # images at once, where memory allows


@dataclass(frozen=True)
class ScoringSettings:
    """A method with its weights, and how it is run.

    method: a name of zsad_core.methods. backbone: see zsad_core.clip_loading. checkpoint: a file, or "random"
    (untrained). image_size: pixels of the model's square input, None for the backbone's default. samples: prompt
    samples R of an image. map_size: pixels of the stored maps' side, None for the image size. threads: CPU threads of
    one model; 1 by default, so that the number of models on a machine changes no sum's order. compile: whether
    torch.compile makes kernels (see Method.compile_kernels). uncertainty: whether the deviation of score and map over
    the prompt samples is given too, where a method has such. batch_size (images at once) and device: None leaves them
    to the hardware, see `on`. options: the method's that the user gave, for all benchmarks; see zsad_core.methods.base.
    """

    method: str = "bayes-pfl"
    backbone: str = "zsad-small:drawn"
    checkpoint: str = "random"
    image_size: int | None = None
    map_size: int | None = None
    samples: int = 10
    seed: int = 0
    precision: Precision = "fp32"
    threads: int = 1
    compile: bool = False
    uncertainty: bool = False
    batch_size: int | None = None
    device: Device | None = None
    options: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_counts(self, "image_size", "map_size", "samples", "threads", "batch_size")
        if self.precision not in get_args(Precision):
            raise UsageError(f"--precision {self.precision}: one of {', '.join(get_args(Precision))}")

    def on(self, gpu: bool) -> PlacedSettings:
        """The same with a device and a batch size, where they were left open, for a machine with or without a GPU."""
        device: Device = self.device or ("cuda" if gpu else "cpu")
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return PlacedSettings(**values | {"device": device, "batch_size": self.batch_size or USEFUL_BATCH[device]})


@dataclass(frozen=True, kw_only=True)
class PlacedSettings(ScoringSettings):
    """Settings that leave nothing to the hardware."""

    batch_size: int
    device: Device


def check_counts(settings: object, *names: str) -> None:
    """Raises UsageError where one of these settings is neither left open nor at least 1."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")


def split_backbone(name: str) -> tuple[str, str]:
    """A backbone's name as (`ARCHITECTURE:` or nothing, what is behind it): a tag of weights, a file or a URI."""
    match = re.fullmatch(r"([\w.-]+:)(?!//)(.*)", name)
    return (match[1], match[2]) if match and not os.path.isfile(name) else ("", name)
