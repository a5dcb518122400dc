r"""Question 2: "typical" generalization of a quantized two-layer network that is
learned by guess and check.

A network is f_w(x) = sign(w_2' [W_1 x]_+) with W_1 of shape (d_1, d_0), no biases, and
each of its k = d_0 d_1 + d_1 weights on one of the q odd levels -(q-1)/2, ..., (q-1)/2.
Small classes are enumerated in full, and equality of functions is decided exactly, in
integers, on a fan of cones on which every network of the class is linear.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, combinations_with_replacement, product

import numpy as np
import sympy as sp
from scipy import stats

from hw2.claims import claim
from hw2.kept import kept

q, d0, d1, d1s, N, T, p = sp.symbols(r"q d_0 d_1 d_1^\star N T p", positive=True)
epsilon, delta, eta, p_star, p_S = sp.symbols(
    r"epsilon delta eta p_\star p_S", positive=True
)
survival, size = (
    sp.Symbol("P(t > T)", positive=True),
    sp.Symbol(r"|\mathcal{F}|", positive=True),
)

MATCHING = d0 * d1s + d1
LOWER = q ** (-d0 * d1s - d1)
GUESSES = sp.log(1 / eta) / p_star
CLASS_BOUND = (sp.log(size) + sp.log(1 / delta)) / N
BOUND = (MATCHING * sp.log(q) + sp.log(1 / delta) + sp.log(sp.log(1 / eta))) / N
RATIO = MATCHING / (d0 * d1 + d1)

LARGEST = 3**9  # networks in the largest class that is enumerated
SIZES = tuple(
    (levels, inputs, hidden)
    for levels, inputs, hidden in product(range(3, 12, 2), range(1, 4), range(2, 5))
    if levels ** (hidden * (inputs + 1)) <= LARGEST
)


def networks(levels: int, inputs: int, hidden: int) -> tuple[np.ndarray, np.ndarray]:
    """All networks: W_1 of shape (n, hidden, inputs) and w_2 of shape (n, hidden),
    integers, in order of `index`.
    """
    k = hidden * (inputs + 1)
    flat = np.indices((levels,) * k).reshape(k, -1).T - (levels - 1) // 2
    return flat[:, : hidden * inputs].reshape(-1, hidden, inputs), flat[
        :, hidden * inputs :
    ]


def index(levels: int, incoming: np.ndarray, outgoing: np.ndarray) -> np.ndarray:
    """Position in `networks` of the networks with these weights: their weights read as
    digits in base `levels`.
    """
    digits = (
        np.concatenate([incoming.reshape(len(incoming), -1), outgoing], axis=1)
        + (levels - 1) // 2
    )
    return digits @ levels ** np.arange(digits.shape[1])[::-1]


def preactivation(
    incoming: np.ndarray, outgoing: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """w_2' [W_1 x]_+ of each network at each row of x, shape (n, len(x)); exact for
    integers.
    """
    return np.einsum("nh,nhx->nx", outgoing, np.maximum(incoming @ x.T, 0))


@cache
def fan(levels: int, inputs: int) -> np.ndarray:
    """Simplicial cones that cover the input space, none of which is cut by a hyperplane
    u'x = 0 with u in Q^inputs.

    Shape (cones, inputs, inputs): the rows of a cone are the integer rays that span it.
    The orthants are split along each hyperplane in turn: a ray on the hyperplane,
    between two rays on either side of it, divides a cone in two.
    """
    cones = [np.diag(signs) for signs in product((1, -1), repeat=inputs)]
    for u in product(range(-(levels - 1) // 2, (levels + 1) // 2), repeat=inputs):
        whole = []
        while cones:
            cone = cones.pop()
            side = cone @ u
            left, right = side.argmin(), side.argmax()
            if side[left] < 0 < side[right]:
                ray = side[right] * cone[left] - side[left] * cone[right]
                for replaced in (left, right):
                    part = cone.copy()
                    part[replaced] = ray // np.gcd.reduce(ray)
                    cones.append(part)
            else:
                whole.append(cone)
        cones = whole
    return np.array(cones)


def canonical(
    incoming: np.ndarray, outgoing: np.ndarray, cones: np.ndarray
) -> np.ndarray:
    """Integers (n, cones * inputs) that are equal for two networks if and only if these
    are equal as functions.

    On a cone a network's pre-activation is linear, hence given by its values v at the
    rays that span the cone. Where v has both signs, it vanishes on a hyperplane through
    the interior, which determines v up to a positive factor: v divided by its greatest
    common divisor. Where it has not, its sign in the cone follows from the signs of v,
    and is 1 everywhere if none is negative: sign(0) = 1. For sign(0) = -1 as many
    functions are equal, since -1 times the outgoing weights exchanges the two.
    """
    rays, place = np.unique(
        cones.reshape(-1, cones.shape[-1]), axis=0, return_inverse=True
    )
    v = preactivation(incoming, outgoing, rays)[:, place.reshape(cones.shape[:2])]
    negative = v.min(-1, keepdims=True) < 0
    mixed = negative & (v.max(-1, keepdims=True) > 0)
    divisor = np.maximum(np.gcd.reduce(v, axis=-1), 1)[..., None]
    signs = np.where(negative, np.sign(v), 1)
    return np.where(mixed, v // divisor, signs).reshape(len(v), -1)


def label(rows: np.ndarray) -> np.ndarray:
    """A number 0, 1, ... for each row of small integers, equal for equal rows."""
    rows = np.ascontiguousarray(rows.astype(np.int16))
    return np.unique(rows.view(f"V{2 * rows.shape[1]}").ravel(), return_inverse=True)[1]


@dataclass(frozen=True)
class Case:
    """What the enumeration of a class finds, over all teachers with at most `teacher`
    non-zero neurons.

    `matching` networks have the same matching parameters as a teacher, as many for
    every teacher; `agree` says that all of them compute its function. `fewest` networks
    compute the function of the teacher for which there are fewest.
    """

    levels: int
    inputs: int
    hidden: int
    teacher: int
    networks: int
    functions: int
    matching: int
    agree: bool
    fewest: int

    @property
    def at(self) -> dict[sp.Symbol, int]:
        """The values of q, d_0, d_1 and d_1*."""
        return {q: self.levels, d0: self.inputs, d1: self.hidden, d1s: self.teacher}

    @property
    def p_star(self) -> sp.Rational:
        """Smallest probability that one guess equals the teacher as a function."""
        return sp.Rational(self.fewest, self.networks)


@kept
def census() -> tuple[Case, ...]:
    """All classes with at most 3^9 networks and d_1 >= 2, for each d_1* < d_1."""
    return tuple(case for sizes in SIZES for case in _cases(*sizes, range(sizes[-1])))


@cache
def smallest() -> Case:
    """The class of one neuron with one input and three levels, for a teacher that uses
    it: some functions have one network only, no lower bound could be larger.
    """
    (case,) = _cases(3, 1, 1, (1,))
    return case


def _cases(
    levels: int, inputs: int, hidden: int, teachers: Iterable[int]
) -> Iterator[Case]:
    incoming, outgoing = networks(levels, inputs, hidden)
    function = label(canonical(incoming, outgoing, fan(levels, inputs)))
    same = np.bincount(function)
    alive = (incoming.any(-1) | (outgoing != 0)).sum(1)
    for teacher in teachers:
        counts, agree = [], True
        for others in combinations(
            range(hidden), hidden - teacher
        ):  # neurons that the teacher does not use
            matching = ~outgoing[:, others].any(1)
            zeroed = incoming[matching]
            zeroed[:, others] = 0
            target = index(levels, zeroed, outgoing[matching])
            agree &= bool((function[matching] == function[target]).all())
            counts += np.unique(np.bincount(target)[target]).tolist()
        if len(set(counts)) > 1:
            raise ArithmeticError(
                "as many networks for each teacher expected, found "
                f"{sorted(set(counts))}"
            )
        fewest = int(same[function[alive <= teacher]].min())
        yield Case(
            levels,
            inputs,
            hidden,
            teacher,
            len(incoming),
            len(same),
            counts[0],
            agree,
            fewest,
        )


def table() -> str:
    """Markdown table of the cases with a plane or more as input space and a teacher
    that is not zero.
    """
    rows = [
        (
            "| $q$ | $d_0$ | $d_1$ | $d_1^\\star$ | Networks | Functions | Smallest "
            "$p_\\star$ | Lower bound | Quotient |"
        ),
        "|---:|---:|---:|-----:|---------:|----------:|------------:|---------------:|---------:|",
    ]
    for case in census():
        if case.inputs > 1 and case.teacher:
            lower = float(LOWER.subs(case.at))
            numbers = (
                f"{case.levels} | {case.inputs} | {case.hidden} | "
                f"{case.teacher} "
                f"| {case.networks:,}"
            )
            found = (
                f"{case.functions:,} | {float(case.p_star):.5f} | {lower:.5f} | "
                f"{float(case.p_star) / lower:.1f}"
            )
            rows.append(f"| {numbers} | {found} |")
    return "\n".join(rows)


@dataclass(frozen=True)
class World:
    """A class of networks on finitely many kinds of input, for running guess and check.

    `outputs` (functions, inputs) are the labels as booleans, `function` (networks,) the
    row of each network, `teachers` one network for each function of a teacher,
    `probability` (inputs,) that of each kind of input.
    """

    outputs: np.ndarray
    function: np.ndarray
    teachers: np.ndarray
    probability: np.ndarray

    def error(self, student: np.ndarray, teacher: np.ndarray) -> np.ndarray:
        """Probability of an input on which two functions differ."""
        return (self.outputs[student] != self.outputs[teacher]) @ self.probability

    def fits(self, teacher: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Which functions agree with a teacher on the inputs seen, for each run: shape
        (runs, functions).
        """
        y, f = self.outputs[teacher], self.outputs.T
        wrong = (seen & y).astype(np.float32) @ ~f + (seen & ~y).astype(np.float32) @ f
        return wrong == 0


@cache
def plane(levels: int = 3, hidden: int = 3, teacher: int = 1) -> World:
    """The class of networks on the plane, with inputs whose direction is uniform and
    sign(0) = 1.

    The directions in which some network of the class may change its sign cut the plane
    into sectors; every network is constant on each of them, and their probabilities are
    their angles over 2 pi.
    """
    incoming, outgoing = networks(levels, 2, hidden)
    cones = fan(levels, 2)
    found = [cones.reshape(-1, 2)]
    for one, other in cones:
        a, b = preactivation(incoming, outgoing, np.array([one, other])).T
        a, b = np.abs(np.unique(np.stack([a, b], 1)[a * b < 0], axis=0)).T
        found.append(
            np.outer(a, other) + np.outer(b, one)
        )  # where the linear function between them vanishes
    turns = np.concatenate(found)
    turns = np.unique(turns // np.gcd.reduce(turns, axis=1)[:, None], axis=0)
    angle = np.arctan2(turns[:, 1], turns[:, 0])
    turns = turns[np.argsort(angle)]
    probability = np.diff(np.sort(angle), append=angle.min() + 2 * np.pi) / (2 * np.pi)
    return _world(
        incoming, outgoing, turns + np.roll(turns, -1, axis=0), probability, teacher
    )


def rare_direction(world: World, probability: float) -> World:
    """The same networks with two kinds of input: mostly x = 0, where all agree, and
    rarely one direction.

    That direction and the teachers are chosen so that most guesses are wrong there: the
    hardest case for the bound.
    """
    labels = world.outputs[world.function]
    rarest = labels.mean(0).argmax()  # most networks say 1 there
    teachers = world.teachers[~labels[world.teachers, rarest]]
    outputs = np.array([[True, True], [True, False]])
    return World(
        outputs,
        (~labels[:, rarest]).astype(int),
        teachers,
        np.array([1 - probability, probability]),
    )


def _world(
    incoming: np.ndarray,
    outgoing: np.ndarray,
    x: np.ndarray,
    probability: np.ndarray,
    teacher: int,
) -> World:
    labels = preactivation(incoming, outgoing, x) >= 0
    outputs, function = np.unique(
        np.packbits(labels, axis=1), axis=0, return_inverse=True
    )
    outputs = np.unpackbits(outputs, axis=1, count=labels.shape[1]).astype(bool)
    allowed = np.flatnonzero((incoming.any(-1) | (outgoing != 0)).sum(1) <= teacher)
    _, first = np.unique(function.ravel()[allowed], return_index=True)
    return World(outputs, function.ravel(), allowed[first], probability)


def guess(
    function: np.ndarray, fits: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Guess networks until one fits, for each row of `fits`: the function found, and
    the number of guesses t.
    """
    found, t = np.zeros((2, len(fits)), dtype=int)
    active = np.arange(len(fits))
    while len(active):
        tried = function[rng.integers(len(function), size=(len(active), 64))]
        good = fits[active[:, None], tried]
        first, hit = good.argmax(1), good.any(1)
        t[active] += np.where(hit, first + 1, 64)
        found[active] = tried[np.arange(len(active)), first]
        active = active[~hit]
    return found, t


def learn(
    world: World, samples: int, runs: int, seed: int = 211
) -> tuple[np.ndarray, np.ndarray]:
    """Guess and check with random data and teacher (all its functions alike): errors
    and numbers of guesses (runs,).
    """
    rng = np.random.default_rng(seed)
    teacher = world.function[rng.choice(world.teachers, runs)]
    seen = np.zeros((runs, len(world.probability)), dtype=bool)
    seen[
        np.arange(runs)[:, None],
        rng.choice(len(world.probability), (runs, samples), p=world.probability),
    ] = True
    student, t = guess(world.function, world.fits(teacher, seen), rng)
    return world.error(student, teacher), t


@dataclass(frozen=True)
class Curve:
    """Errors of guess and check, shape (len(samples), runs), and both bounds
    (len(samples),), at eta and delta.
    """

    samples: tuple[int, ...]
    errors: np.ndarray
    typical: np.ndarray
    whole_class: np.ndarray
    eta: float
    delta: float


@kept
def curve(runs: int = 2000) -> Curve:
    """Guess and check for q = 3, d_0 = 2, d_1 = 3 and d_1* = 1, with the bounds at eta
    = delta = 0.05.
    """
    at = {q: 3, d0: 2, d1: 3, d1s: 1, eta: 0.05, delta: 0.05}
    samples = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
    whole = CLASS_BOUND.subs(size, q ** (d0 * d1 + d1))
    typical, whole = (
        np.array([float(b.subs({**at, N: n})) for n in samples]) for b in (BOUND, whole)
    )
    errors = np.array([learn(plane(), n, runs)[0] for n in samples])
    return Curve(samples, errors, typical, whole, at[eta], at[delta])


def interval(hits: int, runs: int) -> tuple[float, float]:
    """Clopper-Pearson interval of a probability that fails once in a million times."""
    exact = stats.binomtest(int(hits), runs).proportion_ci(1 - 1e-6, method="exact")
    return float(exact.low), float(exact.high)


@claim(
    "eq-q2-exact",
    "a guess hits the teacher's own weights",
    held="exhaustively",
    method="the different networks counted",
    domain="all classes of at most $3^9$ networks with $d_1 \\ge 2$",
    claimed=q ** (-d0 * d1 - d1),
    mutants={
        "outgoing weights dropped": q ** (-d0 * d1),
        "bias added": q ** (-(d0 + 1) * d1 - d1),
        "levels and parameters swapped": (d0 * d1 + d1) ** (-q),
    },
)
def check_exact(probability: sp.Expr) -> bool:
    for levels, inputs, hidden in SIZES:
        hits = np.bincount(index(levels, *networks(levels, inputs, hidden)))
        value = probability.subs({q: levels, d0: inputs, d1: hidden})
        if (hits != hits[0]).any() or sp.Rational(
            int(hits[0]), int(hits.sum())
        ) != value:
            return False
    return True


@claim(
    "eq-q2-matching",
    "parameters that must match the teacher's",
    held="exhaustively",
    method=(
        "enumeration: networks that match, and all of them compute the teacher's "
        "function"
    ),
    domain="same classes, every teacher",
    claimed=MATCHING,
    mutants={
        "other outgoing weights free": d0 * d1s + d1s,
        "incoming weights only": d0 * d1s,
        "all parameters": d0 * d1 + d1,
        "other incoming weights zero instead": d0 * d1 + d1s,
    },
)
def check_matching(count: sp.Expr) -> bool:
    return all(
        case.agree
        and case.levels ** count.subs(case.at) * case.matching == case.networks
        for case in census()
    )


@claim(
    "eq-q2-lower",
    "lower bound on the probability of guessing the teacher's function",
    held="exhaustively",
    method="enumeration; equality of functions decided exactly on cones",
    domain=(
        "same classes, every teacher; one neuron and one input, three levels, teacher "
        "of one neuron, where both sides are equal"
    ),
    claimed=sp.Ge(p_star, LOWER),
    mutants={
        "flipped": sp.Le(p_star, LOWER),
        "other outgoing weights free": sp.Ge(p_star, q ** (-d0 * d1s - d1s)),
        "incoming weights only": sp.Ge(p_star, q ** (-d0 * d1s)),
        "all parameters": sp.Ge(p_star, q ** (-d0 * d1 - d1)),
    },
)
def check_lower(relation: sp.core.relational.Relational) -> bool:
    equal = {p_star: smallest().p_star, **smallest().at}
    if (relation.lhs - relation.rhs).subs(equal) != 0 or not relation.subs(equal):
        return False
    return all(
        relation.subs(case.at).subs(p_star, case.p_star) == sp.true
        and relation.rhs.subs(case.at) == sp.Rational(case.matching, case.networks)
        for case in census()
    )


@cache
def stopping_times(
    samples: int = 6, runs: int = 20_000
) -> tuple[sp.Rational, np.ndarray]:
    """One data set for the hardest teacher: the probability p_S that a guess fits, and
    stopping times (runs,).
    """
    world, rng = plane(), np.random.default_rng(211)
    share = np.bincount(world.function, minlength=len(world.outputs))
    teacher = world.function[world.teachers]
    teacher = teacher[share[teacher].argmin()]
    seen = np.zeros((1, len(world.probability)), dtype=bool)
    seen[0, rng.choice(len(world.probability), samples, p=world.probability)] = True
    fits = world.fits(np.array([teacher]), seen)
    t = guess(world.function, np.broadcast_to(fits, (runs, fits.shape[1])), rng)[1]
    return sp.Rational(int(share[fits[0]].sum()), int(share.sum())), t


@claim(
    "eq-q2-geometric",
    "probability that the first $\\lfloor T \\rfloor$ guesses all fail",
    held="on instances",
    method=(
        "sympy, geometric series; 20,000 simulated runs, Clopper-Pearson at "
        "$1 - 10^{-6}$"
    ),
    domain="$T$ from 1/2 to 13/2, any $p_S$; one data set",
    claimed=(1 - p_S) ** sp.floor(T),
    mutants={
        "without floor": (1 - p_S) ** T,
        "one guess more": (1 - p_S) ** (sp.floor(T) + 1),
        "complement": 1 - (1 - p_S) ** sp.floor(T),
        "all succeed": p_S ** sp.floor(T),
    },
)
def check_geometric(tail: sp.Expr) -> bool:
    chance, t = stopping_times()
    for half in range(1, 14):
        at = sp.Rational(half, 2)
        stopped = sum(p_S * (1 - p_S) ** (j - 1) for j in range(1, math.floor(at) + 1))
        if sp.simplify(tail.subs(T, at) - (1 - stopped)) != 0:
            return False
        low, high = interval((t > half / 2).sum(), len(t))
        if not low <= float(tail.subs({T: at, p_S: chance})) <= high:
            return False
    return True


@claim(
    "eq-q2-stopping",
    "bound of Part 3",
    held="on instances",
    method="numerically, with equality at $p_S = p_\\star$",
    domain=(
        "one data set or two equally likely ones: 56 choices of $p_\\star \\le p_S$ "
        "from 1/729 to 2/3, $T$ from 1/2 to 100"
    ),
    claimed=sp.Le(sp.floor(T), sp.log(survival) / sp.log(1 - p_star)),
    mutants={
        "flipped": sp.Ge(sp.floor(T), sp.log(survival) / sp.log(1 - p_star)),
        "logarithm of p": sp.Le(sp.floor(T), sp.log(survival) / sp.log(p_star)),
        "logarithm linearized": sp.Le(sp.floor(T), sp.log(survival) / -p_star),
        "without floor": sp.Le(T, sp.log(survival) / sp.log(1 - p_star)),
    },
)
def check_stopping(relation: sp.core.relational.Relational) -> bool:
    if not relation.func(0, 0):  # with equality it must hold too
        return False
    gap = sp.lambdify((T, p_star, survival), relation.gts - relation.lts, "math")
    chances = (1 / 729, 1 / 81, 0.1, 1 / 3, 0.5, 2 / 3)
    for smaller in chances:
        above = [chance for chance in chances if chance >= smaller]
        for pair in combinations_with_replacement(above, 2):
            for at in (0.5, 1, 2.5, 7, 100):
                fail = sum((1 - chance) ** math.floor(at) for chance in pair) / 2
                slack = gap(at, smaller, fail)
                equal = set(pair) == {smaller}
                if not slack >= -1e-9 or (equal and abs(slack) > 1e-9):
                    return False
    return True


def _vanishes_then_grows(relation: sp.core.relational.Relational, order: int) -> bool:
    """Whether larger side - smaller side is of this order in p at p = 0, the relation
    holds there, and the derivative is not negative for 0 < p < 1.
    """
    gap, u = relation.gts - relation.lts, sp.Symbol("u", positive=True)
    slope = sp.factor(sp.diff(gap, p).subs(p, u / (1 + u)))  # p in (0, 1) as u > 0
    return (
        all(sp.diff(gap, p, k).subs(p, 0) == 0 for k in range(order))
        and relation.subs(p, 0) == sp.true
        and bool(sp.factor(slope).is_nonnegative)
    )


@claim(
    "eq-q2-log",
    "the logarithm lies below its tangent",
    held="for all values",
    method="sympy: tangent at 0, sign of the derivative",
    domain="$0 \\le p < 1$",
    claimed=sp.Le(sp.log(1 - p), -p),
    mutants={
        "flipped": sp.Ge(sp.log(1 - p), -p),
        "factor 2": sp.Le(sp.log(1 - p), -2 * p),
        "sign": sp.Le(sp.log(1 - p), p - 1),
    },
)
def check_log(relation: sp.core.relational.Relational) -> bool:
    return _vanishes_then_grows(relation, 2)


@claim(
    "eq-q2-log-sharp",
    "a sharper bound on the logarithm",
    held="for all values",
    method="sympy: equal at 0 to second order, sign of the derivative",
    domain="$0 \\le p < 1$",
    claimed=sp.Le(sp.log(1 - p), -2 * p / (2 - p)),
    mutants={
        "flipped": sp.Ge(sp.log(1 - p), -2 * p / (2 - p)),
        "one for two": sp.Le(sp.log(1 - p), -p / (1 - p)),
        "factor 2": sp.Le(sp.log(1 - p), -4 * p / (2 - p)),
    },
)
def check_log_sharp(relation: sp.core.relational.Relational) -> bool:
    return _vanishes_then_grows(relation, 3)


@claim(
    "eq-q2-guesses",
    "number of guesses that suffices",
    held="for all values",
    method=(
        "sympy: solved from Part 3 with both approximations; limit of small $p_\\star$"
    ),
    domain="any $p_\\star$ and $\\eta$",
    claimed=GUESSES,
    mutants={
        "without logarithm": 1 / (eta * p_star),
        "sign": sp.log(eta) / p_star,
        "p squared": sp.log(1 / eta) / p_star**2,
    },
)
def check_guesses(guesses: sp.Expr) -> bool:
    tangent = sp.series(sp.log(1 - p_star), p_star, 0, 2).removeO()
    [solved] = sp.solve(sp.Eq(T * tangent, sp.log(eta)), T)
    failing = sp.limit(
        sp.log(1 - p_star) * guesses, p_star, 0
    )  # logarithm of the probability that all guesses fail
    return (
        sp.simplify(sp.expand_log(guesses - solved)) == 0
        and sp.simplify(sp.expand_log(failing - sp.log(eta))) == 0
    )


@claim(
    "eq-q2-class",
    "generalization bound for a fixed finite class",
    held="on instances",
    method="union bound, numerically; sympy limit",
    domain="$N$ up to 1,000, up to a million functions; $N \\to \\infty$",
    claimed=sp.Lt(epsilon, CLASS_BOUND),
    mutants={
        "confidence dropped": sp.Lt(epsilon, sp.log(size) / N),
        "sign of the confidence": sp.Lt(
            epsilon, (sp.log(size) - sp.log(1 / delta)) / N
        ),
        "factor 2": sp.Lt(epsilon, CLASS_BOUND / 2),
        "square root": sp.Lt(epsilon, sp.sqrt(CLASS_BOUND)),
        "flipped": sp.Gt(epsilon, CLASS_BOUND),
    },
)
def check_class(relation: sp.core.relational.Relational) -> bool:
    if relation.func(0, 0):  # an error equal to the bound counts as broken
        return False
    bound = sp.lambdify((size, delta, N), relation.gts)
    for many, confidence, samples in product(
        (1, 10, 10**6), (0.5, 0.1, 0.01), (10, 100, 1000)
    ):
        least = bound(many, confidence, samples)
        if relation.lts != epsilon or (
            least < 1
            and many * (1 - max(least, 0)) ** samples > confidence * (1 + 1e-9)
        ):
            return False
    logarithm = sp.log(size) + sp.limit(N * sp.log(1 - relation.gts), N, sp.oo)
    return sp.simplify(sp.expand_log(logarithm - sp.log(delta))) == 0


@claim(
    "eq-q2-bound",
    "generalization bound of Part 4",
    held="for all values",
    method="sympy: the class bound with as many functions as guesses",
    domain="any sizes; number of guesses and lower bound of the rows above",
    claimed=sp.Lt(epsilon, BOUND),
    mutants={
        "all parameters": sp.Lt(epsilon, BOUND.subs(d1s, d1)),
        "outgoing weights dropped": sp.Lt(epsilon, BOUND - d1 * sp.log(q) / N),
        "one logarithm of eta": sp.Lt(
            epsilon, BOUND - sp.log(sp.log(1 / eta)) / N + sp.log(1 / eta) / N
        ),
        "confidence dropped": sp.Lt(epsilon, BOUND - sp.log(1 / delta) / N),
        "flipped": sp.Gt(epsilon, BOUND),
    },
)
def check_bound(relation: sp.core.relational.Relational) -> bool:
    if relation.lts != epsilon or relation.func(0, 0):
        return False
    L, D = sp.symbols("L D", positive=True)
    positive = {eta: sp.exp(-L), delta: sp.exp(-D)}
    steps = CLASS_BOUND.subs(size, GUESSES.subs(p_star, LOWER))
    return _zero_for_all_teachers((relation.gts - steps).subs(positive))


def _zero_for_all_teachers(difference: sp.Expr) -> bool:
    """Whether it is zero for teachers with neurons, and for the one without."""
    return all(
        sp.simplify(sp.expand_log(difference.subs(d1s, neurons))) == 0
        for neurons in (d1s, 0)
    )


SIMULATED = {q: 3, d0: 2, d1: 2, d1s: 1, eta: 0.1, delta: 0.01, N: 32}


def allowed() -> float:
    """The share of runs that may break the bound in the simulation: 1 - (1 - eta)(1 -
    delta).
    """
    return 1 - (1 - SIMULATED[eta]) * (1 - SIMULATED[delta])


@kept
def broken(bound: sp.Expr = BOUND, runs: int = 4000) -> dict[str, tuple[int, int]]:
    """In how many of the runs of guess and check the error is not below the bound, for
    two distributions of inputs.
    """
    world, limit = plane(3, 2, 1), float(bound.subs(SIMULATED))
    worlds = {
        "uniform": world,
        "rare": rare_direction(world, min(max(limit, 0.0), 1.0)),
    }
    return {
        name: (int((learn(one, int(SIMULATED[N]), runs)[0] >= limit).sum()), runs)
        for name, one in worlds.items()
    }


@claim(
    "thm-q2-typical",
    "Theorem 1: share of runs within the bound",
    held="by simulation",
    method=(
        "simulated runs, upper end of the Clopper-Pearson interval at $1 - 10^{-6}$; "
        "the expected number of wrong fits"
    ),
    domain=(
        "4,000 runs for each of two $P_X$ with random teachers: $q = 3$, "
        "$d_0 = d_1 = 2$, $d_1^\\star = 1$, $N = 32$; by formula: 6 larger cases"
    ),
    claimed=BOUND,
    mutants={
        "N squared": BOUND / N,
        "sign of the confidence": BOUND - 2 * sp.log(1 / delta) / N,
        "without parameters and confidence": sp.log(sp.log(1 / eta)) / N,
    },
)
def check_typical(bound: sp.Expr) -> bool:
    return all(
        0.99 <= wrong_fits(bound, at) / at[delta] <= 1 for at in HARDEST
    ) and all(interval(*found)[1] <= allowed() for found in broken(bound).values())


HARDEST = tuple(
    {q: levels, d0: inputs, d1: hidden, d1s: teacher, N: 10**6} | confidences
    for levels, inputs, hidden, teacher in ((3, 2, 3, 1), (5, 3, 4, 2), (7, 4, 2, 0))
    for confidences in ({eta: 0.1, delta: 0.01}, {eta: 0.001, delta: 0.2})
)


def wrong_fits(bound: sp.Expr, at: dict[sp.Symbol, float]) -> float:
    """How many wrong networks fit all samples, on average, where the proof gives
    nothing away: as many guesses as an unlucky teacher needs, each of another network
    whose error is the bound.
    """
    chance = float(at[q]) ** -(at[d0] * at[d1s] + at[d1])
    guesses = math.log(1 / at[eta]) / chance
    return guesses * (1 - float(bound.subs(at))) ** at[N]


@claim(
    "cor-q2-exact",
    "Theorem 1 needs no approximation for $\\eta \\le e^{-2}$",
    held="on instances",
    method="numerically, $T$ just below each integer",
    domain=(
        "$p_\\star$ from 1/2 to 1/19,683, $T$ up to 60 times $1/p_\\star$; false for "
        "the smallest of them where $\\eta$ is a thousandth larger"
    ),
    claimed=sp.exp(-2),
    mutants={
        "1/e": sp.exp(-1),
        "one half": sp.Rational(1, 2),
        "a little more than claimed": sp.exp(sp.Rational(-19, 10)),
    },
)
def check_exactly(largest: sp.Expr) -> bool:
    chances = (1 / 2, 1 / 3, 1 / 10, 1 / 27, 1 / 243, 1 / 19_683)
    return all(_suffices(float(largest), chance) for chance in chances) and not (
        _suffices(1.001 * float(largest), chances[-1])
    )


def _suffices(largest: float, chance: float) -> bool:
    """Whether T = log(1/eta) / p guesses suffice for all eta up to the largest."""
    # T is a little less than this integer: one guess less is made
    ceiling = np.arange(1, int(60 / chance))
    relevant = ceiling * chance >= -math.log(largest)  # log 1/eta = p T
    failing = (ceiling - 1) * -np.log1p(-chance) < ceiling * chance
    return not failing[relevant].any()


@claim(
    "eq-q2-ratio",
    "numerator of the new bound over that for the whole class",
    held="exhaustively",
    method="enumeration: logarithms of the counted networks",
    domain="same classes, every $d_1^\\star < d_1$",
    claimed=RATIO,
    mutants={
        "incoming weights only": d1s / d1,
        "teacher's own parameters": (d0 * d1s + d1s) / (d0 * d1 + d1),
        "inverted": 1 / RATIO,
    },
)
def check_ratio(ratio: sp.Expr) -> bool:
    return all(
        abs(
            float(ratio.subs(case.at))
            - 1
            + math.log(case.matching) / math.log(case.networks)
        )
        < 1e-12
        and case.matching > 1
        for case in census()
    )


@claim(
    "eq-q2-limit",
    "that ratio for many inputs",
    held="for all values",
    method="sympy limit of the two bounds, terms of $\\eta$ and $\\delta$ left out",
    domain="any sizes",
    claimed=d1s / d1,
    mutants={
        "no gain": sp.Integer(1),
        "inverted": d1 / d1s,
        "square root": sp.sqrt(d1s / d1),
    },
)
def check_limit(limit: sp.Expr) -> bool:
    without = {eta: sp.exp(-1), delta: 1}
    whole = sp.expand_log(CLASS_BOUND.subs(size, q ** (d0 * d1 + d1)).subs(without))
    return all(
        sp.simplify(
            sp.limit(BOUND.subs({**without, d1s: neurons}) / whole, d0, sp.oo)
            - limit.subs(d1s, neurons)
        )
        == 0
        for neurons in (d1s, 0)  # 0: a teacher without neurons
    )


@claim(
    "eq-q2-saving",
    "difference of the two bounds",
    held="for all values",
    method="sympy, $\\log \\log 1/\\eta$ left out",
    domain="any sizes",
    claimed=d0 * (d1 - d1s) * sp.log(q) / N,
    mutants={
        "outgoing weights too": (d0 + 1) * (d1 - d1s) * sp.log(q) / N,
        "inputs dropped": (d1 - d1s) * sp.log(q) / N,
        "sign": d0 * (d1s - d1) * sp.log(q) / N,
    },
)
def check_saving(saving: sp.Expr) -> bool:
    whole = CLASS_BOUND.subs(size, q ** (d0 * d1 + d1))
    return _zero_for_all_teachers(
        whole - BOUND.subs(sp.log(sp.log(1 / eta)), 0) - saving
    )
