"""All formulas of the report, judged section by section, several at a time."""

import importlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
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
from hw2.formulas.collecting import DISPLAY, PRINTED, Formula, collect
from hw2.paths import REPORT
from hw2.worlds import SECTIONS


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


def formulas(report: Path = REPORT) -> dict[str, tuple[Formula, ...]]:
    """The formulas of the report by section, "" for those in no section's file."""
    from qmdpdf.source import expand

    found: dict[str, list[Formula]] = {}
    for formula in collect(expand(report), claims.written):
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
    modules = [__name__, f"hw2.worlds.{section}"] if section in SECTIONS else [__name__]
    return kept.value(
        (f"{__name__}.judge", repr((section, group, changes))),
        modules,
        lambda: _judge(section, group, changes),
        Judged,
        lambda judged: not any(finding.faults for finding in judged.findings),
    )


def _judge(section: str, group: tuple[Formula, ...], changes: bool) -> Judged:
    start = time.perf_counter()
    world = world_of(section)
    findings = Section(world, group).examine(changes)
    return Judged(section, world.how, findings, time.perf_counter() - start)


def judge_all(only: str = "", changes: bool = True) -> Iterator[Judged]:
    """The sections that `only` selects (all without it), each as soon as it and those
    before it are judged.
    """
    groups = {
        section: group
        for section, group in formulas().items()
        if not only or section == only or any(only == f.label for f in group)
    }
    workers = min(len(groups), os.cpu_count() or 1)
    if workers < 2:
        yield from (judge(section, group, changes) for section, group in groups.items())
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        todo = [
            pool.submit(judge, section, group, changes)
            for section, group in sorted(groups.items(), key=lambda item: -len(item[1]))
        ]
        found = {judged.section: judged for judged in (task.result() for task in todo)}
    yield from (found[section] for section in groups)


SHOWN = (DISPLAY, PRINTED)


def summary(all_of: Sequence[Judged]) -> str:
    """How many formulas there are and what became of them, in one sentence."""
    findings = [finding for judged in all_of for finding in judged.findings]
    shown = [finding for finding in findings if finding.formula.kind in SHOWN]

    def of(group: Sequence[Finding], *status: str) -> int:
        return sum(finding.status in status for finding in group)

    related = [finding for finding in findings if finding.relations]
    changed = sum(finding.changed for finding in findings)
    survivors = sum(len(finding.survivors) for finding in findings)
    return (
        f"{len(findings)} formulas, {len(shown)} of them displayed; "
        f"{of(findings, EVALUATED)} evaluated, {of(findings, DEFINING)} defining, "
        f"{of(findings, READ)} only read, {of(findings, SKIPPED)} not evaluated; "
        f"{len(related)} with a relation {of(related, EVALUATED, DEFINING)} are "
        f"evaluated or defining; {changed - survivors:,} of {changed:,} wrong "
        "versions refuted"
    )
