"""The command: exit statuses, messages with file and line, and a previous PDF that no
failure touches.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from qmdpdf.__main__ import main

QUARTO = "title: T\nformat:\n  pdf:\n    documentclass: scrartcl\n    number-sections: true\n"
EQUATION = "$$\nx\n$$ {#eq-a}"


@pytest.fixture
def fails(project, tmp_path, capsys):
    """Renders files that cannot be rendered beside an old PDF; returns the message."""

    def fails(files: dict[str, str]) -> str:
        path = project({"doc.qmd": "text", "_quarto.yml": QUARTO} | files)
        (tmp_path / "doc.pdf").write_bytes(b"old")
        before = {
            file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()
        }
        assert main([os.fspath(path)]) == 1
        assert {
            file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()
        } == before
        return capsys.readouterr().err.split("error: ", 1)[1]

    return fails


def part(text):
    """A document with `text` on the third line of an included file."""
    return {
        "doc.qmd": "# Title\n\n{{< include _part.qmd >}}\n",
        "_part.qmd": f"text\n\n{text}\n",
    }


@pytest.mark.parametrize(
    ("files", "where", "named"),
    [
        (part("See @fig-none."), "_part.qmd:3", "unknown reference @fig-none"),
        (part("See [@nobody1999]."), "_part.qmd:3", "unknown citation @nobody1999"),
        (part("```{python}\n1 / 0\n```"), "_part.qmd:4", "ZeroDivisionError"),
        (
            {"_quarto.yml": f"{QUARTO}    toc: true\n    colour: red\n"},
            "_quarto.yml:7",
            "'colour'",
        ),
        (
            {"doc.qmd": "---\nlang: en\nkeywords: [a]\n---\n\nkeywords: a"},
            "doc.qmd:3",
            "'keywords'",
        ),
        (
            {
                "_quarto.yml": f"{QUARTO}    include-in-header:\n      - file: a/no.tex\n"
            },
            "_quarto.yml:7",
            "a/no.tex",
        ),
        (
            {"_quarto.yml": f"{QUARTO}bibliography: no.bib\n", "doc.qmd": "no.bib"},
            "_quarto.yml:6",
            "no.bib not found",
        ),
    ],
)
def test_error_is_shown_where_it_stands(fails, files, where, named):
    message = fails(files)
    assert message.startswith(f"{where}: ")
    assert named in message


def test_all_labels_in_error_are_shown_at_once(fails):
    source = """\
```{python}
#| label: tbl-shown
#| tbl-cap: Cap
from IPython.display import Markdown
Markdown("| a |\\n|---|\\n| 1 |")
```

| a |
|---|
| 1 |

: Cap {#tbl-shown}

$$ x $$ {#eq-twice}

$$ x $$ {#eq-twice}

# Section {#sec-twice}

::: {#thm-once}
See @eq-twice, @eq-twice-1,
@thm-once and @lem-none.
And @thm-on.
:::

## Section {#sec-twice}

# Without a number {#sec-bare .unnumbered}

See @sec-bare.

$$ x $$ {#eq-dot}.

$$ x $$ {#eq-big .big}

```{python}
#| label: tbl-none
#| tbl-cap: Cap
1
```
"""
    expected = [
        (": Cap {#tbl-shown}", "duplicate label tbl-shown"),
        ("$$ x $$ {#eq-twice}", "duplicate label eq-twice"),
        ("## Section {#sec-twice}", "duplicate label sec-twice"),
        ("See @eq-twice, @eq-twice-1,", "unknown reference @eq-twice-1"),
        ("@thm-once and @lem-none.", "unknown reference @lem-none"),
        ("See @sec-bare.", "unknown reference @sec-bare"),
        ("And @thm-on.", "unknown reference @thm-on"),
        ("$$ x $$ {#eq-dot}.", "label eq-dot is not alone in its braces"),
        ("$$ x $$ {#eq-big .big}", "label eq-big is not alone in its braces"),
        ("#| label: tbl-none", "tbl-none shows no Markdown table"),
    ]
    lines = part(source)["_part.qmd"].splitlines()
    last = {text: number for number, text in enumerate(lines, 1)}
    messages = [
        re.split("[;,] ", message)[0] for message in fails(part(source)).splitlines()
    ]
    assert sorted(messages) == sorted(
        f"_part.qmd:{last[text]}: {problem}" for text, problem in expected
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Bad $a^b^c$ here.", "Double superscript"),
        (
            "No font has \N{CJK UNIFIED IDEOGRAPH-4E2D}.",
            "There is no \N{CJK UNIFIED IDEOGRAPH-4E2D}",
        ),
    ],
)
def test_latex_error_is_shown_where_it_stands(fails, text, named):
    message = fails(part(f"Good $a^b$ and $c$\n\n{text}\n\nmore"))
    assert message.startswith("_part.qmd:5: LaTeX ")
    assert named in message
    assert not re.search(
        r"This is Lua|\.sty|\.cls|words of node memory|Output written", message
    )
    assert len(message.splitlines()) < 15


def test_missing_latexmk_is_named_with_the_remedy(fails, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert fails({}).startswith("latexmk not found; run `make tex`")


def test_missing_document(project, capsys):
    project({"other.qmd": ""})
    assert main(["absent.qmd"]) == 1
    assert (
        capsys.readouterr().err
        == "error: absent.qmd: no such file; give the path of a .qmd file\n"
    )


def test_interrupt_leaves_nothing_behind(tmp_path):
    started = tmp_path / "started"
    folder = tmp_path / "document"
    folder.mkdir()
    (folder / "doc.pdf").write_bytes(b"old")
    (folder / "doc.qmd").write_text(
        "```{python}\nimport os, pathlib, time\n"
        f"path = pathlib.Path({os.fspath(started)!r})\n"
        "path.with_suffix('.new').write_text(str(os.getpid()))\npath.with_suffix('.new').rename(path)\n"
        "time.sleep(300)\n```\n"
    )
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    # a shell ignores Ctrl-C for what it starts in the background, and children inherit
    # that
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as scratch:  # short: sockets lie below it
        command = [sys.executable, "-m", "qmdpdf", "doc.qmd"]
        environment = {**os.environ, "TMPDIR": scratch}
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
        )
        try:
            deadline = time.monotonic() + 60
            while not started.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, message = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
            signal.signal(signal.SIGINT, previous)
        assert list(Path(scratch).iterdir()) == []
    assert process.returncode == 130
    assert message.endswith("interrupted; the previous PDF is untouched\n")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
