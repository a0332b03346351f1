"""What the worker of a training does: from its state to the checkpoint, telling how it goes."""

from __future__ import annotations

import dataclasses
import io
import os
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipelines import provenance, storage
from pipelines.auxiliary import Part, check_classes, read_samples
from pipelines.losses import CSV, PLOT, losses_csv, losses_plot
from zsad_core.methods import method_module, options_of
from zsad_core.settings import split_backbone
from zsad_core.training_settings import CompleteSettings, TrainingSettings

if TYPE_CHECKING:  # loads torch
    from zsad_core.methods.base import Recipe

CHECKPOINT = "checkpoint.safetensors"


STATE = "state.pt"


Tell = Callable[[str, Any], None]
"""How a worker speaks to the user: ("say", line), ("expect", (label, images)), ("advance", images), ("fail", error)."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One training, with nothing left open. facts: the model's, see describe."""

    run: str
    settings: CompleteSettings
    learnt: Part
    judged: Part
    published: bool
    facts: dict[str, Any]

    def identity(self) -> dict[str, Any]:
        """What the checkpoint depends on: files by name and content, so that moving one changes nothing."""
        settings = dataclasses.asdict(self.settings)
        architecture, weights = split_backbone(self.settings.backbone)
        settings |= {"backbone": architecture + weights.rsplit("/", 1)[-1], **self.facts, "published": self.published}
        return {"settings": settings, "training": self.learnt.recorded(), "validation": self.judged.recorded()}


def describe(settings: TrainingSettings, auxiliary: str) -> dict[str, Any]:
    """Build the untrained model once: its facts, the recipe's numbers where none were given, and its errors."""
    module = method_module(settings.method, "training")
    model = untrained(module, settings)
    recipe: Recipe = module.recipe(auxiliary, False, model.backbone)
    return {
        "image_size": model.image_size,
        "epochs": settings.epochs or recipe.epochs,
        "batch_size": settings.batch_size or recipe.batch_size,
        "validates": any(stage.judged_by for stage in recipe.stages),
        **model.weights_facts(),
    }


def untrained(module: ModuleType, settings: TrainingSettings) -> Any:
    architecture, weights = split_backbone(settings.backbone)
    with storage.local_copy(weights) as backbone:
        return module.untrained(architecture + backbone, settings.image_size, settings.seed)


def carry_out(task: Task, tell: Tell) -> None:
    """Train in this process, from the state in `task.run` where there is one, and write everything there."""
    from zsad_core.methods.base import option_values
    from zsad_core.training import Trainer

    settings, state_uri = task.settings, storage.join(task.run, STATE)
    training, validation = (_samples(part, tell) for part in (task.learnt, task.judged))
    check_classes(task.learnt.benchmark, {sample.label for sample in training})
    for category in task.judged.categories:
        labels = {sample.label for sample in validation if sample.category == category}
        check_classes(f"{task.judged.benchmark}, {category}", labels)
    module = method_module(settings.method, "training")
    model = untrained(module, settings)
    recipe = module.recipe(task.learnt.benchmark, task.published, model.backbone)
    options = option_values(options_of(settings.method), {}, {}, task.learnt.benchmark)
    trainer = Trainer(model, recipe, settings, training, validation, options)
    if storage.exists(state_uri):
        trainer.resume(_read_state(state_uri))
        tell("say", f"going on behind stage {trainer.stage_number}, epoch {trainer.epoch}")

    shown_stage = 0

    def advance(images: int) -> None:
        nonlocal shown_stage
        if trainer.stage_number != shown_stage:
            shown_stage = trainer.stage_number
            left = (settings.epochs - trainer.epoch) * len(training)
            tell("expect", (f"stage {shown_stage}, at most {settings.epochs} epochs", left))
        tell("advance", images)

    for row in trainer.epochs(advance):
        storage.write_bytes(state_uri, _tensors(trainer.state()))
        storage.write_bytes(storage.join(task.run, CSV), losses_csv(trainer.rows))
        tell("say", _line(row))
        if trainer.stage_is_over:
            kept = trainer.kept_row(trainer.stage_number)
            tell("say", f"stage {kept['stage']} ends with the weights of epoch {kept['epoch']}")
    storage.write_bytes(storage.join(task.run, PLOT), losses_plot(trainer.rows))
    facts = _facts(task, [trainer.kept_row(number + 1) for number in range(len(recipe.stages))])
    with tempfile.TemporaryDirectory(prefix="zsad-") as folder:
        path = os.path.join(folder, CHECKPOINT)
        module.save(trainer.model, path, task.learnt.benchmark, facts)
        storage.write_bytes(storage.join(task.run, CHECKPOINT), storage.read_bytes(path))
    storage.remove(state_uri)


def _samples(part: Part, tell: Tell) -> list:
    samples, lines = read_samples(part)
    for line in lines:
        tell("say", line)
    return samples


def _tensors(state: dict[str, Any]) -> bytes:
    import torch

    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def _read_state(uri: str) -> dict[str, Any]:
    from zsad_core.weight_files import read_tensors

    with storage.local_copy(uri) as path:
        return read_tensors(path)


def _line(row: dict[str, Any]) -> str:
    line = f"stage {row['stage']}, epoch {row['epoch']}: loss {row['loss']:.4f}"
    if "pixel_ap" in row:
        line += f", validation AP: pixel {100 * row['pixel_ap']:.1f}, image {100 * row['image_ap']:.1f}"
    return line + (", the best yet" if row.get("best") else "")


def _facts(task: Task, kept: list[dict[str, Any]]) -> dict[str, Any]:
    """What the checkpoint says about its training: nothing about where and when it was."""
    figures = [{name: value for name, value in row.items() if name not in ("best", "seconds")} for row in kept]
    return task.identity() | {"kept_epochs": figures, "versions": provenance.versions()}
