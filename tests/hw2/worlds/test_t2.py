"""Task 2 on the page: its world is right, and errors in it are noticed."""

import itertools

import pytest
from torch import nn

from hw2 import claims
from hw2.formulas.checking import Section
from hw2.formulas.collecting import collect, text_of
from hw2.paths import REPORT
from hw2.worlds import t2
from hw2.worlds.t2 import WORLD
from qmdpdf.source import Line, expand

PAGE = REPORT.parent / "tasks/_t2-magic.qmd"


def faults(text: str) -> list[str]:
    """The faults of the section with this text."""
    lines = [Line(line, PAGE, i) for i, line in enumerate(text.splitlines(), 1)]
    findings = Section(WORLD, collect(lines, claims.written)).examine(changes=False)
    return [fault for finding in findings for fault in finding.faults]


def test_no_formula_has_a_fault() -> None:
    assert faults(text_of(expand(REPORT), "t2")) == []


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
def test_a_planted_error_is_a_fault(right: str, wrong: str) -> None:
    text = text_of(expand(REPORT), "t2")
    assert right in text
    assert faults(text.replace(right, wrong, 1))


@pytest.mark.parametrize("name", WORLD.instances)
def test_parameters_are_those_of_linear_layers(name: str) -> None:
    inputs, depth, width = t2.SIZES[name]
    pairs = itertools.pairwise([inputs, *[width] * depth, 1])
    layers = [nn.Linear(a, b) for a, b in pairs]
    counted = sum(p.numel() for layer in layers for p in layer.parameters())
    assert WORLD.instances[name]["P"] == counted
