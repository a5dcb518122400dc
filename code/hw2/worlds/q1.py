"""Question 1: integer matrices of several sizes and ranks. Means over the Gaussian
teacher and noise are exact: everything they are taken of has degree two, and the
outcomes have the means and covariances of the Gaussian vectors.
"""

from collections.abc import Iterable

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
    truth,
)
from hw2.formulas.reading import Node

MATRICES = {
    "4 x 3": [[1, 2, 0], [0, 1, -1], [3, 0, 1], [1, 1, 1]],
    "2 x 3": [[1, -2, 2], [0, 1, 3]],
    "3 x 2 of rank 1": [[1, 2], [2, 4], [-1, -2]],
    "1 x 1": [[3]],
}
SIGMA_W, SIGMA_EPSILON = 1.5, 0.7


def cross(sizes: dict[str, tuple[int, float]]) -> list[Outcome]:
    """Outcomes of independent vectors, given as name: (size, standard deviation), with
    their means and covariances: one coordinate of all at a time is not 0.
    """
    total = sum(size for size, _ in sizes.values())
    outcomes = []
    for place in range(total):
        for sign in (1, -1):
            whole = np.zeros(total)
            whole[place] = sign * np.sqrt(total)
            values, start = {}, 0
            for name, (size, deviation) in sizes.items():
                values[name] = column(deviation * whole[start : start + size])
                start += size
            outcomes.append(Outcome(1 / (2 * total), values))
    return outcomes


def measure(scope: Scope) -> Iterable[Outcome]:
    return cross(
        {
            "w_true": (scope["d"], SIGMA_W / np.sqrt(scope["d"])),
            "epsilon": (scope["N"], SIGMA_EPSILON),
            "z": (scope["n"], scope["s"]),
        }
    )


def at_best(name: str) -> Given:
    """A symbol that depends on mu, at the best mu."""
    return Given(
        lambda scope: scope.with_({"mu": scope["mu^star"]}).without(name)[name]
    )


LEMMA = (1, 2, 3)
SIMULATION = {"features": 50, "samples": 30}


def teacher_entries(node: Node, scope: Scope) -> bool:
    """s^2 is here the variance of an entry of the teacher."""
    variance = sum(o.weight * float(o["w_true"][0, 0]) ** 2 for o in measure(scope))
    return truth(node, scope.with_({"s": np.sqrt(variance)}))


noise_form = Given(
    lambda scope: (
        scope["X"]
        @ np.linalg.matrix_power(np.atleast_2d(scope["H_mu"]), -2)
        @ scope["X"].T
    )
)


def samples(scope: Scope) -> range:
    return range(1, scope["N"] + 1)


def positive(scope: Scope) -> range:
    return range(1, scope["r"] + 1)


def instance(rows: list[list[int]]) -> dict[str, object]:
    X = np.array(rows, dtype=float)
    N, d = X.shape
    rng = np.random.default_rng(211)
    eigenvalues, Q = np.linalg.eigh(X.T @ X)
    eigenvalues, Q = (
        np.round(eigenvalues[::-1], 12),
        Q[:, ::-1],
    )  # the positive ones first
    estimator = rng.standard_normal((d, N))  # any function of y; here a linear one
    rank = int(np.linalg.matrix_rank(X))
    indices = range(1, d + 1)
    vector = Free((column(rng.integers(-3, 4, d)), column(rng.integers(-3, 4, d))))
    return {
        "X": X,
        "N": N,
        "d": d,
        "I": Identity(),
        "mu": Free((0.5, 2.0), (0.0, -1.0)),
        "sigma_w": SIGMA_W,
        "sigma_epsilon": SIGMA_EPSILON,
        "epsilon": Free((column(rng.integers(-3, 4, N)),)),
        "w_true": Free((column(rng.integers(-3, 4, d)),)),
        "law w_true": Law("N", (0, Identity(SIGMA_W**2 / d))),
        "law epsilon": Law("N", (0, Identity(SIGMA_EPSILON**2))),
        "cal-N": lambda mean, covariance: Law("N", (mean, covariance)),
        "lambda": list(eigenvalues),
        "Q": Q,
        "Lambda": np.diag(eigenvalues),
        "r": rank,
        "w": vector,
        "w_mustar": at_best("w_mu"),
        "H_mustar": at_best("H_mu"),
        "hat-w": Given(lambda scope: estimator @ np.atleast_2d(scope["y"])),
        "X^+": np.linalg.pinv(X),
        "i": Free(tuple(indices)),
        "j": Free(tuple(range(1, N + 1))),
        "k": Free(tuple(indices)),
        "range i": indices,
        "range k": indices,
        "range j": range(1, N + 1),
        # of the lemma
        "n": 3,
        "s": 0.8,
        "z": Free((column([1, -2, 0.5]),)),
        "M": np.array([[1.0, 2, 0], [3, -1, 4], [0.5, 2, 2]]),
        "delta": lambda i, j: int(i == j),
        "x": Free((column(rng.integers(-3, 4, d)),)),
        "v": Free((column(rng.integers(-3, 4, d)), column([0] * d))),
        "a": vector,
        "b": vector,
    }


WORLD = World(
    section="q1",
    how="integer matrices of ranks 0 to 3; means exact",
    instances={name: instance(rows) for name, rows in MATRICES.items()},
    functions=frozenset({"cal-R", "overline-cal-R", "cal-N", "delta"}),
    defined=frozenset(
        {"H", "H_mu", "y", "w_mu", "cal-R", "overline-cal-R", "mu^star", "A"}
    ),
    measures={"": measure, "epsilon,wtrue": measure},
    cases=(
        Case(r"\mathbb{E}[z_i z_j] = s^2 \delta_{ij}", where={"i": LEMMA, "j": LEMMA}),
        Case(r"s^2 = \sigma_w^2 / d", holds=teacher_entries),
        Case(r"M = H_\mu^{-2}", define=True),
        Case(r"M = X H_\mu^{-1} H_\mu^{-1} X^T", define=True),
        Case(
            r"\| H_\mu^{-1} X^T \epsilon \|^2 = \epsilon^T M \epsilon",
            bind={"M": noise_form},
        ),
        Case("M_{ij}", where={"i": samples, "j": samples}, bind={"M": noise_form}),
        Case(
            r"\mathbb{E}[\epsilon_i \epsilon_j] = \sigma_\epsilon^2 \delta_{ij}",
            where={"i": samples},
        ),
        Case("d = 50", bind={"d": SIMULATION["features"]}),
        Case("N = 30", bind={"N": SIMULATION["samples"]}),
        Case(r"\mu = 1", skip="a value of a simulation"),
        Case(r"a = \sigma_w^2 / d", define=True),
        Case(
            r"\lambda_i > 0",
            where={"i": positive},
            outside={
                "i": lambda scope: tuple(set(scope["range i"]) - set(positive(scope)))
            },
        ),
        Case(
            r"0 < \mu < \mu^\star",
            where={"mu": lambda scope: (scope["mu^star"] / 2,)},
            outside={"mu": lambda scope: (scope["mu^star"], -1.0, 0.0)},
        ),
        Case(r"H_\mu^{-1} X^T \to X^{+}", tends=("mu", 0.0)),
        Case(r"r = d", only=("4 x 3", "1 x 1")),
    ),
)
