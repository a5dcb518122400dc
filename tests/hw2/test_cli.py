"""`hw2 verify` on the real report, on a damaged copy of it, and on one part."""

import shutil
from pathlib import Path

import pytest

from hw2 import pages, paths
from hw2.cli import main


@pytest.fixture
def copy(tmp_path: Path, monkeypatch) -> Path:
    """A copy of the report that `hw2 verify` reads in place of the real one."""
    report = tmp_path / "report"
    shutil.copytree(paths.REPORT.parent, report, ignore=shutil.ignore_patterns("*.pdf"))
    places = pages.places
    monkeypatch.setattr(pages, "places", lambda: places(report / "hw2.qmd"))
    return report


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) >= 1
    file.write_text(text.replace(old, new))


def test_the_question_on_vgg_verifies(capsys):
    assert main(["verify", "--only", "q6"]) == 0
    assert "7 of 7 claims hold, 18 of 18 mutants refuted" in capsys.readouterr().out


def test_a_factor_lost_on_the_page_is_found(copy, capsys):
    change(copy / "theory" / "_q6-vgg.qmd", r"P_{\mathrm{conv}} = M \cdot M", r"P_{\mathrm{conv}} = M")
    assert main(["verify", "--only", "q6"]) == 1
    error = capsys.readouterr().err
    assert "_q6-vgg.qmd" in error
    assert "eq-q6-conv" in error
    assert "the page says" in error


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{#eq-q6-pool}", "{#eq-q6-pooling}", "eq-q6-pool: no label in the report"),
        ("{#eq-q6-pool}", "{#eq-q6-pooling}", "eq-q6-pooling has no claim"),
    ],
)
def test_labels_and_claims_must_match_in_both_directions(copy, capsys, old, new, message):
    change(copy / "theory" / "_q6-vgg.qmd", old, new)
    assert main(["verify", "--only", "q6"]) == 1
    assert message in capsys.readouterr().err


def test_a_part_that_does_not_exist_is_an_error(capsys):
    assert main(["verify", "--only", "q99"]) == 1
    assert "no claim matches 'q99'" in capsys.readouterr().err


def test_inspect_needs_a_pdf(capsys, tmp_path):
    assert main(["inspect", str(tmp_path / "none.pdf")]) == 1
    assert "no such file" in capsys.readouterr().err
