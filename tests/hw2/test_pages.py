"""Finding labels in the sources, and comparing the page's LaTeX with sympy
expressions.
"""

from pathlib import Path

import pytest
import sympy as sp

from hw2 import pages
from qmdpdf.source import expand

M, N, q = sp.symbols("M N q", positive=True)
i = sp.Symbol("i")
C_in, d_star = sp.symbols(r"C_{\mathrm{in}} d_1^\star", positive=True)

PAGE = """\
# Title
$$ a = b $$ {#eq-one}

$$
c = d
$$

$$
e = f
$$ {#eq-two}

::: {#thm-three}
Text.
:::

```{python}
#| output: asis
claims.equation("eq-four", "g")
```

```{python}
#| label: tbl-five
```
"""


def test_places(tmp_path: Path):
    page = tmp_path / "page.qmd"
    page.write_text(PAGE)
    found = pages.find_places(expand(page))
    assert list(found) == ["eq-one", "eq-two", "thm-three", "eq-four", "tbl-five"]
    assert found["eq-one"].latex == "a = b"
    assert found["eq-two"].latex == "e = f"
    assert found["eq-two"].where.endswith("page.qmd:8")
    assert found["eq-four"].printed
    assert [place.needs_claim for place in found.values()] == [
        True,
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("latex", "claimed"),
    [
        (r"P = M \cdot M \cdot C_{\mathrm{in}} \cdot N + N", M * M * C_in * N + N),
        (r"P &= M^2 \, C_{\mathrm{in}} N + N,", M**2 * C_in * N + N),
        (
            r"h = \left\lfloor \frac{M + 1}{2} \right\rfloor \qquad (M > 0)",
            sp.floor((M + 1) / 2),
        ),
        (r"\sigma = \sqrt{\frac{2}{M}}", sp.sqrt(2 / M)),
        (r"p = q^{-M d_1^\star}", q ** (-M * d_star)),
        (r"c = \frac{4 M}{3 \sqrt{2 \pi q}}", 4 * M / (3 * sp.sqrt(2 * sp.pi * q))),
        (r"s = \sum_{i=1}^{N} M^i", sp.Sum(M**i, (i, 1, N))),
        (r"M \le N^2", sp.Le(M, N**2)),
        (r"f = e^{-M} \log q", sp.exp(-M) * sp.log(q)),
    ],
)
def test_an_equation_ties_to_its_expression(latex, claimed):
    assert pages.tie(pages.Place("eq-a", "p:1", latex=latex), claimed) == "parsed"


def test_a_relation_is_compared_as_it_is_written_and_not_decided():
    x = sp.Symbol("x", real=True)
    quarter = sp.Integral(x, (x, 0, 1)) / 2
    read = pages.read(r"\frac{1}{2} \int_0^1 x \,\mathrm{d}x = \frac{1}{4}",
                      sp.Eq(quarter, sp.Rational(1, 4), evaluate=False))  # fmt: skip
    assert isinstance(read, sp.Eq)
    assert read.lhs.has(sp.Integral)
    true = sp.Eq(x, x + 1 - 1, evaluate=False)  # which claims nothing
    with pytest.raises(pages.TieError):
        pages.tie(pages.Place("eq-a", "p:1", latex="x = x + 1"), true)


@pytest.mark.parametrize(
    ("latex", "claimed"),
    [
        (r"P = M \cdot C_{\mathrm{in}} \cdot N + N", M * M * C_in * N + N),
        (r"P = M^2 C_{\mathrm{in}} N", M**2 * C_in * N + N),
        (r"P = M^2 C_{\mathrm{out}} N + N", M**2 * C_in * N + N),
        (r"h = \left\lceil \frac{M}{2} \right\rceil", sp.floor(M / 2)),
        (r"M \ge N^2", sp.Le(M, N**2)),
        (r"M < N^2", sp.Le(M, N**2)),
        (r"p = q^{M d_1^\star}", q ** (-M * d_star)),
        (r"p = q^{-M d_1^", q ** (-M * d_star)),
    ],
)
def test_a_typing_error_is_found(latex, claimed):
    with pytest.raises(pages.TieError):
        pages.tie(pages.Place("eq-a", "p:1", latex=latex), claimed)


def test_what_is_not_an_expression_is_not_tied():
    assert pages.tie(pages.Place("tbl-a", "p:1"), [1, 2]) == "no"
    assert pages.tie(pages.Place("eq-a", "p:1", printed=True), M) == "printed"
