"""The figure of Question 2 shows the measured quantiles and both bounds."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hw2.plots import guess_and_check as plots
from hw2.theory import guess_and_check as gc


def test_bounds():
    found = gc.curve()
    figure = plots.bounds(found)
    left, right = figure.axes
    lines = {line.get_label(): line for line in left.lines}
    assert lines["median of the runs"].get_ydata() == pytest.approx(
        np.median(found.errors, axis=1)
    )
    for name, bound in (
        ("Theorem 1", found.typical),
        ("Theorem 2, all of $Q^k$", found.whole_class),
    ):
        x, y = lines[name].get_data()
        assert np.interp(32, x, y) == pytest.approx(
            bound[found.samples.index(32)], rel=1e-3
        )
    limits = [
        line.get_ydata()[0] for line in right.lines if line.get_linestyle() == ":"
    ]
    ends = [line.get_ydata()[-1] for line in right.lines if line.get_linestyle() != ":"]
    assert limits == pytest.approx([1 / 8, 2 / 8, 4 / 8])
    assert ends == pytest.approx(limits, rel=0.01)
    plt.close(figure)
