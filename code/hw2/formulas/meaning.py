"""The value of a formula in a world.

A world is what the symbols of a section mean: a few *instances*, each a table from
names (see `reading.name_of`) to values. A formula is true where each of its relations
holds in every instance, for all values of its free symbols. Vectors are columns, so
that products have the shapes that they have on paper, and what has no value is an
error.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from hw2.formulas.reading import FormulaError, Node

DEEPEST = 25  # definitions inside one another
EXACT, LOOSE = 1e-9, 1e-5  # relative; the second for limits, derivatives and integrals


@dataclass(frozen=True)
class Free:
    """A symbol that formulas are about all values of: those `inside` are tried. At
    those `outside` a condition such as 0 < x must be false.
    """

    inside: Sequence[Any]
    outside: Sequence[Any] = ()


@dataclass(frozen=True)
class Given:
    """A symbol whose value follows from others, as they are bound where it stands."""

    value: Callable[["Scope"], Any]


@dataclass(frozen=True)
class Law:
    """A distribution, for `x \\sim ...`: its name and its parameters."""

    name: str
    parameters: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Space:
    """The numbers, vectors or matrices that a symbol is in: R, R^n, R^{N x d}."""

    shape: tuple[int, ...] = ()

    def __contains__(self, value: Any) -> bool:
        if not (_real(value) or isinstance(value, np.ndarray)):
            raise FormulaError(f"{_short(value)} is no number, vector or matrix")
        wanted = (*self.shape, 1) if len(self.shape) == 1 else self.shape
        shape = np.shape(value) or (1,) * len(wanted)  # a number is a 1 x 1 matrix
        return shape == wanted

    def __pow__(self, exponent: Any) -> "Space":
        sizes = exponent if isinstance(exponent, tuple) else (exponent,)
        if self.shape or not all(float(size).is_integer() for size in sizes):
            raise FormulaError(f"R has no power {exponent}")
        return Space(tuple(int(size) for size in sizes))


@dataclass(frozen=True)
class Vectors:
    """The vectors with entries in a finite set: Q^n."""

    entries: frozenset[Any]
    size: int

    def __contains__(self, value: Any) -> bool:
        if not (_real(value) or isinstance(value, np.ndarray)):
            raise FormulaError(f"{_short(value)} is no number or vector")
        found = np.atleast_2d(value)  # a number is a vector with one entry
        return found.shape == (self.size, 1) and set(found[:, 0]) <= self.entries


@dataclass(frozen=True)
class Interval:
    """A closed interval, for `x \\in [0, 1]`."""

    lower: float
    upper: float

    def __contains__(self, value: Any) -> bool:
        return bool(self.lower <= value <= self.upper)


@dataclass(frozen=True)
class Identity:
    """A multiple of the identity matrix, as large as what it is combined with."""

    scale: float = 1.0

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Identity):
            return Identity(self.scale * other.scale)
        return other * self.scale if np.ndim(other) else Identity(self.scale * other)

    __rmul__ = __mul__

    def like(self, other: Any) -> Any:
        if not np.ndim(other):
            return self.scale
        if np.ndim(other) != 2 or other.shape[0] != other.shape[1]:
            raise FormulaError(f"the identity beside shape {np.shape(other)}")
        return self.scale * np.eye(len(other))


class Outcome(Mapping[str, Any]):
    """One outcome of a mean: its weight and the values of the random symbols."""

    def __init__(self, weight: float, values: Mapping[str, Any]):
        self.weight, self.values_ = weight, dict(values)

    def __getitem__(self, name: str) -> Any:
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


class _Needed(Exception):
    """A free symbol that has not been given a value yet."""

    def __init__(self, name: str):
        self.name = name


@dataclass
class Scope:
    """The values of symbols where an expression stands: the innermost binding counts.

    `measures` gives, for the subscript of a mean ("" without one), the outcomes that it
    is taken over.
    """

    table: Mapping[str, Any]
    measures: Mapping[str, Callable[["Scope"], Iterable[Outcome]]] = field(
        default_factory=dict
    )
    bound: dict[str, Any] = field(default_factory=dict)
    loose: list[bool] = field(default_factory=lambda: [False])
    depth: list[int] = field(default_factory=lambda: [0])
    # values of whole members, which the wrong versions of a formula have in common
    memo: dict[Any, Any] | None = None

    def with_(self, values: Mapping[str, Any]) -> "Scope":
        bound = {**self.bound, **values}
        return Scope(
            self.table, self.measures, bound, self.loose, self.depth, self.memo
        )

    def without(self, name: str) -> "Scope":
        """Where the symbol has the world's meaning again."""
        bound = {key: item for key, item in self.bound.items() if key != name}
        return Scope(
            self.table, self.measures, bound, self.loose, self.depth, self.memo
        )

    def has(self, name: str) -> bool:
        return name in self.bound or name in self.table

    def __getitem__(self, name: str) -> Any:
        if not self.has(name):
            raise FormulaError(f"`{name}` means nothing here")
        value = self.bound[name] if name in self.bound else self.table[name]
        if isinstance(value, Free):
            raise _Needed(name)
        if isinstance(value, Given):
            if self.depth[0] > DEEPEST:
                raise FormulaError(f"`{name}` is defined by itself")
            self.depth[0] += 1
            try:
                return value.value(self)
            finally:
                self.depth[0] -= 1
        return value


# of a free symbol: those to try, or a function of what is bound to them
Values = Sequence[Any] | Callable[[Scope], Sequence[Any]]


def satisfied(
    statement: Callable[[Scope], bool], scope: Scope, where: Mapping[str, Values] = {}
) -> tuple[bool, dict[str, Any], int]:
    """Whether a statement holds for all values of the free symbols that it depends on,
    those in `where` instead of the world's. Returns the first assignment that fails,
    and how many were tried.
    """
    tried = 0

    def search(assignment: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal tried
        try:
            holds = statement(scope.with_(assignment))
        except _Needed as needed:
            values = where.get(needed.name, scope.table[needed.name].inside)
            if callable(values):
                values = values(scope.with_(assignment))
            for item in values:
                if (found := search({**assignment, needed.name: item})) is not None:
                    return found
            return None
        except FormulaError as error:
            error.assignment = assignment  # type: ignore[attr-defined]
            raise
        tried += 1
        return None if holds else assignment

    failed = search({})
    return failed is None, failed or {}, tried


# --- values ---


def column(values: Iterable[Any]) -> np.ndarray:
    """A vector as a column."""
    return np.array(list(values), dtype=float).reshape(-1, 1)


def scalar(value: Any) -> Any:
    """A number out of a 1 x 1 matrix; anything else as it is."""
    if isinstance(value, np.ndarray) and value.size == 1 and value.ndim in (0, 2):
        return value.item()
    return value


def multiply(a: Any, b: Any) -> Any:
    a, b = scalar(a), scalar(b)
    if isinstance(a, Identity):
        return a * b
    if isinstance(b, Identity):
        return b * a
    matrices = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    if matrices:
        if a.shape[1] != b.shape[0]:
            raise FormulaError(f"a product of shapes {a.shape} and {b.shape}")
        return scalar(a @ b)
    try:
        return a * b
    except OverflowError:
        return math.inf
    except TypeError:
        raise FormulaError(f"a product of {_short(a)} and {_short(b)}") from None


def power(a: Any, b: Any) -> Any:
    a, b = scalar(a), scalar(b)
    if isinstance(a, frozenset) and isinstance(b, int) and b > 0:
        return Vectors(a, b)
    if isinstance(a, np.ndarray):
        if not isinstance(b, int | Fraction | float) or float(b) != int(b):
            raise FormulaError(f"a matrix to the power {_short(b)}")
        if a.shape[0] != a.shape[1]:
            raise FormulaError(f"a power of a matrix of shape {a.shape}")
        try:
            return np.linalg.matrix_power(a, int(b))
        except np.linalg.LinAlgError:
            raise FormulaError("the inverse of a singular matrix") from None
    try:
        rational = isinstance(a, int | Fraction) and isinstance(b, Fraction | int)
        if rational and float(b).is_integer() and abs(b) < 64:
            return Fraction(a) ** int(b)
        if isinstance(a, int | float | Fraction) and isinstance(
            b, int | float | Fraction
        ):
            value = float(a) ** float(b)
            if isinstance(value, complex):
                raise FormulaError(f"{_short(a)} to the power {_short(b)} is not real")
            return value
        return a**b
    except OverflowError:
        return math.inf
    except ZeroDivisionError:
        raise FormulaError("a negative power of 0") from None
    except TypeError:
        raise FormulaError(f"{_short(a)} has no power {_short(b)}") from None


def divide(a: Any, b: Any) -> Any:
    a, b = scalar(a), scalar(b)
    if isinstance(b, np.ndarray):
        raise FormulaError("a division by a matrix")
    try:
        if isinstance(a, int) and isinstance(b, int | Fraction):
            return Fraction(a) / b
        return a / b
    except ZeroDivisionError:
        raise FormulaError("a division by 0") from None
    except TypeError:
        raise FormulaError(f"{_short(a)} divided by {_short(b)}") from None


def equal(a: Any, b: Any, tolerance: float = EXACT) -> bool:
    """Whether two values are equal up to rounding, of the same shape and kind."""
    a, b = scalar(a), scalar(b)
    if isinstance(a, Identity) and isinstance(b, Identity):
        return equal(a.scale, b.scale, tolerance)
    a = a.like(b) if isinstance(a, Identity) else _like_zero(a, b)
    b = b.like(a) if isinstance(b, Identity) else _like_zero(b, a)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        if np.shape(a) != np.shape(b):
            if np.ndim(a) and np.ndim(b):
                raise FormulaError(
                    f"shapes {np.shape(a)} and {np.shape(b)} are compared"
                )
            raise FormulaError("a matrix is compared with a number")
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
        finite = np.isfinite(a) & np.isfinite(b)
        if not np.array_equal(a[~finite], b[~finite]):  # also where one is no number
            return False
        a, b = a[finite], b[finite]
        scale = np.abs([a, b]).max(initial=0)
        return bool(np.all(np.abs(a - b) <= tolerance * max(scale, tolerance)))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Fraction | int) and isinstance(b, Fraction | int):
        return a == b
    if _real(a) and _real(b):
        a, b = float(a), float(b)
        if math.isinf(a) or math.isinf(b):
            return a == b
        # the last term is for what is zero but for rounding
        return abs(a - b) <= tolerance * max(abs(a), abs(b)) + tolerance * 1e-5
    if isinstance(a, Law) and isinstance(b, Law):
        return (
            a.name == b.name
            and len(a.parameters) == len(b.parameters)
            and all(map(equal, a.parameters, b.parameters))
        )
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(
            equal(x, y, tolerance) for x, y in zip(a, b, strict=True)
        )
    if type(a) is not type(b):
        raise FormulaError(f"{_short(a)} is compared with {_short(b)}")
    return bool(a == b)


def _like_zero(a: Any, b: Any) -> Any:
    """0, beside a vector or matrix, is the one that has zeros only."""
    return np.zeros(np.shape(b)) if isinstance(a, int) and a == 0 and np.ndim(b) else a


def _real(value: Any) -> bool:
    return isinstance(value, int | float | Fraction | np.number) and not isinstance(
        value, bool
    )


def _short(value: Any) -> str:
    text = repr(scalar(value))
    return text if len(text) < 40 else f"{text[:37]}..."


# --- expressions ---

SPECIAL = {"pi": math.pi, "infty": math.inf, "e": math.e, "bb-R": Space()}


def _tr(matrix: Any) -> float:
    if np.ndim(matrix) != 2 or matrix.shape[0] != matrix.shape[1]:
        if not np.ndim(matrix):
            return matrix
        raise FormulaError(f"the trace of shape {np.shape(matrix)}")
    return float(np.trace(matrix))


def _real_function(call: Callable[[float], float]) -> Callable[[Any], float]:
    def apply(value: Any) -> float:
        try:
            return call(float(scalar(value)))
        except OverflowError:
            return math.inf
        except (ValueError, TypeError):
            raise FormulaError(f"{call.__name__} of {_short(value)}") from None

    return apply


def _log(value: float) -> float:
    return -math.inf if value == 0 else math.log(value)


BUILT_IN: dict[str, Callable[..., Any]] = {
    "log": _real_function(_log),
    "exp": _real_function(math.exp),
    "sin": _real_function(math.sin),
    "cos": _real_function(math.cos),
    "tanh": _real_function(math.tanh),
    "tr": _tr,
    "diag": lambda *v: np.diag(
        [float(x) for x in (v[0] if len(v) == 1 and np.ndim(v[0]) else v)]
    ),
}


def _extreme(pick: Callable) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        if len(values) == 1:
            values = tuple(values[0])
        return pick(scalar(v) for v in values)

    return apply


BUILT_IN |= {"max": _extreme(max), "min": _extreme(min)}


def value(node: Node, scope: Scope) -> Any:
    """The value of an expression. Raises FormulaError where it has none."""
    return scalar(_EVALUATE[node.kind](node, scope))


def _number(node: Node, scope: Scope) -> Any:
    found = node.value
    return int(found) if found.denominator == 1 else found


def _symbol(node: Node, scope: Scope) -> Any:
    if scope.has(node.value):
        return scope[node.value]
    if node.parts:
        base, *indices = node.parts
        if scope.has(base.value):
            return _at(scope[base.value], indices, scope)
    if node.value in SPECIAL:
        return SPECIAL[node.value]
    if node.value in BUILT_IN:
        return BUILT_IN[node.value]
    name = node.value
    if name.endswith("'") and scope.has(name[:-1]):
        function = scope[name[:-1]]
        return lambda x: _slope(lambda t: function(t), float(x), scope)
    raise FormulaError(f"`{name}` means nothing here")


def _slope(function: Callable[[float], Any], at: float, scope: Scope) -> Any:
    scope.loose[0] = True
    step = 1e-5 * max(1.0, abs(at))
    return divide(
        _minus(function(at + step), function(at - step)),
        2 * step,
    )


def _minus(a: Any, b: Any) -> Any:
    return _add([a, multiply(-1, b)])


def _at(base: Any, indices: Sequence[Node], scope: Scope) -> Any:
    """An entry of a vector, matrix or list, counted from 1, or the value of a
    function.
    """
    nodes: list[Node] = []
    for node in indices:  # A_{ij} has two indices
        nodes += node.parts if node.kind == "mul" else [node]
    if [node.value for node in nodes].count(r"\cdot") == 1 and np.ndim(base) == 2:
        return _line(base, nodes, scope)
    found = [value(node, scope) for node in nodes]
    if callable(base):
        return base(*found)
    if isinstance(base, Mapping):
        key = found[0] if len(found) == 1 else tuple(found)
        if key not in base:
            raise FormulaError(f"there is no entry {key}")
        return base[key]
    if _real(base):  # a vector or matrix with one entry
        base = np.full((1,) * len(found), base)
    array = base if isinstance(base, np.ndarray) else np.array(base, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1 and len(found) == 1:
        array = array[:, 0]
    if array.ndim != len(found):
        raise FormulaError(f"{len(found)} indices for shape {array.shape}")
    for index, size in zip(found, array.shape, strict=True):
        if not _real(index) or index != int(index) or not 1 <= index <= size:
            raise FormulaError(f"there is no entry {_short(index)} of {size}")
    entry = array[tuple(int(index) - 1 for index in found)]
    return entry.item() if isinstance(entry, np.generic) else entry


def _line(matrix: np.ndarray, nodes: Sequence[Node], scope: Scope) -> np.ndarray:
    """A row A[i, \\cdot] or a column A[\\cdot, j]."""
    along = [node.value == r"\cdot" for node in nodes].index(True)
    indices = range(1, matrix.shape[along] + 1)
    entries = [
        _at(
            matrix,
            [_literal(i) if k == along else n for k, n in enumerate(nodes)],
            scope,
        )
        for i in indices
    ]
    return column(entries) if along == 0 else column(entries).T


def _add(values: Sequence[Any]) -> Any:
    total = scalar(values[0])
    for item in values[1:]:
        item = scalar(item)
        total = total.like(item) if isinstance(total, Identity) else total
        item = item.like(total) if isinstance(item, Identity) else item
        if np.shape(total) != np.shape(item):
            raise FormulaError(
                f"a sum of shapes {np.shape(total)} and {np.shape(item)}"
            )
        try:
            total = total + item
        except TypeError:
            raise FormulaError(f"a sum of {_short(total)} and {_short(item)}") from None
    return total


def _sum_of(node: Node, scope: Scope) -> Any:
    return _add([value(part, scope) for part in node.parts])


def _product_of(node: Node, scope: Scope) -> Any:
    result = value(node.parts[0], scope)
    for part in node.parts[1:]:
        result = multiply(result, value(part, scope))
    return result


def _power(node: Node, scope: Scope) -> Any:
    base_node, exponent = node.parts
    base = value(base_node, scope)
    transposed = exponent.kind == "symbol" and exponent.value in ("T", "top")
    if transposed and not scope.has(exponent.value):
        return np.atleast_2d(base).T
    return power(base, value(exponent, scope))


def _call(node: Node, scope: Scope) -> Any:
    function, *arguments = node.parts
    called = value(function, scope)
    if not callable(called):
        if len(arguments) != 1:
            raise FormulaError(f"`{function.value}` is no function")
        return multiply(called, value(arguments[0], scope))
    if isinstance(called, ByName):
        return called(arguments, scope)
    found = _listed(arguments, scope)
    try:
        return called(*found)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise FormulaError(f"`{function.value or 'a function'}`: {error}") from None


@dataclass(frozen=True)
class ByName:
    """A function that the page defines. Its arguments are evaluated where they are
    used, so that a mean in its body is taken over what is random in them.
    """

    names: tuple[str, ...]
    body: Node

    def __call__(self, arguments: Sequence[Node], scope: Scope) -> Any:
        if len(arguments) != len(self.names):
            raise FormulaError(f"{len(arguments)} arguments for {len(self.names)}")
        inner = scope
        for name, node in zip(self.names, arguments, strict=True):
            if node.kind != "symbol" or node.value != name:
                inner = inner.with_({name: _later(name, node, scope)})
        return value(self.body, inner)


def _later(name: str, node: Node, caller: Scope) -> Given:
    """An argument, in which the parameter's own name means what it means to the
    caller.
    """
    if name in caller.bound:
        return Given(lambda scope: value(node, scope.with_({name: caller.bound[name]})))
    return Given(lambda scope: value(node, scope.without(name)))


def _listed(nodes: Sequence[Node], scope: Scope) -> list[Any]:
    """Values of a list, in which dots stand for what goes on in the same way."""
    if not any(node.kind == "dots" for node in nodes):
        return [value(node, scope) for node in nodes]
    cut = next(i for i, node in enumerate(nodes) if node.kind == "dots")
    before, after = nodes[:cut], nodes[cut + 1 :]
    if not before or not after:
        raise FormulaError("dots without a first and a last element")
    first, last = before[0], after[-1]
    if first.kind == "symbol" and len(first.parts) == 2 and len(last.parts) == 2:
        low, high = (value(n.parts[1], scope) for n in (first, last))
        return [
            _at(scope[first.parts[0].value], [_literal(i)], scope)
            for i in range(int(low), int(high) + 1)
        ]
    start = [value(node, scope) for node in before]
    end = [value(node, scope) for node in after]
    step = start[1] - start[0] if len(start) > 1 else 1
    count = (end[-1] - start[0]) / step
    if count != int(count) or count < 0:
        raise FormulaError(
            f"from {_short(start[0])} one does not get to {_short(end[-1])}"
        )
    everything = [start[0] + i * step for i in range(int(count) + 1)]
    for item in (*start, *end):
        if item not in everything:
            raise FormulaError(f"{_short(item)} is not in the sequence")
    return everything


def _literal(number: int) -> Node:
    return Node("number", value=Fraction(number))


def _big_sum(node: Node, scope: Scope) -> Any:
    lower, upper, body = node.parts
    names: list[str] = []
    low = None
    for part in lower.parts:
        if part.kind == "chain" and part.value == ("=",):
            names.append(part.parts[0].value)
            low = value(part.parts[1], scope)
        elif part.kind == "symbol":
            names.append(part.value)
        else:
            raise FormulaError("below a sum stands i, or i = 1")
    if low is not None:
        if len(upper.parts) != 1:
            raise FormulaError("a sum from a number needs one to go to")
        high = value(upper.parts[0], scope)
        if any(not _real(x) or float(x) != int(x) for x in (low, high)):
            raise FormulaError(f"a sum from {_short(low)} to {_short(high)}")
        ranges: dict[str, Iterable[Any]] = {
            name: range(int(low), int(high) + 1) for name in names
        }
    else:
        if upper.parts:
            raise FormulaError("a sum to a number needs one to begin at")
        ranges = {name: _range(name, scope) for name in names}
    total: list[Any] = [
        value(body, scope.with_(dict(zip(names, combination, strict=True))))
        for combination in itertools.product(*(ranges[name] for name in names))
    ]
    return _add(total) if total else 0


def _range(name: str, scope: Scope) -> Iterable[Any]:
    if not scope.has(f"range {name}"):
        raise FormulaError(
            f"the sum over {name} has no limits, and the section none for it"
        )
    return scope[f"range {name}"]


def _integral(node: Node, scope: Scope) -> float:
    from scipy import integrate

    scope.loose[0] = True
    body, *limits = node.parts
    low, high = (value(x, scope) for x in limits) if limits else (-math.inf, math.inf)

    def integrand(x: float) -> float:
        return float(value(body, scope.with_({node.value: x})))

    try:
        with np.errstate(all="ignore"):
            found, error, _, *problems = integrate.quad(
                integrand,
                low,
                high,
                limit=40,
                epsabs=1e-10,
                epsrel=1e-9,
                full_output=1,
            )
    except (ValueError, TypeError) as problem:
        raise FormulaError(f"an integral without a value: {problem}") from None
    if problems:
        raise FormulaError("an integral that does not converge")
    if not math.isfinite(found) or error > 1e-6 * max(1.0, abs(found)):
        raise FormulaError("an integral that does not converge")
    return found


FAR = 1e7


def _limit(node: Node, scope: Scope) -> Any:
    scope.loose[0] = True
    (where,) = node.parts[0].parts
    if where.kind != "chain" or where.value != (r"\to",):
        raise FormulaError("below a limit stands x \\to a")
    name, goal = where.parts[0].value, value(where.parts[1], scope)

    def at(distance: float) -> Any:
        point = distance if math.isinf(goal) else goal + 1 / distance
        return value(node.parts[2], scope.with_({name: point}))

    near, nearer = at(FAR / 10), at(FAR)
    if not equal(near, nearer, 1e-3) and np.abs(np.subtract(near, nearer)).max() > 1e-4:
        raise FormulaError("no limit is reached")
    # the error is nearly proportional to the distance
    return _add([multiply(10 / 9, nearer), multiply(-1 / 9, near)])


def _derivative(node: Node, scope: Scope) -> Any:
    name = node.value
    return _slope(
        lambda x: value(node.parts[0], scope.with_({name: x})),
        float(scope[name]),
        scope,
    )


def _text(node: Node) -> str:
    """The subscript of a mean, as `reading` makes a text of it."""
    match node.kind:
        case "symbol":
            return node.value.replace("_", "").replace("^", "")
        case "number":
            return str(node.value)
        case "power":
            return "".join(map(_text, node.parts))
        case "tuple":
            return ",".join(map(_text, node.parts))
        case "chain" if len(node.parts) == 2:
            return node.value[0].removeprefix("\\").join(map(_text, node.parts))
    raise FormulaError("a mean over something that is no symbol")


def _prime(node: Node, scope: Scope) -> Any:
    """The derivative of what stands in brackets, by the variable that the world names
    under `'`.
    """
    if node.value != 1 or not scope.has("'"):
        raise FormulaError("a prime behind brackets, and no variable for it")
    name = scope["'"]
    if all(inner.value != name for inner in node.walk() if inner.kind == "symbol"):
        raise FormulaError(f"a derivative by `{name}` of what does not depend on it")
    return _slope(
        lambda x: value(node.parts[0], scope.with_({name: x})),
        float(scope[name]),
        scope,
    )


def _mean(node: Node, scope: Scope) -> Any:
    kind, label = node.value
    *inner, over = node.parts
    if _text(over) != label:  # a wrong version
        raise FormulaError(f"a mean over {_text(over)}, not {label}")
    if len(inner) != 1:
        raise FormulaError(f"{len(inner)} expressions in a mean")
    body, condition = inner[0], None
    if body.kind == "given":
        body, condition = body.parts
    key = label
    if condition is not None and condition.kind == "symbol":
        named = f"{label}|{condition.value}"
        if named in scope.measures:  # the measure under this condition
            key, condition = named, None
    if key not in scope.measures:
        raise FormulaError(f"a mean over {label or 'nothing that is random here'}")
    weights, found = [], []
    for outcome in scope.measures[key](scope):
        inside = scope.with_(outcome)
        if condition is not None and not truth(condition, inside):
            continue
        weights.append(outcome.weight)
        found.append(float(truth(body, inside)) if kind == "P" else value(body, inside))
    total = sum(weights)
    if not total:
        raise FormulaError("a condition that never holds")

    def average(values: Sequence[Any]) -> Any:
        return _add(
            [multiply(w / total, v) for w, v in zip(weights, values, strict=True)]
        )

    mean = average(found)
    if kind in ("bb-E", "P"):
        return mean
    spread = average([multiply(_minus(v, mean), _minus(v, mean)) for v in found])
    return spread if kind == "Var" else math.sqrt(spread)


def _absolute(node: Node, scope: Scope) -> Any:
    inner = value(node.parts[0], scope)
    if node.kind == "norm" or isinstance(inner, np.ndarray):
        if np.ndim(inner) and np.shape(inner)[1] != 1:
            raise FormulaError(f"the norm of shape {np.shape(inner)}")
        return float(np.linalg.norm(np.asarray(inner, dtype=float)))
    return abs(inner) if _real(inner) else len(inner)


def _round(node: Node, scope: Scope) -> Any:
    inner = value(node.parts[0], scope)
    if not _real(inner) or (isinstance(inner, float) and not math.isfinite(inner)):
        raise FormulaError(f"{_short(inner)} cannot be rounded")
    return math.floor(inner) if node.kind == "floor" else math.ceil(inner)


def _operator(node: Node, scope: Scope) -> Any:
    a, b = (value(part, scope) for part in node.parts)
    if node.value == r"\times":
        return (*(a if isinstance(a, tuple) else (a,)), b)
    if node.value == r"\cap":
        return a and b if isinstance(a, bool) else a & b
    raise FormulaError(f"`{node.value}` means nothing here")


def _set(node: Node, scope: Scope) -> Any:
    parts = node.parts
    if len(parts) == 1 and parts[0].kind == "given":  # {n : condition}
        element, condition = parts[0].parts
        return frozenset(
            candidate
            for candidate in _range(element.value, scope)
            if truth(condition, scope.with_({element.value: candidate}))
        )
    return frozenset(_listed(parts, scope))


def _matrix(node: Node, scope: Scope) -> np.ndarray:
    rows = [[value(entry, scope) for entry in row.parts] for row in node.parts]
    if len({len(row) for row in rows}) != 1:
        raise FormulaError("the rows of a matrix have different lengths")
    return np.array(rows, dtype=float)


def _root(node: Node, scope: Scope) -> float:
    inner = value(node.parts[0], scope)
    if not _real(inner) or inner < 0:
        raise FormulaError(f"the square root of {_short(inner)}")
    return math.sqrt(inner)


def _positive(node: Node, scope: Scope) -> Any:
    inner = value(node.parts[0], scope)
    return np.maximum(inner, 0) if isinstance(inner, np.ndarray) else max(inner, 0)


def _interval(node: Node, scope: Scope) -> Any:
    low, high = (value(part, scope) for part in node.parts)
    return Interval(low, high)


def _no_value(node: Node, scope: Scope) -> Any:
    raise FormulaError(f"`{node.value or node.kind}` has no value here")


_EVALUATE: dict[str, Callable[[Node, Scope], Any]] = {
    "number": _number,
    "symbol": _symbol,
    "add": _sum_of,
    "neg": lambda n, s: multiply(-1, value(n.parts[0], s)),
    "pm": lambda n, s: frozenset(
        (value(n.parts[0], s), multiply(-1, value(n.parts[0], s)))
    ),
    "mul": _product_of,
    "div": lambda n, s: divide(*(value(part, s) for part in n.parts)),
    "power": _power,
    "call": _call,
    "index": lambda n, s: _at(value(n.parts[0], s), n.parts[1:], s),
    "sum": _big_sum,
    "integral": _integral,
    "lim": _limit,
    "derivative": _derivative,
    "mean": _mean,
    "abs": _absolute,
    "norm": _absolute,
    "floor": _round,
    "ceil": _round,
    "sqrt": _root,
    "positive": _positive,
    "op": _operator,
    "set": _set,
    "tuple": lambda n, s: tuple(_listed(n.parts, s)),
    "interval": _interval,
    "matrix": _matrix,
    "chain": lambda n, s: truth(n, s),
    "given": _no_value,
    "dots": _no_value,
    "mark": _no_value,
    "prime": _prime,
}


# --- statements ---


def related(a: Any, relation: str, b: Any, tolerance: float, near: float) -> bool:
    """Whether a relation holds between two values."""
    a, b = scalar(a), scalar(b)
    match relation:
        case "=":
            return equal(a, b, tolerance)
        case r"\ne":
            return not equal(a, b, tolerance)
        case r"\approx":
            a, b = (float(x) if _real(x) else x for x in (a, b))
            return equal(a, b, near)
        case r"\in":
            try:
                return a in b
            except TypeError:
                raise FormulaError(f"{_short(b)} has no elements") from None
        case r"\sim":
            if not (isinstance(a, Law) and isinstance(b, Law)):
                raise FormulaError("`\\sim` stands between a random symbol and its law")
            return equal(a, b, tolerance)
    if relation not in ("<", ">", r"\le", r"\ge"):
        raise FormulaError(f"`{relation}` has no truth here")
    if not (_real(a) and _real(b)):
        raise FormulaError(f"{_short(a)} is compared with {_short(b)}")
    if math.isnan(a) or math.isnan(b):
        return False
    same = equal(a, b, tolerance)
    if relation in (r"\le", r"\ge"):
        return same or (a < b if relation == r"\le" else a > b)
    return not same and (a < b if relation == "<" else a > b)


def truth(node: Node, scope: Scope, near: float = 0.05) -> bool:
    """Whether a statement holds: all relations of a chain, or an event's own truth."""
    if node.kind != "chain":
        found = value(node, scope)
        if not isinstance(found, bool):
            raise FormulaError(f"{_short(found)} is neither true nor false")
        return found
    scope.loose[0] = False
    left = _member(node, 0, scope)
    for i, relation in enumerate(node.value):
        right = _member(node, i + 1, scope)
        tolerance = LOOSE if scope.loose[0] else EXACT
        if not related(left, relation, right, tolerance, near):
            return False
        left = right
    return True


def _member(node: Node, i: int, scope: Scope) -> Any:
    """A member of a chain: left of `\\sim` and such a symbol stands for its law."""
    part = node.parts[i]
    if i < len(node.value) and node.value[i] == r"\sim" and part.kind == "symbol":
        if not scope.has(f"law {part.value}"):
            raise FormulaError(f"`{part.value}` has no law here")
        return scope[f"law {part.value}"]
    if scope.memo is None or id(part) not in scope.memo:
        return value(part, scope)
    known = scope.memo[id(part)]
    key = (id(scope.table), *((name, id(item)) for name, item in scope.bound.items()))
    if key not in known:
        loose, scope.loose[0] = scope.loose[0], False
        found = value(part, scope)
        # what the key names by its identity has to stay
        known[key] = (found, scope.loose[0], tuple(scope.bound.values()))
        scope.loose[0] = loose
    found, loose, _ = known[key]
    scope.loose[0] |= loose
    return found
