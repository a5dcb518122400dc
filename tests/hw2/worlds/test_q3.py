"""Question 3 on the page: its world is right, and errors in it are noticed."""

import numpy as np
import pytest

from hw2 import claims
from hw2.formulas.checking import Section
from hw2.formulas.collecting import collect, text_of
from hw2.formulas.meaning import Scope
from hw2.paths import REPORT
from hw2.theory.bayes_risk import spectrum
from hw2.theory.double_descent import best_mu, student_risk
from hw2.worlds import q3
from hw2.worlds.q3 import WORLD
from qmdpdf.source import Line, expand

PAGE = REPORT.parent / "theory/_q3-double-descent.qmd"


def faults(text: str) -> list[str]:
    """The faults of the section with this text."""
    lines = [Line(line, PAGE, i) for i, line in enumerate(text.splitlines(), 1)]
    findings = Section(WORLD, collect(lines, claims.written)).examine(changes=False)
    return [fault for finding in findings for fault in finding.faults]


def test_no_formula_has_a_fault() -> None:
    assert faults(text_of(expand(REPORT), "q3")) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"\le \varepsilon \right\}", r"< \varepsilon \right\}"),
        (r"with $\mathrm{EMC} \gg n$", r"with $\mathrm{EMC} \ll n$"),
        ("e^{-x/2}}{2^{k/2}", "e^{-x/2}}{2^{k}"),
        ("for $k > 2$", "for $k > 1$"),
        (r"\frac{r}{|n - p| - 1}", r"\frac{r}{|n - p|}"),
        ("for $|n - p| > 1$", r"for $|n - p| \ge 1$"),
    ],
)
def test_a_planted_error_is_a_fault(right: str, wrong: str) -> None:
    text = text_of(expand(REPORT), "q3")
    assert right in text
    assert faults(text.replace(right, wrong, 1))


@pytest.mark.parametrize("k", [3, 4, 7])
def test_means_over_chi_squared_are_those_of_simulated_sums(k: int) -> None:
    drawn = (np.random.default_rng(0).standard_normal((100_000, k + 2)) ** 2).sum(
        axis=1
    )
    assert q3.inverse_mean(k + 2) == pytest.approx((1 / drawn).mean(), rel=0.02)
    mean = sum(weight * x for x, weight in q3.chi_squared(k))
    assert mean == pytest.approx(k)


@pytest.mark.parametrize(("n", "p"), [(9, 3), (4, 10)])
def test_the_mean_risk_is_that_of_gaussian_matrices(n: int, p: int) -> None:
    d, sigmas = 12, (q3.SIGMA_W, q3.SIGMA_EPSILON)
    xs = np.random.default_rng(0).standard_normal((2000, n, p))
    risks = [float(student_risk(spectrum(x), 0.0, d, *sigmas)) for x in xs]
    scope = Scope({"d": d})
    exact = sum(
        o.weight * q3.risk(scope.with_(o), np.linalg.pinv(o["X"]))
        for o in q3.matrices(n, p)
    )
    assert exact == pytest.approx(
        np.mean(risks), abs=4 * np.std(risks) / len(xs) ** 0.5
    )


@pytest.mark.parametrize("name", WORLD.instances)
def test_the_best_mu_is_that_of_the_theory(name: str) -> None:
    _, p, d, _ = q3.SIZES[name]
    assert q3.best(name) == pytest.approx(best_mu(p, d, q3.SIGMA_W, q3.SIGMA_EPSILON))
