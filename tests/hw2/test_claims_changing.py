"""Wrong versions of claims: the table of changes, those that change nothing, and that
all claims of the report have some.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import sympy as sp

from hw2 import claims
from hw2.claims_changing import same, wrong_versions

a, b, i, n = (*sp.symbols("a b", positive=True), *sp.symbols("i n", integer=True))
f = sp.Function("f")
M, K = sp.MatrixSymbol("M", n, n), sp.MatrixSymbol("K", n, n)


@dataclass(frozen=True)
class Row:
    name: str
    number: int
    values: np.ndarray


def changed(claimed) -> set[str]:
    return {str(wrong) for _, wrong in wrong_versions(claimed)}


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        (a * b, {"-a*b", "2*a*b", "a*b + 1", "a**2*b**2", "a", "b", "b**2", "a**2"}),
        (a**2 + b, {"a**2", "b", "a**2 - b", "-a**2 + b", "a**3 + b", "a + b", "2*a**2 + 2*b", "b**2 + b", "a**2 + a"}),
        (sp.log(a), {"a", "-log(a)", "2*log(a)", "log(a) + 1"}),
        (sp.floor(a) + 3, {"ceiling(a) + 3", "a + 3", "floor(a) + 4", "floor(a) + 2"}),
        (sp.Le(a, b), {"a >= b", "a < b", "a + 1 <= b", "2*a <= b", "a <= -b", "b <= b", "a <= a"}),
        (sp.Eq(a, b), {"Ne(a, b)", "Eq(a, b + 1)"}),
        (sp.Integer(3), {"2", "4", "-3", "6", "9"}),
        (
            sp.Sum(f(i), (i, 1, n)),
            {
                "Sum(f(i), (i, 2, n))",
                "Sum(f(i), (i, 1, n - 1))",
                "Sum(f(i), (i, 0, n - 1))",
                "Sum(f(i), (i, 2, n + 1))",
                "Sum(i, (i, 1, n))",
                "2*Sum(f(i), (i, 1, n))",
            },
        ),
        (
            sp.Integral(a, (a, 0, b)),
            {"Integral(a, (a, 1, b))", "Integral(a, (a, b, 0))", "Integral(a, (a, 0, 1))"},
        ),
        (M.inv() * K, {"M*K", "M**(-1)", "K", "2*M**(-1)*K", "-M**(-1)*K"}),
        ((a, sp.Integer(2)), {"(2*a, 2)", "(a, 3)", "(a, 1)"}),
    ],
    ids=lambda value: "versions" if isinstance(value, set) else str(value),
)  # fmt: skip
def test_each_place_is_changed(claimed, expected):
    assert expected <= changed(claimed)


def test_numbers_in_tables_are_changed_one_at_a_time():
    table = {"x": Row("x", 2, np.zeros(3))}
    made = dict(wrong_versions(table))
    assert made["x: number: 2 + 1"]["x"].number == 3
    entries = [made[f"x: values: entry {k} raised"]["x"].values for k in (0, 1, 2)]
    np.testing.assert_array_equal(entries, np.eye(3))
    assert len(made) == 4
    assert table["x"].number == 2
    assert not table["x"].values.any()


def both(x: int, y: int) -> tuple[int, bool]:
    return x - y, x > y


def test_a_functions_answers_are_changed_and_its_arguments_exchanged():
    made = dict(wrong_versions(both))
    found = {what: wrong(3, 1) for what, wrong in made.items()}
    assert found == {
        "first change of each answer": (3, True),
        "last change of each answer": (2, False),
        "x and y exchanged": (-2, False),
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.array([True, False]), [[False, False], [True, True]]),
        (np.arange(2.0), [[1, 1], [0, 2.1]]),
        (frozenset({1, 2, 3}), [{2, 3}, {1, 2}]),
        (np.True_, [False, False]),
    ],
)
def test_answers_of_each_kind_are_changed(answer, expected):
    made = dict(wrong_versions(lambda x: answer))
    assert len(made) == 2  # of arguments of no kind nothing is exchanged
    for which, wanted in zip(("first", "last"), expected, strict=True):
        assert np.all(made[f"{which} change of each answer"](0) == np.array(wanted))


@pytest.mark.parametrize(
    "claimed", [sp.Integer(1), sp.sqrt(a), sp.Eq(a, a + b, evaluate=False), (a, b)]
)
def test_what_means_the_same_is_no_wrong_version(claimed):
    assert not any(same(wrong, claimed) for _, wrong in wrong_versions(claimed))
    assert "1" not in changed(sp.Integer(1))  # its square


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((a + b) ** 2, a**2 + 2 * a * b + b**2, True),
        (a / b, b / a, False),
        (sp.Lt(a, b), sp.Le(a, b), False),
        (sp.Eq(a, b), sp.Eq(a, b + a - a), True),
        (sp.Sum(a, (i, 1, n)), sp.Sum(a, (i, 0, n - 1)), False),
        (sp.Sum(2 * a, (i, 1, n)), 2 * sp.Sum(a, (i, 1, n)), True),
        (sp.log(1 / a), -sp.log(a), True),
    ],
)
def test_expressions_are_the_same_where_they_have_the_same_values(one, other, expected):
    assert same(one, other) is expected


def test_the_choice_of_wrong_versions_is_always_the_same():
    few, again = (wrong_versions((a + b) * (a - 3 * b), 5) for _ in range(2))
    assert few == again
    assert len(few) == 5


def test_every_claimed_expression_has_wrong_versions_and_few_of_them_are_true():
    made = {}
    for label, claim in claims.registry().items():
        made[label] = len(wrong_versions(claim.claimed, 20))
        assert made[label], label
    assert sum(made.values()) > 1000
    # of true versions there may only be fewer
    assert sum(len(claim.true) for claim in claims.registry().values()) <= 4
