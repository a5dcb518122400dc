"""The world of Task 1: its objects, and errors on the page that it catches."""

import numpy as np
import pytest
import torch

from hw2.formulas.meaning import Scope
from hw2.tasks import signal
from hw2.worlds import t1

WORLD = t1.WORLD


def test_no_faults(page) -> None:
    assert [fault for f in page.today for fault in f.faults] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            r"\mathrm{Var}(W) = \frac{2}{n_i + n_{i+1}}",
            r"\mathrm{std}(W) = \frac{2}{n_i + n_{i+1}}",
        ),
        (
            r"\frac{\sigma_{\ell+1}}{\sigma_1} = 2^{-\ell/2}",
            r"\frac{\sigma_1}{\sigma_{\ell}} = 2^{-\ell/2}",
        ),
        (r"q_\ell = \frac{1}{2 \ell}", r"q_\ell = 1/2 \ell"),
        (r"\sigma_\ell = n^{\ell/2}", r"\sigma_\ell = n^{\ell/2}] + 3 n"),
        (
            r"\sigma_\ell = n^{\ell/2}",
            r"\sigma_\ell = n^{\ell/2}, \quad \sigma_{\ell+1} = n^{\ell/2}",
        ),
        (r"$b^2/3$, therefore", r"$b^2/2$, therefore"),
        (r"\mathbb{R}^{512}", r"\mathbb{R}^{256}"),
        (r"\mathbb{E}[a_{ij}^2] = 1", r"\mathbb{E}[a_{ij}^2] = n"),
        (r"= \sum_j x_j^2$", r"= \sum_i x_j^2$"),
        (r"\frac{\log(F)}{\log(\sqrt{n})}", r"\frac{\log(F)}{\log(n)}"),
        (r"$\infty - \infty$", r"$\infty + \infty$"),
        (r"$y = ax$", r"$y = xa$"),
        (r"\mathrm{std}(y_i) = \sqrt{n}", r"\mathrm{std}(y_i) = n"),
        (r"$\chi^2_n / n$", r"$\chi^2_n$"),
        (r"about $2/n$ per", r"about $1/n$ per"),
        (r"\log\frac{|x_\ell|^2}{|x_0|^2}", r"\log\frac{|x_\ell|}{|x_0|}"),
        (r"\mathrm{P}(|\tanh u| > a)", r"\mathrm{P}(\tanh u > a)"),
        (r"$a = 0.99$", r"$a = 0.9$"),
        (r"\sqrt{6 / (n_i + n_{i+1})}", r"\sqrt{3 / (n_i + n_{i+1})}"),
        (r"$1/n_{i+1}$", r"$1/n_{i}$"),
        (r"u - u^3/3", r"u + u^3/3"),
        (r"\mathbb{E}[u^4] = 3q^2", r"\mathbb{E}[u^4] = 3q"),
        (r"q_{\ell+1} = q - 2 q^2", r"q_{\ell+1} = q - q^2"),
        (r"q_\ell = -2 q_\ell^2", r"q_\ell = -q_\ell^2"),
        (r"^2] = q/2", r"^2] = q"),
        (
            r"\mathrm{std}(W) = \sqrt{\frac{2}{n}}",
            r"\mathrm{Var}(W) = \sqrt{\frac{2}{n}}",
        ),
        (r"$q \mapsto n \mathrm{Var}(W)", r"$q \mapsto \mathrm{Var}(W)"),
        (r"\chi |g|^2", r"\chi |g|"),
        (r"integral $4/3$", r"integral $3/4$"),
        (r"\frac{4 n}{3 \sqrt{2 \pi q}}", r"\frac{4 n}{3 \sqrt{2 \pi} q}"),
        (r"\chi \approx 1", r"\chi \approx 2"),
    ],
)
def test_errors_on_the_page_are_caught(page, old: str, new: str) -> None:
    assert any("_t1-" in fault for fault in page.faults(old, new))


def test_the_gain_of_gradients_is_what_torch_propagates() -> None:
    scope = Scope(t1.WORLD.instances[t1.XAVIER_TANH]).with_({"q": 1.5, "n": 512})
    generator = torch.Generator().manual_seed(0)
    u = (1.5**0.5 * torch.randn(512, generator=generator)).requires_grad_()
    w = torch.empty(512, 512).uniform_(-1, 1, generator=generator)
    y = signal.xavier_bound(512, 512) * w @ torch.tanh(u)
    (g,) = torch.autograd.grad(y, u, torch.ones(512))
    assert float((g**2).mean()) == pytest.approx(scope["chi"], rel=0.15)


def test_the_walk_has_the_moments_of_chi_squared() -> None:
    sample = np.log(np.random.default_rng(0).chisquare(3, 400_000) / 3)
    assert t1.log_gain(3) == pytest.approx((sample.mean(), sample.std()), rel=0.01)


def test_the_code_keeps_the_mean_square_under_relu() -> None:
    variance = signal.kaiming_std(7) ** 2
    assert 7 * variance * t1.moments("relu", 2.0)[1] == pytest.approx(2.0)


def test_normal_quadrature_has_the_moments() -> None:
    assert float(np.sum(t1.WEIGHTS * t1.POINTS**4)) == pytest.approx(3, rel=1e-10)
