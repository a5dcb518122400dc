"""Reading: every line knows where it came from, and what the renderer cannot do is
refused there.
"""

from pathlib import Path

import pytest

from qmdpdf.source import QmdError, expand, read

QUOTED = """\
```python
::: {.callout-note}
[text]{.mark}
```

````markdown
```{python}
1 / 0
```
````

~~~
```python
~~~

- item

  ```python
      ```
  ::: {.callout-note}
  ```

<!--
::: {.callout-note}
```
--> and <!-- again --> and `<!--` <!--
::: {.callout-note}
-->"""


def test_lines_of_included_files_know_their_origin(project):
    path = project({
        "doc.qmd": "first\n\n{{< include parts/_a.qmd >}}\n\n{{<include parts/_b.qmd>}}\nlast",
        "parts/_a.qmd": "a1\n\n{{< include _b.qmd >}}\na4",
        "parts/_b.qmd": "b1\nb2\n",
    })  # fmt: skip
    lines = expand(path)
    assert [line.text for line in lines] == [
        "first",
        "",
        "a1",
        "",
        "b1",
        "b2",
        "a4",
        "",
        "b1",
        "b2",
        "last",
    ]
    for line in lines:
        assert Path(line.path).read_text().splitlines()[line.number - 1] == line.text
    assert [line.where for line in lines[3:6]] == [
        "parts/_a.qmd:2",
        "parts/_b.qmd:1",
        "parts/_b.qmd:2",
    ]


def test_circle_of_includes_is_refused(project):
    path = project({"doc.qmd": "{{< include _a.qmd >}}", "_a.qmd": "\n{{< include _b.qmd >}}",
                    "_b.qmd": "\n\n{{< include doc.qmd >}}"})  # fmt: skip
    with pytest.raises(QmdError, match=r"^_b\.qmd:3: doc\.qmd includes itself"):
        expand(path)


def test_cells_know_their_origin(project):
    path = project({
        "doc.qmd": "---\n# a comment\ntitle: T\n---\n\n# a comment\n\n{{< include _a.qmd >}}\n\n```{python}\n```",
        "_a.qmd": "```{python}\n#| label: x\n\nfirst = 1\n```\nt\n\n```{python}\n\nsecond = 2\n```\n\n\nmore\n\n\nlast",
    })  # fmt: skip
    cells = read(path).notebook.cells
    assert [
        (cell.cell_type, cell.source.strip(), cell.metadata["where"]) for cell in cells
    ] == [
        ("markdown", "# a comment", "doc.qmd:6"),
        ("code", "first = 1", "_a.qmd:2"),
        ("markdown", "t", "_a.qmd:6"),
        ("code", "second = 2", "_a.qmd:9"),
        ("markdown", "more\n\n\nlast", "_a.qmd:14"),
        ("code", "", "doc.qmd:11"),
    ]


def test_code_blocks_are_left_alone(project):
    path = project({"doc.qmd": f"text\n\n{QUOTED}\n\nend"})
    assert "\n".join(line.text for line in expand(path)) == f"text\n\n{QUOTED}\n\nend"
    assert [cell.cell_type for cell in read(path).notebook.cells] == ["markdown"]


def test_comments_of_a_chunk_stay_comments(project):
    source = "# %time nothing\n# !ls\nx = 1  # %matplotlib inline"
    assert (
        read(project({"doc.qmd": f"```{{python}}\n{source}\n```"}))
        .notebook.cells[0]
        .source
        == source
    )


@pytest.mark.parametrize(
    ("source", "line", "named"),
    [
        ("{{< include nowhere.qmd >}}", 0, "nowhere.qmd"),
        ("Some text {{< include _part.qmd >}}", 0, "line of its own"),
        ("{{< include _part.qmd >}}", 0, "_part.qmd includes itself"),
        ("{{< include ../doc.qmd >}}", 0, "../doc.qmd includes itself"),
        ("text {{< video film.mp4 >}} text", 0, "video"),
        ("::: {.callout-note}\nx\n:::", 0, ".callout-note"),
        ("::: callout-tip\nx\n:::", 0, ".callout-tip"),
        (":::: {.panel-tabset}\nx\n::::", 0, ".panel-tabset"),
        ("::: {#exr-one}\nx\n:::", 0, "#exr-one"),
        ("::: {#fig-one fig-align='left'}\nx\n:::", 0, "fig-align"),
        ("text\n[marked]{.mark} text", 1, ".mark"),
        ("![](a.pdf){#fig-a .lightbox}", 0, ".lightbox"),
        ("```{r}\nx\n```", 0, "{r}"),
        ("```{python echo=false}\nx\n```", 0, "{python echo=false}"),
        ("- item\n\n  ```{python}\n  x\n  ```", 2, "{python}"),
        ("```` {python}\nx\n````", 0, "{python}"),
        ("```{python}\n#| echo: false\n#| code-fold: true\nx\n```", 2, "'code-fold'"),
        ('```{python}\n#| echo: false\n#| "code-fold": true\nx\n```', 2, "'code-fold'"),
        ("```{python}\n#| echo: no way\nx\n```", 1, "echo cannot be 'no way'"),
        (
            "```{python}\n#| label: fig-a\n#| fig-subcap: one\nx\n```",
            2,
            "fig-subcap cannot be 'one'",
        ),
        (
            "```{python}\n#| label: fig-a\n#| layout-ncol: true\nx\n```",
            2,
            "layout-ncol cannot be True",
        ),
        ("```{python}\n#| label: 5\nx\n```", 1, "label cannot be 5"),
        ("```{python}\n#| echo: [false\nx\n```", 1, "not valid YAML"),
        ("```{python}\n#| echo:false\nx\n```", 1, "'echo:false'"),
        (
            "```{python}\n#| label: fig-a\n#| fig-subcap: [a, b]\nx\n```",
            1,
            "fig-a needs a caption; give the chunk option fig-cap",
        ),
        (
            "```{python}\n#| fig-cap: A caption\nx\n```",
            1,
            "fig-cap needs a label that starts with fig-",
        ),
        (
            "```{python}\n#| tbl-cap: A caption\n#| label: fig-a\nx\n```",
            1,
            "tbl-cap needs a label that starts with tbl-",
        ),
        ("text\n\n```python\nx\n\ntext", 2, "```"),
        ("text\n\n<!-- x\n\ntext", 2, "<!-- is never closed"),
        ("<!--\n```{python}\nx\n```\n-->", 1, "chunk in a comment"),
        ("~~~\n```{python}\nx\n```\n~~~", 1, "and between ~~~"),
        ("```{python}\n#| label: tbl-a\nx\n```", 1, "tbl-a needs a caption"),
        ("  ```{python}\n  x\n  ```", 0, "at the start of the line"),
        ("text `{python}\n1 + 1`", 0, "stand on one line"),
        ("<!--\n{{< include _part.qmd >}}\n-->", 1, "line of its own"),
        ("```python\n{{< include _part.qmd >}}\n```", 1, "line of its own"),
        ("```python\n`{python} x`\n```", 1, "inline expression in quoted code"),
        ("so `` `{python} x` `` is written", 0, "inline expression in quoted code"),
        ("```{python}\n\n#| echo: false\nx\n```", 2, "first lines of a chunk"),
        ("```{python}\nx\n# | echo: false\n```", 2, "first lines of a chunk"),
        ("```{python}\n#| echo: false\n#| echo: true\nx\n```", 2, "given twice"),
        ("```{python}\n#| output: latex\nx\n```", 1, "output cannot be 'latex'"),
        ("```{python}\n#| lst-cap: x\nx\n```", 1, "'lst-cap'"),
        ("text\n\n````python\nx\n```\n\ntext", 2, "````"),
    ],
)
def test_unsupported_constructs_are_refused_where_they_stand(
    project, source, line, named
):
    path = project(
        {
            "doc.qmd": "# Title\n\n{{< include parts/_part.qmd >}}\n",
            "parts/_part.qmd": f"text\n\n{source}\n",
        }
    )
    with pytest.raises(QmdError) as error:
        read(path)
    where, message = str(error.value).split(": ", 1)
    assert where == f"parts/_part.qmd:{3 + line}"
    assert named in message


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({"doc.qmd": "---\ntitle: T\nlang: [en\n---\n"}, "doc.qmd:3"),
        ({"doc.qmd": "---\nonly words\n---\n"}, "doc.qmd:2"),
        (
            {"doc.qmd": "text", "_quarto.yml": "title: T\n\ttoc: true\n"},
            "_quarto.yml:2",
        ),
        ({"doc.qmd": "text", "_quarto.yml": "- title\n"}, "_quarto.yml:1"),
    ],
)
def test_invalid_metadata_is_refused(project, files, where):
    with pytest.raises(QmdError) as error:
        read(project(files))
    assert str(error.value).startswith(f"{where}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "---\ntitle: T\n\n# Head\n\nText\n",
            r"doc\.qmd:1: the front matter has no end",
        ),
        ("", r"doc\.qmd: there is nothing to render"),
        ("---\ntitle: T\n---\n\n", r"doc\.qmd: there is nothing to render"),
        (
            '```{python}\n#| label: fig-a\n#| fig-cap: "Of `{python} x`"\nx\n```\n',
            r"doc\.qmd:3: chunk option fig-cap is not computed",
        ),
        (
            "```{python}\n#| label: fig-a\n#| fig-cap: A\n#| fig-subcap:\n#|   - B\n"
            "#|   - C `{python} x`\nx\n```\n",
            r"doc\.qmd:6: chunk option fig-subcap is not computed",
        ),
        (
            "```{python}\n#| label: tbl-a\n#| tbl-cap: |\n#|   One\n#|   `{python} x`\n"
            "x\n```\n",
            r"doc\.qmd:5: chunk option tbl-cap is not computed",
        ),
        (
            "---\ntitle: Of `{python} x`\n---\nText\n",
            r"doc\.qmd:2: option title is not",
        ),
    ],
)
def test_what_would_be_lost_or_printed_as_it_stands_is_refused(project, text, message):
    with pytest.raises(QmdError, match=message):
        read(project({"doc.qmd": text}))


def test_missing_document_is_named(project, tmp_path):
    project({"other.qmd": ""})
    with pytest.raises(QmdError, match=r"^absent\.qmd: no such file"):
        read(tmp_path / "absent.qmd")


def test_supported_constructs_are_accepted(project):
    source = """\
::: {#thm-a name="A.B: #1, x=1"}
:::

::: proof
:::

::: {#fig-a layout-ncol=2}
![One](a.pdf){#fig-a-1}

![Two](b.jpg){#fig-a-2 width=50%}

Both.
:::

::: {#fig-b layout-ncol=2}
![](a.pdf) ![](b.png)

Both.
:::

::: {#tbl-a}
| a |
|---|
| 1 |

A table.
:::

> A *quotation*, H~2~O^2^, [small]{.smallcaps}, ~~no~~ --- "yes"[^1] and $x$.

[^1]: A note.

Term

:   Its definition

1. one

   a) two

***

<!-- a comment -->

::: {#refs}
:::

# Heading {#sec-a .unnumbered}

[Text]{.unnumbered} [link](https://example.org) `x`{=latex}

```{.python}
x
```

```{=latex}
x
```"""
    assert (
        "\n".join(line.text for line in read(project({"doc.qmd": source})).lines)
        == source
    )


@pytest.mark.parametrize("mark", ["#|", "# |", "#  | "])
def test_options_are_read_as_formatters_write_them(project, mark):
    source = f"```{{python}}\n{mark} echo: false\n{mark} output: asis\n\nx = 1\n```"
    (cell,) = read(project({"doc.qmd": source})).notebook.cells
    assert cell.metadata["options"] == {"echo": False, "output": "asis"}
    assert (cell.source, cell.metadata["skipped"]) == ("x = 1", 3)


def test_a_quoted_chunk_is_text_and_the_next_one_is_run(project):
    source = f"{QUOTED}\n\n```{{python}}\nx = 1\n```\n\nend"
    cells = read(project({"doc.qmd": source})).notebook.cells
    assert [cell.source for cell in cells] == [QUOTED, "x = 1", "end"]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1255"])
@pytest.mark.parametrize("name", ["doc.qmd", "_part.qmd", "_quarto.yml"])
def test_a_file_that_is_no_utf8_is_named(project, tmp_path, encoding, name):
    path = project(
        {"doc.qmd": "{{< include _part.qmd >}}", "_part.qmd": "", "_quarto.yml": ""}
    )
    word = {"utf-16": "x", "latin-1": "\xe9", "cp1255": "\u05e9"}[encoding]
    (tmp_path / name).write_bytes(f"text\n{word}\n".encode(encoding))
    line = 1 if encoding == "utf-16" else 2
    with pytest.raises(QmdError, match=rf"^{name}:{line}: .*UTF-8"):
        read(path)


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path):
    path = tmp_path / "doc.qmd"
    path.write_bytes("\ufeff---\r\ntitle: T\r\n---\r\n\r\ntext\x0cmore\r\n".encode())
    document = read(path)
    assert document.metadata == {"title": "T"}
    assert [cell.source for cell in document.notebook.cells] == ["text\x0cmore"]


def test_chunk_options_lie_above_front_matter_above_project(project):
    path = project({
        "report/doc.qmd": "---\ntitle: Mine\nexecute:\n  warning: false\nformat:\n  pdf:\n    toc: false\n---\n\n"
        "```{python}\n#| echo: true\n#| label: fig-a\n#| fig-cap: C\n"
        '#| fig-subcap:\n#|   - "a: b"\n#|   - c\nx = 1\n```\n',
        "_quarto.yml": "title: Theirs\nlang: en\nexecute:\n  echo: false\n  warning: true\n  eval: false\n"
        "format:\n  pdf:\n    toc: true\n    papersize: a4\n",
    })  # fmt: skip
    document = read(path)
    assert document.root == path.parents[1]
    assert document.metadata["title"] == "Mine"
    assert document.metadata["lang"] == "en"
    assert document.metadata["format"] == {"pdf": {"toc": False, "papersize": "a4"}}
    cell = document.notebook.cells[0]
    assert cell.metadata["options"] == {
        "echo": True, "warning": False, "eval": False, "label": "fig-a", "fig-cap": "C",
        "fig-subcap": ["a: b", "c"],
    }  # fmt: skip
    assert cell.source == "x = 1"
