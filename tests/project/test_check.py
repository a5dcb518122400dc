"""The project's own check, with a make that only notes its calls."""

import os
import shutil
import subprocess
import time

import pytest

from hw2.paths import ROOT

MAKE = """\
#!/bin/sh
echo "begin $*" >> calls
mkdir -p .build
[ ! -e "fails-$1" ] || { echo "what $1 says"; exit 3; }
case "$1" in
pdf)
    mkdir -p report .build/results
    [ ! -e overfull ] || echo "  overfull boxes: 12"
    [ ! -e .build/first.pdf ] || [ ! -e differs ] || echo other > report/hw2.pdf
    [ -e report/hw2.pdf ] || echo same > report/hw2.pdf
    ;;
audit)
    trap 'touch ended; exit 143' TERM
    [ ! -e hangs ] || { touch begun; sleep 60 & wait; }
    ;;
test) until [ ! -e hangs ] || [ -e begun ]; do sleep 0.1; done; [ ! -e hangs ] || exit 3 ;;
esac
echo "end $*" >> calls
"""
KEPT = ("claim.a-1", "hw2.formulas.b-1", "hw2.tasks.signal.c-1", "hw2.theory.d-1")


@pytest.fixture
def check(tmp_path):
    """Runs the check in a small tree, where files named here say what goes wrong."""
    root = tmp_path / "tree"
    (root / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", root / ".ci")
    for name, text in (("bin/make", MAKE), (".venv/bin/python", "#!/bin/sh\n")):
        file = root / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
        file.chmod(0o755)
    (root / ".build" / "kept").mkdir(parents=True)
    for name in KEPT:
        (root / ".build" / "kept" / f"{name}.npz").touch()

    def check(*faults):
        for fault in faults:
            (root / fault).touch()
        path = f"{root / 'bin'}:{os.environ['PATH']}"
        environment = {"PATH": path, "HW2_DATA_MIRROR": "somewhere"}
        done = subprocess.run(
            [root / ".ci" / "run"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=30,
        )
        return done, root

    return check


def test_everything_is_done_and_the_report_is_rendered_twice(check):
    done, root = check()
    assert done.returncode == 0, done.stdout
    calls = (root / "calls").read_text().splitlines()
    ended = sorted(call.removeprefix("end ") for call in calls if call[:3] == "end")
    assert ended.pop(1).startswith("audit DRAWS=0 ONLY=magic double_descent ")
    assert ended == [".venv/.ready", "lint", "pdf", "pdf", "test", "verify"]
    assert "two renders gave the same PDF" in done.stdout
    left = sorted(file.stem for file in (root / ".build" / "kept").iterdir())
    assert left == sorted(KEPT[:3])


@pytest.mark.parametrize("verb", ["lint", "audit", "pdf", "test", "verify"])
def test_whatever_fails_fails_the_check_and_shows_what_it_says(check, verb):
    done, _ = check(f"fails-{verb}")
    assert done.returncode == 3
    assert f"what {verb}" in done.stdout


def test_a_page_that_is_overfull_fails_the_check(check):
    done, root = check("overfull")
    assert done.returncode != 0
    assert "overfull boxes: 12" in done.stdout
    assert "begin test" not in (root / "calls").read_text()


def test_two_renders_that_differ_fail_the_check(check):
    done, _ = check("differs")
    assert done.returncode != 0
    assert "report/hw2.pdf .build/first.pdf differ" in done.stdout


def test_what_runs_beside_a_failure_is_ended(check):
    done, root = check("hangs")
    assert done.returncode == 3
    end = time.monotonic() + 10
    while not (root / "ended").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
