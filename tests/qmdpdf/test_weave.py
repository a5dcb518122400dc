"""Weaving: which parts of an executed chunk appear, and as what; pandoc reads the
result.
"""

import base64
import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pypandoc
import pypdf
import pytest

from qmdpdf.execute import insert_inline
from qmdpdf.metadata import QmdError
from qmdpdf.source import read
from qmdpdf.weave import _running, weave

STREAMS = "import sys\nprint('*out*')\nprint('err', file=sys.stderr)"
PLOT = "plt.plot([1, 2]); plt.show()"
# the name of a chunk, its options, its source
CHUNKS = {
    "setup": (
        "#| include: false",
        "import matplotlib.pyplot as plt\nimport sympy\nfrom IPython.display import Markdown",
    ),
    "plain": ("", STREAMS),
    "no-echo": ("#| echo: false", STREAMS),
    "no-output": ("#| output: false", STREAMS),
    "asis": ("#| output: asis\n#| echo: false\n#| warning: false", STREAMS),
    "no-include": ("#| include: false", STREAMS),
    "no-warning": ("#| warning: false", STREAMS),
    "no-eval": ("#| eval: false", STREAMS),
    "value": ("#| echo: false", "[1, '*two*']"),
    "markdown": ("#| echo: false", "Markdown('**strong**')"),
    "order": (
        "#| echo: false",
        "print('one')\ndisplay(Markdown('two'))\nprint('three')\nprint('3\\r33')",
    ),
    "latex": ("#| echo: false", "sympy.Symbol('x') ** 2 / 2"),
    "colour": ("#| echo: false", "print('\\x1b[31mred\\x1b[0m')"),
    "fences": ("", 'print("""\n    ```\n    inner""", "`" * 4, "more", sep="\\n")'),
    "bare-figure": ("#| echo: false", PLOT),
    "figure": ("#| label: fig-a\n#| fig-cap: 'A *caption*'\n#| echo: false", PLOT),
    "subfigures": (
        "#| label: fig-b\n#| fig-cap: Both\n#| fig-subcap: [left, right]\n#| layout-ncol: 2\n#| echo: false",
        f"{PLOT}\n{PLOT}",
    ),
    "table": (
        "#| label: tbl-a\n#| tbl-cap: 'A *table*'\n#| echo: false",
        "Markdown('| a |\\n|---|\\n| 1 |')",
    ),
    "table-asis": (
        "#| label: tbl-b\n#| tbl-cap: Printed\n#| echo: false\n#| output: asis",
        "print('| b |\\n|---|\\n| 2 |')",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def woven(run, woven_text, tmp_path_factory):
    """The pandoc blocks that each chunk became, by name, and the folder with the
    figures.
    """
    source = "\n\n".join(
        f"MARK {name}\n\n```{{python}}\n{o}\n{s}\n```"
        for name, (o, s) in CHUNKS.items()
    )
    folder = tmp_path_factory.mktemp("figures")
    document = run({"doc.qmd": source.replace("{python}\n\n", "{python}\n")})
    text = woven_text(document, folder)
    parts = dict(re.findall(r"MARK (\S+)\n\n(.*?)(?=MARK|\Z)", text, re.DOTALL))
    blocks = {
        name: json.loads(pypandoc.convert_text(part, "json", "markdown"))["blocks"]
        for name, part in parts.items()
    }
    return SimpleNamespace(blocks=blocks, folder=folder)


def code(*texts, language=""):
    """Pandoc code blocks: the first one in the language, which is a chunk's own
    source.
    """
    return [
        {
            "t": "CodeBlock",
            "c": [["", [language] if language and not i else [], []], text],
        }
        for i, text in enumerate(texts)
    ]


def inlines(*words):
    return [
        word if isinstance(word, dict) else {"t": "Str", "c": word} for word in words
    ]


NOTHING = {"t": "Span", "c": [["", [], []], []]}


@pytest.mark.parametrize("above", ["![](a.png)", "| a |\n|---|\n| 1 |"])
@pytest.mark.parametrize(
    "caption",
    ["(a) Left, (b) right", "a. One", "1. One", "iv) One", "#. One", "(@x) One", "- One", "-- One", "--- One",
     "* One", "+ One", "# One", "> One", ">0 is good", "| One", ": One", ":One", "~ One", "Table: One", "Table:One",
     "[a]: left", "[a]:left", "[^1]: One", "*Left*: one", "**Left.** One", "$x$. One", "-", "#", "---", "+1 point",
     "Left. One", "(left) One", "p. 5", "`a.` One", "@knuth1984. One", "1.5 points", "One\n---", "One\n: two",
     "One\n2. two", "[0, 1) is half open"],
)  # fmt: skip
def test_a_caption_is_running_text_however_it_begins(caption, above):
    def read(text):
        return json.loads(pypandoc.convert_text(text, "json", "markdown"))["blocks"]

    [block] = read(f"::: {{#x}}\n{above}\n\n{_running(caption)}\n:::")
    *_, paragraph = block["c"][1]
    assert len(block["c"][1]) == 2
    assert paragraph["t"] == "Para"
    # as within a paragraph, where nothing but running text can be
    [expected] = read(f"Caption: {' '.join(caption.split())}")
    assert paragraph["c"] == [NOTHING, *expected["c"][2:]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("setup", []),
        ("plain", code(STREAMS, "*out*", "err", language="python")),
        ("no-echo", code("*out*", "err")),
        ("no-output", code(STREAMS, language="python")),
        ("asis", [{"t": "Para", "c": [{"t": "Emph", "c": inlines("out")}]}]),
        ("no-include", []),
        ("no-warning", code(STREAMS, "*out*", language="python")),
        ("no-eval", code(STREAMS, language="python")),
        ("value", code("[1, '*two*']")),
        ("markdown", [{"t": "Para", "c": [{"t": "Strong", "c": inlines("strong")}]}]),
        (
            "order",
            [
                *code("one"),
                {"t": "Para", "c": inlines("two")},
                *code("three\n33"),
            ],
        ),
        (
            "latex",
            [
                {
                    "t": "Para",
                    "c": [
                        {"t": "Math", "c": [{"t": "DisplayMath"}, "\\frac{x^{2}}{2}"]}
                    ],
                }
            ],
        ),
        ("colour", code("red")),
        (
            "fences",
            code(
                CHUNKS["fences"][1],
                "\n    ```\n    inner\n````\nmore",
                language="python",
            ),
        ),
    ],
)
def test_outputs(woven, name, expected):
    assert woven.blocks[name] == expected


def images(blocks):
    """(label, caption words, file) of each image in pandoc's blocks, in order."""
    found = []

    def walk(node, label=""):
        if isinstance(node, dict) and node["t"] == "Figure":
            label = node["c"][0][0]
        if isinstance(node, dict) and node["t"] == "Image":
            found.append(
                (
                    label or node["c"][0][0],
                    [word.get("c") for word in node["c"][1]],
                    node["c"][2][0],
                )
            )
        for child in (
            node.values()
            if isinstance(node, dict)
            else node
            if isinstance(node, list)
            else []
        ):
            walk(child, label)

    walk(blocks)
    return found


@pytest.mark.parametrize(
    ("name", "attributes", "labels", "caption"),
    [
        ("figure", ["fig-a", [], []], [("", [])], inlines("A", {"t": "Space"}, {"t": "Emph", "c": inlines("caption")})),
        ("subfigures", ["fig-b", [], [["layout-ncol", "2"]]], [("fig-b-1", ["left"]), ("fig-b-2", ["right"])],
         inlines("Both")),
    ],
)  # fmt: skip
def test_figures_have_their_labels_and_captions(
    woven, name, attributes, labels, caption
):
    (div,) = woven.blocks[name]
    assert div["t"] == "Div"
    assert div["c"][0] == attributes
    assert div["c"][1][-1] == {"t": "Para", "c": [NOTHING, *caption]}
    assert [(label, words) for label, words, _ in images(div)] == labels


def test_figures_are_files_of_their_own(woven):
    names = [
        file
        for name in ("bare-figure", "figure", "subfigures")
        for _, _, file in images(woven.blocks[name])
    ]
    assert len(set(names)) == 4
    assert sorted(path.name for path in Path(woven.folder).iterdir()) == sorted(names)
    for name in names:
        assert len(pypdf.PdfReader(woven.folder / name).pages) == 1


def test_bare_figure_has_no_div(woven):
    assert [block["t"] for block in woven.blocks["bare-figure"]] == ["Para"]


@pytest.mark.parametrize(
    ("name", "label", "caption"),
    [
        (
            "table",
            "tbl-a",
            inlines("A", {"t": "Space"}, {"t": "Emph", "c": inlines("table")}),
        ),
        ("table-asis", "tbl-b", inlines("Printed")),
    ],
)
def test_tables_have_their_label_and_caption(woven, name, label, caption):
    (div,) = woven.blocks[name]
    assert div["c"][0] == [label, [], []]
    assert [block["t"] for block in div["c"][1]] == ["Table", "Para"]
    assert div["c"][1][-1]["c"] == [NOTHING, *caption]


def test_text_between_chunks_is_kept_apart(run, woven_text, tmp_path):
    document = run({"doc.qmd": "one\n```{python}\n#| echo: false\nprint(1)\n```\ntwo"})
    blocks = json.loads(
        pypandoc.convert_text(woven_text(document, tmp_path), "json", "markdown")
    )["blocks"]
    assert [block["t"] for block in blocks] == ["Para", "CodeBlock", "Para"]


def test_label_of_a_figure_needs_a_figure(run, tmp_path):
    document = run(
        {
            "doc.qmd": "text\n\n```{python}\n#| label: fig-a\n#| fig-cap: None\nx = 1\n```\n"
        }
    )
    with pytest.raises(QmdError, match=r"doc\.qmd:4: the chunk fig-a shows no figure"):
        weave(document, tmp_path)


def shows(project, *outputs, options=""):
    """A document with one chunk, on its second line, and its outputs: the text that it
    prints, or the data that it displays.
    """
    document = read(project({"doc.qmd": f"```{{python}}\n{options}x\n```\n"}))
    document.notebook.cells[0].outputs = [
        nbformat.v4.new_output("stream", text=output)
        if isinstance(output, str)
        else nbformat.v4.new_output("execute_result", data=output)
        for output in outputs
    ]
    return document


JPEG = base64.b64encode(b"\xff\xd8\xff").decode()
HERE = "<a.B object at 0x7f12ab34cd56>"
LABEL = "#| label: fig-a\n#| fig-cap: C\n#| fig-subcap: [a, b]\n"


@pytest.mark.parametrize(
    ("output", "options", "named"),
    [
        ({"text/html": "<b>", "text/plain": HERE}, "", "shows text/html"),
        ({"image/svg+xml": "<svg/>", "text/plain": "x"}, "", "shows image/svg+xml"),
        ({"text/plain": "<Axes: >"}, "", "semicolon"),
        ({"text/plain": "[<matplotlib.lines.Line2D at 0x7f12ab34cd56>]"}, "", "semicolon"),
        ({"text/plain": HERE}, "", "address"),
        (f"printed {HERE}", "", "address"),
        ({"image/png": JPEG, "text/plain": "x"}, LABEL, "1 figures and has 2 subcaptions"),
    ],
)  # fmt: skip
def test_what_cannot_be_printed_is_refused(project, tmp_path, output, options, named):
    document = shows(project, output, options=options)
    where = rf"^doc\.qmd:2: .*{re.escape(named)}"
    with pytest.raises(QmdError, match=where):
        weave(document, tmp_path)


FIGURE = {"image/jpeg": JPEG, "text/plain": "x"}


def test_text_and_figures_keep_their_order(project, woven_text, tmp_path):
    document = shows(project, "up\n", FIGURE, "down\n", FIGURE)
    found = re.findall(r"up|down|!\[\]\(\S+\)", woven_text(document, tmp_path))
    assert found == ["up", "![](figure-0-1.jpg)", "down", "![](figure-0-3.jpg)"]
    captioned = "#| label: fig-a\n#| fig-cap: Cap\n"
    document = shows(project, "up\n", FIGURE, FIGURE, "down\n", options=captioned)
    found = re.findall(r"up|:::|down", woven_text(document, tmp_path))
    assert found == ["up", ":::", ":::", "down"]
    document = shows(project, FIGURE, "between\n", FIGURE, options=captioned)
    with pytest.raises(
        QmdError, match=r"^doc\.qmd:2: .* something between its figures"
    ):
        weave(document, tmp_path)


def test_a_jpeg_is_a_figure(project, woven_text, tmp_path):
    document = shows(project, {"image/jpeg": JPEG, "text/plain": HERE})
    assert "![](figure-0-0.jpg)" in woven_text(document, tmp_path)
    assert (tmp_path / "figure-0-0.jpg").read_bytes() == b"\xff\xd8\xff"


def test_the_file_of_a_warning_is_the_same_in_each_render(
    project, woven_text, tmp_path
):
    texts = {
        woven_text(
            shows(project, f"/tmp/ipykernel_{i}/123.py:1: UserWarning: w\n"), tmp_path
        )
        for i in (17, 18)
    }
    assert len(texts) == 1
    assert "\nchunk:1: UserWarning: w\n" in texts.pop()


def test_woven_lines_know_where_they_came_from(project, tmp_path):
    source = "one `{python} a`\n`{python} b` two\nthree `{python} c\n` four\n\nend"
    document = read(project({"doc.qmd": f"```{{python}}\nx\n```\n{source}\n"}))
    values = ["1\n1\n1", "2", "3\n3"]
    cell = document.notebook.cells[1]
    cell.metadata["inline"] = [{"text": value, "escaped": False} for value in values]
    insert_inline(cell, document)
    found = [(line.text, line.number) for line in weave(document, tmp_path)]
    assert found == [
        ("```{.python}", 2), ("x", 2), ("```", 2), ("", 4), ("one 1", 4), ("1", 4),
        ("1", 4), ("2 two", 5), ("three 3", 6), ("3 four", 6), ("", 8), ("end", 9),
    ]  # fmt: skip
