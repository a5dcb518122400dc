"""Claims: what the report asserts, the checks that could refute it, and the wrong
versions that they do refute.

A claim has the label of an equation, theorem or table of the report. Its check takes
the claimed object as an argument, so that the same check also runs on *mutants*,
plausible wrong versions, each of which it must refute. A sympy expression that is
claimed is also compared with the equation printed under that label (see `hw2.pages`).
"""

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple

import sympy as sp

from hw2 import kept, pages
from hw2.paths import REPORT

Check = Callable[[Any], bool]
# claims on simulations that the report shows as well: in its process they are computed
# once for both
SHARED = ("eq-t1-std", "tbl-t1-schemes")


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
    method: str
    domain: str
    claimed: Any = field(repr=False)
    mutants: Mapping[str, Any] = field(repr=False)
    check: Check = field(repr=False)


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. `tie` is how the page is bound to the checked object:
    "printed", "parsed" or "no". It is `kept` where the same code has found it before.
    """

    claim: Claim
    faults: tuple[str, ...]
    refuted: int
    tie: str
    seconds: float
    kept: bool = False

    @property
    def holds(self) -> bool:
        return not self.faults


_REGISTRY: dict[str, Claim] = {}


def claim(
    label: str,
    statement: str,
    *,
    method: str,
    domain: str,
    claimed: Any,
    mutants: Mapping[str, Any],
) -> Callable[[Check], Check]:
    """Register the decorated check as the claim `label`.

    `method` and `domain` say how and on what it is checked, in a few words each. Raises
    ClaimError for a label used twice and for a claim without mutants: a check that
    nothing can fail proves nothing.
    """

    if label in _REGISTRY:
        raise ClaimError(f"claim {label} is registered twice")
    if not mutants:
        raise ClaimError(
            f"claim {label} has no mutants; add a wrong version that its check must "
            "refute"
        )

    def register(check: Check) -> Check:
        _REGISTRY[label] = Claim(
            label, statement, method, domain, claimed, dict(mutants), check
        )
        return check

    return register


@cache
def registry() -> Mapping[str, Claim]:
    """All claims of `hw2.theory`, in order of module and definition."""
    package = importlib.import_module("hw2.theory")
    for module in sorted(
        module.name for module in pkgutil.iter_modules(package.__path__)
    ):
        importlib.import_module(f"hw2.theory.{module}")
    return _REGISTRY


def examine(claim: Claim, place: pages.Place | None) -> Verdict:
    """Run a claim's check on the claimed object and on each mutant, and compare it with
    its place in the report.
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
    return Verdict(claim, tuple(faults), refuted, tie, time.perf_counter() - start)


def examine_all(only: str = "") -> Iterator[Verdict]:
    """The verdicts on the claims that `only` selects, in the report's order, as they
    come.
    """
    yield from map(_examine, (label for label in in_order() if matches(label, only)))


def in_order() -> list[str]:
    """The labels of all claims in the report's order, at the end those that it does not
    have.
    """
    order = {label: i for i, label in enumerate(pages.places())}
    return sorted(registry(), key=lambda label: order.get(label, len(order)))


def _examine(label: str) -> Verdict:
    """The verdict on a claim, kept from before where the claim, all code that it calls
    and the page are the same. One with faults is not kept.
    """
    anew: list[Verdict] = []

    def compute() -> Found:
        anew.append(examine(registry()[label], _place(label)))
        return Found(*(getattr(anew[0], name) for name in Found._fields))

    found = kept.value(*_known_by(label), compute, Found, lambda it: not it.faults)
    return anew[0] if anew else replace(Verdict(registry()[label], *found), kept=True)


class Found(NamedTuple):
    """What is kept of a verdict."""

    faults: tuple[str, ...]
    refuted: int
    tie: str
    seconds: float


def _place(label: str) -> pages.Place | None:
    places = pages.places()
    return places.get(label, None if places else pages.Place(label, ""))


def _known_by(label: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """What the verdict on a claim depends on: the claim, what the page says, and the
    code.
    """
    place = _place(label)
    said = (place.latex, place.printed) if place else None
    modules = (registry()[label].check.__module__, __name__)
    return (f"claim.{label}", repr(said)), modules


def _is_known(label: str) -> bool:
    of, modules = _known_by(label)
    file = kept.entry(*of, modules)
    return file is not None and file.is_file()


def examine_elsewhere(labels: Sequence[str]) -> Callable[[], list[Verdict]]:
    """Begin to examine some claims in another process. Returns what waits for the
    verdicts.

    That raises ClaimError where the process did not come to an end.
    """
    code = "import sys; from hw2 import claims; claims.tell(sys.argv[1:])"
    found = _elsewhere(["-c", code, *labels], "examines claims")
    return lambda: [
        Verdict(registry()[label], tuple(faults), *numbers)
        for label, faults, *numbers in found()
    ]


def _elsewhere(arguments: Sequence[str], does: str) -> Callable[[], list]:
    """Begin a Python process. Returns what waits for the JSON that it prints, and
    raises ClaimError where it did not come to an end.
    """
    path = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )

    def wait() -> list:
        output, errors = process.communicate()
        if process.returncode:
            reason = errors.strip().splitlines()[-1:] or [
                f"status {process.returncode}"
            ]
            raise ClaimError(
                f"the process that {does} has failed ({reason[0]}); try `make verify`"
            )
        return json.loads(output)

    return wait


def tell(labels: Sequence[str]) -> None:
    """Examine some claims and print their verdicts as JSON, for the process that has
    begun this one.
    """
    found = [_examine(label) for label in labels]
    print(
        json.dumps(
            [[v.claim.label, v.faults, v.refuted, v.tie, v.seconds] for v in found]
        )
    )


def matches(label: str, only: str) -> bool:
    """Whether a label such as eq-q6-conv belongs to `only`: a part of it (q6), or the
    whole label.
    """
    return not only or label == only or only in label.split("-")


def unclaimed(only: str = "") -> list[str]:
    """Messages for the equations and theorems of the report whose label no claim
    has.
    """
    return [
        (
            f"{place.where}: {label} has no claim; register one in hw2.theory or name "
            "it "
            f"{label.split('-')[0]}-def-..."
        )
        for label, place in pages.places().items()
        if place.needs_claim and label not in registry() and matches(label, only)
    ]


@cache
def _others() -> Callable[[], list[Verdict]]:
    """All claims but those of `SHARED`, in another process, and those that are known
    from before.
    """
    labels = [label for label in in_order() if label not in SHARED]
    unknown = [label for label in labels if not _is_known(label)]
    return examine_elsewhere(unknown) if unknown else list


@cache
def _formulas() -> Callable[[], list]:
    """All formulas of the page, in another process: what is wrong, and a summary."""
    code = "from hw2.formulas import report; report.tell()"
    return _elsewhere(["-c", code], "judges formulas")


@cache
def formulas() -> str:
    """How many formulas of the report are evaluated. Raises ClaimError where one is not
    true, which stops the render. In a notebook without the sources nothing is judged.
    """
    if not pages.places():
        return ""
    faults, summary = _formulas()()
    if faults:
        raise ClaimError("\n".join(faults))
    return summary


@cache
def verdicts() -> tuple[Verdict, ...]:
    """All verdicts, for the report. Raises ClaimError where anything is wrong, which
    stops the render.
    """
    found = {verdict.claim.label: verdict for verdict in _others()()}
    found |= {label: _examine(label) for label in in_order() if label not in found}
    faults = [
        f"{verdict.claim.label}: {fault}"
        for verdict in found.values()
        for fault in verdict.faults
    ] + unclaimed()
    if faults:
        raise ClaimError("\n".join(faults))
    return tuple(found[label] for label in in_order())


def written(label: str, lhs: str) -> str:
    """The LaTeX of `lhs` = the claimed sympy expression."""
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
    for cached in (pages.places, _formulas, formulas, _others, verdicts):
        cached.cache_clear()
    if pages.places():
        _formulas()
    _others()
    changed = unsealed()
    print(
        "\n```{=latex}\n"
        + "\n".join(
            rf"\verified{{{label}}}" for label in in_order() if label not in changed
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


PARTS = {"q": "Question", "t": "Task"}


def tables() -> None:
    """Print a table of the claims for each question and task, below its heading, for a
    chunk with `output: asis`.

    They have no captions: Quarto would repeat one on every page of a long table.
    """
    parts: dict[str, list[Verdict]] = {}
    for verdict in verdicts():
        parts.setdefault(verdict.claim.label.split("-")[1], []).append(verdict)
    for part, found in parts.items():
        print(f"\n## {PARTS[part[0]]} {part[1:]}\n\n{_table(found)}\n")


def _table(found: Sequence[Verdict]) -> str:
    rows = [
        "| Claim | Statement | Checked by | Tied | Mutants |",
        # the columns' shares of the width
        f"|:{'-' * 17}|:{'-' * 27}|:{'-' * 40}|:{'-' * 8}|{'-' * 9}:|",
    ]
    for verdict in found:
        item = verdict.claim
        refuted = f"{verdict.refuted}/{len(item.mutants)}"
        rows.append(
            f"| @{item.label} | {item.statement} | {item.method}; {item.domain} | "
            f"{verdict.tie} | {refuted} |"
        )
    return "\n".join(rows)
