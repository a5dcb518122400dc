"""Task 1: the theory of signal propagation through random layers, and its claims.

For wide layers the pre-activations u are Gaussian, so a layer is described by their
variance q and a *variance map* q -> n Var(W) E[phi(u)^2] (Poole et al. 2016); gradients
follow chi = n Var(W) E[phi'(u)^2] (Schoenholz et al. 2017).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import sympy as sp
import torch
from scipy import integrate, stats

from hw2.claims import claim
from hw2.kept import kept
from hw2.tasks import signal

n, layer, q, F, a = sp.symbols(r"n \ell q F a", positive=True)
fan_in, fan_out = sp.symbols(r"n_{i} n_{i+1}", positive=True)
WALK = layer * sp.polygamma(1, n / 2)
RELU_STEP = 5 / n
RELU_DECAY = 2 ** (-layer / 2)
TANH_DECAY = 1 / (2 * layer)
CHI = 4 * n / (3 * sp.sqrt(2 * sp.pi * q))
SATURATION = sp.erfc(sp.atanh(a) / sp.sqrt(2 * q))
FLOAT32_MAX = torch.finfo(torch.float32).max
SATURATED = 0.99  # tanh units beyond this are

GRID = np.linspace(
    -12, 12, 4800
)  # an even number: the kink of ReLU lies between two points
DENSITY = np.exp(-(GRID**2) / 2) / math.sqrt(2 * math.pi) * (GRID[1] - GRID[0])

# activation, its derivative
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "linear": (lambda u: u, np.ones_like),
    "tanh": (np.tanh, lambda u: 1 - np.tanh(u) ** 2),
    "relu": (lambda u: np.maximum(u, 0), lambda u: np.heaviside(u, 0.5)),
}


def gaussian_mean(f: Callable[[np.ndarray], np.ndarray], variance: float) -> float:
    """E[f(u)] for u ~ N(0, variance), by the trapezoidal rule on 12 standard deviations
    each way.
    """
    return float(np.sum(DENSITY * f(math.sqrt(variance) * GRID)))


@dataclass(frozen=True)
class MeanField:
    """What mean-field theory says of a scheme, in natural logarithms; unit normal
    weights leave the range of floats.

    `log_std`: log of the units' standard deviation, layers 1 to depth. `log_gradient`:
    log of the gradient's norm relative to the last layer's, layers 0 to depth.
    `variance`: q of the pre-activations, layers 1 to depth.
    """

    log_std: np.ndarray
    log_gradient: np.ndarray
    variance: np.ndarray


def layer_gain(scheme: signal.Scheme, width: int = signal.WIDTH) -> float:
    """n Var(W) of a scheme."""
    return width * scheme.scale**2 * (1 / 3 if scheme.uniform else 1)


@cache
def mean_field(
    scheme: signal.Scheme, width: int = signal.WIDTH, depth: int = signal.DEPTH
) -> MeanField:
    """Iterate the variance map from an input of variance 1, and the gradient's factors
    back from the last layer.
    """
    phi, slope = ACTIVATIONS[scheme.activation]
    gain = layer_gain(scheme, width)
    square, log_std, log_chi, variance = 1.0, [], [], []
    for _ in range(depth):
        variance.append(gain * square)
        square, mean = (
            gaussian_mean(f, variance[-1]) for f in (lambda u: phi(u) ** 2, phi)
        )
        log_std.append(0.5 * math.log(square - mean**2))
        log_chi.append(
            0.5 * math.log(gain * gaussian_mean(lambda u: slope(u) ** 2, variance[-1]))
        )
    return MeanField(
        np.array(log_std), np.cumsum([0.0, *log_chi[::-1]])[::-1], np.array(variance)
    )


def tanh_saturation(variance: float, threshold: float = SATURATED) -> float:
    """Predicted share of tanh units beyond the threshold for pre-activations of this
    variance.
    """
    return float(SATURATION.subs({a: threshold, q: variance}))


def gaussian_second_moment(width: int) -> sp.Expr:
    """E[(sum_j a_j x_j)^2] for independent standard normal a_j, expanded symbolically;
    a function of x_1 .. x_width.
    """
    weights, x = sp.symbols(f"a1:{width + 1}"), sp.symbols(f"x1:{width + 1}")
    square = sp.Poly(sum(w * v for w, v in zip(weights, x, strict=True)) ** 2, *weights)
    return sum(
        c * math.prod((1, 0, 1)[k] for k in powers) for powers, c in square.terms()
    )


def one_layer_gain(width: int) -> sp.Expr:
    """E[|y|^2 / n] / (|x|^2 / n) of one linear layer of unit normal weights,
    symbolically for the given width.
    """
    x = sp.symbols(f"x1:{width + 1}")
    return sp.simplify(width * gaussian_second_moment(width) / sum(v**2 for v in x))


def gaussian_integral(f: sp.Expr, u: sp.Symbol, low: sp.Expr = -sp.oo) -> sp.Expr:
    """E[f(u); u > low] for u ~ N(0, q), symbolically."""
    return sp.simplify(
        sp.integrate(
            f * sp.exp(-(u**2) / (2 * q)) / sp.sqrt(2 * sp.pi * q), (u, low, sp.oo)
        )
    )


@claim(
    "eq-t1-growth",
    "standard deviation after $\\ell$ linear layers with unit normal weights",
    held="on instances",
    method="sympy",
    domain="one layer, width 1 to 4, any input; induction over the layers",
    claimed=n ** (layer / 2),
    mutants={
        "n per layer": n**layer,
        "half the connections": (n / 2) ** (layer / 2),
        "additive": sp.sqrt(layer * n),
    },
)
def check_growth(std: sp.Expr) -> bool:
    gain = sp.simplify(std.subs(layer, layer + 1) ** 2 / std**2)
    return std.subs(layer, 0) == 1 and all(
        gain.subs(n, width) == one_layer_gain(width) for width in range(1, 5)
    )


@claim(
    "eq-t1-overflow",
    "layer at which unit normal weights leave the range of float32",
    held="by simulation",
    method=(
        "sympy: the growth above reaches $F$ there; Monte Carlo, mean of the first "
        "infinite unit's layer from 0.2 before it to 0.8 after it"
    ),
    domain=(
        "formula: any $n$ and $F$; simulation: 32 networks each of width 64, 128, 256, "
        "512"
    ),
    claimed=sp.log(F) / sp.log(sp.sqrt(n)),
    mutants={
        "variance for standard deviation": sp.log(F) / sp.log(n),
        "decimal logarithm": sp.log(F, 10) / sp.log(sp.sqrt(n)),
        "half the connections": sp.log(F) / sp.log(sp.sqrt(n / 2)),
    },
)
def check_overflow(predicted: sp.Expr) -> bool:
    reached = (n ** (layer / 2)).subs(layer, predicted)
    return sp.simplify(sp.log(reached) - sp.log(F)) == 0 and all(
        -0.2 < measured - float(predicted.subs({F: FLOAT32_MAX, n: width})) < 0.8
        for width, measured in _measured_overflow().items()
    )


@cache
def _measured_overflow() -> dict[int, float]:
    return {
        w: float(np.mean(signal.overflow_layers(w, networks=32, depth=50)))
        for w in (64, 128, 256, 512)
    }


@kept
def layers_to_nan(
    networks: int = 500, width: int = signal.WIDTH, seed: int = signal.SEED
) -> list[int]:
    """For each of some linear networks with unit normal float32 weights: after how many
    layers from the first infinite unit on all units are NaN.

    Four layers before any unit can be infinite the signal is drawn by its law, which is
    the norm of the one before times a standard normal vector in each layer.
    """
    reached = math.log(FLOAT32_MAX) / math.log(math.sqrt(width))
    rng, found = np.random.default_rng(seed), []
    torch.manual_seed(seed)
    a = torch.empty(width, width)
    for _ in range(networks):
        # the squared norms of the input and of the layers that cannot overflow
        norms = rng.chisquare(width, math.floor(reached) - 4)
        x = torch.randn(width) * math.exp(np.log(norms).sum() / 2)
        first, layer = 0, 0
        while not x.isnan().all():
            layer += 1
            x = a.normal_() @ x
            if not first and not x.isfinite().all():
                first = layer
        found.append(layer - first)
    return found


@claim(
    "eq-t1-std",
    "standard deviation of $y = ax$ for unit normal $a$ and $x$",
    held="on instances",
    method="sympy; Monte Carlo within 4 standard errors",
    domain="width 1 to 4; width 512, 10,000 products",
    claimed=sp.sqrt(n),
    mutants={
        "half the connections": sp.sqrt(n / 2),
        "one connection less": sp.sqrt(n - 1),
        "variance": n,
    },
)
def check_std(std: sp.Expr) -> bool:
    measured = signal.product_statistics(width=512, products=10_000)
    exact = all(
        std.subs(n, width) ** 2
        == gaussian_second_moment(width).subs({f"x{i + 1}": 1 for i in range(width)})
        for width in range(1, 5)
    )
    return (
        exact and abs(float(std.subs(n, 512)) - measured.std) < 4 * measured.std_error
    )


@claim(
    "eq-t1-walk",
    "variance of $\\log(|x_\\ell|^2 / |x_0|^2)$ for normalized linear layers",
    held="on instances",
    method="quadrature; Monte Carlo within 4 standard errors",
    domain="one layer of width 2, 10, 64, 512; width 32, 10 layers, 20,000 networks",
    claimed=WALK,
    mutants={
        "one layer's variance twice": 2 * layer * sp.polygamma(1, n / 2),
        "of the norm instead of its square": layer * sp.polygamma(1, n / 2) / 4,
        "width for half the width": layer * sp.polygamma(1, n),
    },
)
def check_walk(variance: sp.Expr) -> bool:
    for width in (2, 10, 64, 512):
        mean, square = (
            stats.chi2(width).expect(lambda v, k=k: np.log(v) ** k) for k in (1, 2)
        )
        if not math.isclose(
            float(variance.subs({n: width, layer: 1})), square - mean**2, rel_tol=1e-6
        ):
            return False
    width, depth, networks = 32, 10, 20_000
    logs = _walk(width, depth, networks)
    error = logs.var() * math.sqrt(2 / networks)
    return abs(float(variance.subs({n: width, layer: depth})) - logs.var()) < 4 * error


@cache
def _walk(width: int, depth: int, networks: int) -> np.ndarray:
    torch.manual_seed(signal.SEED)
    x = torch.nn.functional.normalize(torch.randn(networks, 1, width), dim=2)
    a = torch.empty(networks, width, width)
    for _ in range(depth):
        x = torch.bmm(x, a.normal_().mT) / math.sqrt(width)
    return x.square().sum(dim=2).log().squeeze(1).double().numpy()


@claim(
    "eq-t1-relu-walk",
    "relative variance of $|x|^2$ in one layer of Kaiming with ReLU",
    held="for all values",
    method="sympy integrals; Monte Carlo within 4 standard errors",
    domain="any width; width 64, 20,000 layers",
    claimed=RELU_STEP,
    mutants={
        "as in a linear layer": 2 / n,
        "mean not subtracted": 6 / n,
        "of half of the units": 10 / n,
    },
)
def check_relu_walk(variance: sp.Expr) -> bool:
    u = sp.Symbol("u", real=True)
    # a layer multiplies |x|^2 by a mean of n independent 2 max(0, u)^2 with q = 1
    first, second = (
        gaussian_integral((2 * u**2) ** k, u, 0).subs(q, 1) for k in (1, 2)
    )
    if first != 1 or sp.simplify((second - first**2) / n - variance) != 0:
        return False
    width, count = 64, 20_000
    squares = (_relu_steps(width, count) - 1) ** 2
    error = squares.std() / math.sqrt(count)
    return abs(float(variance.subs(n, width)) - squares.mean()) < 4 * error


@cache
def _relu_steps(width: int, layers: int) -> np.ndarray:
    """By which |x|^2 is multiplied in layers with Kaiming weights and ReLU, each with
    an input of its own.
    """
    generator, found = torch.Generator().manual_seed(signal.SEED), []
    a = torch.empty(1000, width, width)
    for _ in range(layers // len(a)):
        x = torch.empty(len(a), 1, width).normal_(generator=generator).relu()
        a.normal_(0, math.sqrt(2 / width), generator=generator)
        y = torch.bmm(x, a.mT).relu()
        found.append(y.square().sum(dim=2) / x.square().sum(dim=2))
    return torch.cat(found).double().flatten().numpy()


def walk_width(trace: signal.Trace) -> float:
    """Standard deviation over the networks of the logarithm of the units' standard
    deviation in the last layer.
    """
    return float(np.log(trace.std[:, -1]).std(ddof=1))


@claim(
    "eq-t1-saturation",
    "share of tanh units with $|\\tanh u| > a$ for $u \\sim N(0, q)$",
    held="on instances",
    method="quadrature of the density",
    domain="a = 0.5, 0.9, 0.99; q = 0.5, 5, 50, 500",
    claimed=SATURATION,
    mutants={
        "variance for standard deviation": sp.erfc(sp.atanh(a) / (sp.sqrt(2) * q)),
        "one side only": sp.erfc(sp.atanh(a) / sp.sqrt(2 * q)) / 2,
        "factor 2 lost": sp.erfc(sp.atanh(a) / sp.sqrt(q)),
    },
)
def check_saturation(share: sp.Expr) -> bool:
    formula = sp.lambdify((a, q), share, "scipy")

    def beyond(end: float) -> float:  # of a standard normal variable, on one side
        found, _ = integrate.quad(
            lambda u: math.exp(-(u**2) / 2), end, math.inf, epsabs=0, epsrel=1e-11
        )
        return found / math.sqrt(2 * math.pi)

    return all(
        math.isclose(
            formula(t, v), 2 * beyond(math.atanh(t) / math.sqrt(v)), rel_tol=1e-9
        )
        for t in (0.5, 0.9, 0.99)
        for v in (0.5, 5.0, 50.0, 500.0)
    )


@claim(
    "eq-t1-xavier",
    "variance of Xavier uniform weights",
    held="for all values",
    method="sympy integral",
    domain="any fan-in and fan-out",
    claimed=2 / (fan_in + fan_out),
    mutants={
        "bound squared": 6 / (fan_in + fan_out),
        "fan-in only": 1 / fan_in,
        "half": 1 / (fan_in + fan_out),
    },
)
def check_xavier(variance: sp.Expr) -> bool:
    w, bound = sp.Symbol("w"), sp.sqrt(6 / (fan_in + fan_out))
    return (
        sp.simplify(sp.integrate(w**2 / (2 * bound), (w, -bound, bound)) - variance)
        == 0
    )


@claim(
    "eq-t1-tanh-map",
    "variance map of tanh with Xavier weights, to second order",
    held="for all values",
    method="sympy series with Gaussian moments; quadrature",
    domain="coefficients of $q$ and $q^2$; one quadrature at $q$ = 0.001",
    claimed=q - 2 * q**2,
    mutants={
        "half the loss": q - q**2,
        "fourth moment forgotten": q - sp.Rational(2, 3) * q**2,
        "no loss": q,
    },
)
def check_tanh_map(image: sp.Expr) -> bool:
    u, t = sp.symbols("u t")
    square = sp.Poly(sp.series(sp.tanh(u), u, 0, 6).removeO() ** 2, u)
    moments = sum(
        c * sp.factorial2(k - 1) * t ** (k // 2) for (k,), c in square.terms()
    )
    second_order = sp.series(moments, t, 0, 3).removeO().subs(t, q)
    small = 1e-3
    exact = gaussian_mean(lambda u: np.tanh(u) ** 2, small)
    return (
        sp.expand(second_order - image) == 0
        and abs(exact - float(image.subs(q, small))) < 10 * small**3
    )


@claim(
    "eq-t1-tanh-decay",
    "variance of Xavier-tanh units in deep layers",
    held="on instances",
    method="variance map iterated by quadrature",
    domain="layer 100 within 2%, layer 10,000 within 1%",
    claimed=TANH_DECAY,
    mutants={
        "twice": 1 / layer,
        "half": 1 / (4 * layer),
        "square root": 1 / sp.sqrt(2 * layer),
    },
)
def check_tanh_decay(variance: sp.Expr) -> bool:
    return all(
        math.isclose(
            float(variance.subs(layer, depth)), _deep_tanh_variance(depth), rel_tol=off
        )
        for depth, off in ((100, 0.02), (10_000, 0.01))
    )


@cache
def _deep_tanh_variance(depth: int) -> float:
    variance = 1.0
    for _ in range(depth):
        variance = gaussian_mean(lambda u: np.tanh(u) ** 2, variance)
    return variance


@claim(
    "eq-t1-kaiming",
    "standard deviation of weights that keeps the variance under ReLU",
    held="for all values",
    method="sympy integral",
    domain="any width, any variance q",
    claimed=sp.sqrt(2 / n),
    mutants={"Xavier": sp.sqrt(1 / n), "variance": 2 / n, "too large": 2 / sp.sqrt(n)},
)
def check_kaiming(std: sp.Expr) -> bool:
    u = sp.Symbol("u", real=True)
    kept_variance = sp.simplify(n * std**2 * gaussian_integral(u**2, u, 0))
    return std.is_positive is True and kept_variance == q


@claim(
    "eq-t1-relu-decay",
    "std of layer $\\ell + 1$ of Xavier with ReLU, relative to the first",
    held="for all values",
    method="sympy integrals",
    domain="wide layers, any variance $q$; induction over the layers",
    claimed=RELU_DECAY,
    mutants={
        "variance": 2**-layer,
        "no decay": sp.Integer(1),
        "quarter": 2 ** (-layer / 4),
    },
)
def check_relu_decay(std: sp.Expr) -> bool:
    u = sp.Symbol("u", real=True)
    xavier = 2 / (n + n)
    first, second = (gaussian_integral(u**k, u, 0) for k in (1, 2))
    gain = n * xavier * second / q
    share = 1 - first**2 / second  # of the variance in the mean square
    return (
        sp.simplify(share - (1 - 1 / sp.pi)) == 0
        and std.subs(layer, 0) == 1
        and sp.simplify(std.subs(layer, layer + 1) ** 2 / std**2 - gain) == 0
    )


@claim(
    "eq-t1-chi",
    "growth of the squared gradient per layer, saturated tanh with unit normal weights",
    held="on instances",
    method="sympy integral; quadrature within 1%",
    domain="q = 200, 500, 2000",
    claimed=CHI,
    mutants={
        "slope instead of its square": 2 * n / sp.sqrt(2 * sp.pi * q),
        "variance for standard deviation": 4 * n / (3 * sp.sqrt(2 * sp.pi) * q),
        "no factor n": 4 / (3 * sp.sqrt(2 * sp.pi * q)),
    },
)
def check_chi(chi: sp.Expr) -> bool:
    t = sp.Symbol(
        "t"
    )  # t = tanh u turns the integral of (1 - tanh^2)^2 du into one of 1 - t^2 dt
    area = sp.integrate(1 - t**2, (t, -1, 1))
    slope = ACTIVATIONS["tanh"][1]
    limit = sp.limit(chi * sp.sqrt(q) / n, q, sp.oo)
    exact = all(
        math.isclose(
            float(chi.subs({n: 1, q: v})),
            gaussian_mean(lambda x: slope(x) ** 2, v),
            rel_tol=0.01,
        )
        for v in (200.0, 500.0, 2000.0)
    )
    return exact and sp.simplify(limit - area / sp.sqrt(2 * sp.pi)) == 0


def predictions(
    schemes: tuple[signal.Scheme, ...] = signal.SCHEMES,
) -> dict[str, MeanField]:
    """Mean-field theory for each scheme of the study, by the scheme's name."""
    return {
        old.name: mean_field(new)
        for old, new in zip(signal.SCHEMES, schemes, strict=True)
    }


def _changed(name: str, **changes: Any) -> dict[str, MeanField]:
    """The predictions with one scheme computed wrongly."""
    return predictions(
        tuple(replace(s, **changes) if s.name == name else s for s in signal.SCHEMES)
    )


@claim(
    "tbl-t1-schemes",
    "mean-field standard deviations and gradient norms of all schemes",
    held="by simulation",
    method="Monte Carlo, inside the 95% band of the seeds; recomputed layer by layer",
    domain="64 networks of each scheme, where float32 can hold them; every layer",
    claimed=predictions(),
    mutants={
        "Kaiming gain for Xavier": _changed(
            "Xavier, ReLU", scale=signal.SCHEMES[4].scale * math.sqrt(2)
        ),
        "Xavier gain for Kaiming": _changed(
            "Kaiming, ReLU", scale=signal.SCHEMES[5].scale / math.sqrt(2)
        ),
        "uniform taken for normal": _changed("Xavier, tanh", uniform=False),
        "3% off per layer": _changed("unit normal, tanh", scale=0.97),
        "tanh taken for linear": _changed("Xavier, tanh", activation="linear"),
        "1% off per layer": _changed(
            "normalized, linear", scale=signal.SCHEMES[1].scale * 1.01
        ),
    },
)
def check_schemes(predicted: dict[str, MeanField]) -> bool:
    measured, schemes = signal.study(seeds=64), {s.name: s for s in signal.SCHEMES}
    return all(
        inside_band(measured[name], field) and follows(schemes[name], field)
        for name, field in predicted.items()
    )


def follows(scheme: signal.Scheme, field: MeanField) -> bool:
    """Whether each layer of a prediction follows from the one before it, the first from
    an input of variance 1, also where float32 cannot hold it.
    """
    mean, square, slope = np.transpose(
        [_layer(scheme.activation, float(v)) for v in field.variance]
    )
    gain = layer_gain(scheme)
    return (
        np.allclose(field.variance, gain * np.array([1.0, *square[:-1]]), atol=0)
        and np.allclose(field.log_std, np.log(square - mean**2) / 2)
        and np.allclose(-np.diff(field.log_gradient), np.log(gain * slope) / 2)
        and field.log_gradient[-1] == 0
    )


@cache
def _layer(activation: str, variance: float) -> tuple[float, float, float]:
    """E[phi], E[phi^2] and E[phi'^2] for pre-activations of this variance."""
    phi, slope = ACTIVATIONS[activation]
    return (
        gaussian_mean(phi, variance),
        gaussian_mean(lambda u: phi(u) ** 2, variance),
        gaussian_mean(lambda u: slope(u) ** 2, variance),
    )


def inside_band(trace: signal.Trace, field: MeanField) -> bool:
    """Whether a prediction lies in the central 95% of the seeds at every layer that
    float32 can hold.
    """
    limit = math.log(FLOAT32_MAX) - math.log(
        10
    )  # single units exceed the standard deviation severalfold
    for measured, log in (
        (trace.std, field.log_std),
        (trace.gradient[:, :-1], field.log_gradient[:-1]),
    ):
        usable = np.abs(log) < limit
        low, high = np.log(np.quantile(measured[:, usable], (0.025, 0.975), axis=0))
        if not ((low <= log[usable]) & (log[usable] <= high)).all():
            return False
    return True
