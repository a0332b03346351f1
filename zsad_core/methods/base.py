"""The seam: what a method gives the pipeline, and the randomness and settings that it is given.

A method is registered in zsad_core/methods/__init__.py. Its package, or module, holds `PROTOCOL` (a Protocol) and
`build(backbone, checkpoint, image_size, samples) -> Method`, where `backbone` and `checkpoint` are the names or files
that the user gave, `checkpoint` may be "random" (untrained) and `image_size` None (the backbone's default). It may hold
`OPTIONS` ({name: Option}), numbers that the method's authors choose by the target benchmark.

A method that can be trained has a module `training` in its package, with
`recipe(auxiliary, published, backbone) -> Recipe`, where `auxiliary` is the benchmark learnt from, `published` says
that the authors' own rule of validation is followed, and `backbone` is the model's; `untrained(backbone, image_size,
seed) -> Method`, ready to learn; and `save(model, path, auxiliary, training)`, which writes a checkpoint for `build`
with all that made it (see zsad_core.checkpoints and methods/weights.py).

A method whose authors publish weights has a module `checkpoint` in its package, with `save_released(model, path)`,
which writes them as the authors' program reads them; `build` reads both kinds.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from torch import Tensor, nn

from zsad_core.errors import UsageError
from zsad_core.metrics.image import ScoreRule

if TYPE_CHECKING:  # open_clip takes seconds to load; a method without a backbone does without
    from zsad_core.clip import Backbone

PUBLISHED_IMAGE_SIZE = 518


@dataclass(frozen=True)
class Protocol:
    """How a method's authors judge its images and its maps, in pixels at 518 x 518.

    image_score: what an image's score is made of (see zsad_core.metrics.image). smoothing_sigma: of the Gaussian
    before the pixel metrics. top_k: how many highest unsmoothed pixels the map's image score averages;
    top_k_small_defect: the same for categories of small defects.
    """

    image_score: ScoreRule
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


class Option(NamedTuple):
    """A number of a method: the `default`, unless its authors took another for the target (`of_benchmark`)."""

    default: float
    of_benchmark: Mapping[str, float]
    meaning: str


def option_values(
    options: Mapping[str, Option],
    given: Mapping[str, float],
    of_weights: Mapping[str, float],
    benchmark: str | None = None,
) -> dict[str, float]:
    """A number for each of a method's `options`: the user's, else the one that the weights were trained for, else the
    published one for the target, else the default.

    Raises UsageError where the user gave one that the method does not have.
    """
    if unknown := [name for name in given if name not in options]:
        known = "; ".join(describe_options(options)) or "none"
        raise UsageError(f"--option {unknown[0]}: not an option of the method; its options: {known}")
    published = {name: option.of_benchmark.get(benchmark or "", option.default) for name, option in options.items()}
    return published | dict(of_weights) | dict(given)


def describe_options(options: Mapping[str, Option]) -> list[str]:
    """A line for each: name, default, what stands instead for which target, meaning."""
    lines = []
    for name, option in options.items():
        others = ", ".join(f"{target} {value:g}" for target, value in option.of_benchmark.items())
        lines.append(f"{name} {option.default:g}{f' ({others})' if others else ''}: {option.meaning}")
    return lines


class Prediction(NamedTuple):
    """image_score_text: (B,), the text part of the image score. anomaly_map: (B, S, S) in [0, 1], unsmoothed.

    Both are means over R prompt samples where the method has such; text_samples (B, R) and map_samples (B, R, S, S) are
    what each sample says, None where there are none or nobody asked (see Method.keeps_samples).
    """

    image_score_text: Tensor
    anomaly_map: Tensor
    text_samples: Tensor | None = None
    map_samples: Tensor | None = None


class Method(nn.Module):
    """A backbone with a method's weights, ready to score images; a pure function of images, prompts, noise and options.

    A method without a backbone overrides the members that ask for it. `samples`: prompt
    samples of an image, for which draw_noise draws. `keeps_samples`: whether predictions hold what each prompt sample
    says, where it says anything of its own. `training_only`: what the names of weights begin with that
    checkpoints leave out.
    """

    backbone: Backbone
    samples: int
    keeps_samples: bool = False
    training_only: tuple[str, ...] = ()

    @property
    def image_size(self) -> int:
        """S, side of the square input."""
        return self.backbone.image_size

    def weights_facts(self) -> dict[str, str]:
        """What tells the backbone from others, for run.json."""
        return {"activation": self.backbone.activation, "backbone_sha256": self.backbone.weights_sha256()}

    def working_bytes(self) -> int:
        """About what one image takes in memory while it is scored, at most; 32 values a token and channel, measured."""
        return 4 * 32 * (self.backbone.grid**2 + 1) * self.backbone.vision_width

    def compile_kernels(self) -> None:
        """Have torch.compile make kernels of what pays, when it first runs; for batches of one size."""
        self.backbone.compile_towers()

    @abstractmethod
    def draw_noise(self, seed: int, image_sha256s: Sequence[str]) -> Any:
        """The randomness of one batch: a function of the run's seed and of each image's bytes, of nothing else."""

    @abstractmethod
    def forward(self, images: Tensor, prompts: Sequence[str], noise: Any, options: Mapping[str, float]) -> Prediction:
        """`images` (B, 3, S, S), normalised; `prompts` B class names; `noise` as draw_noise gives it; `options` a
        number for each of the method's OPTIONS."""


class Batch(NamedTuple):
    """What one step of training sees of B samples.

    images (B, 3, S, S), normalised. masks (B, S, S), 1.0 where anomalous, else 0.0. labels (B,) int64, 0 or 1.
    prompts: B class names. keys: B names of samples, no two alike in the training set.
    """

    images: Tensor
    masks: Tensor
    labels: Tensor
    prompts: Sequence[str]
    keys: Sequence[str]


@dataclass(frozen=True)
class Stage:
    """One stage of a training, by Adam.

    begin(model): makes it ready for the stage and returns the parameters that learn, as groups for Adam with each
    group's highest `lr`. losses(model, batch, *key): named scalars whose sum is minimised; what they draw is keyed by
    `key`, which names the step. rate(step, steps): the factor of all learning rates at the step, counted from 0, of
    all. judged_by: the average precision of the validation that ends the stage; None: it takes all its epochs and
    keeps its last weights. restores_best: whether it ends with the weights of its best epoch, or of its last.
    """

    begin: Callable[[Any], list[dict[str, Any]]]
    losses: Callable[..., dict[str, Tensor]]
    rate: Callable[[int, int], float]
    judged_by: Literal["pixel", "image"] | None = None
    restores_best: bool = True


@dataclass(frozen=True)
class Recipe:
    """How a method is trained; the user may change epochs and batch size.

    epochs: the most that a stage takes. augment: pixels (H, W, 3), mask (H, W) and a generator to both changed; see
    zsad_core.augmentation. mosaic: probability that a sample is four anomalous images of its category instead.
    validation_samples: prompt samples of an image in validation.
    """

    stages: tuple[Stage, ...]
    epochs: int
    batch_size: int
    adam_betas: tuple[float, float] = (0.5, 0.999)
    augment: Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]] | None = None
    mosaic: float = 0.0
    validation_samples: int = 1
