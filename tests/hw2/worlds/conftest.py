"""A section's page as it is, and with an error planted in one line."""

from dataclasses import dataclass, replace
from functools import cached_property

import pytest

from hw2 import claims
from hw2.formulas.checking import DEFINING, Finding, Section, World
from hw2.formulas.collecting import Formula, collect
from hw2.paths import REPORT
from qmdpdf.source import Line, expand


@dataclass
class Page:
    """The lines of a world's section, and what is wrong where one says something else."""

    world: World

    @cached_property
    def lines(self) -> list[Line]:
        mark = f"_{self.world.section}-"
        return [line for line in expand(REPORT) if mark in line.where]

    @cached_property
    def today(self) -> list[Finding]:
        return judge(said(self.lines), self.world)

    def faults(self, old: str, new: str) -> list[str]:
        """What is wrong where one line of the page says something else: with the
        formulas of that line and all definitions, or else with all formulas.
        """
        i = next(i for i, line in enumerate(self.lines) if old in line.text)
        lines = list(self.lines)
        lines[i] = replace(lines[i], text=lines[i].text.replace(old, new, 1))
        before, after = said(self.lines), said(lines)
        found: list[Finding] = []
        if len(before) == len(after):
            needed = {f.formula.where for f in self.today if f.status == DEFINING}
            needed |= {a.where for a, b in zip(before, after, strict=True) if a != b}
            few = [formula for formula in before if formula.where in needed]
            found = judge(
                [formula for formula in after if formula.where in needed],
                self.part_of_world(few),
            )
        if not any(f.faults for f in found):
            found = judge(after, self.world)
        return [f"{f.formula.where}: {fault}" for f in found for fault in f.faults]

    def part_of_world(self, formulas: list[Formula]) -> World:
        """With the cases only that some formulas have."""
        section = Section(self.world, formulas)
        section.examine(changes=False)
        cases = self.world.cases
        used = [replace(c, times=0, after=()) for c in cases if c.latex in section.used]
        return replace(self.world, cases=used)


def said(lines: list[Line]) -> list[Formula]:
    return collect(lines, claims.written)


def judge(formulas: list[Formula], world: World) -> list[Finding]:
    return Section(world, formulas).examine(changes=False)


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest) -> Page:
    """The page of the section whose world the test's module names `WORLD`."""
    return Page(request.module.WORLD)
