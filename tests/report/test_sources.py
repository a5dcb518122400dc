"""No result is typed: a measured or computed number in the prose is an inline
expression.
"""

import ast
import builtins
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from hw2 import claims, pages, pdf_check, submission
from hw2.formulas.collecting import classified, collect
from hw2.paths import NOTEBOOK, REPORT
from qmdpdf.source import Line, expand

# decimals, percentages, numbers with thousands separators, powers of ten, and shares in
# words: what results look like
NUMBER = "one|two|three|four|five|six|seven|eight|nine|ten"
RESULT = re.compile(
    r"\d+\.\d+|\d+(?:\.\d+)?\s?%|\d{1,3}(?:,\d{3})+|\d+e-?\d+|\d+ of \d+"
    rf"|\b(?!in\b)\w+ percent\b|\b(?:{NUMBER}) (?:out )?of (?:{NUMBER})\b"
    rf"|\b(?:{NUMBER}) (?:halves|thirds|quarters|fifths|sixths|eighths|tenths)\b",
    re.IGNORECASE,
)
IN_CAPTION = re.compile(r"\b\d{2,}\b")  # there also whole numbers
ALONE = re.compile(r"\$\s*(\d[\d.,]*[.,]\d+|\d[\d.,]*\s*\\?%)\s*\$")
GIVEN = {  # of each file, what is no result
    ("_t1-signal.qmd", "10,000"): "the products that the assignment asks for",
    ("_task1.qmd", "10,000"): "likewise",
    ("_t1-signal.qmd", "0.99"): "the threshold of saturation, a choice",
    ("_t3-augmented.qmd", "one of two"): "the comparison's own words",
    ("_t2-magic.qmd", "nine tenths"): "an accuracy for example",
    ("_t2-magic.qmd", "two tenths"): "how near is called close",
    ("_t2-magic.qmd", "three tenths"): "OneCycleLR's own setting",
    ("_t3-imagenette.qmd", "four fifths"): "an accuracy for example",
    ("_task2.qmd", "Seven tenths"): "the division, a choice",
    ("_task1.qmd", "0.99"): "the threshold of saturation, a choice",
    ("_task3.qmd", "0.9"): "a setting of the code above it",
    ("_task3.qmd", "0.1"): "likewise",
    ("_task3.qmd", "20 %"): "likewise",
    ("_q3-double-descent.qmd", "100"): "the assignment's plot",
    ("_q3-double-descent.qmd", "10"): "likewise",
    ("_q6-vgg.qmd", "11"): "the network's name",
    ("_q6-vgg.qmd", "224"): "the assignment's input",
    ("_q6-odd.qmd", "100"): "the inputs of the further question",
    ("_q3-reproduced.qmd", "25"): "a choice, which its chunk draws with",
    ("_t1-schemes.qmd", "100"): "the assignment's depth",
    ("_t1-schemes.qmd", "64"): "the networks of each scheme, a choice",
    ("_t3-longer.qmd", "160"): "the side of the official archive's images",
    ("_t3-longer.qmd", "64"): "the assignment's resolution",
    ("_t3-longer.qmd", "18"): "the peer's name",
}
CHOSEN = "95%"  # the level of all intervals and bands


def around_displayed(lines: list[Line]) -> Iterator[tuple[str, Line]]:
    """The lines that are not in a displayed formula, with the kind of their block."""
    displayed = False
    for kind, line in classified(lines):
        if not kind and line.text.startswith("$$"):
            displayed = line.text.count("$$") == 1 and not displayed
        elif not displayed:
            yield kind, line


def typed(lines: list[Line]) -> list[str]:
    """The results typed in the prose of some lines, in captions and in what chunks
    print: outside code, of formulas those that are nothing but a number, of inline
    expressions those that are nothing but a constant.
    """
    found, caption = [], False
    for kind, line in around_displayed(lines):
        matches = []
        if kind:
            option = re.match(r"#\|\s*([\w-]*)(:?)", line.text)
            if option and option[2]:
                caption = option[1].endswith("cap")
            if not option and "print(" in line.text:
                strings = "".join(re.findall(r"\"[^\"]*\"", line.text))
                matches += RESULT.findall(re.sub(r"\{[^}]*\}", "", strings))
        if not kind or (option and caption):
            inline = re.findall(r"`\{python\} ([^`]*)`", line.text)
            matches += [code for code in inline if is_constant(code)]
            matches += ALONE.findall(line.text)
            image = r"\([^)]*\.(?:pdf|png)\)"
            prose = re.sub(rf"`[^`]*`|\$[^$]*\$|{image}", " ", line.text)
            matches += RESULT.findall(prose)
            matches += IN_CAPTION.findall(RESULT.sub(" ", prose)) if kind else []
        found += [
            f"{line.where}: {match}"
            for match in matches
            if match != CHOSEN and (line.path.name, match) not in GIVEN
        ]
    return found


def is_constant(expression: str) -> bool:
    """Whether an expression computes nothing: it has no name of the page's chunks, and
    no operation but on numbers that are small.
    """
    nodes = list(ast.walk(ast.parse(expression.strip(), mode="eval")))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    if names - set(dir(builtins)) - {"Markdown"}:
        return False
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    large = any(isinstance(value, int | float) and value > 999 for value in values)
    return large or not any(isinstance(node, ast.BinOp) for node in nodes)


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
        ("```{python}\n#| fig-cap: >\n#|   Accuracy of 87.3 %.\nx = 0.5\n```", 1),
        ('```{python}\n#| fig-cap: "A"\n#| layout: 0.5\nx = 0.5\n```', 0),
        ("It costs $27.8$ points, or $90\\%$.", 2),
        ('It costs `{python} "27.80"` points, or `{python} f"{27:.1f}"`.', 2),
        ("12 of 100 answers, 91 percent, ninety percent, nine of ten.", 4),
        ("Nine tenths of the answers; a tenth", 1),
        ('`{python} f"{123_642_856 + 0:,}"`, `{python} str("93.60 %")`', 2),
        ('`{python} Markdown("93 of 100")`, `{python} f"{2 ** 0.5:.4f}"`', 1),
        ('```{python}\nprint(f"the std is 22.63, {x:.4f}")\nx = "0.5"\n```', 1),
        ('```{python}\n#| fig-cap: "Of 640 inputs, 95% bands."\nx = 5\n```', 1),
    ],
)
def test_the_search_for_typed_results_finds_them(tmp_path, text, count):
    page = tmp_path / "page.qmd"
    page.write_text(text)
    assert len(typed(expand(page))) == count


def unsaid(lines: list[Line]) -> list[str]:
    """The words quoted beside assertions that the prose and captions of the same file
    do not have.
    """
    said: dict[Path, str] = {}
    for kind, line in classified(lines):
        if not kind or line.text.startswith("#|"):
            words = " ".join(line.text.replace("*", "").lower().split())
            said[line.path] = f"{said.get(line.path, '')} {words}"
    return [
        f"{line.where}: {words}"
        for kind, line in classified(lines)
        if kind and not line.text.startswith("#|")
        for words in re.findall('"([^"]*)"', line.text.partition("  # ")[2])
        if words.lower() not in said[line.path]
    ]


def test_the_words_beside_an_assertion_stand_on_the_page(tmp_path):
    assert unsaid(expand(REPORT)) == []
    page = tmp_path / "page.qmd"
    chunk = '\n```{python}\nassert x > 0  # "improved"\n```\n'
    page.write_text("The accuracy\nimproved." + chunk)
    assert unsaid(expand(page)) == []
    page.write_text("The accuracy\nworsened." + chunk)
    assert len(unsaid(expand(page))) == 1


def test_what_the_notebook_writes_as_a_formula_is_evaluated_in_the_report():
    report, notebook = (
        [("".join(found.latex.split()), found.where) for found in collect(expand(page))]
        for page in (REPORT, NOTEBOOK)
    )
    assert len(notebook) > 10
    evaluated = " ".join(latex for latex, _ in report)
    assert [where for latex, where in notebook if latex not in evaluated] == []


# LaTeX commands that lay out, and state nothing
LAYOUT = (
    r"(?:begin|end)\{multicols\}|tableofcontents|appendix|FloatBarrier|needspace|setlength|splittables"
    r"|wholetables|normalsize|small|footnotesize|scriptsize"
)


def hidden(lines: list[Line]) -> list[str]:
    """What may be a formula where none is read: in code other than a single symbol, in
    raw LaTeX, in a folded caption, in letters and signs of the text.
    """
    found = []
    for kind, line in around_displayed(lines):
        if kind and line.text.startswith("#|"):
            bad = re.search(r"cap:\s*([>|].*)?$", line.text)
        elif kind:
            bad = re.search(
                r"\$(?![a-z]\$)[^$\"]+\$|\$\$|\\\(|\\\[|^`{3,}\s*\{=", line.text
            )
        else:
            text = re.sub(r"`\{python\}[^`]*`|\$[^$]*\$", "", line.text)
            text = re.sub(r"`\\pageref\{[\w-]+\}`\{=latex\}|\{[#.][^}]*\}", "", text)
            text = re.sub(rf"^\\(?:{LAYOUT})(?![a-zA-Z]).*|`[^`]*`(?!\{{)", "", text)
            bad = re.search(r"`\{python\}[^`]*\$", line.text) or re.search(
                r"[\u0391-\u03c9=≤≥≈∞∑√]|\{=|\\[a-zA-Z(\[]|\^\S+\^|~\S+~", text
            )
            if bad and line.text.startswith(":::"):
                bad = None
        if bad:
            found.append(f"{line.where}: {line.text}")
    return found


def test_no_formula_is_where_none_is_read(tmp_path):
    assert hidden(expand(REPORT)) == []
    page = tmp_path / "page.qmd"
    for text in (
        "```{python}\nprint('$1 + 1 = 3$')\n```",
        "```{python}\nprint('$$\\n1 + 1 = 3')\n```",
        "```{python}\n#| fig-cap: >\n#|   so $1 + 1 = 3$\n```",
        "so `$1 + 1 = 3$`{=latex}",
        "\\begin{equation*}1 + 1 = 3\\end{equation*}",
        "so \\(1 + 1 = 3\\)",
        "so λ is 2",
        "so 1 + 1 = 3",
        "so the rate is l^-2^",
        "```{=latex}\n\\let\\ge\\le\n```",
        "so `{python} Markdown('$1 + 1 = 3$')`",
    ):
        page.write_text(text)
        assert hidden(expand(page)), text
    page.write_text("so $1 + 1 = 2$ and `x = 3`, `\\pageref{sec-a}`{=latex}")
    assert hidden(expand(page)) == []


def test_every_label_is_referred_to():
    assert pdf_check.unreferenced(expand(REPORT)) == []


def test_figures_and_tables_are_mentioned_in_their_order():
    for source in (REPORT, NOTEBOOK):
        assert pdf_check.disordered(expand(source)) == []


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


def answers_elsewhere(lines: list[Line]) -> list[str]:
    """The rows of the answers at a glance whose formula is not of the place that they
    name, or whose page is another's.
    """
    at = {line.where: i for i, line in enumerate(lines)}
    places = {name: at[p.where] for name, p in pages.find_places(lines).items()}
    heads = pdf_check.headings(lines)
    found = []
    for row in (line.text for line in lines if r"`\pageref{" in line.text):
        *_, named = re.findall(r"@((?:sec|eq|thm)-[\w-]+)", row)
        inside = range(places.get(named, 0), places.get(named, 0) + 1)
        for head, below in pairwise(heads):
            if f"{{#{named}}}" in head.text:
                inside = range(at[head.where], at[below.where])
        good = rf"\pageref{{{named}}}" in row and all(
            places[label] in inside
            for label in re.findall(r'formula\("([\w-]+)"\)', row)
            if named[:3] != "thm"
        )
        found += [] if good else [row]
    return found


def test_each_answer_at_a_glance_is_of_the_place_that_it_names():
    lines = expand(REPORT)
    assert answers_elsewhere(lines) == []
    for old, new in (
        ('formula("eq-q2-bound")', 'formula("eq-q2-lower")'),
        ('formula("eq-q1-risk")', 'formula("eq-q1-split")'),
        (r"\pageref{sec-q2-4}", r"\pageref{sec-q2-5}"),
    ):
        wrong = [Line(s.text.replace(old, new, 1), s.path, s.number) for s in lines]
        assert len(answers_elsewhere(wrong)) == 1
