"""Least squares against linear algebra, batched networks against single ones, the
critical point on known curves.
"""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from hw2.tasks import double_descent as task

FEATURES = replace(
    task.FEATURES,
    samples=20,
    features=20,
    ratios=(0.5, 1.0, 2.0),
    mus=(0.1, 10.0),
    largest=30,
)
NETWORKS = task.NetworkConfig(
    widths=(3, 5),
    samples=(20, 30),
    noise=(0.0, 0.3),
    depth=2,
    batch_size=10,
    steps=12,
    evaluations=3,
)


pytestmark = pytest.mark.usefixtures("one_thread")


def rows(count, seed=0):
    """Images of ten classes and their labels, in the form of the digits."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 10, count)
    return np.random.default_rng(99).uniform(0, 16, (10, 64))[label] + rng.normal(
        0, 3, (count, 64)
    ), label


@pytest.fixture
def digits(monkeypatch):
    x, label = rows(90)
    monkeypatch.setattr(task.digits, "load", lambda: (x, label))


# --- data ---


def test_a_draw_parts_all_rows_and_scales_them_by_the_training_rows():
    x, label = rows(90)
    found = task.draw(x, label, 30, seed=1)
    assert found.x.shape == (30, 64)
    assert found.x_test.shape == (60, 64)
    assert found.x.mean(axis=0) == pytest.approx(np.zeros(64), abs=1e-12)
    assert np.mean(found.x**2) == pytest.approx(1)
    back = np.concatenate(
        [found.x, found.x_test]
    )  # up to one shift per pixel and one scale
    scale = np.ptp(x[:, 0]) / np.ptp(back[:, 0])
    back = back * scale + (x.min(axis=0) - (back * scale).min(axis=0))
    assert np.sort(back, axis=0) == pytest.approx(np.sort(x, axis=0))
    moved = x.copy()
    moved[
        np.isin(x[:, 0], x[:, 0])
        & ~np.isclose(back[:30, 0][:, None], x[:, 0]).any(axis=0)
    ] *= 7  # the test rows
    assert np.array_equal(task.draw(moved, label, 30, seed=1).x, found.x)


def test_noisy_labels_are_wrong_by_the_share_and_nested():
    found = task.draw(*rows(4000), 3000, seed=1)
    assert np.array_equal(found.noisy(0.0), found.label)
    assert (found.wrong != found.label).all()
    assert set(found.wrong) == set(range(10))
    changed = [found.noisy(noise) != found.label for noise in (0.1, 0.2)]
    assert [part.mean() for part in changed] == pytest.approx([0.1, 0.2], abs=0.02)
    assert (changed[1] | ~changed[0]).all()


# --- random features ---


@pytest.mark.parametrize("shape", [(12, 5), (8, 8), (5, 12)], ids=str)
def test_least_squares_is_that_of_the_normal_equations(shape):
    rng = np.random.default_rng(0)
    x, y, x_test = (
        rng.standard_normal(shape),
        rng.standard_normal((shape[0], 3)),
        rng.standard_normal((4, shape[1])),
    )
    plain, ridge = task.least_squares(x, y, x_test, (0.0, 0.7))
    weights = [
        np.linalg.pinv(x) @ y,
        np.linalg.solve(x.T @ x + 0.7 * np.eye(shape[1]), x.T @ y),
    ]
    for fit, w in zip((plain, ridge), weights, strict=True):
        assert fit.train == pytest.approx(x @ w)
        assert fit.test == pytest.approx(x_test @ w)
    errors = []
    for left in range(shape[0]):
        kept = np.arange(shape[0]) != left
        w = np.linalg.solve(
            x[kept].T @ x[kept] + 0.7 * np.eye(shape[1]), x[kept].T @ y[kept]
        )
        errors.append((y[left] - x[left] @ w) ** 2)
    assert ridge.left_out == pytest.approx(np.mean(errors, axis=0))


def test_directions_without_data_get_no_weight():
    x = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    (fit,) = task.least_squares(
        x, x[:, :1], np.array([[1.0, -1.0], [1.0, 1.0]]), (0.0,)
    )
    assert fit.test.ravel() == pytest.approx([0, 1])


def test_fewer_features_are_the_first_of_more():
    x = rows(50)[0]
    more, fewer = (task.random_features(x, count, seed=3) for count in (400, 30))
    assert fewer == pytest.approx(more[:, :30])
    assert more.min() == 0
    x -= x.mean(axis=0)
    centred = task.random_features(x, 4000, seed=3)
    assert np.mean(centred**2) == pytest.approx(
        np.mean(x**2) / 2, rel=0.1
    )  # the half of a variance


def test_the_ridge_parameter_is_chosen_by_the_training_samples_alone():
    data = task.draw(*rows(90), 30, seed=1)
    other = replace(
        data, x_test=data.x_test[::-1] * 5, label_test=(data.label_test + 1) % 10
    )
    first, second = (
        task.features_numbers(FEATURES, item, 20, 15, seed=1) for item in (data, other)
    )
    for metric in ("mu", "train_loss", "train_error"):
        assert first[metric] == second[metric]
    assert first["test_error"] != second["test_error"]


def test_from_p_equal_to_n_on_the_features_interpolate():
    data = task.draw(*rows(90), 30, seed=1)
    losses = {
        p: task.features_numbers(FEATURES, data, 20, p, seed=1)["train_loss"]
        for p in (19, 20, 40)
    }
    assert min(losses[19]) > 1e-6
    assert max(losses[20] + losses[40]) < 1e-12


def test_the_run_of_the_features_has_all_curves_and_can_be_audited(digits, tmp_path):
    result = task.train_features(FEATURES, [1, 2], tmp_path)
    grids = FEATURES.grids()
    assert grids == {
        "features": [(20, 10), (20, 20), (20, 40)],
        "samples": [(10, 20), (20, 20)],
    }
    assert result.curves == result.summary == {}
    record = json.loads(json.dumps(result.config))
    summary, curves = task.score_features(record, {}, result.answers)
    assert set(curves) == {
        f"{kind}/{metric}/{noise:g}"
        for kind in grids
        for metric in (
            "train_loss",
            "train_error",
            "test_loss",
            "test_error",
            "ridge",
            "mu",
        )
        for noise in task.NOISE
    }
    assert {
        (len(c), len(c[0])) for name, c in curves.items() if name.startswith("samples")
    } == {(2, 2)}
    assert summary["ridge 0.2"] == pytest.approx(
        [c[-1] for c in curves["features/ridge/0.2"]], abs=1e-4
    )
    again, _ = task.evaluate_features([1, 2], record, {})
    assert again.keys() == result.answers.keys()
    assert all(torch.equal(again[name], result.answers[name]) for name in again)


# --- networks ---


def state(config, seeds, width=5):
    return task.build(config, width, seeds)


def test_a_network_of_a_batch_is_an_ordinary_perceptron():
    model = task.Networks(NETWORKS, 5, 64, [0, 1], copies=2)
    x = torch.randn(4, 7, 64, generator=torch.Generator().manual_seed(0))
    plain = nn.Sequential(
        nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 10)
    )
    for batched, linear in zip(model.layers, plain[::2], strict=True):
        linear.weight.data, linear.bias.data = (
            batched.weight[2].T.detach(),
            batched.bias[2, 0].detach(),
        )
    assert torch.allclose(model(x)[2], plain(x[2]), atol=1e-6)


def test_initial_weights_are_of_the_seed_and_have_their_scale():
    model = task.Networks(replace(NETWORKS, depth=1), 400, 64, [0, 1], copies=2)
    first, last = (layer.weight for layer in model.layers)
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])
    assert first.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.02)
    assert last.std().item() == pytest.approx(0.1 * (2 / 400) ** 0.5, rel=0.05)


def test_training_at_once_equals_training_one_by_one():
    x, label = rows(90)
    seeds = [3, 4, 5]
    draws = [task.draw(x, label, 30, seed) for seed in seeds]
    together, curves = task.train_width(NETWORKS, 5, 25, draws, seeds)
    for i, seed in enumerate(seeds):
        for j, noise in enumerate(NETWORKS.noise):
            config = replace(NETWORKS, noise=(noise,))
            alone, curve = task.train_width(config, 5, 25, [draws[i]], [seed])
            for name, value in alone.state_dict().items():
                assert torch.allclose(
                    together.state_dict()[name][2 * i + j], value[0], atol=1e-5
                ), name
            assert [row[2 * i + j] for row in curves["test_loss"]] == pytest.approx(
                [row[0] for row in curve["test_loss"]], rel=1e-4
            )
    assert not torch.equal(
        *(together.layers[0].weight[i] for i in (0, 1))
    )  # the labels differ


def test_a_step_is_that_of_pytorchs_adam_on_one_network():
    x, label = rows(10)
    data = task.stack([(x / 16, label)])
    found = state(replace(NETWORKS, noise=(0.0,)), [0])
    plain = nn.Sequential(
        nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 10)
    )
    for batched, linear in zip(found.model.layers, plain[::2], strict=True):
        linear.weight.data, linear.bias.data = (
            batched.weight[0].T.clone().detach(),
            batched.bias[0, 0].clone().detach(),
        )
    optimizer = torch.optim.Adam(plain.parameters(), lr=NETWORKS.learning_rate)
    onehot = torch.eye(10)[torch.tensor(label)]
    for _ in range(3):
        (ours,) = task.train_epoch(found, data, size=10)
        loss = (
            nn.functional.mse_loss(plain(data.x[0]), onehot) * 10
        )  # the mean over classes, made a sum
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert ours.item() == pytest.approx(loss.item(), rel=1e-5)


def test_the_loss_of_the_best_constant_is_one():
    model = task.Networks(NETWORKS, 3, 64, [0], copies=1)
    for parameter in model.parameters():
        parameter.data.zero_()
    model.layers[-1].bias.data.fill_(0.1)
    label = np.arange(20) % 10
    found = task.evaluate(model, task.stack([(np.ones((20, 64)), label)]))
    assert found["loss"] == pytest.approx([1])
    assert found["error"] == pytest.approx([0.9])


def test_evaluations_end_with_the_last_step():
    config = task.NetworkConfig(steps=5000, batch_size=100, evaluations=30)
    assert config.epochs(500)[0] == 1
    assert config.epochs(500)[-1] == 1000
    assert config.epochs(1300)[-1] == 384
    assert len(set(config.epochs(500))) == len(config.epochs(500)) > 20
    assert replace(config, evaluations=1).epochs(500) == [1000]


def test_fewer_samples_than_a_batch_are_refused():
    with pytest.raises(ValueError, match="50 samples are less than one batch of 100"):
        task.NetworkConfig(samples=(500, 50))


def test_a_killed_training_goes_on_where_it_was(digits, monkeypatch, tmp_path):
    expected = task.train_networks(NETWORKS, [1, 2], tmp_path / "whole")
    train_epoch, done = task.train_epoch, []

    def killed(*arguments):
        if len(done) == 9:
            raise KeyboardInterrupt
        done.append(1)
        return train_epoch(*arguments)

    monkeypatch.setattr(task, "train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        task.train_networks(NETWORKS, [1, 2], tmp_path / "killed")
    monkeypatch.setattr(task, "train_epoch", train_epoch)
    found = task.train_networks(NETWORKS, [1, 2], tmp_path / "killed")
    assert found.curves == expected.curves
    assert all(
        torch.equal(found.weights[name], value)
        for name, value in expected.weights.items()
    )


def test_the_run_of_the_networks_has_all_curves_and_can_be_audited(digits, tmp_path):
    result = task.train_networks(NETWORKS, [1, 2], tmp_path)
    assert set(result.curves) == {
        f"{metric}/{noise:g}/{width}/{n}"
        for metric in ("train_error", "train_loss", "test_error", "test_loss")
        for noise in NETWORKS.noise
        for width in NETWORKS.widths
        for n in NETWORKS.samples
    }
    assert [len(curve) for curve in result.curves["test_loss/0.3/5/30"]] == [
        len(NETWORKS.epochs(30))
    ] * 2
    record = json.loads(json.dumps(result.config))
    summary, _ = task.score_networks(record, result.curves, result.answers)
    assert summary["test_error 0.3"] == pytest.approx(
        [curve[-1] for curve in result.curves["test_error/0.3/5/30"]], abs=0.04
    )  # the recorded weights have half precision
    again, _ = task.evaluate_networks([1, 2], record, result.weights)
    assert all(torch.equal(result.answers[name], bits) for name, bits in again.items())


def test_a_curve_that_was_scaled_or_cut_is_refused(digits, tmp_path):
    result = task.train_networks(NETWORKS, [1, 2], tmp_path)
    name = "test_error/0.3/5/30"
    scaled = [[0.3 * value for value in curve] for curve in result.curves[name]]
    with pytest.raises(ValueError, match="its answers give"):
        task.score_networks(
            result.config, result.curves | {name: scaled}, result.answers
        )
    cut = [curve[1:] for curve in result.curves[name]]
    with pytest.raises(ValueError, match="not one number for each evaluation"):
        task.score_networks(result.config, result.curves | {name: cut}, result.answers)


# --- experiments ---


@pytest.mark.parametrize(
    ("canary", "config", "changes"),
    [
        (
            task.features_canary,
            task.FEATURES,
            [{"mus": (0.02, 10.0)}, {"noise": (0.0, 0.1, 0.3)}],
        ),
        (
            task.networks_canary,
            NETWORKS,
            [
                {"learning_rate": 3.1e-3},
                {"depth": 1},
                {"output_scale": 0.12},
                {"noise": (0.0, 0.5)},
                {"batch_size": 11},
            ],
        ),
    ],
)
def test_the_canary_tells_what_changes_a_result(canary, config, changes):
    losses = canary(json.loads(json.dumps(asdict(config))))
    assert losses == canary(json.loads(json.dumps(asdict(config))))
    assert np.isfinite(losses).all()
    for change in changes:
        other = canary(json.loads(json.dumps(asdict(replace(config, **change)))))
        assert len(other) != len(losses) or not np.allclose(
            other, losses, rtol=1e-3, atol=0
        ), change


def test_every_experiment_has_at_least_five_seeds_and_its_own_config():
    assert len(set(task.SEEDS)) >= 5
    for name, experiment in task.EXPERIMENTS.items():
        assert json.loads(json.dumps(experiment.config)), name


# --- the critical point ---


def test_the_critical_point_is_interpolated_in_log_x():
    assert task.critical_point(
        [1, 10, 100, 1000], [0.5, 0.3, 0.02, 0.0], 0.01
    ) == pytest.approx(10**2.5)
    assert task.critical_point([1, 10, 100], [0.5, 0.01, 0.0], 0.01) == pytest.approx(
        10
    )


def test_the_critical_point_is_the_last_crossing():
    train = [0.5, 0.0, 0.3, 0.1, 0.0, 0.0]
    assert task.critical_point([1, 2, 4, 8, 16, 32], train, 0.05) == pytest.approx(
        8 * 2**0.5
    )


def test_over_samples_the_critical_point_is_where_fitting_ends():
    n, train = [100, 200, 400, 800], [0.0, 0.0, 0.02, 0.3]
    assert task.critical_point(n[::-1], train[::-1], 0.01) == pytest.approx(
        200 * 2**0.5
    )


@pytest.mark.parametrize(
    "train", [[0.5, 0.4, 0.3], [0.0, 0.0, 0.0], [0.01, 0.0, 0.01], [0.5, 0.0, 0.02]]
)
def test_some_curves_have_no_critical_point(train):
    assert task.critical_point([1, 2, 3], train, 0.01) is None


def test_a_double_descent_has_its_peak():
    x = np.geomspace(1, 1000, 61)
    logs = np.log10(x)
    test = 0.9 - 0.25 * logs + 0.3 * np.exp(-(((logs - 1.6) / 0.2) ** 2))
    found = task.peak(x, test)
    assert found == pytest.approx(10**1.6, rel=0.15)
    assert test[list(x).index(found)] < test[0]  # it need not be the largest value


@pytest.mark.parametrize(
    "test",
    [
        [0.9, 0.5, 0.3, 0.2, 0.1],  # falls
        [0.9, 0.3, 0.2, 0.3, 0.5],  # falls and rises
        [0.1, 0.2, 0.3, 0.4, 0.5],  # rises
        [0.9, 0.5, 0.51, 0.4, 0.3],  # a bump of less than the prominence
        [0.5, 0.5, 0.5, 0.5, 0.5],
    ],
)
def test_some_curves_have_no_peak(test):
    assert task.peak(range(1, 6), test) is None


def test_of_two_peaks_the_more_prominent_counts():
    assert task.peak([1, 2, 3, 4, 5, 6, 7], [0.9, 0.3, 0.4, 0.3, 0.8, 0.1, 0.1]) == 5
