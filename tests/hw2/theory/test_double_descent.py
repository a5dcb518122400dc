"""The students of some features against simulations that draw the teacher's other
features, and the readings' table.
"""

import math

import numpy as np
import pytest

from hw2.theory import double_descent as theory
from hw2.theory.bayes_risk import bayes_risk, optimal_mu, spectrum

D, SIGMA_W, SIGMA_EPS = 12, 1.3, 0.5


def simulated_risk(
    seen: np.ndarray, mu: float, draws: int = 20_000
) -> tuple[float, float]:
    """Mean of |w_mu - w_true|^2 for the seen features, over teachers, other features
    and noise; its standard error.
    """
    rng = np.random.default_rng(0)
    n, p = seen.shape
    teacher = rng.normal(0, SIGMA_W / math.sqrt(D), (draws, D))
    hidden = rng.standard_normal((draws, n, D - p))
    y = (
        teacher[:, :p] @ seen.T
        + np.einsum("tnk,tk->tn", hidden, teacher[:, p:])
        + rng.normal(0, SIGMA_EPS, (draws, n))
    )
    solver = (
        np.linalg.solve(seen.T @ seen + mu * np.eye(p), seen.T)
        if mu
        else np.linalg.pinv(seen)
    )
    student = np.pad(y @ solver.T, ((0, 0), (0, D - p)))
    risks = np.sum((student - teacher) ** 2, axis=1)
    return risks.mean(), risks.std(ddof=1) / math.sqrt(draws)


@pytest.mark.parametrize("shape", [(9, 4), (5, 9), (6, 6)], ids=str)
@pytest.mark.parametrize("mu", [0.0, 2.0])
def test_the_risk_of_a_student_is_the_simulated_one(shape, mu):
    seen = np.random.default_rng(1).standard_normal(shape)
    mean, error = simulated_risk(seen, mu)
    assert error < 0.03 * mean
    assert (
        abs(theory.student_risk(spectrum(seen), mu, D, SIGMA_W, SIGMA_EPS) - mean)
        < 4 * error
    )


def test_a_student_of_all_features_is_that_of_question_1():
    seen = np.random.default_rng(1).standard_normal((5, D))
    mus = np.array([0.0, 1.0, 10.0])
    found = theory.student_risk(spectrum(seen), mus, D, SIGMA_W, SIGMA_EPS)
    assert found == pytest.approx(bayes_risk(spectrum(seen), mus, SIGMA_W, SIGMA_EPS))
    assert theory.best_mu(D, D, SIGMA_W, SIGMA_EPS) == optimal_mu(D, SIGMA_W, SIGMA_EPS)


@pytest.mark.parametrize("p", [3, 7, 12])
def test_no_other_mu_has_a_smaller_risk(p):
    seen = np.random.default_rng(1).standard_normal((7, p))
    mus = theory.best_mu(p, D, SIGMA_W, SIGMA_EPS) * np.array([0.5, 0.9, 1.0, 1.1, 2.0])
    assert (
        np.argmin(theory.student_risk(spectrum(seen), mus, D, SIGMA_W, SIGMA_EPS)) == 2
    )


@pytest.mark.parametrize(("n", "p"), [(20, 8), (8, 20), (12, 12), (12, 13)])
def test_the_mean_risk_is_the_mean_of_the_risks(n, p):
    xs = np.random.default_rng(1).standard_normal((600, n, p))
    risks = np.array(
        [theory.student_risk(spectrum(x), 0.0, 24, SIGMA_W, SIGMA_EPS) for x in xs]
    )
    mean = theory.mean_risk(n, p, 24, SIGMA_W, SIGMA_EPS)
    if abs(n - p) < 2:
        assert mean == math.inf
    else:
        assert abs(risks.mean() - mean) < 4 * risks.std(ddof=1) / math.sqrt(len(risks))


def test_a_sweep_takes_the_first_rows_and_columns():
    found = theory.sweep([(3, 5), (7, 5), (7, 2)], 5, SIGMA_W, SIGMA_EPS, draws=2)
    xs = np.random.default_rng(211).standard_normal((2, 7, 5))
    for i, x in enumerate(xs):
        for j, (n, p) in enumerate(found.pairs):
            mus = np.array([0, theory.best_mu(p, 5, SIGMA_W, SIGMA_EPS)])
            risks = theory.student_risk(spectrum(x[:n, :p]), mus, 5, SIGMA_W, SIGMA_EPS)
            assert [found.least_norm[i, j], found.best[i, j]] == pytest.approx(
                risks.tolist()
            )
    assert found.mean[1] == theory.mean_risk(7, 5, 5, SIGMA_W, SIGMA_EPS)


@pytest.mark.parametrize(
    ("sweep", "column"), [(theory.over_features, 1), (theory.over_samples, 0)]
)
def test_without_regularization_there_is_a_peak_and_at_the_best_mu_there_is_none(
    sweep, column
):
    found = sweep()
    x = np.array([pair[column] for pair in found.pairs])
    risk = np.median(found.least_norm, axis=0)
    assert x[np.argmax(risk)] == found.pairs[0][1 - column]  # at n = p
    assert risk[-1] < risk[0]
    assert np.all(np.diff(found.best.mean(axis=0)) < 0.005)


# the readings written down once more, so that a change of one shows: curve, first
# minimum, peak, right end, train curve
READINGS = {
    "a": """
| De-En, 160K sentences | 3.75 at 75 | 5.4 at 205 | 4.1 at 512 | 210 |
| En-Fr, 200K sentences | 4.1 at 110 | 5.2 at 295 | 4.75 at 495 | 300 |
""",
    "b": """
| 0% label noise | 0.45 at 7 | 0.47 at 9 | 0.3 at 64 | 13 |
| 10% label noise | 0.51 at 5 | 0.56 at 11.5 | 0.4 at 64 | 15 |
| 20% label noise | 0.54 at 5 | 0.64 at 13 | 0.47 at 64 | 17 |
""",
    "c": """
| width 3 (small) | none | none | 0.25 at 4000 |
| width 12 (intermediate) | 0.23 at 80 | 0.36 at 1000 | 0.35 at 4000 |
| width 64 (large) | 0.17 at 20 | 0.3 at 65 | 0.2 at 4000 |
""",
}


@pytest.mark.parametrize("plot", READINGS)
def test_the_table_of_a_plot_has_its_readings(plot):
    _, _, *rows = theory.table(plot).splitlines()
    assert rows == READINGS[plot].split("\n")[1:-1]


def test_readings_describe_a_double_descent():
    for curve in theory.CURVES:
        if curve.peak:
            (low, bottom), (at, top), (end, last) = (
                curve.minimum,
                curve.peak,
                curve.end,
            )
            assert low < at < end
            assert bottom < top > last
            assert not curve.interpolation or at <= curve.interpolation < end
