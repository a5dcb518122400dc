"""Question 1: the Bayes risk of ridge regression in the teacher-student setup (lecture
4), and the best mu.

Notation: y = X w_true + epsilon, X of shape (N, d), H = X^T X with eigenvalues
lambda_i, H_mu = H + mu I, mu > 0, w_mu = H_mu^-1 X^T y. The teacher's coordinates have
variance sigma_w^2 / d, the noise has variance sigma_eps^2.
"""

import math
import operator
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
import sympy as sp
from scipy import optimize

from hw2.claims import claim
from hw2.kept import kept


def spectrum(x: np.ndarray) -> np.ndarray:
    """The d eigenvalues of X^T X for X of shape (N, d), descending; for N < d the last
    d - N are exactly zero.
    """
    samples, d = x.shape
    return np.pad(np.linalg.svd(x, compute_uv=False) ** 2, (0, max(0, d - samples)))


def risk_terms(
    eigenvalues: np.ndarray, mu: float | np.ndarray, sigma_w: float, sigma_eps: float
) -> np.ndarray:
    """The summand of the Bayes risk for each of the d eigenvalues of X^T X: shape
    (*mu.shape, d).

    At mu = 0 it is the limit mu -> 0, which belongs to the least squares solution of
    smallest norm. Raises ValueError for a negative eigenvalue or a negative mu.
    """
    values, mu = (
        np.asarray(eigenvalues, dtype=float),
        np.asarray(mu, dtype=float)[..., None],
    )
    if values.min() < 0 or mu.min() < 0:
        raise ValueError(
            "eigenvalues and mu must not be negative; spectrum(X) gives the "
            "eigenvalues without rounding"
        )
    shape = np.broadcast_shapes(values.shape, mu.shape)
    shrunk = np.divide(mu, values + mu, out=np.ones(shape), where=values > 0)
    gain = np.divide(
        np.sqrt(values), values + mu, out=np.zeros(shape), where=values > 0
    )
    return sigma_w**2 / values.size * shrunk**2 + sigma_eps**2 * gain**2


def bayes_risk(
    eigenvalues: np.ndarray, mu: float | np.ndarray, sigma_w: float, sigma_eps: float
) -> np.ndarray:
    """The Bayes risk of w_mu, shape mu.shape, by the theorem of Question 1.
    `eigenvalues`: all d of X^T X.
    """
    return risk_terms(eigenvalues, mu, sigma_w, sigma_eps).sum(axis=-1)


def optimal_mu(d: int, sigma_w: float, sigma_eps: float) -> float:
    """The mu of smallest Bayes risk, for every X with d columns."""
    return d * sigma_eps**2 / sigma_w**2


# the settings of the report's simulations
SAMPLES, FEATURES, TEACHER = 30, 50, 1.0  # N, d and sigma_w
CHECKED = (1.0, 10.0, 100.0)  # the mu at which many draws are made
GROWING_FEATURES, GROWING_SIGMA = 10, 1.0  # d, and both sigmas, of `growing_risk`


@dataclass(frozen=True)
class Simulation:
    """Mean of |w_mu - w_true|^2 over `draws` teachers and noises at each of `mu`, with
    its standard error.
    """

    eigenvalues: np.ndarray
    sigma_w: float
    sigma_eps: float
    draws: int
    mu: np.ndarray
    mean: np.ndarray
    error: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """Simulation minus theory, in standard errors."""
        return (
            self.mean
            - bayes_risk(self.eigenvalues, self.mu, self.sigma_w, self.sigma_eps)
        ) / self.error


@kept
def simulate(
    mus: tuple[float, ...],
    sigma_eps: float,
    draws: int,
    samples: int = SAMPLES,
    d: int = FEATURES,
    sigma_w: float = TEACHER,
) -> Simulation:
    """Draw teachers and noises, fit w_mu by its definition, measure its risk: one X,
    new draws for each mu.
    """
    x, risks = np.random.default_rng(211).standard_normal((samples, d)), []
    for i, mu in enumerate(mus):
        rng = np.random.default_rng([211, i, round(1000 * sigma_eps)])
        teacher = rng.normal(0, sigma_w / math.sqrt(d), (d, draws))
        y = x @ teacher + rng.normal(0, sigma_eps, (samples, draws))
        student = np.linalg.solve(x.T @ x + mu * np.eye(d), x.T @ y)
        risks.append(((student - teacher) ** 2).sum(axis=0))
    mean, error = (
        np.mean(risks, axis=1),
        np.std(risks, axis=1, ddof=1) / math.sqrt(draws),
    )
    return Simulation(
        spectrum(x), sigma_w, sigma_eps, draws, np.array(mus), mean, error
    )


@cache
def sweep() -> tuple[Simulation, ...]:
    """The simulations of the figure: three noise levels, the same X."""
    mus = tuple(np.logspace(-1, 5, 13).tolist())
    return tuple(simulate(mus, sigma_eps, draws=100) for sigma_eps in (0.3, 1.0, 3.0))


@cache
def growing_spectra(features: int) -> np.ndarray:
    """Eigenvalues for the first 1 to 30 rows of each of 20 random X: shape (20, 30,
    features).
    """
    draws = np.random.default_rng(211).standard_normal((20, 30, GROWING_FEATURES))
    return np.array([[spectrum(x[:n, :features]) for n in range(1, 31)] for x in draws])


@kept
def growing_risk(
    mu: float,
    sigma_w: float = GROWING_SIGMA,
    sigma_eps: float = GROWING_SIGMA,
    features: int = GROWING_FEATURES,
) -> np.ndarray:
    """Bayes risk for the first 1 to 30 rows of each of 20 random X: shape (20, 30)."""
    spectra = growing_spectra(features).reshape(-1, features)
    risks = [bayes_risk(values, mu, sigma_w, sigma_eps) for values in spectra]
    return np.array(risks).reshape(20, 30)


# --- the objects of the claims ---

N, d, r = sp.symbols("N d r", positive=True, integer=True)
i = sp.Symbol("i")
mu, lam, sigma_w, sigma_eps = sp.symbols(
    "mu lambda_i sigma_w sigma_epsilon", positive=True
)
mu_star = sp.Symbol(r"\mu^\star", positive=True)
X, H, H_mu = (
    sp.MatrixSymbol("X", N, d),
    sp.MatrixSymbol("H", d, d),
    sp.MatrixSymbol(r"H_\mu", d, d),
)
w, epsilon, y = (
    sp.MatrixSymbol("w", d, 1),
    sp.MatrixSymbol("epsilon", N, 1),
    sp.MatrixSymbol("y", N, 1),
)
inverse = H_mu.inv()

FORMS: dict[sp.Symbol, sp.Expr] = {}


def form(latex: str, matrix: sp.Expr) -> sp.Symbol:
    """The symbol for a matrix expression, by the LaTeX that stands on the page for
    it.
    """
    symbol = sp.Symbol(latex)
    FORMS[symbol] = matrix
    return symbol


INVERSE = form(r"H_\mu^{-1}", inverse)
SHRUNK = form(r"H_\mu^{-1} w_{\mathrm{true}}", inverse * w)
FITTED = form(r"H_\mu^{-1} X^T \epsilon", inverse * X.T * epsilon)
SHRUNK_NORM = form(
    r"\| H_\mu^{-1} w_{\mathrm{true}} \|^2", w.T * inverse.T * inverse * w
)
FITTED_NORM = form(
    r"\| H_\mu^{-1} X^T \epsilon \|^2",
    epsilon.T * X * inverse.T * inverse * X.T * epsilon,
)
CROSS = form(
    r"w_{\mathrm{true}}^T H_\mu^{-2} X^T \epsilon", w.T * H_mu**-2 * X.T * epsilon
)
BIAS_TRACE = form(r"\operatorname{tr} (H_\mu^{-2})", sp.Trace(H_mu**-2))
VARIANCE_TRACE = form(
    r"\operatorname{tr} (H_\mu^{-1} H H_\mu^{-1})", sp.Trace(inverse * H * inverse)
)

TERM = (sigma_w**2 / d * mu**2 + sigma_eps**2 * lam) / (lam + mu) ** 2
MU_STAR = d * sigma_eps**2 / sigma_w**2
RISK = r"\overline{\mathcal{R}}(w_\mu)"
WRONG_TERMS = {
    "1/d lost": (sigma_w**2 * mu**2 + sigma_eps**2 * lam) / (lam + mu) ** 2,
    "mu not squared": (sigma_w**2 / d * mu + sigma_eps**2 * lam) / (lam + mu) ** 2,
    "lambda squared": (sigma_w**2 / d * mu**2 + sigma_eps**2 * lam**2)
    / (lam + mu) ** 2,
    "denominator not squared": (sigma_w**2 / d * mu**2 + sigma_eps**2 * lam)
    / (lam + mu),
}


def total(
    left: str, term: sp.Expr, upper: sp.Expr = d, plus: sp.Expr = sp.S.Zero
) -> sp.Eq:
    """The equation of the page: left = plus + the sum of term over i from 1 to
    upper.
    """
    return sp.Eq(sp.Symbol(left), plus + sp.Sum(term, (i, 1, upper)), evaluate=False)


def term_of(equation: sp.Eq) -> sp.Expr:
    """The summand of `total`."""
    return next(iter(equation.rhs.atoms(sp.Sum))).function


Summing = Callable[[sp.Expr, range], sp.Expr]  # of a summand, over some indices


def with_sums(side: sp.Expr, over: Summing) -> sp.Expr:
    """A side of an equation with `over(summand, indices)` for each sum: none of them is
    dropped, and no limit is taken for granted.
    """
    return side.replace(
        lambda part: isinstance(part, sp.Sum),
        lambda part: over(
            part.function, range(int(part.limits[0][1]), int(part.limits[0][2]) + 1)
        ),
    )


def gap(
    equation: sp.Eq,
    exact: Mapping[str, sp.Expr],
    at: Mapping[sp.Symbol, sp.Expr],
    over: Summing,
) -> sp.Expr:
    """Left minus right side of an equation of the page, for the exact values of the
    quantities that it has names for. Raises ValueError for what is no equation.
    """
    if not isinstance(equation, sp.Eq):
        raise ValueError(f"{equation} is no equation")
    values = {**at, **{sp.Symbol(name): value for name, value in exact.items()}}
    left, right = (with_sums(side.subs(at), over) for side in equation.args)
    return (left - right).subs(values)


def over_roots(roots: sp.PurePoly) -> Summing:
    """The sum of a rational function of lambda_i over the eigenvalues, the roots of a
    polynomial, exact: no root is ever computed. Over some of them only it has no value.
    """

    def over(term: sp.Expr, indices: range) -> sp.Expr:
        if indices != range(1, roots.degree() + 1):
            raise ValueError(f"{indices} are not the indices of the eigenvalues")
        return sp.RootSum(roots, sp.Lambda(lam, term))

    return over


def over_values(values: Sequence[sp.Expr]) -> Summing:
    """The sum of an expression in lambda_i over values that are known, the first of
    which has the index 1.
    """
    known = dict(enumerate(values, 1))
    return lambda term, indices: sp.Add(*(term.subs(lam, known[k]) for k in indices))


@cache
def designs() -> tuple[sp.ImmutableMatrix, ...]:
    """Integer X with d from 1 to 4, N below, at and above d, three of them of rank
    below min(N, d).
    """
    draw = random.Random(211)
    shapes = [(2, 1), (1, 2), (2, 2), (3, 2), (2, 3), (3, 3), (3, 4), (5, 4)]
    drawn = [
        sp.ImmutableMatrix(*shape, lambda *_: draw.randint(-4, 5)) for shape in shapes
    ]
    deficient = [
        [[1, 2, 3], [2, 4, 6], [1, 0, 1]],
        [[1, 2], [-2, -4], [3, 6]],
        [[1, 1, 0, 2], [2, 2, 0, 4]],
    ]
    return (*drawn, *(sp.ImmutableMatrix(rows) for rows in deficient))


@cache
def rotated(size: int) -> tuple[sp.ImmutableMatrix, tuple[sp.Symbol, ...]]:
    """(H, its eigenvalues): symbolic eigenvalues, the eigenvectors of a rational
    rotation (Cayley's formula).
    """
    values = sp.symbols(f"l1:{size + 1}", positive=True)
    skew = sp.Matrix(size, size, lambda a, b: sp.sign(b - a) * (a + b + 1))
    rotation = (sp.eye(size) - skew) * (sp.eye(size) + skew).inv()
    return sp.ImmutableMatrix(rotation * sp.diag(*values) * rotation.T), values


@cache
def vectors(x: sp.ImmutableMatrix) -> tuple[sp.ImmutableMatrix, sp.ImmutableMatrix]:
    """w_true and epsilon as vectors of symbols, of the lengths that fit to x."""
    return tuple(
        sp.ImmutableMatrix(sp.symbols(f"{name}1:{size + 1}"))
        for name, size in zip("we", x.T.shape, strict=True)
    )


AT = sp.Rational(3, 2)  # the mu of the checks with exact numbers


def on(
    expression: sp.Expr, x: sp.ImmutableMatrix, at: sp.Expr = AT
) -> sp.ImmutableMatrix:
    """A matrix expression, or a linear combination of forms, for the matrix x and mu =
    at; a scalar as 1 x 1 matrix. Raises ValueError for what cannot be added to a form.
    """
    forms = [symbol for symbol in FORMS if expression.has(symbol)]
    if forms:
        terms = {symbol: expression.expand().coeff(symbol) for symbol in forms}
        rest = expression - sp.Add(*(c * symbol for symbol, c in terms.items()))
        if sp.expand(rest) != 0:
            raise ValueError(f"{expression} is no linear combination of forms")
        expression = reduce(operator.add, (c * FORMS[s] for s, c in terms.items()))
    h, (teacher, noise) = x.T * x, vectors(x)
    values = {
        X: x,
        H: h,
        H_mu: h + at * sp.eye(x.cols),
        w: teacher,
        epsilon: noise,
        y: x * teacher + noise,
    }
    sizes = {N: x.rows, d: x.cols}
    value = expression.subs({mu: at, **sizes}).subs(
        {s.subs(sizes): sp.ImmutableMatrix(v) for s, v in values.items()}
    )
    value = value.doit()
    return sp.ImmutableMatrix(value if hasattr(value, "shape") else [value])


def gaussian_mean(
    polynomial: sp.Expr, deviations: Mapping[sp.Symbol, sp.Expr]
) -> sp.Expr:
    """Mean of a polynomial in independent Gaussian variables of mean 0 with the given
    standard deviations.
    """
    mean = sp.Integer(0)
    for powers, coefficient in sp.Poly(polynomial, *deviations).terms():
        if not any(power % 2 for power in powers):
            moments = (
                s**k * sp.factorial2(k - 1)
                for s, k in zip(deviations.values(), powers, strict=True)
            )
            mean += coefficient * sp.prod(moments)
    return mean


def bayes_mean(polynomial: sp.Expr, x: sp.ImmutableMatrix) -> sp.Expr:
    """Mean over teacher and noise of a polynomial in the entries of w_true and
    epsilon.
    """
    teacher, noise = vectors(x)
    return gaussian_mean(
        polynomial,
        dict.fromkeys(teacher, sigma_w / sp.sqrt(x.cols))
        | dict.fromkeys(noise, sigma_eps),
    )


@cache
def exact_error(x: sp.ImmutableMatrix, at: sp.Expr = AT) -> sp.ImmutableMatrix:
    """w_mu - w_true, with w_mu from the linear equations H_mu w_mu = X^T y that define
    it.
    """
    teacher, noise = vectors(x)
    return sp.ImmutableMatrix(
        (x.T * x + at * sp.eye(x.cols)).LUsolve(x.T * (x * teacher + noise)) - teacher
    )


@cache
def exact_risk(x: sp.ImmutableMatrix, at: sp.Expr = AT) -> sp.Expr:
    """|w_mu - w_true|^2, a polynomial in the entries of w_true and epsilon."""
    return sp.expand(exact_error(x, at).dot(exact_error(x, at)))


def vanishes(expression: sp.Expr | sp.ImmutableMatrix) -> bool:
    """Whether a rational function, or each entry of a matrix of them, is zero.

    Where it has a value other than zero at one point, it is not, and nothing is
    canceled.
    """
    entries = sp.Matrix([expression])
    symbols = sorted(entries.free_symbols, key=str)
    at = {symbol: sp.prime(26 + i) for i, symbol in enumerate(symbols)}
    return not any(entry.subs(at).is_nonzero for entry in entries) and all(
        sp.cancel(entry) == 0 for entry in entries
    )


# --- the claims: the proof ---


@claim(
    "eq-q1-resolvent",
    "$H_\\mu^{-1} H - I$ as a multiple of $H_\\mu^{-1}$",
    held="for all values",
    method="noncommutative algebra; exact matrices",
    domain="any $d$; integer $X$, $d$ = 1 to 4, $\\mu$ = 3/2",
    claimed=-mu * INVERSE,
    mutants={
        "sign": mu * INVERSE,
        "mu lost": -INVERSE,
        "second inverse": -mu * form(r"H_\mu^{-2}", H_mu**-2),
    },
)
def check_resolvent(right: sp.Expr) -> bool:
    (symbol,) = right.atoms(sp.Symbol) & FORMS.keys()
    algebra = (
        inverse * (H_mu - mu * sp.Identity(d))
        - sp.Identity(d)
        - right.coeff(symbol) * FORMS[symbol]
    )
    exact = (on(inverse * H - sp.Identity(d), x) - on(right, x) for x in designs())
    return algebra.doit().expand().is_ZeroMatrix is True and all(map(vanishes, exact))


@claim(
    "eq-q1-error",
    "error of the ridge estimator",
    held="on instances",
    method="exact solution of $H_\\mu w_\\mu = X^T y$",
    domain=(
        "integer $X$, $d$ = 1 to 4, $\\mu$ = 3/2; any $w_{\\mathrm{true}}$ and "
        "$\\epsilon$"
    ),
    claimed=-mu * SHRUNK + FITTED,
    mutants={
        "sign of the bias": mu * SHRUNK + FITTED,
        "mu lost": -SHRUNK + FITTED,
        "noise forgotten": -mu * SHRUNK,
        "H for its inverse": -mu * form("H w", H * w) + FITTED,
    },
)
def check_error(error: sp.Expr) -> bool:
    return all(vanishes(exact_error(x) - on(error, x)) for x in designs())


@claim(
    "eq-q1-split",
    "the risk as bias, cross term and noise",
    held="on instances",
    method="exact expansion of the squared error",
    domain=(
        "integer $X$, $d$ = 1 to 4, $\\mu$ = 3/2; any $w_{\\mathrm{true}}$ and "
        "$\\epsilon$"
    ),
    claimed=mu**2 * SHRUNK_NORM - 2 * mu * CROSS + FITTED_NORM,
    mutants={
        "2 lost": mu**2 * SHRUNK_NORM - mu * CROSS + FITTED_NORM,
        "sign of the cross term": mu**2 * SHRUNK_NORM + 2 * mu * CROSS + FITTED_NORM,
        "mu not squared": mu * SHRUNK_NORM - 2 * mu * CROSS + FITTED_NORM,
        "cross term forgotten": mu**2 * SHRUNK_NORM + FITTED_NORM,
    },
)
def check_split(risk: sp.Expr) -> bool:
    return all(sp.expand(exact_risk(x) - on(risk, x)[0]) == 0 for x in designs())


@claim(
    "eq-q1-cross",
    "mean of the cross term",
    held="on instances",
    method="exact moments of independent Gaussians",
    domain="integer $X$, $d$ = 1 to 4, $\\mu$ = 3/2",
    claimed=sp.Integer(0),
    mutants={
        "fully correlated teacher and noise": sigma_w * sigma_eps / sp.sqrt(d),
        "noise replaced by the teacher": -2 * mu * sigma_w**2 / d * BIAS_TRACE,
    },
)
def check_cross(mean: sp.Expr) -> bool:
    return all(
        on(CROSS, x)[0] != 0
        and vanishes(bayes_mean(on(-2 * mu * CROSS, x)[0], x) - on(mean, x)[0])
        for x in designs()
    )


s, n = sp.Symbol("s", positive=True), sp.Symbol("n", positive=True, integer=True)
M = sp.MatrixSymbol("M", n, n)


@claim(
    "lem-q1-quadratic",
    "mean of a quadratic form",
    held="on instances",
    method="exact moments of independent Gaussians",
    domain="symbolic $M$, not symmetric, $n$ = 1 to 4",
    claimed=s**2 * sp.Trace(M),
    mutants={
        "standard deviation for variance": s * sp.Trace(M),
        "all entries of M": s**2 * (sp.OneMatrix(1, n) * M * sp.OneMatrix(n, 1))[0, 0],
        "mean of the diagonal": s**2 * sp.Trace(M) / n,
    },
)
def check_quadratic(mean: sp.Expr) -> bool:
    for size in range(1, 5):
        matrix = sp.ImmutableMatrix(size, size, sp.symbols(f"m:{size**2}"))
        z = sp.Matrix(sp.symbols(f"z:{size}"))
        exact = gaussian_mean((z.T * matrix * z)[0], dict.fromkeys(z, s))
        if (
            sp.expand(exact - mean.subs(n, size).subs(M.subs(n, size), matrix).doit())
            != 0
        ):
            return False
    return True


@claim(
    "eq-q1-bias",
    "mean of the bias term",
    held="on instances",
    method="exact moments of independent Gaussians",
    domain="integer $X$, $d$ = 1 to 4, $\\mu$ = 3/2",
    claimed=sigma_w**2 / d * mu**2 * BIAS_TRACE,
    mutants={
        "1/d lost": sigma_w**2 * mu**2 * BIAS_TRACE,
        "mu not squared": sigma_w**2 / d * mu * BIAS_TRACE,
        "trace of one inverse": sigma_w**2
        / d
        * mu**2
        * form("tr inverse", sp.Trace(inverse)),
    },
)
def check_bias(mean: sp.Expr) -> bool:
    return all(
        vanishes(bayes_mean(on(mu**2 * SHRUNK_NORM, x)[0], x) - on(mean, x)[0])
        for x in designs()
    )


@claim(
    "eq-q1-variance",
    "mean of the noise term",
    held="on instances",
    method="exact moments of independent Gaussians",
    domain="integer $X$, $d$ = 1 to 4, $\\mu$ = 3/2",
    claimed=sigma_eps**2 * VARIANCE_TRACE,
    mutants={
        "standard deviation for variance": sigma_eps * VARIANCE_TRACE,
        "H lost": sigma_eps**2 * BIAS_TRACE,
        "one inverse lost": sigma_eps**2 * form("tr hat", sp.Trace(inverse * H)),
        "1/d too many": sigma_eps**2 / d * VARIANCE_TRACE,
    },
)
def check_variance(mean: sp.Expr) -> bool:
    return all(
        vanishes(bayes_mean(on(FITTED_NORM, x)[0], x) - on(mean, x)[0])
        for x in designs()
    )


TRACE_BIAS = r"\operatorname{tr} (H_\mu^{-2})"
TRACE_VARIANCE = r"\operatorname{tr} (H_\mu^{-1} H H_\mu^{-1})"


@cache
def traces(factors: int) -> tuple[tuple[sp.Expr, int, Summing], ...]:
    """The trace of H_mu^-2, times H or not as there are three factors or two, for
    matrices H of some sizes, and how to sum over their eigenvalues.
    """
    cases = [(h, over_values(values)) for h, values in map(rotated, (1, 2, 3))]
    cases += [(x.T * x, over_roots((x.T * x).charpoly())) for x in designs()]
    found = []
    for h, over in cases:
        shifted = (h + mu * sp.eye(h.rows)).to_DM(field=True)
        inverted = shifted.inv()
        first = inverted
        if factors == 3:
            first = inverted * h.to_DM().convert_to(shifted.domain)
        found.append(((first * inverted).to_Matrix().trace(), h.rows, over))
    return tuple(found)


def trace_is(name: str, factors: int, equation: sp.Eq) -> bool:
    """Whether the equation of a trace is true, as rational functions."""
    return all(
        vanishes(gap(equation, {name: trace}, {d: size}, over))
        for trace, size, over in traces(factors)
    )


@claim(
    "eq-q1-trace-bias",
    "the bias's trace over the eigenvalues",
    held="on instances",
    method=(
        "sympy, symbolic eigenvalues in rotated axes; exact sums over the roots of the "
        "characteristic polynomial"
    ),
    domain="$d$ = 1 to 3; integer $X$, $d$ = 1 to 4",
    claimed=total(TRACE_BIAS, 1 / (lam + mu) ** 2),
    mutants={
        "no square": total(TRACE_BIAS, 1 / (lam + mu)),
        "inverse of H": total(TRACE_BIAS, 1 / lam**2 + 1 / mu**2),
        "variance's": total(TRACE_BIAS, lam / (lam + mu) ** 2),
    },
)
def check_trace_bias(equation: sp.Eq) -> bool:
    return trace_is(TRACE_BIAS, 2, equation)


@claim(
    "eq-q1-trace-variance",
    "the noise's trace over the eigenvalues",
    held="on instances",
    method=(
        "sympy, symbolic eigenvalues in rotated axes; exact sums over the roots of the "
        "characteristic polynomial"
    ),
    domain="$d$ = 1 to 3; integer $X$, $d$ = 1 to 4",
    claimed=total(TRACE_VARIANCE, lam / (lam + mu) ** 2),
    mutants={
        "lambda squared": total(TRACE_VARIANCE, lam**2 / (lam + mu) ** 2),
        "lambda lost": total(TRACE_VARIANCE, 1 / (lam + mu) ** 2),
        "no square": total(TRACE_VARIANCE, lam / (lam + mu)),
    },
)
def check_trace_variance(equation: sp.Eq) -> bool:
    return trace_is(TRACE_VARIANCE, 3, equation)


@claim(
    "eq-q1-risk",
    "Bayes risk of ridge regression",
    held="on instances",
    method=(
        "exact moments from the definition; by traces; exact sums over the roots of "
        "the characteristic polynomial"
    ),
    domain=(
        "integer $X$, full rank or not, $d$ = 1 to 4; $\\mu$ = 3/2 from the "
        "definition, every $\\mu$ by traces"
    ),
    claimed=total(RISK, TERM),
    mutants={name: total(RISK, term) for name, term in WRONG_TERMS.items()},
)
def check_risk(equation: sp.Eq) -> bool:
    for x in designs():
        over = over_roots((x.T * x).charpoly())
        for value, at in (
            (exact_bayes_risk(x), {d: x.cols, mu: AT}),
            (mean_square(x), {d: x.cols}),
        ):
            if not vanishes(gap(equation, {RISK: value}, at, over)):
                return False
    return True


@cache
def exact_bayes_risk(x: sp.ImmutableMatrix) -> sp.Expr:
    """The Bayes risk at mu = AT, from the definition of w_mu."""
    return bayes_mean(exact_risk(x), x)


@cache
def mean_square(x: sp.ImmutableMatrix) -> sp.Expr:
    """Mean of |A w_true + B epsilon|^2 with A = H_mu^-1 H - I and B = H_mu^-1 X^T, as a
    rational function of mu.
    """
    inverted = (x.T * x + mu * sp.eye(x.cols)).to_DM(field=True).inv()
    noise = inverted * x.T.to_DM().convert_to(inverted.domain)
    bias = noise * x.to_DM().convert_to(inverted.domain) - inverted.eye(
        x.cols, inverted.domain
    )
    squares = [(part * part.transpose()).to_Matrix().trace() for part in (bias, noise)]
    return sigma_w**2 / x.cols * squares[0] + sigma_eps**2 * squares[1]


@claim(
    "thm-q1-bayes-risk",
    "the theorem, for random teachers and noise",
    held="by simulation",
    method="Monte Carlo, 4 standard errors, each below half a percent",
    domain="$d$ = 50, $N$ = 30 (20 zeros), three $\\mu$, two $\\sigma_w$",
    claimed=TERM,
    mutants=WRONG_TERMS,
)
def check_bayes_risk(term: sp.Expr) -> bool:
    at = sp.lambdify((lam, mu, sigma_w, sigma_eps, d), term)
    for found in (
        simulate(CHECKED, sigma_eps=2.0, draws=10_000),
        simulate(CHECKED, sigma_eps=1.0, draws=10_000, sigma_w=2.0),
    ):
        sigmas = (found.sigma_w, found.sigma_eps)
        with np.errstate(all="ignore"):  # some wrong versions divide by an eigenvalue
            terms = at(
                found.eigenvalues, found.mu[:, None], *sigmas, found.eigenvalues.size
            )
        error = found.mean - terms.sum(axis=-1)
        if not np.all(np.abs(error) < 4 * found.error):
            return False
        if not np.all(found.error < 0.005 * found.mean):
            return False
    return True


# --- the claims: beyond the question ---


DERIVATIVE = r"\frac{\partial}{\partial \mu} \overline{\mathcal{R}}(w_\mu)"


@claim(
    "eq-q1-derivative",
    "derivative of the Bayes risk with respect to $\\mu$",
    held="for all values",
    method="sympy differentiation of each summand, and of their sum",
    domain="any eigenvalues, any $d$; sums with $d$ = 1 to 3",
    claimed=total(
        DERIVATIVE,
        2 * lam * (sigma_w**2 / d * mu - sigma_eps**2) / (lam + mu) ** 3,
    ),
    mutants={
        "2 lost": total(
            DERIVATIVE, lam * (sigma_w**2 / d * mu - sigma_eps**2) / (lam + mu) ** 3
        ),
        "lambda lost": total(
            DERIVATIVE, 2 * (sigma_w**2 / d * mu - sigma_eps**2) / (lam + mu) ** 3
        ),
        "denominator squared only": total(
            DERIVATIVE, 2 * lam * (sigma_w**2 / d * mu - sigma_eps**2) / (lam + mu) ** 2
        ),
        "sign": total(
            DERIVATIVE, 2 * lam * (sigma_eps**2 - sigma_w**2 / d * mu) / (lam + mu) ** 3
        ),
    },
)
def check_derivative(equation: sp.Eq) -> bool:
    for size in (1, 2, 3):
        values = rotated(size)[1]
        risk = sum(TERM.subs({d: size, lam: value}) for value in values)
        exact = {DERIVATIVE: sp.diff(risk, mu)}
        if not vanishes(gap(equation, exact, {d: size}, over_values(values))):
            return False
    return vanishes(sp.diff(TERM, mu) - term_of(equation))


WRONG_STARS = {
    "d lost": sigma_eps**2 / sigma_w**2,
    "standard deviations": d * sigma_eps / sigma_w,
    "signal over noise": sigma_w**2 / (d * sigma_eps**2),
}


@claim(
    "eq-q1-mu-star",
    "the $\\mu$ of smallest Bayes risk",
    held="on instances",
    method="scipy's bounded minimization of the risk",
    domain="six random spectra with $d$ = 3 to 40, some with zeros",
    claimed=MU_STAR,
    mutants=WRONG_STARS,
)
def check_mu_star(best: sp.Expr) -> bool:
    at = sp.lambdify((d, sigma_w, sigma_eps), best)
    return all(
        math.isclose(at(*setting), minimum, rel_tol=1e-4)
        for setting, minimum in numeric_minima()
    )


@cache
def numeric_minima() -> tuple[tuple[tuple[int, float, float], float], ...]:
    """((d, sigma_w, sigma_eps), the minimizing mu) for random spectra, found without
    derivatives, over log mu.
    """
    rng, found = np.random.default_rng(211), []
    for samples, size in ((6, 3), (4, 4), (10, 20), (20, 20), (30, 40), (80, 40)):
        setting = (
            spectrum(rng.standard_normal((samples, size))),
            *rng.uniform(0.5, 2, 2).tolist(),
        )
        minimum = optimize.minimize_scalar(
            lambda log_mu, eigenvalues, *sigmas: bayes_risk(
                eigenvalues, math.exp(log_mu), *sigmas
            ),
            args=setting,
            bounds=(-8, 8),
            method="bounded",
            options={"xatol": 1e-9},
        )
        found.append(((size, *setting[1:]), math.exp(minimum.x)))
    return tuple(found)


@claim(
    "cor-q1-optimal",
    "the risk falls before $\\mu^\\star$ and rises after it",
    held="for all values",
    method="sympy, sign of each summand's derivative",
    domain="any positive eigenvalue, any $d$, every $\\mu$ on either side",
    claimed=MU_STAR,
    mutants=WRONG_STARS,
)
def check_optimal(best: sp.Expr) -> bool:
    slope, step = sp.diff(TERM, mu), sp.Symbol("p", positive=True)
    above = sp.factor(slope.subs(mu, best * (1 + step)))
    below = sp.factor(slope.subs(mu, best / (1 + step)))
    return (
        above.is_positive is True
        and below.is_negative is True
        and vanishes(slope.subs(mu, best))
    )


VARIANCES = ((sp.Integer(2), sp.Rational(1, 3)), (sp.Rational(1, 2), sp.Integer(3)))


@cache
def conditional(
    x: sp.ImmutableMatrix, prior: sp.Expr, noise: sp.Expr
) -> tuple[sp.ImmutableMatrix, sp.ImmutableMatrix]:
    """Mean and covariance of w_true given y, by conditioning the joint Gaussian; no
    H_mu occurs.
    """
    teacher, epsilons = vectors(x)
    gain = prior * x.T * (prior * x * x.T + noise * sp.eye(x.rows)).inv()
    return gain * (x * teacher + epsilons), prior * (sp.eye(x.cols) - gain * x)


MIN_RISK = r"\overline{\mathcal{R}}(w_{\mu^\star})"


@claim(
    "eq-q1-min-risk",
    "the smallest Bayes risk",
    held="for all values",
    method="sympy, each summand; trace of the exact posterior covariance",
    domain="any eigenvalues; integer $X$, $d$ = 1 to 4, two pairs of variances",
    claimed=total(MIN_RISK, sigma_eps**2 / (lam + mu_star)),
    mutants={
        "denominator squared": total(MIN_RISK, sigma_eps**2 / (lam + mu_star) ** 2),
        "noise only": total(MIN_RISK, sigma_eps**2 * lam / (lam + mu_star) ** 2),
        "prior's variance": total(MIN_RISK, sigma_w**2 / d / (lam + mu_star)),
    },
)
def check_min_risk(equation: sp.Eq) -> bool:
    term = term_of(equation).subs(mu_star, MU_STAR)
    if not vanishes(TERM.subs(mu, MU_STAR) - term):
        return False
    for x in designs():
        over = over_roots((x.T * x).charpoly())
        for prior, noise in VARIANCES:
            trace = conditional(x, prior, noise)[1].trace()
            at = {
                sigma_w: sp.sqrt(prior * x.cols),
                sigma_eps: sp.sqrt(noise),
                d: x.cols,
            }
            at |= {d: x.cols, mu_star: MU_STAR.subs({**at, d: x.cols})}
            if not vanishes(gap(equation, {MIN_RISK: trace}, at, over)):
                return False
    return True


@claim(
    "prp-q1-posterior",
    "posterior mean and covariance of the teacher",
    held="on instances",
    method="conditional Gaussian of $(w_{\\mathrm{true}}, y)$, exact",
    domain="integer $X$, $d$ = 1 to 4, two pairs of variances",
    claimed=(MU_STAR, inverse * X.T * y, sigma_eps**2 * inverse),
    mutants={
        "d lost in mu": (
            sigma_eps**2 / sigma_w**2,
            inverse * X.T * y,
            sigma_eps**2 * inverse,
        ),
        "noise's variance lost": (MU_STAR, inverse * X.T * y, inverse),
        "covariance of w_mu alone": (
            MU_STAR,
            inverse * X.T * y,
            sigma_eps**2 * inverse * H * inverse,
        ),
        "second inverse in the mean": (
            MU_STAR,
            H_mu**-2 * X.T * y,
            sigma_eps**2 * inverse,
        ),
    },
)
def check_posterior(posterior: tuple[sp.Expr, sp.Expr, sp.Expr]) -> bool:
    best, mean, covariance = posterior
    for x in designs():
        for prior, noise in VARIANCES:
            sigmas = {
                sigma_w: sp.sqrt(prior * x.cols),
                sigma_eps: sp.sqrt(noise),
                d: x.cols,
            }
            said = (
                on(part.subs(sigmas), x, best.subs(sigmas))
                for part in (mean, covariance)
            )
            if not all(
                vanishes(a - b)
                for a, b in zip(said, conditional(x, prior, noise), strict=True)
            ):
                return False
    return True


@claim(
    "eq-q1-null",
    "the summand of a zero eigenvalue",
    held="for all values",
    method="sympy; exact moments of the error along null directions of $X$",
    domain="every $\\mu$; integer $X$, $d$ = 2 to 4, $\\mu$ = 3/2",
    claimed=sigma_w**2 / d,
    mutants={"0": sp.Integer(0), "1/d lost": sigma_w**2, "noise": sigma_eps**2 / mu**2},
)
def check_null(term: sp.Expr) -> bool:
    measured = (
        bayes_mean(sp.expand(exact_error(x).dot(v) ** 2), x) / v.dot(v)
        - term.subs({d: x.cols, mu: AT})
        for x in designs()
        for v in x.nullspace()
    )
    return vanishes(TERM.subs(lam, 0) - term) and all(map(vanishes, measured))


SMALL_MU = r"\lim_{\mu \to 0} \overline{\mathcal{R}}(w_\mu)"


@claim(
    "eq-q1-small-mu",
    "the limit of no regularization, rank $r$",
    held="on instances",
    method=(
        "exact limit of the risk by traces; exact risk of the pseudo-inverse; sympy "
        "limit of a summand"
    ),
    domain="integer $X$, $d$ = 1 to 4, full and deficient rank",
    claimed=total(
        SMALL_MU,
        sigma_eps**2 / lam,
        r,
        (1 - r / d) * sigma_w**2,
    ),
    mutants={
        "null directions forgotten": total(SMALL_MU, sigma_eps**2 / lam, r),
        "1/d lost": total(SMALL_MU, sigma_eps**2 / lam, r, (d - r) * sigma_w**2),
        "rank for its complement": total(
            SMALL_MU, sigma_eps**2 / lam, r, r / d * sigma_w**2
        ),
        "eigenvalue squared": total(
            SMALL_MU, sigma_eps**2 / lam**2, r, (1 - r / d) * sigma_w**2
        ),
    },
)
def check_small_mu(equation: sp.Eq) -> bool:
    for x in designs():
        poly = (x.T * x).charpoly()
        nonzero = poly.exquo(sp.PurePoly(poly.gen ** (x.cols - x.rank()), poly.gen))
        noise = pseudo_inverse(x)
        bias = noise * x - sp.eye(x.cols)
        risk = sigma_w**2 / x.cols * (bias.T * bias).trace()
        risk += sigma_eps**2 * (noise.T * noise).trace()
        if not vanishes(sp.limit(sp.cancel(mean_square(x)), mu, 0) - risk):
            return False
        at = {d: x.cols, r: x.rank()}
        if not vanishes(gap(equation, {SMALL_MU: risk}, at, over_roots(nonzero))):
            return False
    return vanishes(sp.limit(TERM, mu, 0) - term_of(equation))


@cache
def pseudo_inverse(x: sp.ImmutableMatrix) -> sp.ImmutableMatrix:
    """The Moore-Penrose inverse, exact."""
    return sp.ImmutableMatrix(x.pinv())


@claim(
    "eq-q1-large-mu",
    "the limit of infinite regularization",
    held="for all values",
    method="sympy limit of each summand; risk of $w = 0$",
    domain="any eigenvalues, any $d$; $w = 0$ for $d$ = 1 to 4",
    claimed=sigma_w**2,
    mutants={
        "1/d left": sigma_w**2 / d,
        "0": sp.Integer(0),
        "noise stays": sigma_w**2 + sigma_eps**2,
    },
)
def check_large_mu(limit: sp.Expr) -> bool:
    zero = (
        bayes_mean(vectors(x)[0].dot(vectors(x)[0]), x) - limit.subs(d, x.cols)
        for x in designs()
    )
    return vanishes(d * sp.limit(TERM, mu, sp.oo) - limit) and all(map(vanishes, zero))


@claim(
    "cor-q1-more-data",
    "at $\\mu^\\star$ one more sample lowers the risk",
    held="on instances",
    method=(
        "the formula's values, sample by sample, never above $\\sigma_w^2$, and at 0.9 "
        "and 1.1 times $\\mu^\\star$"
    ),
    domain=(
        "20 random $X$, $N$ from 1 to 30; $d$ = 10 with two pairs of variances, "
        "$d$ = 4 with one"
    ),
    claimed=MU_STAR,
    mutants={
        "a hundredth of it": MU_STAR / 100,
        "no regularization": sp.S.Zero,
        "d lost": sigma_eps**2 / sigma_w**2,
    },
)
def check_more_data(best: sp.Expr) -> bool:
    for features, *sigmas in ((10, 1.0, 1.0), (10, 2.0, 0.5), (4, 0.5, 1.5)):
        at = {d: features, sigma_w: sigmas[0], sigma_eps: sigmas[1]}
        level = float(best.subs(at))
        if level <= 0:
            return False
        risks, *beside = (
            growing_risk(factor * level, *sigmas, features) for factor in (1, 0.9, 1.1)
        )
        worse = all(np.all(other > risks) for other in beside)
        falls = np.all(np.diff(risks, axis=1) < 0)  # no row is zero
        if not (worse and falls and np.all(risks <= sigmas[0] ** 2)):
            return False
    return True
