"""The backbones that the package brings: their tokenizer is CLIP's with fewer merges, their stem knows no batch."""

import open_clip
import pytest
import safetensors.torch
import torch

from zsad_core import backbones
from zsad_core.clip_loading import backbone_names, load_backbone
from zsad_core.errors import UsageError, ZsadError

FULL = open_clip.SimpleTokenizer()
SMALL = backbones.tokenizer(4610, 77)
TEXTS = ["a photo of a flawless biscuit", "X metal nut", "Zürich, ñandú", "漢字 🙂", "printed circuit board 4!"]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_encoded_and_comes_back(text):
    ids = SMALL.encode(text)
    assert max(ids) < 4608
    assert SMALL.decode(ids).strip().replace(" ", "") == FULL.decode(FULL.encode(text)).strip().replace(" ", "")


def test_merges_are_the_first_of_clips():
    for rank, merge in enumerate(list(SMALL.bpe_ranks)[:100]):
        assert FULL.bpe_ranks[merge] == rank
    assert len(SMALL.bpe_ranks) == 4096
    joined = {"".join(merge) for merge in SMALL.bpe_ranks}
    assert all(SMALL.encoder[word] == FULL.encoder[word] for word in joined)


def test_words_within_the_first_merges_have_clips_ids():
    assert SMALL.encode("a photo of a") == FULL.encode("a photo of a")


def test_the_end_of_text_is_the_highest_id():
    ids = SMALL(TEXTS)
    assert (ids.max(1).values == 4609).all() and (ids[:, 0] == 4608).all()


def test_clips_own_vocabulary_stays_whole():
    assert backbones.tokenizer(49408, 77)(TEXTS).equal(FULL(TEXTS))


@pytest.fixture(scope="module")
def small():
    return load_backbone("zsad-small:random")


def test_an_image_is_encoded_alike_alone_and_in_a_batch(small):
    images = torch.randn(3, 3, 192, 192, generator=torch.Generator().manual_seed(0))
    together = small.encode_images(images)
    for number in range(3):
        alone = small.encode_images(images[number : number + 1])
        torch.testing.assert_close(alone.feature[0], together.feature[number], atol=1e-5, rtol=1e-4)
        for one, all_ in zip(alone.patches, together.patches, strict=True):
            torch.testing.assert_close(one[0], all_[number], atol=1e-5, rtol=1e-4)


def test_the_image_tower_is_small(small):
    assert sum(p.numel() for p in small.clip.visual.parameters()) <= 6_000_000


def test_weights_of_a_file_are_the_ones_used(tmp_path):
    weights = {name: value.half() for name, value in backbones.build("zsad-small").state_dict().items()}
    weights["logit_scale"] = torch.tensor(1.25).half()
    file = str(tmp_path / "weights.safetensors")
    safetensors.torch.save_file(weights, file)
    loaded = load_backbone(f"zsad-small:{file}")
    assert loaded.clip.logit_scale.item() == 1.25
    assert loaded.clip.logit_scale.dtype == torch.float32
    assert (loaded.image_size, loaded.grid) == (192, 24)  # whatever the size that the weights were trained at


def test_other_weights_are_refused(tmp_path):
    file = str(tmp_path / "weights.safetensors")
    safetensors.torch.save_file({"a": torch.zeros(2)}, file)
    with pytest.raises(ZsadError, match="weights.safetensors: its tensors do not fit zsad-small"):
        load_backbone(f"zsad-small:{file}")
    with pytest.raises(UsageError, match="no such weights"):
        load_backbone("zsad-small:openai")


def test_untrained_weights_are_the_same_every_time(small):
    assert small.weights_sha256() == load_backbone("zsad-small:random").weights_sha256()


def test_it_is_listed():
    assert "zsad-small:random" in backbone_names()


def test_the_hash_of_the_weights_is_the_same_at_every_image_size(small):
    assert load_backbone("zsad-small:random", image_size=96).weights_sha256() == small.weights_sha256()
