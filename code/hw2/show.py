"""What the report shows of the project itself: its authors, its code, its recorded
runs, and what it is rendered by.
"""

import importlib.metadata
import inspect
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence

import pandas as pd
import yaml
from IPython.display import Markdown

from hw2 import claims, pages, runs
from hw2.paths import ROOT
from hw2.runs import Run

NOTEBOOK = "Jupyter"  # the renderer, where neither Quarto nor qmdpdf is one
PAGE_LINES, LINE = 60, 11.0  # of code on a page; the height of one in points
PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "scikit-learn",
    "matplotlib",
    "sympy",
    "kornia",
    "optuna",
    "jupyter",
)


def source(*functions: Callable) -> Markdown:
    """The source of functions, classes or methods of the package, as one block of
    Python. A method stands in its class, of which nothing else is shown.
    """
    code = "\n\n\n".join(map(_source, functions))
    return Markdown(_together(code) + _block(code))


def _together(code: str) -> str:
    """LaTeX that begins a new page where less is left of this one than code needs, if
    it fits a page.
    """
    lines = code.count("\n") + 2
    if renderer() == NOTEBOOK or lines > PAGE_LINES:
        return ""
    return f"```{{=latex}}\n\\needspace{{{LINE * lines:.0f}pt}}\n```\n\n"


def _source(function: Callable) -> str:
    text = inspect.getsource(function).rstrip()
    outer, _, _ = function.__qualname__.rpartition(".")
    if not outer:
        return text
    owner = inspect.getsource(getattr(inspect.getmodule(function), outer))
    return f"{owner.splitlines()[0]}\n    ...\n\n{text}"


def formula(label: str) -> str:
    """The equation that has this label on the page, as a formula within a line of
    Markdown; a place holder where the page is not at hand, as in the notebook.
    """
    place = pages.places().get(label)
    if place is None:
        return "(see there)"
    latex = place.latex or claims.written(label, "").removeprefix(" = ")
    return f"${' '.join(latex.split())}$"


def _block(code: str) -> str:
    """A Markdown block of Python, with a fence longer than any in the code."""
    fence = "`" * max([3, *(1 + len(run) for run in re.findall("`+", code))])
    return f"{fence}python\n{code}\n{fence}"


def renderer() -> str:
    """What this report is rendered by, with its version: qmdpdf and Quarto tell by what
    they set in the environment.
    """
    if found := os.environ.get("QMDPDF"):
        return found
    if folder := os.environ.get("QUARTO_BIN_PATH"):
        command = shutil.which(
            "quarto", path=os.pathsep.join([folder, os.environ.get("PATH", "")])
        )
        return f"Quarto {_first_line(command, '--version')}"
    return NOTEBOOK


def versions() -> str:
    """The commit, and the versions of Python, of the packages and of TeX where that is
    on the path, as a sentence.
    """
    commit, unknown = runs.commit()
    changes = (
        ", with changes of the code that are not committed"
        if runs.provenance("")["uncommitted_changes"]
        else ""
    )
    tools = [
        f"Python {platform.python_version()}",
        *(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES),
    ]
    if tex := _first_line(shutil.which("lualatex"), "--version"):
        tools.append(tex.removeprefix("This is "))
    named = f"commit {commit[:12]}" if commit else unknown
    return f"{named}{changes}, by {renderer()}, with {', '.join(tools)}"


def _first_line(command: str | None, option: str) -> str:
    """The first line that a command prints. Empty where there is no such command."""
    if not command:
        return ""
    done = subprocess.run(
        [command, option], capture_output=True, text=True, errors="replace", check=False
    )
    return next(iter(done.stdout.splitlines()), "")


def students() -> pd.DataFrame:
    """The authors in `_quarto.yml` with campus e-mail and ID, in Markdown: every sign
    stands for itself, also `|` and `_`.

    All is text as it is written, so that an ID without quotes keeps its zeros. Raises
    ValueError, with file and line, where one of these is missing or two IDs are the
    same.
    """
    file = ROOT / "_quarto.yml"
    try:
        tree = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: {error}") from None
    if tree and not isinstance(tree, yaml.MappingNode):
        raise ValueError(f"{file}:1: expected `key: value` lines")
    found = {str(key.value): value for key, value in tree.value} if tree else {}
    authors = found.get("author")
    if not isinstance(authors, yaml.SequenceNode) or not authors.value:
        line = f":{authors.start_mark.line + 1}" if authors else ""
        raise ValueError(
            f"{file}{line}: author: has to be a list, each with name, email and id"
        )
    rows, seen = [], set()
    for author in authors.value:
        start = where = f"{file}:{author.start_mark.line + 1}"
        if not isinstance(author, yaml.MappingNode):
            raise ValueError(f"{start}: an author has name, email and id; write them")
        given = {str(key.value): value for key, value in author.value}
        for key in ("name", "email", "id"):
            if key not in given:
                raise ValueError(f"{start}: this author has no {key}; add it")
            value = given[key]
            where = f"{file}:{value.start_mark.line + 1}"
            if not isinstance(value, yaml.ScalarNode) or not value.value.strip():
                raise ValueError(
                    f"{where}: the author's {key} is no text; write {key}: and the "
                    "whole text behind it"
                )
        number = given["id"].value.strip()
        if not re.fullmatch(r"[^\W_]+", number) or number in seen:
            problem = (
                "two authors have" if number in seen else "letters and digits only:"
            )
            raise ValueError(f"{where}: {problem} the ID {number}; correct it")
        seen.add(number)
        columns = {"Name": "name", "Campus e-mail": "email", "ID": "id"}
        rows.append(
            {
                column: re.sub(
                    r"([^\w\s]|_)", r"\\\1", " ".join(given[key].value.split())
                )
                for column, key in columns.items()
            }
        )
    return pd.DataFrame(rows)


def provenance(found: Sequence[Run]) -> str:
    """Markdown table of recorded runs: where, when and from which commit and data each
    comes, its time (of a search: that of all trials) and seeds.
    """
    rows = [
        "| Run | Device | Date | Commit | Data | Time | Seeds |",
        # shares of the width
        f"|:{'-' * 31}|:{'-' * 34}|:{'-' * 10}|:{'-' * 8}|:{'-' * 8}|"
        f"{'-' * 7}:|{'-' * 5}:|",
    ]
    for run in sorted(found, key=lambda run: (run.task, run.name)):
        origin = run.provenance
        commit = origin["commit"][:7] + ("*" if origin["uncommitted_changes"] else "")
        cells = [
            f"{run.task}/{run.name}".replace("_", r"\_"),
            origin["device"].replace("(R)", "").replace(" Processor @", ""),
            origin["date"][:10],
            commit,
        ]
        cells += [
            origin["data_sha256"][:8],
            # a search's record is written after its trials
            _duration(run.summary.get("seconds", origin["seconds"])),
            str(len(run.seeds)),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
