"""The check of a finished PDF, on PDFs made for it."""

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


@pytest.mark.parametrize("mark", ["??", "?@eq-b"])
def test_an_open_reference_in_the_text_is_found(tmp_path, page, monkeypatch, mark):
    monkeypatch.setattr("pypdf.PageObject.extract_text", lambda self: f"as in {mark}")
    assert (
        "unresolved reference" in pdf_check.faults(pdf(tmp_path, "First part"), page)[0]
    )
