"""The engine must fail on a false claim, on a check that cannot fail, and on labels
without claims and vice versa.
"""

import functools
import re
from dataclasses import replace

import pytest
import sympy as sp

from hw2 import claims, pages
from hw2.pages import Place
from hw2.paths import ROOT
from qmdpdf.source import expand

x = sp.Symbol("x", positive=True)
PLACE = Place("eq-a", "page.qmd:3", latex="y = 2 x")


@pytest.fixture
def registry(monkeypatch):
    """An empty registry and a report whose labels the test chooses."""
    monkeypatch.setattr(claims, "_REGISTRY", {})
    monkeypatch.setattr(claims, "registry", lambda: claims._REGISTRY)
    return lambda *places: monkeypatch.setattr(
        pages, "places", lambda: {place.label: place for place in places}
    )


def register(
    label="eq-a",
    claimed=2 * x,
    mutants=None,
    check=lambda e: e.subs(x, 3) == 6,
    held="on instances",
    true=None,
):
    claims.claim(
        label,
        "doubling",
        held=held,
        method="substitution",
        domain="x = 3",
        claimed=claimed,
        mutants=mutants or {"x": x},
        true=true,
    )(check)
    return claims._REGISTRY[label]


def test_a_true_claim_holds_and_its_mutants_are_refuted(registry):
    verdict = claims.examine(
        register(mutants={"lost factor": x, "square": x**2}), PLACE
    )
    assert (verdict.holds, verdict.refuted, verdict.tie) == (True, 2, "parsed")


@pytest.mark.parametrize(
    ("kwargs", "fault"),
    [
        ({"claimed": 3 * x, "mutants": {"m": x}}, "its check refutes it"),
        ({"mutants": {"same": x + x, "other": x}}, "the mutant 'same' survives"),
        ({"check": lambda e: 1 / 0}, "its check raised ZeroDivisionError"),
        (
            {"check": lambda e: e == 2 * x or e.undefined},
            "raised on the mutant 'x': AttributeError",
        ),
    ],
)
def test_a_bad_claim_does_not_hold(registry, kwargs, fault):
    verdict = claims.examine(register(**kwargs), PLACE)
    assert any(fault in found for found in verdict.faults)


@pytest.mark.parametrize(
    ("check", "survivor"),
    [
        (lambda e: e != x, "sign"),  # true for all but one silly mutant
        (lambda e: e.is_Mul, "factor 2"),  # reads the kind of the mutant only
        (lambda e: e.subs(x, 2) ** 2 == 16, "sign"),  # compares squares
    ],
)
def test_a_check_that_takes_wrong_versions_for_true_does_not_hold(
    registry, check, survivor
):
    claim = register(check=check)
    assert claims.examine(claim, PLACE).holds
    verdict = claims.examine(claim, PLACE, changes=True)
    assert f"a wrong version made by machine survives: {survivor}" in str(
        verdict.faults
    )
    assert len(verdict.survivors) == len(verdict.faults) < verdict.changed


def test_a_version_that_is_true_is_named_with_its_reason(registry):
    def even(e):
        return e.subs(x, 3) ** 2 == 36

    def faults(true):
        claims._REGISTRY.clear()
        return claims.examine(register(check=even, true=true), PLACE, True).faults

    reason = "a square has two roots"
    assert "survives: sign: -2*x" in str(faults({}))
    assert not faults({"sign": reason})
    assert f"no version '+ 1' survives, which is said to be {reason}" in str(
        faults({"sign": reason, "+ 1": reason})
    )


def test_a_check_that_refutes_all_wrong_versions_holds(registry):
    verdict = claims.examine(register(), PLACE, changes=True)
    assert verdict.holds
    assert verdict.changed > 5
    assert claims.wrong_versions([verdict]) == (
        f"wrong versions of claims made by machine and refuted: {verdict.changed} of "
        f"{verdict.changed} (100.0%)"
    )


def test_it_is_said_how_claims_are_held(registry):
    with pytest.raises(claims.ClaimError, match="is held 'somehow'; say one of"):
        register(held="somehow")
    kinds = ("on instances", "for all values", "on instances")
    found = [
        claims.examine(register(f"eq-{i}", held=held), PLACE)
        for i, held in enumerate(kinds)
    ]
    assert claims.how_held(found) == "1 for all values, 2 on instances"


def test_a_claim_whose_label_is_not_in_the_report_does_not_hold(registry):
    assert "no label in the report" in claims.examine(register(), None).faults[0]


def test_a_page_that_says_something_else_refutes_the_claim(registry):
    verdict = claims.examine(register(), Place("eq-a", "page.qmd:3", latex="y = 3 x"))
    assert verdict.faults == (
        "page.qmd:3: the page says `y = 3 x`, the checked claim is `2 x`",
    )


@pytest.mark.parametrize("latex", [r"y \ge 2 x", "y = 2 x > 0", "y < x"])
def test_another_relation_on_the_page_refutes_the_claim(registry, latex):
    verdict = claims.examine(register(), Place("eq-a", "page.qmd:3", latex=latex))
    (fault,) = verdict.faults
    assert fault.startswith("page.qmd:3: ")
    assert f"`{latex}`" in fault


def test_an_equation_that_was_emptied_refutes_the_claim(registry):
    verdict = claims.examine(register(), Place("eq-a", "page.qmd:3", latex=" "))
    assert verdict.faults == ("page.qmd:3: the equation eq-a is empty",)


def test_what_cannot_be_compared_is_a_fault_at_its_place(registry, monkeypatch):
    monkeypatch.setattr(claims.pages, "tie", lambda *_: 1 / 0)
    verdict = claims.examine(register(), Place("eq-a", "page.qmd:3", latex="y = 2 x"))
    assert verdict.faults == (
        "page.qmd:3: `y = 2 x` cannot be compared with its claim: ZeroDivisionError: "
        "division by zero",
    )


def test_claims_need_mutants_and_unique_labels(registry):
    said = {"held": "on instances", "method": "m", "domain": "d"}
    with pytest.raises(claims.ClaimError, match="has no mutants"):
        claims.claim("eq-b", "s", **said, claimed=x, mutants={})
    register()
    with pytest.raises(claims.ClaimError, match="registered twice"):
        register()


def test_labels_without_a_claim_are_reported_but_definitions_and_tables_are_not(
    registry,
):
    registry(
        PLACE,
        Place("thm-b", "p.qmd:9"),
        Place("eq-def-c", "p.qmd:10"),
        Place("tbl-d", "p.qmd:11"),
    )
    register()
    assert len(claims.unclaimed()) == 1
    assert "p.qmd:9: thm-b has no claim" in claims.unclaimed()[0]


@pytest.mark.parametrize(
    ("label", "only", "expected"),
    [
        ("eq-q6-conv", "q6", True),
        ("eq-q6-conv", "eq-q6-conv", True),
        ("eq-q6-conv", "q", False),
        ("eq-t1-a", "", True),
    ],
)
def test_only_selects_by_parts_of_the_label(label, only, expected):
    assert claims.matches(label, only) is expected


@pytest.fixture
def report(monkeypatch, tmp_path):
    """A report of one equation in place of the real one."""
    page = tmp_path / "hw2.qmd"
    page.write_text("$$ y = 2 x $$ {#eq-a}")
    # another process would judge the real report, and knows nothing of these claims
    judged = claims.Elsewhere(([], "all are evaluated"), [])
    monkeypatch.setattr(claims, "elsewhere", lambda labels, formulas: lambda: judged)
    monkeypatch.setattr(claims, "unsealed", set)
    places = functools.cache(lambda: pages.find_places(expand(page)))
    monkeypatch.setattr(pages, "places", places)
    yield page
    for cached in (claims._elsewhere, claims.verdicts):
        cached.cache_clear()


def test_the_render_stops_at_a_false_claim(registry, report):
    register(claimed=3 * x)
    claims.ticks()
    with pytest.raises(claims.ClaimError, match="eq-a: its check refutes it"):
        claims.verdicts()


def test_a_second_render_in_the_same_kernel_sees_the_changed_page(
    registry, report, capsys
):
    register()
    claims.ticks()
    assert "verified{eq-a}" in capsys.readouterr().out
    assert [verdict.claim.label for verdict in claims.verdicts()] == ["eq-a"]
    report.write_text("$$ y = 3 x $$ {#eq-a}")
    claims.ticks()
    with pytest.raises(claims.ClaimError, match="the page says"):
        claims.verdicts()


def test_another_process_comes_to_the_same_verdicts():
    labels = ["eq-q6-conv", "eq-q6-pool"]
    found = claims.elsewhere(labels, False)().verdicts
    here = [
        claims.examine(claims.registry()[label], pages.places()[label])
        for label in labels
    ]
    assert [replace(verdict, seconds=0) for verdict in found] == [
        replace(verdict, seconds=0) for verdict in here
    ]
    assert all(verdict.holds and verdict.refuted for verdict in found)


def test_the_claims_that_share_simulations_exist():
    assert set(claims.SHARED) <= set(claims.registry())


def test_a_process_that_fails_is_a_failure(monkeypatch):
    monkeypatch.delenv("HW2_KEEP")  # the list of claims may be known
    with pytest.raises(claims.ClaimError, match="KeyError: 'eq-q6-none'"):
        claims.elsewhere(["eq-q6-none"], False)()


def test_the_report_asks_for_the_verdicts_after_the_ticks():
    calls = re.findall(
        r"claims\.(ticks|verdicts)\(\)",
        (ROOT / "report" / "hw2.qmd").read_text(encoding="utf-8"),
    )
    assert calls == ["ticks", "verdicts"]


def test_an_equation_is_printed_from_the_claim(registry, capsys):
    register(claimed=sp.Integer(1234567) * x)
    claims.equation("eq-a", "y")
    assert capsys.readouterr().out == "\n$$\ny = 1\\,234\\,567\\,x\n$$ {#eq-a}\n\n"


def test_each_question_has_its_own_table_of_claims(registry, capsys, monkeypatch):
    for label in ("eq-t2-c", "eq-q1-a", "thm-q1-b"):
        register(label)
    registry(*(Place(label, "p.qmd:1", latex="y = 2 x") for label in claims._REGISTRY))
    nothing = claims.Elsewhere(None, [])
    monkeypatch.setattr(claims, "_elsewhere", lambda: lambda: nothing)
    claims.verdicts.cache_clear()
    claims.tables()
    claims.verdicts.cache_clear()
    headings, rows = [], []
    for line in capsys.readouterr().out.splitlines():
        headings += re.findall(r"^## (.*)", line)
        rows += [(headings[-1], name) for name in re.findall(r"^\| @([\w-]+) \|", line)]
    assert headings == ["Question 1", "Task 2"]
    assert rows == [
        ("Question 1", "eq-q1-a"),
        ("Question 1", "thm-q1-b"),
        ("Task 2", "eq-t2-c"),
    ]
