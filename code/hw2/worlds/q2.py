"""Question 2: all networks of small classes, each with a fixed teacher, a finite set of
inputs and a convention for sign(0). What is said of one guess is counted over all
networks, what is said of many over the exact distribution of the stopping time.
Bounds are solved for numerically from what they are bounds on.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
from scipy import optimize

from hw2.formulas.checking import Case, World
from hw2.formulas.meaning import (
    Free,
    Given,
    Law,
    Outcome,
    Scope,
    Space,
    column,
    equal,
    truth,
    value,
)
from hw2.formulas.reading import FormulaError, Node
from hw2.theory import guess_and_check as theory

NEARLY = 1 - 1e-6


@dataclass(frozen=True)
class Class:
    """All networks with `levels`, `inputs` and `hidden` neurons, and a teacher of which
    neurons behind the first `used` are zero. `law` are inputs and their probabilities.
    """

    levels: int
    inputs: int
    hidden: int
    used: int
    incoming: tuple[tuple[int, ...], ...]
    outgoing: tuple[int, ...]
    zero: int  # sign(0)
    law: tuple[tuple[tuple[int, ...], float], ...]
    samples: int

    @cached_property
    def networks(self) -> tuple[np.ndarray, np.ndarray]:
        return theory.networks(self.levels, self.inputs, self.hidden)

    @property
    def count(self) -> int:
        return len(self.networks[0])

    def position(self, incoming: Any, outgoing: Any) -> int:
        """The number of a network."""
        return int(
            theory.index(self.levels, np.array([incoming]), np.array([outgoing]))[0]
        )

    @cached_property
    def teacher(self) -> int:
        return self.position(self.incoming, self.outgoing)

    def neurons(self, network: int) -> tuple[dict[int, Any], dict[int, int]]:
        """Incoming and outgoing weights by number of the neuron, from 1."""
        W, a = (part[network] for part in self.networks)
        numbers = range(1, self.hidden + 1)
        return (
            {i: column(W[i - 1]) for i in numbers},
            {i: int(a[i - 1]) for i in numbers},
        )

    @cached_property
    def flat(self) -> list[np.ndarray]:
        W, a = self.networks
        return [column([*w.ravel(), *b]) for w, b in zip(W, a, strict=True)]

    def argument(self, network: int, x: Any) -> float:
        """What the network takes the sign of."""
        W, a = (part[network] for part in self.networks)
        return float(a @ np.maximum(W @ np.atleast_2d(x)[:, 0], 0))

    def sign(self, number: float) -> int:
        return (number > 0) - (number < 0) or self.zero

    def outputs(self, points: np.ndarray) -> np.ndarray:
        """Signs of all networks, (networks, points)."""
        found = np.sign(theory.preactivation(*self.networks, points))
        return np.where(found == 0, self.zero, found)

    @cached_property
    def equals_teacher(self) -> np.ndarray:
        """Which networks are the teacher's function: they agree with it wherever one of
        the class may change its sign, and between two such directions.
        """
        most = 2 * self.hidden * ((self.levels - 1) // 2) ** 2
        reach = range(-most, most + 1) if self.inputs > 1 else (-1, 0, 1)
        outputs = self.outputs(np.array(list(product(reach, repeat=self.inputs))))
        return (outputs == outputs[self.teacher]).all(1)

    @cached_property
    def matching(self) -> np.ndarray:
        """Which networks have the teacher's used neurons and others that are silent by
        their outgoing weight.
        """
        W, a = self.networks
        same = (W[:, : self.used] == W[self.teacher, : self.used]).all((1, 2))
        return same & (a == a[self.teacher]).all(1)

    @property
    def p_star(self) -> Fraction:
        return Fraction(int(self.equals_teacher.sum()), self.count)

    @property
    def p_matching(self) -> Fraction:
        return Fraction(int(self.matching.sum()), self.count)

    @cached_property
    def data(self) -> dict[tuple[int, ...], float]:
        """All training sets, as numbers of inputs, with their probabilities."""
        chances = [chance for _, chance in self.law]
        return {
            drawn: math.prod(chances[i] for i in drawn)
            for drawn in product(range(len(chances)), repeat=self.samples)
        }

    @cached_property
    def right(self) -> np.ndarray:
        """Where each network gives the teacher's answer, (networks, inputs)."""
        outputs = self.outputs(np.array([x for x, _ in self.law]))
        return np.asarray(outputs == outputs[self.teacher])

    def fits(self, drawn: tuple[int, ...]) -> np.ndarray:
        """Which networks fit a training set."""
        return np.asarray(self.right[:, list(drawn)].all(1))

    @cached_property
    def p_fits(self) -> dict[tuple[int, ...], Fraction]:
        return {
            drawn: Fraction(int(self.fits(drawn).sum()), self.count)
            for drawn in self.data
        }

    @cached_property
    def fit_chances(self) -> dict[Fraction, float]:
        """The probability of each value of p_S."""
        found: dict[Fraction, float] = {}
        for drawn, chance in self.data.items():
            key = self.p_fits[drawn]
            found[key] = found.get(key, 0.0) + chance
        return found

    def survival(self, guesses: int) -> float:
        """The probability that so many guesses all fail."""
        return sum(
            chance * math.prod([1 - float(p)] * guesses)
            for p, chance in self.fit_chances.items()
        )

    def select(self, fact: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[int]:
        return [int(n) for n in np.flatnonzero(fact(*self.networks))]

    @cached_property
    def shown(self) -> tuple[int, ...]:
        """A few networks: the teacher, matching ones and any others."""
        chosen = [self.teacher, *self.matched[:1], *self.matched[-2:], self.count - 1]
        others = np.random.default_rng(211).choice(self.count, 3, replace=False)
        return tuple(dict.fromkeys([*chosen, *map(int, others)]))

    @cached_property
    def matched(self) -> tuple[int, ...]:
        return tuple(int(n) for n in np.flatnonzero(self.matching))


CLASSES = {
    "3 levels, 1 input, 2 neurons": Class(
        *(3, 1, 2, 1),
        ((1,), (0,)),
        (1, 0),
        zero=-1,
        law=(((1,), 0.5), ((0,), 0.25), ((-1,), 0.25)),
        samples=2,
    ),
    "5 levels, 1 neuron, teacher 0": Class(
        *(5, 1, 1, 0),
        ((0,),),
        (0,),
        zero=-1,
        law=(((1,), 0.25), ((-1,), 0.75)),
        samples=3,
    ),
    "a superfluous neuron counted, all inputs 0": Class(
        *(3, 1, 3, 1),
        ((0,), (0,), (0,)),
        (0, 0, 0),
        zero=1,
        law=(((0,), 1.0),),
        samples=1,
    ),
    "2 inputs": Class(
        *(3, 2, 2, 1),
        ((1, -1), (0, 0)),
        (-1, 0),
        zero=1,
        law=(((2, -1), 0.5), ((-1, 1), 0.5)),
        samples=2,
    ),
    "3 neurons, 2 used": Class(
        *(3, 1, 3, 2),
        ((1,), (-1,), (0,)),
        (1, -1, 0),
        zero=-1,
        law=(((1,), 0.5), ((-1,), 0.5)),
        samples=2,
    ),
}


def of(scope: Scope) -> Class:
    return scope["class"]


MOST = 2000  # guesses


def whole(scope: Scope) -> int:
    """The number of guesses that the time T has room for."""
    if not scope["T"] < MOST:
        raise FormulaError(f"T is {scope['T']}: more guesses than are made here")
    count = 0
    while count + 1 <= scope["T"]:
        count += 1
    return count


# --- probabilities ---


def one_guess(scope: Scope) -> Sequence[Outcome]:
    return _one_guess(of(scope))


@cache
def _one_guess(known: Class) -> list[Outcome]:
    share = 1 / known.count
    return [
        Outcome(share, {"network": n, "bf-w": known.flat[n]})
        for n in range(known.count)
    ]


FIRST = 4  # guesses that are enumerated where the training set is given


def given_data(scope: Scope) -> Iterator[Outcome]:
    """All ways in which the first guesses fit or fail: t is the first that fits."""
    chance = of(scope).p_fits[scope["S"]]
    for fits in product((True, False), repeat=FIRST):
        weight = math.prod(chance if fit else 1 - chance for fit in fits)
        yield Outcome(
            float(weight), {"t": fits.index(True) + 1 if any(fits) else FIRST + 1}
        )


def many_guesses(scope: Scope) -> Sequence[Outcome]:
    drawn = scope["drawn"] if scope.has("drawn") else "until one fits"
    if drawn == "once":
        return one_guess(scope)
    if drawn == "as rarely":
        return rarely(scope["eta"], scope["delta"])
    return _many_guesses(of(scope), whole(scope), scope["delta"])


def rarely(eta: float, delta: float) -> list[Outcome]:
    """A and B, given A, with the least probability that they may have."""
    return [
        Outcome(good * within, {"A": A, "B": B})
        for A, good in ((True, 1 - eta), (False, eta))
        for B, within in ((True, 1 - delta), (False, delta))
    ]


@cache
def _many_guesses(known: Class, guesses: int, delta: float) -> list[Outcome]:
    """The stopping time t; whether one of so many guesses is the teacher's function, A;
    and B, given A more often than the bound from class says, else never.
    """
    p, outcomes = float(known.p_star), []
    misses = np.cumprod([1.0, *[1 - p] * guesses])
    for share, chance in known.fit_chances.items():
        running, fits = float(chance), float(share)
        for t in range(1, guesses + 1):
            found = running * p
            missed = misses[guesses - t]  # by all guesses that follow
            other = running * (fits - p)
            outcomes += [
                (found + other * (1 - missed), t, True),
                (other * missed, t, False),
            ]
            running *= 1 - fits
        outcomes += [
            (running * fits, guesses + 1, False),
            (running * (1 - fits), guesses + 2, False),
        ]
    result = []
    for weight, t, good in outcomes:
        for chance, within in ((1 - delta / 2, good), (delta / 2, False)):
            if weight * chance > 0:
                values = {"t": t, "A": good, "B": within}
                result.append(Outcome(weight * chance, values))
    return result


# --- judgements ---


def exactly(
    points: Callable[[Scope], Sequence[Mapping[str, Any]]],
    fact: Callable[[Scope], bool],
) -> Callable[[Node, Scope], bool]:
    """A condition that is true at those points where a fact is, and at no other."""

    def holds(node: Node, scope: Scope) -> bool:
        return all(
            truth(node, inside) is bool(fact(inside))
            for inside in map(scope.with_, points(scope))
        )

    return holds


def each(name: str, values: Callable[[Scope], Sequence[Any]] | Sequence[Any]) -> Any:
    return lambda scope: [
        {name: item} for item in (values(scope) if callable(values) else values)
    ]


def all_networks(scope: Scope) -> list[dict[str, int]]:
    """Up to a hundred networks, the matching ones and those that are nearly among
    them.
    """
    known = of(scope)
    step = max(1, known.count // 60)
    chosen = {*known.matched[:20], *range(0, known.count, step), known.teacher}
    return [{"network": n} for n in sorted(chosen)]


def networks_and_neurons(scope: Scope) -> list[dict[str, int]]:
    numbers = range(1, of(scope).hidden + 1)
    return [{**point, "i": i} for point in all_networks(scope) for i in numbers]


def neuron(scope: Scope) -> tuple[np.ndarray, int]:
    W, a = (part[scope["network"]] for part in of(scope).networks)
    return W[scope["i"] - 1], int(a[scope["i"] - 1])


def teacher_neuron(scope: Scope) -> tuple[np.ndarray, int]:
    return neuron(scope.with_({"network": of(scope).teacher}))


def used(scope: Scope) -> bool:
    return scope["i"] in range(1, of(scope).used + 1)


def indices(scope: Scope) -> list[dict[str, int]]:
    return [{"i": i} for i in range(1, of(scope).hidden + 1)]


def arguments(node: Node, scope: Scope) -> bool:
    """On M all members are the same; the first is the student's argument for all
    students, the last the teacher's for all teachers.
    """
    if scope["M"] and not truth(node, scope):
        return False
    u, a = of(scope).neurons(scope["network"])
    anyone = scope.with_({"u^star": u, "a^star": a})
    wanted = of(scope).argument(scope["network"], scope["bf-x"])
    student, teacher = value(node.parts[0], scope), value(node.parts[-1], anyone)
    return equal(student, wanted) and equal(teacher, wanted)


def contribution(node: Node, scope: Scope) -> bool:
    """What a neuron contributes at x = u_i, and that it is 0 for silent ones only."""
    u, a = neuron(scope)
    added = int(a * max(u @ u, 0))
    same = equal(value(node.parts[0], scope), added)
    return same and truth(node, scope) is bool(a and u.any())


def alike(name: str, goal: float) -> Callable[[Node, Scope], bool]:
    """An approximation whose relative error goes to 0 with a symbol at its goal."""

    def holds(node: Node, scope: Scope) -> bool:
        def error(far: float) -> float:
            point = far + 0.5 if math.isinf(goal) else goal + 1 / far
            inside = scope.with_({name: point})
            left, right = (float(value(part, inside)) for part in node.parts)
            return abs(left - right) / max(abs(left), abs(right))

        approximate = set(node.value) == {r"\approx"} and len(node.parts) == 2
        return approximate and error(1e3) < 2e-3 and error(1e5) < 2e-5

    return holds


def below(bound: Callable[[Scope], float]) -> Callable[[Node, Scope], bool]:
    """A bound on epsilon: true below it, and no longer at it."""
    return exactly(
        lambda scope: [
            {"epsilon": bound(scope) + step}
            for step in (-0.5, -1e-6, 0, 1e-6, 0.5)  # the bound may be 0
        ],
        lambda scope: scope["epsilon"] < bound(scope) - 1e-9,
    )


def setting(name: str, inside: Sequence[Any], outside: Sequence[Any]) -> Any:
    """A condition on the classes that the code enumerates."""
    return exactly(each(name, [*inside, *outside]), lambda s: s[name] in inside)


def slope(function: Callable[[float], float], at: float) -> float:
    """A derivative from values off the real axis, which needs no small difference."""
    turns = np.exp(2j * np.pi * np.arange(16) / 16)
    radius = 0.01
    return float(
        np.mean([function(at + radius * w) / (radius * w) for w in turns]).real
    )


def judged(
    members: Mapping[int, Callable[[Scope], Any]],
) -> Callable[[Node, Scope], bool]:
    """A chain that is true, of which some members have the values that they should: for
    inequalities, which weaker ones would satisfy too.
    """

    def holds(node: Node, scope: Scope) -> bool:
        return truth(node, scope) and all(
            equal(value(node.parts[i], scope), wanted(scope), 1e-7)
            for i, wanted in members.items()
        )

    return holds


# --- bounds ---


def from_class(functions: float, scope: Scope) -> float:
    """The error at which the union bound over so many functions is delta."""
    delta, samples = scope["delta"], scope["N"]

    def excess(error: float) -> float:
        return math.log(functions) - error * samples - math.log(delta)

    return float(optimize.brentq(excess, -99, 99, xtol=1e-14))


def class_bound(scope: Scope) -> float:
    return from_class(len(scope["cal-F"]), scope)


def guesses_needed(chance: float, eta: float) -> float:
    """How many guesses miss with probability eta, if one hits with a small chance."""
    return float(
        optimize.brentq(lambda t: math.exp(-t * chance) - eta, 0, 1e6, xtol=1e-12)
    )


def needed(scope: Scope) -> float:
    return guesses_needed(float(scope["p_star"]), scope["eta"])


def exactly_whole(scope: Scope) -> float:
    """An eta for which T is an integer, also as it is rounded."""
    chance = float(of(scope).p_star)
    for guesses in range(3, 99):
        eta = math.exp(-guesses * chance)
        if math.log(1 / eta) / chance == guesses:
            return eta
    raise ValueError("no such eta")


def most_guesses(scope: Scope) -> float:
    """Guesses that are enough where the teacher's function is as rare as it can be."""
    return guesses_needed(float(of(scope).p_matching), scope["eta"])


def typical_bound(scope: Scope) -> float:
    return from_class(most_guesses(scope), scope)


def misses(scope: Scope) -> float:
    """The probability that all guesses miss: one minus that of the first hit."""
    p, hit = scope["p_star"], 0
    for before in range(whole(scope)):
        hit += p * math.prod([1 - p] * before)
    return 1 - hit


def survival(scope: Scope) -> float:
    return of(scope).survival(whole(scope))


def within(scope: Scope) -> float:
    """The probability of B given A, in each of the two measures."""
    return 1 - scope["delta"] / (1 if scope["drawn"] == "as rarely" else 2)


def log(number: float) -> float:
    return math.log(number) if number else -math.inf


def sharper(p: float) -> float:
    """-2p/(2-p) is the quotient of two linear functions that agrees with log(1 - p) at
    0 up to the second derivative: found from these.
    """
    first, second = -1.0, -0.5  # the coefficients of p and p^2 in log(1 - p)
    below_ = -second / first
    return first * p / (1 + below_ * p)


def log_of_rest(p: Any) -> Any:
    return np.log(1 - p)


def simple(p: Any) -> Any:
    """The bound on the logarithm minus the logarithm, also off the real axis."""
    return -p - np.log(1 - p)


def sharp(p: Any) -> Any:
    return -2 * p / (2 - p) - np.log(1 - p)


def enough(eta: float) -> bool:
    """Whether T rounded down is enough guesses, for each p and all confidences from
    eta on: where T is a little less than an integer.
    """
    for chance in (1 / 2, 1 / 3, 1 / 10, 1 / 243, 1e-4):
        first = math.ceil(-math.log(eta) / chance - 1e-9)
        ceiling = np.arange(first, first + 5)
        made = (ceiling - 1) * -np.log1p(-chance)
        if (made < ceiling * chance - 1e-12).any():
            return False
    return True


EDGE = math.exp(-2)
SMALL = (0.02, 0.1, EDGE)  # values of eta for which floor(T) guesses are enough
ETAS = tuple(
    {"eta": eta} for eta in (0.01, 0.1, EDGE * NEARLY, EDGE, EDGE * 1.01, 0.3, 0.5)
)


def half_way(scope: Scope) -> bool:
    """Whether the bound with T - 1 guesses and the sharper logarithm reaches T p."""
    p, T = float(scope["p_star"]), needed(scope)
    return (T - 1) * -sharper(p) >= T * p - 1e-9


def parameters(inputs: float, neurons: int) -> float:
    return sum(inputs + 1 for _ in range(neurons))


def ratio(scope: Scope) -> float:
    """Parameters that must match over all, where the number of inputs may vary."""
    prescribed = sum(
        scope["d_0"] + 1 if i <= scope["d_1^star"] else 1
        for i in range(1, scope["d_1"] + 1)
    )
    return prescribed / parameters(scope["d_0"], scope["d_1"])


def bits(scope: Scope) -> float:
    """The logarithm of the number of networks."""
    return math.log(of(scope).count)


def matched_bits(scope: Scope) -> float:
    """The logarithm of one over the probability of M."""
    return -math.log(of(scope).p_matching)


def saved(scope: Scope) -> float:
    return (bits(scope) - matched_bits(scope)) / scope["N"]


def narrow_bits(scope: Scope) -> float:
    """The logarithm of the number of networks as wide as the teacher."""
    known = of(scope)
    if not known.used:  # there is one network without neurons
        return 0.0
    return math.log(len(theory.networks(known.levels, known.inputs, known.used)[0]))


def neuron_bits(scope: Scope) -> float:
    """The logarithm of the number of neurons with weights on the levels."""
    known = of(scope)
    return math.log(len(theory.networks(known.levels, known.inputs, 1)[0]))


def prescribed(scope: Scope, part: slice | None, outgoing: bool) -> int:
    """How many weights are the same in all matching networks, by enumeration."""
    known = of(scope)
    weights = known.networks[outgoing][known.matching]
    fixed = (weights == weights[0]).all(0)
    return int(fixed[part].sum() if part else (~fixed).sum())


def used_part(scope: Scope) -> slice:
    return slice(0, of(scope).used)


def other_part(scope: Scope) -> slice:
    return slice(of(scope).used, None)


# --- cones ---


def cone(scope: Scope) -> np.ndarray:
    """A cone of the fan that contains x; its rays are the columns."""
    x = np.atleast_2d(scope["bf-x"])
    for rays in theory.fan(of(scope).levels, of(scope).inputs):
        if (np.linalg.solve(rays.T, x) >= -1e-12).all():
            return rays.T
    raise ValueError("no cone contains x")


def numbered(values: Sequence[Any]) -> dict[int, Any]:
    return dict(enumerate(values, 1))


def coordinates(scope: Scope) -> dict[int, float]:
    x = np.atleast_2d(scope["bf-x"])
    return numbered(np.linalg.solve(cone(scope), x)[:, 0].tolist())


def hyperplane(scope: Scope) -> np.ndarray:
    """A point at which u'x = 0; with one input that is 0."""
    u = scope["normal"]
    return column([0] if len(u) == 1 else [-u[1, 0], u[0, 0]])


# --- the world ---


def at_first(scope: Scope, sign: int) -> int:
    """The network with one neuron, a_1 = sign, that is not 0."""
    known = of(scope)
    W = np.zeros((known.hidden, known.inputs), dtype=int)
    W[0, 0] = 1
    return known.position(W, sign * np.eye(known.hidden, dtype=int)[0])


def first_only(scope: Scope) -> list[dict[str, int]]:
    known = of(scope)
    zero = known.position(
        np.zeros((known.hidden, known.inputs), int), [0] * known.hidden
    )
    return [{"network": n} for n in (at_first(scope, 1), at_first(scope, -1), zero)]


def answer(scope: Scope, network: int) -> int:
    known = of(scope)
    u = known.neurons(scope["network"])[0][1]
    return known.sign(known.argument(network, u))


def functions_of_guesses(number: int) -> int:
    """The function of each guess; the second and third are the same."""
    return 2 if number == 3 else int(number)


# a class of as many functions as guesses, or one fewer
AS_MANY = Given(lambda s: frozenset(range(whole(s) - s["repeated"])))


T_OR_MORE = tuple(
    {"t": t, "T": T} for t in range(1, 6) for T in (0.5, 1, 1.5, 2, 2.5, 3, 4)
)


def instance(known: Class) -> dict[str, Any]:
    levels = range(-(known.levels // 2), known.levels // 2 + 1)
    u, a = known.neurons(known.teacher)
    inputs = known.inputs
    points = [[0] * inputs, [2, 1][:inputs], [-1, 1][:inputs], [-1, -3][:inputs]]
    return {
        "class": known,
        "q": known.levels,
        "d_0": inputs,
        "d_1": known.hidden,
        "d_1^star": known.used,
        "N": known.samples,
        "Q": frozenset(np.unique(known.networks[0]).tolist()),
        "sign": known.sign,
        # weights
        "network": Free(known.shown),
        "u": Given(lambda scope: known.neurons(scope["network"])[0]),
        "a": Given(lambda scope: known.neurons(scope["network"])[1]),
        "bf-w": Given(lambda scope: known.flat[scope["network"]]),
        "bf-W_1": Given(lambda scope: known.networks[0][scope["network"]]),
        "bf-w_2": Given(lambda scope: column(known.networks[1][scope["network"]])),
        "bf-w_1": known.flat[0],  # the first guess
        "u^star": u,
        "a^star": a,
        "bf-w_star": known.flat[known.teacher],
        "i": Free(tuple(range(1, known.hidden + 1))),
        "bf-x": Free(tuple(map(column, points))),
        "f_bf-w": Given(
            lambda scope: lambda x: known.sign(known.argument(scope["network"], x))
        ),
        "f_bf-wstar": lambda x: known.sign(known.argument(known.teacher, x)),
        "f_bf-wt": 1,
        "M": Given(lambda scope: bool(known.matching[scope["network"]])),
        "P_W": Law("uniform", (known.count,)),
        "P_X": Law("finite", known.law),
        # how equality is decided
        "normal": Free(tuple(map(column, product(levels, repeat=inputs)))),
        "j": Free(tuple(range(1, inputs + 1))),
        "range j": range(1, inputs + 1),
        "r": Given(lambda scope: numbered([column(ray) for ray in cone(scope).T])),
        "lambda": Given(coordinates),
        "v": Given(
            lambda scope: numbered(
                [known.argument(scope["network"], column(ray)) for ray in cone(scope).T]
            )
        ),
        # guesses
        "p_star": Free((known.p_star,), (0, -0.5)),
        "S": Free(tuple(known.data)),
        "p_S": Given(lambda scope: known.p_fits[scope["S"]]),
        "t": Free((1, 2, 3)),
        "T": Free((0.5, 1, 2.5, 3)),
        "time": Free((2.5, 3)),
        "way": Free(("until one fits", "as rarely")),
        "A": Free((True, False)),
        "B": Free((True, False)),
        # bounds
        "eta": Free((0.05, 0.1), (0, 1, -0.5, 1.5)),
        "delta": Free((0.2, 0.03), (0, 1, -0.5, 1.5)),
        "epsilon": Free((0.1, 0.3)),
        "between": Free((0, 0.5, 1)),  # errors from b to 1
        "cal-F": Free((frozenset({1}), frozenset({1, 2, 3}))),
        "repeated": Free((0, 1)),  # guesses whose function was guessed before
        "b": Given(class_bound),
        "p": Free((0, 0.3, 0.9), (-0.5, 1, 1.5)),
    }


def simulated(symbol: Any) -> int:
    return int(theory.SIMULATED[symbol])


def rarest(scope: Scope) -> tuple[Fraction, Fraction]:
    return of(scope).p_star, of(scope).p_matching


EITHER = {"drawn": Given(lambda s: s["way"])}

WORLD = World(
    section="q2",
    how="all networks of small classes; probabilities exact",
    instances={name: instance(known) for name, known in CLASSES.items()},
    functions=frozenset({"f"}),
    defined=frozenset({"k"}),
    measures={
        "": many_guesses,
        "|S": given_data,
        "bf-wsimPW": one_guess,
    },
    cases=(
        # setting
        Case(
            r"u_i \in Q^{d_0}",
            outside={
                "u": lambda s: tuple(
                    {i: column([0] * (s["d_0"] - 1) + [wrong]) for i in range(1, 4)}
                    for wrong in (s["q"] // 2 + 1, -s["q"], 0.5)
                )
            },
        ),
        Case(
            r"a_i \in Q",
            outside={
                "a": lambda s: tuple(
                    dict.fromkeys(range(1, 4), wrong)
                    for wrong in (s["q"] // 2 + 1, -s["q"], 0.5)
                )
            },
        ),
        Case(
            r"\mathbf{w}_\star \in Q^k",
            outside={
                "bf-w_star": lambda s: (s["bf-w_star"][:-1], s["bf-w_star"] + s["q"])
            },
        ),
        Case(
            r"d_1^\star < d_1",
            times=2,
            outside={"d_1^star": lambda s: (s["d_1"], s["d_1"] + 1)},
        ),
        Case(
            r"u_i^\star = 0",
            holds=exactly(indices, lambda s: not teacher_neuron(s)[0].any()),
        ),
        Case(
            r"a_i^\star = 0",
            holds=exactly(indices, lambda s: teacher_neuron(s)[1] == 0),
        ),
        Case(r"q \ge 3", times=2, outside={"q": (1, 2)}),
        Case(
            r"q = 1",
            holds=exactly(
                each("q", (1, 3, 5)),
                lambda s: len(theory.networks(s["q"], 1, 2)[0]) == 1,
            ),
        ),
        # parts 1 and 2
        Case(
            r"\mathbf{w} = \mathbf{w}_\star",
            holds=exactly(all_networks, lambda s: s["network"] == of(s).teacher),
        ),
        Case(
            r"u_i = u_i^\star",
            holds=exactly(
                networks_and_neurons,
                lambda s: (neuron(s)[0] == teacher_neuron(s)[0]).all(),
            ),
        ),
        Case(
            r"a_i = a_i^\star",
            holds=exactly(
                networks_and_neurons, lambda s: neuron(s)[1] == teacher_neuron(s)[1]
            ),
        ),
        Case(r"i \le d_1^\star", holds=exactly(indices, used)),
        Case(r"i > d_1^\star", holds=exactly(indices, lambda s: not used(s))),
        Case(
            r"a_i = 0",
            after=("2.", "if and only if", "Silence by"),
            holds=exactly(networks_and_neurons, lambda s: neuron(s)[1] == 0),
        ),
        Case(
            r"u_i = 0",
            after=("or", "silence by", "neuron by"),
            holds=exactly(networks_and_neurons, lambda s: not neuron(s)[0].any()),
        ),
        Case(
            r"\sum_{i=1}^{d_1} a_i \left[ u_i^\top \mathbf{x} \right]_+ ="
            r" \sum_{i=1}^{d_1^\star} a_i^\star \left[ u_i^{\star\top} \mathbf{x}"
            r" \right]_+ = \sum_{i=1}^{d_1} a_i^\star \left[ u_i^{\star\top} \mathbf{x}"
            r" \right]_+",
            holds=arguments,
        ),
        Case(
            r"f_{\mathbf{w}}(\mathbf{x}) = f_{\mathbf{w}_\star}(\mathbf{x})",
            where={"network": lambda s: of(s).matched[:9]},
        ),
        Case(
            r"d_0 d_1^\star",
            equals=lambda s: prescribed(s, used_part(s), outgoing=False),
        ),
        Case(
            r"d_1 - d_1^\star",
            times=2,
            equals=lambda s: prescribed(s, other_part(s), outgoing=True),
        ),
        Case(
            r"d_0 d_1^\star + d_1^\star + (d_1 - d_1^\star) = d_0 d_1^\star + d_1",
            equals=lambda s: round(math.log(1 / of(s).p_matching, s["q"])),
        ),
        Case(r"1/q", times=2, equals=lambda s: Fraction(1, len(s["Q"]))),
        Case(
            r"q^{-d_0 d_1 - d_1}",
            equals=lambda s: Fraction(1, len(of(s).networks[0])),
        ),
        Case(
            r"d_0 (d_1 - d_1^\star)",
            equals=lambda s: prescribed(s, None, outgoing=False),
        ),
        Case(r"P(M) = q^{-d_0 d_1^\star - d_1}", bind={"drawn": "once"}),
        Case(
            r"p_\star \ge q^{-d_0 d_1^\star - d_1}",
            where={"p_star": rarest},
            holds=judged({0: lambda s: s["p_star"], 1: lambda s: of(s).p_matching}),
        ),
        Case(r"a_i \lVert u_i \rVert^2 \ne 0", holds=contribution),
        Case(r"\mathbf{x} = u_i", bind={"bf-x": Given(lambda s: s["u"][s["i"]])}),
        Case(
            r"u^\top \mathbf{x} = 0",
            bind={"u": Given(lambda s: s["normal"]), "bf-x": Given(hyperplane)},
            outside={"bf-x": (Given(lambda s: hyperplane(s) + s["normal"]),)},
            where={"normal": lambda s: tuple(np.eye(s["d_0"])[:, :, None])},
        ),
        Case(
            r"u \in Q^{d_0}",
            bind={"u": Given(lambda s: s["normal"])},
            outside={
                "u": lambda s: (
                    column([0] * s["d_0"]) + s["q"],
                    column([0.5] * s["d_0"]),
                    column([0] * (s["d_0"] + 1)),
                )
            },
        ),
        Case(
            r"\lambda_j \ge 0",
            outside={"lambda": lambda s: (numbered([-1.0] * s["d_0"]),)},
        ),
        Case(
            r"\sum_j \lambda_j v_j",
            equals=lambda s: of(s).argument(s["network"], s["bf-x"]),
        ),
        Case(r"3^9", equals=lambda s: theory.LARGEST),
        Case(
            r"d_1 \ge 2",
            holds=setting("d_1", sorted({size[2] for size in theory.SIZES}), (0, 1)),
        ),
        # symbols that are results where they stand
        Case(r"d_0", times=2, equals=lambda s: of(s).networks[0].shape[-1]),
        Case(r"d_1^\star", times=4, equals=lambda s: of(s).used),
        Case(r"\eta", times=6, equals=lambda s: s["eta"]),
        Case(r"\delta", times=4, equals=lambda s: s["delta"]),
        Case(r"-p_\star", equals=lambda s: s["p_star"] * slope(log_of_rest, 0)),
        Case(
            r"\mathbb{R}^{d_0}",
            equals=lambda s: Space(np.shape(of(s).networks[0][0, 0])),
        ),
        Case(
            r"\pm 1",
            equals=lambda s: frozenset(int(x) for x in np.unique(np.sign([-2, 3]))),
        ),
        # part 3
        Case(
            r"t > T",
            holds=exactly(
                lambda s: T_OR_MORE, lambda s: s["t"] not in range(1, whole(s) + 1)
            ),
        ),
        Case(
            r"\lfloor T \rfloor",
            times=4,
            equals=whole,
        ),
        Case(
            r"1 - p_S",
            equals=lambda s: Fraction(int((~of(s).fits(s["S"])).sum()), of(s).count),
        ),
        Case(r"(1 - p_\star)^{\lfloor T \rfloor}", equals=misses),
        Case(
            r"P(t > T) \le (1 - p_\star)^{\lfloor T \rfloor}",
            holds=judged({0: survival, 1: misses}),
        ),
        Case(
            r"\log P(t > T) \le \lfloor T \rfloor \log (1 - p_\star)",
            holds=judged({0: lambda s: log(survival(s)), 1: lambda s: log(misses(s))}),
        ),
        Case(
            r"a_1 = 1",
            holds=exactly(first_only, lambda s: s["network"] == at_first(s, 1)),
        ),
        Case(
            r"a_1 = -1",
            holds=exactly(first_only, lambda s: s["network"] == at_first(s, -1)),
        ),
        Case(
            r"u_1 \ne 0",
            holds=exactly(
                first_only,
                lambda s: answer(s, at_first(s, 1)) != answer(s, at_first(s, -1)),
            ),
        ),
        Case(r"\mathbf{x} = u_1", bind={"bf-x": Given(lambda s: s["u"][1])}),
        Case(
            r"\lfloor T \rfloor \le \frac{\log P(t > T)}{\log (1 - p_\star)}",
            equals=lambda s: (
                math.inf
                if survival(s) == 0
                else math.log(survival(s)) / math.log1p(-s["p_star"])
            ),
        ),
        Case(
            r"T < 1",
            holds=exactly(each("T", (0.5, 0.9, 1, 2.5)), lambda s: whole(s) == 0),
        ),
        Case(
            r"T \ge 1",
            holds=exactly(each("T", (0.5, 0.9, 1, 2.5)), lambda s: whole(s) > 0),
        ),
        Case(
            r"P(t > T) = 0",
            holds=exactly(
                each("T", (0.5, 1, 2.5)),
                lambda s: whole(s) > 0 and min(of(s).fit_chances) == 1,
            ),
        ),
        Case(r"+\infty", equals=lambda s: -math.log(0.5) * math.inf),
        # part 4
        Case(
            r"p_S \ge p_\star",
            holds=judged(
                {0: lambda s: Fraction(int(of(s).fits(s["S"]).sum()), of(s).count)}
            ),
        ),
        Case(r"p_\star > 0", outside={"p_star": (0, -0.5)}),
        Case(r"0 < p_\star < 1", outside={"p_star": (0, 1, -0.5, 2)}),
        Case(
            r"1 - \delta",
            times=4,
            equals=lambda s: 1 - len(s["cal-F"]) * math.exp(-s["b"] * s["N"]),
        ),
        Case(
            r"f \in \mathcal{F}",
            holds=exactly(
                lambda s: [{"f": f} for f in range(6)],
                lambda s: any(f == s["f"] for f in s["cal-F"]),
            ),
        ),
        Case(
            r"\epsilon < \frac{\log |\mathcal{F}| + \log \frac{1}{\delta}}{N}",
            holds=below(class_bound),
        ),
        Case(
            r"\epsilon \ge b",
            holds=exactly(
                lambda s: [
                    {"epsilon": class_bound(s) + x} for x in (-0.1, -1e-6, 0, 1)
                ],
                lambda s: s["epsilon"] >= class_bound(s),
            ),
        ),
        Case(
            r"(1 - \epsilon)^N \le e^{-b N} = \delta / |\mathcal{F}|",
            bind={
                "epsilon": Given(lambda s: s["b"] + s["between"] * (1 - s["b"])),
            },
            where={"delta": (0.6, 1.0)},
            holds=judged(
                {
                    0: lambda s: math.prod([1 - s["epsilon"]] * s["N"]),
                    2: lambda s: s["delta"] / sum(1 for _ in s["cal-F"]),
                }
            ),
        ),
        Case(
            r"\lfloor T \rfloor \le \log \eta / \log(1 - p_\star)",
            bind={"eta": Given(lambda s: survival(s))},
            equals=lambda s: (
                math.inf
                if s["eta"] == 0
                else math.log(s["eta"]) / math.log1p(-s["p_star"])
            ),
        ),
        Case(r"\lfloor T \rfloor \approx T", holds=alike("T", math.inf)),
        Case(r"\log(1 - p_\star) \approx -p_\star", holds=alike("p_star", 0)),
        Case(r"T = \frac{\log \frac{1}{\eta}}{p_\star}", define=True),
        Case(
            r"T \ge 1",
            times=3,
            holds=exactly(
                each("T", (0.01, 0.5, 0.999, 1, 1.001, 1.5, 2, 7)),
                lambda s: bool(range(math.floor(s["T"]))),  # the guesses
            ),
        ),
        Case(
            r"(1 - \eta)(1 - \delta)",
            times=3,
            equals=lambda s: (1 - s["eta"]) - s["delta"] * (1 - s["eta"]),
        ),
        Case(
            r"\epsilon < \frac{\left( d_0 d_1^\star + d_1 \right) \log q + \log"
            r" \frac{1}{\delta} + \log \log \frac{1}{\eta}}{N}",
            holds=below(typical_bound),
        ),
        Case(
            r"\mathcal{F} = \{ f_{\mathbf{w}_1}, \ldots,"
            r" f_{\mathbf{w}_{\lfloor T \rfloor}} \}",
            bind={
                # guesses are known by their number
                "bf-w": {n: n for n in range(MOST)},
                "bf-w_1": 1,
                "f": functions_of_guesses,
                "cal-F": Given(
                    lambda s: frozenset(
                        functions_of_guesses(n) for n in range(1, whole(s) + 1)
                    )
                ),
            },
        ),
        Case(
            r"|\mathcal{F}| \le \lfloor T \rfloor",
            bind={"cal-F": AS_MANY},
            equals=whole,
        ),
        Case(
            r"P(A) = 1 - (1 - p_\star)^{\lfloor T \rfloor} = 1 - e^{\lfloor T \rfloor"
            r" \log(1 - p_\star)} \approx 1 - e^{-T p_\star} = 1 - \eta",
            where={"eta": (0.05, 0.02)},
        ),
        Case(
            r"t \le \lfloor T \rfloor",
            times=2,
            holds=exactly(
                lambda s: [{"t": whole(s) + step} for step in (-1, 0, 1, 2)],
                lambda s: s["t"] in range(whole(s) + 1),
            ),
        ),
        Case(
            r"\epsilon < (\log |\mathcal{F}| + \log \frac{1}{\delta}) / N",
            holds=below(class_bound),
        ),
        Case(
            r"P(B \mid A) \ge 1 - \delta",
            bind=EITHER,
            holds=judged({0: within, 1: lambda s: 1 - s["delta"]}),
        ),
        Case(
            r"P(A \cap B) = P(A) \, P(B \mid A) \ge (1 - \eta)(1 - \delta)",
            bind=EITHER,
            where={"eta": SMALL},
            equals=lambda s: (1 - s["eta"]) - s["delta"] * (1 - s["eta"]),
        ),
        Case(
            r"1/p_\star \le q^{d_0 d_1^\star + d_1}",
            where={"p_star": rarest},
            holds=judged(
                {0: lambda s: s["p_star"] ** -1, 1: lambda s: 1 / of(s).p_matching}
            ),
        ),
        Case(
            r"\log |\mathcal{F}| \le \log \lfloor T \rfloor \le \log T = \log"
            r" \frac{1}{p_\star} + \log \log \frac{1}{\eta} \le \left( d_0 d_1^\star +"
            r" d_1 \right) \log q + \log \log \frac{1}{\eta}",
            bind={"cal-F": AS_MANY},
            where={"p_star": rarest, "eta": lambda s: (0.05, exactly_whole(s))},
            holds=judged(
                {
                    0: lambda s: log(whole(s) - s["repeated"]),
                    1: lambda s: log(whole(s)),
                    4: lambda s: log(most_guesses(s)),
                }
            ),
        ),
        Case(r"1 - \eta - \delta", equals=lambda s: 1 - sum((s["eta"], s["delta"]))),
        Case(
            r"\eta \delta",
            equals=lambda s: (
                (1 - s["eta"]) * (1 - s["delta"]) - (1 - s["eta"] - s["delta"])
            ),
        ),
        Case(
            r"\log (1 - p) \le -p",
            equals=lambda s: s["p"] * slope(log_of_rest, 0),
        ),
        Case(
            r"p = 0",
            times=2,
            holds=exactly(
                each("p", (0, 0.1, 0.9)), lambda s: math.log1p(-s["p"]) == -s["p"]
            ),
        ),
        Case(r"-p - \log(1 - p)", equals=lambda s: -s["p"] - math.log1p(-s["p"])),
        Case(
            r"p / (1 - p) \ge 0",
            holds=judged(
                {0: lambda s: slope(simple, s["p"]), 1: lambda s: slope(simple, 0)}
            ),
        ),
        Case(
            r"|\mathcal{F}| \le T",
            bind={"cal-F": AS_MANY, "T": Given(lambda s: s["time"])},
            holds=judged({1: lambda s: s["time"]}),
        ),
        Case(
            r"\log (1 - p) \le -\frac{2 p}{2 - p}",
            equals=lambda s: sharper(s["p"]),
        ),
        Case(
            r"1 / (1 - p) - 4 / (2 - p)^2 = p^2 / ((1 - p)(2 - p)^2) \ge 0",
            holds=judged(
                {0: lambda s: slope(sharp, s["p"]), 2: lambda s: slope(sharp, 0)}
            ),
        ),
        Case(
            r"\eta \le e^{-2}",
            holds=exactly(lambda s: ETAS, lambda s: enough(s["eta"])),
            times=2,
        ),
        Case(
            r"P(A) \ge 1 - \eta",
            where={"eta": SMALL},
            holds=judged({0: lambda s: 1 - misses(s), 1: lambda s: 1 - s["eta"]}),
        ),
        Case(
            r"\lfloor T \rfloor > T - 1 \ge 0",
            where={"eta": SMALL},
            holds=judged({0: whole, 1: lambda s: needed(s) - 1, 2: lambda s: 0}),
        ),
        Case(
            r"-\lfloor T \rfloor \log(1 - p_\star) \ge (T - 1) \,"
            r" \frac{2 p_\star}{2 - p_\star}",
            bind={"T": Given(lambda s: 5.75)},
            where={"p_star": lambda s: (of(s).p_star, 0, 0.9)},
            holds=judged(
                {
                    0: lambda s: -math.log(misses(s)),
                    1: lambda s: -4.75 * sharper(float(s["p_star"])),
                }
            ),
        ),
        Case(r"2 (T - 1) \ge T (2 - p_\star)", holds=exactly(lambda s: ETAS, half_way)),
        Case(r"T p_\star \ge 2", holds=exactly(lambda s: ETAS, half_way)),
        Case(r"\log \frac{1}{\eta} \ge 2", holds=exactly(lambda s: ETAS, half_way)),
        Case(
            r"(1 - p_\star)^{\lfloor T \rfloor} \le \eta",
            where={"eta": SMALL},
            holds=judged({0: misses, 1: lambda s: s["eta"]}),
        ),
        Case(r"1 - \eta", equals=lambda s: 1 - s["eta"]),
        Case(
            r"\lceil T \rceil \le T + 1",
            holds=judged({0: lambda s: whole(s) + 1, 1: lambda s: needed(s) + 1}),
        ),
        Case(
            r"\log(\log \frac{1}{\eta} + p_\star)",
            equals=lambda s: math.log(s["p_star"]) + math.log(needed(s) + 1),
        ),
        # the simulation
        Case(r"q = 3", bind={"q": simulated(theory.q)}),
        Case(
            r"d_0 = d_1 = 2",
            bind={"d_0": simulated(theory.d0), "d_1": simulated(theory.d1)},
        ),
        Case(r"d_1^\star = 1", bind={"d_1^star": simulated(theory.d1s)}),
        Case(r"N = 32", bind={"N": simulated(theory.N)}),
        Case(
            r"\mathbf{x} = 0",
            holds=exactly(
                lambda s: [{"bf-x": column(x)} for x in np.eye(3)[:, : s["d_0"]]],
                lambda s: (
                    len(np.unique(of(s).outputs(np.atleast_2d(s["bf-x"]).T))) == 1
                ),
            ),
        ),
        # part 5
        Case(r"q^k", equals=lambda s: of(s).count),
        Case(
            r"\log |\mathcal{F}| \le (d_0 d_1 + d_1) \log q",
            bind={"cal-F": Given(lambda s: frozenset(range(of(s).count)))},
            equals=bits,
        ),
        Case(r"\log q", times=3, equals=lambda s: bits(s) / len(of(s).flat[0])),
        Case(
            r"\log \log \frac{1}{\eta}",
            equals=lambda s: math.log(most_guesses(s)) - matched_bits(s),
        ),
        Case(
            r"\frac{(d_0 d_1 + d_1) \log q}{N} - \frac{(d_0 d_1^\star + d_1) \log q}{N}"
            r" = \frac{(d_1 - d_1^\star) \, d_0 \log q}{N}",
            equals=saved,
        ),
        Case(r"(d_0 + 1) \log q", equals=neuron_bits),
        Case(
            r"r = \frac{d_0 d_1^\star + d_1}{d_0 d_1 + d_1}",
            bind={"r": Given(ratio)},
            equals=lambda s: matched_bits(s) / bits(s),
        ),
        Case(
            r"r < 1",
            bind={"r": Given(ratio)},
            outside={"d_1^star": lambda s: (s["d_1"],)},
        ),
        Case(
            r"\lim_{d_0 \to \infty} r = \frac{d_1^\star}{d_1}",
            bind={"r": Given(ratio)},
        ),
        Case(
            r"(d_0 + 1) d_1^\star \log q / \epsilon",
            equals=lambda s: narrow_bits(s) / s["epsilon"],
        ),
        Case(
            r"(d_1 - d_1^\star) \log q / \epsilon",
            equals=lambda s: (matched_bits(s) - narrow_bits(s)) / s["epsilon"],
        ),
        Case(
            r"1/p_\star",
            equals=lambda s: Fraction(of(s).count, sum(of(s).equals_teacher)),
        ),
        Case(
            r"\log \frac{1}{p_\star}",
            equals=lambda s: bits(s) - math.log(of(s).equals_teacher.sum()),
        ),
        Case(
            r"d_0 = 1",
            only=[name for name, known in CLASSES.items() if known.inputs == 1],
        ),
    ),
)
