"""clip-ensemble against open_clip's own towers with every text at its full 77 positions, and numpy."""

import dataclasses

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

from zsad_core.methods import clip_ensemble
from zsad_core.methods.clip_ensemble import ANOMALOUS, NORMAL, TEMPLATES, prompts_of
from zsad_core.scoring import Scorer

NAMES = ["bottle", "metal nut", "bottle", "zipper of a {blue} jacket"]
PLAIN, VALUE = {"value-attention": 0.0}, {"value-attention": 1.0}


@pytest.fixture(scope="module")
def model(settings):
    return clip_ensemble.build(settings.backbone, "none", settings.image_size, samples=1)


@pytest.fixture(scope="module")
def images(model):
    return torch.randn(len(NAMES), 3, model.image_size, model.image_size, generator=torch.Generator().manual_seed(2))


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=0))
    return exponentials / exponentials.sum(axis=0)


def by_open_clip(clip, patches, feature, name):
    """(image score, map) of one image from its patches (N, D) and feature (D,), as WinCLIP's authors say it."""
    states = []
    for words in (NORMAL, ANOMALOUS):
        texts = [template.replace("{}", word.replace("{}", name)) for template in TEMPLATES for word in words]
        features = clip.encode_text(open_clip.tokenize(texts), normalize=True)
        states.append(F.normalize(features.mean(dim=0), dim=0))
    states = torch.stack(states)
    score = softmax((states @ F.normalize(feature, dim=0)).numpy() / 0.07)[1]
    grid = int(len(patches) ** 0.5)
    logits = (F.normalize(patches, dim=1) @ states.T).T.view(1, 2, grid, grid) / 0.07
    return score, softmax(F.interpolate(logits, size=98, mode="bilinear", align_corners=True)[0].numpy())[1]


@torch.inference_mode()
def test_scores_and_maps_are_open_clips(model, images):
    found = model(images, NAMES, None, PLAIN)
    clip = model.backbone.clip
    depth = len(clip.visual.transformer.resblocks)
    inside = clip.visual.forward_intermediates(
        images, indices=[depth - 1], output_fmt="NLC", normalize_intermediates=True
    )
    patches, features = inside["image_intermediates"][0] @ clip.visual.proj, clip.encode_image(images)
    for number, name in enumerate(NAMES):
        score, anomaly_map = by_open_clip(clip, patches[number], features[number], name)
        assert_allclose(found.image_score_text[number], score, rtol=0, atol=2e-6)
        assert_allclose(found.anomaly_map[number], anomaly_map, rtol=0, atol=2e-6)
    assert found.anomaly_map.std() > 1e-3


@torch.inference_mode()
def test_value_attention_changes_the_patches_alone(model, images):
    plain, other = (model(images, NAMES, None, options) for options in (PLAIN, VALUE))
    assert torch.equal(plain.image_score_text, other.image_score_text)
    tokens, feature = model.backbone.encode_two_paths(images)
    for number, name in enumerate(NAMES):
        _, anomaly_map = by_open_clip(model.backbone.clip, tokens[number], feature[number], name)
        assert_allclose(other.anomaly_map[number], anomaly_map, rtol=0, atol=2e-6)
    assert (plain.anomaly_map - other.anomaly_map).abs().max() > 1e-3


def test_every_state_stands_in_every_template():
    texts = prompts_of(ANOMALOUS, "pill")
    assert len(texts) == len(set(texts)) == len(ANOMALOUS) * len(TEMPLATES) and len(TEMPLATES) == 20
    assert {"a photo of a damaged pill.", "a cropped photo of the pill with flaw."} < set(texts)
    assert {"a photo of a pill.", "a photo of a pill without defect."} < set(prompts_of(NORMAL, "pill"))


def test_texts_are_encoded_once_for_each_name(settings, images, monkeypatch):
    model = clip_ensemble.build(settings.backbone, "none", settings.image_size, samples=1)
    encoded = []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda texts: encoded.append(texts[0]) or encode(texts))
    with torch.inference_mode():
        model(images, NAMES, None, PLAIN)
        model(images[:1], ["metal nut"], None, PLAIN)
    assert len(encoded) == 2 * len(set(NAMES))


def test_other_images_of_the_batch_change_nothing(settings):
    pixels = np.random.default_rng(0).integers(0, 256, (len(NAMES), 98, 98, 3), dtype=np.uint8)
    scores = {}
    for batch_size, order in ((1, [0, 1, 2, 3]), (3, [2, 0, 3, 1])):
        scorer = Scorer(dataclasses.replace(settings, method="clip-ensemble", batch_size=batch_size))
        scores[batch_size] = scorer.score(pixels[order], [NAMES[place] for place in order], ["0" * 64] * 4, [False] * 4)
        back = np.argsort(order)
        scores[batch_size] = [part[back] for part in scores[batch_size][:3]]
    (text, highest, codes), (other_text, other_highest, other_codes) = scores.values()
    assert_allclose(other_text, text, rtol=0, atol=2e-6)
    assert_allclose(other_highest, highest, rtol=0, atol=2e-6)
    assert np.abs(codes.astype(int) - other_codes).max() <= 1
