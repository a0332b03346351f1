"""Figures of the published evaluation code, reached through the 16-bit codes."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.ndimage import gaussian_filter

from zsad_core.map_codec import decode, dequantise, encode, quantise
from zsad_core.metrics.image import image_metrics, image_score_published
from zsad_core.metrics.pixel import PixelCounts, pixel_metrics

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = json.loads((GOLDEN / "metrics.json").read_text())["categories"]
HIGHEST = {"screw": 20, "bottle": 2000}


@pytest.fixture(scope="module", params=sorted(CASES))
def case(request):
    spec = importlib.util.spec_from_file_location("golden_recipe", GOLDEN / "recipe.py")
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    maps, masks, labels, text = recipe.metric_case(CASES[request.param]["seed"], request.param)
    smooth = np.stack([gaussian_filter(one, 8) for one in maps])
    return request.param, maps, smooth, masks.astype(bool), labels, text.astype(np.float32)


def test_image_metrics(case):
    category, maps, _, _, labels, text = case
    highest = np.sort(maps.reshape(len(maps), -1), axis=1)[:, -HIGHEST[category] :].mean(axis=1, dtype=np.float64)
    found = image_metrics(image_score_published(text, highest, ["image", "pixel"], "fused"), labels)
    assert found == pytest.approx(CASES[category]["image"], abs=2e-6)


def test_pixel_metrics_through_the_codes(case):
    category, _, smooth, masks, _, _ = case
    stored = [decode(encode(codes), *codes.shape) for codes in quantise(smooth)]
    found = pixel_metrics(sum((PixelCounts.of_map(*pair) for pair in zip(stored, masks)), PixelCounts.empty()))
    golden = CASES[category]["pixel"]
    assert found["aupro"] == pytest.approx(golden["aupro"], abs=2e-6)
    for name in ("auroc", "ap", "f1_max"):
        assert found[name] == pytest.approx(golden[name], abs=2e-4), name
    # Pixels within half a code of one of its 200 thresholds may change sides, so the codes show more here (1.9e-5) ...
    assert found["aupro_200"] == pytest.approx(golden["aupro_200_thresholds"], abs=3e-5)
    # ... and the published program, which has its thresholds in float32, less on the stored values themselves.
    assert found["aupro_200"] == pytest.approx(published_aupro_200(dequantise(np.stack(stored)), masks), abs=2e-6)


def test_the_published_program_as_written_here_gives_its_golden_figure(case):
    category, _, smooth, masks, _, _ = case
    golden = CASES[category]["pixel"]["aupro_200_thresholds"]
    assert published_aupro_200(smooth, masks) == pytest.approx(golden, abs=1e-9)


def published_aupro_200(maps, masks):
    maps = maps.astype(np.float32)
    lowest, highest = maps.min(), maps.max()
    regions = []
    for anomaly_map, mask in zip(maps, masks):
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        regions += [anomaly_map[labels == i] for i in range(1, count + 1)]
    normal = maps[~masks]
    points = [
        ((normal > threshold).mean(), np.mean([(region > threshold).mean() for region in regions]))
        for threshold in np.arange(lowest, highest, (highest - lowest) / 200)
    ]
    fpr, pro = np.array([point for point in points if point[0] < 0.3])[::-1].T
    return np.trapezoid(pro, (fpr - fpr.min()) / (fpr.max() - fpr.min()))
