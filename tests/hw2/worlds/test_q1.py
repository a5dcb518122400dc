"""Question 1 on the page: its world is right, and errors in it are noticed."""

import numpy as np
import pytest

from hw2.formulas.meaning import Scope
from hw2.theory.bayes_risk import bayes_risk, optimal_mu
from hw2.worlds import q1
from hw2.worlds.q1 import WORLD


def test_no_formula_has_a_fault(page) -> None:
    assert [fault for f in page.today for fault in f.faults] == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"X w_{\mathrm{true}} + \epsilon,", r"X w_{\mathrm{true}} - \epsilon,"),
        (r"\| X v \|^2 \ge 0", r"\| X v \|^2 > 0"),
        (r"\sum_{i = 1}^{n} M_{ii}", r"\sum_{i = 1}^{n-1} M_{ii}"),
        (r"$0 < \mu < \mu^\star$", r"$0 < \mu \le \mu^\star$"),
        (r"which is $d\, \sigma_\epsilon^2", r"which is $\sigma_\epsilon^2"),
        (
            r"= \sum_{i=1}^{d} \frac{\sigma_\epsilon^2}{\lambda_i + \mu^\star}",
            r"= sum_{i=1}^{d} \frac{\sigma_\epsilon^2}{\lambda_i + \mu^\star}",
        ),
    ],
)
def test_a_planted_error_is_a_fault(page, right: str, wrong: str) -> None:
    assert page.faults(right, wrong)


@pytest.mark.parametrize("name", WORLD.instances)
def test_outcomes_have_the_covariances_of_teacher_and_noise(name: str) -> None:
    d, N, n = (WORLD.instances[name][symbol] for symbol in "dNn")
    drawn = q1.outcomes(d, N, n)
    for symbol, size, variance in (
        ("w_true", d, q1.SIGMA_W**2 / d),
        ("epsilon", N, q1.SIGMA_EPSILON**2),
        ("z", n, q1.S**2),
    ):
        vectors = np.hstack([outcome[symbol] for outcome in drawn])
        assert np.allclose(vectors.mean(axis=1), 0)
        covariance = vectors @ vectors.T / len(drawn)
        assert np.allclose(covariance, variance * np.eye(size))
    assert sum(outcome.weight for outcome in drawn) == pytest.approx(1)


@pytest.mark.parametrize("name", WORLD.instances)
def test_summands_and_best_mu_are_those_of_the_theory(name: str) -> None:
    scope = Scope(WORLD.instances[name])
    eigenvalues, sigmas = np.array(scope["lambda"]), (q1.SIGMA_W, q1.SIGMA_EPSILON)
    for mu in (0.0, 0.3, 4.0):
        total = q1.summands(scope, mu).sum()
        assert total == pytest.approx(float(bayes_risk(eigenvalues, mu, *sigmas)))
    assert q1.best(scope) == pytest.approx(optimal_mu(scope["d"], *sigmas))
