"""The baselines on made-up showers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from optuna.distributions import CategoricalDistribution
from sklearn.linear_model import LogisticRegression

from hw2 import searching
from hw2.data import magic as data
from hw2.tasks import magic, magic_baselines, magic_comparison
from hw2.tasks.magic_baselines import PROBLEMS

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture
def showers(monkeypatch):
    """What `magic.load` gives: 300 made-up showers, gammas where exactly one of two
    features is small, and a split.
    """
    rng = np.random.default_rng(211)
    frame = pd.DataFrame(rng.lognormal(3, 1, (300, 10)), columns=data.FEATURES)
    frame["class"] = np.where(
        (frame.fAlpha < np.exp(3)) ^ (frame.fDist < np.exp(3)), "g", "h"
    )
    split = data.split(frame)
    loaded = frame, split, np.sort(np.concatenate([split.train, split.validation]))
    monkeypatch.setattr(magic, "load", lambda: loaded)
    return loaded


def test_logistic_regression_scales_by_the_training_rows_only(showers):
    frame, split, _ = showers
    x, y = data.arrays(frame)
    fitted = magic_baselines.logistic().fit(x[split.train], y[split.train])
    mean, std = x[split.train].mean(axis=0), x[split.train].std(axis=0)
    np.testing.assert_allclose(fitted[0].mean_, mean)
    assert not np.allclose(mean, x.mean(axis=0))
    by_hand = LogisticRegression(solver="lbfgs").fit(
        (x[split.train] - mean) / std, y[split.train]
    )
    np.testing.assert_allclose(
        fitted.predict_proba(x), by_hand.predict_proba((x - mean) / std)
    )


@pytest.mark.filterwarnings("ignore:n_quantiles")  # of fewer rows than quantiles
def test_the_models_follow_their_seed(showers, monkeypatch):
    monkeypatch.setattr(magic_baselines, "AVERAGED", 2)
    frame, split, _ = showers
    x, y = data.arrays(frame)

    def probabilities(seed: int) -> dict[str, np.ndarray]:
        models = magic_baselines.models(seed).items()
        return {
            name: model.fit(x[split.train], y[split.train]).predict_proba(x[split.test])
            for name, model in models
        }

    found, again, other = probabilities(3), probabilities(3), probabilities(4)
    assert len(found) == 6
    np.testing.assert_equal(again, found)
    assert not np.array_equal(other["forest, tuned"], found["forest, tuned"])


def test_averaged_boosting_is_the_mean_of_its_members(showers, monkeypatch):
    monkeypatch.setattr(magic_baselines, "AVERAGED", 3)
    frame, split, _ = showers
    x, y = data.arrays(frame)
    setting = magic_baselines.BOOSTING_DERIVED | {"max_iter": 5}
    both = magic_baselines.averaged(setting, 4).fit(x[split.train], y[split.train])
    alone = [
        magic_baselines.estimator("boosting", setting, seed)
        .fit(x[split.train], y[split.train])
        .predict_proba(x[split.test])
        for seed in (12, 13, 14)
    ]
    assert not np.allclose(alone[0], alone[1])
    np.testing.assert_allclose(
        both.predict_proba(x[split.test]), np.mean(alone, axis=0)
    )


def test_the_baselines_learn_from_the_rows_they_are_given(showers, monkeypatch):
    """In the comparison no model sees test rows: with other labels there, what is
    answered stays.
    """
    frame, split, rest = showers
    x, y = data.arrays(frame)
    few = {
        "logistic regression": magic_baselines.logistic,
        "forest, tuned": lambda: magic_baselines.estimator(
            "forest", magic_baselines.FOREST | {"n_estimators": 5}, 1
        ),
    }
    monkeypatch.setattr(
        magic_baselines, "models", lambda seed: {n: make() for n, make in few.items()}
    )
    tiny = magic.Config(members=1, depth=1, width=8, epochs=1, transform="standard")
    monkeypatch.setattr(magic, "Config", lambda: tiny)
    other = y.copy()
    other[split.test] = 1 - other[split.test]
    found = []
    for labels in (y, other):
        table = frame.assign(**{"class": np.where(labels == 1, "h", "g")})
        monkeypatch.setattr(magic, "load", lambda table=table: (table, split, rest))
        monkeypatch.setattr(
            magic_comparison, "_data", lambda labels=labels: (x, labels, {7: split})
        )
        monkeypatch.setattr(data, "split", lambda *_: split)
        result = magic_comparison.compare([7], None)
        found.append(result.answers)
        config = {"splits": [7]}
        summary, _ = magic_comparison.score(config, {}, result.answers)
        for name in ("logistic regression", "forest, tuned"):
            model = few[name]().fit(x[rest], y[rest])
            assert summary[name] == [model.score(x[split.test], labels[split.test])]
    assert (
        found[0].keys()
        == found[1].keys()
        == {f"{name}.7.bits" for name in (*few, "network")}
    )
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_the_accuracy_of_a_fold_is_that_of_its_validation_rows(showers):
    frame, split, _ = showers
    setting = magic_baselines.FOREST_START | {"n_estimators": 5}
    train, validation = magic.folds(frame, split)[2]
    x, y = data.arrays(frame)
    forest = magic_baselines.estimator("forest", setting, seed=2).fit(
        x[train], y[train]
    )
    found = magic_baselines.accuracy("forest", setting, 2)
    assert found == (forest.predict(x[validation]) == y[validation]).mean()


def test_tuning_finds_the_planted_better_setting(showers, tmp_path):
    """Trees of one split cannot tell whether exactly one of two features is small: the
    start is a coin's toss.
    """
    problem = replace(
        PROBLEMS["boosting"],
        start=magic_baselines.BOOSTING_START
        | {"max_leaf_nodes": 2, "max_iter": 30, "min_samples_leaf": 10},
        space={"max_leaf_nodes": CategoricalDistribution([2, 8])},
        trials=5,
        folds=2,
    )
    study = searching.search(problem, str(tmp_path / "study.db"))
    assert study.trials[0].value < 0.7
    assert study.best_params["max_leaf_nodes"] == 8
    assert study.best_value > 0.9


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_ends_of_the_space_can_be_fitted(name, showers):
    problem, x, y = PROBLEMS[name], *data.arrays(showers[0])
    small = {"max_iter": 3} if name.startswith("boosting") else {"n_estimators": 3}
    for place in (0, -1):
        end = {
            parameter: (
                item.choices
                if isinstance(item, CategoricalDistribution)
                else (item.low, item.high)
            )[place]
            for parameter, item in problem.space.items()
        }
        model = magic_baselines.estimator(
            name.split("_")[0], problem.start | end | small, seed=0
        ).fit(x, y)
        assert model[-1].n_features_in_ == (25 if "derived" in name else 10)
        assert set(model.predict(x)) <= {0, 1}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_search_begins_with_the_start(name, tmp_path):
    settings = []

    def accuracy(setting, fold):
        settings.append(setting)
        return 0.5

    # a start outside the space would warn
    searching.search(
        replace(PROBLEMS[name], accuracy=accuracy, trials=1, folds=1),
        str(tmp_path / "study.db"),
    )
    assert settings == [PROBLEMS[name].start]


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_canary_notices_another_model(name):
    experiment = magic_baselines.EXPERIMENTS[f"search_{name}"]
    losses = experiment.canary(experiment.config)
    assert losses == experiment.canary(experiment.config)
    change = (
        {"learning_rate": 0.08}
        if name.startswith("boosting")
        else {"min_samples_leaf": 2}
    )
    other = experiment.canary(
        experiment.config | {"start": experiment.config["start"] | change}
    )
    assert not np.allclose(other, losses, rtol=1e-3)


def test_the_experiment_searches_and_records(showers, tmp_path, monkeypatch):
    small = replace(
        PROBLEMS["forest"],
        start=magic_baselines.FOREST_START | {"n_estimators": 3},
        trials=2,
        folds=2,
    )
    monkeypatch.setenv("HW2_STORAGE", str(tmp_path / "study.db"))
    result = magic_baselines.tuned(small)
    assert result.config == small.config()
    assert len(result.curves["max_features"][0]) == 2
    best = searching.best(result.config, result.curves)
    summary, _ = searching.score(result.config, result.curves, {})
    accuracies = [magic_baselines.accuracy("forest", best, fold) for fold in range(2)]
    assert np.mean(accuracies) == pytest.approx(summary["best_accuracy"])
