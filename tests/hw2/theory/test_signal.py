"""Mean-field theory against closed forms and against an independent quadrature."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from hw2 import claims
from hw2.tasks import signal
from hw2.theory import signal as theory

SCHEMES = {scheme.name: scheme for scheme in signal.SCHEMES}


@pytest.mark.parametrize("variance", [0.01, 1.0, 400.0])
@pytest.mark.parametrize("f", [np.tanh, np.square, lambda u: np.maximum(u, 0) ** 2])
def test_gaussian_mean_agrees_with_adaptive_quadrature(f, variance):
    exact = stats.norm(scale=math.sqrt(variance)).expect(
        f, lb=-12 * math.sqrt(variance), ub=12 * math.sqrt(variance)
    )
    assert theory.gaussian_mean(f, variance) == pytest.approx(exact, rel=1e-5, abs=1e-9)


def test_closed_forms_of_the_mean_field():
    layers = np.arange(1, 101)
    field = theory.mean_field(SCHEMES["unit normal, linear"])
    np.testing.assert_allclose(field.log_std, layers * math.log(512) / 2)
    field = theory.mean_field(SCHEMES["Kaiming, ReLU"])
    np.testing.assert_allclose(field.variance, 2, rtol=1e-5)
    np.testing.assert_allclose(field.log_gradient, 0, atol=1e-4)
    field = theory.mean_field(SCHEMES["Xavier, ReLU"])
    np.testing.assert_allclose(np.diff(field.log_std), -math.log(2) / 2, rtol=1e-4)


def test_a_prediction_outside_the_band_is_noticed():
    measured = np.exp(np.random.default_rng(0).normal(0, 0.1, (64, 10)))
    trace = signal.Trace(measured, np.hstack([measured, np.ones((64, 1))]))
    good = theory.MeanField(np.zeros(10), np.zeros(11), np.ones(10))
    late = theory.MeanField(np.array([0.0] * 9 + [0.5]), np.zeros(11), np.ones(10))
    assert theory.inside_band(trace, good)
    assert not theory.inside_band(trace, late)


def test_networks_alone_refute_wrong_schemes_but_not_small_changes_of_one():
    measured = signal.study.__wrapped__(seeds=16)
    claim = claims.registry()["tbl-t1-schemes"]

    def inside(predicted):
        return all(
            theory.inside_band(measured[name], predicted[name]) for name in measured
        )

    assert inside(claim.claimed)
    passing = [name for name, predicted in claim.mutants.items() if inside(predicted)]
    assert passing == ["3% off per layer"]  # `follows` refutes it


@pytest.mark.parametrize("name", SCHEMES)
def test_a_prediction_has_to_follow_its_recursion_in_every_layer(name):
    field = theory.predictions()[name]
    assert theory.follows(SCHEMES[name], field)
    for layer in (0, 60, 99):
        variance = field.variance.copy()
        variance[layer] *= 1.001
        assert not theory.follows(SCHEMES[name], replace(field, variance=variance))


def test_from_the_first_infinite_unit_to_nothing_but_nan():
    """As often after one layer and after two as where every layer is computed."""
    networks, width, expected = 200, 64, []
    torch.manual_seed(2)
    for _ in range(networks):
        x, first, layer = torch.randn(width), 0, 0
        while not x.isnan().all():
            layer += 1
            x = torch.randn(width, width) @ x
            if not first and not x.isfinite().all():
                first = layer
        expected.append(layer - first)
    found = theory.layers_to_nan(networks, width, seed=1)
    assert set(found) == set(expected) == {1, 2}
    table = [
        [sample.count(layers) for layers in (1, 2)] for sample in (found, expected)
    ]
    assert stats.fisher_exact(table).pvalue > 1e-3
