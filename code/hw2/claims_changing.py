"""Wrong versions of what is claimed, made by machine: each differs from it in one
place, and means something else.
"""

import functools
import inspect
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

MOST = 40  # of one claim, unless it says otherwise
SEED, POINTS = 211, 3
TURNED = {
    sp.Eq: (sp.Ne,),
    sp.Ne: (sp.Eq,),
    sp.Le: (sp.Ge, sp.Lt),
    sp.Ge: (sp.Le, sp.Gt),
    sp.Lt: (sp.Gt, sp.Le),
    sp.Gt: (sp.Lt, sp.Ge),
}
EXCHANGED = {sp.floor: sp.ceiling, sp.ceiling: sp.floor}


def wrong_versions(claimed: Any, most: int = MOST) -> list[tuple[str, Any]]:
    """At most so many wrong versions of a claimed object, each with what was changed:
    of more a choice that is always the same. Of a function they are functions whose
    answers are changed, or that take two of its arguments in the other order.
    """
    found: dict[Any, tuple[str, Any]] = {}
    for what, changed in _changes(claimed):
        whole = isinstance(changed, sp.Basic)
        name = f"{what}: {changed}" if whole else what
        found.setdefault(str(changed) if whole else what, (name, changed))
    order = list(found.values())
    random.Random(SEED).shuffle(order)
    wrong = (pair for pair in order if not same(pair[1], claimed))
    return list(itertools.islice(wrong, most))


# --- the changes ---


def _changes(part: Any) -> Iterator[tuple[str, Any]]:
    """The changes of an object, in order of its parts."""
    if isinstance(part, sp.Basic):
        yield from _around(part)
        yield from _inside(part, sorted(part.free_symbols, key=str))
    elif isinstance(part, bool | np.bool_):
        yield "negated", not part
    elif isinstance(part, np.ndarray):
        truths = part.dtype == bool
        for place in sorted({0, part.size // 2, part.size - 1}):
            other, entry = part.copy(), part.flat[place]
            other.flat[place] = not entry if truths else entry + 1 + abs(entry) / 10
            yield f"entry {place} {'negated' if truths else 'raised'}", other
    elif isinstance(part, int | float):
        yield f"{part} + 1", part + 1
    elif isinstance(part, dict):
        for key, value in part.items():
            for what, changed in _changes(value):
                yield f"{key}: {what}", {**part, key: changed}
    elif isinstance(part, tuple | list):
        for i, value in enumerate(part):
            for what, changed in _changes(value):
                parts = [*part[:i], changed, *part[i + 1 :]]
                yield f"{i + 1}: {what}", type(part)(parts)
    elif isinstance(part, frozenset):
        yield "its smallest element dropped", part - {min(part)}
        yield "its largest element dropped", part - {max(part)}
    elif is_dataclass(part) and not isinstance(part, type):
        for field in fields(part):
            for what, changed in _changes(getattr(part, field.name)):
                yield f"{field.name}: {what}", replace(part, **{field.name: changed})
    elif callable(part):
        yield "first change of each answer", _answers(part, 0)
        yield "last change of each answer", _answers(part, -1)
        arguments = list(inspect.signature(part).parameters.values())
        for (i, a), (j, b) in itertools.combinations(enumerate(arguments), 2):
            if a.annotation == b.annotation != inspect.Parameter.empty:
                yield f"{a.name} and {b.name} exchanged", _exchanged(part, i, j)


def _answers(call: Callable, place: int) -> Callable:
    """A function whose answers are changed, each in one place: of its changes it is the
    one at this place.
    """

    @functools.wraps(call)
    def changed(*args: Any) -> Any:
        return [answer for _, answer in _changes(call(*args))][place]

    return changed


def _exchanged(call: Callable, i: int, j: int) -> Callable:
    """A function with two of its arguments exchanged."""

    @functools.wraps(call)
    def changed(*args: Any) -> Any:
        order = list(args)
        order[i], order[j] = order[j], order[i]
        return call(*order)

    return changed


def _around(whole: sp.Basic) -> Iterator[tuple[str, sp.Basic]]:
    """Changes of a whole expression, or of each side of a relation."""
    if isinstance(whole, Relational):
        for i, side in enumerate(whole.args):
            for what, changed in _around(side):
                sides = [*whole.args[:i], changed, *whole.args[i + 1 :]]
                yield what, whole.func(*sides, evaluate=False)
    elif isinstance(whole, sp.Expr):
        yield "sign", -whole
        yield "factor 2", 2 * whole
        if not isinstance(whole, sp.MatrixExpr):
            yield "+ 1", whole + 1
            yield "squared", whole**2


def _inside(node: sp.Basic, symbols: list[sp.Symbol]) -> Iterator[tuple[str, sp.Basic]]:
    """Changes of a node of the tree, and of all below it."""
    yield from _here(node, symbols)
    if isinstance(node, sp.Sum | sp.Integral):
        for what, changed in _inside(node.function, symbols):
            yield what, node.func(changed, *node.limits)
        return
    parts = node.args[:1] if isinstance(node, sp.Inverse) else node.args
    for i, part in enumerate(parts):
        for what, changed in _inside(part, symbols):
            try:
                yield what, _with(node, [*node.args[:i], changed, *node.args[i + 1 :]])
            except (AttributeError, TypeError, ValueError):
                continue  # of other shape, or not of the kind that stands here


def _with(node: sp.Basic, parts: list[sp.Basic]) -> sp.Basic:
    """A node with other parts, not simplified where it is a relation."""
    if isinstance(node, Relational):
        return node.func(*parts, evaluate=False)
    return node.func(*parts)


def _here(node: sp.Basic, symbols: list[sp.Symbol]) -> Iterator[tuple[str, sp.Basic]]:
    parts = node.args
    match node:
        case sp.Number():
            yield f"{node} + 1", node + 1
            yield f"{node} - 1", node - 1
        case sp.Symbol():
            for other in symbols:
                if other != node and other.is_commutative:
                    yield f"{node} -> {other}", other
        case sp.MatrixSymbol():
            yield from (
                (f"{node} -> {other}", other)
                for other in symbols
                if isinstance(other, sp.MatrixSymbol) and other != node
            )
        case Relational():
            for turned in TURNED[node.func]:
                yield f"{turned.__name__}", turned(*parts, evaluate=False)
        case sp.Add() | sp.MatAdd():
            for i, part in enumerate(parts):
                rest = node.func(*parts[:i], *parts[i + 1 :])
                yield f"term {part} dropped", rest
                yield f"sign of {part}", rest - part
        case sp.Mul() | sp.MatMul():
            for i, part in enumerate(parts):
                yield f"factor {part} dropped", node.func(*parts[:i], *parts[i + 1 :])
        case sp.Inverse() | sp.Transpose() | sp.Trace():
            yield f"{type(node).__name__} dropped", parts[0]
        case sp.Pow() | sp.MatPow():
            yield "exponent dropped", parts[0]
            yield "exponent + 1", node.func(parts[0], parts[1] + 1)
        case sp.Sum():
            (index, low, high), one = node.limits[0], sp.S.One
            for what, begin, end in (
                ("lower limit + 1", low + one, high),
                ("upper limit - 1", low, high - one),
                ("limits + 1", low + one, high + one),
                ("limits - 1", low - one, high - one),
            ):
                yield what, sp.Sum(node.function, (index, begin, end))
            for other in symbols:
                if other != high:
                    yield f"limit {other}", sp.Sum(node.function, (index, low, other))
        case sp.Integral():
            (index, low, high) = node.limits[0]
            for what, begin, end in (
                ("lower limit + 1", low + 1, high),
                ("upper limit 1", low, sp.S.One),
                ("limits exchanged", high, low),
            ):
                yield what, sp.Integral(node.function, (index, begin, end))
        case AppliedUndef():
            yield f"{node.func} dropped", parts[0]
        case sp.Function():
            yield f"{node.func} dropped", parts[-1]
            if node.func in EXCHANGED:
                yield "floor and ceiling", EXCHANGED[node.func](*parts)


# --- changes that change nothing ---


def same(a: Any, b: Any) -> bool:
    """Whether two claimed objects mean the same: numbers and expressions that are equal
    at some points, relations of the same kind between the same sides.
    """
    if isinstance(a, Relational) or isinstance(b, Relational):
        sides = zip(a.args, b.args, strict=True)
        return a.func == b.func and all(same(*pair) for pair in sides)
    if isinstance(a, tuple | list):
        return all(same(*pair) for pair in zip(a, b, strict=True))
    if not isinstance(a, sp.Basic):
        return a is b or (not hasattr(a, "__len__") and not is_dataclass(a) and a == b)
    if a == b or isinstance(a, sp.MatrixExpr) or isinstance(b, sp.MatrixExpr):
        return a == b
    try:
        return all(
            _close(*(value(e, point) for e in (a, b))) for point in range(POINTS)
        )
    except (ArithmeticError, TypeError, ValueError):
        return False  # which its check has to find


def _close(a: complex, b: complex) -> bool:
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def value(expression: sp.Expr, point: int) -> complex:
    """An expression at one of some points, the same for all expressions. Of a sum the
    terms count by their place, so that no two ranges of indices are the same, of an
    integral its function at one place and its limits.
    """

    def at(symbol: sp.Symbol) -> sp.Expr:
        draw = random.Random(f"{point} {symbol}")
        if symbol in limits or symbol.is_integer:
            return sp.Integer(draw.randint(2, 6))
        return sp.Float(draw.uniform(0.1, 0.9) + point, 30)

    def summed(total: sp.Sum) -> sp.Expr:
        (index, low, high) = total.limits[0]
        return sp.Add(
            *(
                total.function.subs(index, k) / (sp.pi + k)
                for k in range(_whole(low), _whole(high) + 1)
            )
        )

    def integrated(integral: sp.Integral) -> sp.Expr:
        (index, *ends) = integral.limits[0]
        low, high = (sp.tanh(end) for end in ends)
        return integral.function.subs(index, sp.Rational(2, 7)) * (low + 3 * high)

    limits = {
        symbol
        for total in expression.atoms(sp.Sum)
        for limit in total.limits[0][1:]
        for symbol in limit.free_symbols
    }
    found = expression.subs({s: at(s) for s in expression.free_symbols})
    found = found.replace(lambda part: isinstance(part, sp.Sum), summed)
    found = found.replace(lambda part: isinstance(part, sp.Integral), integrated)
    found = found.replace(
        lambda part: isinstance(part, AppliedUndef),
        lambda part: sp.sin(len(str(part.func)) + part.args[0]),
    )
    return complex(found.evalf())


def _whole(limit: sp.Expr) -> int:
    if not limit.is_Integer:
        raise ValueError(f"{limit} is no limit of a sum")
    return int(limit)
