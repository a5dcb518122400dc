"""All formulas of the report, judged section by section, several at a time."""

import contextlib
import importlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hw2 import claims, kept
from hw2.formulas.checking import (
    DEFINING,
    EVALUATED,
    READ,
    SKIPPED,
    Finding,
    Section,
    World,
)
from hw2.formulas.collecting import (
    CAPTION,
    DISPLAY,
    INLINE,
    PRINTED,
    Formula,
    collect,
)
from hw2.paths import REPORT
from hw2.workers import Begin
from hw2.worlds import SECTIONS
from qmdpdf.metadata import QmdError


@dataclass(frozen=True)
class Judged:
    """A section's findings, what its instances are, and how long it took to judge
    it.
    """

    section: str
    how: str
    findings: list[Finding]
    seconds: float

    def count(self, status: str, kinds: Sequence[str] = ()) -> int:
        return sum(
            finding.status == status
            for finding in self.findings
            if not kinds or finding.formula.kind in kinds
        )


def formulas(report: Path | None = None) -> dict[str, tuple[Formula, ...]]:
    """The formulas of the report by section, "" for those in no section's file."""
    from qmdpdf.source import expand

    found: dict[str, list[Formula]] = {}
    for formula in collect(expand(report or REPORT), claims.written):
        found.setdefault(formula.section, []).append(formula)
    return {section: tuple(group) for section, group in found.items()}


def world_of(section: str) -> World:
    """The world of a section; an empty one for what is in no section's file."""
    if section not in SECTIONS:
        return World(section, "no symbol has a meaning", {"empty": {}})
    return importlib.import_module(f"hw2.worlds.{section}").WORLD


def judge(section: str, group: tuple[Formula, ...], changes: bool = True) -> Judged:
    """The findings of one section, with its wrong versions where `changes`. What was
    found before is found again, unless formulas or code have changed.
    """
    return kept.value(
        *_known_by(section, group, changes),
        lambda: _judge(section, group, changes),
        Judged,
        lambda judged: not any(finding.faults for finding in judged.findings),
    )


def _known_by(
    section: str, group: tuple[Formula, ...], changes: bool
) -> tuple[tuple[str, str], list[str]]:
    """What the findings of a section depend on: its formulas and the code."""
    modules = [__name__, f"hw2.worlds.{section}"] if section in SECTIONS else [__name__]
    return (f"{__name__}.judge", repr((section, group, changes))), modules


def _judge(section: str, group: tuple[Formula, ...], changes: bool) -> Judged:
    start = time.perf_counter()
    world = world_of(section)
    findings = Section(world, group).examine(changes)
    return Judged(section, world.how, findings, time.perf_counter() - start)


def judge_all(
    only: str, begin: Begin, changes: bool = True
) -> list[Callable[[], Judged]]:
    """Begin to judge the sections that `only` selects (all without it). Gives for each
    what waits for its findings.
    """
    groups = {
        section: group
        for section, group in formulas().items()
        if not only or section == only or any(only == f.label for f in group)
    }
    unknown = [
        (section, group, changes)
        for section, group in sorted(groups.items(), key=lambda item: -len(item[1]))
        if not kept.has(*_known_by(section, group, changes))
    ]
    begun = {
        task[0]: wait for task, wait in zip(unknown, begin(judge, unknown), strict=True)
    }
    return [
        begun.get(section) or partial(judge, section, group, changes)
        for section, group in groups.items()
    ]


SHOWN = (DISPLAY, PRINTED)


def summary(all_of: Sequence[Judged]) -> str:
    """How many formulas there are and what became of them, in one sentence."""
    findings = [finding for judged in all_of for finding in judged.findings]
    shown = [finding for finding in findings if finding.formula.kind in SHOWN]
    related = [finding for finding in findings if finding.relations]

    def of(group: Sequence[Finding], *status: str) -> int:
        return sum(finding.status in status for finding in group)

    return (
        f"of {len(shown)} displayed formulas {of(shown, EVALUATED)} are evaluated and "
        f"{of(shown, DEFINING)} define symbols; of all {len(related)} formulas with a "
        f"relation {of(related, EVALUATED)} are evaluated and {of(related, DEFINING)} "
        f"define symbols, {of(related, SKIPPED)} are not evaluated; "
        f"{of(findings, READ)} more are names and expressions, which have a meaning "
        "and "
        "state nothing"
    )


def wrong_versions(all_of: Sequence[Judged]) -> str:
    """How many wrong versions of the formulas were made, and how many are refuted."""

    def refuted(kinds: Sequence[str]) -> str:
        group = [
            finding
            for judged in all_of
            for finding in judged.findings
            if finding.formula.kind in kinds
        ]
        made = sum(finding.changed for finding in group)
        left = sum(len(finding.survivors) for finding in group)
        return f"{made - left:,} of {made:,}" + (
            f" ({1 - left / made:.1%})" if made else ""
        )

    return (
        f"wrong versions made by machine and refuted: {refuted(SHOWN)} of displayed "
        f"formulas, {refuted((INLINE, CAPTION))} of those in the text"
    )


def without_claim(all_of: Sequence[Judged], labels: Collection[str]) -> str:
    """How many evaluated formulas have no claim: these hold on instances."""
    others = sum(
        finding.status == EVALUATED and finding.formula.label not in labels
        for judged in all_of
        for finding in judged.findings
    )
    return f"{others} more formulas have no claim and are evaluated on instances"


# --- for the render ---


def known() -> tuple[list[str], str] | None:
    """What is wrong with the formulas and a summary, where all is known from before."""
    try:
        found = [_known(section, group) for section, group in formulas().items()]
    except (LookupError, QmdError):  # the process that judges says what is wrong
        return None
    return faults(found), summary(found)


def _known(section: str, group: tuple[Formula, ...]) -> Judged:
    """The findings of a section, perhaps with its wrong versions. Raises LookupError
    where they are not known.
    """
    with contextlib.suppress(LookupError):
        return kept.find(*_known_by(section, group, True), Judged)
    return kept.find(*_known_by(section, group, False), Judged)


def without_wrong_versions() -> tuple[list[str], str]:
    """What is wrong with the formulas, and a summary; their wrong versions are left to
    `make verify`.
    """
    found = [judge(section, group, False) for section, group in formulas().items()]
    return faults(found), summary(found)


def faults(found: Sequence[Judged]) -> list[str]:
    """What is wrong, with file and line."""
    return [
        f"{finding.formula.where}: {fault}"
        for judged in found
        for finding in judged.findings
        for fault in finding.faults
    ]
