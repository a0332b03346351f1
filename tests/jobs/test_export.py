"""`zsad export` between our checkpoints and the authors'."""

import shutil

import pytest
import torch

from zsad_core.checkpoints import read_facts
from zsad_core.methods import bayes_pfl, cops
from zsad_core.methods.weights import method_state

IMPORTED = ("--auxiliary", "VisA", "--backbone", "zsad-small:random")


def weights(path, golden, method=bayes_pfl):
    model = method.build(golden.backbone, str(path), None, samples=1)
    return method_state(model)


def test_from_the_authors_layout_to_ours_and_back(zsad, bayes_pfl_golden, tmp_path):
    theirs = tmp_path / "epoch_post_7_1.pth"
    shutil.copy(bayes_pfl_golden.checkpoint, theirs)
    told = ("--auxiliary", "visa", "--backbone", bayes_pfl_golden.backbone)
    assert zsad("export", theirs, tmp_path / "visa.safetensors", *told)[0] == 0
    facts = read_facts(str(tmp_path / "visa.safetensors"))
    assert (facts["auxiliary"], facts["stage"], facts["backbone"]) == ("VisA", 1, "clip.pt")
    assert facts["training"]["imported"]["file"] == "epoch_post_7_1.pth" and str(tmp_path) not in str(facts)

    back = ("export", tmp_path / "visa.safetensors", "--backbone", bayes_pfl_golden.backbone)
    assert zsad(*back, tmp_path / "epoch_post_30_1.pth")[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "epoch_post_7_1.pth", "visa.safetensors", "epoch_post_30_1.pth",
    }  # fmt: skip
    first = weights(theirs, bayes_pfl_golden)
    for path in tmp_path.iterdir():
        assert all(torch.equal(value, first[key]) for key, value in weights(path, bayes_pfl_golden).items())

    status, _, err = zsad(*back, tmp_path / "epoch_post_30_2.pth")
    assert status == 2 and "epoch_post_30_1.pth" in err and not (tmp_path / "epoch_post_30_2.pth").exists()


def test_another_methods(zsad, cops_golden, tmp_path):
    told = ("--method", "cops", "--auxiliary", "VisA", "--backbone", cops_golden.backbone)
    assert zsad("export", cops_golden.checkpoint, tmp_path / "visa.safetensors", *told)[0] == 0
    assert read_facts(str(tmp_path / "visa.safetensors"))["method"] == "cops"
    back = ("export", tmp_path / "visa.safetensors", "--backbone", cops_golden.backbone)
    assert zsad(*back, tmp_path / "back.pth")[0] == 0  # ours names its method
    first = weights(cops_golden.checkpoint, cops_golden, cops)
    for path in tmp_path.iterdir():
        found = weights(path, cops_golden, cops)
        assert all(torch.equal(found[key], first[key]) for key in found)
    status, _, err = zsad(*back, tmp_path / "other.pth", "--method", "bayes-pfl")
    assert status == 1 and "a checkpoint of cops, not of bayes-pfl" in err and not (tmp_path / "other.pth").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["a.pth", "b.safetensors", *IMPORTED, "--method", "clip-ensemble"],
            2,
            "clip-ensemble learns nothing: it has no checkpoints",
        ),
        (["a.pth", "b.pth"], 2, "one of CHECKPOINT and FILE must end with .pth"),
        (["a.safetensors", "b"], 2, "the other with .safetensors"),
        (["a.pth", "b.safetensors"], 2, "add --auxiliary NAME and --backbone NAME|FILE"),
        (["a.pth", "b.safetensors", "--auxiliary", "VisA"], 2, "with which backbone: add --backbone NAME|FILE\n"),
        (["a.safetensors", "b.pth", "--auxiliary", "VisA"], 2, "our checkpoint names its own"),
        (["a.safetensors", "b.pth"], 1, "a.safetensors: no such file"),
    ],
)
def test_wrong_calls(zsad, tmp_path, monkeypatch, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    returned, _, err = zsad("export", *arguments)
    assert returned == status and message in err and not list(tmp_path.iterdir())
