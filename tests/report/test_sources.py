"""No result is typed: a measured or computed number in the prose is an inline
expression.
"""

import re
from pathlib import Path

import pytest

from hw2 import claims, pages, pdf_check, submission
from hw2.formulas.collecting import classified
from hw2.paths import NOTEBOOK, REPORT
from qmdpdf.source import Line, expand

# decimals, percentages, numbers with thousands separators, powers of ten: what results
# look like
RESULT = re.compile(r"\d+\.\d+|\d+(?:\.\d+)?\s?%|\d{1,3}(?:,\d{3})+|\d+e-?\d+")
GIVEN = {
    "10,000": "the number of products that the assignment asks for",
    "95%": "the share of seeds inside a band, a choice",
    "0.99": "the threshold of saturation, a choice",
}


def typed(lines: list[Line]) -> list[str]:
    """The results typed in the prose of some lines: outside code, formulas and inline
    expressions.
    """
    found, fenced = [], None
    for line in lines:
        fence = re.match(r"\s*(```+|\$\$)", line.text)
        if fence and (fenced is None or fence[1] == fenced):
            fenced = (
                fence[1] if fenced is None and line.text.count(fence[1]) == 1 else None
            )
            continue
        if (
            not fenced
            or line.text.startswith("#| fig-cap")
            or line.text.startswith("#| tbl-cap")
        ):
            prose = re.sub(r"`[^`]*`|\$[^$]*\$|\([^)]*\.(?:pdf|png)\)", " ", line.text)
            found += [
                f"{line.where}: {match}"
                for match in RESULT.findall(prose)
                if match not in GIVEN
            ]
    return found


@pytest.mark.parametrize("source", [REPORT, NOTEBOOK])
def test_no_result_is_typed(source):
    assert typed(expand(source)) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("The accuracy is 87.3 %.", 1),
        ("It has 132,863,336 parameters.", 1),
        ("The loss is 0.25.", 1),
        ("about 1e-15", 1),
        ("`{python} f'{x:.2%}'` of all, with $n = 0.5$ and 512 units in layer 29", 0),
        ("```\n0.25\n```", 0),
        ("$$\ny = 0.5\n$$\n0.5", 1),
        ('```{python}\n#| fig-cap: "Accuracy of 87.3 %."\nx = 0.5\n```', 1),
    ],
)
def test_the_search_for_typed_results_finds_them(tmp_path, text, count):
    page = tmp_path / "page.qmd"
    page.write_text(text)
    assert len(typed(expand(page))) == count


def test_every_label_is_referred_to():
    assert pdf_check.unreferenced(expand(REPORT)) == []


def test_every_equation_has_a_claim_and_every_claim_a_label():
    assert claims.unclaimed() == []
    assert set(claims.registry()) <= set(pages.places())


def wide(lines: list[Line], columns: int = 88) -> list[str]:
    """The lines of shown chunks that do not fit the page."""
    found, shown = [], True
    for kind, line in classified(lines):
        if line.text.startswith("```"):
            shown = True
        elif re.match(r"#\| (echo|include): false", line.text):
            shown = False
        elif kind == "python" and shown and not line.text.startswith("#|"):
            found += [f"{line.where}: {line.text}"] * (len(line.text) > columns)
    return found


def test_shown_code_fits_the_page(tmp_path):
    assert wide(expand(REPORT)) == []
    page = tmp_path / "page.qmd"
    chunk = "```{python}\n%sx = '" + 88 * "x" + "'\n```\n"
    page.write_text(chunk % "" + "\n" + chunk % "#| echo: false\n")
    assert len(wide(expand(page))) == 1


def headings(lines: list[Line]) -> list[str]:
    """The headings among some lines, without their attributes."""
    return [
        re.sub(r"\s*\{[^}]*\}$", "", line.text.lstrip("# "))
        for kind, line in classified(lines)
        if not kind and re.match("#+ ", line.text)
    ]


def test_the_report_and_the_notebook_name_headings_that_the_other_has():
    report, notebook = expand(REPORT), expand(NOTEBOOK)
    named = {
        line.where.partition(":")[0]: re.findall('"([^"]*)"', line.text)
        for line in report
        if line.text.startswith("*In the notebook: ")
    }
    assert [Path(where).name for where in named] == [
        "_t1-signal.qmd",
        "_t2-magic.qmd",
        "_t3-imagenette.qmd",
        "_t3-augmented.qmd",
    ]
    assert all(set(names) <= set(headings(notebook)) for names in named.values())
    assert sum(map(len, named.values())) == 5
    back = re.findall(
        r"\[\[(sec-[\w-]+)\]\]", "\n".join(line.text for line in notebook)
    )
    assert back == ["sec-t1", "sec-t2", "sec-t3"]
    for label in back:
        number, title = re.fullmatch(
            r"Section (\d+), \*(.*)\*", submission.sections()[label]
        ).groups()
        assert headings(report).count(title) == 1
        numbered = [line.text for line in report if re.match(r"# .*\{#sec-", line.text)]
        assert numbered[int(number) - 1].endswith(f"{{#{label}}}")
