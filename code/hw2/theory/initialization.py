"""Question 4: the initialization variance for ReLU, by symmetry and by the central
limit theorem (lecture 5).

Notation of the lecture: u_l = W_l phi(u_{l-1}), width d_{l-1}, independent weights of
mean 0 and std sigma_l. The signal is kept at E[u^2] = 1 in every layer.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import sympy as sp
from scipy import stats

from hw2.claims import claim
from hw2.kept import kept

u, a, d, s, v = (
    sp.Symbol("u", real=True),
    sp.Symbol("a", real=True),
    sp.Symbol("d_{l-1}", positive=True),
    sp.Symbol("s"),
    sp.Symbol("v"),
)
GAUSSIAN = sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)

# symmetric densities, none of them Gaussian, each with mass on both sides of its kinks
SYMMETRIC: Mapping[str, sp.Expr] = {
    "uniform": sp.Piecewise((sp.Rational(1, 2), sp.Abs(u) <= 1), (0, True)),
    "Laplace": sp.exp(-sp.Abs(u)) / 2,
    "triangular": sp.Piecewise((1 - sp.Abs(u), sp.Abs(u) <= 1), (0, True)),
    "arcs at both ends": sp.Piecewise(
        (sp.Rational(3, 2) * u**2, sp.Abs(u) <= 1), (0, True)
    ),
    "Student t, 5 degrees of freedom": sp.Rational(8, 3)
    / (sp.sqrt(5) * sp.pi)
    / (1 + u**2 / 5) ** 3,
}


@cache
def moments(density: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """(E[max(0, u)^2], E[u^2]) of a density, symbolically."""
    p = sp.Symbol("p", positive=True)
    right, left = (
        sp.integrate(p**2 * density.subs(u, side), (p, 0, sp.oo)) for side in (p, -p)
    )
    return sp.simplify(right), sp.simplify(right + left)


@cache
def leaky_moment(density: sp.Expr, slope: sp.Expr) -> sp.Expr:
    """E[phi(u)^2] for the leaky ReLU with the given slope on the left, symbolically."""
    p = sp.Symbol("p", positive=True)
    left = sp.integrate((slope * p) ** 2 * density.subs(u, -p), (p, 0, sp.oo))
    return sp.simplify(moments(density)[0] + left)


def gelu_moment() -> float:
    """E[(u Phi(u))^2] for u ~ N(0, 1), by quadrature."""
    return float(
        stats.norm.expect(lambda x: (x * stats.norm.cdf(x)) ** 2, epsabs=1e-13)
    )


# weights of mean 0 and variance 1; the last one is not symmetric
WEIGHTS: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "uniform": lambda rng, shape: rng.uniform(-math.sqrt(3), math.sqrt(3), shape),
    "two values": lambda rng, shape: rng.integers(0, 2, shape) * 2.0 - 1,
    "Laplace": lambda rng, shape: rng.laplace(scale=math.sqrt(0.5), size=shape),
    "exponential (skewed)": lambda rng, shape: rng.exponential(size=shape) - 1,
}


@dataclass(frozen=True)
class Convergence:
    """For weights of one distribution, over `widths`: E[max(0, u)^2] / E[u^2], and the
    distance of u from N(0, 1).

    `distance` is the Kolmogorov-Smirnov statistic of `samples` pre-activations, which
    for exactly Gaussian ones is about `noise_floor`.
    """

    widths: tuple[int, ...]
    ratio: tuple[float, ...]
    distance: tuple[float, ...]
    samples: int

    @property
    def noise_floor(self) -> float:
        """Median of the Kolmogorov-Smirnov statistic of as many Gaussian samples."""
        return float(stats.kstwobign.median() / math.sqrt(self.samples))


@kept
def convergence(
    name: str, widths: tuple[int, ...] = (1, 4, 16, 64, 256), samples: int = 100_000
) -> Convergence:
    """Sample u = sum_k W_k y_k / sqrt(width) with y the ReLU of Gaussians, scaled to
    E[u^2] = 1.
    """
    rng, ratio, distance = np.random.default_rng(211), [], []
    for width in widths:
        sample = np.concatenate(
            [_preactivations(name, rng, width, samples // 10) for _ in range(10)]
        )
        ratio.append(float(np.mean(np.maximum(sample, 0) ** 2) / np.mean(sample**2)))
        distance.append(float(stats.kstest(sample, "norm").statistic))
    return Convergence(widths, tuple(ratio), tuple(distance), samples)


def _preactivations(
    name: str, rng: np.random.Generator, width: int, count: int
) -> np.ndarray:
    previous = math.sqrt(2) * np.maximum(rng.standard_normal((count, width)), 0)
    return np.einsum(
        "ij,ij->i", WEIGHTS[name](rng, (count, width)), previous
    ) / math.sqrt(width)


@claim(
    "eq-q4-second-moment",
    "second moment of a pre-activation",
    held="on instances",
    method="sympy expansion",
    domain="fan-in 1 to 4, any input, any weights of mean 0",
    claimed=sp.Symbol(r"\sigma_l") ** 2 * s,
    mutants={
        "standard deviation for variance": sp.Symbol(r"\sigma_l") * s,
        "square of the sum": sp.Symbol(r"\sigma_l") ** 2 * s**2,
    },
)
def check_second_moment(moment: sp.Expr) -> bool:
    sigma = sp.Symbol(r"\sigma_l")
    for width in range(1, 5):
        weights, x = sp.symbols(f"w1:{width + 1}"), sp.symbols(f"x1:{width + 1}")
        square = sp.Poly(
            sum(w * y for w, y in zip(weights, x, strict=True)) ** 2, *weights
        )
        # independent weights of mean 0: only the squares have a mean, sigma^2
        exact = sum(c * sigma**2 for powers, c in square.terms() if 2 in powers)
        if sp.expand(exact - moment.subs(s, sum(y**2 for y in x))) != 0:
            return False
    return True


@claim(
    "eq-q4-symmetric",
    "ReLU keeps half of the second moment $v$ of a symmetric distribution",
    held="on instances",
    method="sympy integrals",
    domain=(
        "uniform, Laplace, triangular, growing as the square up to both ends, Student "
        "t with 5 degrees of freedom"
    ),
    claimed=v / 2,
    mutants={
        "all of it": v,
        "standard deviation halved": v / 4,
        "variance instead of second moment": v * (sp.Rational(1, 2) - 1 / (2 * sp.pi)),
    },
)
def check_symmetric(half: sp.Expr) -> bool:
    return all(
        sp.simplify(right - half.subs(v, whole)) == 0
        for right, whole in (moments(f) for f in SYMMETRIC.values())
    )


@claim(
    "eq-q4-gaussian",
    "second moment of the ReLU of a standard normal variable",
    held="for all values",
    method="sympy integral; quadrature",
    domain="the integral itself",
    claimed=sp.Eq(
        sp.Integral(u**2 * sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi), (u, 0, sp.oo)),
        sp.Rational(1, 2),
        evaluate=False,
    ),
    mutants={
        "both sides": sp.Eq(
            sp.Integral(u**2 * GAUSSIAN, (u, -sp.oo, sp.oo)),
            sp.Rational(1, 2),
            evaluate=False,
        ),
        "first moment": sp.Eq(
            sp.Integral(u * GAUSSIAN, (u, 0, sp.oo)), sp.Rational(1, 2), evaluate=False
        ),
        "one": sp.Eq(
            sp.Integral(u**2 * GAUSSIAN, (u, 0, sp.oo)), sp.Integer(1), evaluate=False
        ),
    },
    true={"factor u**2 dropped": "true: half of the probability"},
)
def check_gaussian(equation: sp.Eq) -> bool:
    numeric = stats.norm.expect(lambda x: np.maximum(x, 0) ** 2)
    left, right = sp.lambdify((), equation.args, "scipy")()
    if not isinstance(equation, sp.Eq) or not math.isclose(left, right, rel_tol=1e-9):
        return False
    return sp.simplify(equation.lhs.doit() - equation.rhs) == 0 and math.isclose(
        numeric, float(equation.rhs), rel_tol=1e-9
    )


@claim(
    "eq-q4-sigma",
    "standard deviation of the weights that keeps $\\mathbb{E}[u^2] = 1$ under ReLU",
    held="on instances",
    method="sympy integrals",
    domain=(
        "any width; Gaussian u and the symmetric ones above, scaled to second moment 1"
    ),
    claimed=sp.sqrt(2 / d),
    mutants={
        "linear units": sp.sqrt(1 / d),
        "tanh's usual gain": sp.Rational(5, 3) / sp.sqrt(d),
        "variance for standard deviation": 2 / d,
    },
)
def check_sigma(sigma: sp.Expr) -> bool:
    halves = [
        right / whole
        for right, whole in (moments(f) for f in (GAUSSIAN, *SYMMETRIC.values()))
    ]
    return sigma.is_positive is True and all(
        sp.simplify(d * sigma**2 * half - 1) == 0 for half in halves
    )


@claim(
    "eq-q4-leaky",
    "standard deviation of the weights for a leaky ReLU with slope $a$",
    held="on instances",
    method="sympy integrals",
    domain=(
        "any width, slope from 0 to 1; Gaussian u and those above, scaled to "
        "second moment 1"
    ),
    claimed=sp.sqrt(2 / ((1 + a**2) * d)),
    mutants={
        "slope not squared": sp.sqrt(2 / ((1 + a) * d)),
        "squared sum": sp.sqrt(2 / ((1 + a) ** 2 * d)),
        "slope forgotten": sp.sqrt(2 / d),
    },
)
def check_leaky(sigma: sp.Expr) -> bool:
    kept = [leaky_moment(f, a) / moments(f)[1] for f in (GAUSSIAN, *SYMMETRIC.values())]
    return sigma.is_positive is True and all(
        sp.simplify(d * sigma**2 * part - 1) == 0 for part in kept
    )


@claim(
    "eq-q4-gelu",
    "second moment of the GELU of a standard normal variable",
    held="on instances",
    method="quadrature",
    domain="the integral itself, to 10 digits",
    claimed=sp.Rational(1, 3) + 1 / (2 * sp.sqrt(3) * sp.pi),
    mutants={
        "ReLU's": sp.Rational(1, 2),
        "first term only": sp.Rational(1, 3),
        "factor 2": sp.Rational(1, 3) + 1 / (sp.sqrt(3) * sp.pi),
    },
)
def check_gelu(moment: sp.Expr) -> bool:
    return math.isclose(float(moment), gelu_moment(), rel_tol=1e-10)
