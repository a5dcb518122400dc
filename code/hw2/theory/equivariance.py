"""Question 5: which weights make phi(W x) equivariant to permutations (lecture 6), and
how many of them are free.

A permutation of d indices is a tuple `tau` of 0 .. d-1 with `tau[i]` the image of i. It
moves entry i of a vector to place tau[i]. A family of permutations is any iterable of
such tuples.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from itertools import combinations, permutations, product

import numpy as np
import sympy as sp
import torch
from scipy import sparse, special
from sympy.combinatorics import Permutation, PermutationGroup
from torch.nn import functional

from hw2.claims import claim

Tau = tuple[int, ...]
Scalar = Callable[[np.ndarray], np.ndarray]
Places = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Shares = Callable[[np.ndarray, Tau], np.ndarray]

d, i, j, k, n, order = sp.symbols("d i j k n |H|")
F, c, x, y = map(sp.Function, "Fcxy")

# far above the rounding of the sums below, far below any difference that is not
# rounding
TOLERANCE = 1e-9

INJECTIVE: Mapping[str, Scalar] = {
    "tanh": np.tanh,
    "leaky ReLU": lambda z: np.maximum(0.1 * z, z),
    "cube": lambda z: z**3,
    "exp": np.exp,
}
OTHERS: Mapping[str, Scalar] = {  # none of them injective
    "ReLU": lambda z: np.maximum(0, z),
    "GELU": lambda z: z * special.ndtr(z),
    "SiLU": lambda z: z * special.expit(z),
    "sine": np.sin,
    "hard tanh": lambda z: np.clip(z, -1, 1),
    "constant": np.ones_like,
    "absolute value": np.abs,
    "Gaussian": lambda z: np.exp(-(z**2)),
    "sign": np.sign,
    "step": lambda z: np.heaviside(z, 0.0),
}


def act(tau: Tau, vectors: np.ndarray) -> np.ndarray:
    """tau . x for each x of `vectors` (..., d): entry i of x goes to place tau[i]."""
    moved = np.empty_like(vectors)
    moved[..., list(tau)] = vectors
    return moved


def matrix(tau: Tau) -> np.ndarray:
    """The permutation matrix P (d, d) with P[tau[i], i] = 1, so that tau . x = P x."""
    p = np.zeros((len(tau), len(tau)), dtype=np.int8)
    p[list(tau), range(len(tau))] = 1
    return p


def shares(weights: np.ndarray, tau: Tau) -> np.ndarray:
    """Whether W[i, j] = W[tau(i), tau(j)] for all i, j; for each W of `weights` (...,
    d, d).
    """
    return sharing(both)(weights, tau)


def both(
    tau: np.ndarray, i: np.ndarray, j: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The place (tau(i), tau(j)), whose weight is that of (i, j)."""
    return tau[i], tau[j]


WRONG: Mapping[str, Places] = {
    "rows and columns swapped": lambda tau, i, j: (tau[j], tau[i]),
    "rows only": lambda tau, i, j: (tau[i], j),
    "inverse on the columns": lambda tau, i, j: (tau[i], np.argsort(tau)[j]),
}


def sharing(places: Places) -> Shares:
    """The condition W[i, j] = W[places(i, j)] for all i, j."""

    def condition(weights: np.ndarray, tau: Tau) -> np.ndarray:
        row, column = places(np.array(tau), *np.indices((len(tau), len(tau))))
        return np.all(weights == weights[..., row, column], axis=(-2, -1))

    return condition


def on_the_diagonal(weights: np.ndarray, tau: Tau) -> np.ndarray:
    """A wrong condition: W[i, i] = W[tau(i), tau(i)] for all i."""
    diagonal = np.diagonal(weights, axis1=-2, axis2=-1)
    return np.all(diagonal == diagonal[..., list(tau)], axis=-1)


@cache
def all_binary(size: int) -> np.ndarray:
    """All 0/1 matrices, shape (2 ** size ** 2, size, size)."""
    bits = np.arange(2 ** (size * size))[:, None] >> np.arange(size * size) & 1
    return bits.astype(np.int8).reshape(-1, size, size)


@cache
def commutes(size: int) -> Mapping[Tau, np.ndarray]:
    """For each permutation: which of `all_binary(size)` satisfy P W = W P. Exact, by
    matrix products.
    """
    weights = all_binary(size)
    return {
        tau: np.all(matrix(tau) @ weights == weights @ matrix(tau), axis=(-2, -1))
        for tau in permutations(range(size))
    }


def equivariant(
    phi: Scalar, tau: Tau, weights: np.ndarray, inputs: np.ndarray
) -> np.ndarray:
    """Whether phi(W tau.x) = tau.phi(W x) up to rounding for all x of `inputs` (m, d);
    for each W (..., d, d).
    """
    left, right = (
        phi(vectors @ weights.swapaxes(-2, -1))
        for vectors in (act(tau, inputs), inputs)
    )
    return np.all(np.abs(left - act(tau, right)) < TOLERANCE, axis=(-2, -1))


@cache
def samples(size: int, count: int = 8) -> np.ndarray:
    """Gaussian inputs (count, size)."""
    return np.random.default_rng(211).standard_normal((count, size))


@cache
def measured(size: int) -> Mapping[tuple[str, Tau], np.ndarray]:
    """For each injective phi and each permutation: which of `all_binary(size)` are
    equivariant on the samples.
    """
    return {
        (name, tau): equivariant(phi, tau, all_binary(size), samples(size))
        for (name, phi), tau in product(INJECTIVE.items(), permutations(range(size)))
    }


def inverse(tau: Tau) -> Tau:
    """The inverse permutation."""
    return tuple(int(index) for index in np.argsort(tau))


@cache
def generated(family: frozenset[Tau]) -> frozenset[Tau]:
    """The group that a family generates."""
    return frozenset(
        tuple(p.array_form)
        for p in PermutationGroup([Permutation(tau) for tau in family]).elements
    )


@cache
def subgroups(size: int) -> frozenset[frozenset[Tau]]:
    """All subgroups of the symmetric group, for size up to 4, where two elements
    generate any of them.
    """
    return frozenset(
        generated(frozenset(pair))
        for pair in product(permutations(range(size)), repeat=2)
    )


def orbits(family: Iterable[Tau], size: int) -> np.ndarray:
    """The orbit of each pair (i, j) under (i, j) -> (tau(i), tau(j)), as labels 0, 1,
    ... of shape (size, size).
    """
    return classes(both, family, size)


def classes(places: Places, family: Iterable[Tau], size: int) -> np.ndarray:
    """The finest classes of pairs that put (i, j) and `places(i, j)` into one, as
    labels of shape (size, size).
    """
    row, column = np.indices((size, size)).reshape(2, -1)
    images = [
        size * to[0] + to[1]
        for to in (places(np.array(tau), row, column) for tau in family)
    ]
    edges = (np.tile(size * row + column, len(images)), np.concatenate(images))
    graph = sparse.coo_array((np.ones(len(edges[0])), edges), shape=(size**2, size**2))
    return sparse.csgraph.connected_components(graph, directed=False)[1].reshape(
        size, size
    )


def count(labels: np.ndarray) -> int:
    """How many labels there are."""
    return len(np.unique(labels))


def same_classes(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays of labels are the same partition."""
    together = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1).shape[1]
    return together == count(a) == count(b)


@cache
def nullity(group: frozenset[Tau]) -> int:
    """Dimension of the solutions W of P W - W P = 0 for all permutations of a group, by
    exact linear algebra.
    """
    size = len(next(iter(group)))
    eye = np.eye(size, dtype=int)
    # row-major vectors of W: P W is kron(P, I) and W P is kron(I, P^T)
    rows = np.vstack(
        [np.kron(matrix(tau), eye) - np.kron(eye, matrix(tau).T) for tau in group]
    )
    return size**2 - sp.Matrix(np.unique(rows, axis=0)).rank()


SHOWN = 8  # indices, in the figure of the patterns

GENERATORS: Mapping[str, Callable[[int], list[Tau]]] = {
    "trivial": lambda size: [tuple(range(size))],
    "cyclic": lambda size: [shift(size)],
    "dihedral": lambda size: [shift(size), tuple(reversed(range(size)))],
    "symmetric": lambda size: [
        shift(size),
        (*reversed(range(min(2, size))), *range(2, size)),
    ],
}


def shift(size: int) -> Tau:
    """i -> i + 1 modulo size."""
    return (*range(1, size), 0)


def pattern(name: str, size: int) -> np.ndarray:
    """Which weights are equal under the named group: labels (size, size), numbered in
    reading order.
    """
    return orbits(GENERATORS[name](size), size)


def circulant(i: np.ndarray, j: np.ndarray, size: int) -> np.ndarray:
    """On which of `size` numbers the weight W[i, j] of a circulant matrix depends."""
    return (i - j) % size


SCALES = (-2.0, -1.0, -0.5, 0.0, 0.5, 2.0)


def scale_free(phi: Scalar) -> bool:
    """Whether phi(s z) = phi(z) for all z, on a grid, for no s other than 1, of
    `SCALES`.
    """
    z = np.linspace(-3, 3, 61)
    return not any(
        np.allclose(phi(s * z), phi(z), rtol=0, atol=TOLERANCE) for s in SCALES
    )


def injective(phi: Scalar) -> bool:
    """Whether phi is strictly monotone on a grid: for continuous functions the same as
    injective.
    """
    steps = np.diff(phi(np.linspace(-3, 3, 61)))
    return bool(np.all(steps > 0) or np.all(steps < 0))


@cache
def theorem_holds(name: str) -> bool:
    """Whether equivariance of phi(W x) to the swap of two entries implies the
    condition, for W with entries -2 .. 2.
    """
    phi = {**INJECTIVE, **OTHERS}[name]
    weights = np.array(list(product((-2.0, -1.0, 0.0, 1.0, 2.0), repeat=4))).reshape(
        -1, 2, 2
    )
    return bool(
        np.array_equal(
            equivariant(phi, (1, 0), weights, samples(2, 40)), shares(weights, (1, 0))
        )
    )


@claim(
    "eq-q5-phi",
    "component-wise functions commute with permutations",
    held="on instances",
    method="numpy",
    domain="all permutations of 2 to 5 indices, four functions, random $u$",
    claimed=lambda phi, u: phi(u),
    mutants={
        "another slope in each place": lambda phi, u: phi(
            u * np.arange(1, u.shape[-1] + 1)
        ),
        "running sums": lambda phi, u: phi(np.cumsum(u, axis=-1)),
        "sorted": lambda phi, u: np.sort(phi(u), axis=-1),
        "neighbours added": lambda phi, u: phi(u + 0.5 * np.roll(u, 1, axis=-1)),
    },
)
def check_phi(layer: Callable[[Scalar, np.ndarray], np.ndarray]) -> bool:
    return all(
        np.allclose(
            layer(phi, act(tau, samples(size))),
            act(tau, layer(phi, samples(size))),
            rtol=0,
            atol=TOLERANCE,
        )
        for size in range(2, 6)
        for tau in permutations(range(size))
        for phi in INJECTIVE.values()
    )


@claim(
    "eq-q5-index",
    r"where conjugation by $P_\tau$ moves the weight $W[i, j]$",
    held="exhaustively",
    method="numpy, exact",
    domain="all permutations of 2 to 5 indices, a matrix of distinct integers",
    claimed=both,
    mutants={
        **WRONG,
        "inverse on both": lambda tau, i, j: (np.argsort(tau)[i], np.argsort(tau)[j]),
    },
)
def check_index(places: Places) -> bool:
    for size in range(2, 6):
        weights, (row, column) = (
            np.arange(size**2).reshape(size, size),
            np.indices((size, size)),
        )
        for tau in permutations(range(size)):
            conjugate = (
                matrix(tau) @ weights @ np.linalg.inv(matrix(tau)).round().astype(int)
            )
            if not np.array_equal(
                conjugate[places(np.array(tau), row, column)], weights
            ):
                return False
    return True


@claim(
    "lem-q5-commute",
    r"$P_\tau W = W P_\tau$ if and only if $W[i, j] = W[\tau(i), \tau(j)]$",
    held="exhaustively",
    method="exhaustive, exact",
    domain="all 0/1 matrices with $d$ = 2, 3, 4, all permutations",
    claimed=shares,
    mutants={
        **{name: sharing(places) for name, places in WRONG.items()},
        "on the diagonal only": on_the_diagonal,
    },
)
def check_commute(condition: Shares) -> bool:
    return all(
        np.array_equal(condition(all_binary(size), tau), expected)
        for size in (2, 3, 4)
        for tau, expected in commutes(size).items()
    )


def for_all(condition: Shares) -> Callable[[np.ndarray, Iterable[Tau]], np.ndarray]:
    """The condition for all permutations of a family."""
    return lambda weights, family: np.all(
        [condition(weights, tau) for tau in family], axis=0
    )


@claim(
    "thm-q5-equivariance",
    r"$\varphi(Wx)$ is equivariant to $H$ if and only if the weights are shared",
    held="on instances",
    method="exhaustive in $W$ and $H$, random $x$",
    domain="512 0/1 matrices, 63 sets $H$, $d = 3$, four $\\varphi$, both conventions",
    claimed=for_all(shares),
    mutants={
        **{name: for_all(sharing(places)) for name, places in WRONG.items()},
        "on the diagonal only": for_all(on_the_diagonal),
        "for some permutation of the family": lambda weights, family: np.any(
            [shares(weights, tau) for tau in family], axis=0
        ),
    },
)
def check_theorem(condition: Callable[[np.ndarray, Iterable[Tau]], np.ndarray]) -> bool:
    everything, found = list(permutations(range(3))), measured(3)
    for family in (
        taus for number in range(1, 7) for taus in combinations(everything, number)
    ):
        for convention in (
            family,
            [inverse(tau) for tau in family],
        ):  # the other convention moves x by the inverses
            for name in INJECTIVE:
                expected = np.all([found[name, tau] for tau in convention], axis=0)
                if not np.array_equal(condition(all_binary(3), family), expected):
                    return False
    return True


@claim(
    "cor-q5-group",
    "a family and the group it generates ask for the same weights",
    held="exhaustively",
    method="exhaustive, exact",
    domain=(
        "0/1 matrices; 63 sets for $d = 3$, the 300 of at most 2 permutations for "
        "$d = 4$"
    ),
    claimed=generated,
    mutants={
        "squares": lambda family: {
            tuple(tau[index] for index in tau) for tau in family
        },
        "the whole symmetric group": lambda family: set(
            permutations(range(len(next(iter(family)))))
        ),
        "conjugates": lambda family: {
            tuple(sigma[tau[index]] for index in inverse(sigma))
            for tau in family
            for sigma in permutations(range(len(tau)))
        },
    },
)
def check_group(larger: Callable[[frozenset[Tau]], Iterable[Tau]]) -> bool:
    for size, most in ((3, 6), (4, 2)):
        fits = commutes(size)
        for number in range(1, most + 1):
            for family in combinations(fits, number):
                asked, also = (
                    np.all([fits[tau] for tau in taus], axis=0)
                    for taus in (family, larger(frozenset(family)))
                )
                if not np.array_equal(asked, also):
                    return False
    return True


@claim(
    "eq-q5-counterexample",
    "equivariant weights that are not shared, where $\\varphi$ is not injective",
    held="on instances",
    method="numpy",
    domain="constant with $s = 0$, $|z|$ with $-1$, sign with 2, the swap of 2 entries",
    claimed=lambda s: np.array([[1.0, 0.0], [0.0, s]]),
    mutants={
        "off the diagonal too": lambda s: np.array([[1.0, s], [0.0, s]]),
        "factor on both entries": lambda s: np.array([[s, 0.0], [0.0, s]]),
        "shift for factor": lambda s: np.array([[1.0, 0.0], [0.0, 1 + s]]),
    },
)
def check_counterexample(weights: Callable[[float], np.ndarray]) -> bool:
    return all(
        equivariant(OTHERS[name], (1, 0), weights(s), samples(2, 40))
        and not shares(weights(s), (1, 0))
        for name, s in (("constant", 0.0), ("absolute value", -1.0), ("sign", 2.0))
    )


@claim(
    "prp-q5-sharp",
    r"for which $\varphi$ the equivalence holds",
    held="on instances",
    method="exhaustive in $W$, random $x$",
    domain="the swap of 2; 625 matrices of $-2$ to 2, 14 functions, 6 values of $s$",
    claimed=scale_free,
    mutants={
        "only injective ones": injective,
        "all that are not constant": lambda phi: count(phi(np.linspace(-3, 3, 61))) > 1,
        "all that are not even": lambda phi: (
            not np.allclose(phi(np.linspace(0, 3, 31)), phi(-np.linspace(0, 3, 31)))
        ),
    },
)
def check_sharp(criterion: Callable[[Scalar], bool]) -> bool:
    return all(
        criterion(phi) == theorem_holds(name)
        for name, phi in {**INJECTIVE, **OTHERS}.items()
    )


@claim(
    "thm-q5-orbits",
    "free weights = orbits of pairs of indices",
    held="exhaustively",
    method="exact rank in sympy; networks on random $x$",
    domain=(
        "all subgroups of $S_3$ and $S_4$; each weight that shares its orbit changed "
        "alone"
    ),
    claimed=orbits,
    mutants={
        "unordered pairs": lambda group, size: classes(
            lambda tau, i, j: (tau[j], tau[i]), [*group, *map(inverse, group)], size
        ),
        "rows only": lambda group, size: classes(WRONG["rows only"], group, size),
        "all weights free": lambda group, size: np.arange(size**2).reshape(size, size),
    },
)
def check_orbits(partition: Callable[[Iterable[Tau], int], np.ndarray]) -> bool:
    rng = np.random.default_rng(211)
    for size in (3, 4):
        for group in subgroups(size):
            labels = partition(group, size)
            weights = rng.standard_normal(size**2)[labels]
            broken = (
                weights
                + np.eye(size**2).reshape(-1, size, size)[
                    np.bincount(labels.ravel())[labels].ravel() > 1
                ]
            )
            if count(labels) != nullity(group) or not _all_equivariant(
                weights, broken, group
            ):
                return False
    return True


def _all_equivariant(
    weights: np.ndarray, broken: np.ndarray, group: Iterable[Tau]
) -> bool:
    """Whether `weights` (d, d) are equivariant to the group and none of `broken` is,
    for each injective phi.
    """
    together = np.concatenate([weights[None], broken])
    for phi in INJECTIVE.values():
        good = np.all(
            [
                equivariant(phi, tau, together, samples(weights.shape[0]))
                for tau in group
            ],
            axis=0,
        )
        if not good[0] or good[1:].any():
            return False
    return True


def burnside(formula: sp.Eq, group: Iterable[Tau], weights: int) -> bool:
    """Whether the formula is true for a group with so many free weights, F(k) being the
    number of fixed points of its k-th permutation, from 1 on.
    """
    fixed = {
        number: sum(index == image for index, image in enumerate(tau))
        for number, tau in enumerate(group, 1)
    }
    sides = sp.lambdify(
        (n, order), formula.args, modules=[{"F": fixed.__getitem__}, "math"]
    )
    left, right = sides(weights, len(fixed))
    return isinstance(formula, sp.Eq) and left == right


@claim(
    "eq-q5-burnside",
    "number of free weights by Burnside's count",
    held="exhaustively",
    method="exact rank in sympy",
    domain="all 6 subgroups of $S_3$ and all 30 of $S_4$",
    claimed=sp.Eq(n, sp.Sum(F(k) ** 2, (k, 1, order)) / order),
    mutants={
        "orbits of single indices": sp.Eq(n, sp.Sum(F(k), (k, 1, order)) / order),
        "not averaged": sp.Eq(n, sp.Sum(F(k) ** 2, (k, 1, order))),
        "square of the sum": sp.Eq(n, (sp.Sum(F(k), (k, 1, order)) / order) ** 2),
        "triples": sp.Eq(n, sp.Sum(F(k) ** 3, (k, 1, order)) / order),
    },
)
def check_burnside(formula: sp.Eq) -> bool:
    return all(
        burnside(formula, group, nullity(group))
        for size in (3, 4)
        for group in subgroups(size)
    )


def counted(name: str, formula: sp.Expr, sizes: Iterable[int]) -> bool:
    """Whether a formula in d gives the number of orbits of the named group for all
    sizes.
    """
    return all(formula.subs(d, size) == count(pattern(name, size)) for size in sizes)


@claim(
    "eq-q5-trivial",
    "free weights: trivial group",
    held="on instances",
    method="orbits counted",
    domain="$d$ = 1 to 16",
    claimed=d**2,
    mutants={"one per row": d, "symmetric matrices": d * (d + 1) / 2},
)
def check_trivial(formula: sp.Expr) -> bool:
    return counted("trivial", formula, range(1, 17))


@claim(
    "eq-q5-cyclic",
    "free weights: cyclic group",
    held="on instances",
    method="orbits counted",
    domain="$d$ = 1 to 16",
    claimed=d,
    mutants={"no wrapping (Toeplitz)": 2 * d - 1, "one lost": d - 1, "all": d**2},
)
def check_cyclic(formula: sp.Expr) -> bool:
    return counted("cyclic", formula, range(1, 17))


@claim(
    "eq-q5-dihedral",
    "free weights: dihedral group",
    held="on instances",
    method="orbits counted",
    domain="$d$ = 1 to 16",
    claimed=sp.floor(d / 2) + 1,
    mutants={
        "ceil": sp.ceiling(d / 2) + 1,
        "distance 0 forgotten": sp.floor(d / 2),
        "half": d / 2,
    },
)
def check_dihedral(formula: sp.Expr) -> bool:
    return counted("dihedral", formula, range(1, 17))


@claim(
    "eq-q5-symmetric",
    "free weights: all permutations",
    held="on instances",
    method="orbits counted",
    domain="$d$ = 2 to 16",
    claimed=sp.Integer(2),
    mutants={
        "diagonal only": sp.Integer(1),
        "one per place": d,
        "triangles apart": sp.Integer(3),
    },
)
def check_symmetric(formula: sp.Expr) -> bool:
    return counted("symmetric", formula, range(2, 17))


@claim(
    "cor-q5-circulant",
    r"equivariant to the shift if and only if $W[i, j]$ depends on $i - j$ modulo $d$",
    held="on instances",
    method="orbits compared",
    domain="$d$ = 1 to 16",
    claimed=circulant,
    mutants={
        "sum of the indices": lambda i, j, size: (i + j) % size,
        "no wrapping": lambda i, j, size: i - j,
        "distance": lambda i, j, size: abs(i - j),
        "distance on the circle": lambda i, j, size: np.minimum(
            (i - j) % size, (j - i) % size
        ),
    },
    true={"i and j exchanged": "true: j - i names the same classes"},
)
def check_circulant(
    depends_on: Callable[..., np.ndarray],
) -> bool:
    return all(
        same_classes(
            depends_on(*np.indices((size, size)), size), pattern("cyclic", size)
        )
        for size in range(1, 17)
    )


@claim(
    "eq-q5-convolution",
    "a circulant layer is a circular convolution",
    held="on instances",
    method="numpy FFT; torch conv1d, circular",
    domain="$d$ = 3 to 9, random kernels and inputs",
    claimed=sp.Eq(y(i), sp.Sum(c(i - j) * x(j), (j, 0, d - 1))),
    mutants={
        "kernel not flipped": sp.Eq(y(i), sp.Sum(c(j - i) * x(j), (j, 0, d - 1))),
        "plus for minus": sp.Eq(y(i), sp.Sum(c(i + j) * x(j), (j, 0, d - 1))),
        "last term lost": sp.Eq(y(i), sp.Sum(c(i - j) * x(j), (j, 0, d - 2))),
        "causal": sp.Eq(y(i), sp.Sum(c(i - j) * x(j), (j, 0, i))),
    },
    true=dict.fromkeys(("limits + 1", "limits - 1"), "equal: c and x have period d"),
)
def check_convolution(formula: sp.Eq) -> bool:
    rng = np.random.default_rng(211)
    for size in range(3, 10):
        kernel, signal = rng.standard_normal((2, size))
        for output in (by_fft(kernel, signal), by_torch(kernel, signal)):
            periodic = {
                name: partial(np.take, values, mode="wrap")
                for name, values in (("c", kernel), ("x", signal), ("y", output))
            }
            sides = sp.lambdify((i, d), formula.args, modules=[periodic, "math"])
            left, right = np.transpose([sides(place, size) for place in range(size)])
            if not np.allclose(left, right):
                return False
    return isinstance(formula, sp.Eq)


def by_fft(kernel: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Circular convolution (d,) by the convolution theorem."""
    return np.fft.ifft(np.fft.fft(kernel) * np.fft.fft(signal)).real


def by_torch(kernel: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Circular convolution (d,) by PyTorch, whose conv1d does not flip its kernel."""
    channel, flipped = (
        torch.tensor(signal)[None, None],
        torch.tensor(kernel).flip(0)[None, None],
    )
    padded = functional.pad(channel, (len(kernel) - 1, 0), mode="circular")
    return functional.conv1d(padded, flipped)[0, 0].numpy()
