"""Searches of hyper-parameters: seeded, resumable, and shared by any number of workers.

Optuna's tree-structured Parzen estimator (Watanabe 2023, arXiv:2304.11127) proposes
settings; the score of one is its mean accuracy over some folds, and a setting that a
Wilcoxon test finds worse than the best so far is given up after a few of them. A study
lies in a data base. With one worker at a time its trials are reproducible, however
often it is interrupted: the sampler is seeded for each trial anew, and a trial that was
interrupted does not count.
"""

import json
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler, PartialFixedSampler, TPESampler
from optuna.trial import TrialState

from hw2 import runs
from hw2.paths import ROOT

# `search` prints one line per trial, and what else optuna tells has the time in it
optuna.logging.set_verbosity(optuna.logging.ERROR)

Setting = dict[str, Any]  # hyper-parameters by name
Curves = dict[str, list[list[float]]]  # as in a recorded run

SEED = 211
P_THRESHOLD = 0.1  # of the Wilcoxon test
# before a trial is given up: with fewer the exact test cannot reach the threshold
FOLDS_AT_LEAST = 4
GRACE = 30  # seconds without a sign of life after which a worker is taken for dead
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class SearchError(Exception):
    """A study is missing, unfinished or that of another search; the message names it
    and the remedy.
    """


@dataclass(frozen=True)
class Problem:
    """What is searched for.

    `start` is the setting of the first trial and has every hyper-parameter; the others
    differ from it in `space`. `accuracy(setting, fold)` is the validation accuracy on
    one fold; `canary(setting)` are some losses, by which a study and a recorded run
    notice that the code has changed.
    """

    name: str
    start: Setting
    space: Mapping[str, BaseDistribution]
    accuracy: Callable[[Setting, int], float]
    canary: Callable[[Setting], list[float]]
    trials: int
    folds: int = 8

    def config(self) -> dict[str, Any]:
        """All that decides which trials the search makes."""
        return {
            "start": self.start,
            "space": {
                name: json.loads(distribution_to_json(item))
                for name, item in self.space.items()
            },
            "trials": self.trials,
            "folds": self.folds,
            "seed": SEED,
            "p_threshold": P_THRESHOLD,
            "folds_at_least": FOLDS_AT_LEAST,
        }


def default_storage() -> str:
    """Where the studies are: what HW2_STORAGE names (a data base's URL or a file), else
    a file of the build folder.
    """
    return os.environ.get("HW2_STORAGE") or str(ROOT / ".build" / "search.db")


def search(problem: Problem, storage: str, grace: int = GRACE) -> optuna.Study:
    """Make trials until `problem.trials` are finished, by whatever workers, or being
    made by others.

    `storage` is a data base's URL or the path of an SQLite file. Raises SearchError
    where its study is that of another search, and what `problem.accuracy` raises.
    """
    study = open_study(problem, storage, grace)
    _fail_dead_trials(study, grace)
    while len(_alive(study)) < problem.trials:
        study.optimize(
            partial(_score, problem, study),
            1,
            catch=_Surplus,
            callbacks=[partial(_tell_user, problem)],
        )
    return study


class _Surplus(Exception):
    """Another worker has just begun the last trial."""


def _score(problem: Problem, study: optuna.Study, trial: optuna.Trial) -> float:
    others = [other for other in _alive(study) if other.number != trial.number]
    if sum(other.number < trial.number for other in others) >= problem.trials:
        raise _Surplus
    study.sampler = _sampler(problem, trial.number, others)
    setting = problem.start | {
        name: _suggest(trial, name, item) for name, item in problem.space.items()
    }
    accuracies = []
    for fold in range(problem.folds):
        accuracies.append(problem.accuracy(setting, fold))
        trial.report(accuracies[-1], fold)
        if fold + 1 < problem.folds and trial.should_prune():
            raise optuna.TrialPruned
    return fmean(accuracies)


def _sampler(
    problem: Problem, number: int, others: list[optuna.trial.FrozenTrial]
) -> BaseSampler:
    """The sampler of one trial.

    Seeded by the number of finished trials, and where trials of other workers are
    running by this trial's own number too: of two that begin at once at least one sees
    the other.
    """
    alone = all(other.state.is_finished() for other in others)
    sampler = TPESampler(
        seed=SEED + len(others) + (0 if alone else 10_000 * (number + 1))
    )
    if any(other.number < number for other in others):
        return sampler
    return _quietly(
        PartialFixedSampler,
        {name: problem.start[name] for name in problem.space},
        sampler,
    )


def _suggest(trial: optuna.Trial, name: str, item: BaseDistribution) -> Any:
    match item:
        case FloatDistribution():
            return trial.suggest_float(
                name, item.low, item.high, step=item.step, log=item.log
            )
        case IntDistribution():
            return trial.suggest_int(
                name, item.low, item.high, step=item.step, log=item.log
            )
        case CategoricalDistribution():
            return trial.suggest_categorical(name, item.choices)
    raise TypeError(
        f"{name} is distributed as {item}, expected a Float-, Int- or "
        "CategoricalDistribution"
    )


def _seconds(trial: optuna.trial.FrozenTrial) -> float:
    assert trial.duration  # finished trials have one
    return trial.duration.total_seconds()


def _alive(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that are finished or running."""
    return study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.RUNNING))


def open_study(problem: Problem, storage: str, grace: int = GRACE) -> optuna.Study:
    """The study of a problem, a new one where there is none. Raises SearchError where
    it is that of another search.
    """
    url = storage
    if "://" not in storage:
        if storage == default_storage():
            try:
                Path(storage).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SearchError(
                    f"{storage} cannot be made ({error}); give another storage"
                ) from None
        elif not Path(storage).parent.is_dir():
            raise SearchError(
                f"{storage}: there is no folder {Path(storage).parent}; make it, or "
                "give another file"
            )
        if odd := set(storage) & set("?#%"):  # they are signs in a URL
            raise SearchError(
                f"{storage}: the name of a file here has no {min(odd)}; give another"
            )
        url = f"sqlite:///{storage}"
    elif re.fullmatch(r"sqlite(\+\w+)?:/*(:memory:)?", storage):
        raise SearchError(
            f"{storage} is in memory, where a search would be lost; give a file"
        )
    try:  # as it is shown, without a password
        shown = sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise SearchError(
            f"the storage is no URL of a data base ({error}); give a file, or "
            "dialect://user:password@host:port/name, signs such as / in it as %2F"
        ) from None
    if "://" in storage:
        storage = shown
    busy = (
        {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    )  # seconds that a worker waits
    for attempt in range(10):
        try:
            base = _quietly(
                optuna.storages.RDBStorage,
                url,
                busy,
                heartbeat_interval=max(1, grace // 6),
                grace_period=grace,
            )
            break
        except (sqlalchemy.exc.ArgumentError, ImportError) as error:
            raise SearchError(
                f"{storage}: no data base of this kind can be used ({error}); give a "
                "file, or the URL of one whose driver is installed"
            ) from None
        except (sqlalchemy.exc.DBAPIError, StorageInternalError) as error:
            # perhaps another worker is creating the same tables
            if attempt == 9:
                raise SearchError(
                    f"{storage} cannot be used as a storage ({error}); give another"
                ) from error
            time.sleep(0.5)
    study = optuna.create_study(
        storage=base,
        study_name=problem.name,
        direction="maximize",
        pruner=_quietly(
            optuna.pruners.WilcoxonPruner,
            p_threshold=P_THRESHOLD,
            n_startup_steps=FOLDS_AT_LEAST,
        ),
        load_if_exists=True,
    )
    config = json.loads(
        json.dumps(problem.config() | {"trials": 0})
    )  # more trials continue the same search
    canary = list(problem.canary(problem.start))
    known = study.user_attrs.get("canary", canary)
    same_code = runs.same_losses(known, canary, tolerance=1e-3)
    if not same_code or study.user_attrs.get("config", config) != config:
        raise SearchError(
            f"the study {problem.name} in {storage} was begun with "
            "other code or another space; "
            "give another storage, or remove the study: .venv/bin/optuna delete-study "
            f"--study-name {problem.name} --storage {shown}"
        )
    study.set_user_attr("config", config)
    study.set_user_attr("canary", canary)
    return study


def _fail_dead_trials(study: optuna.Study, grace: int) -> None:
    """Wait until every running trial has shown a sign of life or, its worker being
    dead, has failed.
    """
    seen = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if not seen:
        return
    print(
        (
            f"{len(seen)} trials are running; waiting {grace} s, in case their workers "
            "are "
            "dead"
        ),
        flush=True,
    )
    end = time.monotonic() + grace + 2  # the data base's clock counts whole seconds
    while time.monotonic() < end and any(
        trial.state == TrialState.RUNNING for trial in seen
    ):
        time.sleep(0.2)
        _quietly(optuna.storages.fail_stale_trials, study)
        seen = [study.get_trials(deepcopy=False)[trial.number] for trial in seen]
    for trial in seen:
        if (
            trial.state == TrialState.RUNNING and not trial.params
        ):  # killed before its first sign of life
            study.tell(trial.number, state=TrialState.FAIL)


def _tell_user(
    problem: Problem, study: optuna.Study, trial: optuna.trial.FrozenTrial
) -> None:
    if trial.state in FINISHED:
        finished, reached = (
            study.get_trials(deepcopy=False, states=FINISHED),
            trial.intermediate_values,
        )
        accuracy = (
            f"{fmean(reached.values()):.4f} on {len(reached)} of {problem.folds} folds"
        )
        seconds = f"{_seconds(trial):.0f} s"
        best = f"best {study.best_value:.4f}"
        print(
            (
                f"{problem.name} {len(finished)} of {problem.trials}: {accuracy}, "
                f"{seconds}, {best}; {trial.params}"
            ),
            flush=True,
        )


def _quietly(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call what optuna warns of as experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return function(*arguments, **options)


# --- its record ---


def record(problem: Problem, study: optuna.Study) -> Curves:
    """Curves of a finished study, in the order of its trials.

    They are `accuracy` (the mean over the folds that a trial reached), `folds` (how
    many these are), `fold_accuracy` (those of all trials, one after the other),
    `seconds`, and each hyper-parameter, a choice as its place among the choices. Raises
    SearchError for a study that has too few trials.
    """
    trials = study.get_trials(deepcopy=False, states=FINISHED)
    if len(trials) < problem.trials:
        raise SearchError(
            f"the study {problem.name} has {len(trials)} of {problem.trials} trials; "
            "`make search` makes the others"
        )
    reached = [
        [trial.intermediate_values[fold] for fold in sorted(trial.intermediate_values)]
        for trial in trials
    ]
    accuracies = [fmean(values) for values in reached]
    seconds = [_seconds(trial) for trial in trials]
    numbers: dict[str, list[float]] = {
        "accuracy": accuracies,
        "folds": [len(values) for values in reached],
        "fold_accuracy": list(chain.from_iterable(reached)),
        "seconds": seconds,
    }
    numbers |= {
        name: [item.to_internal_repr(t.params[name]) for t in trials]
        for name, item in problem.space.items()
    }
    return {name: [values] for name, values in numbers.items()}


def score(
    config: Mapping[str, Any], curves: Curves, _: Mapping[str, Any]
) -> tuple[dict[str, float], Curves]:
    """What follows from the trials of a recorded search. Raises ValueError for curves
    that do not fit together.
    """
    folds, each = [int(n) for n in curves["folds"][0]], trial_accuracies(curves)
    if len(curves["fold_accuracy"][0]) != sum(folds) or not np.allclose(
        [fmean(values) for values in each], curves["accuracy"][0], rtol=1e-9
    ):
        raise ValueError("the accuracies of the trials are not those of their folds")
    if any(
        len(values) != 1 or len(values[0]) != len(folds)
        for name, values in curves.items()
        if name != "fold_accuracy"
    ):
        raise ValueError("not every trial has all its numbers")
    return {
        "best_accuracy": curves["accuracy"][0][best_trial(config, curves)],
        "trials": len(folds),
        "given_up": sum(n < config["folds"] for n in folds),
        "seconds": sum(curves["seconds"][0]),
    }, {}


def best_trial(config: Mapping[str, Any], curves: Curves) -> int:
    """Place of the best of the trials of a recorded search that went through all
    folds.
    """
    return max(completed(config, curves), key=lambda i: curves["accuracy"][0][i])


def completed(config: Mapping[str, Any], curves: Curves) -> list[int]:
    """Places of the trials of a recorded search that went through all folds."""
    return [i for i, folds in enumerate(curves["folds"][0]) if folds == config["folds"]]


def importance(config: Mapping[str, Any], curves: Curves) -> dict[str, float]:
    """Share of the variance of the accuracy over the trials that went through all folds
    that each hyper-parameter explains, by a functional ANOVA (Hutter et al. 2014).

    The mean of a trial that was given up is over other folds, and does not count. What
    is the same in all of these trials is left out.
    """
    places = completed(config, curves)
    space = {
        name: item
        for name, item in _space(config).items()
        if len({curves[name][0][i] for i in places}) > 1
    }
    study = optuna.create_study()
    for i in places:
        params = {
            name: item.to_external_repr(curves[name][0][i])
            for name, item in space.items()
        }
        accuracy = curves["accuracy"][0][i]
        study.add_trial(
            optuna.create_trial(params=params, distributions=space, value=accuracy)
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=SEED)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def fold_accuracies(config: Mapping[str, Any], curves: Curves) -> list[float]:
    """Validation accuracies of that trial, one per fold."""
    return trial_accuracies(curves)[best_trial(config, curves)]


def trial_accuracies(curves: Curves) -> list[list[float]]:
    """Validation accuracies of each trial, one per fold that it went through."""
    folds = [int(n) for n in curves["folds"][0]]
    ends = accumulate(folds)
    return [
        curves["fold_accuracy"][0][end - n : end]
        for n, end in zip(folds, ends, strict=True)
    ]


def best(config: Mapping[str, Any], curves: Curves) -> Setting:
    """The setting of that trial."""
    place = best_trial(config, curves)
    return config["start"] | {
        name: item.to_external_repr(curves[name][0][place])
        for name, item in _space(config).items()
    }


def _space(config: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    return {
        name: json_to_distribution(json.dumps(item))
        for name, item in config["space"].items()
    }
