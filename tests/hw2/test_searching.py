"""Interrupted and shared searches against one that ran through, on a function that
costs nothing.

Run as a script, this file is a worker of its own: `python test_searching.py STORAGE`.
"""

import math
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from statistics import fmean

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from hw2 import experiments, searching
from hw2.searching import FINISHED, Problem, SearchError


def accuracy(setting, fold):
    """Highest, 0.9 and a little, at x = 0.3, rate = 0.01, kind b; `idle` has no
    influence, `fixed` is not searched.
    """
    assert setting["fixed"] == "as it was"
    off = (
        (setting["x"] - 0.3) ** 2
        + 0.1 * (math.log10(setting["rate"]) + 2) ** 2
        + 0.2 * (setting["kind"] == "a")
    )
    return 0.9 - off + 0.001 * (fold * 7 % 5)


TOY = Problem(
    name="toy",
    start={"x": 0.5, "rate": 1e-3, "kind": "b", "idle": 3, "fixed": "as it was"},
    space={
        "x": FloatDistribution(0, 1),
        "rate": FloatDistribution(1e-4, 1, log=True),
        "kind": CategoricalDistribution(["a", "b"]),
        "idle": IntDistribution(1, 9, step=2),
    },
    accuracy=accuracy,
    canary=lambda setting: [accuracy(setting, 0)],
    trials=13,  # three more than the sampler draws at random
    folds=5,
)


def counted(trials):
    return [trial for trial in trials if trial.state in FINISHED]


def course(study):
    """What became of the trials that count, in their order; their numbers and times may
    differ.
    """
    return [
        (trial.params, trial.intermediate_values, trial.value, trial.state)
        for trial in counted(study.trials)
    ]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A search that ran through."""
    folder = tmp_path_factory.mktemp("reference") / "a folder"
    folder.mkdir()
    return searching.search(TOY, str(folder / "study.db"))


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(searching.SearchError, match="there is no folder"):
        searching.search(TOY, str(tmp_path / "mistyped" / "study.db"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "storage",
    ["nothing://x/y", "{}/text.db", "sqlite://", "sqlite:///:memory:", "a?b.db"],
)
def test_what_is_no_storage_is_named(tmp_path, monkeypatch, storage):
    monkeypatch.setattr(searching.time, "sleep", lambda seconds: None)
    (tmp_path / "text.db").write_text("this is no data base" * 100)
    storage = storage.format(tmp_path)
    with pytest.raises(searching.SearchError, match=f"^{re.escape(storage)}"):
        searching.search(TOY, storage)


@pytest.mark.parametrize("secret", ["se/cret", "pa:ss@"])
def test_a_password_is_not_shown(secret):
    with pytest.raises(searching.SearchError) as error:
        searching.search(TOY, f"postgresql://user:{secret}@nowhere.invalid:1/x")
    assert secret not in str(error.value)


def test_the_first_trial_is_the_start_and_later_ones_are_better(reference):
    trials = reference.trials
    assert trials[0].params == {name: TOY.start[name] for name in TOY.space}
    assert len(trials) == len(counted(trials)) == TOY.trials
    assert reference.best_value > trials[0].value + 0.01


def test_a_value_is_the_mean_over_the_folds(reference):
    for trial in reference.trials:
        folds = [accuracy(TOY.start | trial.params, fold) for fold in range(TOY.folds)]
        assert (
            list(trial.intermediate_values.values())
            == folds[: len(trial.intermediate_values)]
        )
        if trial.state == TrialState.COMPLETE:
            assert trial.value == pytest.approx(fmean(folds), rel=1e-12)


def test_the_hopeless_are_given_up_early_and_only_they(reference):
    best = -math.inf
    states = set()
    for trial in reference.trials:
        folds = [accuracy(TOY.start | trial.params, fold) for fold in range(TOY.folds)]
        # on every fold the toy differs from the best by the same: worse on the first
        # four means given up there
        assert trial.state == (
            TrialState.COMPLETE if fmean(folds) > best else TrialState.PRUNED
        )
        assert len(trial.intermediate_values) == (
            5 if trial.state == TrialState.COMPLETE else 4
        )
        best = max(best, fmean(folds))
        states.add(trial.state)
    assert states == set(FINISHED)


def test_an_interrupted_search_equals_one_that_ran_through(reference, tmp_path):
    calls = iter(range(1_000_000))
    # in the first trial, early in another, and where the sampler has learnt
    errors = {2: KeyboardInterrupt, 9: ZeroDivisionError, 52: KeyboardInterrupt}

    def interrupted(setting, fold):
        if error := errors.get(next(calls)):
            raise error
        return accuracy(setting, fold)

    problem, storage = replace(TOY, accuracy=interrupted), str(tmp_path / "study.db")
    for error in errors.values():
        with pytest.raises(error):
            searching.search(problem, storage)
    study = searching.search(problem, storage)
    assert course(study) == course(reference)
    assert sum(trial.state == TrialState.FAIL for trial in study.trials) == 3


def worker(storage, *options):
    return subprocess.Popen(
        [sys.executable, __file__, storage, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_search_equals_one_that_ran_through(reference, tmp_path, capsys):
    storage = str(tmp_path / "study.db")
    process = worker(storage, "hang")
    assert any(line == "hanging\n" for line in process.stdout), process.stderr.read()
    process.kill()
    process.communicate()
    # a second one, killed before its first sign of life
    killed = optuna.load_study(study_name="toy", storage=f"sqlite:///{storage}").ask()

    study = searching.search(TOY, storage, grace=1)
    assert "2 trials are running" in capsys.readouterr().out
    assert course(study) == course(reference)
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.FAIL) == 2
    assert states[killed.number] == states[killed.number - 1] == TrialState.FAIL


def test_two_workers_share_a_study(tmp_path, capsys):
    storage, problem = (
        str(tmp_path / "study.db"),
        replace(TOY, accuracy=slow, trials=12),
    )
    process = worker(storage, "slow")
    while not (tmp_path / "study.db").is_file() and process.poll() is None:
        time.sleep(0.01)
    study = searching.search(problem, storage)
    theirs, errors = process.communicate()
    assert not process.returncode, errors
    ours = capsys.readouterr().out
    trials = [trial for trial in study.trials if trial.state != TrialState.FAIL]
    assert len(trials) == len(counted(trials)) == 12
    assert ours.count("toy ") + theirs.count("toy ") == 12
    assert min(ours.count("toy "), theirs.count("toy ")) > 0
    assert len({tuple(trial.params.values()) for trial in trials}) == 12


def test_two_workers_that_begin_at_once_try_different_settings(tmp_path):
    storage = str(tmp_path / "study.db")
    searching.search(replace(TOY, trials=1), storage)
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{storage}")
    both = [study.ask(), study.ask()]
    for trial in both:
        searching._score(TOY, study, trial)
    assert both[0].params["x"] != both[1].params["x"]


def test_of_two_workers_that_begin_the_last_trial_one_stands_back(
    tmp_path, monkeypatch
):
    ask, asked = optuna.Study.ask, []

    def also_asked_by_another(study, *arguments):
        asked.append(ask(study, *arguments))
        if len(asked) == 3:
            asked.append(ask(study, *arguments))
        return asked[-1]

    monkeypatch.setattr(optuna.Study, "ask", also_asked_by_another)
    study = searching.search(replace(TOY, trials=3), str(tmp_path / "study.db"))
    states = [trial.state for trial in study.trials]
    assert [
        states.count(state)
        for state in (*FINISHED, TrialState.RUNNING, TrialState.FAIL)
    ] == [1, 1, 1, 1]


def test_a_study_of_another_search_is_refused(tmp_path):
    storage = str(tmp_path / "study.db")
    searching.open_study(TOY, storage)
    searching.open_study(TOY, storage)
    for change in (
        {"space": TOY.space | {"x": FloatDistribution(0, 2)}},
        {
            "start": TOY.start | {"fixed": "otherwise"},
            "canary": lambda _: TOY.canary(TOY.start),
        },
        {"canary": lambda setting: [accuracy(setting, 0) + 0.01]},
    ):
        with pytest.raises(
            SearchError,
            match=(
                r"toy in .*study\.db was begun with other code or another "
                r"space.*remove"
            ),
        ):
            searching.open_study(replace(TOY, **change), storage)


def test_the_record_has_every_trial_and_the_best_is_optunas(reference):
    curves = searching.record(TOY, reference)
    summary, _ = searching.score(TOY.config(), curves, {})
    trials = reference.trials
    folds = [len(trial.intermediate_values) for trial in trials]
    assert curves["folds"] == [folds]
    assert len(curves["fold_accuracy"][0]) == sum(folds)
    assert curves["fold_accuracy"][0][folds[0]] == accuracy(
        TOY.start | trials[1].params, 0
    )
    assert curves["x"] == [[trial.params["x"] for trial in trials]]
    assert curves["kind"] == [["ab".index(trial.params["kind"]) for trial in trials]]
    assert (
        summary["best_accuracy"] == reference.best_value == max(curves["accuracy"][0])
    )
    assert (summary["trials"], summary["given_up"]) == (13, folds.count(4))
    assert searching.best(TOY.config(), curves) == TOY.start | reference.best_params


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("accuracy", "are not those of their folds"),
        ("fold_accuracy", "are not those of their folds"),
        ("x", "not every trial has all its numbers"),
    ],
)
def test_edited_trials_are_no_record(reference, name, message):
    curves = searching.record(TOY, reference)
    values = curves[name][0]
    changed = [values[0] + 0.01, *values[1:]] if "acc" in name else values[:-1]
    with pytest.raises(ValueError, match=message):
        searching.score(TOY.config(), curves | {name: [changed]}, {})


def some_trials(given_up=()):
    """Curves of forty trials whose accuracy is `x`, some of them given up."""
    rng = np.random.default_rng(0)
    curves = {
        "x": rng.random(40),
        "rate": 10 ** rng.uniform(-4, 0, 40),
        "kind": np.ones(40),
        "idle": 1.0 + 2 * rng.integers(0, 5, 40),
    }
    folds = [4 if place in given_up else TOY.folds for place in range(40)]
    curves |= {"accuracy": curves["x"], "folds": np.array(folds)}
    return {name: [values.tolist()] for name, values in curves.items()}


def test_importance_is_that_of_what_matters_and_varies():
    share = searching.importance(TOY.config(), some_trials())
    assert set(share) == {"x", "rate", "idle"}
    assert sum(share.values()) == pytest.approx(1)
    assert share["x"] > 0.9
    assert share == searching.importance(TOY.config(), some_trials())


def test_the_folds_of_the_best_trial_have_its_accuracy():
    run = experiments.get("magic", "search")
    found = searching.fold_accuracies(run.config, run.curves)
    assert len(found) == run.config["folds"]
    assert fmean(found) == pytest.approx(run.summary["best_accuracy"], rel=1e-12)


def test_importance_is_silent_so_that_two_renders_are_the_same(fork, tmp_path):
    code = (
        "from hw2 import experiments, searching\n"
        "run = experiments.get('magic', 'search')\n"
        "searching.importance(run.config, run.curves)"
    )
    done = fork(code, tmp_path, os.environ).wait()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importance_does_not_count_trials_that_were_given_up():
    config, curves = TOY.config(), some_trials(given_up=range(10))
    share = searching.importance(config, curves)
    assert searching.completed(config, curves) == list(range(10, 40))
    curves["accuracy"][0][:10] = 10 * [0.0]
    assert searching.importance(config, curves) == share
    assert share != searching.importance(config, some_trials())


def test_an_unfinished_study_is_no_record(tmp_path):
    with pytest.raises(SearchError, match="toy has 0 of 13 trials; `make search`"):
        searching.record(TOY, searching.open_study(TOY, str(tmp_path / "study.db")))


def slow(setting, fold):
    time.sleep(0.03)
    return accuracy(setting, fold)


def hang_in_the_last_trial(setting, fold):
    if (
        fold == 2
        and len(
            counted(
                optuna.load_study(
                    study_name="toy", storage=f"sqlite:///{sys.argv[1]}"
                ).trials
            )
        )
        == 12
    ):
        print("hanging", flush=True)
        time.sleep(60)
    return accuracy(setting, fold)


if __name__ == "__main__":
    how = {"slow": (slow, 12), "hang": (hang_in_the_last_trial, 13)}[sys.argv[2]]
    searching.search(
        replace(TOY, accuracy=how[0], trials=how[1]),
        sys.argv[1],
        grace=1 if sys.argv[2] == "hang" else 30,
    )
