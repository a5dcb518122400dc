"""The initializations against torch.nn.init, the batched study against one network
computed plainly.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from hw2.tasks import signal

FANS = [(512, 512), (300, 700), (700, 300)]


@pytest.mark.parametrize(("fan_in", "fan_out"), FANS)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (signal.xavier_init, nn.init.xavier_uniform_),
        (
            signal.kaiming_init,
            lambda w: nn.init.kaiming_normal_(w, mode="fan_in", nonlinearity="relu"),
        ),
    ],
)
def test_initializations_have_the_distribution_of_pytorch(
    ours, theirs, fan_in, fan_out
):
    torch.manual_seed(0)
    weights, reference = ours(fan_in, fan_out), theirs(torch.empty(fan_out, fan_in))
    assert weights.shape == reference.shape == (fan_out, fan_in)
    assert weights.dtype == reference.dtype
    assert (
        stats.ks_2samp(weights.flatten().numpy(), reference.flatten().numpy()).pvalue
        > 1e-3
    )
    assert weights.std() == pytest.approx(reference.std().item(), rel=0.01)


@pytest.mark.parametrize(("fan_in", "fan_out"), FANS)
def test_xavier_fills_its_bounds(fan_in, fan_out):
    torch.manual_seed(0)
    bound = math.sqrt(6 / (fan_in + fan_out))
    largest = signal.xavier_init(fan_in, fan_out).abs().max().item()
    assert 0.999 * bound < largest <= bound


def test_kaiming_counts_the_inputs_not_the_outputs():
    torch.manual_seed(0)
    assert signal.kaiming_init(300, 700).std() == pytest.approx(
        math.sqrt(2 / 300), rel=0.01
    )


def test_propagate_is_the_loop_of_the_assignment():
    torch.manual_seed(7)
    x = torch.randn(512)
    for _ in range(100):
        x = torch.tanh(torch.randn(512, 512) @ x)
    assert torch.equal(signal.propagate(signal.unit_init, torch.tanh, seed=7)[-1], x)


def test_first_layer():
    hit = torch.zeros(5, 3, dtype=torch.bool)
    assert signal.first_layer(hit) is None
    hit[3, 1] = hit[4, 0] = True
    assert signal.first_layer(hit) == 3


def test_product_statistics_of_a_small_width():
    found = signal.product_statistics(width=16, products=2_000)
    assert abs(found.std - 4) < 5 * found.std_error < 0.5
    assert abs(found.mean) < 5 * found.mean_error
    again = signal.product_statistics.__wrapped__(width=16, products=2_000)
    assert found == again


def test_every_product_that_is_counted_has_fresh_numbers(monkeypatch):
    drawn, original = [], signal._in_threads

    def watched(call, numbers, shape):
        parts = original(call, numbers, shape)
        drawn.append({tuple(part.tolist()) for part in parts})
        return parts

    monkeypatch.setattr(signal, "_in_threads", watched)
    found = signal.product_statistics.__wrapped__(width=4, products=7)
    assert len(drawn[0]) == 7
    means = np.array([mean for mean, _ in drawn[0]])
    assert found.mean_error == pytest.approx(means.std(ddof=1) / math.sqrt(7))


def test_the_study_draws_the_same_again(monkeypatch):
    monkeypatch.setattr(signal, "WIDTH", 32)
    monkeypatch.setattr(signal, "DEPTH", 6)
    first, again = (signal.study.__wrapped__(seeds=12, chunk=2) for _ in range(2))
    assert list(first) == [scheme.name for scheme in signal.SCHEMES]
    for name, trace in first.items():
        assert trace.std.tobytes() == again[name].std.tobytes()
        assert trace.gradient.tobytes() == again[name].gradient.tobytes()
    assert len({trace.std.tobytes() for trace in first.values()}) == len(first)


def test_the_study_agrees_with_autograd_on_one_network(monkeypatch):
    monkeypatch.setattr(signal, "WIDTH", 32)
    monkeypatch.setattr(signal, "DEPTH", 6)
    scheme = signal.Scheme("t", 0.3, activation="tanh")
    std, gradient = signal._trace([scheme], seed=5, weights=torch.empty(6, 1, 32, 32))

    generator = torch.Generator().manual_seed(5)
    x = torch.empty(1, 32, 1).normal_(generator=generator)[0, :, 0].requires_grad_()
    g = torch.empty(1, 32, 1).normal_(generator=generator)[0, :, 0]
    weights = torch.empty(6, 1, 32, 32).normal_(generator=generator)[:, 0] * 0.3
    signals = [x]
    for a in weights:
        signals.append(torch.tanh(a @ signals[-1]))
    gradients = torch.autograd.grad(signals[-1], signals, g / g.norm())
    np.testing.assert_allclose(
        std[0, :, 0], [s.detach().std() for s in signals[1:]], rtol=1e-5
    )
    np.testing.assert_allclose(
        gradient[0, :, 0], [v.norm() for v in gradients], rtol=1e-4
    )


def test_uniform_schemes_draw_uniform_weights(monkeypatch):
    monkeypatch.setattr(signal, "WIDTH", 256)
    monkeypatch.setattr(signal, "DEPTH", 1)
    scheme = signal.Scheme("u", signal.xavier_bound(256, 256), uniform=True)
    std, _ = signal._trace([scheme], seed=1, weights=torch.empty(1, 64, 256, 256))
    assert std.mean() == pytest.approx(1, abs=0.02)
