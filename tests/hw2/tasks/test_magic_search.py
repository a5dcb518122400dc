"""The network's search on made-up showers: it never sees a test row, and its space is
one of networks.
"""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from hw2 import searching
from hw2.data import magic as data
from hw2.tasks import magic, magic_baselines, magic_search
from hw2.tasks.magic_search import NETWORK

pytestmark = pytest.mark.usefixtures("one_core")


def showers(rows: int = 1500) -> pd.DataFrame:
    """Made-up data like that of `hw2.data.magic.load`, some rows of it copies."""
    rng = np.random.default_rng(211)
    frame = pd.DataFrame(rng.lognormal(3, 1, (rows, 10)), columns=data.FEATURES)
    frame["class"] = np.where(
        frame.fAlpha < frame.fLength * rng.lognormal(0, 0.3, rows), "g", "h"
    )
    return pd.concat([frame, frame.tail(20)], ignore_index=True)


def with_other_labels(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """The same showers, the labels of some rows shuffled."""
    changed = frame.copy()
    changed.loc[rows, "class"] = np.random.default_rng(0).permutation(
        frame.loc[rows, "class"]
    )
    assert (changed["class"] != frame["class"]).sum() > 20
    return changed


TINY = replace(
    NETWORK,
    start=NETWORK.start
    | {
        "members": 1,
        "width": 8,
        "depth": 1,
        "frequencies": 2,
        "batch_size": 32,
        "epochs": 2,
    },
    space={
        "learning_rate": FloatDistribution(1e-3, 0.1, log=True),
        "transform": CategoricalDistribution(["log", "quantile"]),
    },
    canary=lambda setting: [],
    trials=2,
    folds=1,
)
SMALL_BOOSTING = replace(
    magic_baselines.PROBLEMS["boosting"],
    start=magic_baselines.BOOSTING_START | {"max_iter": 10},
    space={"max_leaf_nodes": magic_baselines.BOOSTING_SPACE["max_leaf_nodes"]},
    trials=2,
    folds=1,
)


@pytest.mark.parametrize("problem", [TINY, SMALL_BOOSTING], ids=["network", "boosting"])
def test_the_search_gives_the_same_result_with_shuffled_test_labels(
    problem, tmp_path, monkeypatch
):
    frame = showers()
    split = data.split(frame)
    rest = np.sort(np.concatenate([split.train, split.validation]))

    def found(name: str, showers: pd.DataFrame) -> list:
        monkeypatch.setattr(magic, "load", lambda: (showers, split, rest))
        study = searching.search(problem, str(tmp_path / name))
        return [
            (trial.params, trial.intermediate_values, trial.value)
            for trial in study.trials
        ]

    as_it_was = found("as it was", frame)
    assert found("test", with_other_labels(frame, split.test)) == as_it_was
    assert found("rest", with_other_labels(frame, rest)) != as_it_was


def test_the_start_has_every_hyper_parameter_and_lies_in_the_space(tmp_path):
    assert set(NETWORK.start) == {field.name for field in fields(magic.Config)}
    assert set(NETWORK.space) < set(NETWORK.start)
    settings = []

    def accuracy(setting, fold):
        settings.append(setting)
        return 0.5

    # a start outside the space would warn
    problem = replace(
        NETWORK, accuracy=accuracy, canary=lambda setting: [], trials=1, folds=1
    )
    searching.search(problem, str(tmp_path / "study.db"))
    assert settings == [NETWORK.start]


def test_every_choice_of_the_space_is_a_network():
    choices = {
        name: item.choices
        for name, item in NETWORK.space.items()
        if isinstance(item, CategoricalDistribution)
    }
    for name, values in choices.items():
        for value in values:
            assert getattr(magic.Config(**NETWORK.start | {name: value}), name) == value


def test_a_fold_is_trained_with_the_setting_and_its_own_seed(monkeypatch):
    calls = []
    monkeypatch.setattr(
        magic,
        "cross_validate",
        lambda *arguments, **named: calls.append((arguments, named)) or 0.5,
    )
    NETWORK.accuracy(NETWORK.start | {"width": 96}, 5)
    assert calls == [((magic.Config(**NETWORK.start | {"width": 96}), 5), {"seed": 5})]


def test_the_experiment_wants_a_finished_study(tmp_path, monkeypatch):
    tiny = replace(TINY, accuracy=lambda setting, fold: setting["learning_rate"])
    monkeypatch.setattr(magic_search, "NETWORK", tiny)
    monkeypatch.setenv("HW2_STORAGE", str(tmp_path / "study.db"))
    train = magic_search.EXPERIMENTS["search"].train
    with pytest.raises(
        searching.SearchError, match=r"network has 0 of 2 trials; `make search`"
    ):
        train(tmp_path)
    magic_search.search(str(tmp_path / "study.db"), 2)
    result = train(tmp_path)
    assert result.config == tiny.config()
    assert result.curves["accuracy"] == result.curves["learning_rate"]
    assert (
        searching.best(result.config, result.curves)["learning_rate"]
        == searching.score(result.config, result.curves, {})[0]["best_accuracy"]
    )


def test_the_canary_is_that_of_the_recorded_start(monkeypatch):
    monkeypatch.setattr(
        magic_search,
        "NETWORK",
        replace(NETWORK, canary=lambda setting: [setting["dropout"]]),
    )
    experiment = magic_search.EXPERIMENTS["search"]
    assert experiment.canary(experiment.config) == [NETWORK.start["dropout"]]
    assert experiment.canary(
        experiment.config | {"start": NETWORK.start | {"dropout": 0.3}}
    ) == [0.3]
