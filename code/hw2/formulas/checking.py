"""Each formula of a section, held against the section's world; and its wrong versions.

A formula is *evaluated* (true in all instances), *defining* (it gives a symbol the
meaning that the formulas behind it are evaluated with), *read* (an expression without a
relation, which has a value and says nothing), or *not evaluated*, with the world's
reason.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from hw2.formulas.changing import wrong_versions
from hw2.formulas.collecting import INLINE, Formula
from hw2.formulas.meaning import (
    EXACT,
    LOOSE,
    ByName,
    Free,
    Given,
    Outcome,
    Scope,
    Values,
    equal,
    satisfied,
    truth,
    value,
)
from hw2.formulas.reading import Chain, FormulaError, Node, read

EVALUATED, DEFINING, READ, SKIPPED = "evaluated", "defining", "read", "not evaluated"
ABSENT = "absent"  # from the page, or from where it has to stand there
INEQUALITIES = {"<", ">", r"\le", r"\ge"}
NOTHING = Node("dots")
KIN = 2  # symbols that one is exchanged for


@dataclass(frozen=True)
class Case:
    """What a world says of one formula, or of one part of it between commas.

    `where` restricts free symbols to some values (or a function of the scope to them),
    at those of `outside` the formula must be false; `only` names the instances that it
    is about, in all others it must be false. `bind` gives symbols another meaning, such
    as a setting that the package has. `tends` is the symbol and the goal of a limit,
    for statements with an arrow. `equals` is the value that an expression without a
    relation must have, or the last member of an inequality: its derivation by other
    means, so that a weaker bound is refuted too. `holds` judges in place of the usual
    evaluation. `near` is how far the sides of an approximation may differ, relatively.
    With `define` its left side means from here on what its right side says, which may
    have to be equal to something too. `times` is how often the page has it, 0 for any:
    elsewhere it may be true and say another thing. `after` are the words before it,
    where two formulas could be exchanged, for each time. `skip` says why it is not
    evaluated.
    """

    latex: str
    where: Mapping[str, Values] = field(default_factory=dict)
    outside: Mapping[str, Values] = field(default_factory=dict)
    equals: Callable[[Scope], Any] | None = None
    holds: Callable[[Node, Scope], bool] | None = None
    near: float = 0.05
    only: Sequence[str] = ()
    bind: Mapping[str, Any] = field(default_factory=dict)
    tends: tuple[str, float] | None = None
    define: bool = False
    times: int = 1
    after: Sequence[str] = ()
    skip: str = ""


@dataclass(frozen=True)
class World:
    """What the symbols of a section mean.

    `instances` are tables from names to values; `functions` are the names that take
    arguments, `defined` those that the page defines (they are in no table), `measures`
    what means are taken over, `how` says in a few words what the instances are.
    """

    section: str
    how: str
    instances: Mapping[str, Mapping[str, Any]]
    functions: frozenset[str] = frozenset()
    defined: frozenset[str] = frozenset()
    measures: Mapping[str, Callable[[Scope], Iterable[Outcome]]] = field(
        default_factory=dict
    )
    cases: Sequence[Case] = ()


@dataclass
class Finding:
    """What became of one formula: faults, and the wrong versions of it with what
    survived.
    """

    formula: Formula
    status: str
    reason: str = ""
    faults: list[str] = field(default_factory=list)
    tried: int = 0
    changed: int = 0
    survivors: list[str] = field(default_factory=list)
    relations: int = 0


@dataclass
class _Part:
    """One chain of a formula, as it is judged."""

    formula: Formula
    node: Node
    source: str
    case: Case | None
    page: Mapping[str, "_Definition"]  # what the page has defined before
    written: Node = NOTHING  # the node before anything in it was changed


class Section:
    """The formulas of one section in their order, and their world."""

    def __init__(self, world: World, formulas: Sequence[Formula]):
        self.world = world
        self.formulas = formulas
        self.cases = {_squeezed(case.latex): case for case in world.cases}
        self.used: dict[str, list[Formula]] = {}
        self.parts: list[tuple[Finding, _Part]] = []
        self.page: dict[str, _Definition] = {}
        self.symbols: dict[str, Node] = {}
        self.tables: dict[Any, Any] = {}
        self.memo: dict[Any, Any] | None = None

    def scope(
        self,
        instance: str,
        page: "Mapping[str, _Definition] | None" = None,
        memo: dict[Any, Any] | None = None,
    ) -> Scope:
        """Where the formulas of an instance are evaluated, with what `page` defines."""
        page = self.page if page is None else page
        table = {**self.world.instances[instance], **page}
        if memo is not None:  # which tells tables apart by their identity
            table = self.tables.setdefault((instance, id(page)), table)
        return Scope(table, self.world.measures, memo=memo)

    # --- all formulas ---

    def examine(self, changes: bool = True) -> list[Finding]:
        """Judge all formulas; with `changes` also their wrong versions."""
        findings = [self._examine(formula) for formula in self.formulas]
        for latex, case in self.cases.items():
            if found := self._elsewhere(latex, case, self.used.get(latex, [])):
                where, fault = found
                formula = Formula(latex, where, self.world.section, "")
                findings.append(Finding(formula, ABSENT, faults=[fault]))
        for name in self.world.defined - set(self.page):
            findings.append(
                Finding(
                    Formula(
                        name, f"world of {self.world.section}", self.world.section, ""
                    ),
                    ABSENT,
                    faults=[f"the page does not define `{name}`"],
                )
            )
        if changes:
            for index, (finding, part) in enumerate(self.parts):
                self._change(index, finding, part)
        return findings

    def _elsewhere(
        self, latex: str, case: Case, places: Sequence[Formula]
    ) -> tuple[str, str] | None:
        """What is wrong with where the page has the formula of a case, after the place;
        None where nothing is.
        """
        times = len(case.after) or case.times
        remedy = (
            f"; if the page is right, change code/hw2/worlds/{self.world.section}.py"
        )
        if places and times not in (0, len(places)):
            return places[-1].where, (
                f"the world's case for `{latex}` is about {times} of the page's "
                f"{len(places)}: {', '.join(place.where for place in places)}{remedy}"
            )
        for place, words in zip(places, case.after, strict=False):
            if not place.before.endswith(words):
                found = " ".join(place.before.split()[-len(words.split()) :])
                return place.where, (
                    f"`{latex}` stands behind '{found}', the world's case for it "
                    f"behind '{words}'{remedy}"
                )
        if places:
            return None
        others = {
            _squeezed(formula.latex): formula.where
            for formula in self.formulas
            if _squeezed(formula.latex) not in self.used
        }
        near = get_close_matches(latex, others, 1, 0)
        hint = f"; most like it is `{near[0]}`, here" if near else ""
        where = others[near[0]] if near else f"world of {self.world.section}"
        return where, (
            f"the world has a case for `{latex}`, the page has it not{hint}{remedy}"
        )

    def _examine(self, formula: Formula) -> Finding:
        finding = Finding(formula, READ)
        if not formula.latex.strip():
            finding.faults.append("the formula is empty")
            return finding
        whole = self.cases.get(_squeezed(formula.latex))
        if whole:
            self.used.setdefault(_squeezed(formula.latex), []).append(formula)
        if whole and whole.skip:
            finding.status, finding.reason = SKIPPED, whole.skip
            try:
                read(formula.latex, self.world.functions)
            except FormulaError as error:
                finding.faults.append(str(error))
            return finding
        try:
            chains = read(formula.latex, self.world.functions)
        except FormulaError as error:
            at = "" if error.position is None else f", column {error.position + 1}"
            finding.faults.append(f"`{formula.latex}`{at}: {error}")
            return finding
        for chain in chains:
            case = self.cases.get(_squeezed(chain.source), whole)
            if case is not whole:
                self.used.setdefault(_squeezed(chain.source), []).append(formula)
            try:
                self._judge_part(finding, chain, case)
            except FormulaError as error:
                where = getattr(error, "assignment", {})
                source = _written(chain.source)
                finding.faults.append(f"`{source}`{_at(where)}: {error}")
            except Exception as error:  # in the world's own functions
                kind = type(error).__name__
                message = f"`{_written(chain.source)}`: {kind}: {error}"
                finding.faults.append(message)
        return finding

    def _judge_part(self, finding: Finding, chain: Chain, case: Case | None) -> None:
        for member in chain.members:
            for node in member.walk():
                if node.kind == "symbol":
                    self.symbols.setdefault(node.value, node)
        if case and case.skip:
            finding.status, finding.reason = SKIPPED, case.skip
            return
        limit = (
            chain.relations == (r"\to",)
            and chain.members[0].kind == "symbol"
            and not case
        )
        if limit:
            return  # such as: in the limit n \to \infty
        finding.relations += len(chain.relations)
        if name := self._defines(chain, case):
            left, right = chain.members[:2]
            meaning = _meaning(left, right, finding.formula.where)
            self.page = {**self.page, name: meaning}
            finding.status = DEFINING
            part = self._part(finding, Node("defining", (right,), name), chain, case)
            self.parts.append((finding, part))
            if case and case.equals:
                self._hold(finding, replace(part, node=right))
            chain = Chain(chain.members[1:], chain.relations[1:], chain.source)
            if not chain.relations:
                return
        if not chain.relations:
            member = chain.members[0]
            if case and (case.equals or case.holds):
                finding.status = EVALUATED
            else:
                self._value(member, case or Case(chain.source))
                return
            node = member
        else:
            node = Node("chain", chain.members, chain.relations, chain.source)
            if finding.status == READ:
                finding.status = EVALUATED
        part = self._part(finding, node, chain, case)
        self._hold(finding, part)
        self.parts.append((finding, part))

    def _hold(self, finding: Finding, part: _Part) -> None:
        holds, message, tried = self._holds(part)
        finding.tried += tried
        if not holds:
            used = "".join(
                f"; `{_written(definition.left.source)}` is defined at "
                f"{definition.where}"
                for name, definition in part.page.items()
                if _mentions(part, name)
            )
            finding.faults.append(f"`{_written(part.source)}` {message}{used}")

    def _part(
        self, finding: Finding, node: Node, chain: Chain, case: Case | None
    ) -> _Part:
        return _Part(finding.formula, node, chain.source, case, self.page, node)

    def _value(self, node: Node, case: Case) -> None:
        """An expression that says nothing must have a value, or name what comes
        later.
        """
        if node.kind in ("dots", "mark", "pm", "given"):
            return
        later = self.world.defined - set(self.page)
        if any(
            inner.kind == "symbol" and inner.value in later for inner in node.walk()
        ):
            return

        def has_value(scope: Scope) -> bool:
            value(node, scope)
            return True

        for instance in self.world.instances:
            if not case.only or instance in case.only:
                scope = self.scope(instance).with_(case.bind)
                satisfied(has_value, scope, case.where)

    # --- definitions ---

    def _defines(self, chain: Chain, case: Case | None) -> str | None:
        """The name that a chain defines, where it is one that the page has to
        define.
        """
        if not chain.relations or chain.relations[0] != "=":
            return None
        first = chain.members[0]
        name = first.parts[0].value if first.kind == "call" else first.value
        if first.kind not in ("symbol", "call"):
            return None
        if case and case.define:
            return name
        return name if name in self.world.defined and name not in self.page else None

    # --- truth ---

    def _holds(self, part: _Part) -> tuple[bool, str, int]:
        """Whether a part is true in all instances; else what it is like where it is
        not.
        """
        tried = 0
        case = part.case or Case(part.source)
        statement = self._statement(part.node, case)
        for instance in self.world.instances:
            scope = self.scope(instance, part.page, self.memo).with_(case.bind)
            if case.only and instance not in case.only:
                if _safely(lambda s: satisfied(statement, s, case.where)[0], scope):
                    return (
                        False,
                        f"is meant to be false in the instance {instance}",
                        tried,
                    )
                continue
            good, at, count = satisfied(statement, scope, case.where)
            tried += count
            if not good:
                if self.memo is not None:  # of a wrong version nobody asks why
                    return False, "", tried
                message = self._explain(part, case, scope.with_(at), instance, at)
                return False, message, tried
            outside = case.outside
            own = case.where or case.holds
            if not outside and part.formula.kind == INLINE and not own:
                outside = self._beyond(part.written, scope)
            for name, values in outside.items():
                for item in values(scope) if callable(values) else values:
                    good, at, count = satisfied(
                        lambda s: not _safely(statement, s),
                        scope.with_({name: item}),
                        case.where,
                    )
                    tried += count
                    if not good:
                        place = _at({name: item, **at})
                        return False, f"is meant to be false{place} ({instance})", tried
        return True, "", tried

    def _statement(self, node: Node, case: Case) -> Callable[[Scope], bool]:
        holds, tends, equals = case.holds, case.tends, case.equals
        if holds:
            return lambda scope: holds(node, scope)
        if tends:
            return lambda scope: _tends(node, scope, *tends)
        if equals is None:
            return lambda scope: truth(node, scope, case.near)
        if node.kind != "chain":
            return lambda scope: _same(value(node, scope), equals(scope), scope)
        return lambda scope: (
            truth(node, scope, case.near)
            and _same(value(node.parts[-1], scope), equals(scope), scope)
        )

    def _beyond(self, node: Node, scope: Scope) -> dict[str, Sequence[Any]]:
        """For a condition on one free symbol, such as 0 < x: where it must be false."""
        if node.kind != "chain" or not set(node.value) <= INEQUALITIES:
            return {}
        bare = [
            part.value
            for part in node.parts
            if part.kind == "symbol" and isinstance(scope.table.get(part.value), Free)
        ]
        if len(bare) != 1 or not scope.table[bare[0]].outside:
            return {}
        others = {name for part in node.parts for name in _free(part, scope)}
        return {bare[0]: scope.table[bare[0]].outside} if others == set(bare) else {}

    def _explain(
        self,
        part: _Part,
        case: Case,
        scope: Scope,
        instance: str,
        at: Mapping[str, Any],
    ) -> str:
        place = f"in the instance {instance}{_at(at)}"
        if part.node.kind != "chain" and case.equals:
            said, wanted = _first(part.node, scope, case), case.equals(scope)
            return f"is {_show(said)} {place}, not {_show(wanted)}"
        if part.node.kind != "chain" or case.holds or case.tends:
            return f"does not hold {place}"
        shown = []
        for member in part.node.parts:
            try:
                said = _show(_first(member, scope, case))
                shown.append(f"`{_written(member.source)}` is {said}")
            except FormulaError as error:
                shown.append(f"`{_written(member.source)}`: {error}")
        return f"does not hold {place}: {', '.join(shown)}"

    # --- wrong versions ---

    def _change(self, index: int, finding: Finding, part: _Part) -> None:
        self.tables.clear()
        # of the members of the formula itself, which its wrong versions share
        memo: dict[Any, Any] = {id(member): {} for member in part.node.parts}
        for what, node in self._versions(part):
            finding.changed += 1
            if part.node.kind == "defining":
                refuted = self._definition_refuted(index, part, node)
            else:
                self.memo = memo
                refuted = self._refuted(replace(part, node=node))
                self.memo = None
            if not refuted and not finding.faults:
                finding.survivors.append(f"{part.source}: {what}")

    def _versions(self, part: _Part) -> Iterator[tuple[str, Node]]:
        if part.node.kind == "defining":
            yield from wrong_versions(part.node.parts[0], self._kindred)
        else:
            yield from wrong_versions(part.node, self._kindred)

    def _refuted(self, part: _Part) -> bool:
        try:
            return not self._holds(part)[0]
        except Exception:  # without a value it is not true
            return True

    def _definition_refuted(self, index: int, part: _Part, node: Node) -> bool:
        """Whether another definition makes any formula behind it false, or is not what
        the world says that it must be equal to.
        """
        name = part.node.value
        if part.case and part.case.equals and self._refuted(replace(part, node=node)):
            return True
        meaning = part.page[name]
        changed = meaning.with_body(node)
        pages: dict[int, Any] = {}
        behind = [
            other
            for _, other in self.parts[index + 1 :]
            if other.node.kind != "defining" and other.page.get(name) is meaning
        ]
        # those that mention it first: they refute it, if any does
        for other in sorted(behind, key=lambda other: not _mentions(other, name)):
            page = pages.setdefault(id(other.page), {**other.page, name: changed})
            if self._refuted(replace(other, page=page)):
                return True
        return False

    def _kindred(self, node: Node) -> list[Node]:
        """Other symbols of the section whose values are of the same kind."""
        kind = self._kind(node)
        names = sorted(self.symbols)
        start = names.index(node.value) if node.value in names else 0
        rotated = names[start + 1 :] + names[:start]
        found: list[Node] = []
        for name in rotated:
            other = self.symbols[name]
            if self._kind(other) == kind and len(found) < KIN:
                found.append(other)
        return found

    def _kind(self, node: Node) -> str:
        if not hasattr(self, "_kinds"):
            self._kinds: dict[str, str] = {}
        if node.value not in self._kinds:
            self._kinds[node.value] = self._kind_of(node)
        return self._kinds[node.value]

    def _kind_of(self, node: Node) -> str:
        found: list[str] = []

        def look(scope: Scope) -> bool:
            item = value(node, scope)
            number = isinstance(item, int | float) or hasattr(item, "numerator")
            found.append(
                f"array {np.shape(item)}"
                if isinstance(item, np.ndarray)
                else "number"
                if number
                else type(item).__name__
            )
            return False

        try:
            satisfied(look, self.scope(next(iter(self.world.instances))))
        except Exception:
            return "bound" if len(node.value) == 1 else "unknown"
        return found[0]


@dataclass(frozen=True)
class _Definition(Given):
    """What the page says that a symbol is."""

    left: Node = NOTHING
    right: Node = NOTHING
    where: str = ""

    def with_body(self, body: Node) -> "_Definition":
        return _meaning(self.left, body, self.where)


def _meaning(left: Node, right: Node, where: str) -> _Definition:
    if left.kind == "symbol":
        return _Definition(lambda scope: value(right, scope), left, right, where)
    names = tuple(argument.value for argument in left.parts[1:])
    return _Definition(lambda scope: ByName(names, right), left, right, where)


def _first(node: Node, scope: Scope, case: Case) -> Any:
    """The value of an expression at the first values of its free symbols that the
    formula did not come to ask for.
    """
    found: list[Any] = []

    def look(inside: Scope) -> bool:
        found.append(value(node, inside))
        return False

    satisfied(look, scope, case.where)
    return found[0]


def _written(source: str) -> str:
    r"""LaTeX with the `\left` that the grammar takes for space in front of it."""
    lost = len(re.findall(r"\\right(?![A-Za-z])", source))
    lost -= len(re.findall(r"\\left(?![A-Za-z])", source))
    return rf"\left{source}" if lost > 0 else source


def _tends(node: Node, scope: Scope, name: str, goal: float) -> bool:
    """Whether the left side of an arrow comes near its right side, nearer and
    nearer.
    """
    if node.value != (r"\to",):
        raise FormulaError("an arrow between two members is expected")

    def distance(far: float) -> float:
        point = far if np.isinf(goal) else goal + 1 / far
        at = scope.with_({name: point})
        left, right = (value(part, at) for part in node.parts)
        return float(np.abs(np.subtract(left, right)).max())

    near, nearer = distance(1e4), distance(1e6)
    return nearer <= max(near / 9, 1e-9) and nearer < 1e-2


def _free(node: Node, scope: Scope) -> Iterator[str]:
    """The free symbols of an expression; of a name such as sigma_w it is the whole."""
    if node.kind == "symbol" and node.value in scope.table:
        if isinstance(scope.table[node.value], Free):
            yield node.value
        return
    for part in node.parts:
        yield from _free(part, scope)


def _mentions(part: _Part, name: str) -> bool:
    """Whether a formula has a symbol in it, or in what its symbols are defined as."""
    seen: set[str] = set()
    todo = [part.node]
    while todo:
        for node in todo.pop().walk():
            if node.kind == "symbol" and node.value not in seen:
                seen.add(node.value)
                if node.value in part.page:
                    todo.append(part.page[node.value].right)
    return name in seen


def _squeezed(latex: str) -> str:
    return " ".join(latex.split())


def _same(a: Any, b: Any, scope: Scope) -> bool:
    return equal(a, b, LOOSE if scope.loose[0] else EXACT)


def _safely(statement: Callable[[Scope], bool], scope: Scope) -> bool:
    """Where a condition is false anyway, its members need no value."""
    try:
        return statement(scope)
    except FormulaError:
        return False


def _at(assignment: Mapping[str, Any]) -> str:
    if not assignment:
        return ""
    return " at " + ", ".join(f"{name} = {_show(x)}" for name, x in assignment.items())


def _show(item: Any) -> str:
    if isinstance(item, np.ndarray):
        return np.array2string(item, precision=6, separator=", ").replace("\n", "")
    return f"{float(item):.10g}" if hasattr(item, "__float__") else repr(item)
