"""The scorer: a prediction is a function of the image and the settings, of nothing else."""

import dataclasses
import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image
from scipy.ndimage import gaussian_filter

from tests.needs import needs_compiler
from tests.pictures import encoded
from zsad_core.errors import UsageError, ZsadError
from zsad_core.images import CLIP_MEAN, CLIP_STD, ImageError
from zsad_core.pixels import normalised
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings
from zsad_core.tiling import assembled, tile_pixels, tiling_of

COUNT = 5
PROMPTS = ["bottle", "metal nut", "a thing with a long name", "pill", "pill"]
SHA256S = [f"{number:064x}" for number in range(COUNT)]
SMALL_DEFECT = [False, True, False, False, True]


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 98, 98, 3), dtype=np.uint8)


def score(settings, pixels, order=range(COUNT)):
    order = list(order)
    return Scorer(settings).score(
        pixels[order], *([values[i] for i in order] for values in (PROMPTS, SHA256S, SMALL_DEFECT))
    )


@pytest.fixture(scope="module")
def scores(settings, pixels):
    return score(settings, pixels)


def assert_same(one, other):
    assert_allclose(one.text, other.text, rtol=0, atol=5e-6)
    assert_allclose(one.map, other.map, rtol=0, atol=5e-6)
    assert np.abs(one.codes.astype(int) - other.codes).max() <= 1


@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_batch_size_changes_nothing(settings, pixels, scores, batch_size):
    assert_same(score(dataclasses.replace(settings, batch_size=batch_size), pixels), scores)


def test_order_changes_nothing(settings, pixels, scores):
    order = [3, 0, 4, 2, 1]
    backwards = score(settings, pixels, order)
    assert_same(backwards, scores._replace(**{name: getattr(scores, name)[order] for name in ("text", "map", "codes")}))


def test_equal_calls_give_equal_bytes(settings, pixels, scores):
    again = score(settings, pixels)
    assert all(np.array_equal(one, other) for one, other in zip(again, scores))


def test_seed_and_samples_change_the_prediction(settings, pixels, scores):
    for other in (dataclasses.replace(settings, seed=1), dataclasses.replace(settings, samples=4)):
        assert not np.isclose(score(other, pixels).text, scores.text, atol=1e-7).any()


def test_stored_values_are_the_models(settings, pixels, scores):
    """k and sigma scaled from 518 to 98 px, the map's score from the unsmoothed map, codes from the smoothed one."""
    scorer = Scorer(settings)
    images = (pixels / 255 - CLIP_MEAN) / CLIP_STD
    with torch.inference_mode():
        prediction = scorer.method(
            torch.from_numpy(images).permute(0, 3, 1, 2).float(), PROMPTS, scorer.method.draw_noise(0, SHA256S), {}
        )
    maps = prediction.anomaly_map.numpy().astype(np.float64)
    highest = [np.sort(one, axis=None)[-(1 if small else round(2000 * (98 / 518) ** 2)) :].mean()
               for one, small in zip(maps, SMALL_DEFECT)]  # fmt: skip
    assert_allclose(scores.map, highest, rtol=0, atol=5e-6)
    assert_allclose(scores.text, prediction.image_score_text, rtol=0, atol=5e-6)
    smoothed = np.stack([gaussian_filter(one, 8 * 98 / 518) for one in maps])
    assert np.abs(scores.codes - 65535 * smoothed).max() <= 1


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("fp16", 0.01)])
def test_low_precision_stays_near(settings, pixels, scores, precision, tolerance):
    low = score(dataclasses.replace(settings, precision=precision), pixels)
    assert_allclose(low.text, scores.text, rtol=0, atol=tolerance)
    assert 0 < np.abs(low.codes.astype(int) - scores.codes).mean() / 65535 < tolerance


@needs_compiler
def test_compiled_kernels_change_nothing(settings, pixels, scores):
    """Five images in batches of three: the second is filled up."""
    assert_same(score(dataclasses.replace(settings, compile=True), pixels), scores)


def test_without_a_compiler_the_message_says_so(settings, pixels, monkeypatch):
    torch.compiler.reset()
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "no-such-compiler"))
    with pytest.raises(ZsadError, match="torch.compile does not work here, leave out --compile: .*no-such-compiler"):
        score(dataclasses.replace(settings, compile=True, image_size=84), pixels[:, :84, :84])


def test_a_map_outside_0_to_1_is_no_score(settings, pixels, monkeypatch):
    scorer = Scorer(settings)
    right = scorer.method.anomaly_map
    monkeypatch.setattr(scorer.method, "anomaly_map", lambda *given: 1 + right(*given))
    with pytest.raises(ValueError, match=r"outside \[0, 1\]: codes from \d+ to \d+"):
        scorer.score(pixels, PROMPTS, SHA256S, SMALL_DEFECT)


def test_maps_are_stored_smaller_where_asked(settings, pixels, scores):
    smaller = score(dataclasses.replace(settings, map_size=14), pixels)
    assert np.array_equal(smaller.map, scores.map) and np.array_equal(smaller.text, scores.text)
    assert np.abs(smaller.codes - scores.codes.reshape(COUNT, 14, 7, 14, 7).mean((2, 4))).max() <= 1


def test_nothing_to_score(settings, pixels):
    nothing = score(settings, pixels, [])
    assert nothing.text.shape == nothing.map.shape == (0,) and nothing.codes.shape == (0, 98, 98)


def test_facts_name_weights_and_protocol(settings):
    with pytest.raises(ValueError, match="rounded to bf16"):
        Scorer(dataclasses.replace(settings, precision="bf16")).facts()
    facts = Scorer(settings).facts()
    assert facts["image_size"] == 98 and facts["activation"] == "gelu" and len(facts["backbone_sha256"]) == 64
    assert (facts["top_k"], facts["top_k_small_defect"]) == (72, 1)
    assert_allclose(facts["smoothing_sigma"], 8 * 98 / 518)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"batch_size": 0}, "--batch-size 0"), ({"samples": -1}, "--samples -1"), ({"threads": 0}, "--threads 0"),
     ({"image_size": 0}, "--image-size 0"), ({"precision": "int8"}, "--precision int8: one of fp32, bf16, fp16")],
)  # fmt: skip
def test_wrong_settings(settings, change, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(settings, **change)


SHORT_OF_MEMORY = """
import resource, sys
import numpy as np
from zsad_core.errors import ZsadError
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings

def score(batch_size, pixels):
    return Scorer(ScoringSettings(method="local-contrast", image_size=256, batch_size=batch_size)).score(
        pixels, ["pill"] * len(pixels), ["0" * 64] * len(pixels), [False] * len(pixels)
    )

pixels = np.random.default_rng(0).integers(0, 256, (64, 256, 256, 3), dtype=np.uint8)
enough = score(4, pixels)
used = 4096 * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20, used + 100 * 2**20))
short = score(64, pixels)
assert 1 <= short.batch_size <= 16, short.batch_size
assert np.array_equal(short.codes, enough.codes) and np.array_equal(short.map, enough.map)
taken = [bytearray(2**20) for _ in range(95)]
try:
    score(1, pixels[:1].repeat(8, axis=1).repeat(8, axis=2))
except ZsadError as error:
    print(error)
"""


def test_batches_are_halved_where_memory_is_short():
    """In a process whose address space the system limits."""
    done = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "memory does not suffice for one image of 256 x 256 pixels: take fewer --actors" in done.stdout


def test_deviations_are_those_of_the_prompt_samples_one_by_one(settings, pixels, scores):
    """Each sample scored alone; its map smoothed by scipy, its highest pixels averaged."""
    settings = dataclasses.replace(settings, samples=4, map_size=49)
    plain, uncertain = (score(dataclasses.replace(settings, uncertainty=on), pixels) for on in (False, True))
    assert plain.score_std is None and plain.codes_std is None
    for name in ("text", "map", "score", "codes"):
        assert np.array_equal(getattr(uncertain, name), getattr(plain, name)), name

    scorer = Scorer(settings)
    method, sigma = scorer.method, scorer.protocol.scaled_sigma(98)
    noise = method.draw_noise(settings.seed, SHA256S)
    texts, highest, maps = [], [], []
    for number in range(4):
        alone = type(noise)(
            noise.context[:, number : number + 1],
            *(each[number : number + 1] for each in (noise.normal, noise.abnormal)),
        )
        with torch.inference_mode():
            said = method(normalised(pixels, "cpu"), PROMPTS, alone, {})
        texts.append(said.image_score_text.double().numpy())
        of_images = said.anomaly_map.double().numpy()
        ks = [scorer.protocol.scaled_top_k(98, small) for small in SMALL_DEFECT]
        highest.append([np.sort(one, axis=None)[-k:].mean() for one, k in zip(of_images, ks)])
        smoothed = np.stack([gaussian_filter(one, sigma) for one in of_images])
        maps.append(smoothed.reshape(COUNT, 49, 2, 49, 2).mean((2, 4)))
    expected = np.std((np.array(texts) + np.array(highest)) / 2, axis=0, ddof=1)
    assert_allclose(uncertain.score_std, expected, rtol=0, atol=1e-6)
    assert_allclose(uncertain.codes_std / 65535, np.std(maps, axis=0, ddof=1), rtol=0, atol=2e-5)
    assert uncertain.score_std.min() > 1e-4


def test_one_sample_has_no_deviation_nor_has_a_method_without_samples(settings, pixels):
    learning_nothing = ScoringSettings(method="local-contrast", image_size=98, uncertainty=True)
    assert score(learning_nothing, pixels)[4:6] == (None, None)
    one = score(dataclasses.replace(settings, samples=1, uncertainty=True), pixels)
    assert one.score_std is None and one.codes_std is None


@pytest.mark.parametrize("tile", [None, 60])
def test_one_image_by_its_bytes(settings, tile):
    """By hand: its tiles, each scored as an image; the most suspicious one's score."""
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 150, 3), dtype=np.uint8))
    content = encoded(image)
    scorer = Scorer(dataclasses.replace(settings, uncertainty=True))
    found = scorer.score_image(content, "pill", tile)
    tiling = tiling_of(80, 150, tile, 0.25, 98)
    tiles = tile_pixels(image, tiling, 98)
    sha256 = hashlib.sha256(content).hexdigest()
    scores = scorer.score(tiles, ["pill"] * len(tiles), [sha256] * len(tiles), [False] * len(tiles))
    most = scores.score.argmax()
    assert (found.score, found.score_std) == (scores.score[most], scores.score_std[most])
    assert_allclose(found.anomaly_map, assembled(scores.codes, tiling, 0.25) / 65535, rtol=0, atol=1e-12)
    assert found.anomaly_map_std.shape == found.anomaly_map.shape == (tiling.height, tiling.width)
    assert (len(tiles) > 1) == (tile is not None)


def test_what_is_no_image(settings):
    with pytest.raises(ImageError, match="not an image"):
        Scorer(settings).score_image(b"nothing", "pill")
