"""CoPS's recipe: what learns, what depends on the auxiliary benchmark, and what is drawn."""

import pytest
import torch

from zsad_core.methods.base import Batch
from zsad_core.methods.cops import training
from zsad_core.methods.cops.training import drawn, recipe, untrained
from zsad_core.training import Trainer
from zsad_core.training_settings import TrainingSettings


@pytest.fixture(scope="module")
def model(cops_golden):
    return untrained(cops_golden.backbone, 28, seed=3)


def test_the_seed_makes_the_initial_weights(cops_golden, model):
    again, other = (untrained(cops_golden.backbone, 28, seed=seed) for seed in (3, 4))
    assert torch.equal(again.prompts.normal, model.prompts.normal)
    assert not torch.equal(other.prompts.normal, model.prompts.normal)
    assert model.backbone.activation == "quick_gelu"


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize(("auxiliary", "epochs"), [("VisA", 10), ("MVTec-AD", 5), ("drawn", 10)])
def test_recipe(auxiliary, epochs, published):
    ours = recipe(auxiliary, published)
    assert (ours.epochs, ours.batch_size, ours.adam_betas) == (epochs, 8, (0.5, 0.999))
    assert (ours.augment, ours.mosaic, len(ours.stages)) == (None, 0.0, 1)
    assert ours.stages[0].judged_by is None
    assert ours.stages[0].rate(0, 9) == ours.stages[0].rate(8, 9) == 1.0


def test_everything_but_the_backbone_learns_at_one_rate(model):
    (group,) = recipe("VisA", False).stages[0].begin(model)
    assert group["lr"] == 1e-3
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(parameter)] for parameter in group["params"]} == {
        name for name in names.values() if not name.startswith("backbone.")
    }


def random_batch():
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(3, 28, 28)
    masks[1:, 5:15, 5:15] = 1
    return Batch(
        torch.randn(3, 3, 28, 28, generator=generator), masks, torch.tensor([0, 1, 1]), ["pill"] * 3, ["a", "b", "c"]
    )


@pytest.mark.parametrize(
    ("auxiliary", "pooling", "reconstructs"), [("VisA", 5, False), ("MVTec-AD", 3, True), ("drawn", 5, True)]
)
def test_the_auxiliary_benchmark_decides_pooling_and_reconstruction(
    model, monkeypatch, auxiliary, pooling, reconstructs
):
    given, losses = {}, training.training_losses

    def watched(*positional, **named):
        given.update(named)
        return losses(*positional, **named)

    monkeypatch.setattr(training, "training_losses", watched)
    result = recipe(auxiliary, False).stages[0].losses(model, random_batch(), 0, 1, 1, 0)
    assert given == {"pooling": pooling, "reconstructs": reconstructs}
    assert ("reconstruction" in result) == reconstructs


def batch(keys):
    return Batch(torch.zeros(len(keys), 3, 28, 28), None, None, ["x"] * len(keys), keys)


def test_what_is_drawn_belongs_to_step_and_sample(model):
    noise = drawn(model, batch(["a", "b"]), 0, 1, 1, 0)
    assert noise.shape == (2, 192)
    assert torch.equal(drawn(model, batch(["b"]), 0, 1, 1, 0)[0], noise[1]) and not torch.equal(noise[0], noise[1])
    assert not torch.equal(drawn(model, batch(["a"]), 0, 1, 1, 1)[0], noise[0])


def test_steps_move_what_learns_and_nothing_else(cops_golden):
    model = untrained(cops_golden.backbone, 28, seed=0)
    (group,) = recipe("MVTec-AD", False).stages[0].begin(model)
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.Adam([group])
    sum(recipe("MVTec-AD", False).stages[0].losses(model, random_batch(), 0, 1, 1, 0).values()).backward()
    optimizer.step()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("backbone.")}


def test_what_a_training_goes_on_from_holds_the_vae_encoder(cops_golden, torch_restored):
    """Checkpoints leave it out; without it, the epochs behind an interruption would be others."""
    settings = TrainingSettings("cops", epochs=2, batch_size=2, threads=1, device="cpu")
    one, other = (
        Trainer(untrained(cops_golden.backbone, 28, seed), recipe("VisA", False), settings, [], [], {})
        for seed in (0, 1)
    )
    other.resume(one.state())
    for key, value in one.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[key], value), key
    assert "vae_encoder.mean.weight" in one.state()["weights"]
