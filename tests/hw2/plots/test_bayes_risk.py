"""The figure of Question 1: its stars stand where its lines are lowest."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hw2.plots import bayes_risk as figures
from hw2.theory.bayes_risk import simulate


@pytest.fixture
def panels():
    mus = tuple(np.geomspace(0.1, 1e5, 7))
    yield figures.risk(
        [simulate(mus, sigma, draws=20) for sigma in (0.3, 1.0, 3.0)]
    ).axes
    plt.close("all")


def test_each_star_marks_the_minimum_of_its_line(panels):
    for axes, count in zip(panels, (3, 3), strict=True):
        stars = [
            line
            for line in axes.lines
            if line.get_marker() == "*" and len(line.get_xdata())
        ]
        curves = [
            line
            for line in axes.lines
            if len(line.get_xdata()) == 300 and np.ptp(line.get_ydata()) > 1e-12
        ]
        assert len(stars) == len(curves) == count
        for star, curve in zip(stars, curves, strict=True):
            lowest = np.argmin(curve.get_ydata())
            assert star.get_xdata()[0] == pytest.approx(
                curve.get_xdata()[lowest], rel=0.05
            )
            assert star.get_ydata()[0] <= curve.get_ydata()[lowest] * (1 + 1e-12)


def test_the_summand_of_a_zero_eigenvalue_is_flat(panels):
    assert panels[1].get_legend_handles_labels()[1][0] == r"$\lambda_i = 0$"
    assert np.ptp(panels[1].lines[0].get_ydata()) < 1e-12
