"""The backbone loader: names, files of every kind, sizes, activation, and what it refuses."""

import json
import os
import pickle
import struct
import zipfile

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch
from numpy.testing import assert_allclose

from tests.golden import recipe
from zsad_core import clip, weight_files
from zsad_core.clip_loading import backbone_names, load_backbone
from zsad_core.errors import UsageError, ZsadError

SIZES = {"vision_width": 64, "vision_layers": 4, "patch_size": 8, "grid": 4, "text_width": 64, "text_layers": 2,
         "embed_dim": 64}  # fmt: skip


@pytest.fixture(scope="module")
def state():
    return {key: torch.from_numpy(value) for key, value in recipe.clip_state_dict(SIZES, seed=1).items()}


def saved(folder, state, kind):
    path = str(folder / f"clip.{kind}")
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    elif kind == "archive.pt":
        torch.jit.save(torch.jit.script(as_module(state)), path)
    elif kind == "training.pt":
        torch.save({"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    else:
        torch.save(state | {"input_resolution": torch.tensor(32), "vocab_size": torch.tensor(49408)}, path)
    return path


def as_module(state):
    """A module tree whose state dict has the keys of `state`, as OpenAI's archives are."""
    root = torch.nn.Module()
    for key, value in state.items():
        *path, name = key.split(".")
        module = root
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_parameter(name, torch.nn.Parameter(value, requires_grad=False))
    return root


def test_every_kind_of_file_gives_the_same_backbone(state, tmp_path):
    hashes = {
        kind: load_backbone(saved(tmp_path, state, kind)).weights_sha256()
        for kind in ("pt", "archive.pt", "training.pt", "safetensors")
    }
    assert len(set(hashes.values())) == 1, hashes


def test_float32_weights_are_not_rounded(state, tmp_path):
    fine = {key: value.float() + 1e-5 for key, value in state.items()}
    clip = load_backbone(saved(tmp_path, fine, "safetensors"), image_size=32).clip
    assert all(torch.equal(value, fine[key]) for key, value in clip.state_dict().items() if key in fine)


def test_features_equal_open_clips_own(state, tmp_path):
    backbone = load_backbone(saved(tmp_path, state, "pt"), image_size=32)
    images = torch.from_numpy(recipe.images(2, 32, seed=5))
    texts = ["x bottle", "x a rather longer name of a thing"]
    with torch.inference_mode():
        tokens = backbone.encode_images(images)
        ids, ends = backbone.tokenize(texts)
        assert_allclose(tokens.feature, backbone.clip.encode_image(images), atol=1e-5)
        assert [tuple(layer.shape) for layer in tokens.patches] == [(2, 16, 64)] * 4
        # open_clip reads all 77 positions, we stop at the end of the longest text.
        all_positions = backbone.clip.encode_text(open_clip.get_tokenizer("ViT-B-16")(texts))
        words = backbone.embed_tokens(ids)[None]
        texts = backbone.encode_texts(words[:, 0, :2], words[:, :, 2:], ends[None] - 2)  # both begin with "x"
        assert_allclose(texts[0], all_positions, atol=1e-5)
    assert ids.shape[1] < 15


@pytest.mark.parametrize("together", [1, 2, 3, 6])
def test_texts_that_go_through_the_tower_as_one_see_no_other(state, tmp_path, monkeypatch, together):
    """As on a GPU, which takes several short ones at once; open_clip reads each alone."""
    backbone = load_backbone(saved(tmp_path, state, "pt"), image_size=32)
    texts = [
        f"{kind} {thing}" for kind in ("good", "bad", "odd") for thing in ("a tin", "one pill", "the bolt", "this")
    ]
    monkeypatch.setattr(clip, "_texts_together", lambda *_, **__: together)
    with torch.inference_mode():
        alone = backbone.clip.encode_text(open_clip.get_tokenizer("ViT-B-16")(texts))
        ids, ends = backbone.tokenize(texts)
        words = backbone.embed_tokens(ids).unflatten(0, (6, 2))  # six sequences of two texts
        found = backbone.encode_texts(words[:, 0, :1], words[:, :, 1:], ends.view(6, 2) - 1)
    assert_allclose(found.flatten(0, 1), alone, atol=1e-5)


@pytest.mark.parametrize(
    ("texts", "tokens", "on_gpu", "expected"),
    [
        (1920, 20, True, 3),
        (1920, 20, False, 1),
        (10, 20, True, 2),
        (7, 20, True, 1),
        (60, 33, True, 1),
        (60, 77, True, 1),
    ],
)
def test_as_many_texts_together_as_fill_a_tile(texts, tokens, on_gpu, expected):
    assert clip._texts_together(texts, tokens, on_gpu) == expected


def test_activation_is_the_files_own_unless_a_method_asks(state, tmp_path):
    path = saved(tmp_path, state, "pt")
    assert load_backbone(path).activation == "quick_gelu"
    assert load_backbone(path, activation="gelu").activation == "gelu"
    assert load_backbone("zsad-small:random").activation == "gelu"


def test_tags_trained_with_quick_gelu_get_it(monkeypatch):
    asked = {}

    def create(name, pretrained, force_quick_gelu):
        asked[pretrained] = force_quick_gelu
        raise RuntimeError("no network")

    monkeypatch.setattr(open_clip, "create_model", create)
    for tag in ("openai", "laion2b_s34b_b88k"):
        with pytest.raises(ZsadError, match=f"ViT-B-16:{tag}: its weights could not be had .no network"):
            load_backbone(f"ViT-B-16:{tag}")
    assert asked == {"openai": True, "laion2b_s34b_b88k": False}


def test_architecture_with_a_file(state, tmp_path):
    source = load_backbone("zsad-small:random")  # at its own size no position is resized
    path = str(tmp_path / "weights.safetensors")
    safetensors.torch.save_file({key: value + 0 for key, value in source.clip.state_dict().items()}, path)
    assert load_backbone(f"zsad-small:{path}").weights_sha256() == source.weights_sha256()


def test_image_size(state, tmp_path):
    path = saved(tmp_path, state, "pt")
    assert load_backbone(path).image_size == 520  # the multiple of 8 next to 518
    assert load_backbone(path, image_size=64).grid == 8
    with pytest.raises(UsageError, match="518 is no multiple of the patch size 8 .*take 512 or 520"):
        load_backbone(path, image_size=518)


def test_random_weights_are_the_same_each_time():
    assert len({load_backbone("zsad-small:random").weights_sha256() for _ in range(2)}) == 1


def test_listed_names_are_usable():
    names = backbone_names()
    assert {"zsad-small:random", "ViT-L-14-336:openai", "ViT-B-16:openai"} <= set(names)
    assert not any("RN50" in name or "SigLIP" in name or "roberta" in name for name in names)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clip.pt", "clip.pt: neither a file nor a backbone by name"),
        ("ViT-B-16", "ViT-B-16: no such weights; write ViT-B-16:WEIGHTS with one of openai"),
        ("ViT-B-16:openia", "ViT-B-16:openia: no such weights"),
        ("RN50:openai", "RN50: not a ViT"),
        ("ViT-B-16-SigLIP:webli", "ViT-B-16-SigLIP: not a ViT with CLIP's own text tower"),
    ],
)
def test_wrong_names(name, message):
    with pytest.raises(UsageError, match=message):
        load_backbone(name)


def changed(state, **tensors):
    return {key: value for key, value in (state | tensors).items() if value is not None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visual.proj": None}, "lacking visual.proj"),
        ({"visual.proj": None, "visual.attnpool.positional_embedding": torch.zeros(5, 8)}, "a ResNet's"),
        ({"visual.ln_post.weight": None}, "do not form a CLIP ViT .*ln_post"),
        ({"visual.class_embedding": torch.zeros(32)}, "do not form a CLIP ViT .*class_embedding"),
        ({"text_projection": torch.zeros(64, 32), "visual.proj": torch.zeros(64, 32)}, "text width 64 differs"),
    ],
)
def test_wrong_tensors(state, tmp_path, change, message):
    with pytest.raises(ZsadError, match=message):
        load_backbone(saved(tmp_path, changed(state, **change), "pt"))


@pytest.mark.parametrize("name", ["clip.pt", "clip.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", np.random.default_rng(0).bytes(5000)])
def test_files_that_are_no_weights(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ZsadError, match=f"{name}: not a readable"):
        load_backbone(str(tmp_path / name))


class Programme:
    """Pickled, it makes a folder where it is loaded."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def archive(path, **parts):
    """A zip file of entries in a folder, as torch's are."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(f"archive/{name.replace('_', '.')}", content)


@pytest.mark.parametrize("kind", ["zip", "plain pickle", "old torch.save", "TorchScript"])
def test_pickles_are_never_run(tmp_path, kind):
    path, made = tmp_path / "clip.pt", tmp_path / "made"
    programme = pickle.dumps({"visual.proj": Programme(made)}, protocol=2)
    if kind == "plain pickle":
        path.write_bytes(programme)
    elif kind == "TorchScript":
        archive(path, data_pkl=programme, constants_pkl=programme, version="3")
    else:
        torch.save({"visual.proj": Programme(made)}, path, _use_new_zipfile_serialization=kind == "zip")
    large = [f"ViT-B-16:{path}"] if kind == "zip" else []  # takes open_clip seconds to build
    for source in (str(path), f"zsad-small:{path}", *large):
        with pytest.raises(ZsadError, match="clip.pt: "):
            load_backbone(source)
    assert not made.exists()
    pickle.loads(programme)
    assert made.exists()  # it would have


class Loaded(torch.nn.Module):
    @torch.jit.export
    def __getstate__(self):
        return (1, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[int, bool]):
        self.training = state[1]


def test_archives_that_run_a_programme_when_loaded(tmp_path):
    torch.jit.save(torch.jit.script(Loaded()), str(tmp_path / "clip.pt"))
    with pytest.raises(ZsadError, match="clip.pt: it would run a program of its own when loaded"):
        load_backbone(str(tmp_path / "clip.pt"))


def test_a_zip_file_that_inflates(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "_INFLATED", 2**20)
    with zipfile.ZipFile(tmp_path / "clip.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(2**21))
    with pytest.raises(ZsadError, match="clip.pt: its compressed parts are too large"):
        load_backbone(str(tmp_path / "clip.pt"))


def test_an_archive_whose_pickle_claims_gigabytes(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "whole.pt"))
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(tmp_path / "clip.pt", "w") as file:
        for name in whole.namelist():
            content = b"\x80\2X\xff\xff\xff\xffq" if name.endswith("/data.pkl") else whole.read(name)
            file.writestr(name, content)
    with pytest.raises(ZsadError, match="clip.pt: not a readable checkpoint .*expected 4294967295 bytes"):
        load_backbone(str(tmp_path / "clip.pt"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("positional_embedding", torch.zeros(1).expand(10**6, 64)),
        ("token_embedding.weight", torch.zeros(1, 64).expand(10**9, 64)),
        ("visual.proj", torch.zeros(64, 64, device="meta")),
        ("visual.proj", torch.zeros(64, 64).to_sparse()),
    ],
)
def test_tensors_without_their_values(state, tmp_path, key, value):
    with pytest.raises(ZsadError, match=f"'{key}' is no plain tensor with all of its values"):
        load_backbone(saved(tmp_path, state | {key: value}, "pt"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ln_final.weight", torch.full((64,), torch.nan), "'ln_final.weight' is no tensor of finite numbers"),
        ("visual.proj", torch.zeros(64, 64, dtype=torch.int64), "'visual.proj' is no tensor of finite numbers"),
        ("visual.proj", "text", "'visual.proj' is no tensor of finite numbers"),
        ("visual.conv1.weight", torch.zeros(50_000, 3, 1, 1), "visual.proj is .64, 64., not .50000, 64."),
        ("visual.conv1.weight", torch.zeros(64, 3, 1, 9999), "visual.conv1.weight is"),
        ("visual.conv1.weight", torch.zeros(()), "do not form a CLIP ViT"),
        ("positional_embedding", torch.zeros(9999, 64), "positional_embedding is .9999, 64., not .1024, 64."),
        ("transformer.resblocks.7.none", torch.zeros(1), "transformer.resblocks.7.attn.in_proj_weight is None"),
        ("ln_final.weight", torch.zeros(0), "do not form a CLIP ViT"),
    ],
)
def test_tensors_that_ask_for_another_model(state, tmp_path, key, value, message):
    with pytest.raises(ZsadError, match=f"clip.pt: .*{message}"):
        load_backbone(saved(tmp_path, state | {key: value}, "pt"))


def test_not_a_number_among_weights_of_our_own_architecture(tmp_path):
    weights = {key: value.clone() for key, value in load_backbone("zsad-small:random").clip.state_dict().items()}
    weights["logit_scale"] += torch.nan
    safetensors.torch.save_file(weights, tmp_path / "a.safetensors")
    with pytest.raises(ZsadError, match="a.safetensors: 'logit_scale' is no tensor of finite numbers"):
        load_backbone(f"zsad-small:{tmp_path / 'a.safetensors'}")


@pytest.mark.parametrize(
    ("tensor", "length"),
    [
        ({"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}, None),
        ({"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}, None),
        ({"dtype": "F99", "shape": [4], "data_offsets": [0, 16]}, None),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 16]}, None),
        ({"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, 2**62),
    ],
)
def test_heads_of_safetensors_that_lie(tmp_path, tensor, length):
    head = json.dumps({"visual.proj": tensor}).encode()
    content = struct.pack("<Q", length or len(head)) + head + bytes(16)
    (tmp_path / "clip.safetensors").write_bytes(content)
    with pytest.raises(ZsadError, match="clip.safetensors: not a readable safetensors file"):
        load_backbone(str(tmp_path / "clip.safetensors"))
