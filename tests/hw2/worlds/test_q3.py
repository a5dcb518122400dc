"""Question 3 on the page: its world is right, and errors in it are noticed."""

import numpy as np
import pytest

from hw2.formulas.meaning import Scope
from hw2.theory.bayes_risk import spectrum
from hw2.theory.double_descent import best_mu, student_risk
from hw2.worlds import q3
from hw2.worlds.q3 import WORLD


def test_no_formula_has_a_fault(page) -> None:
    assert [fault for f in page.today for fault in f.faults] == []


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
def test_a_planted_error_is_a_fault(page, right: str, wrong: str) -> None:
    assert page.faults(right, wrong)


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
