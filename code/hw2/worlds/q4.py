"""Question 4: three layers of a network, small enough that means over all weights are
sums over what they can be. Standard normal variables are a trapezoidal rule, exact to
all digits for smooth functions.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import special
from torch.nn import functional

from hw2.formulas.checking import Case, World
from hw2.formulas.meaning import (
    ByName,
    Free,
    Given,
    Interval,
    Law,
    Outcome,
    Scope,
    column,
    truth,
    value,
)
from hw2.formulas.reading import Node

LAYER = 3  # l; the units before it are those of layer 2, their inputs those of layer 1
INPUTS = ((0.5, 1.0), (0.5, 2.0))  # probability, what every input of layer 2 is
FAIR = ((0.5, -1.0), (0.5, 1.0))
SKEWED = ((0.8, -0.5), (0.2, 2.0))  # mean 0, variance 1, not symmetric
STANDARD_NORMAL = [
    Outcome(0.5 * math.exp(-x * x / 2) / math.sqrt(2 * math.pi), {"u": x})
    for x in np.arange(-9, 9.1, 0.5)
]

Entries = Sequence[tuple[float, float]]


def matrices(entries: Entries, rows: int, columns: int) -> list[tuple[float, Any]]:
    """All matrices of independent entries, with their probabilities."""
    return [
        (
            math.prod(p for p, _ in chosen),
            np.array([x for _, x in chosen]).reshape(rows, columns),
        )
        for chosen in itertools.product(entries, repeat=rows * columns)
    ]


def activation(scope: Scope, x: float) -> float:
    """The scope's activation, the world's or one that the page defines."""
    function = scope["varphi"]
    if isinstance(function, ByName):
        (name,) = function.names
        return float(value(function.body, scope.with_({name: x})))
    return function(x)


def of_torch(function: Callable[[torch.Tensor], torch.Tensor], scope: Scope) -> float:
    return function(torch.tensor(float(scope["z"]), dtype=torch.float64)).item()


def keeping(scope: Scope) -> float:
    """The standard deviation of the weights with which a unit of layer l has the second
    moment 1: the inverse of what it has with weights of variance 1.
    """
    function = scope["varphi"]
    symbols = function.body.walk() if isinstance(function, ByName) else ()
    slope = scope["a"] if any(node.value == "a" for node in symbols) else None
    known = scope["known"]
    if (function, slope) not in known:
        known[function, slope] = _keeping(scope)
    return known[function, slope]


def _keeping(scope: Scope) -> float:
    moment = 0.0
    for p, values in scope["before"]:
        units = values["W_l-1"] @ values["y"]
        active = column(activation(scope, float(x)) for x in units.flat)
        moment += sum(p * w * (row @ active).item() ** 2 for w, row in scope["rows"])
    return 1 / math.sqrt(moment)


def over_layer(scope: Scope) -> list[Outcome]:
    """All weights of layer l."""
    return [Outcome(w, {"W_l": weights}) for w, weights in scope["scaled"]]


def over_both(scope: Scope) -> list[Outcome]:
    """All weights of the layers l and l - 1, and the inputs of the latter."""
    return STANDARD_NORMAL if scope.has("standard normal") else scope["both"]


def scaled(row: np.ndarray, units: int) -> Given:
    """The weights of layer l. Its units have the same ones: no mean has two of them."""
    weights = np.repeat(row, units, axis=0)
    return Given(lambda scope: scope["sigma_l"] * weights)


def mean(function: Callable[[float], float], scope: Scope) -> float:
    """The mean of a function of a unit of layer l - 1."""
    return sum(
        p * function(float((values["W_l-1"] @ values["y"])[0, 0]))
        for p, values in scope["before"]
    )


def flipped(scope: Scope) -> float:
    """Unit j with the signs of its weights turned."""
    weights, j = scope["W_l-1"].copy(), int(scope["j"])
    weights[j - 1] *= -1
    return float((weights @ scope["y"])[j - 1, 0])


def same_law(node: Node, scope: Scope) -> bool:
    """Whether this is the flipped unit, and takes the values of u equally often."""
    laws: list[dict[float, float]] = [{}, {}]
    for p, values in scope["before"]:
        inside = scope.with_(values)
        for law, x in zip(laws, (value(node, inside), inside["u"]), strict=True):
            law[x] = law.get(x, 0.0) + p
    as_often = laws[0].keys() == laws[1].keys() and all(
        math.isclose(laws[0][x], laws[1][x]) for x in laws[0]
    )
    return as_often and value(node, scope) == flipped(scope)


def standardized(node: Node, scope: Scope) -> bool:
    """Whether this has the mean 0 and the variance 1 given the inputs, whatever they
    are.
    """
    moments: dict[float, tuple[float, float, float]] = {}
    for p, values in scope["before"]:
        x = value(node, scope.with_(values))
        total, first, second = moments.get(values["y"][0, 0], (0.0, 0.0, 0.0))
        moments[values["y"][0, 0]] = (total + p, first + p * x, second + p * x**2)
    return all(
        abs(first) < 1e-9 and math.isclose(second, total)
        for total, first, second in moments.values()
    )


def where_both_vanish(node: Node, scope: Scope) -> bool:
    """Whether it is there, and nowhere else, that u and -u both give 0."""
    return all(
        truth(node, scope.with_({"u": x}))
        == (activation(scope, x) == activation(scope, -x) == 0)
        for x in (-1, 0, 2)
    )


def boundary(node: Node, scope: Scope) -> bool:
    """Whether it vanishes at both ends, and has the derivative that parts need."""

    def at(x: float) -> float:
        return float(value(node, scope.with_({"u": x})))

    def slope(x: float) -> float:
        return (at(x + 1e-5) - at(x - 1e-5)) / 2e-5

    return (
        at(0.0) == 0
        and abs(at(40.0)) < 1e-12
        and all(
            math.isclose(slope(x), (x * x - 1) * math.exp(-x * x / 2), rel_tol=1e-6)
            for x in (0.5, 2.0)
        )
    )


def linear_slopes(scope: Scope) -> list[float]:
    """The slopes with which the leaky ReLU is linear."""
    candidates = scope.table["a"].inside
    return [
        a
        for a in candidates
        if activation(scope.with_({"a": a}), -1.0)
        == -activation(scope.with_({"a": a}), 1.0)
    ]


def other_slopes(scope: Scope) -> list[float]:
    return [a for a in scope.table["a"].inside if a not in linear_slopes(scope)]


def instance(
    widths: tuple[int, int, int],
    entries: Entries,
    given: Callable[[float], float],
    moment: float = 1.0,
    deviation: float | None = None,
) -> dict[str, Any]:
    """Widths of the layers l - 2, l - 1, l; the entries of W_{l-1} before they are
    scaled to the second moment of the units; an activation, for what holds for all.
    """
    inputs, units, outputs = widths
    size = sum(p * inputs * x**2 for p, x in INPUTS)  # mean square of y
    scale = math.sqrt(moment / size)
    before = [
        (p * q, {"W_l-1": scale * weights, "y": column([x] * inputs)})
        for p, weights in matrices(entries, units, inputs)
        for q, x in INPUTS
    ]
    rows = matrices(SKEWED, 1, units)
    weights = [(w, scaled(row, outputs)) for w, row in rows]
    rng = np.random.default_rng(211)
    some, zero = rng.standard_normal((units, inputs)), np.zeros((units, inputs))
    return {
        "l": LAYER,
        "d": {LAYER - 2: inputs, LAYER - 1: units, LAYER: outputs},
        "before": before,
        "rows": rows,
        "scaled": weights,
        "both": [
            Outcome(p * w, {**values, "W_l": matrix})
            for p, values in before
            for w, matrix in weights
        ],
        "known": {},
        "sigma_l": deviation or Given(keeping),
        "sigma_l-1": scale,
        "V": Given(lambda scope: scale**2 * float((scope["y"] ** 2).sum())),
        "W_l": Free((rng.standard_normal((outputs, units)),)),
        "W_l-1": Free((some, -some, zero)),
        "y": column(range(1, inputs + 1)),
        "u_l-1": Given(lambda scope: np.atleast_2d(scope["W_l-1"] @ scope["y"])),
        "varphi": given,
        "i": Free(range(1, outputs + 1)),
        "j": Free(range(1, units + 1)),
        "range j": range(1, units + 1),
        "a": Free((0, 0.25, 1), (-0.5, 1.5)),
        "z": Free((-1.5, 0, 2)),
        "'": "u",
        "Phi": lambda x: float(special.ndtr(float(x))),
        "cal-N": lambda m, v: Law("N", (m, v)),
        "phi": lambda x: math.exp(-(float(x) ** 2) / 2) / math.sqrt(2 * math.pi),
    }


HALF = ("symmetric", "symmetric, width 1")
NORMALIZED = (*HALF, "skewed")
SYMMETRIC = (*HALF, "symmetric, second moment 3")
STANDARD = {"standard normal": True}
STEP = r"\mathbb{E}[u \cdot u\, \Phi(u)^2] = \mathbb{E}[(u\, \Phi(u)^2)'] "

WORLD = World(
    section="q4",
    how="small networks, means over all their weights; quadrature",
    instances={
        "symmetric": instance((1, 2, 3), FAIR, lambda x: math.tanh(x) + 0.5),
        "symmetric, width 1": instance((2, 1, 3), FAIR, lambda x: 2.0 * abs(x)),
        "skewed": instance((1, 2, 1), SKEWED, lambda x: x**2 - x),
        "symmetric, second moment 3": instance(
            (2, 1, 2), FAIR, lambda x: 1.0 + x, moment=3.0, deviation=0.7
        ),
    },
    functions=frozenset({"u_l", "varphi", "Phi", "phi", "cal-N"}),
    defined=frozenset({"u_l", "s", "v", "u"}),
    measures={"": over_both, "W": over_layer},
    cases=(
        Case(r"\mathbb{E}[u_l[i]^2] = 1", only=NORMALIZED),
        Case(
            r"\sigma_l^{-2} = \sum_j \mathbb{E}[\varphi^2(u_{l-1}[j])]",
            only=NORMALIZED,
        ),
        Case(r"\mathbb{E}[u_{l-1}[j]^2] = 1", only=NORMALIZED),
        Case(
            r"\varphi(z) = \max(0, z)",
            define=True,
            equals=lambda scope: of_torch(functional.relu, scope),
        ),
        Case("-u_{l-1}[j]", equals=flipped),
        Case("-u", holds=same_law, only=SYMMETRIC),
        Case(r"v = \mathbb{E}[u^2]", define=True),
        Case("u = 0", holds=where_both_vanish),
        Case(
            r"\mathbb{E}\left[\varphi^2(u)\right] = \frac{v}{2}",
            only=SYMMETRIC,
        ),
        Case("v = 1", only=NORMALIZED),
        Case(r"\mathbb{E}[V] = 1", only=NORMALIZED),
        Case(r"\mathbb{E}[V] / 2 = 1/2", only=NORMALIZED),
        Case(r"u / \sqrt{V}", holds=standardized, times=3),
        Case(
            "1/2",
            equals=lambda scope: mean(lambda x: max(x, 0) ** 2, scope),
            only=HALF,
            times=2,
        ),
        Case(
            r"\sigma_l = \frac{1}{\sqrt{d_{l-1} / 2}} = \sqrt{\frac{2}{d_{l-1}}}",
            only=HALF,
        ),
        Case(
            r"d_{l-1} \ge 1",
            outside={"d": lambda scope: ({**scope["d"], LAYER - 1: 0},)},
        ),
        Case(
            r"\mathcal{N}(0, 1)",
            equals=lambda scope: Law(
                "N", (mean(lambda x: x, scope), mean(lambda x: x**2, scope))
            ),
            only=NORMALIZED,
        ),
        Case("-u e^{-u^2/2}", holds=boundary),
        Case(r"\sigma_l = (d_{l-1}/2)^{-1/2} = \sqrt{2/d_{l-1}}", only=HALF),
        Case(
            r"\varphi(z) = \max(a z, z)",
            define=True,
            equals=lambda scope: of_torch(
                partial(functional.leaky_relu, negative_slope=scope["a"]), scope
            ),
        ),
        Case(
            "a^2",
            equals=lambda s: (activation(s, -1.0) / activation(s, 1.0)) ** 2,
        ),
        Case(
            r"\mathbb{E}[\varphi^2(u)] = (1 + a^2) v / 2",
            only=SYMMETRIC,
        ),
        Case(r"\sigma_l = \sqrt{\frac{2}{(1 + a^2) d_{l-1}}}", only=HALF),
        Case("a = 1", where={"a": linear_slopes}, outside={"a": other_slopes}),
        Case(
            r"\sigma_l = 1/\sqrt{d_{l-1}}",
            where={"a": linear_slopes},
            only=NORMALIZED,
        ),
        Case(
            r"\varphi(z) = z\, \Phi(z)",
            define=True,
            equals=lambda scope: of_torch(functional.gelu, scope),
        ),
        Case(
            r"\mathbb{E}\left[\varphi^2(u)\right] = "
            r"\frac{1}{3} + \frac{1}{2 \sqrt{3} \pi}",
            bind=STANDARD,
        ),
        Case(
            STEP + r"= \mathbb{E}[\Phi(u)^2] + 2\,\mathbb{E}[u\, \Phi(u)\, \phi(u)]",
            bind=STANDARD,
        ),
        Case(r"\mathbb{E}[\Phi(u)^2] = 1/3", bind=STANDARD),
        Case(
            r"\Phi(u)",
            equals=lambda scope: math.erfc(-float(scope["u"]) / math.sqrt(2)) / 2,
        ),
        Case(
            "[0, 1]",
            equals=lambda s: Interval(s["Phi"](-math.inf), s["Phi"](math.inf)),
        ),
    ),
)
