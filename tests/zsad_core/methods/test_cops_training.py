"""CoPS's recipes: what learns, what depends on the auxiliary benchmark or the backbone, and what is drawn."""

import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

from zsad_core.checkpoints import read_facts
from zsad_core.methods.base import Batch
from zsad_core.methods.cops import training
from zsad_core.methods.cops.model import PROTOTYPES
from zsad_core.methods.cops.training import drawn, recipe, save, untrained
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
def test_recipe(model, auxiliary, epochs, published):
    ours = recipe(auxiliary, published, model.backbone)
    assert (ours.epochs, ours.batch_size, ours.adam_betas) == (epochs, 8, (0.5, 0.999))
    assert (ours.augment, ours.mosaic, len(ours.stages)) == (None, 0.0, 1)
    assert ours.stages[0].judged_by is None
    assert ours.stages[0].rate(0, 9) == ours.stages[0].rate(8, 9) == 1.0


def test_everything_but_the_backbone_learns_at_one_rate(model):
    (group,) = recipe("VisA", False, model.backbone).stages[0].begin(model)
    assert group["lr"] == 1e-3
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(parameter)] for parameter in group["params"]} == {
        name for name in names.values() if not name.startswith("backbone.")
    }


def random_batch(size=28):
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(3, size, size)
    masks[1:, 5:15, 5:15] = 1
    images = torch.randn(3, 3, size, size, generator=generator)
    return Batch(images, masks, torch.tensor([0, 1, 1]), ["pill"] * 3, ["a", "b", "c"])


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
    result = recipe(auxiliary, False, model.backbone).stages[0].losses(model, random_batch(), 0, 1, 1, 0)
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
    (group,) = recipe("MVTec-AD", False, model.backbone).stages[0].begin(model)
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.Adam([group])
    sum(
        recipe("MVTec-AD", False, model.backbone).stages[0].losses(model, random_batch(), 0, 1, 1, 0).values()
    ).backward()
    optimizer.step()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("backbone.")}


def test_what_a_training_goes_on_from_holds_the_vae_encoder(cops_golden, torch_restored):
    """Checkpoints leave it out; without it, the epochs behind an interruption would be others."""
    settings = TrainingSettings("cops", epochs=2, batch_size=2, threads=1, device="cpu")
    models = [untrained(cops_golden.backbone, 28, seed) for seed in (0, 1)]
    one, other = (Trainer(each, recipe("VisA", False, each.backbone), settings, [], [], {}) for each in models)
    other.resume(one.state())
    for key, value in one.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[key], value), key
    assert "vae_encoder.mean.weight" in one.state()["weights"]


@pytest.fixture(scope="module")
def small():
    return untrained("zsad-small:drawn", 64, seed=3)


def test_prompts_on_an_own_backbone_begin_as_sentences(small):
    clip, sentences = small.backbone.clip, []
    for state in ("flawless perfect normal", "damaged broken flawed"):
        ids, _ = small.backbone.tokenize([f"a photo of a the one {state} thing one."])
        sentences.append(
            F.normalize(clip.encode_text(F.pad(ids, (0, small.backbone.context_length - ids.shape[1]))), dim=-1)
        )
    nothing, latents = torch.zeros(1, 2, PROTOTYPES, 128), torch.randn(1, 2, 128)
    with torch.no_grad():
        found = small.text_features(nothing, latents)[0]
    # Deep prompts are rounded to float16.
    assert_allclose(found, torch.cat(sentences), rtol=0, atol=1e-3)
    assert torch.cosine_similarity(*found, dim=0) < 0.99


def test_the_seed_makes_the_prototypes_on_an_own_backbone(small):
    again, other = (untrained("zsad-small:drawn", 64, seed=seed) for seed in (3, 4))
    assert torch.equal(again.prototypes.normal, small.prototypes.normal)
    assert not torch.equal(other.prototypes.normal, small.prototypes.normal)
    patches = torch.randn(2, 64, 128)
    learned = torch.stack([small.prototypes.normal, small.prototypes.abnormal])
    assert torch.equal(small.prototypes(patches), learned.expand(2, -1, -1, -1))  # nothing is read off patches yet


def test_the_recipe_of_an_own_backbone():
    model = untrained("zsad-small:drawn", 64, seed=0)
    ours = recipe("DrawnWorld", False, model.backbone)
    (stage,) = ours.stages
    groups = stage.begin(model)
    assert [group["lr"] for group in groups] == [5e-4, 2e-4, 1e-5]
    learning = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(learning) == sorted(id(value) for name, value in model.named_parameters() if "backbone" not in name)
    assert (ours.epochs, ours.batch_size, stage.judged_by, ours.augment) == (8, 8, None, None)
    assert [stage.rate(step, 6) for step in (0, 3)] == [1.0, pytest.approx(0.5)] and 0 < stage.rate(5, 6) < 0.1

    losses = stage.losses(model, random_batch(64), 0, 1, 1, 0)
    plain = training.training_losses(
        model, *random_batch(64)[:3], drawn(model, random_batch(64), 0, 1, 1, 0), pooling=3, reconstructs=False
    )
    assert losses["words"] == 0 and losses.keys() == plain.keys() | {"words"}
    assert_allclose(losses["image"].detach(), 3 * plain["image"].detach(), rtol=1e-6)
    assert all(torch.equal(losses[name], plain[name]) for name in plain if name != "image")
    model.prompts.normal.data[0, :2] += 1.0
    model.prompts.deep[1].data[3, 0] -= 2.0
    assert_allclose(stage.losses(model, random_batch(64), 0, 1, 1, 0)["words"].detach(), 0.2 * (1 + 1 + 4), rtol=1e-6)


def test_weights_of_an_own_backbone_bring_their_options(model, small, tmp_path):
    for each, expected in ((small, {"alpha": 0.15, "beta": 0.4, "pooling": 3}), (model, {})):
        save(each, str(tmp_path / "a.safetensors"), "DrawnWorld", {})
        assert read_facts(str(tmp_path / "a.safetensors"))["options"] == expected
