"""Everything besides the data that a training depends on; light, so that a driver needs no torch for it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from zsad_core.settings import Device, ScoringSettings, check_counts


@dataclass(frozen=True)
class TrainingSettings:
    """A method and how it is trained; None leaves a value to the method's recipe or to the hardware.

    backbone: see zsad_core.clip_loading. image_size: pixels of the model's square input. epochs: the most that a stage
    takes. batch_size: images of a step. threads: CPU threads, of the model and of those that prepare images.
    """

    method: str = ScoringSettings.method
    backbone: str = ScoringSettings.backbone
    image_size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    threads: int | None = None
    device: Device | None = None

    def __post_init__(self) -> None:
        check_counts(self, "image_size", "epochs", "batch_size", "threads")

    def complete(self, **values: Any) -> CompleteSettings:
        """The same with these values, after which none may be left open but image_size, which is then the model's."""
        return CompleteSettings(**{each.name: getattr(self, each.name) for each in fields(self)} | values)


@dataclass(frozen=True, kw_only=True)
class CompleteSettings(TrainingSettings):
    """Settings that leave nothing to a recipe or to the hardware."""

    epochs: int
    batch_size: int
    threads: int
    device: Device
