"""Every kind of change changes something."""

import pytest

from hw2.formulas.changing import wrong_versions
from hw2.formulas.meaning import Scope, column, truth
from hw2.formulas.reading import FormulaError, Node, read

TABLE = {"a": 2.0, "b": 3.0, "x": column([3, 4]), "n": 3, "A": {(1, 2): 5, (2, 1): 7}}
# a true formula, how its changes begin, and which of them are as true
FORMULAS = {
    "a + b = 5": (
        ["5 + 1", "5 - 1", "= ->", "member 1", "term 1 dropped", "sign of term 2"],
        [],
    ),
    "a b = 6": (["factor 1 dropped", "factor 2 dropped"], []),
    "-a = 1 - b": (["sign"], []),
    "a / b = 2 / 3": (["turned over", "denominator dropped", "numerator dropped"], []),
    "a^2 = 4": (["exponent dropped"], []),
    r"\sin(a) = \cos(a - \pi / 2)": (["sin -> cos", "sin dropped"], []),
    r"\max(a, b) = 3": (["max -> min"], ["arguments swapped"]),
    "A[1, 2] = 5": (["indices swapped"], []),
    r"\lfloor b / 2 \rfloor = 1": (["floor -> ceil", "floor dropped"], ["2 + 1"]),
    r"\lceil b / 2 \rceil = 2": (["ceil -> floor", "ceil dropped"], []),
    r"\sqrt{a + 7} = 3": (["sqrt dropped"], []),
    r"[2 - b]_+ + 1 = 1": (
        ["positive dropped"],
        ["2 + 1", "2 - 1", "sign of term 1", "term 1 dropped"],
    ),
    "|1 - b| = 2": (["abs dropped"], []),
    r"\lVert x \rVert = 5": (["norm dropped"], []),
    r"\sum_{i=1}^{n} i = 6": (["lower limit + 1", "upper limit - 1"], ["1 - 1"]),
    r"\lim_{t \to \infty} \exp(-t) = 0": (["goal of the limit"], ["member 2"]),
    "a < b": (["< -> >", r"< -> \le"], [r"< -> \le", "member 2"]),
    r"a \ge 2": ([r"\ge -> \le", r"\ge -> >"], [r"\ge -> \le", "member 1", "2 - 1"]),
    r"a \ne b": ([r"\ne -> ="], ["member 2"]),
    "x_1 = 3": (["1 + 1"], []),
}


def is_true(node):
    try:
        return truth(node, Scope(TABLE))
    except FormulaError:
        return False


@pytest.mark.parametrize("latex", FORMULAS)
def test_changes_are_made_and_make_it_false(latex):
    made, as_true = FORMULAS[latex]
    (chain,) = read(latex)
    node = Node("chain", chain.members, chain.relations)
    assert is_true(node)
    changes = list(wrong_versions(node))
    for kind in made:
        assert any(what.startswith(kind) for what, _ in changes), kind
    versions = [changed for _, changed in changes]
    assert node not in versions
    assert len(set(versions)) == len(versions)
    survivors = [what for what, changed in changes if is_true(changed)]
    assert all(what.startswith(tuple(as_true)) for what in survivors), survivors


def test_symbols_are_exchanged_for_their_kindred():
    (chain,) = read("a + 1 = 3")
    node = Node("chain", chain.members, chain.relations)
    b = read("b")[0].members[0]
    changes = dict(wrong_versions(node, lambda symbol: [b]))
    assert not is_true(changes["a -> b"])


def test_the_condition_of_a_mean_is_dropped():
    (chain,) = read(r"P(a > 1 \mid b > 2) = 1")
    node = Node("chain", chain.members, chain.relations)
    assert "condition dropped" in dict(wrong_versions(node))
