"""Keyed noise: a function of its key, standard normal, fixed for ever."""

import numpy as np
from scipy import stats

from zsad_core.noise import standard_normal


def test_is_a_function_of_its_key_alone():
    first = standard_normal((3, 5), 7, "context", "ab")
    standard_normal((100,), 8)
    assert np.array_equal(standard_normal((3, 5), 7, "context", "ab"), first)
    assert first.dtype == np.float32 and first.shape == (3, 5)
    for key in [(8, "context", "ab"), (7, "normal", "ab"), (7, "context", "ac"), (7, "contexta", "b")]:
        assert not np.isclose(standard_normal((3, 5), *key), first).any()


def test_is_standard_normal():
    values = standard_normal((200_000,), 1)
    assert stats.kstest(values, "norm").pvalue > 0.01
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.01


def test_values_stay_what_they_were():
    # Predictions of finished runs are compared with new ones: a change here changes every published number.
    assert standard_normal((4,), 0, "context", "00").tolist() == [
        -0.9269271492958069,
        2.665306568145752,
        -0.7334214448928833,
        -2.4723501205444336,
    ]
