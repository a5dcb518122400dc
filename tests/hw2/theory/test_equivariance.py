"""Weight sharing against group theory from the books, scipy's circulant matrices and
PyTorch's own layers.
"""

from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import sympy as sp
import torch
from scipy import linalg

from hw2.plots import equivariance as equivariance_plots
from hw2.theory import equivariance as q5
from hw2.theory.equivariance import GENERATORS, INJECTIVE

IDENTITY, KLEIN = (
    (0, 1, 2, 3),
    frozenset({(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)}),
)
ALTERNATING = q5.generated(frozenset({(1, 2, 0, 3), (1, 0, 3, 2)}))


def test_entry_i_goes_to_place_tau_i():
    assert q5.act((2, 0, 1), np.array([10, 20, 30])).tolist() == [20, 30, 10]
    assert (q5.matrix((2, 0, 1)) @ np.array([10, 20, 30])).tolist() == [20, 30, 10]


def test_the_matrices_multiply_as_the_permutations_compose():
    for sigma in permutations(range(3)):
        assert np.array_equal(
            q5.matrix(sigma) @ q5.matrix(q5.inverse(sigma)), np.eye(3)
        )
        for tau in permutations(range(3)):
            composed = tuple(sigma[index] for index in tau)
            assert np.array_equal(
                q5.matrix(sigma) @ q5.matrix(tau), q5.matrix(composed)
            )


def test_shares_on_weights_written_by_hand():
    circulant = linalg.circulant([1.0, 2.0, 3.0, 4.0])
    assert q5.shares(circulant, (1, 2, 3, 0))
    assert not q5.shares(circulant, (1, 0, 2, 3))
    assert not q5.shares(circulant + np.diag([1.0, 0, 0, 0]), (1, 2, 3, 0))
    both = np.stack([circulant, circulant + np.diag([1.0, 0, 0, 0])])
    assert q5.shares(both, (1, 2, 3, 0)).tolist() == [True, False]


@pytest.mark.parametrize("phi", INJECTIVE.values(), ids=INJECTIVE)
def test_equivariance_is_measured_on_the_network(phi):
    shared = np.full((3, 3), 0.3) + np.eye(3)
    assert q5.equivariant(phi, (1, 2, 0), shared, q5.samples(3))
    shared[0, 1] += 1e-3
    assert not q5.equivariant(phi, (1, 2, 0), shared, q5.samples(3))


def test_the_functions_are_what_their_names_say():
    assert all(q5.injective(phi) for phi in INJECTIVE.values())
    assert not any(q5.injective(phi) for phi in q5.OTHERS.values())
    z = np.linspace(-4, 4, 33)
    assert np.allclose(
        q5.OTHERS["GELU"](z), torch.nn.functional.gelu(torch.tensor(z)).numpy()
    )
    assert np.allclose(
        q5.OTHERS["SiLU"](z), torch.nn.functional.silu(torch.tensor(z)).numpy()
    )
    holds = {name for name in q5.OTHERS if q5.theorem_holds(name)}
    assert holds == {"ReLU", "GELU", "SiLU", "sine", "hard tanh"}


@pytest.mark.parametrize(("size", "number"), [(1, 1), (2, 2), (3, 6), (4, 30)])
def test_the_number_of_subgroups_of_the_symmetric_group(size, number):
    assert len(q5.subgroups(size)) == number


@pytest.mark.parametrize(
    ("group", "free"),
    [
        (frozenset({IDENTITY}), 16),
        (KLEIN, 4),  # regular: one orbit per column
        (ALTERNATING, 2),  # doubly transitive, as all permutations are
        (q5.generated(frozenset({(1, 0, 2, 3)})), 10),  # (16 + 2 * 2) / 2
    ],
)
def test_free_weights_three_ways(group, free):
    assert q5.count(q5.orbits(group, 4)) == q5.nullity(group) == free
    fixed = [sum(np.diag(q5.matrix(tau))) for tau in group]
    assert sp.Rational(int(sum(f**2 for f in fixed)), len(group)) == free


@pytest.mark.parametrize("name", GENERATORS)
def test_orbits_of_the_generators_are_those_of_the_whole_group(name):
    group = q5.generated(frozenset(GENERATORS[name](5)))
    assert (
        len(group)
        == {"trivial": 1, "cyclic": 5, "dihedral": 10, "symmetric": 120}[name]
    )
    assert q5.same_classes(q5.pattern(name, 5), q5.orbits(group, 5))


def test_same_classes_ignores_names_only():
    assert q5.same_classes(np.array([0, 1, 0]), np.array([5, 2, 5]))
    assert not q5.same_classes(np.array([0, 1, 0]), np.array([0, 1, 2]))
    assert not q5.same_classes(np.array([0, 1, 2]), np.array([0, 0, 1]))


def test_the_cyclic_pattern_is_scipys_circulant_matrix():
    assert q5.same_classes(q5.pattern("cyclic", 6), linalg.circulant(np.arange(6)))


def test_both_convolutions_are_products_with_a_circulant_matrix():
    kernel, signal = np.random.default_rng(1).standard_normal((2, 7))
    expected = linalg.circulant(kernel) @ signal
    assert np.allclose(q5.by_fft(kernel, signal), expected)
    assert np.allclose(q5.by_torch(kernel, signal), expected)


def test_pytorchs_circular_convolution_is_equivariant_to_shifts_only():
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(
        1, 1, 3, padding=1, padding_mode="circular", dtype=torch.float64
    )
    with torch.no_grad():
        columns = (
            torch.stack(
                [layer(e[None])[0] for e in torch.eye(8, dtype=torch.float64)], dim=1
            )
            - layer.bias
        )
    weights = np.round(columns.numpy(), 12)
    assert q5.shares(weights, q5.shift(8))
    assert not q5.shares(weights, tuple(reversed(range(8))))


def test_the_figure_has_one_panel_per_group_with_its_count():
    figure = equivariance_plots.patterns(
        {name: q5.pattern(name, 8) for name in GENERATORS}
    )
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [
        "trivial\n64 free",
        "cyclic\n8 free",
        "dihedral\n5 free",
        "symmetric\n2 free",
    ]
    letters = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert [len(set(panel)) for panel in letters] == [0, 8, 5, 2]
    assert letters[3].count("a") == 8
    plt.close(figure)
