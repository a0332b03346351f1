"""Bayes-PFL against the published implementation's outputs, and the mistakes that these must catch."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from open_clip.transformer import QuickGELU

from tests.zsad_core.methods.golden_models import built, golden_noise, golden_prompts, official
from zsad_core.clip import PositionResize
from zsad_core.clip_loading import load_backbone
from zsad_core.errors import UsageError, ZsadError
from zsad_core.methods import bayes_pfl, method_module
from zsad_core.methods.bayes_pfl import model as model_module

TOLERANCE = {"patch_tokens": 2e-5, "image_features": 1e-5, "text_embeddings": 5e-5, "score_stage1": 1e-5,
             "score_stage2": 1e-5, "anomaly_map": 1e-5}  # fmt: skip


@torch.inference_mode()
def outputs(model, golden):
    prompts, noise = golden_prompts(golden), golden_noise(golden)
    tokens, feature = model.backbone.encode_images(golden.images)
    text = model.text_features(feature, prompts, noise)
    both = model(golden.images, prompts, noise, {})
    model.fused_image_score = False
    stage1 = model.image_score(text, tokens, feature)
    model.fused_image_score = True
    return {
        "patch_tokens": torch.stack(tokens, dim=1).numpy(),
        "image_features": feature.numpy(),
        "text_embeddings": text.flatten(1, 2).numpy(),
        "score_stage1": stage1.numpy(),
        "score_stage2": both.image_score_text.numpy(),
        "anomaly_map": both.anomaly_map.numpy(),
    }


def largest_differences(model, golden):
    return {name: np.abs(value - golden.stacked(name)).max() for name, value in outputs(model, golden).items()}


@pytest.mark.parametrize("name", TOLERANCE)
def test_equals_the_published_implementation(bayes_pfl_golden, name):
    result = outputs(built(bayes_pfl_golden), bayes_pfl_golden)[name]
    assert_allclose(result, bayes_pfl_golden.stacked(name), rtol=0, atol=TOLERANCE[name])


def use_quick_gelu(monkeypatch, model):
    for block in model.backbone.clip.visual.transformer.resblocks:
        block.mlp.gelu = QuickGELU()


def use_eight_heads(monkeypatch, model):
    monkeypatch.setattr(model_module, "HEADS", 8)


def use_the_scale_of_one_head(monkeypatch, model):
    for parameter in model.attention.query.parameters():
        parameter.data *= model_module.HEADS**0.5


def reverse_the_flow(monkeypatch, model):
    model.normal_flow.u.data = model.normal_flow.u.data.flip(0)


def take_the_variance_for_the_deviation(monkeypatch, model):
    last = model.context_encoder.log_variance[-1]
    last.weight.data, last.bias.data = 2 * last.weight.data, 2 * last.bias.data


def reverse_the_bank(monkeypatch, model):
    model.bank.normal.data = model.bank.normal.data.flip(0)


@pytest.mark.parametrize(
    "mistake",
    [use_quick_gelu, use_eight_heads, use_the_scale_of_one_head, reverse_the_flow,
     take_the_variance_for_the_deviation, reverse_the_bank],
)  # fmt: skip
def test_a_mistake_shows(bayes_pfl_golden, monkeypatch, mistake):
    model = built(bayes_pfl_golden)
    mistake(monkeypatch, model)
    differences = largest_differences(model, bayes_pfl_golden)
    assert any(differences[name] > TOLERANCE[name] for name in differences), differences


def test_bilinear_positions_show(bayes_pfl_golden):
    backbone = load_backbone(
        bayes_pfl_golden.backbone, image_size=98, activation="gelu", position_resize=PositionResize("bilinear", False)
    )
    with torch.inference_mode():
        tokens, _ = backbone.encode_images(bayes_pfl_golden.images)
    assert np.abs(torch.stack(tokens, dim=1).numpy() - bayes_pfl_golden.stacked("patch_tokens")).max() > 1e-3


def test_images_do_not_mix_in_a_batch(bayes_pfl_golden):
    golden, model = bayes_pfl_golden, built(bayes_pfl_golden)
    prompts, noise = golden_prompts(golden), golden_noise(golden)
    with torch.inference_mode():
        together = model(golden.images, prompts, noise, {})
        for i, prompt in enumerate(prompts):
            alone = model(golden.images[i : i + 1], [prompt], noise._replace(context=noise.context[i : i + 1]), {})
            assert_allclose(alone.anomaly_map[0], together.anomaly_map[i], rtol=0, atol=2e-6)
            assert_allclose(alone.image_score_text[0], together.image_score_text[i], rtol=0, atol=2e-6)


def test_noise_belongs_to_seed_and_image(bayes_pfl_golden):
    model = built(bayes_pfl_golden)
    here = model.draw_noise(1, ["aa", "bb"])
    assert here.context.shape == (2, 4, 128) and here.normal.shape == (4, 128)
    assert torch.equal(model.draw_noise(1, ["bb"]).context[0], here.context[1])
    assert not torch.equal(here.context[0], here.context[1])
    assert not torch.equal(model.draw_noise(2, ["aa"]).context[0], here.context[0])
    assert torch.equal(model.draw_noise(1, ["cc"]).abnormal, here.abnormal)
    assert not torch.equal(here.normal, here.abnormal)


@pytest.mark.parametrize(
    ("name", "stage"),
    [("epoch_post_3_1.pth", 1), ("epoch_post_12_2.pth", 2), ("train_visa.pth", 2), ("epoch_post_x_1.pth", 2)],
)
def test_file_name_tells_the_stage(bayes_pfl_golden, tmp_path, name, stage):
    shutil.copy(bayes_pfl_golden.checkpoint, tmp_path / name)
    assert built(bayes_pfl_golden, checkpoint=str(tmp_path / name)).fused_image_score == (stage == 2)


def test_untrained_weights_are_the_same_each_time(bayes_pfl_golden):
    one, two = (built(bayes_pfl_golden, checkpoint="random") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values()))


def saved(tmp_path, content):
    torch.save(content, tmp_path / "checkpoint.pth")
    return str(tmp_path / "checkpoint.pth")


def test_checkpoint_of_another_backbone_is_refused(bayes_pfl_golden, tmp_path):
    weights = official(bayes_pfl_golden)
    weights["class_mapping.weight"] = torch.zeros(768, 768)
    with pytest.raises(ZsadError, match=r"checkpoint.pth: made for another backbone: 'class_mapping.weight' is \(768"):
        built(bayes_pfl_golden, checkpoint=saved(tmp_path, {"MyModel": weights}))


def test_incomplete_checkpoint_is_refused(bayes_pfl_golden, tmp_path):
    weights = official(bayes_pfl_golden)
    del weights["fuse.compress.bias"]
    with pytest.raises(ZsadError, match="checkpoint.pth: not a complete Bayes-PFL checkpoint .*'fuse.compress.bias'"):
        built(bayes_pfl_golden, checkpoint=saved(tmp_path, {"MyModel": weights}))


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


@pytest.mark.parametrize("content", [{"model": {}}, [1, 2], Harmful()], ids=["other keys", "a list", "a pickle"])
def test_other_files_are_no_checkpoint(bayes_pfl_golden, tmp_path, content, capsys):
    with pytest.raises(ZsadError, match="checkpoint.pth: "):
        built(bayes_pfl_golden, checkpoint=saved(tmp_path, content))
    assert "this ran" not in capsys.readouterr().out


def test_damaged_and_missing_checkpoints(bayes_pfl_golden, tmp_path):
    (tmp_path / "half.pth").write_bytes(Path(bayes_pfl_golden.checkpoint).read_bytes()[:1000])
    for name in ("half.pth", "none.pth"):
        with pytest.raises(ZsadError, match=f"{name}: "):
            built(bayes_pfl_golden, checkpoint=str(tmp_path / name))


def test_wrong_names():
    with pytest.raises(UsageError, match="no method is named winclip; there are: bayes-pfl"):
        method_module("winclip")
    with pytest.raises(UsageError, match="0 prompt samples"):
        bayes_pfl.build("zsad-small:random", "random", None, 0)
