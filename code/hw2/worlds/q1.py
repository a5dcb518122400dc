"""Question 1: integer matrices of several sizes and ranks. Means over the Gaussian
teacher and noise are exact: everything they are taken of has degree two, and the
outcomes have the means and covariances of the Gaussian vectors.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from hw2.formulas.checking import Case, World
from hw2.formulas.meaning import (
    Free,
    Given,
    Identity,
    Law,
    Outcome,
    Scope,
    column,
    equal,
    truth,
    value,
)
from hw2.formulas.reading import Node
from hw2.theory import bayes_risk

MATRICES = {
    "2 x 3": [[1, -2, 2], [0, 1, 3]],
    "3 x 2": [[1, 0], [1, 1], [0, 0]],
    "3 x 2 of rank 1": [[1, 2], [2, 4], [-1, -2]],
    "1 x 1": [[3]],
    "1 x 2, zero": [[0, 0]],
}
NOT_ZERO = tuple(name for name in MATRICES if "zero" not in name)
FULL_COLUMN_RANK = ("3 x 2", "1 x 1")
SIGMA_W, SIGMA_EPSILON, S = 0.9, 0.7, 0.8


# --- means ---


@cache
def simplex(size: int) -> np.ndarray:
    """The corners of a regular simplex as rows: their mean is 0 and the mean of their
    squares the identity.
    """
    steps = np.column_stack([np.ones(size + 1), np.eye(size + 1, size)])
    return np.linalg.qr(steps)[0][:, 1:] * np.sqrt(size + 1)


@cache
def mixing(total: int) -> np.ndarray:
    rng = np.random.default_rng(211)
    return np.linalg.qr(rng.standard_normal((total, total)))[0]


@cache
def outcomes(d: int, N: int, n: int) -> list[Outcome]:
    """Teacher and noise are uncorrelated, with the means and covariances of the page;
    the lemma's z has its own, and is not uncorrelated with them.
    """
    corners = simplex(d + N)
    return [
        Outcome(
            1 / len(corners),
            {
                "w_true": column(SIGMA_W / np.sqrt(d) * corner[:d]),
                "epsilon": column(SIGMA_EPSILON * corner[d:]),
                "z": column(S * (mixing(d + N) @ corner)[:n]),
            },
        )
        for corner in corners
    ]


def measure(scope: Scope) -> Sequence[Outcome]:
    return outcomes(scope["d"], scope["N"], scope["n"])


# --- by other means than the page's ---


def inverse(scope: Scope, mu: float | None = None) -> np.ndarray:
    """H_mu^-1, or at mu = 0 the limit on the range of H."""
    X, mu = np.atleast_2d(scope["X"]), scope["mu"] if mu is None else mu
    h = X.T @ X + mu * np.eye(X.shape[1])
    return np.linalg.inv(h) if mu else np.linalg.pinv(h)


def summands(scope: Scope, mu: float) -> np.ndarray:
    """The mean squared error along each eigenvector, from the error's covariance."""
    X, Q = np.atleast_2d(scope["X"]), np.atleast_2d(scope["Q"])
    fit = inverse(scope, mu) @ X.T
    bias = fit @ X - np.eye(len(Q))
    covariance = SIGMA_W**2 / len(Q) * bias @ bias.T + SIGMA_EPSILON**2 * fit @ fit.T
    return np.diag(Q.T @ covariance @ Q)


def slope(scope: Scope, mu: float) -> np.ndarray:
    step = 1e-4 * mu
    return (summands(scope, mu + step) - summands(scope, mu - step)) / (2 * step)


def variance(scope: Scope, name: str) -> float:
    """Of the first coordinate."""
    return sum(o.weight * float(o[name][0, 0]) ** 2 for o in measure(scope))


def best(scope: Scope) -> float:
    """The variance of the noise over that of a coordinate of the teacher."""
    return variance(scope, "epsilon") / variance(scope, "w_true")


def posterior(scope: Scope) -> Law:
    """By the formula for jointly Gaussian vectors."""
    X = np.atleast_2d(scope["X"])
    prior = SIGMA_W**2 / X.shape[1] * np.eye(X.shape[1])
    gain = (
        prior @ X.T @ np.linalg.inv(X @ prior @ X.T + SIGMA_EPSILON**2 * np.eye(len(X)))
    )
    return Law("N", (gain @ np.atleast_2d(scope["y"]), prior - gain @ X @ prior))


def objective(scope: Scope, w: np.ndarray, mu: float) -> float:
    X, y = np.atleast_2d(scope["X"]), np.atleast_2d(scope["y"])
    return float(((y - X @ w) ** 2).sum() + mu * (w**2).sum())


def gradient(scope: Scope) -> np.ndarray:
    w, mu = np.atleast_2d(scope["w"]), scope["mu"]
    return column(  # exact for a quadratic function
        (objective(scope, w + e, mu) - objective(scope, w - e, mu)) / 2
        for e in map(column, np.eye(len(w)))
    )


def constant(scope: Scope) -> float:
    """What the exponent is at its largest value."""
    at = np.atleast_2d(posterior(scope).parameters[0])
    return -objective(scope, at, best(scope)) / (2 * SIGMA_EPSILON**2)


def quadratic_part(scope: Scope) -> float:
    w, mu = np.atleast_2d(scope["w"]), best(scope)
    both = objective(scope, w, mu) + objective(scope, -w, mu)
    return both / 2 - objective(scope, 0 * w, mu)


def eigenvalue(scope: Scope) -> float:
    """Of H + mu I, which belongs to lambda_i."""
    X = np.atleast_2d(scope["X"])
    values = np.linalg.eigvalsh(X.T @ X + scope["mu"] * np.eye(X.shape[1]))
    return float(values[::-1][scope["i"] - 1])


def enlarged(scope: Scope) -> np.ndarray:
    """What a new row changes in H."""
    X, row = np.atleast_2d(scope["X"]), np.atleast_2d(scope["x"]).T
    more = np.vstack([X, row])
    return more.T @ more - X.T @ X


noise_form = Given(
    lambda s: np.atleast_2d(s["X"]) @ inverse(s) @ inverse(s) @ np.atleast_2d(s["X"]).T
)
coordinate = Given(lambda scope: variance(scope, "w_true"))
bias_form = Given(lambda scope: inverse(scope) @ inverse(scope))


def at_best(name: str) -> Given:
    """A symbol that depends on mu, at the best mu."""
    return Given(
        lambda scope: scope.with_({"mu": scope["mu^star"]}).without(name)[name]
    )


# --- judgements ---


def teacher_entries(node: Node, scope: Scope) -> bool:
    """s^2 is here the variance of an entry of the teacher."""
    return truth(node, scope.with_({"s": np.sqrt(variance(scope, "w_true"))}))


def least_at_student(node: Node, scope: Scope) -> bool:
    """The student is where the expression is smallest."""
    w = np.atleast_2d(scope["w_mu"])

    def at(moved: np.ndarray) -> float:
        return value(node, scope.with_({"w": moved}))

    return equal(at(w), objective(scope, w, scope["mu"])) and all(
        at(w + sign * column(e)) > at(w) for e in np.eye(len(w)) for sign in (1, -1)
    )


def where_risk(sign: int) -> Callable[[Node, Scope], bool]:
    """Whether a condition on mu > 0 holds just where the risk falls (-1) or rises."""

    def judge(node: Node, scope: Scope) -> bool:
        mu = scope["mu"]
        change = slope(scope, mu).sum() if mu > 0 else 0.0
        wanted = abs(change) > 1e-7 and np.sign(change) == sign
        return scope["r"] > 0 and truth(node, scope) == wanted

    return judge


def levels(scope: Scope) -> tuple[float, ...]:
    found = best(scope)
    return -1.0, 0.0, 0.01 * found, 0.9 * found, found, 1.1 * found, 100 * found


def has_sign_of_slope(node: Node, scope: Scope) -> bool:
    found = slope(scope, scope["mu"])[scope["i"] - 1]
    return np.sign(value(node, scope)) == np.sign(found)


def eigenvalue_bound(node: Node, scope: Scope) -> bool:
    """The first member is the eigenvalue, and the bound is reached where X has not full
    rank.
    """
    first, bound, lowest = (value(part, scope) for part in node.parts)
    reached = scope["lambda"][scope["i"] - 1] > 0 or equal(first, bound)
    known = equal(first, eigenvalue(scope)) and equal(bound, scope["mu"])
    return truth(node, scope) and known and reached and lowest == 0


def bounded(node: Node, scope: Scope) -> bool:
    """The bound is what one has without data."""
    low, high = (value(part, scope) for part in node.parts)
    without = sum(o.weight * float((o["w_true"] ** 2).sum()) for o in measure(scope))
    return (
        truth(node, scope)
        and equal(high, without)
        and (scope["r"] > 0 or equal(low, high))
    )


def uncorrelated_with_labels(node: Node, scope: Scope) -> bool:
    """Given y it has mean 0: of jointly Gaussian vectors those that are uncorrelated
    with y.
    """
    total = sum(
        o.weight
        * np.atleast_2d(value(node, scope.with_(o)))
        @ np.atleast_2d(scope.with_(o)["y"]).T
        for o in measure(scope)
    )
    shift = scope.with_(
        {"w_true": scope["w_true"] + 1, "epsilon": scope["epsilon"] - 1}
    )
    moves = not equal(value(node, scope), value(node, shift))
    return moves and bool(np.abs(total).max() < 1e-9)


def fixed_by_labels(node: Node, scope: Scope) -> bool:
    """Another teacher with another noise, but the same labels, does not change it."""
    X, w = np.atleast_2d(scope["X"]), np.atleast_2d(scope["w_true"])
    change = column(range(1, len(w) + 1))
    other = scope.with_(
        {
            "w_true": w + change,
            "epsilon": np.atleast_2d(scope["epsilon"]) - X @ change,
        }
    )
    wanted = np.atleast_2d(scope["hat-w"]) - posterior(scope).parameters[0]
    return equal(value(node, scope), value(node, other)) and equal(
        value(node, scope), wanted
    )


def mean_is_bound(node: Node, scope: Scope) -> bool:
    mean = sum(o.weight * value(node, scope.with_(o)) for o in measure(scope))
    return equal(mean, SIGMA_W**2)


# --- the world ---


def samples(scope: Scope) -> range:
    return range(1, scope["N"] + 1)


def entries(scope: Scope) -> range:
    return range(1, scope["n"] + 1)


def positive(scope: Scope) -> range:
    return range(1, scope["r"] + 1)


def zero(scope: Scope) -> range:
    return range(scope["r"] + 1, scope["d"] + 1)


def instance(rows: list[list[int]]) -> dict[str, object]:
    X = np.array(rows, dtype=float)
    N, d = X.shape
    rng = np.random.default_rng(211)
    values, vectors = np.linalg.eigh(X.T @ X)
    rank = int(np.linalg.matrix_rank(X))
    values, vectors = values[::-1].copy(), vectors[:, ::-1]  # the positive ones first
    values[rank:] = 0
    estimator = rng.standard_normal((d, N))  # any function of y; here a linear one
    indices, n = range(1, d + 1), min(3, d + N)

    def drawn(size: int) -> np.ndarray:
        return column(rng.integers(-3, 4, size) + 0.5)

    def normal(mean: Any, covariance: Any) -> Law:
        if d > 1 and not (isinstance(covariance, Identity) or np.ndim(covariance)):
            raise ValueError("the covariance is a number")
        return Law("N", (mean, covariance))

    return {
        "X": X,
        "N": N,
        "d": d,
        "I": Identity(),
        "mu": Free((0.5, 2.0), (0.0, -1.0)),
        "sigma_w": Free((SIGMA_W,), (0.0, -1.0)),
        "sigma_epsilon": Free((SIGMA_EPSILON,), (0.0, -1.0)),
        "epsilon": Free((drawn(N),)),
        "w_true": Free((drawn(d),)),
        "law w_true": Law("N", (0, Identity(SIGMA_W**2 / d))),
        "law epsilon": Law("N", (0, Identity(SIGMA_EPSILON**2))),
        "cal-N": normal,
        "lambda": list(values),
        "Q": vectors,
        "Lambda": np.diag(values),
        "r": rank,
        "w": Free((drawn(d), drawn(d))),
        "w_mustar": at_best("w_mu"),
        "H_mustar": at_best("H_mu"),
        "hat-w": Given(lambda scope: estimator @ np.atleast_2d(scope["y"])),
        "const": Given(constant),
        "A": Given(lambda s: inverse(s) @ inverse(s) @ X.T),
        "X^+": np.linalg.pinv(X),
        "i": Free(tuple(indices)),
        "j": Free(tuple(range(1, N + 1))),
        "k": Free(tuple(indices)),
        "range i": indices,
        "range k": indices,
        "range j": range(1, N + 1),
        # of the lemma
        "n": n,
        "s": S,
        "z": Free((drawn(n),)),
        "M": np.array([[1.0, 2, 0], [3, -1, 4], [0.5, 2, 2]])[:n, :n],
        "delta": lambda i, j: int(i == j),
        "x": Free((drawn(d),)),
        "v": Free((drawn(d), column([0] * d))),
        "a": Free((drawn(d),)),
        "b": Free((drawn(d),)),
    }


def entry(values: Callable[[Scope], np.ndarray]) -> Callable[[Scope], float]:
    return lambda scope: float(values(scope)[scope["i"] - 1])


def sloped(scope: Scope) -> float:
    scope.loose[0] = True  # a difference quotient
    return float(slope(scope, scope["mu"])[scope["i"] - 1])


WORLD = World(
    section="q1",
    how="integer matrices of ranks 0 to 2, wide, tall and deficient; means exact",
    instances={name: instance(rows) for name, rows in MATRICES.items()},
    functions=frozenset({"cal-R", "overline-cal-R", "cal-N", "delta"}),
    defined=frozenset({"H", "H_mu", "y", "w_mu", "cal-R", "overline-cal-R", "mu^star"}),
    measures={"": measure, "epsilon,wtrue": measure},
    cases=(
        # the model
        Case(r"\| y - X w \|^2 + \mu \| w \|^2", holds=least_at_student),
        Case(r"2 (H_\mu w - X^T y)", equals=gradient),
        Case(r"v^T H v = \| X v \|^2 \ge 0", equals=lambda scope: 0),
        Case(
            r"\lambda_i + \mu \ge \mu > 0",
            outside={"mu": (0.0, -1.0)},
            holds=eigenvalue_bound,
        ),
        # the means
        Case(
            r"\mathbb{E}[z_i z_j] = s^2 \delta_{ij}",
            where={"i": entries, "j": entries},
        ),
        Case(r"s^2 = \sigma_w^2 / d", holds=teacher_entries),
        Case(r"M = H_\mu^{-2}", bind={"M": bias_form}),
        Case(r"M = X H_\mu^{-1} H_\mu^{-1} X^T", bind={"M": noise_form}),
        Case(
            r"\| H_\mu^{-1} X^T \epsilon \|^2 = \epsilon^T M \epsilon",
            bind={"M": noise_form},
        ),
        Case(
            "M_{ij}",
            where={"i": samples, "j": samples},
            bind={"M": noise_form},
            equals=lambda s: float(
                (np.atleast_2d(s["X"]) @ inverse(s))[s["i"] - 1]
                @ (inverse(s) @ np.atleast_2d(s["X"]).T)[:, s["j"] - 1]
            ),
        ),
        Case(
            r"\mathbb{E}[\epsilon_i \epsilon_j] = \sigma_\epsilon^2 \delta_{ij}",
            where={"i": samples},
        ),
        Case(
            r"\sigma_\epsilon^2 \operatorname{tr}(M)",
            bind={"M": noise_form},
            equals=lambda s: sum(
                o.weight
                * float(
                    ((inverse(s) @ np.atleast_2d(s["X"]).T @ o["epsilon"]) ** 2).sum()
                )
                for o in measure(s)
            ),
        ),
        # the simulations
        Case("d = 50", bind={"d": bayes_risk.FEATURES}, times=2),
        Case("N = 30", bind={"N": bayes_risk.SAMPLES}, times=2),
        Case(r"\mu = 1", bind={"mu": bayes_risk.CHECKED[0]}),
        Case("10", equals=lambda scope: bayes_risk.CHECKED[1]),
        Case("100", equals=lambda scope: bayes_risk.CHECKED[2]),
        Case(r"\sigma_w = 1", bind={"sigma_w": bayes_risk.TEACHER}),
        Case("d = 10", bind={"d": bayes_risk.GROWING_FEATURES}),
        Case(
            r"\sigma_w = \sigma_\epsilon = 1",
            bind=dict.fromkeys(("sigma_w", "sigma_epsilon"), bayes_risk.GROWING_SIGMA),
        ),
        # the best regularization
        Case(r"a = \sigma_w^2 / d", bind={"a": coordinate}),
        Case(
            r"2 a \mu (\lambda_i + \mu) - 2 (a \mu^2 + \sigma_\epsilon^2 \lambda_i)"
            r" = 2 \lambda_i (a \mu - \sigma_\epsilon^2)",
            bind={"a": coordinate},
            equals=lambda scope: sloped(scope) * eigenvalue(scope) ** 3,
        ),
        Case(r"\lambda_i + \mu", equals=eigenvalue),
        Case(
            r"\lambda_i > 0",
            where={"i": positive},
            outside={"i": zero},
            after=("All summands with", r"sign of $\mu - \mu^\star$ for"),
        ),
        Case(
            r"\lambda_i = 0",
            where={"i": zero},
            outside={"i": positive},
            after=("It is 0 for", "At"),
        ),
        Case(r"d\, \sigma_\epsilon^2 / \sigma_w^2", equals=best),
        Case(r"X \neq 0", only=NOT_ZERO, times=2),
        Case(
            r"0 < \mu < \mu^\star",
            where={"mu": levels},
            only=NOT_ZERO,
            holds=where_risk(-1),
            after=("falls strictly for",),
        ),
        Case(
            r"\mu > \mu^\star",
            where={"mu": levels},
            only=NOT_ZERO,
            holds=where_risk(1),
            after=("rises strictly for",),
        ),
        Case(
            r"2 \lambda_i (\sigma_w^2 / d) (\mu - \mu^\star) / (\lambda_i + \mu)^3",
            equals=sloped,
        ),
        Case(
            r"\mu - \mu^\star",
            where={
                "i": positive,
                "mu": lambda scope: levels(scope)[2:4] + levels(scope)[5:],
            },
            holds=has_sign_of_slope,
        ),
        Case(
            r"(\sigma_w^2 / d)\, \mu^\star",
            equals=lambda scope: SIGMA_EPSILON**2,
        ),
        Case(
            r"\sigma_\epsilon^2 (\mu^\star + \lambda_i)",
            equals=entry(
                lambda s: summands(s, best(s)) * (np.array(s["lambda"]) + best(s)) ** 2
            ),
        ),
        Case(
            r"d / \sigma_w^2 + \lambda_i / \sigma_\epsilon^2",
            equals=entry(lambda scope: 1 / summands(scope, best(scope))),
        ),
        Case(
            r"\mathcal{N} (w_{\mu^\star},\, \sigma_\epsilon^2 H_{\mu^\star}^{-1})",
            equals=posterior,
        ),
        Case(r"w^T H_{\mu^\star} w", equals=quadratic_part),
        Case(r"w_{\mu^\star} - w_{\mathrm{true}}", holds=uncorrelated_with_labels),
        Case(r"\hat{w} - w_{\mu^\star}", holds=fixed_by_labels),
        # too little and too much
        Case(
            r"\lambda_r",
            only=NOT_ZERO,
            equals=lambda scope: min(x for x in scope["lambda"] if x > 0),
        ),
        Case("d - r", equals=lambda s: sum(x == 0 for x in s["lambda"])),
        Case(r"\mu = 0", where={"mu": (0.0,)}, outside={"mu": (0.5, -1.0)}),
        Case(
            r"\sigma_\epsilon^2 / \lambda_i",
            where={"i": positive},
            equals=entry(lambda scope: summands(scope, 0.0)),
        ),
        Case(
            r"X^{+} y",
            equals=lambda s: np.linalg.lstsq(
                np.atleast_2d(s["X"]), np.atleast_2d(s["y"]), rcond=None
            )[0],
        ),
        Case(r"H_\mu^{-1} X^T \to X^{+}", tends=("mu", 0.0)),
        Case("r = d", only=FULL_COLUMN_RANK),
        Case(
            r"\sigma_\epsilon^2 \sum_i \lambda_i^{-1}",
            only=FULL_COLUMN_RANK,
            equals=lambda scope: float(summands(scope, 0.0).sum()),
        ),
        Case(
            r"\sigma_w^2 / d",
            equals=lambda scope: variance(scope, "w_true"),
        ),
        Case(r"\| w_{\mathrm{true}} \|^2", holds=mean_is_bound),
        # more data
        Case(r"\overline{\mathcal{R}}(w_{\mu^\star}) \le \sigma_w^2", holds=bounded),
        Case("x x^T", equals=enlarged),
        Case(
            "(x^T v)^2",
            equals=lambda s: np.atleast_2d(s["v"]).T @ enlarged(s) @ s["v"],
        ),
        Case(r"\| x \|^2", equals=lambda s: float(np.trace(enlarged(s)))),
    ),
)
