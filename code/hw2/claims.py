"""Claims: what the report asserts, the checks that could refute it, and the wrong
versions that they do refute.

A claim has the label of an equation, theorem or table of the report. Its check takes
the claimed object as an argument, so that the same check also runs on *mutants*,
plausible wrong versions, each of which it must refute, and on versions that are made by
machine (see `hw2.claims_changing`), all of which it must refute but those that the
claim names as true. A sympy expression that is claimed is also compared with the
equation printed under that label (see `hw2.pages`).
"""

import contextlib
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from threading import Thread
from typing import Any, Literal, NamedTuple, get_args

from hw2 import kept, pages
from hw2.paths import REPORT
from hw2.workers import ONE_THREAD, Begin

Check = Callable[[Any], bool]
# claims on simulations that the report shows as well: in its process they are computed
# once for both
SHARED = ("eq-t1-std", "tbl-t1-schemes")
# for what a claim is checked: with symbols; in all cases of the sizes and kinds named;
# in some cases; on random draws, with an error bar. Of several checks of the statement
# itself it is the strongest.
Held = Literal["for all values", "exhaustively", "on instances", "by simulation"]


class ClaimError(Exception):
    """A claim failed, a mutant survived, or claims and labels of the report do not
    match.
    """


@dataclass(frozen=True)
class Claim:
    """One claim. `check(claimed)` is true, and false for each mutant; anything it
    raises is a failure of the check.
    """

    label: str
    statement: str
    held: Held
    method: str
    domain: str
    claimed: Any = field(repr=False)
    mutants: Mapping[str, Any] = field(repr=False)
    check: Check = field(repr=False)
    true: Mapping[str, str] = field(repr=False, default_factory=dict)


class Listed(NamedTuple):
    """What can be said of a claim without the objects that are checked, which take
    seconds to import.
    """

    label: str
    statement: str
    held: str
    method: str
    domain: str
    mutants: tuple[str, ...]
    module: str


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. `tie` is how the page is bound to the checked object:
    "printed", "parsed" or "no". `changed` wrong versions of it were made by machine, of
    which the `survivors` pass its check. It is `kept` where the same code has found it
    before.
    """

    claim: Listed
    faults: tuple[str, ...]
    refuted: int
    tie: str
    seconds: float
    changed: int = 0
    survivors: tuple[str, ...] = ()
    kept: bool = False

    @property
    def holds(self) -> bool:
        return not self.faults


_REGISTRY: dict[str, Claim] = {}


def claim(
    label: str,
    statement: str,
    *,
    held: Held,
    method: str,
    domain: str,
    claimed: Any,
    mutants: Mapping[str, Any],
    true: Mapping[str, str] | None = None,
) -> Callable[[Check], Check]:
    """Register the decorated check as the claim `label`.

    `held` says for what it is checked, `method` and `domain` how and on what, in a few
    words each. `true` has the changes made by machine that change nothing, such as
    "limits + 1", each with the reason. Raises ClaimError for a label used twice and for
    a claim without mutants: a check that nothing can fail proves nothing.
    """

    if held not in get_args(Held):
        raise ClaimError(f"claim {label} is held {held!r}; say one of {get_args(Held)}")
    if label in _REGISTRY:
        raise ClaimError(f"claim {label} is registered twice")
    if not mutants:
        raise ClaimError(
            f"claim {label} has no mutants; add a wrong version that its check must "
            "refute"
        )

    def register(check: Check) -> Check:
        _REGISTRY[label] = Claim(
            label,
            statement,
            held,
            method,
            domain,
            claimed,
            dict(mutants),
            check,
            true or {},
        )
        return check

    return register


@cache
def registry() -> Mapping[str, Claim]:
    """All claims of `hw2.theory`, in order of module and definition."""
    for module in _modules():
        importlib.import_module(module)
    return _REGISTRY


def _modules() -> list[str]:
    package = importlib.import_module("hw2.theory")
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return [f"hw2.theory.{name}" for name in sorted(names)]


def listed() -> dict[str, Listed]:
    """What the registry has, known from before where its code is the same."""

    def compute() -> list[Listed]:
        return [_listed(claim) for claim in registry().values()]

    of = (f"{__name__}.listed", "")
    found = kept.value(of, (*_modules(), __name__), compute, Listed)
    return {item.label: item for item in found}


def _listed(claim: Claim) -> Listed:
    said = (claim.label, claim.statement, claim.held, claim.method, claim.domain)
    return Listed(*said, tuple(claim.mutants), claim.check.__module__)


def examine(claim: Claim, place: pages.Place | None, changes: bool = False) -> Verdict:
    """Run a claim's check on the claimed object and on each mutant, with `changes` also
    on wrong versions made by machine, and compare it with its place in the report.
    """
    start = time.perf_counter()
    faults, tie, refuted = [], "no", 0
    try:
        if not claim.check(claim.claimed):
            faults.append("its check refutes it")
    except Exception as error:
        faults.append(f"its check raised {type(error).__name__}: {error}")
    for name, mutant in claim.mutants.items():
        try:
            if claim.check(mutant):
                faults.append(f"the mutant '{name}' survives")
            else:
                refuted += 1
        except Exception as error:
            faults.append(
                f"the check raised on the mutant '{name}': {type(error).__name__}: "
                f"{error}"
            )
    if place is None:
        faults.append(
            f"no label in the report; add {{#{claim.label}}} to it or remove the claim"
        )
    else:
        try:
            tie = pages.tie(place, claim.claimed)
        except pages.TieError as error:
            faults.append(f"{place.where}: {error}")
        except Exception as error:  # of sympy, at what it has not met before
            kind = type(error).__name__
            faults.append(
                f"{place.where}: `{place.latex}` cannot be compared with its claim: "
                f"{kind}: {error}"
            )
    made, survivors = _changed(claim) if changes and not faults else (0, [])
    changes_of = [name.partition(": ")[0] for name in survivors]
    for name, change in zip(survivors, changes_of, strict=True):
        if change not in claim.true:
            faults.append(f"a wrong version made by machine survives: {name}")
    for known, reason in claim.true.items():
        if made and known not in changes_of:
            faults.append(
                f"no version '{known}' survives, which is said to be {reason}"
            )
    seconds = time.perf_counter() - start
    found = (tuple(faults), refuted, tie, seconds, made, tuple(survivors))
    return Verdict(_listed(claim), *found)


def _changed(claim: Claim) -> tuple[int, list[str]]:
    """How many wrong versions of what is claimed are made, and which of them pass its
    check. What has no value there is not true.
    """
    from hw2.claims_changing import wrong_versions

    made, survivors = wrong_versions(claim.claimed), []
    for what, wrong in made:
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of a division by zero
            if claim.check(wrong):
                survivors.append(what)
    return len(made), survivors


def examine_all(only: str, begin: Begin) -> list[Callable[[], Verdict]]:
    """Begin to examine the claims that `only` selects, with wrong versions of them.
    Gives, in the report's order, for each what waits for its verdict.
    """
    tasks = [
        (item, _place(item), True) for item in in_order() if matches(item.label, only)
    ]
    unknown = [task for task in tasks if not kept.has(*_known_by(*task))]
    unknown.sort(key=lambda task: task[0].label not in SHARED)  # which take longest
    begun = dict(zip(unknown, begin(_examine, unknown), strict=True))
    return [begun.get(task) or partial(_examine, *task) for task in tasks]


def in_order() -> list[Listed]:
    """All claims in the report's order, at the end those that it does not have."""
    order = {label: i for i, label in enumerate(pages.places())}
    found = listed().values()
    return sorted(found, key=lambda item: order.get(item.label, len(order)))


def _examine(item: Listed, place: pages.Place | None, changes: bool = False) -> Verdict:
    """The verdict on a claim, kept from before where the claim, all code that it calls
    and its place on the page are the same. One with faults is not kept.
    """
    anew: list[Verdict] = []

    def compute() -> Found:
        anew.append(examine(registry()[item.label], place, changes))
        return Found(*(getattr(anew[0], name) for name in Found._fields))

    if not changes and kept.has(*_known_by(item, place, True)):
        changes = True  # nothing is left to do for it
    of, modules = _known_by(item, place, changes)
    found = kept.value(of, modules, compute, Found, lambda it: not it.faults)
    return anew[0] if anew else replace(Verdict(item, *found), kept=True)


class Found(NamedTuple):
    """What is kept of a verdict."""

    faults: tuple[str, ...]
    refuted: int
    tie: str
    seconds: float
    changed: int
    survivors: tuple[str, ...]


def _place(item: Listed) -> pages.Place | None:
    places = pages.places()
    return places.get(item.label, None if places else pages.Place(item.label, ""))


def _known_by(
    item: Listed, place: pages.Place | None, changes: bool
) -> tuple[tuple[str, str], tuple[str, str]]:
    """What the verdict on a claim depends on: the claim, what the page says, and the
    code.
    """
    said = (place.latex, place.printed) if place else None
    return (f"claim.{item.label}", repr((said, changes))), (item.module, __name__)


def elsewhere(labels: Sequence[str], formulas: bool) -> Callable[[], "Elsewhere"]:
    """Begin to examine some claims, and to judge all formulas, in another process.
    Returns what waits for what it finds.

    That raises ClaimError where the process did not come to an end.
    """
    code = "import sys; from hw2 import claims; claims.tell(*sys.argv[1:])"
    path = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(
        [sys.executable, "-c", code, "formulas" if formulas else "", *labels],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path} | ONE_THREAD,
    )

    @cache
    def wait() -> Elsewhere:
        output, errors = process.communicate()
        if process.returncode:
            lines = errors.strip().splitlines()
            reason = lines[-1] if lines else f"status {process.returncode}"
            raise ClaimError(
                "the process that examines claims and judges formulas has failed "
                f"({reason}); try `make verify`"
            )
        judged, told = json.loads(output)
        everything = listed()
        verdicts = [
            Verdict(everything[label], tuple(faults), *numbers)
            for label, faults, *numbers in told
        ]
        return Elsewhere(judged, verdicts)

    return wait


class Elsewhere(NamedTuple):
    """What another process has found: what is wrong with the formulas and a summary,
    and verdicts.
    """

    formulas: tuple[list[str], str] | None
    verdicts: list[Verdict]


def tell(formulas: str, *labels: str) -> None:
    """Judge the formulas where asked to, examine some claims, and print what is found
    as JSON, for the process that has begun this one and with which it ends.
    """
    Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    judged = None
    if formulas:
        from hw2.formulas import report

        judged = report.without_wrong_versions()
    everything = listed()
    found = [_examine(everything[label], _place(everything[label])) for label in labels]
    verdicts = [[v.claim.label, v.faults, v.refuted, v.tie, v.seconds] for v in found]
    print(json.dumps([judged, verdicts]))


def _end_with(parent: int) -> None:
    """End this process when its parent is another: nobody waits for it any more."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def matches(label: str, only: str) -> bool:
    """Whether a label such as eq-q6-conv belongs to `only`: a part of it (q6), or the
    whole label.
    """
    return not only or label == only or only in label.split("-")


def unclaimed(only: str = "") -> list[str]:
    """Messages for the equations and theorems of the report whose label no claim
    has.
    """
    known = listed()
    return [
        (
            f"{place.where}: {label} has no claim; register one in hw2.theory or name "
            "it "
            f"{label.split('-')[0]}-def-..."
        )
        for label, place in pages.places().items()
        if place.needs_claim and label not in known and matches(label, only)
    ]


@cache
def _elsewhere() -> Callable[[], Elsewhere]:
    """All formulas of the page and all claims but those of `SHARED`, in another
    process; those that are known from before are not among them.
    """
    unknown = [
        item.label
        for item in in_order()
        if item.label not in SHARED
        and not any(
            kept.has(*_known_by(item, _place(item), changes))
            for changes in (True, False)
        )
    ]
    judged, todo = None, bool(pages.places())
    if todo:
        from hw2.formulas import report

        judged = report.known()
        todo = judged is None
    if not (todo or unknown):
        return lambda: Elsewhere(judged, [])
    wait = elsewhere(unknown, todo)
    return lambda: wait() if todo else wait()._replace(formulas=judged)


@cache
def formulas() -> str:
    """How many formulas of the report are evaluated. Raises ClaimError where one is not
    true, which stops the render. In a notebook without the sources nothing is judged.
    """
    judged = _elsewhere()().formulas
    if judged is None:
        return ""
    faults, summary = judged
    if faults:
        raise ClaimError("\n".join(faults))
    return summary


@cache
def verdicts() -> tuple[Verdict, ...]:
    """All verdicts, for the report. Raises ClaimError where anything is wrong, which
    stops the render.
    """
    found = {verdict.claim.label: verdict for verdict in _elsewhere()().verdicts}
    order = in_order()
    for item in order:
        if item.label not in found:
            found[item.label] = _examine(item, _place(item))
    faults = [
        f"{verdict.claim.label}: {fault}"
        for verdict in found.values()
        for fault in verdict.faults
    ] + unclaimed()
    if faults:
        raise ClaimError("\n".join(faults))
    return tuple(found[item.label] for item in order)


def written(label: str, lhs: str) -> str:
    """The LaTeX of `lhs` = the claimed sympy expression."""
    of = (f"{__name__}.written", repr((label, lhs)))
    modules = (listed()[label].module, __name__)
    return kept.value(of, modules, lambda: _written(label, lhs), str)


def _written(label: str, lhs: str) -> str:
    import sympy as sp

    named = registry()[label].claimed.replace(
        sp.polygamma, lambda k, x: sp.Function(rf"\psi^{{({k})}}")(x)
    )
    latex = sp.latex(named, mul_symbol=r"\,")
    grouped = re.sub(
        r"\d{5,}", lambda digits: f"{int(digits[0]):,}".replace(",", r"\,"), latex
    )
    plain = grouped.replace(r"{\left(", r"\left(").replace(r"\right)}", r"\right)")
    return f"{lhs} = {plain}"


def equation(label: str, lhs: str) -> None:
    """Print `lhs` = the claimed sympy expression as a numbered equation, for a chunk
    with `output: asis`.
    """
    print(f"\n$$\n{written(label, lhs)}\n$$ {{#{label}}}\n")


def ticks() -> None:
    """Print LaTeX that puts a tick beside every equation and theorem of a claim (see
    report/preamble.tex).

    Begins to judge the formulas and to examine the claims, while the next chunks run.
    Where one does not hold, `formulas` or `verdicts` stop the render, so that no report
    has a tick too many. A theorem whose words have changed since they were sealed gets
    none. The report calls this first, and it starts anew: Quarto may keep a kernel,
    with its caches, for the next render.
    """
    for cached in (pages.places, _elsewhere, formulas, verdicts):
        cached.cache_clear()
    _elsewhere()
    changed = unsealed()
    print(
        "\n```{=latex}\n"
        + "\n".join(
            rf"\verified{{{item.label}}}"
            for item in in_order()
            if item.label not in changed
        )
        + "\n```\n"
    )


def unsealed() -> set[str]:
    """The theorems whose words are not as they were sealed. In a notebook without the
    sources there are none.
    """
    if not pages.places():
        return set()
    from hw2 import seals
    from qmdpdf.source import expand

    return {sentence.label for sentence, _ in seals.broken(expand(REPORT))} - {""}


def how_held(found: Sequence[Verdict]) -> str:
    """How many claims are held in which way, such as "3 for all values, 1 by
    simulation".
    """
    counts = Counter(verdict.claim.held for verdict in found)
    return ", ".join(
        f"{counts[held]} {held}" for held in get_args(Held) if counts[held]
    )


def wrong_versions(found: Sequence[Verdict]) -> str:
    """How many wrong versions of what is claimed were made, and how many are
    refuted.
    """
    made = sum(verdict.changed for verdict in found)
    left = sum(len(verdict.survivors) for verdict in found)
    share = f" ({1 - left / made:.1%})" if made else ""
    return (
        f"wrong versions of claims made by machine and refuted: {made - left:,} of "
        f"{made:,}{share}"
    )


PARTS = {"q": "Question", "t": "Task"}


def tables() -> None:
    """Print a table of the claims for each question and task, below its heading, for a
    chunk with `output: asis`.

    They have no captions: Quarto would repeat one on every page of a long table.
    """
    parts: dict[str, list[Verdict]] = {}
    for verdict in verdicts():
        parts.setdefault(verdict.claim.label.split("-")[1], []).append(verdict)
    for part, found in sorted(parts.items()):
        # no heading without the first rows of its table
        print("\n\\needspace{14\\baselineskip}")
        print(f"\n## {PARTS[part[0]]} {part[1:]}\n\n{_table(found)}\n")


def _table(found: Sequence[Verdict]) -> str:
    rows = [
        "| Claim | Statement | Holds, and how it was checked | Tied | Mutants |",
        # the columns' shares of the width
        f"|:{'-' * 15}|:{'-' * 27}|:{'-' * 50}|:{'-' * 6}|{'-' * 8}:|",
    ]
    for verdict in found:
        item = verdict.claim
        refuted = f"{verdict.refuted}/{len(item.mutants)}"
        rows.append(
            f"| @{item.label} | {item.statement} | *{item.held}*: {item.method}; "
            f"{item.domain} | {verdict.tie} | {refuted} |"
        )
    return "\n".join(rows)
