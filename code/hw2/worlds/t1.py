"""Task 1: the schemes of the study in layers of two to four units. Means over unit
weights are exact, those over a normal variable a trapezoidal rule; deep layers are the
variance map, iterated.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy import integrate, interpolate, special, stats

from hw2.formulas.checking import Case, World
from hw2.formulas.meaning import (
    Free,
    Given,
    Law,
    Outcome,
    Scope,
    column,
    value,
)
from hw2.formulas.reading import Node
from hw2.tasks import signal
from hw2.theory import signal as theory

UNIT, NORMAL, UNIT_TANH, XAVIER_TANH, XAVIER_RELU, KAIMING = (
    scheme.name for scheme in signal.SCHEMES
)
WIDER = "unit normal, linear, width 4"
ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "linear": float,
    "tanh": lambda u: math.tanh(float(u)),
    "relu": lambda u: max(float(u), 0.0),
}
SLOPES: dict[str, Callable[[float], float]] = {
    "linear": lambda u: 1.0,
    "tanh": lambda u: math.cosh(float(u)) ** -2,
    "relu": lambda u: float(u > 0),
}
DEEP = (3000, 10_000)
POINTS = np.arange(-8.875, 9, 0.25)  # none at the kink of the ReLU
WEIGHTS = 0.25 * np.exp(-(POINTS**2) / 2) / math.sqrt(2 * math.pi)

# --- laws ---


@cache
def unit_weights(rows: int, columns: int) -> list[tuple[float, np.ndarray]]:
    """Matrices with the means and covariances of independent N(0, 1) entries."""
    total = rows * columns
    found = []
    for place, sign in itertools.product(range(total), (1, -1)):
        entries = np.zeros(total)
        entries[place] = sign * math.sqrt(total)
        found.append((1 / (2 * total), entries.reshape(rows, columns)))
    return found


def over_weights(scope: Scope) -> list[Outcome]:
    """The unit weights of a layer."""
    n = scope["n"]
    return [Outcome(p, {"a": a}) for p, a in unit_weights(n, n)]


def over_both(scope: Scope) -> list[Outcome]:
    """The unit weights of a layer and its input."""
    n = scope["n"]
    return [
        Outcome(p * q, {"a": a, "x": x})
        for p, a in unit_weights(n, n)
        for q, x in unit_weights(n, 1)
    ]


def over_normal(scope: Scope) -> list[Outcome]:
    """u ~ N(0, q), and one weight of the scheme. No mean has both of them."""
    q, scale = scope["q"], scope["scale"]
    chances = special.ndtr(POINTS)
    weights = scale(scope) * (2 * chances - 1 if scope["uniform"] else POINTS)
    return [
        Outcome(p, {"u": math.sqrt(q) * x, "W": w})
        for p, x, w in zip(WEIGHTS, POINTS, weights, strict=True)
    ]


def over_slopes(scope: Scope) -> list[Outcome]:
    """u ~ N(0, q) for large q: fine where tanh has a slope, coarse elsewhere."""
    deviation, step = math.sqrt(scope["q"]), 0.4
    points = step * np.arange(-30, 31)
    weights = step * np.exp(-((points / deviation) ** 2) / 2)
    weights /= deviation * math.sqrt(2 * math.pi)
    far = [Outcome((1 - weights.sum()) / 2, {"u": sign * 50.0}) for sign in (1, -1)]
    return [
        *(Outcome(p, {"u": u}) for p, u in zip(weights, points, strict=True)),
        *far,
    ]


def over_cells(scope: Scope) -> list[Outcome]:
    """u ~ N(0, q) in cells, between borders one at each u with |tanh u| = a."""
    border, deviation = np.arctanh(scope["a"]), math.sqrt(scope["q"])
    borders = [-math.inf, *sorted((-border, -2.0, 0.0, 2.0, border)), math.inf]
    outcomes = []
    for low, high in itertools.pairwise(borders):
        chance = stats.norm.cdf(high, scale=deviation)
        chance -= stats.norm.cdf(low, scale=deviation)
        inside = max(low, -30.0), min(high, 30.0)
        outcomes.append(Outcome(chance, {"u": sum(inside) / 2}))
    return outcomes


@cache
def log_gain(n: int) -> tuple[float, float]:
    """Mean and standard deviation of log(chi^2_n / n), by quadrature."""

    def moment(k: int) -> float:
        return integrate.quad(
            lambda t: t**k * stats.chi2.pdf(n * math.exp(t), n) * n * math.exp(t),
            -40 * math.sqrt(2 / n),
            12 * math.sqrt(2 / n),
            points=[0.0],
            epsabs=1e-13,
            limit=200,
        )[0]

    return moment(1), math.sqrt(moment(2) - moment(1) ** 2)


def over_layers(scope: Scope) -> list[Outcome]:
    """The signal in the layers of a normalized linear network: the logarithm of its
    squared norm takes a step up or down in each, with the mean and variance that it has
    there; the input is one of two.
    """
    mean, deviation = log_gain(scope["n"])
    layers, outcomes = scope["ell"], []
    for signs in itertools.product((1, -1), repeat=layers):
        for start in (0.5, 2.0):
            logs = np.cumsum([0.0, *(mean + sign * deviation for sign in signs)])
            x = {
                k: column([start, -start]) * math.exp(g / 2) for k, g in enumerate(logs)
            }
            outcomes.append(Outcome(0.5 ** (layers + 1), {"x": x}))
    return outcomes


def over_relu_layer(scope: Scope) -> list[Outcome]:
    """A layer of the ReLU on pre-activations of the scheme's weights: each is half the
    time not positive, and its square has the moments of a normal variable's.
    """
    n, layer, x = scope["n"], scope["ell"], column(range(1, scope["n"] + 1))
    halves, weights = special.roots_genlaguerre(3, -1 / 2)  # of chi^2_1
    unit = [(0.5, 0.0)] + [
        (w / weights.sum() / 2, math.sqrt(2 * h))
        for w, h in zip(weights, halves, strict=True)
    ]
    deviation = math.sqrt(variance_of_weights(scope) * float((x**2).sum()))
    return [
        Outcome(
            math.prod(p for p, _ in drawn),
            {"x": {layer: x, layer + 1: deviation * column([u for _, u in drawn])}},
        )
        for drawn in itertools.product(unit, repeat=n)
    ]


def random(scope: Scope) -> list[Outcome]:
    return scope["random"](scope)


# --- what the schemes do ---


def variance_of_weights(scope: Scope) -> float:
    """The variance of the scheme's weights: 1/3 of the square of a uniform bound."""
    return scope["scale"](scope) ** 2 * (1 / 3 if scope["uniform"] else 1)


@cache
def moments(activation: str, q: float) -> tuple[float, float, float]:
    """Mean and mean square of an activation of u ~ N(0, q), and the mean square of its
    slope.
    """
    phi, slope = ACTIVATIONS[activation], SLOPES[activation]

    def mean(function: Callable[[float], float]) -> float:
        def folded(x: float) -> float:
            both = function(math.sqrt(q) * x) + function(-math.sqrt(q) * x)
            return both * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

        return integrate.quad(folded, 0, 12, epsabs=1e-13, limit=200)[0]

    return mean(phi), mean(lambda u: phi(u) ** 2), mean(lambda u: slope(u) ** 2)


def next_variance(scope: Scope) -> float:
    """The variance of the next pre-activations: one term for each connection."""
    square = moments(scope["activation"], float(scope["q"]))[1]
    return sum(variance_of_weights(scope) * square for _ in range(scope["n"]))


def gradient_gain(scope: Scope) -> float:
    """The mean square that a unit gets from the n units behind it, of which each has
    the squared gradient 1.
    """
    slope = moments(scope["activation"], float(scope["q"]))[2]
    return sum(variance_of_weights(scope) * slope for _ in range(scope["n"]))


def gradient_behind(scope: Scope) -> float:
    """The mean of |W^T D g|^2 over the weights W and slopes D of a layer."""
    n, g = scope["n"], scope["g"]
    slope = moments(scope["activation"], float(scope["q"]))[2]
    deviation = math.sqrt(variance_of_weights(scope) * slope)
    behind = ((p, deviation * a.T @ g) for p, a in unit_weights(n, n))
    return sum(p * float((b**2).sum()) for p, b in behind)


@cache
def unit_gain(rows: int, columns: int) -> float:
    """How a layer of unit weights multiplies the mean square of a unit."""
    x = np.ones((columns, 1))
    return sum(p * float(((a @ x) ** 2).mean()) for p, a in unit_weights(rows, columns))


def deviation_of(scope: Scope) -> Callable[[float], float]:
    """The standard deviation of the units of a layer, from an input of variance 1."""
    n, name = scope["n"], scope["activation"]

    def at(layer: float) -> float:
        square, mean = 1.0, 0.0
        for _ in range(int(layer)):
            q = variance_of_weights(scope) * unit_gain(1, n) * square
            mean, square, _ = moments(name, q)
        return math.sqrt(square - mean**2)

    return at


def layer_that_reaches(scope: Scope) -> float:
    """Where the standard deviation is F, between two layers by its logarithm."""
    deviation, layer = scope["sigma"](1), 0
    if deviation < 1.01:
        return math.inf
    reached = 1.0
    while reached * deviation < scope["F"]:
        reached, layer = reached * deviation, layer + 1
    return layer + math.log(scope["F"] / reached) / math.log(deviation)


@cache
def deep_variance() -> interpolate.CubicSpline:
    """The variance of tanh units in deep layers of gain 1."""
    q, found = 1.0, []
    for _ in range(DEEP[-1] + 2):
        q = float(np.sum(WEIGHTS * np.tanh(math.sqrt(q) * POINTS) ** 2))
        found.append(q)
    return interpolate.CubicSpline(np.arange(1, len(found) + 1), found)


def stationary(scope: Scope) -> float:
    """The variance of the pre-activations in the last layer of the study."""
    return theory.mean_field(scope["scheme"]).variance[-1]


# --- judgements ---


def to_second_order(node: Node, scope: Scope) -> bool:
    """Whether both sides differ by a third power of q, for q in the world's place."""
    if node.value != ("=",):
        return False

    def difference(q: float) -> float:
        left, right = (value(part, scope.with_({"q": q})) for part in node.parts)
        return abs(left - right)

    return all(difference(q) < 10 * q**3 for q in (1e-2, 1e-3))


def in_the_limit(near: float) -> Callable[[Node, Scope], bool]:
    """An equation that is meant for large layers or variances: so far it may be off."""

    def holds(node: Node, scope: Scope) -> bool:
        if node.value != ("=",):
            return False
        left, right = (value(part, scope) for part in node.parts)
        return math.isclose(left, right, rel_tol=near)

    return holds


def share_of_deviation() -> float:
    """Of a normal input's ReLU: standard deviation over root of the mean square."""

    def moment(k: int) -> float:
        return integrate.quad(lambda z: z**k * stats.norm.pdf(z), 0, 12)[0]

    first, second = moment(1), moment(2)
    return math.sqrt((second - first**2) / second)


def per_layer(node: Node, scope: Scope) -> bool:
    """Whether this is about the variance of a step of the walk."""
    found = value(node, scope.with_({"n": signal.WIDTH}))
    exact = log_gain(signal.WIDTH)[1] ** 2
    return math.isclose(found, exact, rel_tol=0.01)


def step_of_norm(node: Node, scope: Scope) -> bool:
    """Whether this has the mean and mean square of what a layer of normalized weights
    multiplies the squared norm by: the mean of n independent squares.
    """
    n = scope["n"]
    halves, weights = special.roots_genlaguerre(3, n / 2 - 1)  # of chi^2_n
    steps = [value(node, scope.with_({"chi_n": math.sqrt(2 * x)})) for x in halves]
    first, second = (np.average(np.power(steps, k), weights=weights) for k in (1, 2))
    fourth = float(np.sum(WEIGHTS * POINTS**4))
    wanted = (n * fourth + n * (n - 1)) / n**2
    return math.isclose(first, 1) and math.isclose(second, wanted)


def maps_variance(node: Node, scope: Scope) -> bool:
    """Whether the arrow leads from each variance of the theory module to the next."""
    if node.value != (r"\mapsto",):
        return False
    old, new = node.parts
    variance = theory.mean_field(scope["narrow scheme"], scope["n"]).variance
    return all(
        value(old, scope.with_({"q": variance[k]})) == variance[k]
        and math.isclose(
            value(new, scope.with_({"q": variance[k]})), variance[k + 1], rel_tol=1e-6
        )
        for k in (0, 1, 4)
    )


def not_a_number(node: Node, scope: Scope) -> bool:
    return math.isnan(value(node, scope))


# --- instances ---


SCALES: dict[str, Callable[[Scope], float]] = {
    UNIT: lambda scope: 1.0,
    NORMAL: lambda scope: 1 / math.sqrt(scope["n"]),
    UNIT_TANH: lambda scope: 1.0,
    XAVIER_TANH: lambda scope: signal.xavier_bound(scope["n"], scope["n"]),
    XAVIER_RELU: lambda scope: signal.xavier_bound(scope["n"], scope["n"]),
    KAIMING: lambda scope: signal.kaiming_std(scope["n"]),
}


def instance(scheme: signal.Scheme, n: int, n_in: int, n_out: int) -> dict[str, Any]:
    rng = np.random.default_rng(signal.SEED)
    scale = SCALES[scheme.name]
    table = {
        "scheme": scheme,
        "narrow scheme": replace(scheme, scale=scale(Scope({"n": n}))),
        "scale": scale,
        "uniform": scheme.uniform,
        "activation": scheme.activation,
        "random": over_normal,
        "n": n,
        "n_i": n_in,
        "n_i+1": n_out,
        "ell": Free((1, 2, 4)),
        "F": Free((theory.FLOAT32_MAX, torch.finfo(torch.float16).max)),
        "i": Free(range(1, n + 1)),
        "j": Free(range(1, n + 1)),
        "range j": range(1, n + 1),
        "a": Free((rng.standard_normal((n, n)),)),
        "x": Free((column(rng.standard_normal(n)),)),
        "g": column(rng.standard_normal(n)),
        "y": Given(lambda scope: scope["a"] @ scope["x"]),
        "u": Free((-0.3, 0.1, 0.3)),
        "q": Free((0.3, 1.5)),
        "law u": Given(lambda scope: Law("N", (0, scope["q"]))),
        "b": Given(lambda scope: signal.xavier_bound(scope["n_i"], scope["n_i+1"])),
        "sigma": Given(deviation_of),
        "ell^star": Given(layer_that_reaches),
        "q_ell+1": Given(next_variance),
        "chi": Given(gradient_gain),
        "varphi": ACTIVATIONS[scheme.activation],
        "cal-N": lambda mean, variance: Law("N", (mean, variance)),
        "cal-U": lambda low, high: Law("U", (low, high)),
        "psi^(1)": lambda x: float(special.polygamma(1, float(x))),
        "erfc": lambda x: math.erfc(float(x)),
        "atanh": lambda x: math.atanh(float(x)),
    }
    if scheme.name == XAVIER_TANH:
        table["q_ell"] = Given(lambda scope: float(deep_variance()(scope["ell"])))
    return table


WIDTHS = {
    UNIT: (3, 2, 5),
    NORMAL: (2, 3, 1),
    UNIT_TANH: (3, 1, 4),
    XAVIER_TANH: (3, 2, 4),
    XAVIER_RELU: (2, 4, 3),
    KAIMING: (3, 5, 2),
}
LINEAR = (UNIT, WIDER)
LARGE = {"q": (200.0, 1000.0)}
ALIVE = (NORMAL, XAVIER_TANH, KAIMING)


def xavier_of_layer(scope: Scope) -> float:
    return signal.xavier_bound(scope["n_i"], scope["n_i+1"])


def integral_of_slopes(scope: Scope) -> float:
    return integrate.quad(lambda u: SLOPES["tanh"](u) ** 2, -20, 20, epsabs=1e-12)[0]


def variance_of_uniform(scope: Scope) -> float:
    b = scope["b"]
    return integrate.quad(lambda w: w**2 / (2 * b), -b, b)[0]


WORLD = World(
    section="t1",
    how="all schemes in layers of 2 to 4 units, exact means and quadrature",
    instances={
        **{s.name: instance(s, *WIDTHS[s.name]) for s in signal.SCHEMES},
        WIDER: instance(signal.SCHEMES[0], 4, 1, 1),
    },
    functions=frozenset({"cal-N", "cal-U", "varphi", "psi^(1)", "erfc", "atanh"}),
    measures={"": random},
    cases=(
        Case(
            r"x \in \mathbb{R}^{512}",
            bind={"x": column(torch.zeros(signal.WIDTH).tolist())},
        ),
        Case(r"\mathbb{E}[a_{ij}^2] = 1", bind={"random": over_weights}),
        Case(r"\mathbb{E}[y_i^2] = \sum_j x_j^2", bind={"random": over_weights}),
        Case(r"\sigma_\ell = n^{\ell/2}", only=LINEAR),
        Case(r"\ell^* = \frac{\log(F)}{\log(\sqrt{n})}", only=LINEAR),
        Case("n = 512", bind={"n": signal.WIDTH}),
        Case(
            r"\pm\infty",
            equals=lambda s: frozenset((float(torch.inf), float(-torch.inf))),
        ),
        Case(r"\infty - \infty", holds=not_a_number),
        Case("y = ax", define=True, equals=lambda s: s["a"] @ s["x"]),
        Case(r"\mathrm{std}(y_i) = \sqrt{n}", bind={"random": over_both}),
        Case(
            r"\sqrt{n}", equals=lambda s: math.sqrt(unit_gain(s["n"], s["n"])), times=2
        ),
        Case(r"\chi^2_n / n", holds=step_of_norm, times=2),
        Case(
            r"\mathrm{Var}\left[\log\frac{|x_\ell|^2}{|x_0|^2}\right] = "
            r"\ell\,\psi^{(1)}\left(\frac{n}{2} \right)",
            where={"ell": (1, 3)},
            bind={"random": over_layers},
        ),
        Case("2/n", holds=per_layer, times=2),
        Case(
            r"\mathrm{Var}\left[\frac{|x_{\ell+1}|^2}{|x_\ell|^2}\right]"
            r" = \frac{5}{n}",
            where={"ell": (1, 3)},
            bind={"random": over_relu_layer},
            only=(KAIMING,),
        ),
        Case(
            r"\pm 1",
            equals=lambda s: frozenset((math.tanh(40.0), math.tanh(-40.0))),
        ),
        Case(
            r"\mathrm{P}(|\tanh u| > a) = \operatorname{erfc}\left("
            r"\frac{\sqrt{2}\,\operatorname{atanh}\left(a \right)}{2\,\sqrt{q}} "
            r"\right)",
            where={"a": (0.5, theory.SATURATED)},
            bind={"random": over_cells},
        ),
        Case("a = 0.99", bind={"a": theory.SATURATED}),
        Case(
            r"\mathcal{U}(-b, b)",
            equals=lambda s: Law("U", (-xavier_of_layer(s), xavier_of_layer(s))),
        ),
        Case("b^2/3", equals=variance_of_uniform),
        Case(
            r"\mathrm{Var}(W) = \frac{2}{n_i + n_{i+1}}",
            bind={"scale": xavier_of_layer},
            only=(XAVIER_TANH, XAVIER_RELU),
        ),
        Case(
            "1/n_i",
            equals=lambda s: 1 / unit_gain(s["n_i+1"], s["n_i"]),
            after=("a compromise between",),
        ),
        Case(
            "1/n_{i+1}",
            equals=lambda s: 1 / unit_gain(s["n_i"], s["n_i+1"]),
            after=("on the way forward, and",),
        ),
        Case(r"\sqrt{1 - 1/\pi}", equals=lambda s: share_of_deviation()),
        Case(r"\tanh u \approx u - u^3/3", near=0.0015),
        Case(r"q_{\ell+1} = q - 2 q^2", holds=to_second_order, only=(XAVIER_TANH,)),
        Case(
            r"\frac{\partial}{\partial \ell}\, q_\ell = -2 q_\ell^2",
            holds=in_the_limit(0.01),
            where={"ell": DEEP},
            only=(XAVIER_TANH,),
        ),
        Case(
            r"q_\ell = \frac{1}{2 \ell}",
            holds=in_the_limit(0.01),
            where={"ell": DEEP},
            only=(XAVIER_TANH,),
        ),
        Case(r"\mathrm{std}(W) = \sqrt{\frac{2}{n}}", only=(KAIMING,)),
        Case(r"\frac{\sigma_{\ell+1}}{\sigma_1} = 2^{-\ell/2}", only=(XAVIER_RELU,)),
        Case(
            r"q \mapsto n \mathrm{Var}(W)\, \mathbb{E}[\varphi(u)^2]",
            holds=maps_variance,
        ),
        Case(r"\chi |g|^2", equals=gradient_behind),
        Case(
            r"\mathbb{E}[\varphi'(u)^2] \approx \frac{1}{\sqrt{2 \pi q}} "
            r"\int (1 - \tanh^2 u)^2 \mathrm{d}u",
            near=0.002,
            where=LARGE,
            bind={"random": over_slopes},
            only=(UNIT_TANH, XAVIER_TANH),
        ),
        Case("4/3", equals=integral_of_slopes),
        Case(
            r"\chi = \frac{4 n}{3 \sqrt{2 \pi q}}",
            holds=in_the_limit(0.002),
            where=LARGE,
            only=(UNIT_TANH,),
        ),
        Case(
            r"\chi \approx 1",
            bind={"n": signal.WIDTH, "q": Given(stationary)},
            only=ALIVE,
        ),
    ),
)
