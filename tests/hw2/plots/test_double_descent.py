"""The figures and the table of Question 3's own runs, on made-up runs whose critical
points and peaks are known.
"""

import json
import re
from dataclasses import asdict

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hw2.plots import double_descent as figures
from hw2.runs import Run
from hw2.tasks.double_descent import FEATURES, NetworkConfig
from hw2.theory.double_descent import sweep

SEEDS = [1, 2]
WIDTHS = NetworkConfig(
    widths=(4, 8, 16, 32, 64, 128), samples=(500,), noise=(0.0, 0.2), evaluations=9
)
SAMPLES = NetworkConfig(
    widths=(16,), samples=(100, 200, 400, 800, 1600), noise=(0.0, 0.2), evaluations=1
)
POINT = 32  # width at which the noisy runs begin to fit their 500 samples at the end


def made_up(name, config, curves):
    config = json.loads(json.dumps(asdict(config)))
    return Run("double_descent", name, config, SEEDS, curves, {}, {}, [])


def capacity(noise, complexity, seed):
    """(training error, test error) at a complexity relative to the critical one;
    without noise there is no peak.
    """
    logs = np.log2(np.maximum(complexity, 1e-6))
    train = np.clip(-0.1 * logs, 0, 0.9)
    bump = np.exp(-(logs**2)) if noise else 0.0
    return train.item(), (0.4 - 0.03 * logs + 0.3 * bump + 0.001 * seed).item()


def network_run(name, config, complexity):
    curves = {}
    for noise in config.noise:
        for width in config.widths:
            for n in config.samples:
                for seed in SEEDS:
                    points = [
                        capacity(noise, complexity(width, n, epoch), seed)
                        for epoch in config.epochs(n)
                    ]
                    for part, values in zip(
                        ("train", "test"), zip(*points, strict=True), strict=True
                    ):
                        for metric in ("error", "loss"):
                            curves.setdefault(
                                f"{part}_{metric}/{noise:g}/{width}/{n}", []
                            ).append(list(values))
    return made_up(name, config, curves)


@pytest.fixture(scope="module")
def widths():
    last = WIDTHS.epochs(500)[-1]
    return network_run(
        "widths", WIDTHS, lambda width, n, epoch: width / POINT * (epoch / last) ** 0.5
    )


@pytest.fixture(scope="module")
def samples():
    return network_run("samples", SAMPLES, lambda width, n, epoch: 400 / n)


@pytest.fixture(scope="module")
def features():
    curves = {}
    for kind, pairs in FEATURES.grids().items():
        for noise in FEATURES.noise:
            points = [capacity(noise, p / n, 0) for n, p in pairs]
            for part, values in zip(
                ("train", "test"), zip(*points, strict=True), strict=True
            ):
                for metric in ("error", "loss"):
                    curves[f"{kind}/{part}_{metric}/{noise:g}"] = [list(values)] * 2
            curves[f"{kind}/ridge/{noise:g}"] = [[0.1] * len(pairs)] * 2
    return made_up("features", FEATURES, curves)


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def vertical(axes):
    """The positions of the vertical lines."""
    return [
        line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1
    ]


def curves(axes):
    """The lines that are none of these."""
    return [line for line in axes.lines if len(set(line.get_xdata())) > 1]


def test_students_mark_the_interpolation_and_break_the_theory_there():
    pairs = [(6, p) for p in (2, 4, 5, 6, 7, 8, 10, 12)]
    found = (
        sweep(pairs, 12, 1.0, 0.5, draws=3),
        sweep([(p, n) for n, p in pairs], 6, 1.0, 0.5, draws=3),
    )
    for axes in figures.students(*found).axes:
        assert vertical(axes) == [6]
        below, above = (line for line in curves(axes) if line.get_linestyle() == "--")
        assert below.get_xdata().tolist() == [2, 4]
        assert above.get_xdata().tolist() == [8, 10, 12]


def test_features_show_each_noise_with_and_without_ridge(features):
    left, right = figures.features(features).axes
    assert vertical(left) == [FEATURES.samples]
    assert vertical(right) == [FEATURES.features]
    for axes in (left, right):
        assert len(curves(axes)) == 2 * len(FEATURES.noise)
        ridge = [line for line in curves(axes) if line.get_linestyle() == ":"]
        assert all(line.get_ydata() == pytest.approx(0.1) for line in ridge)
    test = [line for line in curves(left) if line.get_linestyle() != ":"][2]
    assert test.get_xdata()[np.argmax(test.get_ydata())] == pytest.approx(
        FEATURES.samples, rel=0.1
    )


def test_networks_show_model_wise_and_epoch_wise_with_the_thresholds(widths):
    axes = np.array(figures.networks(widths).axes).reshape(2, 2)
    for row in axes:
        assert vertical(row[0]) == pytest.approx([POINT, POINT], rel=0.1)
        assert vertical(row[1]) == pytest.approx(
            [1000 / 16] * 2, rel=0.2
        )  # width 128 needs a sixteenth of the time
    noisy = curves(axes[0, 0])[1]
    assert noisy.get_xdata().tolist() == list(WIDTHS.widths)
    assert noisy.get_xdata()[1 + np.argmax(noisy.get_ydata()[1:])] == POINT
    assert axes[0, 0].get_title().startswith("model-wise")
    assert axes[0, 1].get_title().startswith("epoch-wise")


def test_the_map_has_the_threshold_as_a_contour(widths):
    panel = figures.grid(widths, (0.0, 0.2)).axes[1]
    (contour,) = (
        item for item in panel.collections if type(item).__name__ == "QuadContourSet"
    )
    x, y = np.concatenate([path.vertices for path in contour.get_paths()]).T
    assert x / POINT * (y / 1000) ** 0.5 == pytest.approx(
        np.ones(len(x)), rel=0.35
    )  # straight between grid points


def test_samples_mark_where_fitting_ends(samples):
    figure = figures.samples(samples)
    for axes in figure.axes:
        assert vertical(axes) == pytest.approx([400, 400], rel=0.1)
        assert (
            curves(axes)[1].get_xdata()[np.argmax(curves(axes)[1].get_ydata())] == 400
        )


def test_the_table_has_the_critical_points_and_the_peaks(features, widths, samples):
    lines = figures.critical_points(features, widths, samples).splitlines()
    cells = {
        (row[1], row[2]): row[3:7]
        for row in ([cell.strip() for cell in line.split("|")] for line in lines[2:])
    }
    assert len(cells) == 2 * 3 + 3 * 2
    model = cells["networks, width", "20%"]
    assert [float(re.match(r"[\d.]+", cell)[0]) for cell in model] == pytest.approx(
        [POINT] * 4, rel=0.1
    )
    assert cells["networks, width", "0%"][2:] == ["none"] * 2
    assert float(cells["networks, $n$", "20%"][2].split()[0]) == 400
    assert float(cells["features, $n$", "20%"][0].split()[0]) == pytest.approx(
        300, rel=0.1
    )
    assert float(cells["networks, epoch", "20%"][0].split()[0]) == pytest.approx(
        1000 / 16, rel=0.2
    )


def test_lags_are_ratios_of_means_over_the_seeds_that_have_one():
    seeds = {
        "train_loss": [1.0, 1.0],
        "train_error": [10.0, 30.0],
        "test_error": [50.0, None],
        "test_loss": [None, None],
    }
    found = [("epoch", 0.1, seeds), ("width", 0.1, seeds)]
    assert figures.lags(found, "epoch") == [2.5]


def test_a_plateau_is_what_is_almost_as_high_as_the_peak(widths):
    x, curve = [1, 2, 3, 4, 5, 6, 7], np.array([0.6, 0.2, 0.46, 0.5, 0.47, 0.3, 0.5])
    assert figures.plateau(x, curve, 0.9) == [3, 4, 5]
    assert figures.plateau(x, curve, 0.98) == [4]
    assert figures.plateau(x, np.sort(curve), 0.9) == []
    assert figures.plateaus(widths, 0.2)[0] == [POINT]
    assert figures.plateaus(widths, 0.0) == ([], [])


def test_the_valley_is_as_far_below_the_line_as_the_smallest_error_is_early(widths):
    epochs = WIDTHS.epochs(500)
    factors = figures.valley(widths, 0.2)
    assert len(factors) == 3  # of widths 32, 64 and 128, which fit
    curves = np.mean(widths.curves["test_error/0.2/128/500"], axis=0)
    line = epochs[-1] * (POINT / 128) ** 2  # where complexity is 1
    assert factors[-1] == pytest.approx(line / epochs[curves.argmin()], rel=0.2)


def test_a_cell_says_how_many_seeds_have_a_value():
    assert figures.cell([10.0, 14.0]) == "12 ± 2.8"
    assert figures.cell([10.0, None, 14.0]) == "12 ± 2.8 (2/3)"
    assert figures.cell([None, None]) == "none"
    assert figures.cell([7.0, None]) == "7 (1/2)"
