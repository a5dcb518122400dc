"""`hw2 verify` on the real report, on a damaged copy of it, and on one part; what the
other commands are given.

`hw2 run` and `hw2 audit` are tested in test_experiments.py.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hw2 import cli, pages, paths, seals
from hw2.cli import main
from hw2.data import DataError
from hw2.formulas import report as formula_report
from hw2.paths import ROOT
from hw2.seals import SealError
from hw2.searching import SearchError
from hw2.tasks import magic_search
from qmdpdf.source import QmdError


@pytest.fixture(scope="module")
def kept_here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(autouse=True)
def keep(kept_here: Path, monkeypatch) -> None:
    """What one of these tests has found is found again by the others."""
    monkeypatch.setenv("HW2_KEEP", str(kept_here))


@pytest.fixture
def copy(tmp_path: Path, monkeypatch) -> Path:
    """A copy of the report that `hw2 verify` reads in place of the real one."""
    report = tmp_path / "report"
    shutil.copytree(paths.REPORT.parent, report, ignore=shutil.ignore_patterns("*.pdf"))
    places = pages.places
    monkeypatch.setattr(pages, "places", lambda: places(report / "hw2.qmd"))
    for module in (paths, formula_report, seals):
        monkeypatch.setattr(module, "REPORT", report / "hw2.qmd")
    for module in (paths, seals):
        notebook = report / "notebook" / "_notebook.qmd"
        monkeypatch.setattr(module, "NOTEBOOK", notebook)
    return report


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new))


def test_the_question_on_vgg_verifies(capsys):
    assert main(["verify", "--only", "q6"]) == 0
    assert "7 of 7 claims hold, 18 of 18 mutants refuted" in capsys.readouterr().out


def test_what_is_kept_is_said_and_can_be_checked_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HW2_KEEP", str(tmp_path / "kept"))
    part = ["verify", "--only", "eq-q6-fc"]
    for arguments, kept in ((part, False), (part, True), ([*part, "--anew"], False)):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert ("kept: 1 were checked before" in printed) is kept
        assert "1 of 1 claims hold" in printed


def test_a_factor_lost_on_the_page_is_found(copy, capsys):
    change(
        copy / "theory" / "_q6-vgg.qmd",
        r"P_{\mathrm{conv}} = M \cdot M",
        r"P_{\mathrm{conv}} = M",
    )
    assert main(["verify", "--only", "q6"]) == 1
    error = capsys.readouterr().err
    assert "_q6-vgg.qmd" in error
    assert "eq-q6-conv" in error
    assert "the page says" in error
    assert "`P_{\\mathrm{conv}} = M" in error


def test_the_formulas_are_judged_too(capsys):
    assert main(["verify", "--only", "q6"]) == 0
    printed = capsys.readouterr().out
    assert "of displayed formulas, " in printed
    assert "0 are not evaluated" in printed


def test_a_wording_that_was_not_sealed_is_found(copy, capsys):
    page = copy / "theory" / "_q6-vgg.qmd"
    change(page, "stacks eight convolutions", "stacks eleven convolutions")
    assert main(["verify", "--only", "q6"]) == 1
    assert (
        "not sealed: VGG-11 [@simonyan2015vgg] stacks eleven" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{#eq-q6-pool}", "{#eq-q6-pooling}", "eq-q6-pool: no label in the report"),
        ("{#eq-q6-pool}", "{#eq-q6-pooling}", "eq-q6-pooling has no claim"),
    ],
)
def test_labels_and_claims_must_match_in_both_directions(
    copy, capsys, old, new, message
):
    change(copy / "theory" / "_q6-vgg.qmd", old, new)
    assert main(["verify", "--only", "q6"]) == 1
    assert message in capsys.readouterr().err


def test_a_part_that_does_not_exist_is_an_error(capsys):
    assert main(["verify", "--only", "q99"]) == 1
    assert "nothing matches 'q99'" in capsys.readouterr().err


def test_inspect_needs_a_pdf(capsys, tmp_path):
    (tmp_path / "text.pdf").write_text("no PDF")
    (tmp_path / "empty.pdf").touch()
    for name, told in (
        ("none.pdf", "does not exist"),
        (".", "is no file"),
        ("text.pdf", "is no PDF"),
        ("empty.pdf", "is no PDF"),
    ):
        assert main(["inspect", str(tmp_path / name)]) == 1
        error = capsys.readouterr().err
        assert told in error
        assert "make pdf" in error


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (QmdError("report/hw2.qmd:9: no such file"), 1, "error: report/hw2.qmd:9: no"),
        (SealError("sealed.json: restore it"), 1, "error: sealed.json: restore it"),
        (PermissionError(13, "not allowed", "x.qmd"), 1, "not allowed: 'x.qmd'"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_stops_a_command_is_said_in_a_line(
    monkeypatch, capsys, error, status, told
):
    def stop(*_):
        raise error

    monkeypatch.setattr(cli, "_verify", stop)
    assert main(["verify"]) == status
    assert told in capsys.readouterr().err


def test_who_reads_no_further_ends_a_command_quietly():
    code = "cli._verify = lambda *_: print(100_000 * 'x') or 0; cli.main(['verify'])"
    command = '"$0" -c "import sys; from hw2 import cli; $1" | head -c 0; echo ${PIPESTATUS[0]}'
    code = code.replace("cli.main", "sys.exit(cli.main") + ")"
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.fspath(ROOT / "code")},
        check=True,
    )
    assert done.stdout.strip() == "141"
    assert done.stderr == ""


def test_the_search_gets_its_storage_and_trials(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(
        magic_search, "search", lambda *arguments: calls.append(arguments)
    )
    monkeypatch.setenv("HW2_STORAGE", "sqlite:///shared.db")
    assert main(["search", "--storage", "a study.db", "--trials", "3"]) == 0
    assert main(["search"]) == 0
    assert calls == [
        ("a study.db", 3),
        ("sqlite:///shared.db", magic_search.NETWORK.trials),
    ]


@pytest.mark.parametrize(
    "error",
    [DataError("magic04.data not found"), SearchError("the study is another one")],
)
def test_a_search_that_cannot_start_is_an_error(monkeypatch, capsys, error):
    def search(storage, trials):
        raise error

    monkeypatch.setattr(magic_search, "search", search)
    assert main(["search"]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize("command", ["verify", "inspect", "run", "audit", "search"])
def test_each_command_has_a_help_text(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert len(capsys.readouterr().out.split()) > 15


@pytest.mark.parametrize(
    ("arguments", "value"),
    [(["audit", "--draws", "-1"], "-1"), (["search", "--trials", "0"], "0")],
)
def test_a_count_that_is_none_is_named(arguments, value, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert f"{value!r} is no whole number from" in capsys.readouterr().err


def test_many_names_of_one_kind_are_counted():
    names = ["loss", *(f"error/{n}" for n in range(30)), "gain/1", "gain/2"]
    assert cli._shortened(names) == ["loss", "error/... (30)", "gain/1", "gain/2"]
