"""What is collected is what the renderer shows as mathematics, with file and line."""

import json
import subprocess
from pathlib import Path

import pypandoc
import pytest

from hw2.formulas.collecting import (
    CAPTION,
    DISPLAY,
    INLINE,
    PRINTED,
    classified,
    collect,
    lone_dollars,
)
from hw2.paths import REPORT
from qmdpdf.metadata import QmdError
from qmdpdf.source import Line, expand


def lines(text):
    parts = text.split("\n")
    return [Line(part, Path("page.qmd"), i) for i, part in enumerate(parts, 1)]


PAGE = """\
Text with $a = b$ and `$c$` and \\$5 and $d_1$,
<!-- $hidden = 1$
$$ hidden $$ -->

$$
e
= f
$$ {#eq-one}

```
$code$
```

````
```
$more$
```
````

```{python}
#| label: fig-x
#| fig-cap: "A caption with $g$ and $\\\\sigma$"
x = "$string$"
claims.equation("eq-two", r"\\frac{P}{Q}")
```

$h$
"""


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "_q1-page.qmd"
    file.write_text(PAGE)
    return file


def test_each_kind_of_place_is_found_with_its_line(page):
    found = collect(expand(page), lambda label, left: f"{left} = 1")
    shown = [(f.latex, f.kind, f.label, int(f.where.split(":")[-1])) for f in found]
    assert shown == [
        ("a = b", INLINE, "", 1),
        ("d_1", INLINE, "", 1),
        ("e = f", DISPLAY, "eq-one", 5),
        ("g", CAPTION, "", 22),
        (r"\sigma", CAPTION, "", 22),
        (r"\frac{P}{Q} = 1", PRINTED, "eq-two", 24),
        ("h", INLINE, "", 27),
    ]
    assert {formula.section for formula in found} == {"q1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so $r <!-- + 1 -->< 1$", ["r <!-- + 1 -->< 1"]),
        ("so $H = Q ` + 1$ and $+ 2 ` Q^T$", ["H = Q ` + 1", "+ 2 ` Q^T"]),
        ("`<!--` so $1 + 1 = 3$ `-->`", ["1 + 1 = 3"]),
        ("`$a$` <!-- `$b$ --> $c$ <!-- ` -->", ["c"]),
    ],
)
def test_what_begins_first_counts(tmp_path, text, expected):
    """As pandoc has it; what is wrong in a formula is left for its reader to refuse."""
    file = tmp_path / "_q1-page.qmd"
    file.write_text(text)
    assert [formula.latex for formula in collect(expand(file))] == expected
    command = [pypandoc.get_pandoc_path(), "--from", "markdown", "--to", "json"]
    tree = subprocess.run(
        command, input=text, capture_output=True, text=True, check=True
    )
    assert list(math_of_pandoc(json.loads(tree.stdout))) == expected


def math_of_pandoc(tree):
    """All mathematics in pandoc's tree, in its order."""
    if isinstance(tree, dict):
        if tree.get("t") == "Math":
            yield " ".join(tree["c"][1].split())
        else:
            yield from math_of_pandoc(list(tree.values()))
    elif isinstance(tree, list):
        for item in tree:
            yield from math_of_pandoc(item)


def test_the_report_has_no_mathematics_that_is_not_collected():
    """Chunks are left out on both sides: pandoc does not run them."""
    lines = expand(REPORT)
    text = "\n".join(line.text for line in lines).replace("```{python}", "```python")
    command = [pypandoc.get_pandoc_path(), "--from", "markdown", "--to", "json"]
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    expected = list(math_of_pandoc(json.loads(done.stdout)["blocks"]))
    found = [f.latex for f in collect(lines) if f.kind in (INLINE, DISPLAY)]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# a\n```\n# b\n```\n# c", ["# a", "# c"]),
        ("````\n```\n# b\n```\n# c\n````\n# d", ["# d"]),
        ("~~~\n# b\n```\n~~~\n# c", ["# c"]),
        ("- item\n\n  ```\n  # b\n  ```\n\n# c", ["# c"]),
        ("```python\n# b\n```", []),
        ("```a``` is code\n\n# c", ["# c"]),
        ("<!--\n```\n# b\n```\n# c\n--> d\n\n# e", ["# e"]),
        ("one <!-- two --> three\n\n# c", ["# c"]),
    ],
)
def test_code_and_comments_are_told_from_the_text(text, expected):
    found = [
        line.text
        for kind, line in classified(lines(text))
        if not kind and line.text.startswith("# ")
    ]
    assert found == expected
    # as pandoc reads it
    headers = [
        pypandoc.convert_text(
            json.dumps(document | {"blocks": [block]}), "plain", "json"
        )
        for document in [json.loads(pypandoc.convert_text(text, "json", "markdown"))]
        for block in document["blocks"]
        if block["t"] == "Header"
    ]
    assert [f"# {header.strip()}" for header in headers] == expected


def test_a_block_that_never_ends_is_an_error():
    with pytest.raises(
        QmdError, match=r"page.qmd:2: the code block .* is never closed"
    ):
        list(classified(lines("text\n```\ncode")))


def test_a_lone_dollar_is_found():
    text = (
        "Of $a$ and \\$5 and `$x`\n\n```{python}\n$\n```\n\nlost $b is $c$\n\nthe end"
    )
    (message,) = lone_dollars(lines(text))
    assert "page.qmd:7: a lone $" in message
    assert lone_dollars(lines(text.replace("$b", "$b$"))) == []


@pytest.mark.parametrize("arguments", ['"eq-b", "x"', '"eq-a"', "label, left"])
def test_an_equation_that_cannot_be_printed_is_named(arguments):
    with pytest.raises(QmdError, match=r"page\.qmd:2: claims\.equation.* no equation"):
        collect(
            lines(f"```{{python}}\nclaims.equation({arguments})\n```"),
            lambda label, left: {"eq-a": left}[label],
        )
