"""CoPS's own checkpoints, and the way to the authors' layout and back."""

from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.zsad_core.methods import golden_models
from tests.zsad_core.methods.golden_models import assert_equal_weights, built, change_checkpoint, official
from zsad_core.checkpoints import read_facts
from zsad_core.errors import UsageError, ZsadError
from zsad_core.methods import cops
from zsad_core.methods.cops.checkpoint import facts_of, load_released, save_released
from zsad_core.methods.weights import method_state

written = partial(golden_models.written, facts_of)


@pytest.fixture
def trained(cops_golden):
    return built(cops_golden)


def test_own_checkpoints_come_back_with_their_facts(cops_golden, trained, tmp_path):
    path = written(trained, tmp_path)
    back = built(cops_golden, checkpoint=path)
    assert_equal_weights(trained, back)
    assert not back.training
    assert read_facts(path) == {
        "method": "cops", "auxiliary": "VisA", "stage": 1, "backbone": "clip.pt", "image_size": 98,
        "backbone_sha256": trained.backbone.weights_sha256(), "activation": "quick_gelu", "training": {"epochs": 3},
        "options": {},
    }  # fmt: skip


def test_an_own_checkpoint_brings_its_activation(cops_golden, trained, tmp_path):
    path = written(trained, tmp_path, activation="gelu")
    assert built(cops_golden, checkpoint=path).backbone.activation == "gelu"
    assert trained.backbone.activation == "quick_gelu"  # theirs has the backbone's own


def test_the_vae_encoder_is_in_no_checkpoint(trained, tmp_path):
    assert any(key.startswith("vae_encoder.") for key in trained.state_dict())
    kept = safetensors.torch.load_file(written(trained, tmp_path))
    assert not any(key.startswith(("vae_encoder", "backbone")) for key in kept) and "vae_decoder.2.bias" in kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors, facts: tensors.pop("prompts.deep.3"),
            r"not a complete cops .* \(missing .*: prompts.deep.3\)",
        ),
        (lambda tensors, facts: tensors.update({"prompts.normal": torch.zeros(14, 8)}), "made for another backbone: "),
        (lambda tensors, facts: facts.update(method="bayes-pfl"), "a checkpoint of bayes-pfl, not of cops"),
        (lambda tensors, facts: facts.update(stage=2), "names stage 2"),
        (lambda tensors, facts: facts.update(activation="relu"), "activation relu"),
        (lambda tensors, facts: facts.update(options={"gamma": 1.0}), "gives gamma as 1.0, which is no option of cops"),
        (lambda tensors, facts: facts.update(options={"beta": "0.5"}), "gives beta as 0.5, .* or no number"),
        (lambda tensors, facts: facts.update(options={"beta": float("inf")}), "gives beta as inf"),
        (lambda tensors, facts: facts.update(options=[0.5]), "its head lacks options"),
        (
            lambda tensors, facts: facts.update(backbone_sha256="aa"),
            "made for another backbone: it was trained on clip",
        ),
        (lambda tensors, facts: tensors["prototypes.normal"].fill_(torch.nan), "'prototypes.normal' is no tensor of"),
    ],
)
def test_own_checkpoints_that_do_not_fit(cops_golden, trained, tmp_path, change, message):
    path = written(trained, tmp_path)
    change_checkpoint(path, change)
    with pytest.raises(ZsadError, match=f"visa.safetensors: .*{message}"):
        built(cops_golden, checkpoint=path)


def test_the_authors_layout_has_their_names_shapes_and_values(cops_golden, trained, tmp_path):
    save_released(trained, str(tmp_path / "epoch_10.pth"))
    content = torch.load(tmp_path / "epoch_10.pth", weights_only=True)
    theirs = official(cops_golden)
    assert list(content) == ["prompt_learner"] and content["prompt_learner"].keys() == theirs.keys()
    for key, value in content["prompt_learner"].items():
        assert value.shape == theirs[key].shape and torch.equal(value, theirs[key]), key


def test_the_way_to_the_authors_layout_and_back_changes_no_bit(cops_golden, tmp_path):
    model = built(cops_golden, checkpoint="random")
    for key, value in method_state(model).items():  # no two alike, so that no tensor is exchanged unseen
        value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(len(key))))
    first = written(model, tmp_path, "first.safetensors")
    save_released(built(cops_golden, checkpoint=first), str(tmp_path / "theirs.pth"))
    back = built(cops_golden, checkpoint=str(tmp_path / "theirs.pth"))
    assert_equal_weights(model, back)
    assert Path(first).read_bytes() == Path(written(back, tmp_path, "back.safetensors")).read_bytes()


def test_an_activation_that_the_authors_program_lacks(cops_golden, trained, tmp_path):
    other = built(cops_golden, checkpoint=written(trained, tmp_path, activation="gelu"))
    with pytest.raises(ZsadError, match="trained with gelu, the authors' program knows quick_gelu alone"):
        save_released(other, str(tmp_path / "theirs.pth"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda theirs: theirs.pop("compound_prompts_text.7"), "not a complete CoPS .*'compound_prompts_text.7'"),
        (lambda theirs: theirs.update(t_n="text"), "not a complete CoPS checkpoint .no tensor 't_n'"),
        (
            lambda theirs: theirs.update(ctx_neg=torch.zeros(1, 1, 14, 768)),
            r"another backbone: 'ctx_neg' is .1, 1, 14, 7",
        ),
        (lambda theirs: theirs["t_a"].fill_(torch.inf), "'prototypes.abnormal' is no tensor of finite numbers"),
    ],
)
def test_checkpoints_of_the_authors_that_do_not_fit(cops_golden, trained, tmp_path, change, message):
    theirs = official(cops_golden)
    change(theirs)
    torch.save({"prompt_learner": theirs}, tmp_path / "visa.pth")
    with pytest.raises(ZsadError, match=f"visa.pth: .*{message}"):
        load_released(trained, str(tmp_path / "visa.pth"))


def test_what_else_their_file_holds_is_not_read(cops_golden, tmp_path):
    """Their training writes the VAE encoder and leftovers too, where it is told so."""
    torch.save(
        {"prompt_learner": official(cops_golden) | {"vae_encoder.net.0.bias": torch.zeros(3)}}, tmp_path / "a.pth"
    )
    assert_equal_weights(built(cops_golden, checkpoint=str(tmp_path / "a.pth")), built(cops_golden))


def test_checkpoints_of_other_methods_are_refused(cops_golden, bayes_pfl_golden):
    with pytest.raises(ZsadError, match="not a CoPS checkpoint .it holds no 'prompt_learner' with the weights"):
        built(cops_golden, checkpoint=bayes_pfl_golden.checkpoint)


def test_no_samples():
    with pytest.raises(UsageError, match="0 prompt samples"):
        cops.build("zsad-small:random", "random", None, 0)
