"""The MAGIC network on small synthetic showers: data without leaks, batched training,
metrics, experiments.
"""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.preprocessing import QuantileTransformer
from torch import nn

from hw2 import runs, training
from hw2.data import magic as data
from hw2.tasks import magic

TINY = magic.Config(
    members=2,
    depth=2,
    width=8,
    frequencies=2,
    activation="silu",
    learning_rate=2e-3,
    batch_size=64,
    epochs=3,
)


def showers(rows, seed=0):
    """Random showers; whether one is a hadron depends on its angle, its length and
    noise.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.lognormal(3, 0.5, (rows, 10)), columns=data.FEATURES)
    frame["fAlpha"] = rng.uniform(0, 90, rows)
    hadron = frame.fAlpha / 45 + frame.fLength / 20 + rng.normal(0, 0.3, rows) > 2
    frame["class"] = np.where(hadron, "h", "g")
    return frame


@pytest.fixture(scope="module")
def frame():
    """1,000 different rows, of which 60 stand there twice, in random order."""
    frame = showers(1000)
    return (
        pd.concat([frame, frame.sample(60, random_state=0)])
        .sample(frac=1, random_state=1)
        .reset_index(drop=True)
    )


@pytest.fixture(scope="module")
def split(frame):
    return data.split(frame)


@pytest.fixture(autouse=True)
def few_quantiles(monkeypatch):
    """Quantiles for a table that has fewer rows than the real one."""
    quantile = partial(
        QuantileTransformer, output_distribution="normal", n_quantiles=100
    )
    monkeypatch.setitem(magic.TRANSFORMS, "quantile", quantile)


@pytest.fixture
def small(monkeypatch, frame, split):
    """The experiments, on the small table with the small network."""
    config = magic.Config
    rest = np.sort(np.concatenate([split.train, split.validation]))
    monkeypatch.setattr(magic, "load", lambda: (frame, split, rest))
    monkeypatch.setattr(
        magic, "Config", lambda **given: config(**(asdict(TINY) | given))
    )
    monkeypatch.setattr(magic, "SEEDS", [0, 1])


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


# --- data ---


@pytest.mark.parametrize("transform", magic.TRANSFORMS)
def test_transforms_see_the_training_rows_only(frame, split, transform):
    config = replace(TINY, transform=transform)
    other = frame.copy()
    other.loc[split.test, data.FEATURES] *= 100
    (before, _), (after, moved) = (
        magic.prepare(config, f, split.train, split.test) for f in (frame, other)
    )
    assert torch.equal(before.tensors[0], after.tensors[0])
    assert moved.tensors[0].abs().max() == 5  # and what lies outside is clipped


def test_standardized_training_rows_have_mean_zero_and_variance_one(frame, split):
    config = replace(TINY, transform="standard", derived=False)
    x = magic.prepare(config, frame, split.train)[0].tensors[0]
    inside = x[:, 8]  # the angles, of which none is clipped
    assert inside.mean().item() == pytest.approx(0, abs=1e-5)
    assert inside.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_a_hadron_is_one(frame, split):
    y = magic.prepare(TINY, frame, split.test)[0].tensors[1]
    assert y.tolist() == (frame["class"].iloc[split.test] == "h").astype(float).tolist()


def test_the_folds_part_all_rows_but_test_and_keep_copies_together(frame, split):
    folds = magic.folds(frame, split)
    rest = sorted([*split.train, *split.validation])
    assert sorted(np.concatenate([validation for _, validation in folds])) == rest
    copies = data.copies(frame)
    for train, validation in folds:
        assert sorted([*train, *validation]) == rest
        assert not set(copies[train]) & set(copies[validation])
        assert len(validation) == pytest.approx(len(rest) / 8, rel=0.05)
        hadrons = (frame["class"] == "h").to_numpy()
        assert hadrons[validation].mean() == pytest.approx(
            hadrons[rest].mean(), abs=0.03
        )


def test_derived_features_of_a_shower_that_points_at_the_source_and_of_one_that_passes_it():
    x = np.zeros((2, 10))
    x[:, data.FEATURES.index("fConc")] = 0.5
    x[:, data.FEATURES.index("fDist")] = 100
    x[:, data.FEATURES.index("fAlpha")] = 0, 90
    derived = magic.derive(x)
    assert derived.shape == (2, 25)
    assert np.array_equal(derived[:, :10], x)
    assert derived[:, 10:12] == pytest.approx(np.array([[100, 0], [0, 100]]), abs=1e-9)


def test_the_sign_of_an_asymmetry_is_in_the_signed_features_only():
    x = np.abs(showers(5)[data.FEATURES].to_numpy())
    mirrored = x.copy()
    mirrored[:, [5, 6, 7]] *= -1
    same = np.isclose(magic.derive(x), magic.derive(mirrored)).all(axis=0)
    assert np.flatnonzero(~same).tolist() == [5, 6, 7, 17, 18]


# --- model ---


def test_a_member_is_an_ordinary_perceptron():
    model = magic.Ensemble(replace(TINY, frequencies=0), 10, [0]).eval()
    x = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    for member in range(2):
        plain = nn.Sequential(
            nn.Linear(10, 8), nn.SiLU(), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 1)
        )
        batched = [
            layer for layer in model.layers if isinstance(layer, magic.BatchedLinear)
        ]
        linear = [layer for layer in plain if isinstance(layer, nn.Linear)]
        for mine, theirs in zip(batched, linear, strict=True):
            theirs.weight.data, theirs.bias.data = (
                mine.weight[member].T.detach(),
                mine.bias[member, 0].detach(),
            )
        assert torch.allclose(
            model(x.expand(2, -1, -1))[member], plain(x)[:, 0], atol=1e-6
        )


def test_periodic_features_are_sines_and_cosines_of_each_feature():
    layer = magic.Periodic(networks=1, features=2, frequencies=3)
    layer.frequency.data = torch.tensor([[[[1.0, 2.0, 3.0], [0.5, 0.25, 0.125]]]])
    x = torch.tensor([[[0.25, 0.5]]])
    turns = torch.tensor([0.25, 0.5, 0.75, 0.25, 0.125, 0.0625])
    expected = torch.cat(
        [x[0, 0], torch.sin(2 * torch.pi * turns), torch.cos(2 * torch.pi * turns)]
    )
    assert torch.allclose(layer(x)[0, 0], expected, atol=1e-6)


def test_initial_frequencies_have_their_bandwidth():
    model = magic.Ensemble(
        replace(TINY, frequencies=100, bandwidth=0.3, members=8), 10, [0]
    )
    assert model.layers[0].frequency.std().item() == pytest.approx(0.3, rel=0.05)


def test_dropout_drops_its_share_and_keeps_the_mean():
    layer = magic.Dropout(0.25, [np.random.default_rng(0), np.random.default_rng(1)])
    x = layer(torch.ones(4, 100, 100))
    assert (x == 0).float().mean().item() == pytest.approx(
        0.25, abs=4 * (0.25 * 0.75 / x.numel()) ** 0.5
    )
    assert torch.unique(x).tolist() == pytest.approx([0, 1 / 0.75])
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("kaiming_normal", (2 / 64) ** 0.5),
        ("xavier_uniform", (2 / (64 + 64)) ** 0.5),
        ("orthogonal", (1 / 64) ** 0.5),
        ("small_normal", 0.005),
    ],
)
def test_initial_weights_have_their_standard_deviation(name, std):
    model = magic.Ensemble(
        replace(TINY, initialization=name, width=64, members=8), 10, [0]
    )
    hidden = [
        layer for layer in model.layers if isinstance(layer, magic.BatchedLinear)
    ][1].weight
    assert hidden.shape == (8, 64, 64)
    assert hidden.std().item() == pytest.approx(std, rel=0.02)
    assert all(
        (layer.bias == 0).all()
        for layer in model.layers
        if isinstance(layer, magic.BatchedLinear)
    )
    assert len({tuple(member.flatten().tolist()) for member in hidden}) == 8


def test_initializations_differ_at_step_zero(frame, split):
    (rows,) = magic.prepare(TINY, frame, split.train)
    logits = [
        magic.Ensemble(replace(TINY, initialization=name), 25, [0])(
            rows.tensors[0].expand(2, -1, -1)
        )
        for name in magic.INITIALIZATIONS
    ]
    for i, first in enumerate(logits):
        assert all(
            not torch.allclose(first, second, rtol=0.01) for second in logits[:i]
        )


@pytest.mark.parametrize(
    "change",
    [{"activation": "tan"}, {"initialization": "zeros"}, {"transform": "none"}],
)
def test_an_unknown_name_is_refused_with_the_known_ones(change):
    with pytest.raises(
        ValueError,
        match=rf"'{next(iter(change.values()))}' is unknown, expected one of \w+",
    ):
        magic.Config(**change)


# --- training ---


def test_training_at_once_equals_training_one_by_one(frame, split):
    rows, test = magic.prepare(TINY, frame, split.train, split.test)
    together, curves = magic.train(TINY, [0, 1, 2], rows, {"train": rows})
    p = magic.probabilities(together, test.tensors[0])
    for i in range(3):
        alone, curve = magic.train(TINY, [i], rows, {"train": rows})
        assert torch.allclose(
            magic.probabilities(alone, test.tensors[0])[0], p[i], atol=1e-4
        )
        assert curve["train_loss"][0] == pytest.approx(
            curves["train_loss"][i], rel=1e-4
        )
    assert not torch.allclose(p[0], p[1], atol=1e-2)


def test_it_learns(frame, split):
    config = replace(TINY, epochs=40, learning_rate=0.01)
    rows, test = magic.prepare(config, frame, split.train, split.test)
    model, curves = magic.train(config, [0], rows, {"train": rows, "validation": test})
    majority = max(test.tensors[1].mean().item(), 1 - test.tensors[1].mean().item())
    assert magic.loss_and_accuracy(model, test)[1][0] > majority + 0.15
    assert {name: len(curve[0]) for name, curve in curves.items()} == dict.fromkeys(
        ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"], 40
    )
    assert curves["train_loss"][0][-1] < 0.6 * curves["train_loss"][0][0]


def test_every_row_is_trained_on_once_an_epoch_in_another_order_for_each_network(
    frame, split
):
    (rows,) = magic.prepare(TINY, frame, split.train)
    model = magic.Ensemble(TINY, 25, [0, 1])
    x = torch.cat([x for x, _ in magic.batches(model, rows, 50)], dim=1)
    assert x.shape == (4, 50 * (len(rows) // 50), 25)
    assert all(
        len(np.unique(network, axis=0)) == len(np.unique(network.numpy(), axis=0))
        for network in x
    )
    assert not torch.equal(x[0], x[1])


def test_a_killed_training_resumes_to_the_same_result(
    frame, split, tmp_path, monkeypatch
):
    rows, validation = magic.prepare(TINY, frame, split.train, split.validation)
    whole, curves = magic.train(TINY, [0, 1], rows, {"validation": validation})
    save, saved = training.State.save, []

    def save_and_stop(state, file):
        save(state, file)
        saved.append(file)
        raise KeyboardInterrupt

    monkeypatch.setattr(training.State, "save", save_and_stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            magic.train(TINY, [0, 1], rows, {"validation": validation}, tmp_path)
    monkeypatch.setattr(training.State, "save", save)
    resumed, again = magic.train(
        TINY, [0, 1], rows, {"validation": validation}, tmp_path
    )
    assert len(set(saved)) == 1
    assert again == curves
    assert_equal(weights(resumed), weights(whole))


def test_a_checkpoint_of_another_config_seed_or_training_set_is_not_resumed(
    frame, split, tmp_path
):
    rows, other = magic.prepare(TINY, frame, split.train, split.test)
    magic.train(TINY, [0], rows, checkpoints=tmp_path)
    for config, seeds, some in [
        (replace(TINY, dropout=0.3), [0], rows),
        (TINY, [1], rows),
        (TINY, [0], other),
    ]:
        fresh, _ = magic.train(config, seeds, some)
        found, _ = magic.train(config, seeds, some, checkpoints=tmp_path)
        assert_equal(weights(found), weights(fresh))


def test_fewer_rows_than_a_batch_are_refused(frame, split):
    (rows,) = magic.prepare(TINY, frame, split.train)
    with pytest.raises(
        ValueError, match="less than one batch of 5000; lower batch_size"
    ):
        magic.train(replace(TINY, batch_size=5000), [0], rows)


# --- evaluation ---


def test_metrics_are_those_of_scikit_learn(frame, split):
    rows, test = magic.prepare(TINY, frame, split.train, split.test)
    model, _ = magic.train(TINY, [0, 1], rows)
    y = test.tensors[1].numpy()
    found = magic.test_numbers(
        magic.probabilities(model, test.tensors[0]), test.tensors[1]
    )
    for i, p in enumerate(magic.probabilities(model, test.tensors[0]).double().numpy()):
        assert found["test_accuracy"][i] == pytest.approx(accuracy_score(y, p > 0.5))
        assert found["test_loss"][i] == pytest.approx(log_loss(y, p))
        assert found["test_auc"][i] == pytest.approx(roc_auc_score(y, p))
        assert found["gamma_accuracy"][i] == pytest.approx(
            accuracy_score(y[y == 0], p[y == 0] > 0.5)
        )
        assert found["hadron_accuracy"][i] == pytest.approx(
            accuracy_score(y[y == 1], p[y == 1] > 0.5)
        )


def test_the_accuracy_of_a_size_is_the_mean_over_ensembles_of_so_many_members(
    frame, split
):
    config = replace(TINY, members=4)
    rows, test = magic.prepare(config, frame, split.train, split.test)
    model, _ = magic.train(config, [0, 1], rows)
    p, y = (
        magic.member_probabilities(model, test.tensors[0]).numpy(),
        test.tensors[1].numpy(),
    )
    for seed in range(2):
        pairs = [
            accuracy_score(y, p[seed, i : i + 2].mean(axis=0) > 0.5) for i in (0, 2)
        ]
        assert magic.accuracy_of_size(torch.from_numpy(p), test.tensors[1], 2)[
            seed
        ] == pytest.approx(np.mean(pairs))
    assert magic.accuracy_of_size(
        torch.from_numpy(p), test.tensors[1], 4
    ) == pytest.approx(magic.loss_and_accuracy(model, test)[1])


def test_signal_efficiency_is_the_share_of_gammas_above_the_threshold_that_lets_the_background_through():
    rng = np.random.default_rng(0)
    label = (rng.random(100_000) < 0.4).astype(float)
    p = rng.beta(2 + 3 * label, 4)
    for share in magic.BACKGROUND:
        threshold = np.quantile(p[label == 1], share)
        expected = (p[label == 0] < threshold).mean()
        assert magic.signal_efficiency(p, label, [share])[0] == pytest.approx(
            expected, abs=1e-3
        )


# --- experiments ---


def test_validation_accuracy_does_not_depend_on_the_test_labels(
    frame, split, monkeypatch
):
    shuffled = frame.copy()
    labels = frame["class"].to_numpy().copy()
    labels[split.test] = np.random.default_rng(0).permutation(labels[split.test])
    shuffled["class"] = labels
    groups, found = data.copies(frame), []
    for table in (frame, shuffled):
        monkeypatch.setattr(magic, "load", lambda table=table: (table, split, None))
        monkeypatch.setattr(data, "copies", lambda _: groups)
        found.append([magic.cross_validate(TINY, fold, 0) for fold in (0, 7)])
    assert not shuffled.equals(frame)
    assert found[0] == found[1]


@pytest.mark.usefixtures("small")
def test_the_recorded_weights_give_the_reported_numbers(tmp_path):
    result = magic.final(TINY, [1, 2], tmp_path)
    again, file = magic.evaluate_final(result.config, result.weights)
    assert file == data.FILE
    assert torch.equal(again["test"], result.answers["test"])
    assert all(value.dtype == torch.float16 for value in result.weights.values())
    summary, curves = magic.score_final(result.config, result.curves, result.answers)
    assert result.summary == {}
    assert summary["validation_accuracy_of_2"] == pytest.approx(
        summary["validation_accuracy"]
    )
    assert len(result.curves["train_loss"]) == len(result.seeds) == 2
    assert curves["roc_signal"][0][0] >= 0
    assert curves["roc_signal"][0][-1] == 1
    assert summary["validation_accuracy"] == [
        curve[-1] for curve in result.curves["validation_accuracy"]
    ]
    assert not torch.equal(result.answers["test"][0], result.answers["test"][1])
    alone = magic.final(TINY, [1], tmp_path)
    assert torch.equal(alone.answers["test"][0], result.answers["test"][0])


@pytest.mark.usefixtures("small")
def test_curves_that_were_cut_or_end_elsewhere_are_refused(tmp_path):
    result = magic.final(TINY, [1, 2], tmp_path)
    cut = {name: [c[:-1] for c in values] for name, values in result.curves.items()}
    with pytest.raises(ValueError, match=f"numbers for {TINY.epochs} epochs"):
        magic.score_final(result.config, cut, result.answers)
    raised = [[*c[:-1], c[-1] + 0.05] for c in result.curves["validation_accuracy"]]
    with pytest.raises(ValueError, match="the curves end at"):
        magic.score_final(
            result.config,
            result.curves | {"validation_accuracy": raised},
            result.answers,
        )


@pytest.mark.usefixtures("small")
def test_test_rows_change_nothing_but_test_numbers(frame, split, tmp_path, monkeypatch):
    """With other test rows, labels and features, networks and validation numbers are
    bit for bit the same.
    """
    other = frame.copy()
    rng, columns = np.random.default_rng(0), frame.columns
    other.iloc[split.test] = frame.iloc[rng.permutation(split.test)].to_numpy()
    labels = other["class"].to_numpy().copy()
    labels[split.test] = rng.permutation(labels[split.test])
    other["class"] = labels
    assert not other[columns].equals(frame[columns])
    rest, found = np.sort(np.concatenate([split.train, split.validation])), []
    for i, table in enumerate((frame, other)):
        monkeypatch.setattr(magic, "load", lambda table=table: (table, split, rest))
        found.append(magic.final(TINY, [1, 2], tmp_path / str(i)))
    first, second = found
    assert_equal(first.weights, second.weights)
    assert first.curves == second.curves
    assert torch.equal(first.answers["validation"], second.answers["validation"])
    assert not torch.equal(first.answers["test"], second.answers["test"])


@pytest.mark.usefixtures("small")
def test_each_initialization_is_trained_with_an_optimizer_of_its_own(
    tmp_path, monkeypatch
):
    tiny = {
        name: replace(TINY, initialization=name)
        for name in ("xavier_uniform", "small_normal")
    }
    monkeypatch.setattr(magic, "INITIALIZED", tiny)
    result = magic.initializations([1, 2], tmp_path)
    first, second = (result.curves[f"{name}_rest_loss"][0] for name in tiny)
    assert first != second
    assert first[-1] < first[0]
    assert second[-1] < second[0]
    summary, _ = magic.score_initializations(
        result.config, result.curves, result.answers
    )
    assert {name: len(values) for name, values in summary.items()} == dict.fromkeys(
        tiny, 2
    )
    frame, split, rest = magic.load()
    rows, test = magic.prepare(tiny["small_normal"], frame, rest, split.test)
    model, _ = magic.train(tiny["small_normal"], [1, 2], rows)
    assert summary["small_normal"] == magic.loss_and_accuracy(model, test)[1]


@pytest.mark.usefixtures("small")
def test_ablations_give_one_accuracy_for_each_fold(tmp_path, monkeypatch):
    variants = {"as chosen": TINY, "no derived features": replace(TINY, derived=False)}
    monkeypatch.setattr(magic, "ABLATIONS", variants)
    result = magic.ablations(tmp_path)
    summary, _ = magic.score_ablations(result.config, {}, result.answers)
    assert {name: len(values) for name, values in summary.items()} == dict.fromkeys(
        variants, 8
    )
    frame, split, _ = magic.load()
    part = magic.folds(frame, split, magic.PARTITION)[3]
    rows, validation = magic.prepare(TINY, frame, *part)
    model, _ = magic.train(TINY, [magic.FOLD_SEEDS[3]], rows)
    assert [summary["as chosen"][3]] == magic.loss_and_accuracy(model, validation)[1]


@pytest.mark.usefixtures("small")
def test_more_networks_at_once_take_longer_in_all_and_less_each(tmp_path, monkeypatch):
    monkeypatch.setattr(magic, "BATCHED", (1, 30))
    seconds = magic.batching(tmp_path).summary
    assert (
        seconds["seconds_of_1"]
        < seconds["seconds_of_30"]
        < 30 * seconds["seconds_of_1"]
    )


@pytest.mark.usefixtures("small")
def test_the_data_is_described_as_it_is(tmp_path, frame, split):
    result = magic.describe(tmp_path)
    assert result.summary["rows"] == 1060
    assert result.summary["copies"] == 60
    assert result.summary["gammas"] == (frame["class"] == "g").sum()
    assert result.curves["head_fAlpha"] == [frame.fAlpha.head().tolist()]
    edges, density = (
        result.curves["raw_fDist_edges"][0],
        result.curves["raw_fDist_h"][0],
    )
    assert np.sum(np.diff(edges) * density) == pytest.approx(1)


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 3},
        {"width": 16},
        {"activation": "relu"},
        {"initialization": "xavier_uniform"},
        {"dropout": 0.3},
        {"frequencies": 3},
        {"bandwidth": 0.2},
        {"learning_rate": 0.001},
        {"schedule": "constant"},
        {"weight_decay": 0.9},
        {"transform": "log"},
        {"derived": False},
    ],
)
def test_the_canary_notices_a_change_of_the_training(change):
    usual = magic.canary(asdict(TINY))
    assert magic.canary(asdict(TINY)) == usual
    assert not runs.same_losses(magic.canary(asdict(replace(TINY, **change))), usual)


def test_the_canary_of_the_data_notices_another_transform(monkeypatch):
    canary = magic.EXPERIMENTS["data"].canary
    usual = canary({})
    monkeypatch.setitem(magic.TRANSFORMS, "log", magic.StandardScaler)
    assert not runs.same_losses(canary({}), usual)


def test_the_canary_of_several_configs_is_that_of_each():
    configs = {"one": TINY, "other": replace(TINY, dropout=0.3)}
    assert magic.canary(magic.records(configs)) == [
        x for c in configs.values() for x in magic.canary(asdict(c))
    ]


def test_what_is_trained_anew_is_tested_on_the_test_rows(monkeypatch, frame, split):
    rest = np.sort(np.concatenate([split.train, split.validation]))
    monkeypatch.setattr(magic, "load", lambda: (frame, split, rest))
    monkeypatch.setenv("HW2_KEEP", "0")
    rows, test = magic.prepare(TINY, frame, rest, split.test)
    model, _ = magic.train(TINY, [5], rows)
    x, y = test.tensors
    expected = ((magic.probabilities(model, x)[0] > 0.5) == y.bool()).double().mean()
    assert magic.trained_anew(TINY, 5) == pytest.approx(float(expected))


def test_sizes_of_gradients_are_those_of_the_loss():
    config = replace(TINY, members=1, frequencies=0, dropout=0.0, transform="log")
    found = magic.gradient_sizes(config, seed=3, steps=2)
    assert found.shape == (2, 3)
    frame, _, rest = magic.load()
    (data,) = magic.prepare(config, frame, rest)
    model = magic.build(config, [3], *data.tensors[0].shape).model
    x, y = next(magic.batches(model, data, config.batch_size))
    weights = [layer.weight for layer in model.layers if hasattr(layer, "weight")]
    loss = nn.BCEWithLogitsLoss()(model(x), y)
    gradients = torch.autograd.grad(loss, weights)
    expected = [gradient.square().mean().sqrt().item() for gradient in gradients]
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)
