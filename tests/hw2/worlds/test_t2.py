"""Task 2 on the page: its world is right, and errors in it are noticed."""

import itertools

import pytest
from torch import nn

from hw2.worlds import t2
from hw2.worlds.t2 import WORLD


def test_no_formula_has_a_fault(page) -> None:
    assert [fault for f in page.today for fault in f.faults] == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"\cdot \sin\alpha$", r"\cdot \cos\alpha$"),
        (r"$\sin(2\pi c_i x)$", r"$\sin(\pi c_i x)$"),
        ("(L - 1)(w + 1)", "L (w + 1)"),
        (r"}{2}\right) \le", r"}{2}\right) <"),
        (r"\log(p_1) + \log(p_2)}", r"\log(p_1) - \log(p_2)}"),
        (r"-\log\left(\frac", r"-log\left(\frac"),
        ("0.005^2", "0.05^2"),
    ],
)
def test_a_planted_error_is_a_fault(page, right: str, wrong: str) -> None:
    assert page.faults(right, wrong)


@pytest.mark.parametrize("name", WORLD.instances)
def test_parameters_are_those_of_linear_layers(name: str) -> None:
    inputs, depth, width = t2.SIZES[name]
    pairs = itertools.pairwise([inputs, *[width] * depth, 1])
    layers = [nn.Linear(a, b) for a, b in pairs]
    counted = sum(p.numel() for layer in layers for p in layer.parameters())
    assert WORLD.instances[name]["P"] == counted
