"""CoPS against the published implementation's outputs, the mistakes that these must catch, and its pieces by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.needs import needs_compiler, needs_flop_counter
from tests.zsad_core.methods.golden_models import built, golden_noise
from zsad_core import towers
from zsad_core.anomaly_map import smooth
from zsad_core.clip import PositionResize
from zsad_core.clip_loading import load_backbone
from zsad_core.errors import UsageError
from zsad_core.methods import cops
from zsad_core.methods.cops import model as model_module
from zsad_core.methods.cops.model import distances, minmax, neighbourhood_mean
from zsad_core.scoring import Scorer
from zsad_core.settings import ScoringSettings

TOLERANCE = {"image_features": 6e-6, "patch_features": 4e-6, "prototypes": 2e-6, "text_features": 1e-6,
             "anomaly_map_raw": 2e-6, "anomaly_map": 2e-6, "score": 1e-6}  # fmt: skip
OPTIONS = {name: option.default for name, option in cops.OPTIONS.items()}


@torch.inference_mode()
def outputs(model, golden):
    tokens, feature = model.backbone.encode_two_paths(golden.images)
    prototypes = model.prototypes(model_module.neighbourhood_mean(tokens, OPTIONS["pooling"]))
    score, anomaly_map, *_ = model(golden.images, ["bottle"] * golden.count, golden_noise(golden), OPTIONS)
    return {
        "image_features": feature.numpy(),
        "patch_features": tokens[:, None].numpy(),
        "prototypes": prototypes.numpy(),
        "text_features": model.text_features(prototypes, golden_noise(golden)).numpy(),
        "anomaly_map_raw": anomaly_map.numpy(),
        "anomaly_map": smooth(anomaly_map, cops.PROTOCOL.smoothing_sigma).numpy(),
        "score": score.numpy(),
    }


def largest_differences(model, golden):
    return {name: np.abs(value - golden.stacked(name)).max() for name, value in outputs(model, golden).items()}


@pytest.fixture(scope="module")
def differences(cops_golden):
    return largest_differences(built(cops_golden), cops_golden)


@pytest.mark.parametrize("name", TOLERANCE)
def test_equals_the_published_implementation(differences, name):
    assert differences[name] <= TOLERANCE[name]


def resize_the_positions_bicubic(monkeypatch, golden, model):
    model.backbone = load_backbone(golden.backbone, image_size=98, position_resize=PositionResize("bicubic", False))


def use_exact_gelu_in_the_towers(monkeypatch, golden, model):
    model.backbone = load_backbone(
        golden.backbone, image_size=98, activation="gelu", position_resize=PositionResize("bilinear", False)
    )


def use_exact_gelu_in_the_prototypes(monkeypatch, golden, model):
    model.prototypes.mlp[1] = nn.GELU()


def normalise_the_class_token(monkeypatch, golden, model):
    two_paths, norm = towers.two_paths, model.backbone.clip.visual.ln_post

    def normed(*given):
        first, patches = two_paths(*given)
        return norm(first), patches

    monkeypatch.setattr(towers, "two_paths", normed)


def leave_each_state_its_prototypes(monkeypatch, golden, model):
    forward = model.prompts.forward
    monkeypatch.setattr(model.prompts, "forward", lambda prototypes, classes: forward(prototypes.flip(1), classes))


def exchange_the_states(monkeypatch, golden, model):
    model.prompts.normal, model.prompts.abnormal = model.prompts.abnormal, model.prompts.normal


def take_the_extremes_of_the_batch(monkeypatch, golden, model):
    monkeypatch.setattr(model_module, "minmax", lambda x: (x - x.min()) / (x.max() - x.min()))


def leave_zeros_beyond_the_border_out(monkeypatch, golden, model):
    pool = nn.functional.avg_pool2d
    monkeypatch.setattr(
        nn.functional, "avg_pool2d", lambda *given, **named: pool(*given, **named, count_include_pad=False)
    )


def use_eight_heads(monkeypatch, golden, model):
    model.prototypes.attention.num_heads = 8


def leave_the_deep_prompts_out(monkeypatch, golden, model):
    model.prompts.deep = nn.ParameterList()


def begin_the_deep_prompts_a_block_later(monkeypatch, golden, model):
    model.prompts.deep = nn.ParameterList([model.prompts.deep[0], *model.prompts.deep[:-1]])


def leave_the_samples_unnormalised(monkeypatch, golden, model):
    normalize = nn.functional.normalize
    monkeypatch.setattr(
        nn.functional, "normalize", lambda x, dim: x if x.ndim == 3 and x.shape[1] == 10 else normalize(x, dim=dim)
    )


@pytest.mark.parametrize(
    "mistake",
    [resize_the_positions_bicubic, use_exact_gelu_in_the_towers,
     use_exact_gelu_in_the_prototypes, normalise_the_class_token, leave_each_state_its_prototypes, exchange_the_states,
     take_the_extremes_of_the_batch, leave_zeros_beyond_the_border_out, use_eight_heads, leave_the_deep_prompts_out,
     begin_the_deep_prompts_a_block_later, leave_the_samples_unnormalised],
)  # fmt: skip
def test_a_mistake_shows(cops_golden, monkeypatch, mistake):
    model = built(cops_golden)
    mistake(monkeypatch, cops_golden, model)
    differences = largest_differences(model, cops_golden)
    assert any(differences[name] > 3 * TOLERANCE[name] for name in differences), differences


def test_positions_are_resized_bilinear_without_antialias_where_the_grid_shrinks(cops_golden):
    """The golden grid grows, which antialiasing does not touch."""
    positions = cops_golden.backbone_state["visual.positional_embedding"].float()
    grid = positions[1:].T.reshape(1, -1, 5, 5)
    plain, smoothed = (
        nn.functional.interpolate(grid, (3, 3), mode="bilinear", antialias=antialias).flatten(2)[0].T
        for antialias in (False, True)
    )
    resized = built(cops_golden, image_size=42).backbone.clip.visual.positional_embedding
    assert_allclose(resized[1:], plain, atol=1e-6)
    assert not torch.allclose(resized[1:], smoothed, atol=1e-3)


@pytest.mark.parametrize("order", [[0], [1], [1, 0], [0, 1, 0], [1, 1, 0, 1, 0]])
def test_images_do_not_mix_in_a_batch(cops_golden, order):
    model, noise = built(cops_golden), golden_noise(cops_golden)
    with torch.inference_mode():
        together = model(cops_golden.images[order], ["pill"] * len(order), noise[order], OPTIONS)
    assert_allclose(together.anomaly_map, cops_golden.stacked("anomaly_map_raw")[order], rtol=0, atol=2e-6)
    assert_allclose(together.image_score_text, cops_golden.stacked("score")[order], rtol=0, atol=1e-6)


def test_class_names_are_not_read(cops_golden):
    model, noise = built(cops_golden), golden_noise(cops_golden)
    with torch.inference_mode():
        one, other = (
            model(cops_golden.images, [name] * 2, noise, OPTIONS) for name in ("pill", "a thing of a long name")
        )
    assert torch.equal(one.anomaly_map, other.anomaly_map) and torch.equal(one.image_score_text, other.image_score_text)


def test_the_options_of_visa(cops_golden):
    """beta 1 leaves the map out of the image score; alpha and pooling change the map, and the score by the prompts."""
    assert {name: option.of_benchmark for name, option in cops.OPTIONS.items()} == {
        "alpha": {"VisA": 0.35}, "beta": {"VisA": 1.0}, "pooling": {"VisA": 3},
    }  # fmt: skip
    model, noise = built(cops_golden), golden_noise(cops_golden)

    def scored(**changes):
        with torch.inference_mode():
            return model(cops_golden.images, ["pill"] * 2, noise, OPTIONS | changes)

    default, whole = scored(), scored(beta=1.0)
    highest = default.anomaly_map.amax((1, 2))
    assert torch.equal(whole.anomaly_map, default.anomaly_map)
    assert_allclose(default.image_score_text, 0.9 * whole.image_score_text + 0.1 * highest, atol=1e-6)
    assert_allclose(scored(beta=0.0).image_score_text, highest, atol=1e-6)
    ends = [scored(alpha=alpha).anomaly_map for alpha in (0.0, 1.0)]
    assert_allclose(scored(alpha=0.35).anomaly_map, 0.65 * ends[0] + 0.35 * ends[1], atol=1e-6)
    assert not torch.allclose(scored(pooling=3).image_score_text, default.image_score_text, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"pooling": 4}, "pooling 4: it is an odd number"), ({"pooling": 2.5}, "pooling 2.5: "),
     ({"pooling": -1}, "pooling -1: "), ({"alpha": 1.1}, "alpha 1.1: it lies between 0 and 1"),
     ({"beta": float("nan")}, "beta nan: ")],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(cops_golden, changes, message):
    with pytest.raises(UsageError, match=message):
        built(cops_golden)(cops_golden.images, ["pill"] * 2, golden_noise(cops_golden), OPTIONS | changes)


def test_noise_belongs_to_seed_and_image(cops_golden):
    model = built(cops_golden, samples=4)
    here = model.draw_noise(1, ["aa", "bb"])
    assert here.shape == (2, 4, 192)
    assert torch.equal(model.draw_noise(1, ["bb"])[0], here[1])
    assert not torch.equal(here[0], here[1])
    assert not torch.equal(model.draw_noise(2, ["aa"])[0], here[0])


def test_untrained_weights_are_the_same_each_time(cops_golden):
    one, two = (built(cops_golden, checkpoint="random") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values()))


def test_samples_share_the_computation_and_give_what_each_would_alone(cops_golden):
    model, noise = built(cops_golden), golden_noise(cops_golden)
    with torch.inference_mode():
        prototypes = model.prototypes(torch.from_numpy(cops_golden.stacked("patch_features")[:, 0]))
        together = model.text_features(prototypes, noise)
        alone = torch.stack([model.text_features(prototypes, noise[:, r : r + 1]) for r in range(10)])
    assert_allclose(nn.functional.normalize(alone.mean(0), dim=-1), together, atol=1e-6)


def test_prompts_are_seventeen_tokens_long(cops_golden, monkeypatch):
    model, given = built(cops_golden), {}
    encode = model.backbone.encode_texts

    def watched(start, branches, ends, deep):
        given.update(start=start, branches=branches, ends=ends, deep=deep)
        return encode(start, branches, ends, deep)

    monkeypatch.setattr(model.backbone, "encode_texts", watched)
    with torch.inference_mode():
        prototypes = torch.zeros(3, 2, 6, 192)
        model.text_features(prototypes, torch.zeros(3, 10, 192))
    ids, ends = model.backbone.tokenize(["X " * 14 + "."])
    words = model.backbone.embed_tokens(ids)[0]
    assert len(words) == 17 and ends.tolist() == [16]
    assert given["start"].shape == (6, 13, 192) and given["branches"].shape == (6, 10, 4, 192)
    assert torch.equal(given["start"][:, 0], words[:1].expand(6, -1)) and (given["ends"] == 3).all()
    assert torch.equal(given["branches"][4, 7, 2:], words[15:])
    learned = torch.stack([model.prompts.normal, model.prompts.abnormal]).repeat(3, 1, 1)
    assert torch.equal(given["start"][:, 1:], learned[:, :12])
    assert len(given["deep"]) == 8


def test_a_shallow_text_tower_has_deep_prompts_for_the_blocks_behind_its_first():
    model = cops.build("zsad-small:random", "random", None, 2)
    assert len(model.prompts.deep) == 3
    assert model.prototypes.attention.num_heads == 4  # 12 do not divide its width of 128: heads of 32


def flop_of(work):
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@needs_flop_counter
@torch.inference_mode()
def test_no_product_is_computed_that_is_not_needed(cops_golden):
    model = built(cops_golden)
    tokens, patches, width, joint, depth = 50, 49, 128, 192, 6
    first_path = [24 * tokens * width**2 + 4 * tokens**2 * width] * (depth - 1)
    first_path += [4 * tokens * width**2 + 20 * width**2 + 4 * tokens * width]  # keys and values; one token goes on
    second_path = depth * (4 * patches * tokens * width + 2 * patches * width**2)
    around = 2 * width * (3 * 14**2 * patches + joint * (patches + 1))
    done = flop_of(lambda: model.backbone.encode_two_paths(cops_golden.images[:1]))
    assert done == sum(first_path) + second_path + around

    prototypes, noise = torch.zeros(1, 2, 6, joint), torch.zeros(1, 10, joint)
    done = flop_of(lambda: model.text_features(prototypes, noise)) - flop_of(lambda: model.vae_decoder(noise))
    tokens = 13 + 10 * 4
    blocks = [24 * tokens * joint**2 + 4 * tokens**2 * joint] * 9
    blocks += [4 * tokens * joint**2 + 10 * (20 * joint**2 + 4 * tokens * joint)]  # the ends of ten texts go on
    assert done == 2 * (sum(blocks) + 10 * 2 * joint**2)


def naive_attention(x, heads, weights, of_values):
    """Softmax attention of x (B, L, W) by loops over images and heads; where `of_values`, of the values alone."""
    query, key, value = (
        x @ matrix.T + bias for matrix, bias in zip(weights.in_proj_weight.chunk(3), weights.in_proj_bias.chunk(3))
    )
    if of_values:
        query = key = value
    width = x.shape[-1] // heads
    joined = torch.empty_like(x)
    for image in range(len(x)):
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            scores = query[image, :, part] @ key[image, :, part].T * width**-0.5
            joined[image, :, part] = scores.softmax(-1) @ value[image, :, part]
    return joined @ weights.out_proj.weight.T + weights.out_proj.bias


def test_two_paths_against_naive_attention(cops_golden):
    blocks = built(cops_golden).backbone.clip.visual.transformer.resblocks
    x = torch.randn(2, 10, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first, patches = towers.two_paths(blocks, x)
        second = x
        for block in blocks:
            normed = block.ln_1(x)
            second = second + naive_attention(normed, 2, block.attn, of_values=True)
            x = x + naive_attention(normed, 2, block.attn, of_values=False)
            x = x + block.mlp(block.ln_2(x))
    assert_allclose(first, x[:, 0], atol=1e-5)
    assert_allclose(patches, second[:, 1:], atol=1e-5)


@pytest.mark.parametrize("side", [1, 3, 5, 9])
def test_neighbourhood_mean_counts_zeros_beyond_the_border(side):
    patches = np.random.default_rng(0).standard_normal((2, 36, 3)).astype(np.float32)
    grid, expected = patches.reshape(2, 6, 6, 3), np.zeros((2, 6, 6, 3))
    for row, column, down, across in np.ndindex(6, 6, side, side):
        r, c = row + down - side // 2, column + across - side // 2
        if 0 <= r < 6 and 0 <= c < 6:
            expected[:, row, column] += grid[:, r, c] / side**2
    assert_allclose(neighbourhood_mean(torch.from_numpy(patches), side), expected.reshape(2, 36, 3), atol=1e-6)


def test_distances_are_to_the_nearest_prototype():
    generator = np.random.default_rng(1)
    patches, prototypes = generator.standard_normal((2, 5, 4)), generator.standard_normal((2, 2, 3, 4))
    expected = np.zeros((2, 2, 5))
    for image, state, patch in np.ndindex(2, 2, 5):
        p, all_of_state = patches[image, patch], prototypes[image, state]
        expected[image, state, patch] = min(1 - p @ q / np.linalg.norm(p) / np.linalg.norm(q) for q in all_of_state)
    assert_allclose(distances(torch.from_numpy(patches), torch.from_numpy(prototypes)), expected)


def test_minmax_is_each_images_own_and_0_where_all_are_equal():
    x = torch.tensor([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0], [-1.0, 0.0, torch.nan]])
    result = minmax(x)
    assert_allclose(result[:2], [[0, 0.25, 1], [0, 0, 0]])
    assert result[2].isnan().all()


def test_images_are_judged_by_the_text_part_alone_and_pixels_smoothed_with_sigma_4():
    assert (cops.PROTOCOL.image_score, cops.PROTOCOL.smoothing_sigma) == ("text", 4.0)


def scored(golden, **changes):
    """What the scorer gives for three images."""
    settings = ScoringSettings("cops", golden.backbone, golden.checkpoint, 98, batch_size=2)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 98, 98, 3), np.uint8)
    scorer = Scorer(dataclasses.replace(settings, **changes))
    return scorer.score(pixels, ["pill"] * 3, ["aa", "bb", "cc"], [False] * 3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_comes_near(cops_golden, precision):
    exact, low = (scored(cops_golden, precision=each) for each in ("fp32", precision))
    assert_allclose(low.text, exact.text, atol=0.02)
    assert 0 < np.abs(low.codes.astype(int) - exact.codes).max() < 0.02 * 65535


@needs_compiler
def test_compiled_kernels_change_nothing(cops_golden):
    exact, compiled = (scored(cops_golden, compile=each) for each in (False, True))
    assert_allclose(compiled.text, exact.text, rtol=0, atol=1e-5)
    assert np.abs(compiled.codes.astype(int) - exact.codes).max() <= 1


def test_the_tower_that_the_method_uses_is_what_is_compiled(cops_golden, monkeypatch):
    model = built(cops_golden)
    monkeypatch.setattr(torch, "compile", lambda function, **named: lambda images: pytest.fail("the compiled one"))
    model.backbone.compile_towers()
    with pytest.raises(pytest.fail.Exception, match="the compiled one"):
        model(cops_golden.images, ["pill"] * 2, golden_noise(cops_golden), OPTIONS)
