"""Intervals against DeLong's own formula, recomputation without each image, and textbook values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logit

from zsad_core.metrics import intervals
from zsad_core.metrics.bins import BINS, bin_starts, binned
from zsad_core.metrics.image import image_influence, image_metrics
from zsad_core.metrics.pixel import CODES, PixelCounts, moved_without_each, pixel_metrics


def labelled_scores(rng, normal, anomalous, ties=False):
    labels = np.repeat([0, 1], [normal, anomalous])
    scores = rng.normal(size=len(labels)) + labels
    return (np.round(scores) if ties else scores), labels


def delong_variance(scores, labels):
    """By the definition: every pair of an anomalous and a normal image is right (1), a tie (1/2) or wrong."""
    right = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    right = (right > 0) + 0.5 * (right == 0)
    return right.mean(1).var(ddof=1) / right.shape[0] + right.mean(0).var(ddof=1) / right.shape[1]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("sizes", [(2, 2), (12, 30), (100, 80)])
def test_the_variance_of_auroc_is_delong_s(sizes, ties):
    scores, labels = labelled_scores(np.random.default_rng(sum(sizes)), *sizes, ties)
    found = intervals.spread(image_influence(scores, labels)["auroc"], labels)
    assert found.variance == pytest.approx(delong_variance(scores, labels), abs=1e-12)
    assert found.images == min(sizes)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(2, 9), st.booleans())
def test_influence_of_images_is_recomputation_without_each(seed, normal, anomalous, ties):
    scores, labels = labelled_scores(np.random.default_rng(seed), normal, anomalous, ties)
    found, whole = image_influence(scores, labels), image_metrics(scores, labels)
    for i, label in enumerate(labels):
        without = image_metrics(np.delete(scores, i), np.delete(labels, i))
        for name in whole:
            expected = ((labels == label).sum() - 1) * (whole[name] - without[name])
            assert found[name][i] == pytest.approx(expected, abs=1e-9)


def test_many_images_are_put_in_bins_and_little_is_lost():
    scores, labels = labelled_scores(np.random.default_rng(1), 2000, 1500)
    found = intervals.spread(image_influence(scores, labels)["auroc"], labels)
    assert found.variance == pytest.approx(delong_variance(scores, labels), rel=1e-3)


def test_bins_are_few_ordered_and_finest_at_the_top():
    counts = np.random.default_rng(0).integers(0, 50, CODES)
    counts[-100:] = 0
    starts = bin_starts(counts)
    assert starts[0] == 0 and (np.diff(starts) > 0).all() and BINS / 2 < len(starts) <= BINS + 1
    sums = binned(counts, starts)
    assert sums.sum() == counts.sum() and sums.max() < 2.5 * counts.sum() / BINS
    assert sums[sums > 0][-20:].max() < sums.max() / 10


def some_maps(rng, images):
    """Counts of each map, its label, the sum."""
    counts, labels = [], np.arange(images) % 2
    for label in labels:
        mask = np.zeros((24, 24), bool)
        if label:
            mask[4 : rng.integers(6, 20), 5 : rng.integers(7, 20)] = True
            mask[22, 22] = True
        codes = rng.normal(20000, 3000, mask.shape) + rng.normal(0, 2000) + 6000 * mask
        counts.append(PixelCounts.of_map(codes.astype(np.uint16), mask))
    return counts, labels, sum(counts, PixelCounts.empty())


def stacked(counts):
    return PixelCounts(
        *(
            np.array([getattr(each, name) for each in counts])
            for name in ("normal", "anomalous", "region_weight", "regions")
        )
    )


def test_without_each_map_is_recomputation():
    counts, _, whole = some_maps(np.random.default_rng(3), 8)
    moved = moved_without_each(whole, stacked(counts), np.arange(CODES))
    of_all = pixel_metrics(whole)
    for i in range(8):
        rest = pixel_metrics(sum(counts[:i] + counts[i + 1 :], PixelCounts.empty()))
        for name in ("auroc", "ap", "f1_max", "aupro"):
            assert moved[name][i] == pytest.approx(of_all[name] - rest[name], abs=1e-12), name


def test_bins_change_the_spread_of_pixel_metrics_little():
    counts, labels, whole = some_maps(np.random.default_rng(4), 30)
    starts = bin_starts(whole.normal + whole.anomalous)
    assert len(starts) <= BINS + 1
    every, few = (moved_without_each(whole, stacked(counts).binned(at), at) for at in (np.arange(CODES), starts))
    for name in every:
        exact, in_bins = (
            intervals.spread(intervals.influence(each[name], labels), labels).variance ** 0.5 for each in (every, few)
        )
        assert in_bins == pytest.approx(exact, rel=0.15 if name == "aupro_200" else 0.02), name


def test_one_image_of_a_label_leaves_the_interval_unknown():
    scores, labels = np.array([0.1, 0.4, 0.3]), np.array([0, 0, 1])
    spread = intervals.spread(image_influence(scores, labels)["auroc"], labels)
    assert np.isnan(intervals.interval(0.5, spread)).all()
    assert np.isnan(intervals.interval(0.5, intervals.spread(np.empty(0), np.empty(0)))).all()
    assert np.isnan(intervals.interval(np.nan, intervals.Spread(0.1, 3, 4))).all()


def test_interval_is_student_s_on_the_logit_scale():
    low, high = intervals.interval(0.9, intervals.Spread(0.0004, 20, 10))
    half = stats.t.ppf(0.975, 20) * 0.02 / 0.09
    assert logit([low, high]) == pytest.approx([logit(0.9) - half, logit(0.9) + half])


def test_a_value_that_no_image_moves_gets_wilson_s_interval():
    scores, labels = np.array([0.1, 0.2, 0.3, 0.8, 0.9]), np.array([0, 0, 0, 1, 1])
    low, high = intervals.interval(1.0, intervals.spread(image_influence(scores, labels)["auroc"], labels))
    expected = stats.binomtest(2, 2).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_degrees_of_freedom_are_satterthwaite_s():
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], [5, 40])
    influence = rng.normal(size=45) * np.where(labels, 1, 9)
    parts = [influence[labels == label].var(ddof=1) / n for label, n in ((0, 5), (1, 40))]
    found = intervals.spread(influence, labels)
    assert found.variance == pytest.approx(sum(parts))
    assert found.freedom == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / 4 + parts[1] ** 2 / 39))


def test_interval_of_a_mean_is_zou_and_donner_s():
    low, high = intervals.interval_of_mean([0.8, 1.0], [(0.7, 0.85), (0.9, 1.0)])
    assert (low, high) == pytest.approx((0.9 - np.sqrt(0.01 + 0.01) / 2, 0.9 + 0.05 / 2))
    assert intervals.interval_of_mean([0.8], [(0.7, 0.85)]) == pytest.approx((0.7, 0.85))
    assert np.isnan(intervals.interval_of_mean([0.8, 0.9], [(0.7, 0.85), (np.nan, np.nan)])).all()


def test_interval_of_a_mean_next_to_1_is_no_wider_than_its_parts_on_average():
    values = [1.0] * 14 + [0.998]
    parts = [intervals.interval(1.0, intervals.Spread(0.0, 20, 20))] * 14 + [(0.99, 0.9995)]
    low, high = intervals.interval_of_mean(values, parts)
    assert np.mean(parts, axis=0)[0] < low < np.mean(values) < high <= 1


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=9))
def test_interval_of_a_mean_holds_it_and_stays_within_0_and_1(parts):
    low, values, high = np.sort(np.array(parts), axis=1).T
    found = intervals.interval_of_mean(values, list(zip(low, high)))
    assert 0 <= found[0] <= values.mean() + 1e-12 and values.mean() - 1e-12 <= found[1] <= 1
    assert low.mean() - 1e-12 <= found[0] and found[1] <= high.mean() + 1e-12


def test_what_differs_by_the_order_of_sums_alone_does_not_differ():
    labels = np.repeat([0, 1], [4, 6])
    noise = np.array([1, -1, 2, 0, 1, 1, -3, 0, 2, 1]) * 1e-16
    spread = intervals.spread(noise, labels)
    assert spread.variance == 0 and spread.images == 4
    nothing = {"difference": 0, "low": 0, "high": 0, "p": 1}
    assert intervals.paired_difference(0.9, 0.9 - 1.1e-16, spread) == nothing
    for value in (1 - 4e-16, 1.0):  # the bins of pixel metrics may leave a spread, next to 1 it is none on this scale
        low, high = intervals.interval(value, intervals.Spread(1e-11, 8, 6))
        assert low == pytest.approx(stats.binomtest(6, 6).proportion_ci(method="wilson").low) and high >= value


def test_the_only_image_of_a_label_has_no_influence():
    scores, labels = np.array([0.1, 0.4]), np.array([0, 1])
    assert all((values == 0).all() for values in image_influence(scores, labels).values())


def test_paired_difference_is_the_paired_t_test():
    rng = np.random.default_rng(6)
    a, b, labels = rng.normal(0.2, 1, 30), rng.normal(0, 1, 30), np.ones(30)
    found = intervals.paired_difference(a.mean(), b.mean(), intervals.spread(a - b, labels))
    expected = stats.ttest_rel(a, b)
    bounds = expected.confidence_interval()
    assert found["p"] == pytest.approx(expected.pvalue)
    assert (found["low"], found["high"]) == pytest.approx((bounds.low, bounds.high))
    unmoved = intervals.spread(np.zeros(30), labels)
    assert intervals.paired_difference(0.5, 0.5, unmoved)["p"] == 1
    assert np.isnan(intervals.paired_difference(0.5, 0.4, unmoved)["p"])
