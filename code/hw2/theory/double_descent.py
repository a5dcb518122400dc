"""Question 3: what the three plots show, as data, and why least squares has a peak
where it can just fit its samples.

The plots' values are read off the figures by eye and are approximate. Source: Nakkiran,
Kaplun, Bansal, Yang, Barak, Sutskever, "Deep Double Descent: Where Bigger Models and
More Data Hurt" (arXiv 1912.02292).

The theory is that of Question 1, in its notation, for an X of independent standard
normal entries: a student sees p of the d features of the teacher, in n samples (Belkin,
Hsu, Xu, "Two Models of Double Descent for Weak Features", 2020).
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import sympy as sp

from hw2.claims import claim
from hw2.kept import kept
from hw2.theory.bayes_risk import bayes_risk, designs, optimal_mu, spectrum


@dataclass(frozen=True)
class Curve:
    """One test curve as (x, y) at its first minimum, at its peak and at its right end.

    `interpolation` is the x at which the train curve becomes flat near its smallest
    value, where the plot shows it.
    """

    plot: str
    name: str
    x: str
    minimum: tuple[float, float] | None
    peak: tuple[float, float] | None
    end: tuple[float, float]
    interpolation: float | None = None


CURVES = (
    Curve(
        "a",
        "De-En, 160K sentences",
        "embedding dimension",
        (75, 3.75),
        (205, 5.4),
        (512, 4.1),
        210,
    ),
    Curve(
        "a",
        "En-Fr, 200K sentences",
        "embedding dimension",
        (110, 4.1),
        (295, 5.2),
        (495, 4.75),
        300,
    ),
    Curve("b", "0% label noise", "width", (7, 0.45), (9, 0.47), (64, 0.30), 13),
    Curve("b", "10% label noise", "width", (5, 0.51), (11.5, 0.56), (64, 0.40), 15),
    Curve("b", "20% label noise", "width", (5, 0.54), (13, 0.64), (64, 0.47), 17),
    Curve("c", "width 3 (small)", "epoch", None, None, (4000, 0.25)),
    Curve(
        "c", "width 12 (intermediate)", "epoch", (80, 0.23), (1000, 0.36), (4000, 0.35)
    ),
    Curve("c", "width 64 (large)", "epoch", (20, 0.17), (65, 0.30), (4000, 0.20)),
)


def curves(plot: str) -> dict[str, Curve]:
    """The curves of one plot, by name."""
    return {curve.name: curve for curve in CURVES if curve.plot == plot}


def table(plot: str) -> str:
    """Markdown table of the readings of one plot, each as "value at x"."""
    found = curves(plot).values()
    with_train = any(curve.interpolation for curve in found)
    rows = [
        [
            "Curve",
            "First minimum",
            "Peak",
            "Right end",
            *(["Train curve flat from"] if with_train else []),
        ]
    ]
    rows.append(["---"] * len(rows[0]))
    for curve in found:
        train = [f"{curve.interpolation:g}"] if with_train else []
        rows.append(
            [
                curve.name,
                _point(curve.minimum),
                _point(curve.peak),
                _point(curve.end),
                *train,
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _point(point: tuple[float, float] | None) -> str:
    return "none" if point is None else f"{point[1]:g} at {point[0]:g}"


# --- students of the teacher of Question 1 that see p of its d features ---


def hidden_noise(p: int, d: int, sigma_w: float, sigma_eps: float) -> float:
    """Standard deviation of what a student of p features cannot fit: the label noise
    and the d - p other features.
    """
    return math.sqrt(sigma_eps**2 + (1 - p / d) * sigma_w**2)


def student_risk(
    eigenvalues: np.ndarray,
    mu: float | np.ndarray,
    d: int,
    sigma_w: float,
    sigma_eps: float,
) -> np.ndarray:
    """Bayes risk of w_mu, averaged over the features that the student does not see:
    shape mu.shape.

    `eigenvalues`: all p of X^T X for the X that it sees; the teacher's coordinates have
    variance sigma_w^2 / d.
    """
    p = len(eigenvalues)
    seen = bayes_risk(
        eigenvalues,
        mu,
        sigma_w * math.sqrt(p / d),
        hidden_noise(p, d, sigma_w, sigma_eps),
    )
    return seen + (1 - p / d) * sigma_w**2


def best_mu(p: int, d: int, sigma_w: float, sigma_eps: float) -> float:
    """The mu of smallest Bayes risk for a student of p features: that of Question 1,
    for what the student sees.
    """
    return optimal_mu(
        p, sigma_w * math.sqrt(p / d), hidden_noise(p, d, sigma_w, sigma_eps)
    )


def mean_risk(n: int, p: int, d: int, sigma_w: float, sigma_eps: float) -> float:
    """Mean over all X of the risk of the solution of smallest norm; infinite for p from
    n - 1 to n + 1.
    """
    gap, rank = abs(n - p), min(n, p)
    spread = rank / (gap - 1) if gap > 1 else math.inf
    return (1 - rank / d) * sigma_w**2 + hidden_noise(
        p, d, sigma_w, sigma_eps
    ) ** 2 * spread


@dataclass(frozen=True)
class Sweep:
    """Bayes risks for some pairs (n, p) and many X: of the solution of smallest norm,
    and at the best mu.

    Shapes: `least_norm` and `best` (X, pairs); `mean` (pairs) is the mean of
    `least_norm` over all X.
    """

    d: int
    pairs: list[tuple[int, int]]
    least_norm: np.ndarray
    best: np.ndarray
    mean: np.ndarray


def sweep(
    pairs: list[tuple[int, int]], d: int, sigma_w: float, sigma_eps: float, draws: int
) -> Sweep:
    """The risks for the first n rows and p columns of each of `draws` random X."""
    shape = (draws, max(n for n, _ in pairs), max(p for _, p in pairs))
    xs = np.random.default_rng(211).standard_normal(shape)
    risks = np.array(
        [
            [student_risk(spectrum(x[:n, :p]), mus, d, sigma_w, sigma_eps) for x in xs]
            for n, p in pairs
            for mus in [np.array([0.0, best_mu(p, d, sigma_w, sigma_eps)])]
        ]
    )
    mean = np.array([mean_risk(n, p, d, sigma_w, sigma_eps) for n, p in pairs])
    return Sweep(d, pairs, risks[:, :, 0].T, risks[:, :, 1].T, mean)


SIGMA_W, SIGMA_EPS = (
    1.0,
    math.sqrt(0.2),
)  # of the figure: the noise has a fifth of the labels' variance without it


@kept
def over_features(n: int = 40, d: int = 120, draws: int = 25) -> Sweep:
    """More and more features of the teacher, at a fixed number of samples."""
    return sweep([(n, p) for p in _around(n, d)], d, SIGMA_W, SIGMA_EPS, draws)


@kept
def over_samples(d: int = 40, largest: int = 120, draws: int = 25) -> Sweep:
    """More and more samples for a student that sees all features: the setting of
    Question 1.
    """
    return sweep([(n, d) for n in _around(d, largest)], d, SIGMA_W, SIGMA_EPS, draws)


def _around(middle: int, last: int) -> list[int]:
    """Every fourth number up to `last`, and all near `middle`."""
    return sorted({*range(4, last + 1, 4), *range(middle - 5, middle + 6)})


# --- the claims ---

n, p, d, r, k = sp.symbols("n p d r k", positive=True, integer=True)
distance = sp.Symbol("r_j", positive=True)
sigma_w, sigma_eps = sp.symbols("sigma_w sigma_epsilon", positive=True)
BIAS, HIDDEN, SPREAD = (
    (1 - r / d) * sigma_w**2,
    sigma_eps**2 + (1 - p / d) * sigma_w**2,
    r / (sp.Abs(n - p) - 1),
)


@claim(
    "eq-q3-distance",
    "a diagonal entry of $(X^T X)^{-1}$ by a distance",
    held="on instances",
    method="exact projection onto the other columns",
    domain="integer $X$ of full column rank, $d$ = 1 to 4",
    claimed=1 / distance**2,
    mutants={
        "distance not inverted": distance**2,
        "not squared": 1 / distance,
        "squared twice": 1 / distance**4,
    },
)
def check_distance(entry: sp.Expr) -> bool:
    full = [x for x in designs() if x.rank() == x.cols]
    for x in full:
        inverse = (x.T * x).inv()
        for j in range(x.cols):
            column, others = x[:, j], x[:, [i for i in range(x.cols) if i != j]]
            rest = column - others * others.pinv() * column if others.cols else column
            if sp.simplify(entry.subs(distance, rest.norm()) - inverse[j, j]) != 0:
                return False
    return len(full) > 3


@claim(
    "eq-q3-inverse-chi",
    "mean of $1 / \\chi^2_k$",
    held="on instances",
    method="sympy integral of the density",
    domain="$k$ = 3 to 9; infinite for $k$ = 1 and 2",
    claimed=1 / (k - 2),
    mutants={"mean inverted": 1 / k, "off by one": 1 / (k - 1), "twice": 2 / (k - 2)},
)
def check_inverse_chi(mean: sp.Expr) -> bool:
    x = sp.Symbol("x", positive=True)

    def integral(degrees: int) -> sp.Expr:
        density = (
            x ** sp.Rational(degrees - 2, 2)
            * sp.exp(-x / 2)
            / (2 ** sp.Rational(degrees, 2))
        )
        return sp.integrate(
            density / sp.gamma(sp.Rational(degrees, 2)) / x, (x, 0, sp.oo)
        )

    finite = all(
        sp.simplify(integral(degrees) - mean.subs(k, degrees)) == 0
        for degrees in range(3, 10)
    )
    return finite and integral(1) == integral(2) == sp.oo


TEACHER = 1.5  # sigma_w of the checks, at which none of its powers are equal


@cache
def drawn_risks() -> dict[tuple[int, int, int], np.ndarray]:
    """Risks of the solution of smallest norm, for 20,000 random X at each of some (n,
    p, d) with |n - p| > 4, each with a teacher of all d features, at `TEACHER`, and
    noise of its own.
    """
    rng, found = np.random.default_rng(211), {}
    for shape in (
        (20, 8, 24),
        (8, 20, 24),
        (30, 12, 12),
        (12, 24, 24),
        (9, 3, 10),
        (4, 30, 60),
    ):
        samples, seen, features = shape
        x = rng.standard_normal((20_000, samples, features))
        w = TEACHER / math.sqrt(features) * rng.standard_normal((20_000, features, 1))
        y = x @ w + SIGMA_EPS * rng.standard_normal((20_000, samples, 1))
        student = np.zeros_like(w)
        known = x[:, :, :seen]
        turned = known.transpose(0, 2, 1)
        student[:, :seen] = (
            np.linalg.solve(turned @ known, turned @ y)
            if seen <= samples
            else turned @ np.linalg.solve(known @ turned, y)
        )
        found[shape] = ((student - w) ** 2).sum(axis=(1, 2))
    return found


@claim(
    "eq-q3-mean-risk",
    "mean risk of the solution of smallest norm",
    held="by simulation",
    method="Monte Carlo: $X$, teacher, noise, fit; within 4 standard errors",
    domain="six $(n, p, d)$, $n$ and $p$ from 6 to 26 apart, 20,000 draws each",
    claimed=BIAS + HIDDEN * SPREAD,
    mutants={
        "hidden features are no noise": BIAS + sigma_eps**2 * SPREAD,
        "1 lost": BIAS + HIDDEN * r / sp.Abs(n - p),
        "p for the rank": BIAS + HIDDEN * p / (sp.Abs(n - p) - 1),
        "bias of the hidden features alone": (1 - p / d) * sigma_w**2 + HIDDEN * SPREAD,
        "no peak at n = p": BIAS + HIDDEN * r / (n + p - 1),
    },
)
def check_mean_risk(mean: sp.Expr) -> bool:
    for (samples, seen, features), risks in drawn_risks().items():
        values = {
            n: samples,
            p: seen,
            d: features,
            r: min(samples, seen),
            sigma_w: TEACHER,
            sigma_eps: SIGMA_EPS,
        }
        if abs(risks.mean() - float(mean.subs(values))) > 4 * risks.std(
            ddof=1
        ) / math.sqrt(len(risks)):
            return False
    return True


@cache
def drawn_spectra() -> tuple[dict[int, list[np.ndarray]], dict[int, list[np.ndarray]]]:
    """Eigenvalues for 200 random X: of the first n rows for p = 8 columns, and of p
    columns for n = 8 rows.
    """
    xs = np.random.default_rng(211).standard_normal((200, 20, 20))
    rows = {count: [spectrum(x[:count, :8]) for x in xs] for count in range(1, 21)}
    return rows, {
        count: [spectrum(x[:8, :count]) for x in xs] for count in range(1, 21)
    }


SIGMAS = (TEACHER, 0.7)
BEST = d * sigma_eps**2 / sigma_w**2 + d - p


@claim(
    "prp-q3-no-peak",
    "at the best $\\mu$ more samples or features never hurt",
    held="on instances",
    method=(
        "the formula's risks of nested $X$, and at 0.9 and 1.1 times that $\\mu$; over "
        "$p$ on average, within 3 standard errors"
    ),
    domain="200 random $X$, $d$ = 20; $n$ to 20 at $p$ = 8, $p$ to 20 at $n$ = 8",
    claimed=BEST,
    mutants={
        "no regularization": sp.Integer(0),
        "a tenth of it": BEST / 10,
        "the label noise alone": d * sigma_eps**2 / sigma_w**2,
    },
)
def check_no_peak(best: sp.Expr) -> bool:
    rule = sp.lambdify((p, d, sigma_w, sigma_eps), best, "math")
    mus = {seen: rule(seen, 20, *SIGMAS) for seen in range(1, 21)}
    if min(mus.values()) <= 0:
        return False
    for spectra, exact in zip(drawn_spectra(), (True, False), strict=True):
        before = np.full(len(spectra[1]), 1e3)  # more than any risk
        for xs in spectra.values():
            below, risks, above = np.transpose([_beside(x, mus[len(x)]) for x in xs])
            if np.any(risks >= below) or np.any(risks >= above):
                return False
            change = risks - before
            allowed = 1e-12 if exact else 3 * change.std(ddof=1) / math.sqrt(len(xs))
            if (change.max() if exact else change.mean()) > allowed:
                return False
            before = risks
    return True


def _beside(x: np.ndarray, mu: float) -> np.ndarray:
    """The risks a little below mu, at mu, and a little above it."""
    return student_risk(x, mu * np.array([0.9, 1.0, 1.1]), 20, *SIGMAS)
