"""The metrics against scikit-learn and against AUPRO by the definition, one threshold at a time."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from zsad_core.metrics.image import image_metrics, image_score_plain, image_score_published
from zsad_core.metrics.pixel import MapCounts, PixelCounts, pixel_metrics

EXACT = 1e-9


def sklearn_metrics(labels, scores):
    if len(set(labels.tolist())) < 2:
        return dict.fromkeys(["auroc", "ap", "f1_max"], np.nan)
    precision, recall, _ = precision_recall_curve(labels, scores)
    both = precision + recall
    f1 = 2 * precision * recall / np.where(both > 0, both, 1)
    return {"auroc": roc_auc_score(labels, scores), "ap": average_precision_score(labels, scores), "f1_max": f1.max()}


def regions_by_flood(masks):
    """Boolean maps, one an 8-connected region, grown pixel by pixel."""
    regions = []
    for i, mask in enumerate(masks):
        left = {tuple(p) for p in np.argwhere(mask)}
        while left:
            front, region = [left.pop()], np.zeros(masks.shape, bool)
            while front:
                r, c = front.pop()
                region[i, r, c] = True
                near = {(r + dr, c + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)} & left
                left -= near
                front += near
            regions.append(region)
    return regions


def pro_curve(codes, masks, thresholds):
    """(FPR, PRO) where code >= threshold is a hit."""
    regions = regions_by_flood(masks)
    hits = [codes >= threshold for threshold in thresholds]
    return [((hit & ~masks).sum() / (~masks).sum(), np.mean([hit[r].mean() for r in regions])) for hit in hits]


def brute_aupro(codes, masks):
    if not masks.any() or masks.all():
        return np.nan
    points = [(0.0, 0.0), *pro_curve(codes, masks, sorted(set(codes.ravel().tolist()), reverse=True))]
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 < 0.3:
            end = min(x1, 0.3)
            if end > x0:
                y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
                area += (end - x0) * (y0 + y_end) / 2
    return area / 0.3


def brute_aupro_200(codes, masks):
    if not masks.any() or masks.all():
        return np.nan
    low, high = int(codes.min()), int(codes.max())
    scaled = 200 * codes.astype(int)
    thresholds = [200 * low + i * (high - low) + 1 for i in range(200)]  # whole numbers: >= t + 1 is > t
    points = sorted(p for p in pro_curve(scaled, masks, thresholds) if p[0] < 0.3)
    if not points or points[0][0] == points[-1][0]:
        return np.nan
    x, y = np.array(points).T
    return float(np.trapezoid(y, (x - x[0]) / (x[-1] - x[0])))


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=EXACT, nan_ok=True), name


@st.composite
def maps_and_masks(draw):
    """Codes uint16 and masks bool (N, H, W): many ties, or hardly any; blobs, single pixels, full and empty masks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
    codes = rng.integers(0, draw(st.sampled_from([1, 2, 5, 300, 65536])), shape)
    codes = codes + rng.integers(0, 65536 - codes.max())
    density = draw(st.sampled_from([0, 0.05, 0.2, 0.5, 0.9, 1]))
    masks = rng.uniform(size=shape) < density
    if draw(st.booleans()):
        codes = np.minimum(codes + masks * rng.integers(0, 300, shape), 65535)
    return codes.astype(np.uint16), masks


def counts_of(codes, masks):
    return sum((PixelCounts.of_map(*pair) for pair in zip(codes, masks)), PixelCounts.empty())


@settings(max_examples=250, deadline=None)
@given(maps_and_masks())
def test_pixel_metrics_equal_sklearn_and_the_definitions(case):
    codes, masks = case
    counts = counts_of(codes, masks)
    assert counts.regions == len(regions_by_flood(masks))
    assert_same(
        pixel_metrics(counts),
        {
            **sklearn_metrics(masks.ravel(), codes.ravel() / 65535),
            "aupro": brute_aupro(codes, masks),
            "aupro_200": brute_aupro_200(codes, masks),
        },
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([0, 0.1, np.nextafter(0.1, 1), 0.3, -2.5, 1e9]) | st.floats(0, 1))
    )
)
def test_image_metrics_equal_sklearn(rows):
    labels = np.array([label for label, _ in rows], int)
    scores = np.array([score for _, score in rows], float)
    assert_same(image_metrics(scores, labels), sklearn_metrics(labels, scores))


@settings(max_examples=50, deadline=None)
@given(maps_and_masks(), st.randoms(use_true_random=False))
def test_counts_merge_in_any_order_and_grouping(case, random):
    parts = [PixelCounts.of_map(*pair) for pair in zip(*case)] * 3
    whole = pixel_metrics(sum(parts, PixelCounts.empty()))
    while len(parts) > 1:
        random.shuffle(parts)
        parts.append(parts.pop() + parts.pop())
    assert pixel_metrics(parts[0]) == pytest.approx(whole, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("side", [30, 120])
def test_maps_of_few_and_of_many_pixels_are_counted_alike(side):
    """Few are sorted, many are counted at all codes that there could be."""
    rng = np.random.default_rng(side)
    codes, mask = rng.integers(0, 3000, (side, side)).astype(np.uint16), np.zeros((side, side), bool)
    mask[2:-4, 5:-2] = rng.uniform(size=(side - 6, side - 7)) < 0.25
    found, starts = MapCounts.of(codes, mask), np.array([0, 7, 1500, 2990])
    regions = regions_by_flood(mask[None])
    weight = sum(region[0] / region.sum() for region in regions)
    expected = np.zeros((3, len(starts)))
    for row, values in enumerate((~mask, mask, weight)):
        np.add.at(expected[row], np.searchsorted(starts, codes, side="right") - 1, values)
    binned = found.binned(starts)
    assert [binned.normal.tolist(), binned.anomalous.tolist()] == expected[:2].tolist()
    assert binned.region_weight == pytest.approx(expected[2], abs=1e-12)
    assert binned.regions == found.regions == len(regions) > 1
    for name, kept in (("code", "normal"), ("anomalous_code", "anomalous")):
        assert (np.diff(getattr(found, name).astype(int)) > 0).all() and (getattr(found, kept) > 0).all()


def test_touching_corners_are_one_region_and_borders_count():
    mask = np.zeros((6, 6), bool)
    mask[0, 0] = mask[1, 1] = mask[5, 5] = mask[3, 5] = True
    counts = PixelCounts.of_map(np.arange(36, dtype=np.uint16).reshape(6, 6), mask)
    assert counts.regions == 3
    assert {code: counts.region_weight[code] for code in np.flatnonzero(counts.anomalous)} == {
        0: 0.5,
        7: 0.5,
        23: 1,
        35: 1,
    }


def test_a_maximum_at_fpr_exactly_030_is_cut_there():
    # Ten normal pixels: the third false positive comes alone, the region is hit only after it, at FPR 0.3.
    codes = np.array([[14, 13, 12, 11, 9, 8, 7, 6, 5, 4, 3]], np.uint16)
    mask = np.zeros((1, 11), bool)
    mask[0, 3] = True
    assert pixel_metrics(PixelCounts.of_map(codes, mask))["aupro"] == 0


@pytest.mark.parametrize("value", [False, True])
def test_one_class_only_is_undefined(value):
    counts = PixelCounts.of_map(np.arange(36, dtype=np.uint16).reshape(6, 6), np.full((6, 6), value))
    assert np.isnan(list(pixel_metrics(counts).values())).all()
    assert np.isnan(list(image_metrics(np.array([0.1, 0.2]), np.full(2, int(value))).values())).all()


def test_no_image_is_undefined():
    assert np.isnan(list(pixel_metrics(PixelCounts.empty()).values())).all()
    assert np.isnan(list(image_metrics(np.array([]), np.array([])).values())).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_raise(bad):
    with pytest.raises(ValueError, match="NaN or infinite"):
        image_metrics(np.array([0.1, bad]), np.array([0, 1]))
    with pytest.raises(ValueError, match="NaN or infinite"):
        image_score_published(np.array([0.1, 0.2]), np.array([0.1, bad]), ["image", "pixel"], "fused")


def test_score_rules():
    text, highest = np.array([0.2, 0.6, 0.4]), np.array([0.5, 0.5, 0.9])
    expected = 0.5 * (text - 0.2) / (0.4 + 1e-8) + 0.5 * (highest - 0.5) / (0.4 + 1e-8)
    assert image_score_published(text, highest, ["image", "pixel"], "fused") == pytest.approx(expected, abs=1e-15)
    assert image_score_published(text, highest, ["image"], "fused").tolist() == text.tolist()
    constant = image_score_published(text, np.full(3, 0.5), ["image", "pixel"], "fused")
    assert constant[0] == 0  # not NaN
    assert image_score_plain(text, highest, "fused") == pytest.approx([0.35, 0.55, 0.65])
    for of_text in (
        image_score_plain(text, highest, "text"),
        image_score_published(text, highest, ["image", "pixel"], "text"),
    ):
        assert of_text.tolist() == text.tolist()
