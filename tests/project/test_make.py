"""The Makefile: what is done when, on a small copy of the tree whose set-up script only
notes its calls.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from hw2.data import digits, imagenette
from hw2.paths import ROOT

STUB = """\
mkdir -p .venv .build
case "$1" in
state) exec sh code/real.sh state ;;
python) touch .venv/.ready ;;
tex) touch .build/tex ;;
render)
    touch .build/reading
    [ ! -e save ] || { sleep 0.1; mv save report/theory/_q.qmd; touch report/theory/_q.qmd; }
    echo %PDF-1.5 > report/hw2.pdf
    ;;
esac
echo "$1${WITH_TEX:+ with TeX}" >> calls
"""


# not what the make sets that these tests themselves may have been started by
OUTSIDE = {
    name: value
    for name, value in os.environ.items()
    if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "WITH_TEX")
}


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
        "report/some data.csv",
        "report/helper.py",
        "report/theory/image.png",
        "code/hw2/a.py",
        "runs/t/a.json",
        "data/set.csv",
    ):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")
    (root / "code" / "setup.sh").write_text(STUB)
    shutil.copy(ROOT / "code" / "setup.sh", root / "code" / "real.sh")
    return root


def make(root, *arguments, epoch=None):
    """Run make and return what it called since the last time."""
    calls = root / "calls"
    calls.unlink(missing_ok=True)
    extra = [f"SOURCE_DATE_EPOCH={epoch}"] if epoch else []
    result = subprocess.run(
        ["make", "-s", *arguments, *extra],
        cwd=root,
        env=OUTSIDE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return calls.read_text().splitlines() if calls.exists() else []


def touch(file):
    later = time.time() + 5
    os.utime(file, (later, later))


def test_the_first_build_sets_up_and_renders_and_the_second_does_nothing(tree):
    assert make(tree, "pdf") == ["python with TeX", "render with TeX"]
    start = time.perf_counter()
    assert make(tree, "pdf") == []
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    "file",
    [
        "report/theory/_q.qmd",
        "report/some data.csv",
        "report/helper.py",
        "report/theory/image.png",
        "code/hw2/a.py",
        "runs/t/a.json",
        "data/set.csv",
        "_quarto.yml",
    ],
)
def test_each_kind_of_source_is_a_reason_to_render(tree, file):
    make(tree, "pdf")
    touch(tree / file)  # its content is what counts
    assert make(tree, "pdf") == []
    with (tree / file).open("a") as source:
        source.write("an edit")
    os.utime(tree / file, (1, 1))  # as of a copy that keeps its time
    assert make(tree, "pdf") == ["render with TeX"]
    assert make(tree, "pdf") == []


def test_what_is_no_pdf_is_rendered_anew(tree):
    make(tree, "pdf")
    (tree / "report" / "hw2.pdf").write_text("junk")
    assert make(tree, "pdf") == ["render with TeX"]


def test_what_a_render_or_a_submission_fetches_is_none(tree):
    make(tree, "pdf")
    for file in (digits.FILE, imagenette.FILE, imagenette.OFFICIAL):
        (tree / "data" / file.name).write_text("")
        touch(tree / "data" / file.name)
    decoded = tree / "data" / f"{Path(imagenette.FILE.name).stem}-64px.safetensors"
    decoded.write_text("")
    touch(decoded)
    assert make(tree, "pdf") == []


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_new_requirements_are_installed_once(tree, file):
    make(tree, "pdf")
    touch(tree / file)
    assert make(tree, "pdf")[0] == "python with TeX"


def test_a_new_commit_and_another_renderer_are_reasons_to_render(tree):
    make(tree, "pdf", epoch=1)
    assert make(tree, "pdf", epoch=1) == []
    assert make(tree, "pdf", epoch=2) == ["render with TeX"]
    assert make(tree, "pdf", "RENDERER=pandoc", epoch=2) == ["render with TeX"]


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
        (["audit", "WHOLE=0", "REPRODUCE=no"], ["-m", "hw2", "audit"]),
        (["audit", "WHOLE=1"], ["-m", "hw2", "audit", "--whole"]),
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


def test_what_is_saved_during_a_render_is_a_reason_for_the_next(tree):
    (tree / "save").write_text("an edit")
    assert make(tree, "pdf") == ["python with TeX", "render with TeX"]
    assert make(tree, "pdf") == ["render with TeX"]
    assert make(tree, "pdf") == []


def test_a_file_more_or_less_is_a_reason_to_render(tree):
    make(tree, "pdf")
    (tree / "report" / "helper.py").unlink()
    assert make(tree, "pdf") == ["render with TeX"]
    new = tree / "report" / "old.csv"
    new.write_text("")
    os.utime(new, (1, 1))
    assert make(tree, "pdf") == ["render with TeX"]
    assert make(tree, "pdf") == []


@pytest.mark.parametrize(
    "file", ["report/hw2.tex", "report/hw2_files/a.png", "code/hw2/__pycache__/a.pyc"]
)
def test_what_a_render_leaves_is_none(tree, file):
    make(tree, "pdf")
    (tree / file).parent.mkdir(exist_ok=True)
    touch_new = tree / file
    touch_new.write_text("")
    touch(touch_new)
    assert make(tree, "pdf") == []


def test_verbs_that_need_no_tex_do_not_wait_for_it(tree):
    python = tree / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/true")
    assert make(tree, "verify") == ["python"]


def test_parallel_make_does_the_same(tree):
    assert make(tree, "-j4", "pdf") == ["python with TeX", "render with TeX"]
    assert make(tree, "-j4", "pdf") == []


def variable_of_make(tree, name, **environment):
    """A variable that make gives to what it runs."""
    rule = f"include Makefile\nvariable:\n\t@echo $${name}\n"
    (tree / "with-a-rule.mk").write_text(rule)
    done = subprocess.run(
        ["make", "-s", "-f", "with-a-rule.mk", "variable"],
        cwd=tree,
        env=OUTSIDE | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_paths_have_all_letters_whatever_the_locale(tree):
    assert variable_of_make(tree, "LC_ALL", LC_ALL="C") == "C.UTF-8"
    assert variable_of_make(tree, "LC_ALL", LC_ALL="C.UTF-8") == "C.UTF-8"
    assert variable_of_make(tree, "LC_ALL", LC_ALL="", LANG="C.UTF-8") == ""


def test_the_date_is_that_of_a_commit_that_has_the_project(tree, tmp_path):
    stamp = {f"GIT_{who}_DATE": "1700000000 +0000" for who in ("AUTHOR", "COMMITTER")}
    stamp |= {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip

    if not shutil.which("git"):
        pytest.skip("no Git on this system")

    def git(*arguments):
        subprocess.run(
            ["git", *arguments],
            cwd=tmp_path,
            env=os.environ | stamp,
            check=True,
            capture_output=True,
        )

    git("init")
    git("commit", "--allow-empty", "-m", "of another project")
    assert variable_of_make(tree, "SOURCE_DATE_EPOCH") == "1500000000"
    git("add", ".")
    git("commit", "-m", "with this one")
    assert variable_of_make(tree, "SOURCE_DATE_EPOCH") == "1700000000"
    other = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    assert variable_of_make(tree, "SOURCE_DATE_EPOCH", **other) == "1500000000"
    # and before a render it is said why
    done = subprocess.run(
        ["sh", "code/real.sh", "note_a_missing_commit"],
        cwd=tree,
        env=os.environ | other,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "The report names no commit" in done.stderr
    assert "dubious ownership" in done.stderr
    assert "safe.directory" in done.stderr
