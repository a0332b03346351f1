"""Bayes-PFL's own checkpoints, and the way to the authors' layout and back."""

import json
import os
import struct
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.zsad_core.methods import golden_models
from tests.zsad_core.methods.golden_models import assert_equal_weights, built, change_checkpoint, official
from zsad_core.checkpoints import read_facts
from zsad_core.errors import UsageError, ZsadError
from zsad_core.methods.bayes_pfl.checkpoint import facts_of, load_released, save_released
from zsad_core.methods.weights import load, method_state

written = partial(golden_models.written, facts_of)


@pytest.fixture
def trained(bayes_pfl_golden):
    return built(bayes_pfl_golden)


@pytest.mark.parametrize("stage", [1, 2])
def test_own_checkpoints_come_back_with_their_facts(bayes_pfl_golden, trained, tmp_path, stage):
    trained.fused_image_score = stage == 2
    path = written(trained, tmp_path)
    back = built(bayes_pfl_golden, checkpoint=path)
    assert_equal_weights(trained, back)
    assert back.fused_image_score == (stage == 2) and not back.training
    facts = read_facts(path)
    assert facts == {
        "method": "bayes-pfl", "auxiliary": "VisA", "stage": stage, "backbone": "clip.pt", "image_size": 98,
        "backbone_sha256": trained.backbone.weights_sha256(), "activation": "gelu", "training": {"epochs": 3},
        "options": {},
    }  # fmt: skip


def test_an_own_checkpoint_brings_its_activation(bayes_pfl_golden, trained, tmp_path):
    path = written(trained, tmp_path, activation="quick_gelu")
    assert built(bayes_pfl_golden, checkpoint=path).backbone.activation == "quick_gelu"


def test_equal_content_gives_equal_bytes(trained, tmp_path):
    one, other = (Path(written(trained, tmp_path, name)).read_bytes() for name in ("a.safetensors", "b.safetensors"))
    assert one == other
    head = json.loads(one[8 : 8 + int.from_bytes(one[:8], "little")])
    assert list(head["__metadata__"]) == ["zsad"] and "backbone.clip.visual.proj" not in head


def test_another_backbone_is_refused(bayes_pfl_golden, trained, tmp_path):
    path = written(trained, tmp_path)
    weights = {key: value.clone() for key, value in bayes_pfl_golden.backbone_state.items()}
    weights["visual.proj"] += 0.01
    torch.save(weights, tmp_path / "other.pt")
    with pytest.raises(ZsadError, match="visa.safetensors: made for another backbone: it was trained on clip.pt with"):
        built(bayes_pfl_golden, checkpoint=path, backbone=str(tmp_path / "other.pt"))
    with pytest.raises(ZsadError, match="visa.safetensors: made for another backbone: '.*' is .* vision width"):
        built(bayes_pfl_golden, checkpoint=path, backbone="zsad-small:random", image_size=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda tensors, facts: tensors.pop("fusion.weigh.bias"),
            r"not a complete .* \(missing .*: fusion.weigh.bias\)",
        ),
        (lambda tensors, facts: tensors.update(extra=torch.zeros(2)), "not a complete .*: extra"),
        (lambda tensors, facts: facts.update(method="cops"), "a checkpoint of cops, not of bayes-pfl"),
        (lambda tensors, facts: facts.update(stage=3), "names stage 3"),
        (lambda tensors, facts: facts.update(activation="relu"), "activation relu"),
        (lambda tensors, facts: facts.pop("auxiliary"), "its head lacks auxiliary"),
        (lambda tensors, facts: facts.update(stage="2", training=None), "its head lacks stage, training"),
    ],
)
def test_checkpoints_that_are_not_whole(bayes_pfl_golden, trained, tmp_path, change, message):
    path = written(trained, tmp_path)
    change_checkpoint(path, change)
    with pytest.raises(ZsadError, match=f"visa.safetensors: .*{message}"):
        built(bayes_pfl_golden, checkpoint=path)


def test_files_that_are_no_checkpoint(bayes_pfl_golden, trained, tmp_path):
    whole = Path(written(trained, tmp_path)).read_bytes()
    weights = {"visual.proj": torch.zeros(2, 2)}
    for name, content, message in [
        ("half", whole[:-1000], "damaged"), ("text", b"no tensors", "damaged"), ("empty", b"", "damaged"),
        ("weights", safetensors.torch.save(weights), "no checkpoint of a method"),
        ("other", safetensors.torch.save(weights, {"zsad": "{"}), "no checkpoint of a method"),
        ("list", safetensors.torch.save(weights, {"zsad": "[]"}), "its head lacks method"),
    ]:  # fmt: skip
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(ZsadError, match=f"{name}.safetensors: .*{message}"):
            built(bayes_pfl_golden, checkpoint=str(path))
    with pytest.raises(ZsadError, match="none.safetensors: no such file"):
        read_facts(str(tmp_path / "none.safetensors"))


def test_files_of_the_authors_hold_no_facts(bayes_pfl_golden):
    assert read_facts(bayes_pfl_golden.checkpoint) is None


def test_the_authors_layout_has_their_names_shapes_and_repeated_encoders(bayes_pfl_golden, trained, tmp_path):
    save_released(trained, str(tmp_path / "epoch_post_4_2.pth"))
    content = torch.load(tmp_path / "epoch_post_4_2.pth", weights_only=True)
    theirs = official(bayes_pfl_golden)
    assert list(content) == ["MyModel"]
    assert {key: (value.shape, value.dtype) for key, value in content["MyModel"].items()} == {
        key: (value.shape, value.dtype) for key, value in theirs.items()
    }
    for key, value in content["MyModel"].items():
        unused = "decoder" in key or "p_mu" in key
        assert torch.equal(value, torch.zeros_like(value) if unused else theirs[key]), key


@pytest.mark.parametrize("stage", [1, 2])
def test_the_way_to_the_authors_layout_and_back_changes_no_bit(bayes_pfl_golden, tmp_path, stage):
    model = built(bayes_pfl_golden, checkpoint="random")
    for key, value in method_state(model).items():  # nothing is 0 then, so that no tensor is exchanged unseen
        value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(len(key))))
    model.fused_image_score = stage == 2
    for block in [*model.backbone.clip.visual.transformer.resblocks, *model.backbone.clip.transformer.resblocks]:
        block.mlp.gelu = torch.nn.GELU()
    first = written(model, tmp_path, "first.safetensors")
    save_released(built(bayes_pfl_golden, checkpoint=first), str(tmp_path / f"epoch_post_30_{stage}.pth"))
    back = built(bayes_pfl_golden, checkpoint=str(tmp_path / f"epoch_post_30_{stage}.pth"))
    assert_equal_weights(model, back)
    assert Path(first).read_bytes() == Path(written(back, tmp_path, "back.safetensors")).read_bytes()


def test_names_that_would_tell_another_stage(trained, tmp_path):
    with pytest.raises(UsageError, match=r"training stage 2 made it, as epoch_post_30_2.pth"):
        save_released(trained, str(tmp_path / "epoch_post_30_1.pth"))
    trained.fused_image_score = False
    with pytest.raises(UsageError, match=r"training stage 1 made it, as epoch_post_30_1.pth"):
        save_released(trained, str(tmp_path / "visa.pth"))
    assert not list(tmp_path.iterdir())


def test_an_activation_that_the_authors_program_lacks(bayes_pfl_golden, trained, tmp_path):
    other = built(bayes_pfl_golden, checkpoint=written(trained, tmp_path, activation="quick_gelu"))
    with pytest.raises(ZsadError, match="trained with quick_gelu, the authors' program knows gelu alone"):
        save_released(other, str(tmp_path / "epoch_post_30_2.pth"))


class Programme:
    """Pickled, it makes a folder where it is loaded."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture(scope="module")
def model(bayes_pfl_golden):
    """For files that are refused before they change it."""
    return built(bayes_pfl_golden)


@pytest.mark.parametrize("inside", [False, True])
def test_pickles_are_never_run(bayes_pfl_golden, model, tmp_path, inside):
    programme = Programme(tmp_path / "made")
    theirs = official(bayes_pfl_golden) | {"temperature_pixel": programme}
    torch.save({"MyModel": theirs if inside else programme}, tmp_path / "visa.pth")
    with pytest.raises(ZsadError, match="visa.pth: not a readable checkpoint"):
        load_released(model, str(tmp_path / "visa.pth"))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.tensor([torch.nan]), "'pixel_temperature' is no tensor of finite numbers"),
        (torch.zeros(1, device="meta"), "'temperature_pixel' is no plain tensor"),
        (torch.zeros(7), "'temperature_pixel' is .7,."),
        ("text", "no tensor 'temperature_pixel'"),
    ],
)
def test_weights_of_the_authors_that_are_none(bayes_pfl_golden, model, tmp_path, value, message):
    torch.save({"MyModel": official(bayes_pfl_golden) | {"temperature_pixel": value}}, tmp_path / "visa.pth")
    with pytest.raises(ZsadError, match=f"visa.pth: .*{message}"):
        load_released(model, str(tmp_path / "visa.pth"))


def test_own_weights_that_are_none(model, tmp_path):
    path = written(model, tmp_path)
    change_checkpoint(path, lambda tensors, facts: tensors["pixel_temperature"].fill_(torch.inf))
    with pytest.raises(ZsadError, match="visa.safetensors: 'pixel_temperature' is no tensor of finite numbers"):
        load(model, path, read_facts(path))


@pytest.mark.parametrize("length", [2**62, 10**8, 0])
def test_a_head_of_another_length_than_it_says(tmp_path, length):
    path = tmp_path / "visa.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b'{"__metadata__": {"zsad": "{}"}}')
    with pytest.raises(ZsadError, match="visa.safetensors: damaged"):
        read_facts(str(path))


def test_facts_of_many_brackets(tmp_path):
    path = tmp_path / "visa.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, {"zsad": "[" * 100_000})
    with pytest.raises(ZsadError, match="visa.safetensors: no checkpoint of a method"):
        read_facts(str(path))
