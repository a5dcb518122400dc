"""Question 5: permutations of up to 5 indices, weights that share and weights that do
not, and activations of each kind. What is meant "for all" is judged as a truth table:
a condition must hold for exactly those weights and permutations for which another
computation, by moving vectors about, says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
import torch
from scipy.linalg import circulant, hankel, hilbert, toeplitz
from torch.nn import functional

from hw2.formulas.checking import Case, World
from hw2.formulas.meaning import (
    Free,
    Given,
    Scope,
    Space,
    column,
    equal,
    satisfied,
    truth,
    value,
)
from hw2.formulas.reading import FormulaError, Node
from hw2.theory import equivariance

# --- what moves, and what is read around the circle ---


@dataclass(frozen=True)
class Move:
    """A permutation of 1 .. d: `images[i - 1]` is that of i. Times a vector it moves
    entry i to place `images[i - 1]`.
    """

    images: tuple[int, ...]
    __array_ufunc__ = None  # a vector has no product with a permutation behind it

    def __call__(self, index: Any) -> int:
        if index not in self.images:
            raise FormulaError(f"{index} is none of the {len(self.images)} indices")
        return self.images[int(index) - 1]

    def __mul__(self, vector: Any) -> np.ndarray:
        entries = np.reshape(vector, -1)
        if entries.shape != (len(self.images),):
            raise FormulaError("a permutation moves the entries of a vector")
        return vector_of(self.moved(entries))

    def moved(self, entries: np.ndarray) -> np.ndarray:
        result = np.empty_like(entries)
        for i, image in enumerate(self.images):
            result[image - 1] = entries[i]
        return result

    def __pow__(self, exponent: Any) -> "Move":
        if exponent != -1:
            raise FormulaError(f"the power {exponent} of a permutation")
        return type(self)(tuple(self.images.index(i) + 1 for i in sorted(self.images)))

    @property
    def tau(self) -> equivariance.Tau:
        """As `hw2.theory.equivariance` writes it."""
        return tuple(image - 1 for image in self.images)


class Otherwise(Move):
    """A permutation in the other convention: what comes to place i was at tau(i)."""

    def moved(self, entries: np.ndarray) -> np.ndarray:
        return np.array([entries[image - 1] for image in self.images])


class Vector(np.ndarray):
    """A column whose entries are also its values as a function of the index."""

    def __call__(self, index: Any) -> float:
        if index not in range(1, self.size + 1):
            raise FormulaError(f"there is no entry {index} of {self.size}")
        return float(self.reshape(-1)[int(index) - 1])


def vector_of(entries: Sequence[float] | np.ndarray) -> Vector:
    return column(entries).view(Vector)


@dataclass(frozen=True, eq=False)
class Around:
    """A vector or matrix whose indices are from 0 and modulo d; and the kernel that it
    was made of, if any.
    """

    entries: np.ndarray
    kernel: np.ndarray | None = field(default=None)
    __array_ufunc__ = None

    def __call__(self, *indices: Any) -> float:
        if len(indices) != self.entries.ndim or any(i != int(i) for i in indices):
            raise FormulaError(f"no entry {indices}")
        return float(self.entries[tuple(int(i) % len(self.entries) for i in indices)])

    def __mul__(self, other: Any) -> "Around":
        if not isinstance(other, Around):
            return NotImplemented
        return Around(self.entries @ other.entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Around) and equal(self.entries, other.entries)


@cache
def moves(family: tuple[tuple[int, ...], ...]) -> tuple[Move, ...]:
    return tuple(Move(tuple(i + 1 for i in tau)) for tau in family)


@cache
def matrix(tau: Move) -> np.ndarray:
    """What is at P_tau: its columns are the basis vectors, moved."""
    return np.hstack([tau * column(e) for e in np.eye(len(tau.images))]).view(
        np.ndarray
    )


@cache
def places(tau: Move) -> Mapping[tuple[int, int], tuple[int, int]]:
    """Where conjugation by P_tau moves what is at (i, j)."""
    size, P = len(tau.images), matrix(tau)
    found = {}
    for place in product(range(size), repeat=2):
        alone = np.zeros((size, size))
        alone[place] = 1
        row, col = np.argwhere(P @ alone @ P.T)[0]
        found[place[0] + 1, place[1] + 1] = (int(row) + 1, int(col) + 1)
    return found


# --- judgements ---


def exactly(
    when: Callable[[Scope], Any], **where: Any
) -> Callable[[Node, Scope], bool]:
    """A condition that holds, for all values of what `when` does not ask for, just when
    `when` says so.
    """

    def holds(node: Node, scope: Scope) -> bool:
        wanted = bool(when(scope))
        return satisfied(lambda s: truth(node, s), scope, where)[0] is wanted

    return holds


def maps(
    images: Callable[[Scope], Mapping[Any, Any]], modulo: bool = False
) -> Callable[[Node, Scope], bool]:
    """i -> ..., judged at each i by a table of the images."""

    def holds(node: Node, scope: Scope) -> bool:
        if node.kind != "chain" or node.value != (r"\mapsto",):
            raise FormulaError("what maps to what?")
        left, right = node.parts
        symbols = left.parts if left.kind == "tuple" else (left,)
        if any(part.kind != "symbol" for part in symbols):
            raise FormulaError("an index, or a pair of them, stands before \\mapsto")
        names = [part.value for part in symbols]
        for index, image in images(scope).items():
            index = index if isinstance(index, tuple) else (index,)
            said = value(right, scope.with_(dict(zip(names, index, strict=True))))
            if (said % scope["d"] if modulo else said) != image:
                return False
        return True

    return holds


def around(image: Callable[[Scope], Any]) -> Callable[[Node, Scope], bool]:
    """An expression whose values are those of `image` modulo d."""

    def holds(node: Node, scope: Scope) -> bool:
        said, wanted = value(node, scope), image(scope)
        return bool(np.array_equal(np.mod(said, scope["d"]), wanted))

    return holds


def function_of_numbers(node: Node, scope: Scope) -> bool:
    """The activation maps what is in the left space into the right one."""
    (source, target), phi = (value(part, scope) for part in node.parts), scope["varphi"]
    if node.value != (r"\to",) or not isinstance(source, Space):
        raise FormulaError("from where to where?")
    return all(z in source and float(phi(z)) in target for z in NUMBERS)


def shared(scope: Scope) -> bool:
    """Whether the weights are equal wherever the permutation takes them."""
    weights = scope["W"]
    return bool(equivariance.shares(weights, scope["tau"].tau))


def commutes(scope: Scope) -> bool:
    """Whether it is the same to move before the layer and behind it, for a basis."""
    weights, tau = scope["W"], scope["tau"]
    return all(
        np.array_equal(tau * (weights @ column(e)), weights @ (tau * column(e)))
        for e in np.eye(len(weights))
    )


def shifts(scope: Scope) -> bool:
    """Whether the weights commute with the shift."""
    W = scope["W"].entries
    return np.array_equal(np.roll(W, 1, axis=0), np.roll(W, -1, axis=1))


def proportional(scope: Scope) -> bool:
    a, b = (scope[name].reshape(-1) for name in "ab")
    return bool(np.allclose(b, float(scope["s"]) * a))


def same(left: str, right: str) -> Callable[[Scope], bool]:
    return lambda scope: bool(np.array_equal(scope[left], scope[right]))


def scale_free(scope: Scope) -> bool:
    """Whether phi(s z) is phi(z) for all z, as is known of each function."""
    return scope["s"] in (1.0, *scope["scales"])


def shift_to_zero(scope: Scope) -> tuple[int, int]:
    """The image of (i, j) under the shift that moves i to 0."""
    size, i, j = scope["d"], scope["i"] % scope["d"], scope["j"] % scope["d"]
    found = [np.roll(np.arange(size), m) for m in range(size)]
    (shift,) = (tau for tau in found if tau[i] == 0)
    return int(shift[i]), int(shift[j])


def reflection(size: int) -> Mapping[int, int]:
    """i -> the one that lies opposite, as far from 0 in the other direction."""
    return {i: [0, *range(size - 1, 0, -1)][i] for i in range(size)}


@cache
def torch_matrix(size: int) -> np.ndarray:
    """The matrix of PyTorch's circular convolution with the kernel 0, 1, 2, ..."""
    kernel = torch.arange(size, dtype=torch.float64)[None, None]
    inputs = torch.eye(size, dtype=torch.float64)[:, None]
    padded = functional.pad(inputs, (0, size - 1), mode="circular")
    return functional.conv1d(padded, kernel)[:, 0].numpy().T


def fixed_pairs(taus: Sequence[Move]) -> int:
    return sum(i == image for tau in taus for i, image in places(tau).items())


def orbit_total(taus: Sequence[Move]) -> int:
    """For the pairs of one orbit together: how many permutations leave each."""
    orbit = {places(tau)[1, len(taus[0].images)] for tau in taus}
    return sum(places(tau)[pair] == pair for tau in taus for pair in orbit)


def not_square(size: int) -> Sequence[tuple[int, int]]:
    return ((size, size + 1), (size + 1, size), (size + 1, size + 1))


def too_long(scope: Scope) -> Sequence[np.ndarray]:
    return (np.ones((scope["d"] + 1, 1)), np.ones((scope["d"] + 1, scope["d"] + 1)))


def solution(*conditions: str) -> Given:
    """The shortest x whose products with the rows of the names are given numbers."""

    def solve(scope: Scope) -> np.ndarray:
        rows = np.vstack([scope[name].T for name in conditions])
        goals = column([scope["z"], *[0] * (len(conditions) - 1)])
        return vector_of(np.linalg.lstsq(rows, goals, rcond=None)[0])

    return Given(solve)


# --- the instances ---

NUMBERS = (-1.3, 0.4, 1.0, 2.2)
SCALES = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, np.pi - 1)  # sin(pi - 1) = sin(1)
OTHER_SCALES = tuple(s for s in SCALES if s != 1)
MONOTONE = {**equivariance.INJECTIVE, "tanh(2 z)": lambda z: np.tanh(2 * z)}
ACTIVATIONS = {**MONOTONE, **equivariance.OTHERS}
SLOPES = {"tanh(2 z)": 2, "exp": 1, "cube": 0, "sine": 1, "constant": 0}  # at 0

# the number of indices, the group, the activation, and for which s phi(s z) is phi(z)
INSTANCES = {
    "no symmetry, d = 3, tanh": (3, "trivial", "tanh(2 z)", ()),
    "shifts, d = 4, exp": (4, "cyclic", "exp", ()),
    "shifts and reflections, d = 5, cube": (5, "dihedral", "cube", ()),
    "all permutations, d = 3, sine": (3, "symmetric", "sine", ()),
    "one index, leaky ReLU": (1, "trivial", "leaky ReLU", ()),
    "a swap, constant": (2, "symmetric", "constant", OTHER_SCALES),
    "a swap, absolute value": (2, "symmetric", "absolute value", (-1.0,)),
    "a swap, sign": (2, "symmetric", "sign", (0.5, 2.0, np.pi - 1)),
}
COUNTER = tuple(name for name in INSTANCES if name.startswith("a swap"))
SHARP = tuple(name for name in INSTANCES if name not in COUNTER)
INJECTIVE = tuple(name for name in SHARP if INSTANCES[name][2] in MONOTONE)
SYMMETRIES = tuple(name for name in INSTANCES if INSTANCES[name][0] > 1)


relu = equivariance.OTHERS["ReLU"]


def activation(name: str) -> Callable[[Any], np.ndarray]:
    function = ACTIVATIONS[name]
    return lambda z: function(np.asarray(z, dtype=float).view(np.ndarray))


def slope(name: str) -> Callable[[Any], float]:
    """The derivative at 0, for those that have one."""

    def at(z: Any) -> float:
        if name not in SLOPES or z != 0:
            raise FormulaError(f"no derivative of {name} at {z}")
        return SLOPES[name]

    return at


def instance(size: int, group: str, phi: str, scales: Sequence[float]) -> dict:
    rng = np.random.default_rng(211)
    generators = equivariance.GENERATORS[group](size)
    found = sorted(equivariance.generated(frozenset(generators)), reverse=True)
    elements = moves(tuple(found))  # the identity last
    everything = sorted(permutations(range(size)), reverse=True)
    some = moves(tuple(everything[:: max(1, len(everything) // 6)]))
    orbits = equivariance.orbits(generators, size)
    values = rng.permutation(np.arange(2.0, size**2 + 2))
    weights = values[orbits], values.reshape(size, size)
    example = np.diag([1.0, *([scales[-1]] if scales else [3.0] * (size - 1))])
    columns = [vector_of(v) for v in rng.standard_normal((2, size))]
    basis = [vector_of(e) for e in np.eye(size)]
    first, second, third = (column(rng.permutation(size) + 1.5) for _ in range(3))
    second[0] += 0.75  # so that no two are proportional
    kernel, signal = rng.standard_normal((2, size))
    indices = range(1, size + 1)
    counts = {
        name: equivariance.count(equivariance.pattern(name, size))
        for name in equivariance.GENERATORS
    }
    return {
        "d": size,
        "H": frozenset(elements),
        "elements": elements,
        "tau": Free(some),
        "sigma": Free(some),
        "tau_k": Given(lambda scope: elements[int(scope["k"]) - 1]),
        "P": matrix,
        "e": {i: basis[i - 1] for i in indices},
        "W": Free((*weights, example)),
        "shared": weights[:1],
        "example": example,
        "x": Free((*columns, *basis)),
        "u": Free((*columns, vector_of([0.5] * size))),
        "v": Free((*columns, vector_of(np.pi - columns[0]), -columns[1])),
        "varphi": activation(phi),
        "varphi'": slope(phi),
        "injective": phi in MONOTONE,
        "scales": scales,
        "s": Free(SCALES),
        "z": Free(NUMBERS),
        "a": Free((first, second, -first, 2 * first)),
        "b": Free((first, third, -first, 2 * first, 0 * first)),
        "i": Free(indices),
        "j": Free(indices),
        "k": Free(range(1, len(elements) + 1)),
        "range k": indices,
        "m": Free(range(size)),
        "p": Free(tuple(product(indices, repeat=2))),
        "n": equivariance.nullity(frozenset(found)),
        "F": lambda k: int(np.trace(matrix(elements[int(k) - 1]))),
        **{f"n_{name}": number for name, number in counts.items()},
        # around the circle
        "circulant": (Around(circulant(kernel), kernel),),
        "around": tuple(
            Around(entries)
            for entries in (
                circulant(kernel),
                hankel(kernel, np.roll(kernel, 1)),
                toeplitz(kernel, -kernel),
                weights[1],
            )
        ),
        "signals": (Around(signal), Around(np.eye(size)[-1])),
        "c": Given(kernel_of),
        "y": Given(convolved),
    }


def kernel_of(scope: Scope) -> Around:
    """What a circulant matrix was made of; of another matrix its first column."""
    W = scope["W"]
    if not isinstance(W, Around):
        return Around(W[:, 0])
    return Around(W.entries[:, 0] if W.kernel is None else W.kernel)


def convolved(scope: Scope) -> Around:
    kernel, signal = scope["c"], scope["x"]
    if not isinstance(signal, Around):
        raise FormulaError("the input is no function of the index modulo d here")
    return Around(equivariance.by_fft(kernel.entries, signal.entries))


# --- the world ---


def named(name: str) -> Callable[[Scope], Any]:
    return lambda scope: scope[name]


def indices_from_zero(scope: Scope) -> range:
    return range(scope["d"])


SHARING = {"W": named("shared"), "tau": named("elements"), "sigma": named("elements")}
OTHERS = {
    "tau": lambda scope: tuple(
        tau
        for tau in moves(tuple(permutations(range(scope["d"]))))
        if tau not in scope["H"]
    )
}


def counterexample(scope: Scope) -> np.ndarray:
    """The weights that are not shared, where there are such; else any."""
    return np.diag([1.0, scope["s"]]) if scope["scales"] else scope["shared"][0]


EXAMPLE: Mapping[str, Any] = {
    "where": {"s": lambda scope: scope["scales"] or SCALES},
    "bind": {"W": Given(counterexample)},
    "only": COUNTER,
}
INDEPENDENT = {
    "a": lambda scope: scope.table["a"].inside[:1],
    "b": lambda scope: scope.table["b"].inside[1:2],
}
CIRCLE = {
    "W": named("circulant"),
    "x": named("signals"),
    "i": indices_from_zero,
    "j": indices_from_zero,
    "k": indices_from_zero,
}


def commuting(latex: str, times: int = 1) -> Case:
    return Case(latex, holds=exactly(shared), times=times)


WORLD = World(
    section="q5",
    how="permutations of 1 to 5 indices, shared and other weights, 8 activations",
    instances={name: instance(*settings) for name, settings in INSTANCES.items()},
    functions=frozenset({"tau", "sigma", "f_w", "varphi", "F", "c", "x", "y"}),
    defined=frozenset({"f_w"}),
    cases=(
        Case(r"\tau \in H", where={"tau": named("elements")}, outside=OTHERS, times=5),
        Case(
            r"f_w(\tau \cdot x) = \tau \cdot f_w(x)", holds=exactly(shared), only=SHARP
        ),
        Case(
            r"i \mapsto \tau(i)",
            holds=maps(
                lambda s: {
                    i: int(np.argmax(s["tau"] * column(e))) + 1
                    for i, e in enumerate(np.eye(s["d"]), 1)
                }
            ),
        ),
        Case(
            r"W \in \mathbb{R}^{d \times d}",
            outside={"W": lambda s: tuple(np.ones(n) for n in not_square(s["d"]))},
        ),
        Case(r"x \in \mathbb{R}^d", outside={"x": too_long}),
        Case(r"u \in \mathbb{R}^d", outside={"u": too_long}),
        Case(r"z \in \mathbb{R}", outside={"z": too_long}),
        Case(
            r"\tau(i)",
            times=5,
            equals=lambda s: int(np.argmax(s["tau"] * s["e"][s["i"]])) + 1,
        ),
        Case(
            r"e_{\tau(j)}",
            times=1,  # column tau(j) of A is A times this
            equals=lambda s: np.linalg.solve(
                hilbert(s["d"]), hilbert(s["d"])[:, [s["tau"](s["j"]) - 1]]
            ),
        ),
        Case(r"\mathbb{R} \to \mathbb{R}", holds=function_of_numbers, times=2),
        # what injective means
        Case(
            r"\varphi(a) = \varphi(b)",
            where={"a": SCALES, "b": SCALES},
            holds=exactly(same("a", "b")),
            only=INJECTIVE,
        ),
        Case(r"\varphi(u) = \varphi(v)", holds=exactly(same("u", "v")), only=INJECTIVE),
        Case(
            "u = v",
            times=1,
            holds=exactly(
                lambda s: all(
                    np.array_equal(phi(s["u"]), phi(s["v"]))
                    for phi in equivariance.INJECTIVE.values()
                )
            ),
        ),
        Case(
            "a = b",
            times=2,
            holds=exactly(
                lambda s: np.array_equal(
                    s["a"].T @ np.eye(s["d"]), s["b"].T @ np.eye(s["d"])
                )
            ),
        ),
        Case(
            r"a \ne b",
            times=1,
            holds=exactly(lambda s: np.abs(s["a"] - s["b"]).max() > 0),
        ),
        # from matrices to indices
        Case(
            r"(\tau(i), \tau(j))",
            times=2,
            equals=lambda s: places(s["tau"])[s["i"], s["j"]],
        ),
        Case(
            r"(i, j) \mapsto (\tau(i), \tau(j))",
            holds=maps(lambda s: places(s["tau"])),
            times=2,
        ),
        Case(
            "W[i, j]",
            times=3,
            equals=lambda s: float(
                (s["tau"] * (s["W"] @ s["e"][s["j"]]))[s["tau"](s["i"]) - 1, 0]
            ),
        ),
        Case(
            r"\tau(k) = \tau(i)",
            where={"k": named("range k")},
            holds=exactly(lambda s: s["k"] == s["i"]),
        ),
        Case(
            "k = i",
            times=1,
            where={"k": named("range k")},
            holds=exactly(
                lambda s: np.array_equal(
                    s["tau"] * s["e"][s["k"]], s["tau"] * s["e"][s["i"]]
                )
            ),
        ),
        commuting(r"P_\tau W = W P_\tau", times=2),
        commuting(r"W P_\tau = P_\tau W"),
        commuting(r"P_\tau W P_\tau^{-1} = W"),
        commuting(r"W P_\tau x = P_\tau W x", times=2),
        Case(r"W[i, j] = W[\tau(i), \tau(j)]", holds=exactly(commutes), times=6),
        Case(
            r"(P_\tau W P_\tau^{-1})[\tau(i), \tau(j)] = W[\tau(i), \tau(j)]",
            holds=exactly(commutes),
        ),
        Case(r"W[\tau^{-1}(i), \tau^{-1}(j)] = W[i, j]", holds=exactly(commutes)),
        Case(
            r"W[\sigma(\tau(i)), \sigma(\tau(j))] = W[\tau(i), \tau(j)] = W[i, j]",
            where=SHARING,
        ),
        Case(
            r"\varphi(W P_\tau x) = \varphi(P_\tau W x)",
            holds=exactly(shared),
            only=SHARP,
            times=3,
        ),
        Case(
            "u = W x",
            times=1,
            bind={
                "u": Given(
                    lambda s: (
                        functional.linear(
                            torch.from_numpy(np.array(s["x"]).T),
                            torch.from_numpy(s["W"]),
                        )
                        .numpy()
                        .T
                    )
                )
            },
        ),
        Case(
            "x = e_j",
            times=1,  # column j of A is A x for this x
            bind={
                "x": Given(
                    lambda s: np.linalg.solve(
                        hilbert(s["d"]), hilbert(s["d"])[:, [s["j"] - 1]]
                    )
                )
            },
        ),
        Case(
            r"(\tau \cdot x)[i] = x[\tau(i)]",
            times=1,
            where={
                "tau": lambda s: tuple(
                    Otherwise(tau.images) for tau in s.table["tau"].inside
                )
            },
        ),
        # what injectivity is for
        Case(r"\varphi(s z) = \varphi(z)", holds=exactly(scale_free), times=3),
        Case(r"\varphi(z) = \varphi(s z)", holds=exactly(scale_free)),
        Case(
            r"s \ne 1",
            times=2,
            holds=exactly(
                lambda s: not equivariance.shares(np.diag([1.0, s["s"]]), (1, 0))
            ),
        ),
        Case("d = 2", times=1, only=COUNTER),
        Case(
            r"W = \begin{pmatrix} 1 & 0 \\ 0 & s \end{pmatrix}",
            **EXAMPLE,
        ),
        Case(
            r"f_w(x) = \begin{pmatrix} \varphi(x[1]) \\ \varphi(s\, x[2])"
            r" \end{pmatrix} = \begin{pmatrix} \varphi(x[1]) \\ \varphi(x[2])"
            r" \end{pmatrix}",
            **EXAMPLE,
        ),
        Case("W[1, 1] = 1", **EXAMPLE),
        Case("W[2, 2] = s", **EXAMPLE),
        Case(
            "s = 0",
            after=("functions are of this kind (", "excluded property with"),
            holds=exactly(lambda s: all(s["s"] * z == 0 for z in NUMBERS)),
        ),
        Case(
            "s = -1",
            after=("even functions (",),
            holds=exactly(
                lambda s: (
                    s["s"] != 1 and all(abs(s["s"] * z) == abs(z) for z in NUMBERS)
                )
            ),
        ),
        Case(
            "s > 0",
            times=1,
            holds=exactly(
                lambda s: all(np.sign(s["s"] * z) == np.sign(z) for z in NUMBERS)
            ),
        ),
        Case("s = 1", times=3, holds=exactly(scale_free), only=SHARP),
        Case(
            r"\varphi(a^\top x) = \varphi(b^\top x)",
            holds=exactly(same("a", "b")),
            only=SHARP,
        ),
        Case(
            r"a^\top x = z",
            where=INDEPENDENT,
            bind={"x": solution("a", "b")},
            only=SYMMETRIES,
        ),
        Case(
            r"b^\top x = 0",
            where=INDEPENDENT,
            bind={"x": solution("a", "b")},
            only=SYMMETRIES,
        ),
        Case(
            r"\varphi(z) = \varphi(0)",
            times=1,
            where={"z": (*NUMBERS, 0)},
            holds=exactly(lambda s: 0.0 in s["scales"] or s["z"] == 0),
        ),
        Case(r"a \ne 0", times=1, outside={"a": lambda s: (np.zeros((s["d"], 1)),)}),
        Case("b = s a", holds=exactly(proportional)),
        Case(r"x = z a / \lVert a \rVert^2", bind={"x": solution("a")}),
        Case(
            r"\varphi(s \cdot 1) = \varphi(1)",
            holds=lambda node, scope: (
                not scope["injective"] or exactly(lambda s: s["s"] == 1)(node, scope)
            ),
        ),
        Case(
            "z = 1",
            times=1,  # where ReLU has the values 1 and, s times as far, max(0, s)
            holds=exactly(
                lambda s: all(
                    relu(factor * s["z"]) == goal
                    for factor, goal in ((1, 1), (2, 2), (0.5, 0.5), (-1, 0))
                )
            ),
        ),
        Case(
            r"\max(0, s) = 1",
            holds=lambda node, scope: (
                exactly(lambda s: s["s"] == 1)(node, scope)
                and value(node.parts[0], scope) == relu(scope["s"])
            ),
        ),
        Case(
            r"\varphi'(0) \ne 0",
            only=[name for name in INSTANCES if SLOPES.get(INSTANCES[name][2])],
        ),
        Case(
            r"s \varphi'(0) = \varphi'(0)",
            holds=exactly(lambda s: s["s"] == 1),
            only=[name for name in INSTANCES if SLOPES.get(INSTANCES[name][2])],
        ),
        Case(
            "z = 0",
            times=1,  # where the derivative of sin(s z) is s
            where={"z": (*NUMBERS, 0)},
            holds=exactly(
                lambda s: all(f * np.cos(f * s["z"]) == f for f in (0.5, 1, 2))
            ),
        ),
        # how many weights are free
        Case("d^2", times=1, equals=lambda s: len(places(s["elements"][0]))),
        Case(
            r"H = \{\tau_1, \dots, \tau_{|H|}\}", bind={"tau": Given(named("elements"))}
        ),
        Case(
            "F(k)",
            times=1,
            equals=lambda s: sum(s["tau_k"](i) == i for i in s["range k"]),
        ),
        Case("|H|", times=3, equals=lambda s: orbit_total(s["elements"])),
        Case(
            "F(k)^2",
            times=1,
            equals=lambda s: fixed_pairs(s["elements"][s["k"] - 1 :][:1]),
        ),
        Case("n |H|", times=1, equals=lambda s: fixed_pairs(s["elements"])),
        Case(
            "F(1) = d",
            times=1,
            only=[name for name in INSTANCES if INSTANCES[name][1] == "trivial"],
        ),
        Case("n = d^2 / d", times=1, bind={"n": Given(named("n_cyclic"))}),
        Case(
            "i \\mapsto i + m",
            holds=maps(
                lambda s: dict(enumerate(np.roll(np.arange(s["d"]), -s["m"]))),
                modulo=True,
            ),
            times=2,
        ),
        Case("i \\mapsto -i", holds=maps(lambda s: reflection(s["d"]), modulo=True)),
        Case("(0, j - i)", times=1, holds=around(shift_to_zero)),
        Case(
            "(0, -m)", times=1, holds=around(lambda s: (0, reflection(s["d"])[s["m"]]))
        ),
        Case(
            r"\lfloor d/2 \rfloor",
            equals=lambda s: max(min(m, reflection(s["d"])[m]) for m in range(s["d"])),
        ),
        Case(r"d \ge 2", times=1, only=SYMMETRIES),
        Case(r"n_{\mathrm{symmetric}} = 2", only=SYMMETRIES),
        Case("d = 8", times=1, bind={"d": equivariance.SHOWN}),
        # shifts make convolutions
        Case("d - 1", times=1, equals=lambda s: max(indices_from_zero(s))),
        Case("W[i, j] = c(i - j)", where={"W": named("around")}, holds=exactly(shifts)),
        Case(
            "W[i, j] = W[i + m, j + m]",
            where={"W": named("around")},
            holds=exactly(shifts),
        ),
        Case(
            "W[i, j] = W[i - j, 0]",
            where={"W": named("around")},
            holds=exactly(shifts),
        ),
        Case(
            "m = -j",
            times=1,  # the shift that takes column j to column 0
            where={"j": indices_from_zero},
            holds=lambda node, s: truth(
                node,
                s.with_({"m": next(m for m in range(-s["d"], 1) if s["j"] + m == 0)}),
            ),
        ),
        Case("c(k) = W[k, 0]", where=CIRCLE),
        Case(
            "c(i - j)", times=1, where=CIRCLE, equals=lambda s: s["W"](s["i"], s["j"])
        ),
        Case(
            "c(j - i)",
            times=1,
            where={
                **CIRCLE,
                "W": lambda s: (Around(np.eye(s["d"]), np.arange(float(s["d"]))),),
            },
            equals=lambda s: float(torch_matrix(s["d"])[s["i"], s["j"]]),
        ),
        Case("y = W x", where=CIRCLE),
        Case(r"y(i) = \sum_{j=0}^{d-1} c(i - j)\, x(j)", where=CIRCLE),
    ),
)
