"""Task 2: the search of the network's hyper-parameters, on validation data only."""

from dataclasses import replace
from pathlib import Path

from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hw2 import searching
from hw2.data import magic as data
from hw2.searching import Problem, Setting
from hw2.tasks import Experiment, Result, magic

# fixed, whatever `magic.Config` has by now: it is where the search began
START: Setting = {
    "members": 2,
    "depth": 4,
    "width": 128,
    "frequencies": 8,
    "bandwidth": 0.1,
    "activation": "silu",
    "initialization": "kaiming_normal",
    "dropout": 0.2,
    "learning_rate": 2e-3,
    "schedule": "one_cycle",
    "weight_decay": 0.02,
    "batch_size": 256,
    "epochs": 20,
    "transform": "quantile",
    "derived": True,
}
SPACE: dict[str, BaseDistribution] = {
    "depth": IntDistribution(2, 6),
    "width": IntDistribution(64, 128, step=32),
    "bandwidth": FloatDistribution(0.02, 0.3, log=True),
    "activation": CategoricalDistribution(["relu", "gelu", "silu"]),
    "dropout": FloatDistribution(0.0, 0.4),
    "learning_rate": FloatDistribution(5e-4, 1e-2, log=True),
    "weight_decay": FloatDistribution(1e-3, 0.3, log=True),
    "batch_size": CategoricalDistribution([128, 256, 512]),
    "transform": CategoricalDistribution(["quantile", "log"]),
}

NETWORK = Problem(
    "network",
    START,
    SPACE,
    accuracy=lambda setting, fold: magic.cross_validate(
        magic.Config(**setting), fold, seed=fold
    ),
    canary=magic.canary,
    trials=40,
)


def search(storage: str, trials: int = NETWORK.trials) -> None:
    """Make trials until so many are finished. Raises SearchError; see
    `hw2.searching.search`.
    """
    searching.search(replace(NETWORK, trials=trials), storage)


def result(problem: Problem, study: Study) -> Result:
    """A finished study as what an experiment gives. Raises SearchError for an
    unfinished one.
    """
    curves = searching.record(problem, study)
    return Result(problem.config(), [searching.SEED], curves, {})


def _read(_: Path) -> Result:
    return result(NETWORK, searching.open_study(NETWORK, searching.default_storage()))


EXPERIMENTS = {
    "search": Experiment(
        config=NETWORK.config(),
        data=data.FILE,
        train=_read,
        canary=lambda config: NETWORK.canary(config["start"]),
        score=searching.score,
        seeds=[searching.SEED],
    )
}
