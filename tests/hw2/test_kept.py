"""What is kept is what was computed, bit by bit, for as long as nothing it depends on
has changed, and is never trusted where it is damaged.
"""

import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pytest

from hw2 import claims, kept, pages
from hw2.cli import main
from hw2.formulas import report as formula_report
from hw2.theory import bayes_risk

SMALL = ((1.0, 10.0), 2.0, 50)


class Pair(NamedTuple):
    name: str
    value: float


@dataclass(frozen=True)
class Found:
    pairs: tuple[Pair, ...]
    arrays: dict[tuple[int, str], np.ndarray]
    limit: float | None = None


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HW2_KEEP", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in place of this one: `a` imports `b`, which imports `c` in a
    function; nothing imports `d`.
    """
    sources = {
        "a": "from hw2.b import one",
        "b": "def one():\n    from hw2 import c",
        "c": "x = 1",
        "d": "x = 1",
        "__init__": "",
    }
    for name, text in sources.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(kept, "SOURCE", tmp_path)
    monkeypatch.setattr(kept, "STARTED", time.time() + 60)
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def forget():
    for cached in (kept._source, kept.digest):
        cached.cache_clear()


def compute(value, name="f", arguments="", worth=lambda _: True):
    """Whether a value had to be computed, and what came of it."""
    calls = []

    def call():
        calls.append(1)
        return value

    found = kept.value((name, arguments), ("hw2.a",), call, type(value), worth)
    return bool(calls), found


def test_a_result_is_the_same_bits_computed_read_and_without_keeping(
    folder, monkeypatch
):
    function = bayes_risk.simulate.__wrapped__  # past what is kept in memory
    computed, read = function(*SMALL), function(*SMALL)
    assert len(list(folder.iterdir())) == 1
    monkeypatch.setenv("HW2_KEEP", "0")
    plain = function(*SMALL)
    for name in ("eigenvalues", "mean", "error"):
        one, two, three = (getattr(x, name) for x in (computed, read, plain))
        assert one.tobytes() == two.tobytes() == three.tobytes()
    assert type(read) is bayes_risk.Simulation
    assert (read.draws, read.sigma_eps) == (50, 2.0)


def test_what_can_be_kept_comes_back_as_it_was(folder, package):
    arrays = {(1, "x"): np.arange(6).reshape(2, 3)[:, ::-1], (2, "y"): np.float32(0.1)}
    value = Found((Pair("a", 0.1 + 0.2), Pair("b", float("inf"))), arrays)
    assert compute(value)[0]
    anew, found = compute(value)
    assert not anew
    assert found.pairs == value.pairs
    assert type(found.pairs[0]) is Pair
    assert found.limit is None
    assert list(found.arrays) == list(arrays)
    assert found.arrays[1, "x"].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert type(found.arrays[2, "y"]) is np.float32


@pytest.mark.parametrize("value", [object(), {1, 2}, [np.array([None])], Pair])
def test_what_cannot_be_kept_is_refused(folder, package, value):
    with pytest.raises(TypeError, match="cannot be kept"):
        compute(value)


@pytest.mark.parametrize(
    ("module", "anew"), [("a", True), ("b", True), ("c", True), ("d", False)]
)
def test_a_change_of_the_code_below_computes_anew(folder, package, module, anew):
    compute(1.0)
    (package / f"{module}.py").write_text("x = 2")
    forget()
    assert compute(1.0)[0] is anew
    assert len(list(folder.iterdir())) == 1  # what it replaces is dropped


def test_a_file_beside_a_module_that_names_it_belongs_to_its_code(folder, package):
    (package / "b.py").write_text("def one():\n    return 'rules.lark', 'none.txt'")
    (package / "rules.lark").write_text("start: x")
    (package / "others.lark").write_text("start: x")
    forget()
    compute(1.0)
    (package / "others.lark").write_text("start: y")
    forget()
    assert not compute(1.0)[0]
    (package / "rules.lark").write_text("start: y")
    forget()
    assert compute(1.0)[0]


def test_the_grammar_of_formulas_belongs_to_what_is_kept_of_them():
    text, _ = kept._source("hw2.formulas.reading")
    assert (kept.SOURCE / "formulas" / "grammar.lark").read_bytes() in (text or b"")


def test_code_written_while_it_runs_is_not_taken_for_what_runs(
    folder, package, monkeypatch
):
    monkeypatch.setattr(kept, "STARTED", time.time() - 60)
    assert [compute(1.0)[0] for _ in range(2)] == [True, True]
    assert not folder.exists()


def test_other_arguments_and_versions_are_other_results(folder, package, monkeypatch):
    assert [compute(1.0, arguments=a)[0] for a in "aba"] == [True, True, False]
    monkeypatch.setattr(kept, "versions", lambda: "numpy 99")
    assert compute(1.0, arguments="a")[0]


@pytest.mark.parametrize("damage", ["empty", "cut", "bit", "foreign", "pickle"])
def test_a_damaged_entry_is_computed_anew(folder, package, damage):
    compute(np.arange(100.0))
    (file,) = folder.iterdir()
    good = file.read_bytes()
    middle = len(good) // 2
    content = {
        "empty": b"",
        "cut": good[:middle],
        "bit": good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :],
        "foreign": kept.dump(Pair("a", 1.0), {"Pair": Pair}),
        "pickle": pickle.dumps(np.arange(100.0)),
    }
    file.write_bytes(content[damage])
    anew, found = compute(np.arange(100.0))
    assert anew
    assert found.tolist() == list(range(100))
    assert compute(np.arange(100.0))[0] is False


def test_an_entry_makes_no_object_of_another_class(folder, package):
    compute(Pair("a", 1.0))
    (file,) = folder.iterdir()
    with pytest.raises(KeyError, match="Pair"):
        kept.load(file.read_bytes(), {})


def test_where_nothing_may_be_written_nothing_is_kept(package, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HW2_KEEP", str(tmp_path / "file" / "below"))
    assert [compute(1.0)[0] for _ in range(2)] == [True, True]


def test_it_can_be_turned_off(folder, package, monkeypatch):
    compute(1.0)
    monkeypatch.setenv("HW2_KEEP", "0")
    assert compute(1.0)[0]
    assert len(list(folder.iterdir())) == 1


def test_what_is_not_worth_it_is_not_kept(folder, package):
    assert compute(1.0, worth=lambda _: False) == (True, 1.0)
    assert not folder.exists()


def test_old_entries_are_dropped(folder, package):
    compute(1.0, name="old")
    (old,) = folder.iterdir()
    past = time.time() - 2 * kept.MONTH
    other = folder / "measured-in-2019.npz"  # somebody else's
    other.touch()
    for file in (old, other):
        os.utime(file, (past, past))
    compute(1.0, name="new")
    names = sorted(file.name for file in folder.iterdir())
    assert [name.partition("-")[0] for name in names] == ["measured", "new"]


def test_a_function_of_another_package_is_refused():
    with pytest.raises(ValueError, match=r"only there it is known"):
        kept.kept(compute)


LABEL = "eq-q6-conv"


@pytest.fixture
def page(monkeypatch):
    """What the report says under LABEL, as a test changes it."""
    place = pages.places()[LABEL]
    return lambda **changes: monkeypatch.setattr(
        pages, "places", lambda: {LABEL: replace(place, **changes)}
    )


def examine():
    item = claims.listed()[LABEL]
    return claims._examine(item, claims._place(item))


def test_the_verdict_on_a_claim_is_kept_until_the_page_changes(folder, page):
    first, second = examine(), examine()
    assert (first.kept, second.kept) == (False, True)
    assert replace(second, kept=False) == first
    page(where="another.qmd:1")
    assert examine().kept
    page(latex="y = x")
    assert [examine().kept for _ in range(2)] == [False, False]
    assert not examine().holds


def test_no_process_is_started_for_what_is_known(folder, monkeypatch):
    known = [claims.listed()[LABEL]]
    monkeypatch.setattr(claims, "in_order", lambda: known)
    formulas = {"q6": formula_report.formulas()["q6"]}
    monkeypatch.setattr(formula_report, "formulas", lambda: formulas)
    examine()
    formula_report.judge("q6", formulas["q6"], False)
    monkeypatch.setattr(claims, "elsewhere", None)
    faults, summary = claims._elsewhere.__wrapped__()().formulas
    assert faults == []
    assert summary.startswith("of ")


KNOWN = """
import sys
from hw2.cli import main
assert main(["verify", "--only", "eq-q6-conv"]) == 0
print(sorted({"torch", "sympy", "scipy", "pandas", "IPython"} & set(sys.modules)))
"""


def test_what_is_known_is_verified_without_importing_what_computes(folder):
    assert main(["verify", "--only", LABEL]) == 0
    command = [sys.executable, "-c", KNOWN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "kept: 1 were checked before" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
