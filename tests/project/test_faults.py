"""What a kill, a full disk, a read-only folder, another locale and two builds at once
do: nothing is lost.

Kills, disks and folders are real: a process is killed in the middle of its work, and a
small file system is mounted.
"""

import ast
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hw2.data.imagenette import CLASSES
from hw2.paths import ROOT

QUARTO = "title: T\nformat:\n  pdf:\n    documentclass: scrartcl\n"
VERIFY = (
    "import sys; from hw2.cli import main; sys.exit(main(['verify', '--only', "
    "'eq-q6-fc']))"
)
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("HW2_", "LC_", "LANG", "PYTHON"))
}


def rendering(*options: str) -> str:
    return (
        "import sys; from qmdpdf.__main__ import main; sys.exit(main(['doc.qmd', "
        f"*{options!r}]))"
    )


def fresh(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run a program by an interpreter of its own, which some environments are for."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=PLAIN | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )


@pytest.fixture
def python(fork) -> Callable[[str, Path], subprocess.CompletedProcess]:
    """Run a program in a process of its own."""
    return lambda code, folder: fork(code, folder, PLAIN).wait()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A data set of two images of each class in each part, as DATA below expects it."""
    for part in ("train", "val"):
        for place, folder in enumerate(CLASSES):
            for number in range(2):
                file = tmp_path / "set" / part / folder / f"{number}.JPEG"
                file.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng([place, number]).integers(
                    0, 256, (64, 64, 3), dtype=np.uint8
                )
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "JPEG")
                file.write_bytes(buffer.getvalue())
    with tarfile.open(tmp_path / "set.tar", "w") as target:
        target.add(tmp_path / "set", "set")
    shutil.rmtree(tmp_path / "set")
    return tmp_path / "set.tar"


# --- kills ---

KILL = """
import os, signal
def kill(*arguments, **options): os.kill(os.getpid(), signal.SIGKILL)
"""
# DATA loads a data set and prints its digest, RUN records a run with the accuracy that
# the file "new" has; what stands in the place of {kill} may kill them
DATA = """
import os, sys
from pathlib import Path
from hw2 import data
from hw2.data import imagenette
imagenette.COUNTS = {{"train": 20, "val": 20}}
archive = Path("set.tar").resolve()
found = data.DataFile("set.tar", "digest", 1, "here", lambda path: None)
data.locate = imagenette.data.locate = lambda file: archive
imagenette.FILE = found
os.environ["HW2_DATA"] = "."
{kill}
print(imagenette.load().digest)
"""
RUN = """
import torch
from pathlib import Path
from hw2 import runs
runs.RUNS = Path("runs").resolve()
accuracy = float(Path("new").read_text())
run = runs.Run("toy", "one", {{}}, [1, 2], {{}}, {{"test_accuracy": runs.over_seeds([accuracy] * 2)}}, {{}}, [1.0])
run.provenance.update(runs.provenance(""), device="cpu", seconds=1.0)
{kill}
runs.save(run, {{"weight": torch.tensor([accuracy])}})
"""
READ_RUN = """
from pathlib import Path
from hw2 import runs
runs.RUNS = Path("runs").resolve()
run = runs.load("toy", "one")
print(run.summary["test_accuracy"]["mean"], runs.load_weights(run)["weight"].item())
"""


@pytest.mark.parametrize(
    "where",
    [
        "original, calls = imagenette.Image.open, []\n"
        "imagenette.Image.open = lambda file: kill() if calls.append(1) or len(calls) > "
        "20 else original(file)",
        "imagenette.save = kill",
        "Path.replace = kill",
    ],
    ids=[
        "while images are decoded",
        "before they are stored",
        "between the file and its place",
    ],
)
def test_a_kill_during_the_extraction(python, archive, tmp_path, where):
    killed = python(DATA.format(kill=KILL + where), tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not list(tmp_path.glob("*.safetensors"))
    again, cached = (python(DATA.format(kill=""), tmp_path) for _ in range(2))
    assert again.returncode == 0, again.stderr
    assert len(again.stdout.strip()) == 64
    assert cached.stdout == again.stdout
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    "writes", [0, 1], ids=["before the weights", "between weights and numbers"]
)
def test_a_kill_during_the_write_of_a_run(python, tmp_path, writes):
    (tmp_path / "new").write_text("0.5")
    assert python(RUN.format(kill=""), tmp_path).returncode == 0
    assert python(READ_RUN, tmp_path).stdout == "0.5 0.5\n"
    (tmp_path / "new").write_text("0.75")
    where = f"calls, original = [], runs.write\nlast = {writes}\n"
    where += (
        "def write(*arguments):\n    if len(calls) == last: kill()\n    "
        "calls.append(1); original(*arguments)\n"
    )
    killed = python(RUN.format(kill=KILL + where + "runs.write = write"), tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    found = python(READ_RUN, tmp_path)
    if writes == 0:
        assert found.stdout == "0.5 0.5\n"
    # numbers of one training with the weights of another are never taken for a run
    else:
        assert "restore both from git" in found.stderr
    assert python(RUN.format(kill=""), tmp_path).returncode == 0
    assert python(READ_RUN, tmp_path).stdout == "0.75 0.75\n"


PUBLISH = (
    "from pathlib import Path; from qmdpdf import convert; {kill}; "
    "convert.publish(Path('new'), Path('a.pdf'))"
)


def test_a_kill_during_the_write_of_the_pdf(python, tmp_path):
    (tmp_path / "a.pdf").write_text("old")
    (tmp_path / "new").write_text("new")
    kill = (
        "import os, signal; convert.os.replace = lambda *a: os.kill(os.getpid(), "
        "signal.SIGKILL)"
    )
    assert python(PUBLISH.format(kill=kill), tmp_path).returncode == -signal.SIGKILL
    assert (tmp_path / "a.pdf").read_text() == "old"
    assert python(PUBLISH.format(kill="pass"), tmp_path).returncode == 0
    assert (tmp_path / "a.pdf").read_text() == "new"


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def ended(pid: int) -> bool:
    """Whether there is no such process any more, but perhaps its entry."""
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return shown.strip()[:1] in {"", "Z"}


@pytest.mark.parametrize("place", ["chunk", "LaTeX"])
def test_sigterm_leaves_no_temporary_folder_and_no_kernel(tmp_path, place):
    (tmp_path / "_quarto.yml").write_text(QUARTO)
    (tmp_path / "doc.pdf").write_text("old")
    (tmp_path / "tmp").mkdir()
    sleep = "time.sleep(60)" if place == "chunk" else ""
    (tmp_path / "doc.qmd").write_text(
        "```{python}\nimport os, time\nfrom pathlib import Path\n"
        f"Path('kernel').write_text(str(os.getpid()))\n{sleep}\n```\n"
    )
    latexmk = tmp_path / "latexmk"
    latexmk.write_text(
        f"#!/bin/sh\nsleep 60 &\necho $! >'{tmp_path}/begun'\n"
        f"touch '{tmp_path}/latex'\nwait\n"
    )
    latexmk.chmod(0o755)
    environment = {
        "TMPDIR": str(tmp_path / "tmp"),
        "PATH": f"{tmp_path}:{PLAIN['PATH']}",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "qmdpdf", "doc.qmd"],
        cwd=tmp_path,
        env=PLAIN | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        begun = tmp_path / ("kernel" if place == "chunk" else "latex")
        wait_until(lambda: begun.exists() and list((tmp_path / "tmp").iterdir()))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "doc.pdf").read_text() == "old"
    names = ["kernel"] + ["begun"] * (place == "LaTeX")
    for name in names:  # what LaTeX has begun ends with it
        pid = int((tmp_path / name).read_text())
        wait_until(lambda pid=pid: ended(pid))


def test_sigterm_during_a_download_leaves_no_temporary_folder(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = "import runpy, sys; sys.argv = ['hw2', 'run', 'magic/final', '--force']"
        code += "; runpy.run_module('hw2', run_name='__main__')"
        with subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=PLAIN
            | {
                "HW2_DATA": str(tmp_path / "data"),
                "HW2_DATA_MIRROR": f"http://127.0.0.1:{listener.getsockname()[1]}",
                "no_proxy": "127.0.0.1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            connection, _ = listener.accept()  # and never answer
            with connection:
                assert len(list((tmp_path / "data").iterdir())) == 1
                process.send_signal(signal.SIGTERM)
                output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert list((tmp_path / "data").iterdir()) == []


# --- disks ---


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB. Skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", os.fspath(folder)]
    if (
        not shutil.which("mount")
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", os.fspath(folder)], check=True)


def fill(disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (disk / "filling").write_bytes(bytes(2**20))


def test_a_full_disk_leaves_the_old_pdf(python, mount):
    (mount / "doc.qmd").write_text("```{python}\nprint(1)\n```\n")
    (mount / "_quarto.yml").write_text(QUARTO)
    (mount / "doc.pdf").write_text("old")
    fill(mount)
    done = python(rendering(), mount)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "error: [Errno 28] No space left on device"
    ), done.stderr
    assert (mount / "doc.pdf").read_text() == "old"
    assert sorted(file.name for file in mount.iterdir()) == [
        "_quarto.yml",
        "doc.pdf",
        "doc.qmd",
        "filling",
    ]


def test_a_full_disk_leaves_the_old_run(python, mount):
    (mount / "new").write_text("0.5")
    assert python(RUN.format(kill=""), mount).returncode == 0
    (mount / "new").write_text("0.75")
    before = {
        file: file.read_bytes()
        for file in (mount / "runs").rglob("*")
        if file.is_file()
    }
    fill(mount)
    done = python(RUN.format(kill=""), mount)
    assert "OSError: [Errno 28] No space left on device" in done.stderr
    assert {
        file: file.read_bytes()
        for file in (mount / "runs").rglob("*")
        if file.is_file()
    } == before
    (mount / "filling").unlink()
    assert python(READ_RUN, mount).stdout == "0.5 0.5\n"


def test_a_full_disk_leaves_no_half_data_set(python, archive, mount):
    code = DATA.format(kill="").replace('"."', repr(os.fspath(mount)))
    done = python(code, archive.parent)
    assert "set-64px.safetensors cannot be written" in done.stderr
    assert "free some space" in done.stderr
    assert list(mount.iterdir()) == []


@pytest.mark.parametrize("ready", [False, True])
def test_a_checkout_that_cannot_be_written_to(python, mount, ready):
    (mount / "code").mkdir()
    shutil.copy(ROOT / "code" / "setup.sh", mount / "code")
    shutil.copy(ROOT / "Makefile", mount)
    for name in ("_quarto.yml", "_environment", "requirements.lock", "pyproject.toml"):
        (mount / name).write_text("")
    (mount / "doc.qmd").write_text("# Title\n")
    (mount / "doc.pdf").write_text("old")
    if ready:
        (mount / ".venv").mkdir()
        (mount / ".venv" / ".ready").touch()
    subprocess.run(["mount", "-o", "remount,ro", os.fspath(mount)], check=True)
    made = subprocess.run(
        ["make", "pdf"], cwd=mount, capture_output=True, text=True, check=False
    )
    assert made.returncode != 0
    assert (
        f"error: nothing can be written into {mount}; copy the project" in made.stderr
    )
    assert "cannot create" not in made.stderr
    done = python(rendering(), mount)
    assert done.returncode == 1
    assert "error: [Errno 30] Read-only file system" in done.stderr
    assert (mount / "doc.pdf").read_text() == "old"
    shown = python(VERIFY, mount)
    assert shown.returncode == 0, shown.stderr


# --- places, locales, neighbours ---


def test_a_path_with_spaces_and_other_letters(python, tmp_path):
    folder = tmp_path / "שיעורי בית ü 作业"
    folder.mkdir()
    (folder / "doc.qmd").write_text(
        "```{python}\nfrom pathlib import Path\nprint(len(Path.cwd().name))\n```\n",
        "utf-8",
    )
    (folder / "_quarto.yml").write_text(QUARTO)
    done = python(rendering("--reuse", "kept", "--depends", "_quarto.yml"), folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "doc.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.skipif(
    not str(ROOT).isascii(),
    reason="Python itself cannot start from such a path in such a locale",
)
def test_a_locale_without_utf_8(tmp_path):
    other = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert (
        fresh(
            "import sys; print(sys.stdout.encoding)", tmp_path, **other
        ).stdout.strip()
        != "utf-8"
    )
    done = fresh(VERIFY, tmp_path, **other)
    assert done.returncode == 0, done.stderr
    assert "? eq-q6-fc" in done.stdout
    (tmp_path / "doc.qmd").write_text(
        "# Größe\n\n```{python}\nprint('é')\n```\n", "utf-8"
    )
    (tmp_path / "_quarto.yml").write_text(QUARTO)
    done = fresh(rendering(), tmp_path, **other)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "doc.pdf").exists()


def test_two_renders_at_once(fork, tmp_path):
    (tmp_path / "doc.qmd").write_text(
        "```{python}\nimport time; time.sleep(1)\n```\n`{python} 6 * 7`\n"
    )
    (tmp_path / "_quarto.yml").write_text(QUARTO)
    both = [fork(rendering("--reuse", "kept"), tmp_path, PLAIN) for _ in range(2)]
    for process in both:
        done = process.wait()
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "doc.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "_quarto.yml",
        "doc.pdf",
        "doc.qmd",
        "kept",
    ]
    assert len(list((tmp_path / "kept").glob("*.json"))) == 1


@pytest.mark.skipif(not shutil.which("flock"), reason="no flock on this system")
def test_two_makes_take_turns(tmp_path):
    for folder in ("code", "report", ".venv/bin", ".build"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "code" / "setup.sh", tmp_path / "code")
    for name in ("tex", "no-quarto"):
        (tmp_path / ".build" / name).write_text("")
    stub = tmp_path / ".venv" / "bin" / "python"
    stub.write_text(
        '#!/bin/sh\n[ "$2" = qmdpdf ] || exit 0\necho begin >> log\nsleep 1\necho end '
        ">> log\n"
    )
    stub.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"],
        "RENDERER": "pandoc",
        "PYTHON": "python3",
        "HOME": os.fspath(tmp_path),
    }
    command = ["sh", "code/setup.sh", "render"]
    processes = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    messages = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert (tmp_path / "log").read_text().split() == ["begin", "end"] * 2
    waited = ["Waiting for another make in this folder\n" in text for text in messages]
    assert sorted(waited) == [False, True]


TEXT_MODES = ("r", "w", "a", "x", "r+", "w+", "a+", "rt", "wt")


def test_no_module_reads_or_writes_text_in_the_encoding_of_the_locale():
    """A file that is opened as text names its encoding."""
    faults = []
    for file in (ROOT / "code").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                named = {keyword.arg for keyword in node.keywords} & {
                    "encoding"
                } or len(node.args) > 1
                mode = node.args[0] if node.args else None
                of_text = isinstance(mode, ast.Constant) and mode.value in TEXT_MODES
                opened = node.func.attr == "open" and (not node.args or of_text)
                text = node.func.attr in ("read_text", "write_text") or opened
                if text and not named:
                    faults.append(f"{file}:{node.lineno}")
    assert faults == []
