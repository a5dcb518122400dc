"""The grammar against a table of LaTeX with values made by hand; and what it refuses,
where.
"""

from fractions import Fraction

import numpy as np
import pytest

from hw2.formulas.meaning import Scope, column, value
from hw2.formulas.reading import FormulaError, name_of, read

TABLE = {
    "a": 2,
    "b": 3,
    "x": column([3, 4]),
    "A": np.array([[1.0, 2], [3, 4]]),
    "f": lambda t: t + 1,
    "range i": range(1, 4),
}
VALUES = {
    "a b": 6,
    r"a \cdot b": 6,
    "a b^2": 18,
    "(a b)^2": 36,
    "-a^2": -4,
    "a - b - 1": -2,
    "a / b": Fraction(2, 3),
    r"\frac{a}{b} a": Fraction(4, 3),
    "a^{-1}": Fraction(1, 2),
    "2^{a b}": 64,
    r"10\,000": 10000,
    "0.25": Fraction(1, 4),
    "f(a) b": 9,
    "a (b + 1)": 8,
    "a f(b)^2": 32,
    r"\sum_{i=1}^{3} i^2": 14,
    r"\sum_{i=1}^{3} i + 1": 7,
    r"\sum_{i=2}^{a} i": 2,
    r"\sum_i i": 6,
    r"\sum_{i=1}^{0} i": 0,
    r"\lfloor b / 2 \rfloor": 1,
    r"\lceil b / 2 \rceil": 2,
    "|a - b|": 1,
    r"\lVert x \rVert^2": 25,
    r"\|x\|": 5,
    "x^T x": 25,
    "x[2]": 4,
    "x_1": 3,
    "A_{1, 2}": 2,
    "A[2, 1]": 3,
    r"\mathrm{tr}(A)": 5,
    r"\max(a, b)": 3,
    r"\sqrt{4} b": 6,
    r"[a - b]_+": 0,
    r"\int_0^1 t^2 \,\mathrm{d}t": 1 / 3,
    r"\left( \frac{1}{a} \right)^2": Fraction(1, 4),
}


@pytest.mark.parametrize("latex", VALUES)
def test_values_made_by_hand(latex):
    ((member,),) = (chain.members for chain in read(latex, {"f"}))
    assert value(member, Scope(TABLE)) == pytest.approx(VALUES[latex])


def test_chains_parts_and_conditions():
    first, second = read(r"a = b \le c, \qquad n > 1 \quad \text{for all}")
    assert first.relations == ("=", r"\le")
    assert len(first.members) == 3
    assert second.relations == (">",)
    assert second.source == "n > 1"


def test_rows_that_begin_with_a_relation_go_on():
    (chain,) = read(r"\begin{aligned} a &= b \\ &= c \end{aligned}")
    assert chain.relations == ("=", "=")
    assert len(read(r"\begin{aligned} a &= b \\ c &= d \end{aligned}")) == 2


@pytest.mark.parametrize(
    ("latex", "name"),
    {
        r"d_1^\star": "d_1^star",
        r"w_{\mathrm{true}}": "w_true",
        r"\mathbf{w}_2": "bf-w_2",
        r"\mathcal{R}": "cal-R",
        r"\overline{x}": "overline-x",
        r"w_{\mu^\star}": "w_mustar",
        r"\varphi'": "varphi'",
    }.items(),
)
def test_names(latex, name):
    assert name_of(latex) == name


REFUSED = {
    r"1/2 \ell": 3,  # half of it, or one over twice it?
    r"a / b c": 5,
    "(a + b": 7,
    "a + b)": 6,
    r"\frac{a}{b": 11,
    "frac{1}{2}": 5,
    r"\unknown + 1": 1,
    "a + ": 5,
    "= a": 1,
    r"a \not= b": 3,
    "2^10": 3,
    "x_1_2": 1,
    r"\int_0^1 x": 1,
    r"a = b \frac{c = d}{2}": 13,
    r"a \begin{foo} b": 3,
    "a $ b": 3,
}


@pytest.mark.parametrize("latex", REFUSED)
def test_what_is_refused_and_where(latex):
    with pytest.raises(FormulaError) as refused:
        read(latex, {"f"})
    assert refused.value.position is not None
    assert refused.value.position + 1 == REFUSED[latex]
