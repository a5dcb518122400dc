"""Small documents, and a PDF's text as pypdf reads it."""

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pypdf
import pytest

from qmdpdf.__main__ import main
from qmdpdf.execute import execute
from qmdpdf.source import Document, read
from qmdpdf.weave import weave

Files = dict[str, str]

QUARTO = """\
project:
  execute-dir: project
title: "A small document"
subtitle: "With everything"
author:
  - name: Ada Lovelace
    email: ada@example.org
  - name: Charles Babbage
lang: en
bibliography: references.bib
link-citations: true
execute:
  echo: false
format:
  pdf:
    documentclass: scrartcl
    papersize: a4
    toc: true
    number-sections: true
    colorlinks: true
    fig-pos: "htbp"
    include-in-header:
      - text: '\\newcommand{\\fromheader}{Defined in the header}'
      - file: report/preamble.tex
"""

REPORT = Path(__file__).parents[2] / "report"
HEBREW = (REPORT / "preamble.tex").read_text().partition("% Hebrew letters")[2]
PREAMBLE = f"\\newcommand{{\\frompreamble}}{{Defined in the preamble}}\n%{HEBREW}"

BIBLIOGRAPHY = """\
@article{knuth1984,
  author = {Knuth, Donald E.}, title = {Literate Programming}, journal = {The Computer Journal}, year = {1984},
}
"""

DOCUMENT = """\
# First section {#sec-first}

```{python}
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown
answer = 6 * 7
```

{{< include parts/_results.qmd >}}

# Second section

::: {#thm-one name="On $x^2$ in $[0, 1]$"}
What the theorem says.
:::

::: {.proof}
How the theorem follows.
:::

::: {#lem-one}
## A headed lemma

What the lemma says.
:::

::: {#cor-one}
What the corollary says.
:::

::: {#prp-one}
What the proposition says.
:::

::: {#def-one}
What the definition says.
:::

::: {.proof name="Proof of the lemma"}
$$
u = v
$$ {#eq-in-proof}
:::

A [link](https://example.org/page). `\\fromheader`{=latex}. `\\frompreamble`{=latex}. Set on `\\today`{=latex}.

```{=latex}
\\appendix
```

# An appendix {#sec-appendix}

Its text. The word \N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}\N{HEBREW LETTER VAV}\N{HEBREW LETTER FINAL MEM} is Hebrew.

# References {.unnumbered}

::: {#refs}
:::
"""

RESULTS = """\
Figures: @fig-one, @fig-two, @fig-two-2, @fig-hand. Tables: @tbl-one, @tbl-hand.
Equations: @eq-one, @eq-printed, @eq-in-proof. Sections: @sec-first, @sec-appendix.
Statements: @thm-one, @lem-one, @cor-one, @prp-one, @def-one.
Bare: [-@fig-one]; own word: [Fig. @fig-two]; two: [@fig-one; @tbl-one].
The answer is `{python} answer`, `{python} "a*b_c -- 'd'"` and `{python} Markdown("**bold**")`.[^note] See [@knuth1984].

[^note]: What the footnote says.

$$
a^2 + b^2 = c^2
$$ {#eq-one}

```{python}
#| output: asis
print("$$ e = f $$ {#eq-printed}")
```

```{python}
#| label: fig-one
#| fig-cap: "One line, $y = x$"
plt.plot([1, 2]); plt.xlabel("abscissa"); plt.show()
```

```{python}
#| label: fig-two
#| fig-cap: "Two lines"
#| fig-subcap: ["going up", "going down"]
#| layout-ncol: 2
plt.plot([1, 2]); plt.show()
plt.plot([2, 1]); plt.show()
```

```{python}
#| label: tbl-one
#| tbl-cap: "Squares of numbers"
Markdown(pd.DataFrame({"number": [2, 3], "square": [4, 9]}).to_markdown(index=False))
```

![Drawn by hand](images/drawing.pdf){#fig-hand}

| left | right |
|------|-------|
| one  | two   |

: Written by hand {#tbl-hand}
"""


def write(folder: Path, files: Files) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / next(iter(files))


@pytest.fixture(scope="session", name="write")
def write_fixture() -> Callable[[Path, Files], Path]:
    """Writes files into a folder; returns the path of the first."""
    return write


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Files], Path]:
    """Writes files into an empty folder, which is also the current one; returns the
    path of the first.
    """
    monkeypatch.chdir(tmp_path)
    return lambda files: write(tmp_path, files)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Files], Document]:
    """Writes files into an empty folder, reads and executes the first of them."""

    def run(files: Files) -> Document:
        document = read(write(tmp_path_factory.mktemp("run"), files))
        execute(document)
        return document

    return run


@pytest.fixture(scope="session")
def woven_text() -> Callable[[Document, Path], str]:
    """The Markdown of an executed document. Figures are written into the folder."""

    def woven_text(document: Document, folder: Path) -> str:
        return "\n".join(line.text for line in weave(document, folder)) + "\n"

    return woven_text


@pytest.fixture(scope="session")
def pdf_text() -> Callable[[Path], str]:
    """The text of all pages of a PDF, with single spaces and plain letters in math."""

    def pdf_text(path: Path) -> str:
        text = " ".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
        return " ".join(unicodedata.normalize("NFKC", text).split())

    return pdf_text


@pytest.fixture(scope="session")
def small_document(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes the small document, which has everything that the report uses, into a new
    folder.
    """

    def small_document(name: str) -> Path:
        folder = tmp_path_factory.mktemp("small") / name
        drawing = pypdf.PdfWriter()
        drawing.add_blank_page(100, 50)
        (folder / "report" / "images").mkdir(parents=True)
        drawing.write(folder / "report" / "images" / "drawing.pdf")
        shutil.copy(REPORT / "hebrew.ttf", folder / "report")
        return write(folder, {
            "report/doc.qmd": DOCUMENT,
            "report/parts/_results.qmd": RESULTS,
            "report/preamble.tex": PREAMBLE,
            "references.bib": BIBLIOGRAPHY,
            "_quarto.yml": QUARTO,
        })  # fmt: skip

    return small_document


@pytest.fixture(scope="session")
def rendered(
    small_document: Callable[[str], Path], pdf_text: Callable[[Path], str]
) -> SimpleNamespace:
    """The small document, rendered once: `pdf`, `reader`, `text`, and what LaTeX has
    `left`.
    """
    document = small_document("a folder with ümlaut")
    pdf = document.parents[1] / "elsewhere.pdf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        arguments = [document, "--output", pdf, "--reuse", pdf.with_name("kept")]
        assert main([os.fspath(argument) for argument in arguments]) == 0
    assert not document.with_suffix(".pdf").exists()
    return SimpleNamespace(
        pdf=pdf,
        reader=pypdf.PdfReader(pdf),
        text=pdf_text(pdf),
        left=pdf.with_name("kept") / "latex",
    )
