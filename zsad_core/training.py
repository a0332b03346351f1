"""Trains a method by its recipe: epochs of steps, validation, early stopping, and a state from which to go on.

What an epoch does depends on the seed, its number and the weights it begins with, so an epoch done again is the same.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zsad_core.errors import ZsadError
from zsad_core.map_codec import LARGEST_CODE, quantise
from zsad_core.methods.base import Batch, Method, Recipe
from zsad_core.metrics.curves import average_precision
from zsad_core.metrics.image import image_metrics
from zsad_core.noise import keyed_generator
from zsad_core.pixels import normalised
from zsad_core.training_data import Preparation, Prepared, Sample, batches
from zsad_core.training_settings import CompleteSettings

FALLS_THAT_END = 4
VALIDATION_BATCH = 16  # images at once: there are several prompt samples of each
NO_NUMBER = "the model gives values that are no numbers any more; its weights have run away"


@dataclass
class BestEpoch:
    """The early stopping rule: a stage ends at the fourth epoch in a row below the best; an equal one is a rise."""

    epoch: int = 0
    value: float = float("-inf")
    falls: int = 0

    def judge(self, epoch: int, value: float) -> bool:
        """Take note of an epoch's value; whether it is the best so far."""
        if value < self.value:
            self.falls += 1
            return False
        self.epoch, self.value, self.falls = epoch, value, 0
        return True

    @property
    def ends(self) -> bool:
        return self.falls >= FALLS_THAT_END


class Trainer:
    """A training in progress. `options`: the method's, for validation.

    rows: a dictionary for each finished epoch, with its `stage` and `epoch` (both from 1), the mean of each loss over
    the steps, their sum `loss`, `learning_rate` (of the first group at the last step), `image_ap` and `pixel_ap` (means
    over the validation categories, and those of each as `image_ap CATEGORY`), `best` (whether the validation judges
    it so) and `seconds`.
    """

    def __init__(
        self,
        model: Method,
        recipe: Recipe,
        settings: CompleteSettings,
        training: Sequence[Sample],
        validation: Sequence[Sample],
        options: Mapping[str, float],
    ):
        torch.set_num_threads(settings.threads)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        # On a GPU some gradients (of upsampling) have no deterministic algorithm.
        torch.use_deterministic_algorithms(settings.device == "cpu")
        self.model, self.recipe, self.settings = model.to(settings.device).eval(), recipe, settings
        self.training, self.validation, self.options = training, validation, options
        self.preparation = Preparation(training, model.image_size, recipe)
        self.rows: list[dict[str, Any]] = []
        self.stage_number = 0
        self._begin_stage(1)

    def epochs(self, advance: Callable[[int], None] = lambda images: None) -> Iterator[dict[str, Any]]:
        """Do what is left of the training; gives each epoch's row when it is done, which is when to keep the `state`.

        `advance` is told how many images each finished step took.
        """
        while True:
            while not self.stage_is_over:
                self.rows.append(self._epoch(advance))
                yield self.rows[-1]
            if self.best_weights and self.stage.restores_best:
                self.model.load_state_dict(self.best_weights, strict=False)
            if self.stage_number == len(self.recipe.stages):
                return
            self._begin_stage(self.stage_number + 1)

    @property
    def stage_is_over(self) -> bool:
        return self.epoch == self.settings.epochs or self.best.ends

    def kept_row(self, stage_number: int) -> dict[str, Any]:
        """The row of the epoch whose weights a stage that is over ended with."""
        rows = [row for row in self.rows if row["stage"] == stage_number]
        best = [row for row in rows if row.get("best")]
        return best[-1] if best and self.recipe.stages[stage_number - 1].restores_best else rows[-1]

    def state(self) -> dict[str, Any]:
        """All that `resume` needs: tensors, numbers, texts, lists and dictionaries."""
        return {
            "stage": self.stage_number,
            "epoch": self.epoch,
            "weights": self._weights(),
            "optimizer": self.optimizer.state_dict(),
            "best": asdict(self.best),
            "best_weights": self.best_weights,
            "rows": self.rows,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on as the trainer that gave the state would have."""
        self._begin_stage(state["stage"])
        self.epoch, self.rows, self.best = state["epoch"], state["rows"], BestEpoch(**state["best"])
        self.model.load_state_dict(state["weights"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.best_weights = state["best_weights"]

    def _begin_stage(self, number: int) -> None:
        self.stage_number, self.epoch = number, 0
        self.stage = self.recipe.stages[number - 1]
        groups = self.stage.begin(self.model)
        self.model.requires_grad_(False)
        for group in groups:
            for parameter in group["params"]:
                parameter.requires_grad_(True)
        self.optimizer = torch.optim.Adam(
            [{**group, "highest_lr": group["lr"]} for group in groups], betas=self.recipe.adam_betas
        )
        self.best, self.best_weights = BestEpoch(), {}

    def _weights(self) -> dict[str, Tensor]:
        """A copy of all weights but the backbone's, on the CPU."""
        return {
            name: value.detach().cpu().clone()
            for name, value in self.model.state_dict().items()
            if not name.startswith("backbone.")
        }

    def _epoch(self, advance: Callable[[int], None]) -> dict[str, Any]:
        started = time.monotonic()
        row = {"stage": self.stage_number, "epoch": self.epoch + 1} | self._train(advance)
        self.epoch += 1
        if self.validation:
            row |= self._validate()
        if judged_by := self.stage.judged_by:
            row["best"] = self.best.judge(self.epoch, row[f"{judged_by}_ap"])
            if row["best"]:
                self.best_weights = self._weights()
        return row | {"seconds": round(time.monotonic() - started, 1)}

    def _train(self, advance: Callable[[int], None]) -> dict[str, float]:
        """One epoch's steps: the means of the losses, and the learning rate."""
        settings = self.settings
        key = (settings.seed, self.stage_number, self.epoch + 1)
        order = keyed_generator(*key, "order").permutation(len(self.training))
        steps = -(-len(order) // settings.batch_size)
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=settings.device))
        shuffled = [self.training[place] for place in order]
        changed = functools.partial(self.preparation.changed, key=key)
        for step, prepared in enumerate(batches(shuffled, changed, settings.batch_size, settings.threads)):
            rate = self.stage.rate(self.epoch * steps + step, settings.epochs * steps)
            for group in self.optimizer.param_groups:
                group["lr"] = group["highest_lr"] * rate
            losses = self.stage.losses(self.model, _batch(prepared, settings.device), *key, step)
            losses["loss"] = functools.reduce(torch.add, losses.values())
            if not torch.isfinite(losses["loss"]):
                raise ZsadError(f"stage {key[1]}, epoch {key[2]}, step {step + 1}: {NO_NUMBER}")
            self.optimizer.zero_grad()
            losses["loss"].backward()
            self.optimizer.step()
            for name, value in losses.items():
                sums[name] += value.detach()
            advance(len(prepared))
        means = {name: float(value) / steps for name, value in sums.items()}
        return {"learning_rate": self.optimizer.param_groups[0]["lr"], "loss": means.pop("loss")} | means

    @torch.inference_mode()
    def _validate(self) -> dict[str, float]:
        """Average precision of each category and their means, of unsmoothed maps and of the text part alone.

        Pixels are counted by the map's 16-bit code, so that no map is kept.
        """
        self.model.samples = self.recipe.validation_samples
        counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((2, LARGEST_CODE + 1), np.int64))
        scores: dict[str, list[float]] = defaultdict(list)
        labels: dict[str, list[int]] = defaultdict(list)
        for prepared in batches(self.validation, self.preparation.plain, VALIDATION_BATCH, self.settings.threads):
            batch = _batch(prepared, self.settings.device)
            noise = self.model.draw_noise(self.settings.seed, [each.sample.sha256 for each in prepared])
            prediction = self.model(batch.images, batch.prompts, noise, self.options)
            if not (torch.isfinite(prediction.image_score_text).all() and torch.isfinite(prediction.anomaly_map).all()):
                raise ZsadError(f"stage {self.stage_number}, epoch {self.epoch}: {NO_NUMBER}")
            codes = quantise(prediction.anomaly_map.cpu().numpy())
            for each, score, code in zip(prepared, prediction.image_score_text.tolist(), codes):
                category = each.sample.category
                scores[category].append(score)
                labels[category].append(each.label)
                for kind, of_kind in enumerate((~each.mask, each.mask)):
                    counts[category][kind] += np.bincount(code[of_kind], minlength=LARGEST_CODE + 1)
        values = {
            "image_ap": {name: image_metrics(np.array(scores[name]), np.array(labels[name]))["ap"] for name in scores},
            "pixel_ap": {name: float(average_precision(*counts[name])) for name in scores},
        }
        means = {level: float(np.mean(list(each.values()))) for level, each in values.items()}
        return means | {f"{level} {name}": value for level, each in values.items() for name, value in each.items()}


def _batch(prepared: Sequence[Prepared], device: str) -> Batch:
    return Batch(
        images=normalised(np.stack([each.pixels for each in prepared]), device),
        masks=torch.from_numpy(np.stack([each.mask for each in prepared])).float().to(device),
        labels=torch.tensor([each.label for each in prepared], device=device),
        prompts=[each.sample.prompt for each in prepared],
        keys=[each.sample.key for each in prepared],
    )
