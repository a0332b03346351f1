"""A GPU gives what a CPU gives: the published outputs in float32, and near them in low precision."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from tests.needs import needs_gpu
from tests.zsad_core.methods.golden_models import built, golden_noise, golden_prompts
from zsad_core.methods import cops
from zsad_core.methods.bayes_pfl.model import Noise
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings

pytestmark = needs_gpu
COUNT = 5
PROMPTS = ["bottle", "metal nut", "a thing with a long name", "pill", "pill"]


@pytest.fixture(params=["bayes_pfl", "cops"])
def golden(request):
    return request.getfixturevalue(f"{request.param}_golden")


def predicted(golden, device):
    """The image scores and maps of the golden files' images, with their noise."""
    model, noise = built(golden).to(device), golden_noise(golden)
    if golden.method == "cops":
        prompts, noise = ["bottle"] * golden.count, noise.to(device)
        options = {name: option.default for name, option in cops.OPTIONS.items()}
    else:
        prompts, noise, options = golden_prompts(golden), Noise(*(each.to(device) for each in noise)), {}
    with torch.inference_mode():
        prediction = model(golden.images.to(device), prompts, noise, options)
    return prediction.image_score_text.cpu().numpy(), prediction.anomaly_map.cpu().numpy()


def test_float32_equals_the_published_implementation(golden):
    score, anomaly_map = predicted(golden, "cuda")
    names = ("score", "anomaly_map_raw") if golden.method == "cops" else ("score_stage2", "anomaly_map")
    for value, name in zip((score, anomaly_map), names):
        assert_allclose(value, golden.stacked(name), rtol=0, atol=1e-5, err_msg=name)


def scored(golden, **changes):
    settings = ScoringSettings(golden.method, golden.backbone, golden.checkpoint, 98, samples=2, batch_size=3)
    settings = dataclasses.replace(settings, uncertainty=True, **changes)
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 98, 98, 3), np.uint8)
    names = [f"{number:064x}" for number in range(COUNT)]
    return Scorer(settings).score(pixels, PROMPTS, names, [False, True, False, False, True])


@pytest.mark.parametrize("changes", [{}, {"batch_size": 1}, {"compile": True}], ids=["as it is", "alone", "compiled"])
def test_a_gpu_scores_as_a_cpu_does(golden, changes):
    on_cpu, on_gpu = scored(golden, device="cpu"), scored(golden, device="cuda", **changes)
    for name in ("text", "map", "score", "score_std", "codes", "codes_std"):
        one, other = getattr(on_cpu, name), getattr(on_gpu, name)
        assert (one is None) == (other is None), name
        if one is not None:
            tolerance = 1 if name.startswith("codes") else 5e-6
            assert_allclose(other.astype(float), one.astype(float), rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.01)])
def test_low_precision_stays_near(golden, precision, tolerance, compiled):
    exact, low = scored(golden, device="cpu"), scored(golden, device="cuda", precision=precision, compile=compiled)
    assert_allclose(low.text, exact.text, rtol=0, atol=tolerance)
    assert 0 < np.abs(low.codes.astype(int) - exact.codes).mean() / 65535 < tolerance
