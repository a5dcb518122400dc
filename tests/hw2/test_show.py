"""The shown source is Python that defines the same functions."""

import ast
import platform
import re

import pypandoc
import pytest
import torch

from hw2 import runs, show
from hw2.runs import Run
from hw2.tasks import imagenette, signal


def test_the_source_of_several_functions_runs():
    text = show.source(signal.xavier_bound, signal.xavier_init).data
    _, _, text = text.partition("```python\n")
    assert text.endswith("\n```")
    names = {"math": signal.math, "torch": torch, "Tensor": torch.Tensor}
    exec(text.removesuffix("\n```"), names)
    torch.manual_seed(0)
    expected = signal.xavier_init(3, 5)
    torch.manual_seed(0)
    assert torch.equal(names["xavier_init"](3, 5), expected)


def test_each_recorded_run_has_a_row():
    origin = {
        "commit": "0123456789",
        "uncommitted_changes": True,
        "date": "2026-01-02T03:04:05",
        "seconds": 300.0,
    }
    origin |= {"data_sha256": "abcdef0123", "device": "cpu: x"}
    found = [Run("task", name, {}, [1, 2], {}, {}, origin, []) for name in ("b_c", "a")]
    rows = show.provenance(found).splitlines()
    assert (
        rows[2] == "| task/a | cpu: x | 2026-01-02 | 0123456* | abcdef01 | 5 min | 2 |"
    )
    assert rows[3].startswith("| task/b\\_c |")
    assert len(rows) == 4


@pytest.fixture
def authors(monkeypatch, tmp_path):
    """Writes a `_quarto.yml` with these lines."""
    monkeypatch.setattr(show, "ROOT", tmp_path)
    return lambda *lines: (tmp_path / "_quarto.yml").write_text("\n".join(lines))


ADA = ("author:", "  - name: Ada", "    email: a_b@c.il", "    id: 012345670")


def test_students_are_text_as_it_is_written(authors):
    authors(*ADA, "  - {name: 'B | *C*', email: _d_@e.il, id: '987654321'}")
    table = show.students().to_markdown(index=False, disable_numparse=True)
    text = pypandoc.convert_text(table, "plain", "markdown")
    rows = [line.split() for line in text.splitlines() if "@" in line]
    authors("author:", "  - {name: 'A\n\n    B', email: a, id: '987654321'}")
    assert show.students()["Name"].tolist() == ["A B"]
    assert rows == [
        ["Ada", "a_b@c.il", "012345670"],
        ["B", "|", "*C*", "_d_@e.il", "987654321"],
    ]


@pytest.mark.parametrize(
    ("lines", "line", "named"),
    [
        (("  - name:", "    email: x", "    id: '1'"), 5, "name is no text"),
        (("  - name: {given: A, family: B}", "    email: x", "    id: 1"), 5, "name is no text"),
        (("  - name: B", "    email: x", "    id: ''"), 7, "id is no text"),
        (("  - name: B", "    email: x"), 5, "no id"),
        (("  - B",), 5, "name, email and id"),
        (("  - name: B", "    email: x", "    id: '012345670'"), 7, "two authors"),
        (("  - name: B", "    email: x", "    id: ../1"), 7, "letters and digits"),
    ],
)  # fmt: skip
def test_an_author_that_cannot_be_printed_is_refused(authors, lines, line, named):
    authors(*ADA, *lines)
    with pytest.raises(ValueError, match=rf"_quarto\.yml:{line}: .*{named}"):
        show.students()


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (("title: x",), "has to be a list"),
        (("author: Ada",), ":1: author: has to be a list"),
        (("author: [",), "expected the node content"),
        (("",), "has to be a list"),
        (("author: []",), "has to be a list"),
        (("- a",), "expected `key: value` lines"),
        (("hello",), "expected `key: value` lines"),
        (("? [a, b]", ": c"), "has to be a list"),
    ],
)
def test_without_a_list_of_authors_the_file_is_named(authors, lines, named):
    authors(*lines)
    with pytest.raises(ValueError, match=rf"_quarto\.yml(?s:.*){named}"):
        show.students()


@pytest.fixture
def rendering(monkeypatch):
    """Neither Quarto nor qmdpdf, until a test says so."""
    for name in ("QMDPDF", "QUARTO_BIN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_renderer_is_the_one_that_runs(rendering, tmp_path):
    assert show.renderer() == show.NOTEBOOK
    command = tmp_path / "quarto"
    command.write_text("#!/bin/sh\necho 1.9.38\n")
    command.chmod(0o755)
    rendering.setenv("QUARTO_BIN_PATH", str(tmp_path))
    assert show.renderer() == "Quarto 1.9.38"
    rendering.setenv("QMDPDF", "qmdpdf with pandoc 3.9")
    assert show.renderer() == "qmdpdf with pandoc 3.9"


def test_the_versions_are_those_of_today(rendering):
    rendering.setattr(runs, "commit", lambda: ("0123456789abcdef", ""))
    rendering.setattr(runs, "provenance", lambda _: {"uncommitted_changes": False})
    text = show.versions()
    assert text.startswith("commit 0123456789ab,")
    assert f"torch {torch.__version__.partition('+')[0]}," in text
    assert f"Python {platform.python_version()}," in text
    rendering.setattr(runs, "commit", lambda: ("", "no commit of a Git repository"))
    assert show.versions().startswith("no commit of a Git repository, by")


def test_a_method_is_shown_in_its_class():
    shown = show.source(imagenette.Network.forward).data
    code = re.search(r"```python\n(.*)\n```", shown, re.DOTALL)[1]
    assert code.startswith("class Network(nn.Module):\n    ...\n\n    def forward(")
    ast.parse(code)


def test_code_that_fits_a_page_is_kept_together_but_in_the_notebook(monkeypatch):
    monkeypatch.delenv("QUARTO_BIN_PATH", raising=False)
    monkeypatch.setenv("QMDPDF", "qmdpdf 1")
    assert show.source(signal.xavier_init).data.startswith("```{=latex}\n\\needspace{")
    assert show.source(imagenette.Network, imagenette.Muon).data.startswith("```python")
    monkeypatch.delenv("QMDPDF")
    assert show.source(signal.xavier_init).data.startswith("```python")


def test_a_formula_is_that_of_the_page():
    assert show.formula("eq-q1-risk").startswith(r"$\overline{\mathcal{R}}(w_\mu) = ")
    assert show.formula("eq-none") == "(see there)"
