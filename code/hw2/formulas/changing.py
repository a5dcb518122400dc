"""Wrong versions of a formula, made by machine: each differs from it in one place."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from hw2.formulas.reading import Node

RELATIONS = {
    "=": (r"\ne",),
    r"\ne": ("=",),
    "<": (">", r"\le"),
    ">": ("<", r"\ge"),
    r"\le": (r"\ge", "<"),
    r"\ge": (r"\le", ">"),
}
FUNCTIONS = {"sin": "cos", "cos": "sin", "max": "min", "min": "max", "log": "exp"}
EXCHANGED = {"floor": "ceil", "ceil": "floor"}
ONE = Node("number", value=Fraction(1))


def wrong_versions(
    node: Node, kindred: Callable[[Node], Sequence[Node]] = lambda node: ()
) -> Iterator[tuple[str, Node]]:
    """Each wrong version of a formula with what was changed. `kindred` gives the
    symbols that a symbol may be exchanged for.
    """
    seen = {node}
    for what, changed in _changes(node, kindred):
        if changed not in seen:
            seen.add(changed)
            yield what, changed


def _changes(
    node: Node, kindred: Callable[[Node], Sequence[Node]]
) -> Iterator[tuple[str, Node]]:
    yield from _here(node, kindred)
    if node.kind == "symbol":
        places = range(1, len(node.parts))  # the indices, not the name again
    else:
        places = range(len(node.parts))
    for i in places:
        for what, part in _changes(node.parts[i], kindred):
            parts = (*node.parts[:i], part, *node.parts[i + 1 :])
            changed = replace(node, parts=parts)
            if node.kind == "symbol":  # no longer the name that it was
                changed = replace(changed, value=f"{node.value} changed")
            elif node.kind == "mean" and i == len(node.parts) - 1:
                kind, label = node.value  # no longer the mean that it was
                changed = replace(changed, value=(kind, f"{label} changed"))
            yield what, changed


def _here(
    node: Node, kindred: Callable[[Node], Sequence[Node]]
) -> Iterator[tuple[str, Node]]:
    parts = node.parts
    match node.kind:
        case "number":
            yield f"{node.value} + 1", replace(node, value=node.value + 1)
            yield f"{node.value} - 1", replace(node, value=node.value - 1)
        case "symbol":
            for other in kindred(node):
                yield f"{node.value} -> {other.value}", other
        case "chain":
            for i, relation in enumerate(node.value):
                for sign in RELATIONS.get(relation, ()):
                    value = (*node.value[:i], sign, *node.value[i + 1 :])
                    yield f"{relation} -> {sign}", replace(node, value=value)
            for i, part in enumerate(parts):
                more = Node("add", (part, ONE))
                yield (
                    f"member {i + 1} + 1",
                    replace(node, parts=(*parts[:i], more, *parts[i + 1 :])),
                )
        case "add":
            for i, part in enumerate(parts):
                rest = (*parts[:i], *parts[i + 1 :])
                yield (
                    f"term {i + 1} dropped",
                    rest[0] if len(rest) == 1 else replace(node, parts=rest),
                )
                turned = part.parts[0] if part.kind == "neg" else Node("neg", (part,))
                yield (
                    f"sign of term {i + 1}",
                    replace(node, parts=(*parts[:i], turned, *parts[i + 1 :])),
                )
        case "neg":
            yield "sign", parts[0]
        case "mul":
            for i in range(len(parts)):
                rest = (*parts[:i], *parts[i + 1 :])
                yield (
                    f"factor {i + 1} dropped",
                    rest[0] if len(rest) == 1 else replace(node, parts=rest),
                )
        case "div":
            yield "turned over", replace(node, parts=parts[::-1])
            yield "denominator dropped", parts[0]
            yield "numerator dropped", replace(node, parts=(ONE, parts[1]))
        case "power":
            yield "exponent dropped", parts[0]
        case "call":
            name = parts[0].value
            if name in FUNCTIONS:
                other = replace(parts[0], value=FUNCTIONS[name])
                yield (
                    f"{name} -> {other.value}",
                    replace(node, parts=(other, *parts[1:])),
                )
            if len(parts) == 2:
                yield f"{name} dropped", parts[1]
            elif len(parts) == 3:
                swapped = (parts[0], parts[2], parts[1])
                yield "arguments swapped", replace(node, parts=swapped)
        case "index" if len(parts) == 3:
            yield "indices swapped", replace(node, parts=(parts[0], parts[2], parts[1]))
        case "floor" | "ceil":
            yield (
                f"{node.kind} -> {EXCHANGED[node.kind]}",
                replace(node, kind=EXCHANGED[node.kind]),
            )
            yield f"{node.kind} dropped", parts[0]
        case "sqrt" | "positive" | "abs" | "norm":
            yield f"{node.kind} dropped", parts[0]
        case "sum" if parts[1].parts:
            lower, upper, body = parts
            low, high = lower.parts[-1].parts[-1], upper.parts[-1]
            begin = replace(
                lower.parts[-1],
                parts=(lower.parts[-1].parts[0], Node("add", (low, ONE))),
            )
            yield (
                "lower limit + 1",
                replace(
                    node,
                    parts=(
                        replace(lower, parts=(*lower.parts[:-1], begin)),
                        upper,
                        body,
                    ),
                ),
            )
            less = Node("add", (high, Node("neg", (ONE,))))
            yield (
                "upper limit - 1",
                replace(node, parts=(lower, replace(upper, parts=(less,)), body)),
            )
        case "lim":
            (where,) = parts[0].parts
            goal = where.parts[1]
            infinite = goal.value == "infty"
            other = (
                Node("number", value=Fraction(0))
                if infinite
                else Node("symbol", (), "infty")
            )
            turned = replace(where, parts=(where.parts[0], other))
            yield (
                "goal of the limit",
                replace(node, parts=(replace(parts[0], parts=(turned,)), *parts[1:])),
            )
        case "given":
            yield "condition dropped", parts[0]
