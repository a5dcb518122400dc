"""From the LaTeX of a formula to a tree whose meaning does not depend on layout.

`read` parses with the grammar of `grammar.lark` and then settles what LaTeX leaves
open: which names are functions (the section's world says so), where the body of a sum
ends, what a superscript does. What stays ambiguous, such as `1/2 x`, is an error.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput


class FormulaError(Exception):
    """A formula that cannot be read or has no value here. `position` is an offset in
    it.
    """

    def __init__(self, message: str, position: int | None = None):
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class Node:
    """A node of the tree: what it is, its parts, and for leaves its name or value."""

    kind: str
    parts: tuple["Node", ...] = ()
    value: Any = None
    # the LaTeX it was read from
    source: str = field(default="", compare=False, repr=False)

    def walk(self) -> Iterator["Node"]:
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True)
class Chain:
    """Members and the relations between them; one member has none."""

    members: tuple[Node, ...]
    relations: tuple[str, ...] = ()
    source: str = field(default="", compare=False, repr=False)


RELATIONS = {r"\neq": r"\ne"}
FUNCTIONS = ("log", "exp", "sin", "cos", "tanh", "max", "min", "tr", "diag", "sign")


class _Postlex:
    """Tells opening bars from closing ones, and what the rows of `aligned` are."""

    always_accept = ("BAR", "DOUBLE_BAR", "BEGIN_ALIGNED", "END_ALIGNED", "AMP")

    def process(self, stream: Iterable[Token]) -> Iterator[Token]:
        tokens, aligned = list(stream), False
        open_: list[str] = []
        for i, token in enumerate(tokens):
            follower = next(
                (t for t in tokens[i + 1 :] if t.type not in ("AMP", "ROW")), None
            )
            match token.type:
                case "BEGIN_ALIGNED" | "END_ALIGNED":
                    aligned = token.type == "BEGIN_ALIGNED"
                    continue
                case "AMP" if aligned:
                    continue
                case "ROW" if aligned:  # a row that begins with a relation goes on
                    if follower is None or follower.type in ("REL", "END_ALIGNED"):
                        continue
                case "BAR" | "DOUBLE_BAR":
                    left, right = (
                        ("LBAR", "RBAR") if token.type == "BAR" else ("LNORM", "RNORM")
                    )
                    if open_ and open_[-1] == left:
                        open_.pop()
                        token = Token.new_borrow_pos(right, token.value, token)
                    else:
                        open_.append(left)
                        token = Token.new_borrow_pos(left, token.value, token)
                case _ if token.value in ("(", "[", "{", r"\{", r"\lfloor", r"\lceil"):
                    open_.append(token.value)
                case _ if token.value in (")", "]", "}", r"\}", r"\rfloor", r"\rceil"):
                    if open_:
                        open_.pop()
            yield token


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        postlex=_Postlex(),
        propagate_positions=True,
        maybe_placeholders=False,
    )


def parse(latex: str) -> Tree:
    """The tree of the grammar. Raises FormulaError with the position of what it
    refuses.
    """
    try:
        return _parser().parse(latex)
    except UnexpectedInput as error:
        position = getattr(error, "pos_in_stream", None)
        token = getattr(error, "token", None)
        ended = token is not None and token.type == "$END"
        if position is None or position < 0 or ended:
            position = len(latex)
        shown = latex[position : position + 12].split("\n")[0] or "the end"
        raise FormulaError(f"cannot be read at `{shown}`", position) from None


def name_of(latex: str) -> str:
    """The name under which a world knows a symbol such as `d_1^\\star`: LaTeX without
    backslashes, fonts kept where they tell symbols apart.
    """
    reader = _Reader(latex, frozenset())
    item = reader.only_item(parse(latex).children[0])
    if item is None:
        raise FormulaError("more than a name")
    return reader.full_name(item)


def read(latex: str, functions: Iterable[str] = ()) -> tuple[Chain, ...]:
    """The chains of a formula. `functions` are names that take what stands in brackets
    behind them as arguments. Raises FormulaError.
    """
    reader = _Reader(latex, frozenset(functions) | set(FUNCTIONS))
    tree = parse(latex)
    return tuple(reader.chain(part) for part in tree.children if part.data == "chain")


MEANS = {"bb-E", "Var", "std", "P"}
BIG = {"sum", "int", "lim"}
MINUS_ONE = Node("neg", (Node("number", value=Fraction(1)),))


# a tree of the grammar, whose children are trees and tokens
Parsed = Any


class _Reader:
    def __init__(self, latex: str, functions: frozenset[str]):
        self.latex = latex
        self.functions = functions

    # --- names ---

    def token_name(self, token: Token) -> str:
        text = str(token)
        if text.startswith("\\") and "{" in text:
            font, letters = text[1:-1].replace(" ", "").split("{")
            if font in ("mathrm", "operatorname", "text"):
                return letters
            return f"{font[4:]}-{letters}"  # bb-R, cal-R, bf-w
        return text.removeprefix("\\")

    def base_name(self, tree: Parsed) -> str | None:
        if tree.data == "symbol":
            return self.token_name(tree.children[0])
        if tree.data == "accent":
            inner = self.only_item(tree.children[1].children[0])
            if inner is not None and (name := self.full_name(inner)):
                return f"{tree.children[0][1:]}-{name}"
        return None

    def only_item(self, chain: Parsed) -> Parsed | None:
        """The single item of a chain that is nothing else."""
        tree = chain
        for data in ("expr", "term", "seq"):
            if len(tree.children) != 1:
                return None
            tree = tree.children[0]
            if tree.data != data:
                return None
        return tree.children[0] if len(tree.children) == 1 else None

    def text_of(self, tree: Parsed) -> str:
        """A subscript as a part of a name: without spaces and backslashes."""
        tokens = tree.scan_values(lambda t: isinstance(t, Token))
        return "".join(self.token_name(t) for t in tokens)

    def scripts(self, item: Parsed) -> tuple[Parsed | None, list[Parsed], int]:
        sub, sups, primes = None, [], 0
        for script in item.children[1:]:
            if script.data == "sub":
                if sub is not None:
                    raise self.error(item, "two subscripts")
                sub = script.children[0]
            elif script.data == "sup":
                sups.append(script.children[0])
            else:
                primes += len(script.children[0])
        return sub, sups, primes

    def split_sup(self, sup: Parsed) -> tuple[list[str], Parsed | None]:
        """The decorations of a superscript, and what is left to be an exponent."""
        if sup.data == "one":
            token = sup.children[0]
            if token.type == "STAR":
                return ["star"], None
            if token.type == "SIGN":
                return ["+"], None
            return [], sup
        elements = sup.children[0].children
        if len(elements) == 1:
            inner = elements[0].children[0]
            if isinstance(inner, Token) and inner.type == "SIGN":
                return [str(inner)], None
            if elements[0].data == "stars":
                return ["star"] * len(elements[0].children), None
            if elements[0].data == "starred":
                chain = elements[0].children[-1]
                rest = Tree(
                    "many", [Tree("list", [Tree("element", [chain])])], sup.meta
                )
                return ["star"] * (len(elements[0].children) - 1), rest
            if re.fullmatch(r"\{\s*\(\s*\d+\s*\)\s*\}", self.source(sup)):
                return [f"({self.text_of(sup)})"], None  # f^{(1)}
        return [], sup

    def full_name(self, item: Parsed) -> str:
        base = self.base_name(item.children[0])
        if base is None:
            raise self.error(item, "no name")
        sub, sups, primes = self.scripts(item)
        name = base + (f"_{self.text_of(sub)}" if sub is not None else "")
        for sup in sups:
            decorations, rest = self.split_sup(sup)
            if rest is not None:
                raise self.error(item, "a name has no exponent")
            name += "".join(f"^{mark}" for mark in decorations)
        return name + "'" * primes

    # --- chains and sums ---

    def error(self, tree: Parsed, message: str) -> FormulaError:
        position = getattr(tree, "start_pos", None)
        if position is None:
            position = getattr(getattr(tree, "meta", None), "start_pos", None)
        return FormulaError(message, position)

    def source(self, tree: Parsed) -> str:
        meta = tree.meta
        if meta.empty:
            return ""
        return " ".join(self.latex[meta.start_pos : meta.end_pos].split())

    def chain(self, tree: Parsed) -> Chain:
        members, relations = [], []
        for child in tree.children:
            if isinstance(child, Token):
                relations.append(RELATIONS.get(str(child), str(child)))
            else:
                members.append(self.expr(child))
        if len(relations) == len(members):  # goes on from the line before
            raise self.error(tree, "begins with a relation")
        return Chain(tuple(members), tuple(relations), self.source(tree))

    def single(self, tree: Parsed) -> Node:
        """A chain in braces or bars that is one expression."""
        chain = self.chain(tree)
        if chain.relations:
            raise self.error(tree, "a relation stands where a number belongs")
        return chain.members[0]

    def expr(self, tree: Parsed) -> Node:
        terms, sign = [], "+"
        for child in tree.children:
            if isinstance(child, Token):
                sign = str(child)
            else:
                term = self.term(child)
                if sign == "-":
                    term = Node("neg", (term,), source=term.source)
                elif sign == r"\pm":
                    term = Node("pm", (term,), source=term.source)
                terms.append(term)
                sign = "+"
        source = self.source(tree)
        if len(terms) == 1:
            return replace(terms[0], source=source)
        return Node("add", tuple(terms), source=source)

    def term(self, tree: Parsed) -> Node:
        parts = [child for child in tree.children if not isinstance(child, Token)]
        node = self.seq(parts[0])
        if len(parts) == 1:
            return node
        below = self.seq(parts[1])
        if below.kind == "mul" and len(parts[1].children) > 1:
            raise self.error(
                parts[1],
                f"`/ {below.source}` is ambiguous; write \\frac or brackets",
            )
        return Node("div", (node, below), source=self.source(tree))

    # --- products: one walk from left to right ---

    def seq(self, tree: Parsed) -> Node:
        node, rest = self.units(list(tree.children))
        assert not rest
        return replace(node, source=self.source(tree))

    def units(self, items: list) -> tuple[Node, list]:
        factors: list[Node] = []
        operators: list[str] = []
        while items:
            if isinstance(items[0], Token):
                if items[0] != r"\cdot":
                    operators.append(str(items[0]))
                items = items[1:]
                continue
            node, items = self.unit(items)
            if operators and factors:
                operator = operators.pop()
                factors[-1] = Node("op", (factors[-1], node), operator)
            else:
                factors.append(node)
        if len(factors) == 1:
            return factors[0], items
        return Node("mul", tuple(factors)), items

    def unit(self, items: list) -> tuple[Node, list]:
        """The next factor, with the arguments of a function and the body of a sum."""
        item, rest = items[0], items[1:]
        if isinstance(item, Token):
            raise self.error(item, f"nothing stands before `{item}`")
        base = item.children[0]
        name = self.base_name(base)
        if name in BIG:
            return self.big(name, item, rest)
        if base.data == "frac" and self.is_derivative(base):
            variable = self.derivative_variable(base)
            body, rest = self.units(rest)
            return Node("derivative", (body,), variable), rest
        group = self.group_kind(rest[0]) if rest else None
        # P[i, j] is an entry of a matrix
        if name in MEANS and group and (name, group) != ("P", "bracket"):
            return self.mean(name, item, rest)
        sub, sups, primes = self.scripts(item)
        if (
            base.data in ("bracket", "paren")
            and sub is not None
            and self.text_of(sub) == "+"
        ):
            inner = self.group_single(base)
            return self.powers(Node("positive", (inner,)), item, sups, primes), rest
        if name is None:
            node = self.plain(base)
            if sub is not None:
                node = Node("index", (node, *self.subscript(sub)))
            return self.postfix(self.powers(node, item, sups, primes), rest)
        node, exponent = self.symbol(name, sub, sups, primes)
        if self.takes_arguments(node) and rest and self.group_kind(rest[0]):
            arguments, after = self.arguments(rest[0])
            if exponent == [MINUS_ONE]:  # the inverse function
                node, exponent = Node("power", (node, MINUS_ONE)), []
            node = Node("call", (node, *arguments))
            node = self.apply_exponents(node, [*exponent, *after])
            return self.postfix(node, rest[1:])
        if name in FUNCTIONS and rest:
            argument, rest = self.unit(rest)
            return self.apply_exponents(Node("call", (node, argument)), exponent), rest
        return self.postfix(self.apply_exponents(node, exponent), rest)

    def postfix(self, node: Node, rest: list) -> tuple[Node, list]:
        """Square brackets behind a factor are an index, unless they are cut at zero."""
        while rest and self.group_kind(rest[0]) == "bracket":
            sub, _, _ = self.scripts(rest[0])
            if sub is not None:
                break
            arguments, after = self.arguments(rest[0])
            node = self.apply_exponents(Node("index", (node, *arguments)), after)
            rest = rest[1:]
        return node, rest

    def takes_arguments(self, node: Node) -> bool:
        if node.kind != "symbol":
            return False
        names = [node.value, *([node.value.split("_")[0]] if "_" in node.value else [])]
        if node.value.endswith("'"):
            names.append(node.value.rstrip("'"))
        return any(name in self.functions for name in names)

    def group_kind(self, item: Any) -> str | None:
        if isinstance(item, Token):
            return None
        kind = item.children[0].data
        return str(kind) if kind in ("paren", "bracket") else None

    def arguments(self, item: Parsed) -> tuple[list[Node], list]:
        """What stands in brackets, as nodes; and the exponents behind them."""
        sub, sups, primes = self.scripts(item)
        if sub is not None or primes:
            raise self.error(item, "a subscript or prime behind arguments")
        return self.elements(item.children[0].children[0]), self.exponents(item, sups)

    def elements(self, tree: Parsed) -> list[Node]:
        nodes, separators = [], []
        for child in tree.children:
            if child.data == "lsep":
                separators.append(str(child.children[0]))
                continue
            inner = child.children[0]
            if isinstance(inner, Token):
                nodes.append(Node("mark", value=str(inner)))
            else:
                nodes.append(self.formula(inner))
        if any(s in (r"\mid", ":") for s in separators):
            cut = next(i for i, s in enumerate(separators) if s in (r"\mid", ":"))
            return [
                Node(
                    "given", (self.pack(nodes[: cut + 1]), self.pack(nodes[cut + 1 :]))
                )
            ]
        return nodes

    def pack(self, nodes: list[Node]) -> Node:
        return nodes[0] if len(nodes) == 1 else Node("tuple", tuple(nodes))

    def formula(self, tree: Parsed) -> Node:
        """A chain as a node: an expression, or a statement that is true or false."""
        chain = self.chain(tree)
        if not chain.relations:
            return chain.members[0]
        return Node("chain", chain.members, chain.relations, source=chain.source)

    def group_single(self, base: Parsed) -> Node:
        nodes = self.elements(base.children[0])
        if len(nodes) != 1:
            raise self.error(base, "one expression belongs into these brackets")
        return nodes[0]

    def plain(self, base: Parsed) -> Node:
        match base.data:
            case "number":
                digits = str(base.children[0]).replace("\\,", "")
                return Node("number", value=Fraction(digits))
            case "paren":
                nodes = self.elements(base.children[0])
                return nodes[0] if len(nodes) == 1 else Node("tuple", tuple(nodes))
            case "bracket":
                nodes = self.elements(base.children[0])
                if len(nodes) == 2:
                    return Node("interval", tuple(nodes))
                return nodes[0]
            case "set":
                return Node("set", tuple(self.elements(base.children[1])))
            case "abs" | "norm" | "floor" | "ceil":
                return Node(str(base.data), (self.single(base.children[1]),))
            case "frac":
                above, below = (self.single(b.children[0]) for b in base.children[1:])
                return Node("div", (above, below))
            case "sqrt":
                return Node("sqrt", (self.single(base.children[1].children[0]),))
            case "dots":
                return Node("dots")
            case "matrix":
                rows = [c for c in base.children if isinstance(c, Tree)]
                return Node(
                    "matrix",
                    tuple(
                        Node(
                            "tuple",
                            tuple(
                                self.single(c)
                                for c in row.children
                                if isinstance(c, Tree)
                            ),
                        )
                        for row in rows
                    ),
                )
            case "accent":
                inner = self.single(base.children[1].children[0])
                raise self.error(
                    base, f"an accent over `{inner.source}`, which is no name"
                )
            case "diff":
                raise self.error(base, "a differential outside an integral")
        raise self.error(base, f"unexpected {base.data}")

    # --- symbols with scripts ---

    def symbol(
        self,
        name: str,
        sub: Parsed | None,
        sups: list[Parsed],
        primes: int,
    ) -> tuple[Node, list]:
        """A name with its decorations, and its exponents in order."""
        marks, exponents = [], []
        for sup in sups:
            decorations, rest = self.split_sup(sup)
            if rest is None:
                marks += decorations
            else:
                marks += decorations
                exponents += self.exponent(rest)
        full = name
        subscript: tuple[Node, ...] = ()
        if sub is not None:
            full += f"_{self.text_of(sub)}"
            subscript = tuple(self.subscript(sub))
        full += "".join(f"^{mark}" for mark in marks) + "'" * primes
        decorated = name + "".join(f"^{mark}" for mark in marks) + "'" * primes
        node = Node("symbol", subscript, full)
        if subscript:
            node = Node("symbol", (Node("symbol", (), decorated), *subscript), full)
        return node, exponents

    def subscript(self, sub: Parsed) -> list[Node]:
        if sub.data == "one":
            token = sub.children[0]
            if token.type == "NUMBER":
                return [Node("number", value=Fraction(str(token)))]
            if token.type in ("STAR", "SIGN"):
                return [Node("mark", value=self.token_name(token))]
            return [Node("symbol", (), self.token_name(token))]
        return self.elements(sub.children[0])

    def exponent(self, sup: Parsed) -> list[Node]:
        """The exponents of a superscript such as 2, T or -1."""
        if sup.data == "one":
            token = sup.children[0]
            if token.type == "NUMBER":
                if len(token) > 1:
                    raise self.error(
                        token, "an exponent of several digits needs braces"
                    )
                return [Node("number", value=Fraction(str(token)))]
            return [Node("symbol", (), self.token_name(token))]
        nodes = self.elements(sup.children[0])
        if len(nodes) != 1:
            raise self.error(sup, "one exponent belongs into these braces")
        return nodes

    def exponents(self, item: Parsed, sups: list[Parsed]) -> list[Node]:
        result = []
        for sup in sups:
            decorations, rest = self.split_sup(sup)
            if rest is None:
                raise self.error(
                    item, f"`^{''.join(decorations)}` on something without a name"
                )
            result += self.exponent(rest)
        return result

    def apply_exponents(self, node: Node, exponents: list[Node]) -> Node:
        for exponent in exponents:
            node = Node("power", (node, exponent))
        return node

    def powers(self, node: Node, item: Parsed, sups: list[Parsed], primes: int) -> Node:
        if primes:
            node = Node("prime", (node,), primes)
        return self.apply_exponents(node, self.exponents(item, sups))

    # --- sums, integrals, limits, means ---

    def big(self, name: str, item: Parsed, rest: list) -> tuple[Node, list]:
        sub, sups, _ = self.scripts(item)
        lower = self.subscript(sub) if sub is not None else []
        upper = self.exponents(item, sups)
        if name == "int":
            end = next(
                (
                    i
                    for i, it in enumerate(rest)
                    if not isinstance(it, Token) and it.children[0].data == "diff"
                ),
                None,
            )
            if end is None or end + 1 >= len(rest):
                raise self.error(
                    item, "an integral ends with \\mathrm{d} and its variable"
                )
            body, _ = self.units(rest[:end])
            variable = self.full_name(rest[end + 1])
            limits = (*lower, *upper)
            if len(limits) not in (0, 2):
                raise self.error(item, "an integral has two limits or none")
            return Node("integral", (body, *limits), variable), rest[end + 2 :]
        if not rest:
            raise self.error(item, f"nothing stands behind \\{name}")
        body, rest = self.units(rest)
        return Node(
            name, (Node("tuple", tuple(lower)), Node("tuple", tuple(upper)), body)
        ), rest

    def is_derivative(self, frac: Parsed) -> bool:
        above = self.only_item(frac.children[1].children[0])
        return above is not None and self.base_name(above.children[0]) == "partial"

    def derivative_variable(self, frac: Parsed) -> str:
        seq = frac.children[2].children[0].children[0].children[0].children[0]
        items = [c for c in seq.children if not isinstance(c, Token)]
        if len(items) != 2 or self.base_name(items[0].children[0]) != "partial":
            raise self.error(frac, "a derivative is \\frac{\\partial}{\\partial x}")
        return self.full_name(items[1])

    def mean(self, name: str, item: Parsed, rest: list) -> tuple[Node, list]:
        sub, sups, _ = self.scripts(item)
        over = tuple(self.subscript(sub)) if sub is not None else ()
        label = self.text_of(sub) if sub is not None else ""
        arguments, after = self.arguments(rest[0])
        node = Node("mean", (*arguments, Node("tuple", over)), (name, label))
        node = self.apply_exponents(node, self.exponents(item, sups))
        return self.apply_exponents(node, after), rest[1:]
