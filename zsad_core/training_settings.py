"""Everything besides the data that a training depends on; light, so that a driver needs no torch for it."""

from __future__ import annotations

from dataclasses import dataclass

from zsad_core.errors import UsageError
from zsad_core.settings import Device


@dataclass(frozen=True)
class TrainingSettings:
    """A method and how it is trained; None leaves a value to the method's recipe or to the hardware.

    backbone: see zsad_core.clip. image_size: pixels of the model's square input. epochs: the most that a stage takes.
    batch_size: images of a step. threads: CPU threads, of the model and of those that prepare images.
    """

    method: str = "bayes-pfl"
    backbone: str = "zsad-small:random"
    image_size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    threads: int | None = None
    device: Device | None = None

    def __post_init__(self) -> None:
        for name in ("image_size", "epochs", "batch_size", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} {value}: at least 1 is needed")
