"""Confidence intervals, against scipy's and by how often they hold the true mean."""

import numpy as np
import pytest
from scipy import stats

from hw2.intervals import difference, interval, signed


def test_without_overlap_it_is_students():
    values = np.random.default_rng(0).normal(3, 2, 12)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert interval(values, confidence=0.9)[1:] == pytest.approx(
        (expected.low, expected.high)
    )
    assert interval(values).mean == pytest.approx(values.mean())


def test_it_holds_the_mean_as_often_as_it_says_for_correlated_values_too():
    # values with the correlation rho that Nadeau and Bengio assume: rho / (1 - rho) is
    # the overlap
    rng, overlap, n, trials = np.random.default_rng(0), 0.25, 10, 4000
    rho = overlap / (1 + overlap)
    values = rho**0.5 * rng.normal(size=(trials, 1)) + (1 - rho) ** 0.5 * rng.normal(
        size=(trials, n)
    )
    error = (0.95 * 0.05 / trials) ** 0.5
    held = np.mean(
        [
            found.low < 0 < found.high
            for found in (interval(row, overlap) for row in values)
        ]
    )
    assert held == pytest.approx(0.95, abs=4 * error)
    naive = np.mean(
        [found.low < 0 < found.high for found in (interval(row) for row in values)]
    )
    assert naive < 0.8


def test_one_value_is_too_little():
    with pytest.raises(ValueError, match="at least two values"):
        interval([0.9])


def test_a_difference_is_paired():
    first, second = {"values": [0.9, 0.7, 0.5]}, {"values": [0.8, 0.6, 0.4]}
    assert difference(first, second) == pytest.approx((0.1, 0.1, 0.1))


def test_a_change_has_its_sign():
    assert signed(1.234) == "+1.23"
    assert signed(-1.25, 1) == "\N{MINUS SIGN}1.2"
