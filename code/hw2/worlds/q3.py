"""Question 3: least squares for students of p of the d features. Means over Gaussian
matrices come from the law of the squared distance of a column to the others (Gauss
quadrature, exact for what is averaged here), risks from the covariance of the error.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from scipy import integrate, optimize, special

from hw2.formulas.checking import Case, World
from hw2.formulas.meaning import Free, Given, Outcome, Scope, column, truth, value
from hw2.formulas.reading import FormulaError, Node

# rows, columns (the student's features), features of the teacher, k of a chi^2_k
SIZES = {
    "6 x 2": (6, 2, 5, 3),
    "2 x 5": (2, 5, 7, 4),
    "3 x 3": (3, 3, 4, 7),
    "3 x 4, all features": (3, 4, 4, 5),
    "4 x 3": (4, 3, 6, 6),
    "3 x 1": (3, 1, 3, 3),
}


def those(condition: Callable[[int, int], bool]) -> tuple[str, ...]:
    return tuple(name for name, (n, p, *_) in SIZES.items() if condition(n, p))


TALL = those(lambda n, p: p <= n)
WIDE = those(lambda n, p: p > n)
SQUARE = those(lambda n, p: p == n)
APART = those(lambda n, p: abs(n - p) > 1)
SIGMA_W, SIGMA_EPSILON = 1.3, 0.7


# --- means ---


@cache
def chi_squared(k: int) -> tuple[tuple[float, float], ...]:
    """Values and weights for means of polynomials of small degree over x, where x is
    the sum of k squares of standard normal variables.
    """
    if k <= 2:
        raise FormulaError(f"the mean of 1 / x is infinite for {k} squares")
    nodes, weights = special.roots_genlaguerre(4, k / 2 - 2)
    weights = weights * nodes / (weights @ nodes)
    return tuple(zip((2 * nodes).tolist(), weights.tolist(), strict=True))


def inverse_mean(k: int) -> float:
    return sum(weight / x for x, weight in chi_squared(k)) if k > 2 else math.inf


def finite(k: int) -> bool:
    """Whether the mean of 1 / x is finite: whether x near 0 adds little to it."""
    near_zero, _ = integrate.quad(
        lambda u: math.exp(u * (k / 2 - 1) - math.exp(u) / 2),
        math.log(1e-14),
        math.log(1e-7),
    )
    return near_zero < 1e-2


def chi(scope: Scope) -> Sequence[Outcome]:
    return [
        Outcome(weight, {"chi_k": math.sqrt(x)})
        for x, weight in chi_squared(int(scope["k"]))
    ]


@cache
def matrices(n: int, p: int) -> tuple[Outcome, ...]:
    """Orthogonal columns (or rows), as long as the distance of a column (or row) of a
    Gaussian matrix to the span of the others.
    """
    return tuple(
        Outcome(weight, {"X": math.sqrt(x) * np.eye(n, p)})
        for x, weight in chi_squared(abs(n - p) + 1)
    )


def over_matrices(scope: Scope) -> Sequence[Outcome]:
    return matrices(scope["n"], scope["p"])


# --- by other means than the page's ---


def matrix(scope: Scope) -> np.ndarray:
    return np.atleast_2d(scope["X"])


def risk(scope: Scope, fit: np.ndarray) -> Any:
    """Bayes risk of a linear student, `fit` times the labels, from the covariance of
    its error; `fit` may be complex.
    """
    X, d = matrix(scope), scope["d"]
    p = X.shape[1]
    coordinate = SIGMA_W**2 / d
    unseen = sum(coordinate for _ in range(p, d))
    bias, noise = fit @ X - np.eye(p), SIGMA_EPSILON**2 + unseen
    return coordinate * (bias**2).sum() + noise * (fit**2).sum() + unseen


def risk_of(scope: Scope) -> Callable[[np.ndarray], float]:
    return lambda fit: float(risk(scope, np.atleast_2d(fit)))


@cache
def best(name: str) -> float:
    """Where the risk's derivative in mu, by a complex step, is zero."""
    scope = Scope(WORLD.instances[name])
    X = matrix(scope)

    def slope(mu: float) -> float:
        h = X.T @ X + (mu + 1e-30j) * np.eye(X.shape[1])
        return float(risk(scope, np.linalg.solve(h, X.T + 0j)).imag * 1e30)

    return float(optimize.brentq(slope, 1e-3, 1e3, xtol=1e-14, rtol=1e-14))


def others(scope: Scope) -> np.ndarray:
    return np.delete(matrix(scope), scope["j"] - 1, axis=1)


def rest(scope: Scope) -> np.ndarray:
    """The part of column j that is orthogonal to the other columns."""
    one = matrix(scope)[:, [scope["j"] - 1]]
    if not others(scope).size:
        return one
    return one - others(scope) @ np.linalg.lstsq(others(scope), one, rcond=None)[0]


def distance(scope: Scope) -> float:
    found = float(np.linalg.norm(rest(scope)))
    return found if found > 1e-9 else 0.0


def spanned(scope: Scope) -> int:
    return int(np.linalg.matrix_rank(others(scope))) if others(scope).size else 0


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    found = np.linalg.eigvalsh(np.atleast_2d(matrix))
    return np.where(np.abs(found) < 1e-9, 0, found)


def inverse_trace(scope: Scope) -> float:
    found = eigenvalues(matrix(scope).T @ matrix(scope))
    return float((1 / found).sum()) if found.min() > 0 else math.inf


def missed(scope: Scope) -> float:
    """The mean squared distance of the teacher to what the rows of X say of it."""
    X, d = matrix(scope), scope["d"]
    whole = np.hstack([X, np.zeros((len(X), d - X.shape[1]))])
    left = np.eye(d) - np.linalg.pinv(whole) @ whole
    return SIGMA_W**2 / d * float((left**2).sum())


def first_feature_helps(scope: Scope) -> bool:
    """Whether the mean risk is smaller with one feature than with none."""
    coordinate, left = SIGMA_W**2 / scope["d"], scope["d"] - 1
    noise = SIGMA_EPSILON**2 + left * coordinate
    return left * coordinate + noise * inverse_mean(scope["n"]) < SIGMA_W**2


# --- judgements ---


def just_where(condition: Callable[[Scope], bool]) -> Callable[[Node, Scope], bool]:
    """Whether a statement holds where something else does, and nowhere else."""
    return lambda node, scope: truth(node, scope) == condition(scope)


def for_samples(
    numbers: Sequence[int], condition: Callable[[Scope], bool]
) -> Callable[[Node, Scope], bool]:
    """Whether a statement holds just where something else does, for each number of
    samples.
    """
    return lambda node, scope: all(
        just_where(condition)(node, scope.with_({"n": n})) for n in numbers
    )


def orthogonal_to_others(node: Node, scope: Scope) -> bool:
    """The inner product is 0 with all other columns and 1 with column j."""
    products = matrix(scope).T @ np.atleast_2d(value(node, scope))
    wanted = np.eye(len(products))[:, [scope["j"] - 1]]
    return bool(np.abs(products - wanted).max() < 1e-9)


def same_spectrum(node: Node, scope: Scope) -> bool:
    """It has the positive eigenvalues of X^T X, and no others."""
    found = eigenvalues(value(node, scope))
    all_ = eigenvalues(matrix(scope).T @ matrix(scope))
    positive = all_[all_ > 0]
    return len(found) == len(positive) and np.allclose(found, positive)


# --- effective model complexity: a table of majority labels ---

SAMPLES = (  # of an input and its label, with probabilities
    (("a", 0), 1 / 8),
    (("a", 1), 3 / 8),
    (("b", 0), 1 / 4),
    (("b", 1), 1 / 4),
)
Set = tuple[tuple[str, int], ...]


def majority(training_set: Set) -> Mapping[str, int]:
    """The label that an input has most often, 1 if both are as frequent."""
    return {
        x: int(2 * sum(y for z, y in training_set if z == x) >= count)
        for x in dict(training_set)
        for count in [sum(z == x for z, _ in training_set)]
    }


def error_on(training_set: Set) -> Callable[[Mapping[str, int]], float]:
    return lambda network: (
        sum(network[x] != y for x, y in training_set) / len(training_set)
    )


@cache
def training_sets(n: int) -> tuple[Outcome, ...]:
    return tuple(
        Outcome(
            math.prod(probability for _, probability in drawn),
            {"S": tuple(sample for sample, _ in drawn)},
        )
        for drawn in itertools.product(SAMPLES, repeat=n)
    )


def mean_error(procedure: Callable, n: int) -> float:
    return sum(o.weight * error_on(o["S"])(procedure(o["S"])) for o in training_sets(n))


LARGEST = 3
LEVELS = (0.0, mean_error(majority, 2), mean_error(majority, 3) * 1.01)


def complexity(scope: Scope) -> Callable[[Callable], int]:
    def largest(procedure: Callable) -> int:
        for n in range(LARGEST, 0, -1):  # the error grows with n
            if mean_error(procedure, n) <= scope["varepsilon"]:
                return n
        return 0

    return largest


@cache
def fitted(features: int) -> int:
    """The largest number of samples that least squares with so many features fits."""
    rng = np.random.default_rng(211)
    return max(
        n
        for n in range(1, 2 * features + 1)
        if np.linalg.matrix_rank(rng.standard_normal((n, features))) == n
    )


REGIMES = {  # (features, samples)
    "classical": ((2, 40), (3, 60)),
    "modern": ((40, 2), (60, 3)),
    "critical": ((20, 20), (40, 39), (39, 40)),
}
RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    r"\ll": lambda a, b: 10 * a <= b,
    r"\gg": lambda a, b: a >= 10 * b,
    r"\approx": lambda a, b: abs(a - b) <= 0.05 * b,
}


def names_regime(regime: str) -> Callable[[Node, Scope], bool]:
    """Whether the relation of a procedure's EMC to n tells this regime from the
    others.
    """

    def judge(node: Node, scope: Scope) -> bool:
        (relation,) = node.value
        for name, pairs in REGIMES.items():
            for features, n in pairs:
                at = scope.with_({"EMC": fitted(features), "n": n})
                left, right = (value(part, at) for part in node.parts)
                if RELATIONS[relation](left, right) != (name == regime):
                    return False
        return True

    return judge


# --- the world ---


def instance(name: str) -> dict[str, object]:
    n, p, d, k = SIZES[name]
    X = np.random.default_rng(211).integers(-3, 4, (n, p)).astype(float)
    assert np.linalg.matrix_rank(X) == min(n, p)
    return {
        "X": X,
        "n": n,
        "p": p,
        "d": d,
        "r": int(np.linalg.matrix_rank(X)),
        "j": Free(tuple(range(1, p + 1))),
        "r_j": Given(distance),
        "e_j": Given(lambda s: np.eye(p)[:, [s["j"] - 1]]),
        "v": Given(lambda s: np.linalg.pinv(X.T @ X)[:, [s["j"] - 1]]),
        "k": Free((k,)),
        "Gamma": math.gamma,
        "sigma_w": SIGMA_W,
        "sigma_epsilon": SIGMA_EPSILON,
        "w_0": Given(lambda scope: np.linalg.pinv(matrix(scope))),
        "overline-cal-R": Given(risk_of),
        "mu^star": Given(lambda scope: best(name)),
        "w_mustar": Given(
            lambda s: np.linalg.solve(X.T @ X + s["mu^star"] * np.eye(p), X.T)
        ),
        "mu": Free((0.5, 2.0)),
        "y": column(range(n)),
        # the definition of the critical point
        "S": SAMPLES[0][:1],
        "cal-D": SAMPLES,
        "cal-T": majority,
        "Error": error_on,
        "varepsilon": Free(LEVELS),
        "EMC_cal-D,varepsilon": Given(complexity),
        "EMC": fitted(p),
        "range n": range(1, LARGEST + 1),
    }


WORLD = World(
    section="q3",
    how="integer matrices, square, wide and tall; chi-squared means by quadrature",
    instances={name: instance(name) for name in SIZES},
    functions=frozenset(
        {"Gamma", "overline-cal-R", "cal-T", "Error", "EMC_cal-D,varepsilon"}
    ),
    measures={
        "": chi,
        "X": over_matrices,
        "Ssimcal-Dn": lambda s: training_sets(s["n"]),
    },
    cases=(
        # the critical point
        Case(
            r"\mathrm{EMC} \ll n",
            holds=names_regime("classical"),
            after=("more complexity helps a procedure with",),
        ),
        Case(
            r"\mathrm{EMC} \gg n",
            holds=names_regime("modern"),
            after=("A procedure with",),
        ),
        Case(r"\mathrm{EMC} \approx n", holds=names_regime("critical"), times=2),
        # the setting
        Case(
            r"p \ge n",
            holds=just_where(lambda s: np.linalg.matrix_rank(s["X"]) == s["n"]),
        ),
        Case(
            r"(1 - p / d)\, \sigma_w^2",
            equals=lambda s: sum(SIGMA_W**2 / s["d"] for _ in range(s["p"], s["d"])),
            times=2,
        ),
        # the noise's part
        Case(
            r"\operatorname{tr} \left( (X^T X)^{-1} \right)",
            only=TALL,
            equals=inverse_trace,
        ),
        Case(r"p \le n", holds=just_where(lambda s: inverse_trace(s) < math.inf)),
        Case(r"\left( (X^T X)^{-1} \right)_{jj} = \frac{1}{r_j^2}", only=TALL),
        Case("X^T X v = e_j", only=TALL),
        Case("X v", only=TALL, holds=orthogonal_to_others),
        Case(
            "1 / r_j",
            only=TALL,
            equals=lambda s: float(np.linalg.norm(matrix(s) @ s["v"])),
        ),
        Case("p - 1", only=TALL, equals=spanned),
        Case("n - p + 1", only=TALL, equals=lambda s: s["n"] - spanned(s)),
        Case(
            "k = n - p + 1",
            only=TALL,
            bind={
                "k": Given(lambda s: s["n"] - spanned(s) if s["p"] <= s["n"] else -1)
            },
        ),
        Case(
            "k > 2",
            where={"k": (1, 2, 3, 4)},
            holds=just_where(lambda s: finite(s["k"])),
        ),
        *(
            Case(
                f"k = {infinite}",
                where={"k": (infinite,)},
                outside={"k": tuple({1, 2, 3} - {infinite})},
                holds=lambda node, s: truth(node, s) and not finite(s["k"]),
            )
            for infinite in (1, 2)
        ),
        Case(
            "1 / (n - p - 1)",
            only=those(lambda n, p: n - p > 1),
            equals=lambda s: inverse_mean(s["n"] - s["p"] + 1),
        ),
        Case("X X^T", only=(*WIDE, *SQUARE), holds=same_spectrum),
        Case(
            "r / (|n - p| - 1)",
            only=APART,
            equals=lambda s: (
                min(s["n"], s["p"]) * inverse_mean(abs(s["n"] - s["p"]) + 1)
            ),
        ),
        # the risk
        Case("p > n", only=WIDE, times=2),
        Case("r > 0", outside={"r": (0,)}),
        Case(
            "p - n",
            only=(*WIDE, *SQUARE),
            equals=lambda s: s["p"] - int(np.linalg.matrix_rank(s["X"])),
        ),
        Case(
            r"(1 - r / d)\, \sigma_w^2",
            equals=missed,
        ),
        Case(
            r"\mathbb{E}_X \left[ \overline{\mathcal{R}}(w_0) \right]"
            r" = \left( 1 - \frac{r}{d} \right) \sigma_w^2 + \left( \sigma_\epsilon^2"
            r" + \left( 1 - \frac{p}{d} \right) \sigma_w^2 \right)"
            r" \frac{r}{|n - p| - 1}",
            only=APART,
        ),
        Case(
            r"\mathbb{E}_X \left[ \overline{\mathcal{R}}(w_0) \right]"
            r" = \left( \sigma_\epsilon^2"
            r" + \left( 1 - \frac{p}{d} \right) \sigma_w^2 \right)"
            r" \frac{n - 1}{n - p - 1} - \sigma_\epsilon^2",
            only=those(lambda n, p: n - p > 1),
        ),
        Case(
            "n - p > 1",
            only=those(lambda n, p: n - p > 1),
            holds=lambda node, s: truth(node, s) and finite(s["n"] - s["p"] + 1),
        ),
        Case(
            r"n - 1 > d \, (1 + \sigma_\epsilon^2 / \sigma_w^2)",
            holds=for_samples((3, 4, 5, 6, 7, 9, 12, 20), first_feature_helps),
        ),
        Case(
            "|n - p| > 1", holds=just_where(lambda s: finite(abs(s["n"] - s["p"]) + 1))
        ),
        Case("p = n", only=SQUARE, times=3),
        Case("n = p", only=SQUARE, times=5),
    ),
)
