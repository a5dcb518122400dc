"""The world of Question 4: its objects, and errors on the page that it catches."""

import numpy as np
import pytest

from hw2.formulas.meaning import Scope
from hw2.worlds import q4

WORLD = q4.WORLD


def test_no_faults(page) -> None:
    assert [fault for f in page.today for fault in f.faults] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            r"\sigma_l = \frac{1}{\sqrt{d_{l-1} / 2}} =",
            r"\sigma_l^2 = \frac{1}{\sqrt{2 d_{l-1}}} =",
        ),
        (r"\sqrt{\frac{2}{(1 + a^2) d_{l-1}}}", r"\sqrt{\frac{2}{(1 + a^2) d_{l}}}"),
        (r"\frac{1}{4 \pi \sqrt{3}}$", r"\frac{1}{2 \pi \sqrt{3}}$"),
        (r"= \frac{1}{2} \int \phi(u)^3", r"= \int \phi(u)^3"),
        (r"= \sum_{j} W_l[i, j]", r"= \sum_{j} W_l[j, i]"),
        (r"s = \sum_j \varphi^2(u_{l-1}[j])", r"s = \sum_j \varphi(u_{l-1}[j])"),
        (r"= \sigma_l^2 s", r"= \sigma_l s"),
        (r"= \sigma_l^2 s", r"\ne \sigma_l^2 s"),
        (r"$\sigma_l^{-2} = \sum_j", r"$\sigma_l^{-1} = \sum_j"),
        (r"\varphi(z) = \max(0, z)", r"\varphi(z) = \max(1, z)"),
        (r"\varphi(z) = \max(0, z)", r"\varphi(z) = \min(0, z)"),
        (r"$v = \mathbb{E}[u^2]$", r"$v = \mathbb{E}[u]^2$"),
        (r"+ \varphi^2(-u) = u^2", r"- \varphi^2(-u) = u^2"),
        (r"\frac{v}{2}", r"\frac{v^2}{2}"),
        (
            r"terms of the lecture's sum is $1/2$ by",
            r"terms of the lecture's sum is $1/4$ by",
        ),
        (r"d_{l-1} \ge 1", r"d_{l-1} > 1"),
        (r"\int_0^{\infty} \frac{u^2", r"\int_{-\infty}^{\infty} \frac{u^2"),
        (r"u^2 e^{-u^2/2} = -u \cdot", r"u^2 e^{-u^2/2} = u \cdot"),
        (r"terms $-u e^{-u^2/2}$", r"terms $-u e^{u^2/2}$"),
        (r"= (d_{l-1}/2)^{-1/2} =", r"= (d_{l-1}/2)^{1/2} ="),
        (r"0 \le a \le 1", r"0 \le a < 1"),
        (r"counts with $a^2$", r"counts with $a$"),
        (r"$\mathcal{N}(0, 1)$", r"$\mathcal{N}(1, 1)$"),
        (r"(1 + a^2) v / 2$", r"(1 + a) v / 2$"),
        (r"\sigma_l = 1/\sqrt{d_{l-1}}", r"\sigma_l = 1/d_{l-1}"),
        (
            r"\frac{1}{3} + \frac{1}{2 \sqrt{3} \pi}",
            r"\frac{1}{3} + \frac{1}{2 \sqrt{3} pi}",
        ),
        (
            r"\frac{1}{3} + \frac{1}{2 \sqrt{3} \pi}",
            r"\frac{1}{3} + \frac{1}{2 \sqrt{3} \pi} \qquad v = 2",
        ),
        (r"\phi'(u) = -u\, \phi(u)", r"\phi'(u) = u\, \phi(u)"),
        (r"+ 2\,\mathbb{E}[u\, \Phi(u)", r"+ \mathbb{E}[u\, \Phi(u)"),
        (r"uniform on $[0, 1]$", r"uniform on $[-1, 1]$"),
    ],
)
def test_errors_on_the_page_are_caught(page, old: str, new: str) -> None:
    assert any("_q4-" in fault for fault in page.faults(old, new))


def test_the_kept_second_moment_is_that_of_sampled_weights() -> None:
    scope = Scope(q4.WORLD.instances["symmetric"])
    rng = np.random.default_rng(0)
    d, count = scope["d"], 100_000
    inputs = rng.choice([1.0, 2.0], (count, 1, 1)) * np.ones((1, d[1], 1))
    size = np.sqrt(d[1] * np.mean([1.0, 4.0]))
    units = rng.choice([-1.0, 1.0], (count, d[2], d[1])) / size @ inputs
    rows = rng.choice([-0.5, 2.0], (count, 1, d[2]), p=[0.8, 0.2])
    moment = np.mean((rows @ (np.tanh(units) + 0.5)) ** 2)
    assert scope["sigma_l"] == pytest.approx(moment**-0.5, rel=0.02)
    assert q4.mean(lambda x: x**2, scope) == pytest.approx(1)


def test_the_trapezoidal_rule_has_the_moments_of_a_standard_normal_variable() -> None:
    for k, moment in {0: 1, 1: 0, 2: 1, 4: 3, 6: 15}.items():
        found = sum(o.weight * o["u"] ** k for o in q4.STANDARD_NORMAL)
        assert found == pytest.approx(moment, abs=1e-12)
