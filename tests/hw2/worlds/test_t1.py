"""The world of Task 1: its objects, and errors on the page that it catches."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from hw2 import claims
from hw2.formulas.checking import DEFINING, Finding, Section, World
from hw2.formulas.collecting import Formula, collect
from hw2.formulas.meaning import Scope
from hw2.paths import REPORT
from hw2.tasks import signal
from hw2.worlds import t1
from qmdpdf.source import Line, expand


@cache
def page() -> list[Line]:
    return [line for line in expand(REPORT) if "_t1-" in line.where]


def said(lines: list[Line]) -> list[Formula]:
    return collect(lines, claims.written)


def judge(formulas: list[Formula], world: World = t1.WORLD) -> list[Finding]:
    return Section(world, formulas).examine(changes=False)


@cache
def today() -> list[Finding]:
    return judge(said(page()))


def part_of_world(formulas: list[Formula]) -> World:
    """With the cases only that some formulas have."""
    section = Section(t1.WORLD, formulas)
    section.examine(changes=False)
    used = [replace(c, times=0) for c in t1.WORLD.cases if c.latex in section.used]
    return replace(t1.WORLD, cases=used)


def faults(old: str, new: str) -> list[str]:
    """What is wrong where one line of the page says something else: with the formulas
    of that line and all definitions, or else with all formulas.
    """
    i = next(i for i, line in enumerate(page()) if old in line.text)
    changed = replace(page()[i], text=page()[i].text.replace(old, new, 1))
    needed = {f.formula.where for f in today() if f.status == DEFINING}
    needed.add(changed.where)
    few = [line for line in page() if line.where in needed]
    world = part_of_world(said(few))
    lines = [changed if line.where == changed.where else line for line in page()]
    found = judge(said([line for line in lines if line.where in needed]), world)
    if not any(f.faults for f in found):
        found = judge(said(lines))
    return [f"{f.formula.where}: {fault}" for f in found for fault in f.faults]


def test_no_faults() -> None:
    assert [fault for f in today() for fault in f.faults] == []


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
def test_errors_on_the_page_are_caught(old: str, new: str) -> None:
    assert any("_t1-signal.qmd:" in fault for fault in faults(old, new))


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
