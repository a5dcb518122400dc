"""The classes of Question 2's world are right, and errors on its page are found."""

import re
from collections import Counter
from fractions import Fraction
from itertools import product

import pytest
import torch

from hw2.formulas.checking import ABSENT, Section
from hw2.formulas.collecting import Formula, collect, text_of
from hw2.formulas.reading import FormulaError, read
from hw2.paths import REPORT
from hw2.worlds.q2 import CLASSES, WORLD
from qmdpdf.source import Line, expand

PAGE = REPORT.parent / "theory" / "_q2-guess-and-check.qmd"
TEXT = text_of(expand(REPORT), "q2")
CASES = {
    " ".join(case.latex.split()): len(case.after) or case.times for case in WORLD.cases
}


def formulas(text: str) -> list[Formula]:
    lines = [Line(line, PAGE, i) for i, line in enumerate(text.split("\n"), 1)]
    return collect(lines)


ORIGINAL = formulas(TEXT)
DEFINING = {"k": r"k = d_0 d_1 + d_1", "T": r"T = \frac{\log \frac{1}{\eta}}{p_\star}"}


def pinned(found: list[Formula]) -> Counter[str]:
    """How often the page has what the world has a case for."""
    latex = [formula.latex for formula in found]
    several = [text for text in latex if "quad" in text or "," in text]
    parts = [part for text in several for part in sources(text) if part != text]
    return Counter(text for text in (*latex, *parts) if text in CASES)


def sources(latex: str) -> list[str]:
    try:
        return [" ".join(c.source.split()) for c in read(latex, WORLD.functions)]
    except FormulaError:
        return []


def faults(text: str) -> list[str]:
    """The faults of a changed page: only what is new is judged, and what rests on a
    changed definition.
    """
    found = formulas(text)
    known = {formula.latex for formula in ORIGINAL}
    now = {formula.latex for formula in found}
    changed = [name for name, latex in DEFINING.items() if latex not in now]
    judged = [
        formula
        for formula in found
        if formula.latex not in known
        or formula.latex in DEFINING.values()
        or any(re.search(rf"(?<![\\\w]){name}\b", formula.latex) for name in changed)
    ]
    section = Section(WORLD, judged)
    shown = [
        f"{finding.formula.where}: {fault}"
        for finding in section.examine(changes=False)
        for fault in finding.faults
        if finding.status != ABSENT
    ]
    here, before = pinned(found), pinned(ORIGINAL)
    gone = [latex for latex in CASES if not here[latex] and before[latex]]
    fewer = [latex for latex, times in CASES.items() if times and here[latex] != times]
    return shown + gone + fewer


def test_the_page_has_no_faults():
    findings = Section(WORLD, ORIGINAL).examine(changes=False)
    assert not [fault for finding in findings for fault in finding.faults]
    assert not [f for f in findings if f.reason]  # nothing is skipped


@pytest.mark.parametrize("name", ["3 levels, 1 input, 2 neurons", "2 inputs"])
def test_the_teachers_function_is_counted_as_torch_computes_it(name):
    known = CLASSES[name]
    levels = range(-(known.levels // 2), known.levels // 2 + 1)
    k = known.hidden * (known.inputs + 1)
    weights = torch.tensor(list(product(levels, repeat=k)), dtype=torch.float64)
    W = weights[:, : known.hidden * known.inputs]
    W = W.reshape(-1, known.hidden, known.inputs)
    a = weights[:, known.hidden * known.inputs :]
    angles = torch.arange(0, 360, dtype=torch.float64) * torch.pi / 180
    x = torch.stack([angles.cos(), angles.sin()], 1) if known.inputs == 2 else None
    x = torch.tensor([[-1.0], [0.0], [1.0]]).double() if x is None else x
    arguments = (torch.relu(W @ x.T) * a[:, :, None]).sum(1)
    signs = torch.where(arguments.abs() < 1e-9, known.zero, arguments.sign())
    same = (signs == signs[known.teacher]).all(1)
    assert known.count == len(weights)
    assert same.numpy().tolist() == known.equals_teacher.tolist()
    assert known.p_star == Fraction(int(same.sum()), len(weights))


def test_the_stopping_time_is_as_simulated():
    known = CLASSES["3 levels, 1 input, 2 neurons"]
    generator = torch.Generator().manual_seed(211)
    chances = torch.tensor([chance for _, chance in known.law])
    runs, right = 20_000, torch.tensor(known.right)
    drawn = torch.multinomial(
        chances, runs * known.samples, replacement=True, generator=generator
    ).reshape(runs, -1)
    guesses = torch.randint(known.count, (runs, 3), generator=generator)
    fits = right[guesses[:, :, None], drawn[:, None, :]].all(-1)
    failed = (~fits).all(1).double().mean().item()
    assert abs(failed - known.survival(3)) < 0.02


PLANTED = {
    "the answer of Part 1": (
        r"Part 1: $q^{-d_0 d_1 - d_1}$",
        r"Part 1: $q^{-d_0 d_1 + d_1}$",
    ),
    "sign in the middle": (r"= 1 - e^{\lfloor T", r"= 1 + e^{\lfloor T"),
    "limit of a sum": (r"\sum_{i=1}^{d_1} a_i \left", r"\sum_{i=2}^{d_1} a_i \left"),
    "index": (r"\sum_j \lambda_j v_j", r"\sum_j \lambda_j v_1"),
    "exponent": (r"\lVert u_i \rVert^2", r"\lVert u_i \rVert"),
    "middle of a chain": (r"= q^{-k} =", r"= q^{k} ="),
    "event turned": (r"P(t > T \mid S)", r"P(t \le T \mid S)"),
    "limit in another size": (r"\lim_{d_0 \to", r"\lim_{d_1 \to"),
    "strict": (r"$r < 1$", r"$r \le 1$"),
    "weaker bound": (r"p_\star \ge q^{-d_0 d_1^\star", r"p_\star \ge q^{-d_0 d_1"),
    "confidences swapped": (
        r"\log \frac{1}{\delta} + \log \log \frac{1}{\eta}}{N}",
        r"\log \frac{1}{\eta} + \log \log \frac{1}{\delta}}{N}",
    ),
    "lost backslash": (r"\log \log \frac{1}{\eta}}{N}", r"\log log \frac{1}{\eta}}{N}"),
    "second equation": (r"= \frac{d_1^\star}{d_1}", r"= \frac{d_1^\star}{d_1}, q = 2"),
    "definition of k": (r"$k = d_0 d_1 + d_1$", r"$k = d_0 d_1$"),
    "definition of T": (
        r"T = \frac{\log \frac{1}{\eta}}{p_\star}",
        r"T = \frac{\log \frac{1}{p_\star}}{\eta}",
    ),
    "condition": (r"$0 \le p < 1$", r"$0 \le p \le 1$"),
    "threshold": (r"\eta \le e^{-2}", r"\eta \le e^{-1/2}"),
    "one of several": (
        r"Such a neuron costs $\log q$",
        r"Such a neuron costs $q \log q$",
    ),
    "result": (r"$(d_0 + 1) \log q$", r"$(d_0 - 1) \log q$"),
    "setting": (r"$N = 32$", r"$N = 64$"),
}


def test_the_short_way_finds_nothing_on_the_page_as_it_is():
    assert not faults(TEXT)


@pytest.mark.parametrize("what", PLANTED)
def test_an_error_on_the_page_is_found(what):
    old, new = PLANTED[what]
    assert old in TEXT
    assert faults(TEXT.replace(old, new, 1))
