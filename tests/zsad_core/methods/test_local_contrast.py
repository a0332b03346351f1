"""Local contrast against scipy: the map is the distance from the surround, its maximum the score of the image."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter

from zsad_core.methods import method_module
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings

SIZE = 48


@pytest.fixture(scope="module")
def pixels():
    """Noise, nothing but grey, half black and half white, one red pixel on white."""
    images = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    images[1] = 77
    images[2, :, :24], images[2, :, 24:] = 0, 255
    images[3] = 255
    images[3, 20, 30] = 255, 0, 0
    return images


@pytest.fixture(scope="module")
def scores(pixels):
    scorer = Scorer(ScoringSettings(method="local-contrast", image_size=SIZE, batch_size=3))
    return scorer.score(pixels, ["part"] * 4, ["0" * 64] * 4, [False, True, False, True])


def expected_map(image):
    colours = image / 255
    surround = np.stack([gaussian_filter(colours[..., channel], 0.12 * SIZE) for channel in range(3)], -1)
    return np.sqrt(((colours - surround) ** 2).sum(-1) / 3)


def test_map_is_the_distance_from_the_surround(pixels, scores):
    for image, codes in zip(pixels, scores.codes):
        smoothed = gaussian_filter(expected_map(image), 8 * SIZE / 518)
        assert np.abs(codes - 65535 * smoothed).max() <= 1
    assert scores.codes[1].max() <= 1 and scores.codes[2].max() > 20_000


def test_the_image_score_is_the_maximum(pixels, scores):
    assert method_module("local-contrast").PROTOCOL.image_score == "text"
    assert_allclose(scores.text, [expected_map(image).max() for image in pixels], rtol=0, atol=1e-6)
    assert_allclose(scores.map, scores.text, rtol=0, atol=1e-6)


def test_it_has_no_weights():
    facts = Scorer(ScoringSettings(method="local-contrast")).facts()
    assert facts["image_size"] == 518 and facts["parameter_bytes"] == 0 and facts["top_k"] == 1
    assert not {"backbone_sha256", "activation"} & facts.keys()
