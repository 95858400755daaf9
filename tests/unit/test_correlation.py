"""The rank correlation and its interval, against scipy and against how often the interval holds the true value."""

import math

import numpy as np
import pytest
from scipy import stats

from pixmend.evaluation.correlation import correlate_ranks


def test_value_is_spearmans():
    rng = np.random.default_rng(0)
    one = rng.normal(size=20)
    other = one + rng.normal(size=20)
    assert correlate_ranks(one, other).value == pytest.approx(stats.spearmanr(one, other).statistic)


@pytest.mark.parametrize(("one", "other"), [([], []), ([1, 2, 3], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4])])
def test_too_few_runs_or_equal_scores_have_no_correlation(one, other):
    assert correlate_ranks(one, other) is None


def test_four_runs_in_the_same_order_say_little():
    found = correlate_ranks([1, 2, 3, 4], [5, 6, 7, 9])
    assert found.value == found.high == 1 and -1 < found.low < 0
    reverse = correlate_ranks([1, 2, 3, 4], [9, 7, 6, 5])
    assert reverse.value == reverse.low == -1 and reverse.high == pytest.approx(-found.low)


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_interval_contains_the_true_value_about_95_times_of_100(rho):
    rng = np.random.default_rng(1)
    true = 6 / math.pi * math.asin(rho / 2)   # Spearman's value of normal variables with this correlation
    pairs = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], (400, 20))
    found = [correlate_ranks(*pair.T) for pair in pairs]
    assert 0.90 < np.mean([one.low <= true <= one.high for one in found]) < 0.99
