"""Cuts against drawn good images whose true false-alarm rate is known, and against scipy and exact fractions."""

import functools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from zsad_core.errors import UsageError
from zsad_core.thresholds import false_alarm_cut, images_needed, precision

REPETITIONS = 500


class Mixture:
    """A tenth of the good images are of another, more suspicious kind."""

    parts = stats.norm(0.3, 0.05), stats.norm(0.6, 0.1)

    def rvs(self, size, random_state):
        first, second = (part.rvs(size, random_state=random_state) for part in self.parts)
        return np.where(random_state.random(size) < 0.9, first, second)

    def sf(self, cut):
        return 0.9 * self.parts[0].sf(cut) + 0.1 * self.parts[1].sf(cut)


CONTINUOUS = {"normal": stats.norm(), "beta": stats.beta(0.5, 8), "heavy tail": stats.t(1.5), "mixture": Mixture()}
WITH_TIES = {"few values": stats.binom(6, 0.3), "two values": stats.bernoulli(0.1), "counts": stats.poisson(30)}


@functools.cache
def simulated(name, n, rate, sure):
    """(cuts, their true false-alarm rates) of repeated draws of n good images."""
    distribution = (CONTINUOUS | WITH_TIES)[name]
    rng = np.random.default_rng([n, len(name)])
    draws = distribution.rvs((REPETITIONS, n), random_state=rng)
    cuts = [false_alarm_cut(draw, rate, sure) for draw in draws]
    return cuts, distribution.sf(np.array([cut.cut for cut in cuts]))


@pytest.mark.parametrize("name", CONTINUOUS)
@pytest.mark.parametrize("n, rate", [(19, 0.05), (50, 0.05), (300, 0.01), (137, 0.2)])
def test_the_rate_is_what_was_asked_for_and_within_its_interval(name, n, rate):
    cuts, rates = simulated(name, n, rate, None)
    error = rates.std() / math.sqrt(REPETITIONS)
    assert rate - 1 / (n + 1) - 4 * error < rates.mean() < rate + 4 * error
    assert rates.mean() == pytest.approx(cuts[0].expected, abs=4 * error)
    held = np.mean([cut.low <= rate <= cut.high for cut, rate in zip(cuts, rates)])
    assert held == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / REPETITIONS))
    kept = np.mean(rates <= rate)
    probability = cuts[0].probability
    assert kept == pytest.approx(probability, abs=4 * math.sqrt(probability * (1 - probability) / REPETITIONS))


@pytest.mark.parametrize("name", [*CONTINUOUS, *WITH_TIES])
@pytest.mark.parametrize("n, rate, sure", [(59, 0.05, 0.95), (200, 0.05, 0.95), (137, 0.2, 0.8)])
def test_it_is_sure_to_be_at_most_what_was_asked_for(name, n, rate, sure):
    _, rates = simulated(name, n, rate, sure)
    assert np.mean(rates <= rate) > sure - 3 * math.sqrt(sure * (1 - sure) / REPETITIONS)


@pytest.mark.parametrize("name", WITH_TIES)
@pytest.mark.parametrize("n, rate", [(19, 0.05), (137, 0.2)])
def test_ties_only_lower_the_rate(name, n, rate):
    _, rates = simulated(name, n, rate, None)
    assert rates.mean() < rate + 4 * rates.std() / math.sqrt(REPETITIONS)


@pytest.mark.parametrize("rate", [0.05, 0.29, 0.01, 0.5, 0.07])
def test_the_cut_is_the_quantile_of_split_conformal_prediction(rate):
    """Its rank by exact fractions; what is said of the rate by the binomial: at most m - 1 of n are below the cut."""
    exact = Fraction(str(rate))
    for n in range(1, 250):
        scores = np.random.default_rng(n).permutation(n) + 1.0  # each score is its rank
        cut, m = false_alarm_cut(scores, rate), math.ceil((n + 1) * (1 - exact))
        if m > n:
            assert cut.cut is None and cut.expected is None and n < cut.needed
            continue
        assert cut.cut == m and n >= cut.needed and cut.good_images == n
        assert cut.expected == pytest.approx(float((n + 1 - m) / Fraction(n + 1))) and cut.expected <= rate + 1e-12
        assert cut.probability == pytest.approx(stats.binom.cdf(m - 1, n, 1 - rate))
        for bound, tail in ((cut.low, 0.025), (cut.high, 0.975)):
            assert stats.binom.cdf(m - 1, n, 1 - bound) == pytest.approx(tail)


@pytest.mark.parametrize("rate, sure", [(0.05, 0.95), (0.2, 0.8), (0.01, 0.5), (0.5, 0.75)])
def test_the_sure_cut_is_the_lowest_that_will_do(rate, sure):
    for n in [*range(1, 90), 300, 2000]:
        cut = false_alarm_cut(np.arange(n) + 1.0, rate, sure)
        m = np.arange(1, n + 1)
        will_do = stats.beta.cdf(rate, n - m + 1, m) >= sure - 1e-13
        assert cut.cut == (m[will_do][0] if will_do.any() else None)
        assert (cut.cut is not None) == (n >= cut.needed)
        assert cut.cut is None or cut.probability >= sure - 1e-13


def test_how_many_good_images_are_needed():
    assert [images_needed(rate) for rate in (0.05, 0.01, 0.001, 0.3, 0.5, 0.9)] == [19, 99, 999, 3, 1, 1]
    assert [images_needed(rate, 0.95) for rate in (0.05, 0.01, 0.5)] == [59, 299, 5]  # Wilks' well-known 59 and 299
    assert images_needed(0.9, 0.5) == 1 and images_needed(0.5, 0.75) == 2
    for rate, sure in ((0.03, 0.9), (0.11, 0.99), (1e-4, 0.999)):
        n = images_needed(rate, sure)
        assert 1 - (1 - rate) ** n >= sure > 1 - (1 - rate) ** (n - 1)


def test_ties_are_never_flagged():
    scores = [0.5] * 30 + [0.2] * 20
    assert false_alarm_cut(scores, 0.05).cut == 0.5


def test_what_cannot_be_asked_for():
    assert false_alarm_cut([], 0.05)[:3] == (None, 0, 19)
    with pytest.raises(UsageError, match="--false-alarms 1: a share between 0 and 1"):
        false_alarm_cut([0.1], 1.0)
    with pytest.raises(UsageError, match="--sure nan: a share between 0 and 1"):
        images_needed(0.05, math.nan)
    with pytest.raises(ValueError, match="not finite"):
        false_alarm_cut([0.1, math.nan], 0.5)


def test_precision_is_clopper_and_pearsons():
    assert precision(0, 0) is None
    for anomalous, flagged in ((0, 7), (3, 7), (7, 7), (120, 400)):
        interval = stats.binomtest(anomalous, flagged).proportion_ci(0.95, method="exact")
        assert precision(anomalous, flagged) == pytest.approx((anomalous / flagged, interval.low, interval.high))
