"""What the figures and tables of Task 2 show is what is in the runs."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from hw2 import runs
from hw2.data.magic import FEATURES
from hw2.plots import curves
from hw2.plots import magic as plots
from hw2.runs import Run
from hw2.tasks import magic

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    plt.close("all")


def run(curves=None, summary=None, config=None, seeds=3):
    numbers = {
        name: runs.over_seeds(values) for name, values in (summary or {}).items()
    }
    return Run(
        "toy", "one", config or {}, list(range(seeds)), curves or {}, numbers, {}, []
    )


def test_a_band_reaches_from_the_lowest_to_the_highest_seed():
    found = RNG.random((3, 5))
    _, axes = plt.subplots()
    curves.band(axes, curves.epochs(found), found.tolist(), "C0", "train")
    assert axes.lines[0].get_xdata() == pytest.approx([1, 2, 3, 4, 5])
    assert axes.lines[0].get_ydata() == pytest.approx(found.mean(axis=0))
    y = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (y.min(), y.max()) == pytest.approx((found.min(), found.max()))


def test_training_shows_loss_and_accuracy_of_both_parts():
    names = [
        f"{part}_{quantity}"
        for quantity in ("loss", "accuracy")
        for part in ("train", "validation")
    ]
    found = {name: RNG.random((3, 4)).tolist() for name in names}
    lines = [line for axes in curves.training(run(found)).axes for line in axes.lines]
    for name, line in zip(names, lines, strict=True):
        assert line.get_label() == name.split("_")[0]
        assert line.get_ydata() == pytest.approx(np.mean(found[name], axis=0))


def test_the_operating_points_lie_on_the_curve():
    background = np.linspace(0, 1, 201)
    signal = np.sqrt(background) * np.array([[0.9], [0.95], [1.0]])
    shares = (0.01, 0.1)
    points = {
        f"signal_at_{share:g}": [np.interp(share, background, row) for row in signal]
        for share in shares
    }
    shown = run(
        {"roc_background": [background.tolist()] * 3, "roc_signal": signal.tolist()},
        points,
    )
    curve, dots, _ = plots.roc(shown, shares).axes[0].lines
    assert np.interp(shares, *curve.get_data()) == pytest.approx(dots.get_ydata())
    assert [text.get_text() for text in curve.axes.texts] == ["9.5%", "30.0%"]


def test_each_dot_is_a_split_and_each_bar_a_mean():
    values = {name: RNG.normal(0.88, 0.01, 4).tolist() for name in plots.MODELS}
    shown = [value for name, value in values.items() if name not in plots.LINEAR]
    axes = plots.comparison(run(summary=values, seeds=4)).axes[0]
    dots = [
        np.asarray(collection.get_offsets())[:, 1] for collection in axes.collections
    ]
    bars = [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 2]
    for found, dot, bar in zip(shown, dots, bars, strict=True):
        assert dot == pytest.approx(100 * np.array(found))
        assert bar == pytest.approx(100 * np.mean(found))


def test_the_table_has_means_paired_differences_and_their_intervals():
    values = {name: RNG.normal(0.88, 0.01, 4).tolist() for name in plots.MODELS}
    rows = plots.comparison_table(
        run(summary=values, seeds=4), overlap=0.25
    ).splitlines()[2:]
    lead = 100 * np.subtract(values["network"], values["forest, tuned"])
    half = stats.t.ppf(0.975, 3) * lead.std(ddof=1) * np.sqrt(1 / 4 + 0.25)
    expected = f"{lead.mean():+.2f} | {lead.mean() - half:+.2f} to {lead.mean() + half:+.2f}".replace(
        "-", "\N{MINUS SIGN}"
    )
    (row,) = [row for row in rows if row.startswith("| random forest |")]
    mean, std = (
        100 * np.mean(values["forest, tuned"]),
        100 * np.std(values["forest, tuned"], ddof=1),
    )
    assert row == f"| random forest | {mean:.2f} | {std:.2f} | {expected} |"
    assert len(rows) == len(plots.MODELS)


def test_an_ablation_is_shown_at_its_change_with_its_interval():
    values = {
        "as chosen": [0.9, 0.91, 0.9],
        "less": [0.88, 0.9, 0.89],
        "more": [0.91, 0.91, 0.91],
    }
    changes = plots.differences(run(summary=values), "as chosen")
    assert set(changes) == {"less", "more"}
    axes = curves.ablations(changes).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["more", "less"]
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert dots == pytest.approx(
        [100 * np.mean([0.01, 0, 0.01]), 100 * np.mean([-0.02, -0.01, -0.01])]
    )
    ends = axes.lines[0].get_xdata()
    assert list(ends) == pytest.approx(
        [100 * changes["more"].low, 100 * changes["more"].high]
    )


def test_the_settings_are_shown_with_their_ranges():
    space = {
        "rate": {
            "name": "FloatDistribution",
            "attributes": {"low": 1e-3, "high": 0.1, "log": True, "step": None},
        },
        "kind": {
            "name": "CategoricalDistribution",
            "attributes": {"choices": ["a", "b"]},
        },
    }
    table = plots.settings(
        run(config={"space": space}),
        {"rate": 0.01234567, "kind": "a", "batch_size": 64},
    )
    assert table.splitlines()[2:] == [
        "| rate |  | 0.0123 | 0.001 to 0.1, logarithmic |",
        "| kind |  | a | a, b |",
        "| batch size |  | 64 |  |",
    ]


def test_the_meanings_are_those_of_hyper_parameters():
    assert set(plots.MEANINGS) <= set(vars(magic.Config()))


def test_the_importances_are_bars_in_their_order():
    axes = plots.importance({"first_one": 0.2, "second": 0.7, "third": 0.1}).axes[0]
    assert [patch.get_width() for patch in axes.patches] == [0.1, 0.2, 0.7]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "third",
        "first one",
        "second",
    ]


def test_each_feature_has_a_panel_before_and_one_after():
    edges, curves = np.linspace(0, 1, 4).tolist(), {}
    for transform in ("raw", "quantile"):
        for name in FEATURES:
            curves |= {
                f"{transform}_{name}_edges": [edges],
                f"{transform}_{name}_g": [[1.0, 2, 0]],
            }
            curves[f"{transform}_{name}_h"] = [[0.0, 1, 2]]
    figure = plots.features(run(curves, seeds=1))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == FEATURES
    assert len(figure.axes) == 2 * len(FEATURES)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(
        plots.KINDS.values()
    )


def test_the_losses_of_several_trainings_have_their_titles():
    curves = {"one": [[3.0, 2.0], [3.0, 1.0]], "other": [[2.0, 2.0], [2.0, 2.0]]}
    axes = plots.losses(curves).axes[0]
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == {
        "one": [3, 1.5],
        "other": [2, 2],
    }
