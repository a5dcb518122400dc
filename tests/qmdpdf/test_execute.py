"""Executing: one kernel, inline values as Quarto inserts them, and errors at the line
that raised.
"""

import json
import os
import sys
import tempfile

import pypandoc
import pytest

from qmdpdf.execute import _inline_markdown, execute, socket_folder
from qmdpdf.source import QmdError, read

LITERALS = [
    "a*b*_c_ **d** `e`", "-- --- ...", "'single' \"double\"", "&amp; <b> $x$ ^up^ ~down~", "@fig-one [l](u)[^n]",
    "# Heading", "- item", "1. item", "\\alpha | {.class} !", "-3.50%",
]  # fmt: skip


@pytest.fixture(scope="module")
def executed(run):
    return run({
        "report/doc.qmd": "```{python}\nimport os\nfrom IPython.display import Markdown\nx = 6 * 7\n```\n\n"
        "{{< include _other.qmd >}}\n\n"
        f"```{{python}}\nliterals = {LITERALS!r}\nx += 1\ntick = Markdown('**bold** `\\\\tick`{{=latex}}')\n```\n\n"
        + "".join(f"`{{python}} literals[{i}]`\n\n\n" for i in range(len(LITERALS)))
        + "`{python} x` and ` {python} x` and $n = `{python} -x`$, `{python} [1, None]`\n\n\n"
        + "`{python} tick`\n\n\n`$5` and `{python}  literals[-1]  `\n\n\n"
        + "```{python}\n#| eval: false\nx = 0\n```\n\n`{python} x`, `{python} os.getcwd()`, `{python} os.getpid()`",
        "report/_other.qmd": "Before: `{python} x`\n",
        "_quarto.yml": "project:\n  execute-dir: project\n",
    })  # fmt: skip


def plain(markdown):
    """What a reader sees, by pandoc."""
    text = pypandoc.convert_text(
        markdown, "plain", format="markdown", extra_args=["--wrap=none"]
    )
    return " ".join(text.split())


def texts(document):
    """The parts of the text, which two empty lines separate."""
    cells = document.notebook.cells
    written = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return [part for source in written for part in source.split("\n\n\n")]


def test_a_text_that_begins_with_a_quote_need_not_be_a_string():
    assert _inline_markdown({"text/plain": "'x' + y_1"}) == r"'x' + y\_1"
    assert _inline_markdown({"text/plain": "'x', 'y'"}) == "'x', 'y'"


def test_chunks_and_expressions_share_one_kernel_in_order(executed):
    assert texts(executed)[0] == "Before: 42"
    assert texts(executed)[-1].startswith(
        "43, "
    )  # the chunk with `eval: false` did not reset it


@pytest.mark.parametrize("literal", LITERALS)
def test_inline_string_is_literal(executed, literal):
    assert plain(texts(executed)[1 + LITERALS.index(literal)]) == literal


def test_inline_values(executed):
    assert (
        plain(texts(executed)[-4])
        == "43 and {python} x and n = \N{MINUS SIGN}43, [1, None]"
    )


def test_inline_markdown_is_markdown_with_raw_latex(executed):
    latex = pypandoc.convert_text(texts(executed)[-3], "latex", format="markdown")
    assert latex.split() == ["\\textbf{bold}", "\\tick"]


def test_code_before_an_inline_string_is_not_math(executed):
    assert plain(texts(executed)[-2]) == "$5 and -3.50%"


def test_execute_dir_is_the_project(executed):
    assert f", {executed.root}, " in texts(executed)[-1].replace("\\", "")


def test_no_kernel_is_left(executed):
    with pytest.raises(ProcessLookupError):
        os.kill(int(texts(executed)[-1].split(", ")[-1]), 0)


def test_default_folder_is_the_documents(run):
    document = run(
        {
            "sub/doc.qmd": "`{python} __import__('os').getcwd()`",
            "_quarto.yml": "title: T\n",
        }
    )
    assert texts(document)[0].replace("\\", "") == str(document.path.parent)


@pytest.mark.parametrize(
    ("part", "line", "shown"),
    [
        ("```{python}\n#| label: x\n#| echo: true\n\na = 1\nb = a / 0\nc = 2\n```", 6, "b = a / 0"),
        ("```{python}\na = 1\nbad = (\n```", 3, "SyntaxError"),
        # the innermost frames are in another chunk, in a function of this chunk, in a
        # chain of exceptions
        ("```{python}\n#| label: x\na = 1\nlater(a)\n```", 4, "return x / 0"),
        ("```{python}\ndef f():\n    try:\n        later(1)\n    except ZeroDivisionError as error:\n"
         "        raise ValueError('no') from error\n\nf()\n```", 6, "return x / 0"),
        ("```{python}\nimport os\nos._exit(1)\n```", 2, "kernel died"),
        ("text\n\n`{python} __import__('os')._exit(1)`", 3, "kernel died in an inline"),
        ("text `{python} object()`", 1, "an address"),
        ("text `{python} print(1)`", 1, "which is no text"),
        ("text `{python} __import__('numpy').float64(0.5)`", 1, "which is no text"),
        ("# Head `{python} 'a\\nb'`", 1, "give one line"),
        ("| a |\n|---|\n| `{python} 'a\\nb'` |", 3, "give one line"),
        ("\\textbf{x `{python} '0.5'`}", 1, "LaTeX would read the escapes"),
        ("\\begin{align}\nx &= `{python} '0.5'`\n\\end{align}", 2, "LaTeX would read the escapes"),
        ("text `{python} __import__('pandas').Series([0, 1])`", 1, "which is no text"),
        ("text `{python} __import__('pandas').DataFrame()`", 1, "shown as text/html"),
        ("text `{python} __import__('IPython').display.Latex('x')`", 1, "which is no text"),
        ("text\n\nfine `{python} 1` and\n`{python} 1 / 0`, `{python} x`\n", 4, "`1 / 0` raised ZeroDivisionError"),
        ("cost $5\n\ntext $a =\n`{python} '-3.5'`$", 4, "'-3.5'"),
    ],
)  # fmt: skip
def test_what_raises_is_shown_where_it_stands(project, part, line, shown):
    path = project({
        "doc.qmd": "```{python}\ndef later(x):\n    # one\n    # two\n    # three\n    return x / 0\n```\n\n"
        "{{< include _part.qmd >}}\n",
        "_part.qmd": part,
    })  # fmt: skip
    with pytest.raises(QmdError) as error:
        execute(read(path))
    where, message = str(error.value).split(": ", 1)
    assert where == f"_part.qmd:{line}"
    assert shown in message
    assert "\x1b" not in message


def test_the_kernel_is_this_python_and_knows_no_personal_settings(
    project, monkeypatch, tmp_path
):
    kernel = tmp_path / "share" / "kernels" / "python3" / "kernel.json"
    startup = tmp_path / "ipython" / "profile_default" / "startup" / "00.py"
    for file in (kernel, startup):
        file.parent.mkdir(parents=True)
    argv = ["/bin/false", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "", "language": ""}))
    startup.write_text("personal = True")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    told = "sys.executable, 'personal' in dir(), __debug__, os.environ['MPLBACKEND']"
    source = f"```{{python}}\nimport os, sys\nprint({told})\n```\n"
    document = read(project({"doc.qmd": source}))
    execute(document)
    (cell,) = (cell for cell in document.notebook.cells if cell.cell_type == "code")
    inline = "module://matplotlib_inline.backend_inline"
    assert cell.outputs[0].text == f"{sys.executable} False True {inline}\n"


def test_a_long_temporary_folder_leaves_room_for_sockets(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 20)))
    assert len(f"{socket_folder()}/tmp12345678/kernel.json-ipc-1") < 107
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/usual")
    assert socket_folder() is None


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_figures_keep_their_format_when_a_chunk_changes_other_settings(project, kind):
    settings = "from matplotlib_inline.config import InlineBackend\nimport matplotlib.pyplot as plt\n"
    settings += "InlineBackend.instance().print_figure_kwargs = {'bbox_inches': None}\n"
    document = read(
        project(
            {"doc.qmd": f"```{{python}}\n{settings}plt.plot([1, 2])\nplt.show()\n```\n"}
        )
    )
    execute(document, kind)
    shown = document.notebook.cells[0].outputs[-1].data
    assert ("application/pdf" in shown, "image/png" in shown) == (
        kind == "pdf",
        kind == "png",
    )
