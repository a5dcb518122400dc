"""Task 2: what the network is compared with: logistic regression, and the two tree
ensembles a practitioner would try.

The trees are tuned by the network's own kind of search (`hw2.searching`), on the same
eight folds. They see the features unscaled, for a monotone transform moves no split.
Boosting is tuned twice: on the given features, and with the network's derived ones.
"""

from functools import partial

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.base import ClassifierMixin
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from hw2 import searching
from hw2.data import magic as data
from hw2.searching import Problem, Setting
from hw2.tasks import Config, Experiment, Result, magic
from hw2.tasks.magic_search import result

ESTIMATORS: dict[str, type[ClassifierMixin]] = {
    "boosting": HistGradientBoostingClassifier,
    "forest": RandomForestClassifier,
}

# --- the search: each begins near scikit-learn's defaults ---

BOOSTING_START: Setting = {
    "derived": False,  # whether the features of `magic.derive` are given too
    "learning_rate": 0.1,
    "max_iter": 100,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 20,
    "l2_regularization": 1e-3,
    "max_features": 1.0,
    # it would hold out training rows, and max_iter is searched for
    "early_stopping": False,
}
BOOSTING_SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(0.01, 0.3, log=True),
    "max_iter": IntDistribution(50, 500, log=True),
    "max_leaf_nodes": IntDistribution(8, 128, log=True),
    "min_samples_leaf": IntDistribution(5, 200, log=True),
    "l2_regularization": FloatDistribution(1e-3, 100.0, log=True),
    "max_features": FloatDistribution(0.2, 1.0),
}
FOREST_START: Setting = {
    "derived": False,
    "n_estimators": 300,
    "max_features": 0.3,
    "min_samples_leaf": 1,
    "criterion": "gini",
    "max_samples": 1.0,
}
FOREST_SPACE: dict[str, BaseDistribution] = {
    "max_features": FloatDistribution(0.1, 0.8),
    "min_samples_leaf": IntDistribution(1, 20, log=True),
    "criterion": CategoricalDistribution(["gini", "entropy"]),
    "max_samples": FloatDistribution(0.3, 1.0),
}


def estimator(kind: str, setting: Setting, seed: int) -> Pipeline:
    """A tree ensemble, "boosting" or "forest", with a setting."""
    parameters = {name: value for name, value in setting.items() if name != "derived"}
    features = FunctionTransformer(magic.derive if setting["derived"] else None)
    return make_pipeline(features, ESTIMATORS[kind](**parameters, random_state=seed))


def accuracy(kind: str, setting: Setting, fold: int) -> float:
    """Validation accuracy on one of the eight folds of the real data."""
    frame, split, _ = magic.load()
    x, y = data.arrays(frame)
    train, validation = magic.folds(frame, split)[fold]
    return float(
        estimator(kind, setting, seed=fold)
        .fit(x[train], y[train])
        .score(x[validation], y[validation])
    )


def canary(kind: str, setting: Setting) -> list[float]:
    """The loss on made-up rows after fitting others."""
    rng = np.random.default_rng(0)
    x = rng.lognormal(3, 1, (400, len(data.FEATURES)))
    y = (x[:, 0] + rng.normal(0, 5, 400) > x[:, 1]).astype(int)
    fitted = estimator(kind, setting, seed=0).fit(x[:200], y[:200])
    return [log_loss(y[200:], fitted.predict_proba(x[200:]), labels=[0, 1])]


def _problem(
    name: str,
    kind: str,
    start: Setting,
    space: dict[str, BaseDistribution],
    trials: int,
) -> Problem:
    return Problem(
        name,
        start,
        space,
        accuracy=lambda setting, fold: accuracy(kind, setting, fold),
        canary=lambda setting: canary(kind, setting),
        trials=trials,
    )


PROBLEMS = {
    "boosting": _problem(
        "boosting", "boosting", BOOSTING_START, BOOSTING_SPACE, trials=100
    ),
    "boosting_derived": _problem(
        "boosting_derived",
        "boosting",
        BOOSTING_START | {"derived": True},
        BOOSTING_SPACE,
        trials=100,
    ),
    "forest": _problem("forest", "forest", FOREST_START, FOREST_SPACE, trials=10),
}

# --- the models ---

BOOSTING: Setting = BOOSTING_START | {
    "learning_rate": 0.11413880471650095,
    "max_iter": 108,
    "max_leaf_nodes": 36,
    "min_samples_leaf": 50,
    "l2_regularization": 0.005719018896114728,
    "max_features": 0.7733702230919142,
}
BOOSTING_DERIVED: Setting = BOOSTING_START | {
    "derived": True,
    "learning_rate": 0.07566661096675895,
    "max_iter": 261,
    "max_leaf_nodes": 66,
    "min_samples_leaf": 5,
    "l2_regularization": 63.57218546857668,
    "max_features": 0.2867593004513063,
}
FOREST: Setting = FOREST_START  # the search found none better
CHOSEN = {
    "boosting": BOOSTING,
    "boosting_derived": BOOSTING_DERIVED,
    "forest": FOREST,
}  # the best of PROBLEMS
AVERAGED = magic.Config.members  # boosted models, as the network has members


def logistic() -> Pipeline:
    """Logistic regression on standardized features, as the assignment asks; the scaler
    is fitted with it.
    """
    return make_pipeline(StandardScaler(), LogisticRegression(solver="lbfgs"))


def prepared() -> Pipeline:
    """Logistic regression on what the network gets: derived features and quantiles."""
    return make_pipeline(
        magic.preprocessor(magic.Config()),
        LogisticRegression(solver="lbfgs", max_iter=1000),
    )


def averaged(setting: Setting, seed: int) -> VotingClassifier:
    """The mean of the probabilities of as many boosted models as the network has
    members, with seeds of their own.
    """
    members = [
        (str(i), estimator("boosting", setting, AVERAGED * seed + i))
        for i in range(AVERAGED)
    ]
    return VotingClassifier(members, voting="soft")


def models(seed: int) -> dict[str, ClassifierMixin]:
    """The baselines, unfitted: features (rows x 10, raw) to the label, 1 for a
    hadron.
    """
    return {
        "logistic regression": logistic(),
        "logistic regression, derived features": prepared(),
        "boosting, default": HistGradientBoostingClassifier(random_state=seed),
        "boosting, tuned": averaged(BOOSTING, seed),
        "boosting, derived features": averaged(BOOSTING_DERIVED, seed),
        "forest, tuned": estimator("forest", FOREST, seed),
    }


def tuned(problem: Problem) -> Result:
    """The finished study of tree models in the default storage, after the trials that
    it lacks.
    """
    return result(problem, searching.search(problem, searching.default_storage()))


def _canary(problem: Problem, config: Config) -> list[float]:
    return problem.canary(config["start"])


EXPERIMENTS = {
    f"search_{kind}": Experiment(
        config=problem.config(),
        data=data.FILE,
        train=lambda _, problem=problem: tuned(problem),
        canary=partial(_canary, problem),
        score=searching.score,
        seeds=[searching.SEED],
    )
    for kind, problem in PROBLEMS.items()
}
