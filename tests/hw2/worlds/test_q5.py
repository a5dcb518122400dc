"""The world of Question 5 against sympy, PyTorch and brute force; and errors planted on
its page.
"""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from sympy.combinatorics import Permutation

from hw2.formulas.checking import Section
from hw2.formulas.collecting import collect, text_of
from hw2.formulas.meaning import column
from hw2.formulas.reading import FormulaError
from hw2.paths import REPORT
from hw2.worlds.q5 import (
    ACTIVATIONS,
    INSTANCES,
    SCALES,
    SLOPES,
    WORLD,
    Around,
    Move,
    Otherwise,
    activation,
    matrix,
    orbit_total,
    places,
    torch_matrix,
)
from qmdpdf.source import Line, expand

PAGE = REPORT.parent / "theory" / "_q5-equivariance.qmd"


class Changed(Section):
    """Judges what is not among the formulas of `known` only; the others are only
    counted.
    """

    known: frozenset[str] = frozenset()

    def _judge_part(self, finding, chain, case):
        self.new = finding.formula.latex not in self.known
        super()._judge_part(finding, chain, case)

    def _holds(self, part):
        return super()._holds(part) if self.new else (True, "", 0)

    def _value(self, node, case):
        if self.new:
            super()._value(node, case)


def formulas(text):
    return collect([Line(line, PAGE, i) for i, line in enumerate(text.split("\n"), 1)])


def test_a_permutation_moves_entries_as_torch_scatters_them():
    for images in permutations(range(1, 5)):
        tau, x = Move(images), torch.randn(4, dtype=torch.float64)
        index = torch.tensor(images) - 1
        moved = torch.zeros(4, dtype=torch.float64).scatter(0, index, x)
        assert np.array_equal(tau * column(x), column(moved))
        assert np.array_equal(Otherwise(images) * column(x), column(x[index]))
        assert np.array_equal(tau**-1 * (tau * column(x)), column(x))
        assert np.array_equal(matrix(tau) @ column(x), column(moved))


def test_pairs_and_indices_move_together():
    for images in permutations(range(1, 4)):
        tau = Move(images)
        assert places(tau) == {
            (i, j): (tau(i), tau(j)) for i, j in product((1, 2, 3), repeat=2)
        }


def test_a_permutation_has_no_other_products():
    swap = Move((2, 1))
    with pytest.raises(TypeError):
        column([1, 2]) * swap
    with pytest.raises(FormulaError, match="entries of a vector"):
        swap * column([1, 2, 3])
    with pytest.raises(FormulaError, match="none of the 2"):
        swap(3)


@pytest.mark.parametrize("name", INSTANCES)
def test_groups_orbits_and_fixed_indices(name):
    table = WORLD.instances[name]
    elements, size = table["elements"], table["d"]
    orbits = {
        frozenset((tau(i), tau(j)) for tau in elements)
        for i, j in product(range(1, size + 1), repeat=2)
    }
    assert table["n"] == len(orbits)
    assert {Permutation(tau.tau).cycle_structure.get(1, 0) for tau in elements} == {
        table["F"](k + 1) for k in range(len(elements))
    }
    assert orbit_total(elements) == len(table["H"]) == len(elements)
    # closed under composition
    assert {
        Move(tuple(a(b(i)) for i in range(1, size + 1)))
        for a, b in product(elements, repeat=2)
    } == table["H"]
    (weights,) = table["shared"]
    assert len(np.unique(weights)) == len(orbits)


@pytest.mark.parametrize("name", INSTANCES)
def test_the_scales_are_all_that_leave_the_activation_as_it_is(name):
    _, _, phi, scales = INSTANCES[name]
    z, phi = np.linspace(-3, 3, 61), activation(phi)
    found = {s for s in SCALES if np.allclose(phi(s * z), phi(z))}
    assert found == {1.0, *scales}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_at_zero(name):
    step = 1e-4
    found = (ACTIVATIONS[name](step) - ACTIVATIONS[name](-step)) / (2 * step)
    assert found == pytest.approx(SLOPES[name], abs=1e-6)


def test_a_convolution_around_the_circle():
    for size in (1, 2, 3, 5):
        rng = np.random.default_rng(size)
        kernel, signal = rng.standard_normal((2, size))
        W = Around(
            np.array(
                [[kernel[(i - j) % size] for j in range(size)] for i in range(size)]
            )
        )
        spectrum = torch.fft.fft(torch.tensor(kernel)) * torch.fft.fft(
            torch.tensor(signal)
        )
        assert W * Around(signal) == Around(torch.fft.ifft(spectrum).real.numpy())
        assert W(-1, 2 * size) == W.entries[-1, 0]
        assert torch_matrix(size).tolist() == [
            [float((j - i) % size) for j in range(size)] for i in range(size)
        ]


def test_no_faults_and_everything_judged():
    found = Section(WORLD, formulas(text_of(expand(REPORT), "q5"))).examine(False)
    assert [fault for finding in found for fault in finding.faults] == []
    related = [finding for finding in found if finding.relations]
    assert {finding.status for finding in related} == {"evaluated", "defining"}


PLANTED = {
    "another power": (r"F(k)^2 $$", r"F(k)^3 $$", "F(k)^3"),
    "another limit": (r"\sum_{j=0}^{d-1} c", r"\sum_{j=0}^{d} c", r"_{j=0}^{d} c"),
    "another index": (r"= W[i, j] \quad", r"= W[j, i] \quad", "= W[j, i]"),
    "another sign": (r"\right\rfloor + 1", r"\right\rfloor - 1", "- 1"),
    "an inverse": (r"= P_\tau\, \varphi(u)", r"= P_\tau^{-1}\, \varphi(u)", r"^{-1}\,"),
    "the middle of a chain": (
        r"P_\tau\, \varphi(W x) = \varphi(P",
        r"P_\tau\, \varphi(x) = \varphi(P",
        r"\varphi(x) =",
    ),
    "a second, false equation": (
        r"n_{\mathrm{cyclic}} = d",
        r"n_{\mathrm{cyclic}} = d, \quad d = 3",
        "`d = 3` does not hold",
    ),
    "a lost backslash": (r"\sum_{k=1}^{|H|}", r"sum_{k=1}^{|H|}", "sum_{k=1}"),
    "a condition": (r"$d \ge 2$", r"$d > 2$", "d > 2"),
    "a condition that is weaker": (
        r"$d \ge 2$",
        r"$d \ge 1$",
        r"most like it is `d \ge 1`",
    ),
    "what is true elsewhere": (r"($s = 0$; for", r"($s = 1$; for", "`s = 0` is about"),
    "another formula that is true": (
        r"$W[i, j] = W[\tau(i), \tau(j)]$ for all $\tau \in H$ and all",
        r"$W[i, j] = W[i + m, j + m]$ for all $\tau \in H$ and all",
        "is about",
    ),
    "exchanged conditions": (
        "($s = 0$; for them every $f_w$ is equivariant, whatever $W$ is), even functions ($s = -1$)",
        "($s = -1$; for them every $f_w$ is equivariant, whatever $W$ is), even functions ($s = 0$)",
        "stands behind",
    ),
    "a quantifier": (r"\text{for all } i", r"\text{for some } i", "for some"),
    "the definition": (
        r"layer $f_w(x) = \varphi(W x)$",
        r"layer $f_w(x) = W \varphi(x)$",
        "f_w",
    ),
    "an inline result": (r"the sum is $n |H|$", r"the sum is $n |H|^2$", "n |H|^2"),
    "the other convention": (
        r"= x[i] \quad",
        r"= x[\tau(i)] \quad",
        r"(\tau \cdot x)[\tau(i)] = x[\tau(i)]",
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_errors_are_found(kind):
    right, wrong, message = PLANTED[kind]
    text = text_of(expand(REPORT), "q5")
    if right.endswith(" $$"):
        right, wrong = right.replace(" $$", "\n$$"), wrong.replace(" $$", "\n$$")
    assert right in text
    before, after = formulas(text), formulas(text.replace(right, wrong, 1))
    section = Changed(WORLD, after)
    affected = "f_w" if "f_w" in wrong else "nothing"
    section.known = frozenset(f.latex for f in before if affected not in f.latex)
    faults = [fault for finding in section.examine(False) for fault in finding.faults]
    assert any(message in fault for fault in faults), faults
