"""What is true, false, and without a value."""

import math
from pathlib import Path

import numpy as np
import pytest

from hw2.formulas.checking import Case, Section, World
from hw2.formulas.collecting import Formula, collect
from hw2.formulas.meaning import (
    Free,
    Identity,
    Outcome,
    Scope,
    column,
    equal,
    satisfied,
    truth,
    value,
)
from hw2.formulas.reading import FormulaError, Node, read
from qmdpdf.source import Line

TABLE = {
    "a": 2,
    "x": column([3, 4]),
    "A": np.array([[1.0, 2], [2, 4]]),
    "B": np.ones((2, 3)),
    "I": Identity(),
    "n": Free((1, 2, 5), (0, -1)),
    "t": Free((0.5, 2.0)),
}


def holds(latex, table=TABLE, measures=None):
    (chain,) = read(latex)
    node = Node("chain", chain.members, chain.relations)
    return satisfied(lambda s: truth(node, s), Scope(table, measures or {}))[0]


@pytest.mark.parametrize(
    "latex",
    [
        "a = 2",
        "a + 1 = 3 < 4",
        "n^2 \\ge n",
        "\\log(t^2) = 2 \\log t",
        "A x = A I x",
        "A^T = A",
        "x^T A x = \\sum_{i=1}^{2} x_i (A x)_i",
        "\\lim_{s \\to \\infty} \\frac{s}{s + 1} = 1",
        "\\frac{\\partial}{\\partial t} t^3 = 3 t^2",
        "\\int_0^\\infty \\exp(-t s) \\,\\mathrm{d}s = 1 / t",
        "n \\in \\{1, \\dots, 5\\}",
        "3 \\approx 3.1",
    ],
)
def test_true(latex):
    assert holds(latex)


@pytest.mark.parametrize(
    "latex",
    [
        "a = 3",
        "a = 2 = 3",
        "n^2 > n",  # not at 1
        "\\log(t^2) = \\log t",
        "3 \\approx 3.5",
        "a \\ne 2",
        "a < 2",
        "1 = 1 + 10^{-7}",
    ],
)
def test_false(latex):
    assert not holds(latex)


@pytest.mark.parametrize(
    ("latex", "message"),
    {
        "q = 1": "`q` means nothing here",
        "A^{-1} A = I": "singular",
        "B x = x": "shapes",
        "A x = 1": "a matrix is compared with a number",
        "1 / (a - 2) = 0": "division by 0",
        "\\sum_j j = 1": "no limits",
        "\\mathbb{E}[a] = 2": "nothing that is random",
        "a + x = x": "a sum of shapes",
        "\\sqrt{-a} = 1": "square root of -2",
        "x_3 = 1": "no entry 3 of 2",
    }.items(),
)
def test_without_a_value(latex, message):
    with pytest.raises(FormulaError, match=message):
        holds(latex)


def test_means_and_probabilities():
    dice = {"": lambda scope: [Outcome(1 / 6, {"k": k}) for k in range(1, 7)]}
    for latex in (
        "\\mathbb{E}[k] = 7/2",
        "\\mathrm{Var}(k) = 35/12",
        "P(k > 4) = 1/3",
        "P(k = 6 \\mid k > 4) = 1/2",
    ):
        assert holds(latex, {**TABLE, "k": Free(())}, dice), latex
    assert not holds("\\mathbb{E}[k^2] = (7/2)^2", TABLE, dice)


def test_equality_knows_rounding_and_kinds():
    assert equal(0.1 + 0.2, 0.3)
    assert not equal(1.0, 1.0 + 1e-6)
    assert equal(0.3 - 0.1 - 0.2, 0.0)
    assert not equal(1e-12, 2e-12)
    assert equal(math.inf, math.inf)
    assert not equal(math.inf, 1e300)
    infinite = np.array([math.inf, 1.0])
    assert equal(infinite, infinite.copy())
    assert not equal(infinite, np.array([0.0, 1.0]))
    assert not equal(infinite, np.array([math.inf, 2.0]))
    assert not equal(np.array([math.nan]), np.array([math.nan]))
    with pytest.raises(FormulaError):
        equal(frozenset({1}), 1)


def test_an_argument_means_what_it_means_to_the_caller():
    found = judged("f(x) = 2 x", "f(x + 1) = 2 x + 2", "f(f(x)) = 4 x")
    assert [finding.faults for finding in found] == [[], [], []]
    found = judged("f(x) = 2 x", "f(x + 1) = 2 x + 1")
    assert found[1].faults


def test_entries_of_a_matrix_are_no_probabilities():
    (chain,) = read("P_i[1, 2]")
    P = {1: np.array([[1.0, 7]])}
    assert value(chain.members[0], Scope({"P": P, "i": 1})) == 7


def judged(*formulas, cases=(), instances=None):
    world = World(
        "q9",
        "numbers",
        instances or {"one": {"x": Free((1, 2)), "c": 3}},
        functions=frozenset({"f"}),
        defined=frozenset({"f"} if any("f(x) =" in f for f in formulas) else ()),
        cases=cases,
    )
    group = [Formula(f, f"page:{i}", "q9", "inline") for i, f in enumerate(formulas)]
    return Section(world, group).examine(False)


def test_true_in_one_instance_only_is_a_fault_in_the_other():
    instances = {"three": {"c": 3}, "four": {"c": 4}}
    (found,) = judged("c + 6 = 3 c", instances=instances)
    assert "instance four" in found.faults[0]
    assert "`3 c` is 12" in found.faults[0]


def test_cases_are_pinned_to_the_page():
    _, absent = judged("c = 3", cases=[Case("c = 4")])
    assert "the page has it not; most like it is `c = 3`, here" in absent.faults[0]
    assert absent.formula.where == "page:0"
    *_, twice = judged("c = 3", "c = 3", cases=[Case("c = 3")])
    assert "page:0, page:1" in twice.faults[0]
    for times in (0, 2):
        found = judged("c = 3", "c = 3", cases=[Case("c = 3", times=times)])
        assert not any(f.faults for f in found)


def test_conditions_that_are_exchanged_are_found():
    instances = {"one": {"x": Free((-1, 1))}}
    cases = [
        Case("x < 0", where={"x": (-1,)}, after=("it falls for",)),
        Case("x > 0", where={"x": (1,)}, after=("and rises for", "also for")),
    ]
    text = "Then it falls for ${}$ and\nrises for ${}$, also for ${}$."
    world = World("q9", "numbers", instances, cases=cases)

    def faults(*formulas):
        page = text.format(*formulas).split("\n")
        lines = [Line(words, Path("page"), i) for i, words in enumerate(page, 1)]
        found = Section(world, collect(lines)).examine(False)
        return [f"{f.formula.where}: {fault}" for f in found for fault in f.faults]

    assert faults("x < 0", "x > 0", "x > 0") == []
    assert faults("x > 0", "x < 0", "x > 0") == [
        "page:2: `x < 0` stands behind 'and rises for', the world's case for it behind "
        "'it falls for'; if the page is right, change code/hw2/worlds/q9.py",
        "page:1: `x > 0` stands behind 'it falls for', the world's case for it behind "
        "'and rises for'; if the page is right, change code/hw2/worlds/q9.py",
    ]


def test_an_empty_formula_is_a_fault():
    (found,) = judged(" ")
    assert found.faults == ["the formula is empty"]


def test_conditions_are_sharp():
    instances = {"one": {"x": Free((1, 2), (0,))}}
    assert not judged("x > 0", instances=instances)[0].faults
    assert "meant to be false" in judged("x > -1", instances=instances)[0].faults[0]


def test_a_fault_names_the_definitions_that_it_uses():
    _, found, other = judged("f(x) = 2 x", "f(x) = 3 x", "c = 4")
    assert found.faults[0].endswith("; `f(x)` is defined at page:0")
    assert "defined" not in other.faults[0]


def test_a_fault_shows_the_formula_with_its_brackets():
    (found,) = judged(r"\left( \frac{c}{2} \right)^2 = 2")
    shown = r"\left( \frac{c}{2} \right)^2"
    assert found.faults[0].startswith(f"`{shown} = 2` does not hold")
    assert f"`{shown}` is 2.25" in found.faults[0]


def test_a_symbol_that_was_not_asked_for_is_shown_with_a_value():
    (found,) = judged(r"c = 4 \le x")
    assert "`x` is 1" in found.faults[0]
    assert "Needed" not in found.faults[0]
