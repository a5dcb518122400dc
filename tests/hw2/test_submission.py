"""The archive that is handed in, and the notebook in it."""

import json
import os
import re
import zipfile
from pathlib import Path
from unittest import mock

import nbformat
import pytest
import yaml

from hw2 import show, submission
from hw2.cli import main
from hw2.paths import REPORT, ROOT
from hw2.submission import SubmissionError
from qmdpdf.convert import convert
from qmdpdf.execute import execute
from qmdpdf.source import read
from qmdpdf.weave import weave

PAGE = """---
title: Title
subtitle: Subtitle
bibliography: references.bib
format:
  pdf:
    number-sections: true
---

# First {#sec-first}

```{python}
#| output: asis
#| echo: false
print("\\n```{=latex}\\n\\\\providecommand{\\\\verified}[1]{}\\\\verified{eq-a}\\n```\\n")
```

By @eq-a and @thm-b, see @sec-second and [@known], there is @fig-c and @tbl-d, `{python} 6 * 7`.

$$
x = 1
$$ {#eq-a}

## Below {#sec-below}

::: {#thm-b name="Name of $b$"}
It holds.
:::

::: {.proof}
Clear.
:::

```{python}
#| label: fig-c
#| fig-cap: "A figure for @eq-a."
import matplotlib.pyplot as plt

plt.plot([1, 2])
plt.show()
```

```{python}
#| label: tbl-d
#| tbl-cap: "A table."
#| echo: false
from IPython.display import Markdown

Markdown("| a |\\n|---|\\n| @eq-e |")
```

# Second {#sec-second}

$$
y = 2
$$ {#eq-e}

See @eq-e, @prp-f, @sec-below and @sec-more:

- a point with $z$
- another

::: {#prp-f}
Also.
:::

\\appendix

# More {#sec-more}

::: {#thm-g}
Last, @thm-g.
:::
"""
REFERENCES = "@book{known, author = {Author, A.}, title = {A Book}, year = {2000}, publisher = {House}}"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A small report, executed, with its numbered text and its numbers."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.qmd").write_text(PAGE)
    (folder / "references.bib").write_text(REFERENCES)
    document = read(folder / "page.qmd")
    document.metadata["bibliography"] = str(folder / "references.bib")
    execute(document)
    return document, *submission.numbered(document)


def test_the_numbers_are_those_of_the_pdf(page, tmp_path):
    document, _, numbers = page
    convert(document, weave(document, tmp_path), tmp_path)
    printed = re.findall(
        r"\\newlabel\{(\w+-\w+)\}\{\{(.*?)\}", (tmp_path / "document.aux").read_text()
    )
    assert numbers == dict(printed)
    assert numbers["thm-g"] == "A.1"


def test_numbers_and_citations_are_written_out(page):
    document, text, _ = page
    paragraphs = [part for part in text.split("\n\n") if part]
    assert (
        "By Equation\u00a01 and Theorem\u00a01.1, see Section\u00a02 and (Author 2000), there is"
        in paragraphs[2]
    )
    assert "Figure\u00a01 and Table\u00a01, 42." in paragraphs[2]
    assert "x = 1 \\tag{1\\,✓}" in text
    assert "y = 2 \\tag{2}" in text
    assert "**Theorem 1.1** (Name of $b$). It holds." in text
    assert "*Proof.* Clear." in text
    assert "**Figure 1:** A figure for Equation\u00a01." in text
    assert "• a point with $z$" in text
    assert not re.search(r"@\w+-|\{#|:::|\\verified", text)
    marks = re.findall(r"^HW2CELL(\d+)$", text, re.MULTILINE)
    assert [int(mark) for mark in marks] == [
        i for i, cell in enumerate(document.notebook.cells) if cell.cell_type == "code"
    ]


def test_an_unknown_reference_is_an_error(page, tmp_path):
    (tmp_path / "page.qmd").write_text(
        "---\nbibliography: none\n---\n\nSee @eq-none.\n"
    )
    document = read(tmp_path / "page.qmd")
    document.metadata["bibliography"] = page[0].metadata["bibliography"]
    with pytest.raises(SubmissionError, match="no number for @eq-none"):
        submission.numbered(document)


# --- names ---


def valid(first_eight):
    """An identity number with its last digit, by doubling every other digit and adding
    up all digits.
    """
    digits = "".join(
        str(int(digit) * 2) if place % 2 else digit
        for place, digit in enumerate(first_eight)
    )
    return first_eight + str(-sum(map(int, digits)) % 10)


def test_identity_numbers_are_checked():
    for number in ("00000000", "12345678", "98765432", "31415926"):
        good = valid(number)
        assert submission.is_identity(good)
        assert (
            sum(submission.is_identity(number + str(last)) for last in range(10)) == 1
        )
    assert valid("12345678") == "123456782"  # the example of many forms
    for number in ("12345678", "1234567820", "12345678x", "١٢٣٤٥٦٧٨٢"):
        assert not submission.is_identity(number)


@pytest.fixture
def students(monkeypatch, tmp_path):
    """Writes `_quarto.yml` with two authors into an empty project."""

    def write(*ids):
        authors = [{"name": "A", "email": "a@b", "id": number} for number in ids]
        (tmp_path / "_quarto.yml").write_text(
            yaml.safe_dump({"author": authors}, sort_keys=False)
        )
        monkeypatch.setattr(show, "ROOT", tmp_path)
        monkeypatch.setattr(submission, "ROOT", tmp_path)
        return tmp_path

    return write


def test_the_name_has_both_numbers(students):
    students("123456782", "000000018")
    assert submission.stem(draft=False) == "ece046211_hw2_123456782_000000018"


def test_a_wrong_number_is_named_with_its_line(students):
    folder = students("123456782", "987654321")
    with pytest.raises(
        SubmissionError,
        match=re.escape(f"{folder / '_quarto.yml'}:7: 987654321 is no identity number"),
    ):
        submission.stem(draft=False)
    assert submission.stem(draft=True) == "ece046211_hw2_123456782_987654321"


# --- the archive ---


@pytest.fixture
def small(students, monkeypatch, tmp_path):
    """An empty project with a PDF and a small notebook to hand in."""
    folder = students("123456782", "000000018")
    cells = [nbformat.v4.new_code_cell("1 + 1", id="cell-0", execution_count=1)]
    monkeypatch.setattr(
        submission,
        "notebook",
        lambda document, _: nbformat.v4.new_notebook(cells=cells),
    )
    (folder / "hw2.pdf").write_bytes(b"%PDF-1.5")
    return folder


def test_the_archive_holds_exactly_the_notebook_and_the_pdf(small, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    target = submission.submit(small / "hw2.pdf", draft=False)
    assert target == small / "dist" / "ece046211_hw2_123456782_000000018.zip"
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == [target.stem + ".ipynb", target.stem + ".pdf"]
        assert archive.read(target.stem + ".pdf") == b"%PDF-1.5"
        nbformat.validate(
            nbformat.reads(archive.read(target.stem + ".ipynb").decode(), 4)
        )
    first = target.read_bytes()
    assert submission.submit(small / "hw2.pdf", draft=False).read_bytes() == first


def test_the_command_says_what_is_missing(small, capsys):
    assert main(["submission", str(small / "none.pdf")]) == 1
    assert (
        "none.pdf: no such file; render it with `make pdf`" in capsys.readouterr().err
    )
    assert main(["submission", str(small / "hw2.pdf")]) == 0
    assert str(small / "dist") in capsys.readouterr().out


# --- the notebook of the report ---


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The whole notebook, executed in an empty folder, with a last cell that tells
    where the package is from.
    """
    document = read(REPORT)
    options = {"options": {}, "where": "the test", "first": 0, "skipped": 0}
    question = "import hw2, sys; print(Path(hw2.__file__).is_relative_to(Path.cwd()), 'qmdpdf' in sys.modules)"
    document.notebook.cells.append(
        nbformat.v4.new_code_cell(question, metadata=options)
    )
    # simulations and checks that a render has kept, with the same code, stay as they are
    with mock.patch.dict(os.environ):
        os.environ.pop("HW2_KEEP")
        return submission.notebook(document, tmp_path_factory.mktemp("alone"))


def test_the_notebook_runs_alone(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert code[-1].outputs[0].text.split() == ["True", "False"]
    assert not any(
        output.output_type == "error" for cell in code for output in cell.outputs
    )
    figures = sum(line.text.startswith("#| label: fig-") for line in read(REPORT).lines)
    assert (
        sum(
            "image/png" in output.get("data", {})
            for cell in code
            for output in cell.outputs
        )
        == figures
    )


def test_the_notebook_has_the_whole_package_as_readable_code(notebook):
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    for file in submission.modules():
        text = (ROOT / file).read_text(encoding="utf-8").rstrip()
        assert f"%%writefile {file}\n{text}" in [cell.rstrip() for cell in cells]


def test_no_syntax_of_quarto_is_left_in_the_text(notebook):
    left = re.compile(r"@(eq|fig|tbl|sec|thm|lem|cor|prp)-|\{#|^:::|\{python\}|HW2CELL")
    assert [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "markdown" and left.search(cell.source)
    ] == []


def test_the_flag_trains_anew_and_gives_the_recorded_numbers(tmp_path, monkeypatch):
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
    ):  # where cores are busy, more wait for each other
        monkeypatch.setenv(name, "1")
    cells = submission.preparation()
    setup = next(cell for cell in cells if cell.source.startswith("RETRAIN = False"))
    setup.source = setup.source.replace("RETRAIN = False", "RETRAIN = True", 1)
    one = "from hw2 import experiments\n\nexperiments.select = lambda parts: ['double_descent/features']"
    cells.insert(-1, nbformat.v4.new_code_cell(one))  # of all experiments the quickest
    for cell in cells:
        cell.metadata |= {"options": {}, "where": "the test", "first": 0, "skipped": 0}
    document = read(REPORT)
    document.notebook.cells, document.root = cells, tmp_path
    execute(document)
    file = Path("runs") / "double_descent" / "features.json"
    again, recorded = (
        json.loads((root / file).read_text(encoding="utf-8"))
        for root in (tmp_path, ROOT)
    )
    assert again["provenance"]["date"] > recorded["provenance"]["date"]
    assert again["provenance"]["commit"] == ""
    for name, value in recorded["summary"].items():
        old, new = (
            found["values"] if isinstance(found, dict) else found
            for found in (value, again["summary"][name])
        )
        assert new == pytest.approx(old, rel=0.02), name
