"""Metadata: what is known passes with its value, anything else is refused at its line."""

from pathlib import Path

import pytest

from qmdpdf.metadata import QmdError, mapping

FULL = """\
author:
  - name: Ada
    email: ada@example.org
    id: 012345670
  - Charles
title: "2024"
bibliography: [a.bib, b.bib]
jupyter: python3
execute:
  echo: false
  daemon: false
project:
  render: [a.qmd]
  pre-render: sh setup.sh
format:
  pdf:
    toc-title: Contents
    highlight-style: pygments
    latex-min-runs: 3
    linestretch: 1.5
    include-in-header:
      - text: a
      - file: b
      - c
"""


def test_what_is_known_is_accepted():
    found = mapping(FULL, Path("a.yml"))
    assert found["bibliography"] == ["a.bib", "b.bib"]
    assert found["format"]["pdf"]["latex-min-runs"] == 3
    assert mapping("format: pdf", Path("a.yml")) == {"format": "pdf"}
    assert mapping("# only a comment\n", Path("a.yml")) == {}


@pytest.mark.parametrize(
    "text",
    [
        "title: 'An `{a}`, \\`{a} la'",
        "format:\n  pdf:\n    include-in-header:\n      - text: '\\def\\a{\\`{a} }'",
        "title: T  # not `{python} x`",
    ],
)
def test_what_looks_like_inline_code_is_accepted(text):
    assert mapping(text, Path("a.yml"))


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("title: T\ndate: today", 2, "'date'"),
        ("jupyter: julia-1.9", 1, "jupyter cannot be 'julia-1.9'; give python3"),
        ("execute:\n  enabled: false", 2, "'enabled'"),
        ("execute:\n  echo: nope", 2, "echo cannot be 'nope'; give true or false"),
        ("project:\n  output-dir: x", 2, "'output-dir'"),
        ("title: 2024", 1, "title cannot be 2024; give text"),
        ("title:", 1, "title cannot be None"),
        ("format:\n  html: default", 2, "'html'"),
        ("format: html", 1, "format cannot be 'html'"),
        ("format:\n  pdf:\n    toc: 1", 3, "toc cannot be 1"),
        ("format:\n  pdf:\n    toc-depth: true", 3, "toc-depth cannot be True"),
        ("format:\n  pdf:\n    highlight-style: arrow", 3, "give kate or pygments"),
        ("format:\n  pdf:\n    pdf-engine: pdflatex", 3, "give lualatex"),
        ("author:\n  - name: A\n  - name: ''", 3, "name cannot be ''"),
        ("author:\n  - name: {given: A, family: B}", 2, "name cannot be {'given'"),
        ("author:\n  - name: A\n    id:", 3, "id cannot be None"),
        ("author:\n  - name: A\n    orcid: 1", 3, "'orcid'"),
        ("author:\n  - A\n  - B `{python} x`", 3, "author is not computed"),
        ("author:\n  - name: A\n    email: '`{r} x`'", 3, "author is not computed"),
        ("title: A\nabstract: |\n  One.\n  `{python} x`\n", 4, "abstract is not"),
        ("lang: he", 1, "lang cannot be 'he'"),
        ("title: A\ntitle: B", 2, "given twice"),
        ("title: 2024-13-01", 1, "not valid YAML"),
        ("author: &a [*a]", 1, "not valid YAML"),
        ("title: \x07", 1, "not valid YAML"),
    ],
)
def test_what_is_not_known_is_refused_at_its_line(text, line, named):
    with pytest.raises(QmdError) as error:
        mapping(text, Path("a.yml"))
    where, message = str(error.value).split(": ", 1)
    assert where in (f"a.yml:{line}", "a.yml")
    assert where != "a.yml" or "13" in text or "\x07" in text
    assert named in message
