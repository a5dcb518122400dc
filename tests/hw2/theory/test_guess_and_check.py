"""Question 2: the enumeration against brute force, the simulation against closed forms
and sampling.
"""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import sympy as sp
from scipy import stats

from hw2.theory import guess_and_check as gc


def output(incoming, outgoing, x):
    """The sign of one network at one input, by loops, with sign(0) = 1."""
    total = sum(
        a * max(0, sum(w * y for w, y in zip(row, x, strict=True)))
        for row, a in zip(incoming, outgoing, strict=True)
    )
    return 1 if total >= 0 else -1


def test_sizes_are_all_that_have_at_most_3_to_the_9_networks():
    small = {
        (q, d0, d1)
        for q, d0, d1 in product(range(3, 200, 2), range(1, 10), range(2, 10))
        if q ** (d0 * d1 + d1) <= 3**9
    }
    assert set(gc.SIZES) == small


@pytest.mark.parametrize("sizes", [(3, 1, 2), (5, 1, 2), (3, 2, 2)])
def test_networks_are_all_weight_vectors_once(sizes):
    levels, inputs, hidden = sizes
    incoming, outgoing = gc.networks(*sizes)
    found = {
        (*u.ravel().tolist(), *a.tolist())
        for u, a in zip(incoming, outgoing, strict=True)
    }
    values = range(-(levels - 1) // 2, (levels + 1) // 2)
    assert found == set(product(values, repeat=hidden * (inputs + 1)))
    assert (gc.index(levels, incoming, outgoing) == np.arange(len(found))).all()


@pytest.mark.parametrize(
    ("levels", "inputs"), [(3, 1), (11, 1), (3, 2), (5, 2), (3, 3)]
)
def test_cones_cover_the_space_once_and_are_not_cut(levels, inputs):
    cones = gc.fan(levels, inputs)
    for u in product(range(-(levels - 1) // 2, (levels + 1) // 2), repeat=inputs):
        side = cones @ np.array(u)
        assert not ((side.min(1) < 0) & (side.max(1) > 0)).any()
    x = np.random.default_rng(1).standard_normal((500, inputs))
    inside = (np.einsum("xi,cij->xcj", x, np.linalg.inv(cones)) > 0).all(-1)
    assert (inside.sum(1) == 1).all()


@pytest.mark.parametrize(
    ("sizes", "reach"), [((3, 1, 3), 1), ((3, 2, 2), 5), ((3, 2, 3), 8), ((3, 3, 2), 5)]
)
def test_functions_are_those_that_a_fine_grid_tells_apart(sizes, reach):
    """On integer points up to `reach`, which meet every cell of the functions, the same
    networks are equal.
    """
    incoming, outgoing = gc.networks(*sizes)
    grid = np.array(list(product(range(-reach, reach + 1), repeat=sizes[1])))
    sampled = gc.label(gc.preactivation(incoming, outgoing, grid) >= 0)
    exact = gc.label(gc.canonical(incoming, outgoing, gc.fan(sizes[0], sizes[1])))
    pairs = {*zip(sampled.tolist(), exact.tolist(), strict=True)}
    assert len(pairs) == sampled.max() + 1 == exact.max() + 1


def test_the_other_convention_for_the_sign_of_0_has_the_same_counts():
    incoming, outgoing = gc.networks(3, 2, 2)
    grid = np.array(list(product(range(-5, 6), repeat=2)))
    other = gc.label(gc.preactivation(incoming, outgoing, grid) > 0)
    exact = gc.label(gc.canonical(incoming, outgoing, gc.fan(3, 2)))
    assert sorted(np.bincount(other)) == sorted(np.bincount(exact))


def test_preactivation_and_p_star_by_brute_force():
    """d_0 = 1: a network is its signs at 1 and -1; teachers by loops over Python
    integers.
    """
    levels = (-1, 0, 1)
    nets = [((w[:1], w[1:2]), w[2:]) for w in product(levels, repeat=4)]
    functions = [(output(u, a, (1,)), output(u, a, (-1,))) for u, a in nets]
    for case in gc.census():
        if (case.levels, case.inputs, case.hidden) == (3, 1, 2):
            alive = [
                sum(any(row) or b != 0 for row, b in zip(u, a, strict=True))
                for u, a in nets
            ]
            teachers = [
                f for f, n in zip(functions, alive, strict=True) if n <= case.teacher
            ]
            rarest = min(functions.count(f) for f in teachers)
            assert Fraction(rarest, 81) == Fraction(
                int(case.p_star.p), int(case.p_star.q)
            )
            assert case.functions == len(set(functions))
            assert case.matching == 3 ** (2 - case.teacher)


def test_census_is_complete():
    assert [(c.levels, c.inputs, c.hidden, c.teacher) for c in gc.census()] == [
        (*sizes, teacher) for sizes in gc.SIZES for teacher in range(sizes[2])
    ]
    assert gc.table().count("\n") == 6


def test_errors_in_the_plane_are_those_of_gaussian_inputs():
    world = gc.plane(3, 2, 1)
    incoming, outgoing = gc.networks(3, 2, 2)
    x = np.random.default_rng(2).standard_normal((100_000, 2))
    pairs = np.random.default_rng(3).integers(len(incoming), size=(40, 2))
    exact = world.error(*world.function[pairs].T)
    assert world.probability.sum() == pytest.approx(1)
    for (i, j), error in zip(pairs, exact, strict=True):
        one, other = (
            gc.preactivation(incoming[[n]], outgoing[[n]], x)[0] >= 0 for n in (i, j)
        )
        assert np.mean(one != other) == pytest.approx(
            error, abs=5 * math.sqrt(error * (1 - error) / len(x)) + 1e-12
        )


def test_a_guess_is_uniform_among_the_networks_that_fit():
    function = np.array([0, 0, 0, 1, 1, 2, 3])
    fits = np.tile([True, False, True, False], (20_000, 1))
    found, t = gc.guess(function, fits, np.random.default_rng(4))
    assert stats.binomtest(int((found == 0).sum()), len(found), 3 / 4).pvalue > 1e-3
    assert set(found) == {0, 2}
    assert t.mean() == pytest.approx(7 / 4, rel=0.02)
    assert t.min() == 1


def test_guessing_goes_on_past_one_block():
    function = np.arange(1000)
    fits = np.zeros((300, 1000), dtype=bool)
    fits[:, 17] = True
    found, t = gc.guess(function, fits, np.random.default_rng(5))
    assert (found == 17).all()
    assert t.max() > 64
    assert t.mean() == pytest.approx(1000, rel=0.25)


def test_fits_are_the_functions_that_agree_on_what_was_seen():
    world, rng = gc.plane(3, 2, 1), np.random.default_rng(6)
    teacher = world.function[rng.choice(world.teachers, 5)]
    seen = rng.random((5, len(world.probability))) < 0.2
    expected = [
        [(f[s] == world.outputs[y][s]).all() for f in world.outputs]
        for y, s in zip(teacher, seen, strict=True)
    ]
    assert (world.fits(teacher, seen) == np.array(expected)).all()


def test_rare_direction_has_the_error_that_can_be_computed():
    rare = gc.rare_direction(gc.plane(3, 2, 1), 0.1)
    errors, _ = gc.learn(rare, 10, 20_000)
    wrong = 1 - rare.function.mean()  # networks that say 1 where the teacher says -1
    assert set(errors.round(12)) == {0, 0.1}
    assert (
        stats.binomtest(int((errors > 0).sum()), len(errors), 0.9**10 * wrong).pvalue
        > 1e-3
    )


def test_enough_samples_leave_no_error():
    assert (gc.learn(gc.plane(), 400, 200)[0] == 0).all()


def test_stopping_times_have_the_mean_of_a_geometric_variable():
    chance, t = gc.stopping_times()
    assert 0 < chance < 1
    assert t.mean() == pytest.approx(1 / float(chance), rel=4 / math.sqrt(len(t)))


def test_bounds_by_hand():
    found = gc.curve()
    at = found.samples.index(32)
    assert found.typical[at] == pytest.approx(
        (5 * math.log(3) + math.log(20) + math.log(math.log(20))) / 32
    )
    assert found.whole_class[at] == pytest.approx((9 * math.log(3) + math.log(20)) / 32)
    assert (np.quantile(found.errors, 0.95, axis=1) < found.typical).all()


@pytest.mark.parametrize(
    ("logarithm", "holds"), [(1.9, False), (2.0, True), (2.5, True)]
)
def test_the_corollary_s_threshold_is_sharp(logarithm, holds):
    """eta = exp(-logarithm), p_star such that T is just below an integer: one guess
    less than T is made.
    """
    assert ((1 - logarithm / 4000) ** 3999 <= math.exp(-logarithm)) is holds


def test_refuted_by_the_checks():
    """Wrong versions that are not among the mutants."""
    assert not gc.check_matching(gc.MATCHING + 1)
    assert not gc.check_lower(sp.Ge(gc.p_star, gc.LOWER / gc.q))
    assert not gc.check_ratio(
        (gc.d0 * gc.d1s + gc.d1 + 1) / (gc.d0 * gc.d1 + gc.d1 + 1)
    )
    assert not gc.check_log(sp.Lt(sp.log(1 - gc.p), -gc.p / 2 - sp.Rational(1, 9)))
    assert not gc.check_class(sp.Lt(gc.epsilon, 2 * gc.CLASS_BOUND))
    assert not gc.check_typical(gc.BOUND / 100)
