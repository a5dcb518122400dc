"""The check of a finished PDF, on PDFs made for it."""

import re
import shutil
import subprocess

import matplotlib.pyplot as plt
import pytest
from pypdf import PdfWriter

from hw2 import pdf_check
from qmdpdf.source import expand

PAGE = """\
# First part {#sec-a}

See @sec-a, @eq-b and @fig-c-1. The value is `{python} 1`.

$$ y = x $$ {#eq-b}

```{python}
#| label: fig-c
# not a heading
```
"""


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "page.qmd"
    file.write_text(PAGE)
    return file


def pdf(tmp_path, *bookmarks):
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    for title in bookmarks:
        writer.add_outline_item(title=title, page_number=0)
    target = tmp_path / "page.pdf"
    writer.write(target)
    return target


def test_a_good_pdf_has_no_faults(tmp_path, page):
    assert pdf_check.faults(pdf(tmp_path, "1 First part"), page) == []


def test_a_missing_section_is_named_with_its_line(tmp_path, page):
    (fault,) = pdf_check.faults(pdf(tmp_path, "1 Another part"), page)
    assert "page.qmd:1: the section 'First part' is not in" in fault


def test_a_label_that_nothing_refers_to_is_named(page):
    page.write_text(PAGE.replace("@eq-b", "nothing"))
    assert pdf_check.unreferenced(expand(page)) == [
        "eq-b is never referred to; write @eq-b or drop it"
    ]


def test_a_label_that_is_defined_twice_is_named_with_both_lines(page):
    assert pdf_check.repeated_labels(expand(page)) == []
    chunk = '\n```{python}\n#| label: fig-c\nclaims.equation("eq-b", "y")\n```\n'
    page.write_text(PAGE + chunk)
    found = pdf_check.repeated_labels(expand(page))
    assert [re.sub(r"(^|at )[^:]*page.qmd", r"\1", fault) for fault in found] == [
        ":14: the label eq-b is defined again, first at :5",
        ":13: the label fig-c is defined again, first at :8",
    ]


def test_figures_are_mentioned_in_their_order(tmp_path):
    file = tmp_path / "page.qmd"
    chunks = "".join(
        f"```{{python}}\n#| label: {label}\n```\n"
        for label in ("fig-a", "tbl-c", "fig-b")
    )
    file.write_text(f"See @fig-a-1, @tbl-c,\nthen @fig-b.\n\n{chunks}\nAgain @fig-a.\n")
    assert pdf_check.disordered(expand(file)) == []
    file.write_text(f"See @fig-b, @tbl-c,\nthen @fig-a.\n\n{chunks}\nAgain @fig-a.\n")
    (fault,) = pdf_check.disordered(expand(file))
    assert fault.endswith(
        "page.qmd:1: @fig-b is mentioned before @fig-a, which stands before it; mention "
        "them in their order"
    )


def test_a_citation_of_what_is_not_in_the_bibliography_is_found(tmp_path):
    bibliography = tmp_path / "references.bib"
    bibliography.write_text("@article{known2019,\n title = {T}}\n@book{ other , }\n")
    file = tmp_path / "page.qmd"
    file.write_text(
        "As [@known2019; @knwon2019] and @other say, @fig-a, `x @ y`, a@b.org.\n\n"
        "```{python}\n@cache\ndef f(): pass\n```\n"
    )
    (fault,) = pdf_check.uncited(expand(file), bibliography)
    assert fault.endswith(
        "page.qmd:1: unknown citation @knwon2019; references.bib has no such entry"
    )


DOCUMENT = r"""\documentclass{scrartcl}
\usepackage{graphicx,hyperref,amssymb}
\newcommand{\verified}{$\checkmark$}
\begin{document}
\tableofcontents
\section{The first part}
\newpage
\section{The second part with a title so long that it takes two lines in the contents}
\begin{figure}[h]\includegraphics{%s}\caption{Drawn.}\end{figure}
See Figure 1: it is there. %s
\end{document}
"""


@pytest.fixture
def drawn(tmp_path):
    """PDFs of two pages with contents and a figure, by one run of LaTeX or more."""
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.imshow([[0, 1], [1, 0]])  # pixels inside a drawing
    figure.savefig(tmp_path / "figure.pdf")
    figure.savefig(tmp_path / "figure.png", dpi=50)
    figure.set_size_inches(8, 1)
    figure.savefig(tmp_path / "wide.pdf")
    plt.close(figure)

    def make(name, image="figure.pdf", text="", runs=1):
        (tmp_path / f"{name}.tex").write_text(DOCUMENT % (image, text))
        command = ["pdflatex", "-interaction=batchmode", f"{name}.tex"]
        for _ in range(runs):
            subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        return tmp_path / f"{name}.pdf"

    return make


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX")
def test_what_a_renderer_spoils_is_found(drawn, tmp_path):
    page = tmp_path / "page.qmd"
    page.write_text("# The first part\n")

    def found(pdf):
        return [part.removeprefix(f"{pdf}: ") for part in pdf_check.faults(pdf, page)]

    assert found(drawn("good", runs=2)) == []
    toc = (tmp_path / "good.toc").read_text()
    (tmp_path / "stale.toc").write_text(toc.replace("{2}{section.2}", "{3}{section.2}"))
    (stale,) = found(drawn("stale"))  # by a run that read the pages of one before
    assert re.match(r"the contents say page 3 for 'The second .* on page 2;", stale)
    assert found(drawn("twice", text=r"\par Figure 1: Drawn.")) == [
        "the caption of Figure 1 is printed 2 times"
    ]
    (fault,) = found(drawn("line", text=r"\par " + 75 * r"\mbox{m}"))
    assert re.match(r"'m{75}' on page 2 juts out \d+ points into the right", fault)
    (fault,) = found(drawn("figure", image="wide.pdf"))
    assert re.match(r"'a figure' on page 2 juts out \d+ points", fault)
    assert found(drawn("tick", text=r"\par\hfill\rlap{\ \verified}", runs=2)) == []
    raster = drawn("raster", image="figure.png")
    (fault,) = found(raster)
    assert fault.startswith("a figure on page 2 is an image of 100 x 50 pixels")
    page.write_text("# The first part\n\n![](figure.png)\n")  # a picture as it is
    assert found(raster) == []


@pytest.mark.parametrize("mark", ["??", "?@eq-b"])
def test_an_open_reference_in_the_text_is_found(tmp_path, page, monkeypatch, mark):
    monkeypatch.setattr("pypdf.PageObject.extract_text", lambda self: f"as in {mark}")
    assert (
        "unresolved reference" in pdf_check.faults(pdf(tmp_path, "First part"), page)[0]
    )
