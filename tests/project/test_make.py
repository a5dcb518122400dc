"""The Makefile: what is done when, on a small copy of the tree whose set-up script only
notes its calls.
"""

import os
import shutil
import subprocess
import time

import pytest

from hw2.paths import ROOT

STUB = """\
mkdir -p .venv .build
echo "$1" >> calls
case "$1" in
python) touch .venv/.ready ;;
tex) touch .build/tex ;;
render) touch report/hw2.pdf ;;
esac
"""


@pytest.fixture
def tree(tmp_path):
    """The Makefile with one source of each kind, in a folder whose name has a space and
    an umlaut.
    """
    root = tmp_path / "a tree with ümlaut"
    for file in (
        "Makefile",
        "_quarto.yml",
        "_environment",
        "requirements.lock",
        "pyproject.toml",
    ):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    for file in (
        "report/hw2.qmd",
        "report/theory/_q.qmd",
        "code/hw2/a.py",
        "runs/t/a.json",
    ):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")
    (root / "code" / "setup.sh").write_text(STUB)
    return root


def make(root, *arguments, epoch=None):
    """Run make and return what it called since the last time."""
    calls = root / "calls"
    calls.unlink(missing_ok=True)
    extra = [f"SOURCE_DATE_EPOCH={epoch}"] if epoch else []
    result = subprocess.run(
        ["make", "-s", *arguments, *extra],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return calls.read_text().split() if calls.exists() else []


def touch(file):
    later = time.time() + 5
    os.utime(file, (later, later))


def test_the_first_build_sets_up_and_renders_and_the_second_does_nothing(tree):
    assert make(tree, "pdf") == ["python", "render"]
    start = time.perf_counter()
    assert make(tree, "pdf") == []
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    "file", ["report/theory/_q.qmd", "code/hw2/a.py", "runs/t/a.json", "_quarto.yml"]
)
def test_each_kind_of_source_is_a_reason_to_render(tree, file):
    make(tree, "pdf")
    touch(tree / file)
    assert make(tree, "pdf") == ["render"]


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_new_requirements_are_installed_once(tree, file):
    make(tree, "pdf")
    touch(tree / file)
    assert make(tree, "pdf")[0] == "python"


def test_a_new_commit_and_another_renderer_are_reasons_to_render(tree):
    make(tree, "pdf", epoch=1)
    assert make(tree, "pdf", epoch=1) == []
    assert make(tree, "pdf", epoch=2) == ["render"]
    assert make(tree, "pdf", "RENDERER=pandoc", epoch=2) == ["render"]


def test_help_lists_every_verb_with_a_line(tree):
    text = (ROOT / "Makefile").read_text()
    verbs = next(
        line for line in text.splitlines() if line.startswith(".PHONY")
    ).split()[1:]
    shown = subprocess.run(
        ["make"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for verb in verbs:
        assert f"make {verb} " in shown


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (["experiments"], ["-m", "hw2", "run"]),
        (
            ["experiments", "ONLY=magic/final toy"],
            ["-m", "hw2", "run", "magic/final", "toy"],
        ),
        (["audit", "ONLY=magic"], ["-m", "hw2", "audit", "magic"]),
        (["search"], ["-m", "hw2", "search"]),
        (
            ["search", "STORAGE=a study.db", "TRIALS=9"],
            ["-m", "hw2", "search", "--storage", "a study.db", "--trials", "9"],
        ),
    ],
)
def test_what_the_verbs_for_experiments_call(tree, arguments, called):
    python = tree / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\n')
    python.chmod(0o755)
    assert make(tree, *arguments) == ["python"]
    assert (tree / "arguments").read_text().splitlines() == called


def test_what_a_killed_process_left_beside_the_runs_is_no_source(tree):
    make(tree, "pdf")
    (tree / "runs" / "t" / ".a.json.123").write_text("{")
    touch(tree / "runs" / "t" / ".a.json.123")
    assert make(tree, "pdf") == []
