"""pandoc's tree: what Quarto alone knows is refused at its line, and no block of code is
lost.
"""

from pathlib import Path

import pytest

from qmdpdf.metadata import QmdError
from qmdpdf.source import Line
from qmdpdf.tree import nodes, parse

IMAGE = "![](a.png)"
TABLE = "| a |\n|---|\n| 1 |"


def lines(text):
    return [Line(part, Path("doc.md"), i) for i, part in enumerate(text.split("\n"), 1)]


@pytest.mark.parametrize(
    ("source", "line", "named"),
    [
        ("::: {#fig-a}\n```\nx\n```\n\nCap\n:::", 0, "move the CodeBlock"),
        (f"::: {{#fig-a}}\n{IMAGE}\n\n{TABLE}\n\nCap\n:::", 0, "move the Table"),
        (f"::: {{#fig-a}}\n{IMAGE}\n\n- x\n\nCap\n:::", 0, "move the BulletList"),
        (f"::: {{#fig-a}}\n{IMAGE} and text\n\nCap\n:::", 0, "move the Str"),
        ("::: {#fig-a}\nCap\n:::", 0, "fig-a shows no image"),
        (f"::: {{#fig-a}}\n{IMAGE}\n\n- x\n:::", 0, "last paragraph of fig-a"),
        ("::: {#fig-a layout-ncol=2}\n![A](a.png)\n\n![B](b.png)\n\nCap\n:::", 0, "{#fig-a-1}"),
        (f"::: {{#fig-a layout-ncol=2}}\n![A](a.png){{#fig-a-1}}\n\n{IMAGE}\n\nCap\n:::", 0, "each needs one"),
        (f"::: {{#fig-a layout-ncol=two}}\n{IMAGE}\n\nCap\n:::", 0, "layout-ncol"),
        ("::: {layout-ncol=2}\nx\n:::", 0, "label or a class"),
        (f"::: {{#tbl-a}}\n{TABLE}\n\n{TABLE}\n\nCap\n:::", 0, "tbl-a is one table"),
        (f"::: {{#tbl-a}}\nText.\n\n{TABLE}\n\nCap\n:::", 0, "tbl-a is one table"),
        ("::: {#thm-a .callout-note}\nx\n:::", 0, ".callout-note"),
        ("::: {.proof layout-ncol=2}\nx\n:::", 0, "layout-ncol"),
        ("::: {.proof}\nx\n:::\n\n<div>\n\ny\n\n</div>", 4, "label or a class"),
        ("::: {.proof}\nx\n:::\n\n::: {}\ny\n:::", 4, "label or a class"),
        ("<div class='x'>\n\ny\n\n</div>", 0, ".x"),
        ("::: {.proof}\nx", 0, "unclosed"),
        ("a\n\nm<sup>2</sup>", 2, "<sup>"),
        ("<center>\n\nx\n\n</center>", 0, "<center>"),
        ("`<b>`{=html}", 0, "<b>"),
        ("```{=typst}\nx\n```", 0, "typst"),
        ('```{.python filename="a.py"}\nx\n```', 0, "filename="),
        ('```{#lst-a .python lst-cap="x"}\nx\n```', 0, "lst-cap="),
        ("```{.python .numberLines}\nx\n```", 0, ".numberLines"),
        ("```mermaid\nx\n```", 0, ".mermaid"),
        ("# Head {.appendix}", 0, ".appendix"),
        ("# Head {#fig-a}\n\n# Fig b", 0, "#fig-a"),
        ("a\n\ntext[^9] more", 2, "stray text[^9]"),
        ("a\n\n$$x$$ {#eq:foo}", 2, "stray {#eq:foo}"),
        ("a\n\n$$x$$ { #eq-foo }", 2, "stray #eq-foo"),
        ("a\n\n![](img.png) {width=50%}", 2, "stray {width=50%}"),
        ("a\n\n`{r} 1 + 1`", 2, "{r} is printed and not computed"),
        ("a\n\n`{python}x`", 2, "{python} is printed and not computed"),
        ("a\n\nSee [@fig-b, left].", 2, "what stands behind @fig-b"),
        ("a\n\n[Warning]: never", 2, "target of a link"),
        ("| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | x | lost |", 3, "a row of 3 cells"),
        ("> | a | b |\n> |---|---|\n> | 1 | 2 | lost |", 2, "a row of 3 cells"),
        ("- | a | b |\n  |---|---|\n  | 1 | 2 | lost |", 2, "a row of 3 cells"),
        ("a | b\n--|--\n1 | 2 | lost", 2, "a row of 3 cells"),
        ("| a | b |\n|---+---|\n| 1 | 2 | lost |", 2, "a row of 3 cells"),
        (">| a | b |\n>|---|---|\n>| 1 | 2 | lost |", 2, "a row of 3 cells"),
        ("| a | b |\n|---|---|\n| $5 | $6 | lost |", 2, "a row of 3 cells"),
        ("| a | b | lost |\n|---|---|\n| 1 | 2 |", 0, "a head of more cells"),
        ("(a) | a | b |\n    |---|---|\n    | 1 | 2 | lost |", 2, "a row of 3 cells"),
        ("> [Warning]: never", 0, "target of a link"),
        (f"::: {{#tbl-a}}\n{TABLE}\n\n: Inner\n\nCap\n:::", 0, "a second caption"),
        ("![x](a.png){width=0.5}", 0, "width=0.5"),
        ("![x](a.png){height=0%}", 0, "height=0%"),
        ("![x](a.png){width=abc}", 0, "width=abc"),
        ("![x](a.png){fig-align=left}", 0, "fig-align="),
        ("![x](a.svg)", 0, "a.svg"),
        ("![x](https://example.org/a.png)", 0, "https://example.org/a.png"),
        ("[^nowhere] is", 0, "[^nowhere]"),
        ("text\n\n[^a]: note", 2, "Note with key"),
        ("text\n\n---\ntitle: T\n---\n", 3, "metadata"),
        ("text\n\n    indented", 2, "write it between fences"),
        ("> ```\n> x\n> ```", 1, "write it between fences"),
        ("    ```\n    x\n    ```", 0, "reads this block of code otherwise"),
        ("```python title\nx\n```", 0, "reads this block of code otherwise"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_where_it_stands(source, line, named):
    with pytest.raises(QmdError) as error:
        parse(lines(f"before `.x`\n\n{source}\n"))
    where, message = str(error.value).splitlines()[0].split(": ", 1)
    assert where == f"doc.md:{3 + line}"
    assert named in message


@pytest.mark.parametrize(
    "source",
    [
        "a | b\n--|--\n1 |\n\n1 | 2 | no table",
        "> | a | b |\n> |---|---|\n> | `1|2` | \\| |",
        "![x](a.png){width=50% height=2cm}",
        "![x](a.png){width=.5in height=300}",
        "| a | b |\n|---|---|\n| $|x|$ | <!-- 1|2 --> |",
        "`{id}` and `{x}.csv` and `{0}`",
        "````\n```\nx\n```\n````",
        "~~~\n```\nx\n```\n~~~",
        "- item\n\n  ```python\n  x\n\n      y\n  ```",
        "[^a]\n\n```\nx\n\tb\n```\n\n[^a]: note\n\n    ```\n    y\n    ```",
        "<!--\n```\n::: {.x}\n-->\n\ntext <!-- more -->",
        "```{=latex}\n\\a\n```\n\n\\b{c}\n\n```\n```",
        "::: {#fig-a layout-ncol=2}\n![](a.png) ![](b.png)\n\nCap\n:::",
        "```\na\tb  # with a tab\n```\n\n# Fig b",
        "`{python} x`, a[^1] and [see @fig-b; @tbl-c] and [@knuth, p. 3]\n\n[^1]: note",
        "| a | b |\n|---|---|\n| `x | y` | $|x|$ |\n| 1 | \\| |\n\n| no | table | here",
    ],
)
def test_code_is_read_as_the_fences_say(source):
    tree = parse(lines(source))
    assert len(list(nodes(tree["blocks"]))) > 0


def test_all_problems_are_shown_at_once():
    with pytest.raises(QmdError) as error:
        parse(lines("a<b>c</b>\n\n::: {.callout-tip}\nx\n:::\n"))
    assert [text.split(" ")[0] for text in str(error.value).splitlines()] == [
        "doc.md:1:",
        "doc.md:1:",
        "doc.md:3:",
    ]
