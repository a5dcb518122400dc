"""The Bayes risk against direct linear algebra, and the tools of its claims against
numerics and known moments.
"""

import numpy as np
import pytest
import sympy as sp

from hw2.theory import bayes_risk as theory

SHAPES = [(1, 1), (3, 5), (5, 5), (8, 5)]
a, b = sp.symbols("a b")
MU = np.array([[0.1, 1.0], [7.0, 300.0]])


def direct_risk(
    x: np.ndarray, solver: np.ndarray, sigma_w: float, sigma_eps: float
) -> float:
    """Bayes risk of the student solver @ y, from the covariance of its error."""
    bias = solver @ x - np.eye(x.shape[1])
    return np.trace(
        sigma_w**2 / x.shape[1] * bias @ bias.T + sigma_eps**2 * solver @ solver.T
    )


@pytest.mark.parametrize(
    ("expression", "zero"),
    [
        ((a**2 - b**2) / (a - b) - a - b, True),
        ((a**2 - b**2) / (a - b) - a + b, False),
        (sp.Matrix([[0, a - a], [a * b - b * a, 1 / a - 1 / a]]), True),
        (sp.Matrix([[0, 0], [0, (a - 101) / b]]), False),  # zero where a is 101
        ((a - 101) / (a - 101) - 1, True),  # without a value there
        (sp.S.Zero, True),
    ],
)
def test_what_vanishes_is_decided_for_all_values(expression, zero):
    assert theory.vanishes(expression) == zero


@pytest.fixture(params=SHAPES, ids=str)
def x(request) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(request.param)


def test_the_spectrum_is_that_of_the_gram_matrix(x):
    found = theory.spectrum(x)
    np.testing.assert_allclose(found, np.linalg.eigvalsh(x.T @ x)[::-1], atol=1e-12)
    assert np.count_nonzero(found == 0) == max(0, x.shape[1] - x.shape[0])


def test_the_risk_is_that_of_the_error_covariance(x):
    h = x.T @ x
    direct = [
        direct_risk(x, np.linalg.solve(h + mu * np.eye(len(h)), x.T), 1.3, 0.7)
        for mu in MU.flat
    ]
    found = theory.bayes_risk(theory.spectrum(x), MU, 1.3, 0.7)
    assert found.shape == MU.shape
    np.testing.assert_allclose(found.ravel(), direct)


def test_without_regularization_it_is_the_risk_of_the_pseudo_inverse(x):
    direct = direct_risk(x, np.linalg.pinv(x), 1.3, 0.7)
    assert theory.bayes_risk(theory.spectrum(x), 0.0, 1.3, 0.7) == pytest.approx(direct)


def test_no_other_mu_has_a_smaller_risk(x):
    best = theory.optimal_mu(x.shape[1], 1.3, 0.7)
    risks = theory.bayes_risk(
        theory.spectrum(x), best * np.array([0.5, 0.9, 1.0, 1.1, 2.0]), 1.3, 0.7
    )
    assert np.argmin(risks) == 2


@pytest.mark.parametrize(
    ("eigenvalues", "mu"), [([1.0, -1e-16], 1.0), ([1.0, 2.0], [1.0, -1.0])]
)
def test_negative_values_are_refused(eigenvalues, mu):
    with pytest.raises(ValueError, match="must not be negative"):
        theory.bayes_risk(eigenvalues, mu, 1.0, 1.0)


def test_the_formula_of_the_claim_is_the_function_of_the_figure():
    values, mu = [0.0, 0.5, 4.0], 2.5
    at = {theory.mu: mu, theory.d: 3, theory.sigma_w: 1.3, theory.sigma_eps: 0.7}
    symbolic = [float(theory.TERM.subs({**at, theory.lam: value})) for value in values]
    np.testing.assert_allclose(theory.risk_terms(values, mu, 1.3, 0.7), symbolic)
    assert theory.optimal_mu(3, 1.3, 0.7) == pytest.approx(
        float(theory.MU_STAR.subs(at))
    )


def test_the_deviations_of_the_simulation_have_variance_one():
    mus = tuple(np.geomspace(0.1, 1e4, 200))
    deviation = theory.simulate(mus, sigma_eps=0.5, draws=200, samples=3, d=5).deviation
    assert abs(deviation.mean()) < 0.25
    assert 0.85 < deviation.std() < 1.15


def test_gaussian_means_have_their_known_values():
    a, b, s = sp.symbols("a b s", positive=True)
    found = theory.gaussian_mean(
        3 * a**4 + a**2 * b**2 + a**3 * b + 5 * b + 7, {a: s, b: sp.Integer(2)}
    )
    assert sp.expand(found - (9 * s**4 + 4 * s**2 + 7)) == 0


def test_designs_are_neither_diagonal_nor_all_of_full_rank():
    designs = theory.designs()
    assert {x.cols for x in designs} == {1, 2, 3, 4}
    assert all(not (x.T * x).is_diagonal() for x in designs if x.cols > 1)
    assert sum(x.rank() < min(x.shape) for x in designs) == 3
    assert any(x.rank() == x.cols == 4 for x in designs)


def test_a_rotated_matrix_has_its_eigenvalues():
    h, values = theory.rotated(3)
    numbers = dict(zip(values, (1, 2, 5), strict=True))
    np.testing.assert_allclose(
        np.linalg.eigvalsh(np.array(h.subs(numbers), dtype=float)), [1, 2, 5]
    )
    assert not h.is_diagonal()


def test_forms_are_what_their_latex_says():
    x = theory.designs()[3]
    gram = np.array(x.T * x, dtype=float)
    inverse = np.linalg.inv(gram + 1.5 * np.eye(len(gram)))
    found = theory.on(2 * theory.mu * theory.VARIANCE_TRACE + theory.BIAS_TRACE, x)
    assert float(found[0]) == pytest.approx(
        3 * np.trace(inverse @ gram @ inverse) + np.trace(inverse @ inverse)
    )
