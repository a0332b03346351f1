"""The training loop on a method of one weight: early stopping, best weights, schedule, validation, going on."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score
from torch import nn

from tests.pictures import encoded
from zsad_core.errors import ZsadError
from zsad_core.images import encode_mask
from zsad_core.methods.base import Method, Prediction, Recipe, Stage
from zsad_core.training import BestEpoch, Trainer
from zsad_core.training_data import Sample
from zsad_core.training_settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("torch_restored")

SIZE = 8


class Toy(Method):
    """Its one weight grows with training; `quality(epochs so far)` says what part of the anomalous pixels it finds."""

    image_size = SIZE

    def __init__(self, quality):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.samples, self.quality, self.asked = 1, quality, []

    def draw_noise(self, seed, image_sha256s):
        self.asked.append((seed, self.samples, tuple(image_sha256s)))

    def forward(self, images, prompts, noise, options):
        found = (images[:, 0] > 0).float()  # the images show their masks
        found[:, int(self.quality() * SIZE) :] = 0
        return Prediction(found.mean((1, 2)), found * 0.5 + 0.25)


def samples(category="pill", count=6):
    made = []
    for number in range(count):
        label = number % 2
        mask = np.full((SIZE, SIZE), bool(label))
        mask[0] = False
        image = encoded((mask[..., None] * 255).repeat(3, 2).astype(np.uint8))
        name = f"{category}/{number}"
        made.append(Sample(name, category, category, label, image, encode_mask(mask), f"sha {name}"))
    return made


def stage(rates=None, **options):
    def begin(model):
        return [{"params": [model.weight], "lr": 0.1}]

    def losses(model, batch, *key):
        if rates is not None:
            rates.append(key)
        return {"square": ((model.weight - 1) ** 2).sum(), "batch": model.weight[0] * 0 + len(batch.keys)}

    return Stage(begin, losses, lambda step, steps: 1 - step / steps, **options)


def trainer(qualities, stages, **settings):
    """`qualities`: for each stage of the validations of its epochs."""
    made = []

    def quality():
        return qualities[made[0].stage_number - 1][made[0].epoch - 1]

    chosen = dataclasses.replace(TrainingSettings(epochs=9, batch_size=4, threads=1, device="cpu", seed=5), **settings)
    recipe = Recipe(stages=stages, epochs=9, batch_size=4, validation_samples=5)
    made.append(Trainer(Toy(quality), recipe, chosen, samples(), samples("valid", 4), {}))
    return made[0]


@pytest.mark.parametrize(
    ("values", "end", "best"),
    [
        ([5, 4, 4, 4, 4, 9], 5, 1),  # the fourth below the best
        ([1, 2, 3, 3, 2, 1, 2, 3, 0, 0, 0], None, 8),  # an equal one is a rise, and the count begins anew
        ([1, 2, 3, 3, 2, 1, 2, 3, 0, 0, 0, 2.9], 12, 8),
        ([0, 0, 0, 0, 0, 0], None, 6),
    ],
)
def test_early_stopping(values, end, best):
    rule = BestEpoch()
    ended = None
    for epoch, value in enumerate(values, 1):
        rule.judge(epoch, value)
        if rule.ends:
            ended = epoch
            break
    assert (ended, rule.epoch) == (end, best)


def test_a_stage_ends_by_the_rule_with_its_best_weights():
    training = trainer([[0.5, 0.9, 0.8, 0.7, 0.6, 0.5]], (stage(judged_by="pixel"),))
    weights = [training.model.weight.detach().clone() for _ in training.epochs()]
    assert [row["best"] for row in training.rows] == [True, True, False, False, False, False]
    assert torch.equal(training.model.weight, weights[1]) and not torch.equal(weights[1], weights[5])
    assert training.kept_row(1)["epoch"] == 2


def test_a_stage_may_keep_its_last_weights():
    training = trainer([[0.9, 0.5, 0.5, 0.5, 0.5]], (stage(judged_by="pixel", restores_best=False),))
    weights = [training.model.weight.detach().clone() for _ in training.epochs()]
    assert len(weights) == 5 and torch.equal(training.model.weight, weights[-1])
    assert training.kept_row(1)["epoch"] == 5


def test_a_method_without_validation_takes_all_epochs():
    training = trainer([[1.0] * 9], (stage(),))
    training.validation = []
    assert len(list(training.epochs())) == 9 and "pixel_ap" not in training.rows[0]
    assert training.kept_row(1)["epoch"] == 9


def test_steps_rates_and_means():
    keys = []
    training = trainer([[1.0] * 2] * 2, (stage(keys), stage(keys)), epochs=2)
    seen = []
    rows = list(training.epochs(seen.append))
    assert seen == [4, 2] * 4
    assert keys == [(5, s, e, step) for s in (1, 2) for e in (1, 2) for step in (0, 1)]
    assert [row["batch"] for row in rows] == [3.0] * 4  # mean of 4 and 2
    assert_allclose([row["learning_rate"] for row in rows], [0.1 * 0.75, 0.1 * 0.25] * 2)
    assert all(row["loss"] == pytest.approx(row["square"] + row["batch"]) for row in rows)


def test_the_order_is_another_in_each_epoch_and_holds_every_sample():
    training = trainer([[1.0] * 4], (stage(),), epochs=4)
    orders = []
    training.stage = dataclasses.replace(
        training.stage,
        losses=lambda model, batch, *key: orders.append(batch.keys) or {"x": model.weight.sum()},
    )
    list(training.epochs())
    epochs = [tuple(orders[2 * epoch] + orders[2 * epoch + 1]) for epoch in range(4)]
    assert all(sorted(epoch) == [each.key for each in samples()] for epoch in epochs)
    assert len(set(epochs)) > 1


def test_validation_is_sklearns_average_precision():
    class Fixed(Toy):
        def forward(self, images, prompts, noise, options):
            assert options == {"alpha": 0.3}
            generator = np.random.default_rng(len(self.asked))
            maps = generator.integers(0, 40, (len(images), SIZE, SIZE)) / 65535 * 1000
            self.given.append((maps, generator.random(len(images))))
            return Prediction(torch.tensor(self.given[-1][1]), torch.tensor(maps))

    model = Fixed(None)
    model.given = []
    both = samples("a", 6) + samples("b", 8)
    recipe = Recipe(stages=(stage(),), epochs=1, batch_size=4, validation_samples=5)
    settings = TrainingSettings(epochs=1, batch_size=4, threads=2, device="cpu", seed=5)
    training = Trainer(model, recipe, settings, samples(), both, {"alpha": 0.3})
    (row,) = training.epochs()
    assert model.asked == [(5, 5, tuple(each.sha256 for each in both))]
    maps, scores = (np.concatenate(parts) for parts in zip(*model.given))
    labels = np.array([each.label for each in both])
    truth = np.repeat(labels, SIZE * SIZE).reshape(-1, SIZE, SIZE)
    truth[:, 0] = 0
    means = []
    for name, part in (("a", slice(0, 6)), ("b", slice(6, 14))):
        of_images = average_precision_score(labels[part], scores[part])
        of_pixels = average_precision_score(truth[part].ravel(), maps[part].ravel())
        assert_allclose([row[f"image_ap {name}"], row[f"pixel_ap {name}"]], [of_images, of_pixels])
        means.append((of_images, of_pixels))
    assert_allclose([row["image_ap"], row["pixel_ap"]], np.mean(means, 0))


@pytest.mark.parametrize("after", [1, 4, 5, 6, 7, 12, 13])
def test_going_on_ends_where_an_unbroken_training_ends(after):
    qualities = [0.5, 0.9, 0.8, 0.7, 0.6, 0.5], [0.3] * 7
    stages = (stage(judged_by="pixel"), stage())
    unbroken = trainer(qualities, stages, epochs=7)
    states = []
    for _ in unbroken.epochs():
        file = io.BytesIO()
        torch.save(unbroken.state(), file)
        states.append(file.getvalue())
    again = trainer(qualities, stages, epochs=7)
    again.resume(torch.load(io.BytesIO(states[after - 1]), weights_only=True))
    list(again.epochs())
    assert torch.equal(again.model.weight, unbroken.model.weight)
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in t.rows] for t in (again, unbroken)]
    assert timeless[0] == timeless[1] and len(timeless[0]) == len(states)


def test_values_that_are_no_numbers_end_it():
    training = trainer([[1.0]], (stage(),))
    training.stage = dataclasses.replace(
        training.stage, losses=lambda model, batch, *key: {"x": model.weight.sum() * float("nan")}
    )
    with pytest.raises(ZsadError, match="stage 1, epoch 1, step 1: the model gives values that are no numbers"):
        next(training.epochs())
