"""The set-up script on machines that lack something, played by a PATH with
stand-ins.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from hw2.paths import ROOT

TOOLS = (
    "sh",
    "mkdir",
    "touch",
    "cat",
    "cp",
    "rm",
    "wc",
    "id",
    "sort",
    "tail",
    "env",
    "printf",
    "date",
)


@pytest.fixture
def machine(tmp_path):
    """A project folder with the script, and a `bin` with nothing but basic tools in
    it.
    """
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    (tmp_path / "code").mkdir()
    shutil.copy(ROOT / "code" / "setup.sh", tmp_path / "code")
    (tmp_path / "report").mkdir()
    return tmp_path


def stand_in(machine: Path, name: str, script: str) -> None:
    file = machine / "bin" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # a link's target is this system's own tool
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_a_stand_in_leaves_the_tool_that_a_link_leads_to(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("as it was")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "id").symlink_to(tool)
    stand_in(tmp_path, "id", "echo 0")
    assert tool.read_text() == "as it was"
    assert "echo 0" in (tmp_path / "bin" / "id").read_text()


def run(machine: Path, verb: str, **environment: str) -> subprocess.CompletedProcess:
    variables = {
        "PATH": str(machine / "bin"),
        "PYTHON": "python3",
        "RENDERER": "auto",
        "HOME": str(machine),
    }
    return subprocess.run(
        ["sh", "code/setup.sh", verb],
        cwd=machine,
        env=variables | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_python(machine):
    result = run(machine, "python")
    assert result.returncode == 1
    assert "no python3 found; install Python 3.11 or newer" in result.stderr


def test_an_old_python(machine):
    stand_in(
        machine,
        "python3",
        'case "$1" in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac',
    )
    result = run(machine, "python")
    assert result.returncode == 1
    assert "python3 is Python 3.9.2, Python 3.11 or newer is needed" in result.stderr
    assert not (machine / ".venv").exists()


def test_no_tex_and_no_way_to_install_it(machine):
    result = run(machine, "tex")
    assert result.returncode == 1
    for remedy in ("Debian", "Fedora", "macOS", "quarto install tinytex"):
        assert remedy in result.stderr
    assert not (machine / ".build" / "tex").exists()


def test_tex_that_is_there_is_used(machine):
    for name in ("latexmk", "lualatex"):
        stand_in(machine, name, "exit 0")
    stand_in(machine, "kpsewhich", "for file; do echo /tex/$file; done")
    assert run(machine, "tex").returncode == 0
    assert (machine / ".build" / "tex").exists()


def test_incomplete_tex_is_completed_with_apt(machine):
    stand_in(machine, "sudo", 'shift; "$@"')
    stand_in(machine, "true", "exit 0")
    stand_in(machine, "chmod", f'exec {shutil.which("chmod")} "$@"')
    tex = (
        'for tool in latexmk lualatex; do echo "#!/bin/sh" > bin/$tool; done; chmod '
        "+x bin/latexmk bin/lualatex"
    )
    kpsewhich = """printf '#!/bin/sh\\nfor file; do echo $file; done' > bin/kpsewhich; chmod +x bin/kpsewhich"""
    stand_in(
        machine,
        "apt-get",
        f'echo "$@" >> apt-calls\n[ "$1" = update ] || {{ {tex}; {kpsewhich}; }}',
    )
    result = run(machine, "tex")
    assert result.returncode == 0, result.stderr
    assert "texlive-luatex" in (machine / "apt-calls").read_text()


def quarto(machine: Path, version: str, render: str) -> None:
    """Quarto with its own TinyTeX."""
    (machine / ".TinyTeX").mkdir()
    stand_in(
        machine,
        "quarto",
        f'case "$1" in --version) echo {version} ;; render) {render} ;; esac',
    )


def venv_python(machine: Path, script: str) -> None:
    stand_in(machine, "../.venv/bin/python", script)


def test_quarto_renders_where_it_is_found(machine):
    quarto(machine, "1.9.38", "echo new > report/hw2.pdf")
    venv_python(machine, 'echo "$@" >> python-calls')
    result = run(machine, "render")
    assert result.returncode == 0, result.stderr
    assert "Renderer: Quarto 1.9.38" in result.stdout
    assert (machine / "python-calls").read_text() == "-m hw2 inspect report/hw2.pdf\n"


def test_quarto_without_any_tex_is_an_error_with_the_remedy(machine):
    quarto(machine, "1.9.38", "exit 0")
    (machine / ".TinyTeX").rmdir()
    result = run(machine, "render")
    assert result.returncode == 1
    assert "quarto install tinytex" in result.stderr


@pytest.mark.parametrize("script", ["exit 0", "exit 1"])
def test_a_bad_pdf_from_quarto_does_not_replace_the_good_one(machine, script):
    (machine / "report" / "hw2.pdf").write_text("old")
    quarto(machine, "1.9.38", f"echo broken > report/hw2.pdf; {script}")
    venv_python(machine, "exit 1")
    assert run(machine, "render").returncode == 1
    assert (machine / "report" / "hw2.pdf").read_text() == "old"


@pytest.mark.parametrize("version", ["1.3.450", "0.9.1"])
def test_an_old_quarto_is_passed_over_and_the_failed_download_remembered(
    machine, version
):
    quarto(machine, version, "exit 1")
    (machine / ".build").mkdir()
    (machine / ".build" / "tex").touch()
    venv_python(
        machine, 'echo "$@" >> python-calls; case "$2" in *urlopen*) exit 1 ;; esac'
    )
    for _ in range(2):
        result = run(machine, "render")
        assert result.returncode == 0, result.stderr
        assert "Renderer: qmdpdf" in result.stdout
    calls = (machine / "python-calls").read_text()
    assert calls.count("urlopen(") == 1
    assert (
        calls.count(
            "-m qmdpdf report/hw2.qmd --reuse .build/results --depends report code"
        )
        == 2
    )


def test_what_the_code_fetches_is_nothing_that_results_depend_on(machine):
    (machine / ".build").mkdir()
    for file in (".build/tex", ".build/no-quarto"):
        (machine / file).touch()
    (machine / "data").mkdir()
    for name in ("my set.csv", "digits.csv.gz", "imagenette2-224sq-64px.safetensors"):
        (machine / "data" / name).touch()
    venv_python(machine, 'printf "%s|" "$@" > depends')
    result = run(machine, "render", RENDERER="pandoc")
    assert result.returncode == 0, result.stderr
    depends = (machine / "depends").read_text().split("|")
    assert [name for name in depends if "data" in name] == ["data/my set.csv"]


def test_a_forced_quarto_that_is_not_there_is_an_error(machine):
    venv_python(machine, "exit 1")
    result = run(machine, "render", RENDERER="quarto")
    assert result.returncode == 1
    assert (
        "RENDERER=quarto, but Quarto 1.4 or newer is neither on PATH" in result.stderr
    )


def test_an_unknown_renderer_is_an_error(machine):
    result = run(machine, "render", RENDERER="word")
    assert result.returncode == 1
    assert "use auto, quarto or pandoc" in result.stderr


SETTLED = """\
case "$2" in
venv) mkdir -p .venv/bin; cp bin/python3 .venv/bin/python ;;
pip) exit 0 ;;
*) case "$1" in code/install.py) echo begin >> python-log; PYTHON ;; esac ;;
esac
"""  # Python, its environment and what installs into it


def wait_for(file: str) -> str:
    return f"i=0; while [ ! -e {file} ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done; [ -e {file} ]"


def test_tex_and_python_packages_are_installed_at_the_same_time(machine):
    """Each waits for the other, and so fails where they come one after the other."""
    for tool in ("sleep", "true", "chmod"):
        (machine / "bin" / tool).symlink_to(shutil.which(tool))
    stand_in(machine, "id", "echo 0")
    both = f"touch python-began; {wait_for('tex-began')} || exit 1"
    stand_in(machine, "python3", SETTLED.replace("PYTHON", both))
    tex = "for tool in latexmk lualatex; do printf '#!/bin/sh\\n' > bin/$tool; done"
    tex += "; printf '#!/bin/sh\\nfor file; do echo $file; done' > bin/kpsewhich"
    tex += "; chmod +x bin/latexmk bin/lualatex bin/kpsewhich"
    wait = f"touch tex-began; {wait_for('python-began')} || exit 1"
    stand_in(machine, "apt-get", f'[ "$1" = update ] || {{ {wait}; {tex}; }}')
    result = run(machine, "python", WITH_TEX="yes")
    assert result.returncode == 0, result.stderr
    for part in ("Python packages", "TeX"):
        assert f"{part}: installing" in result.stdout
        assert f"{part}: installed" in result.stdout
    for made in (".venv/.ready", ".build/tex"):
        assert (machine / made).exists()


def test_tex_that_fails_meanwhile_says_so_and_python_is_ready_all_the_same(machine):
    for tool in ("sleep", "true"):
        (machine / "bin" / tool).symlink_to(shutil.which(tool))
    stand_in(machine, "id", "echo 0")
    stand_in(machine, "python3", SETTLED.replace("PYTHON", "exit 0"))
    stand_in(machine, "apt-get", "echo E: no such package >&2; exit 100")
    result = run(machine, "python", WITH_TEX="yes")
    assert result.returncode == 0
    assert "error: apt-get could not install TeX" in result.stderr
    assert "E: no such package" in result.stderr
    assert "apt-get install texlive-luatex" in result.stderr
    assert (machine / ".venv" / ".ready").exists()
    assert not (machine / ".build" / "tex").exists()


def test_without_flock_python_takes_the_lock(machine):
    (machine / "bin" / "python3").symlink_to(sys.executable)
    (machine / ".build").mkdir()
    with (machine / ".build" / "tex.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = subprocess.Popen(
            ["sh", "code/setup.sh", "tex"],
            cwd=machine,
            env={"PATH": str(machine / "bin"), "PYTHON": "python3"},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr.readline() == (
            "Waiting for another installation of TeX in this folder\n"
        )
        assert process.poll() is None
    assert "no complete TeX found" in process.communicate(timeout=60)[1]


WORKING = (
    "trap 'touch ended; exit 143' TERM; touch working; "
    "i=0; while [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done"
)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("verb", ["python", "download", "render"])
def test_what_is_running_ends_with_the_script(machine, verb, sent):
    (machine / "bin" / "sleep").symlink_to(shutil.which("sleep"))
    if verb == "python":
        stand_in(machine, "python3", SETTLED.replace("PYTHON", WORKING))
    elif verb == "download":
        venv_python(machine, f'case "$2" in pip) {WORKING} ;; esac')
    else:
        quarto(machine, "1.9.38", WORKING)
    process = subprocess.Popen(
        ["sh", "code/setup.sh", "python" if verb == "python" else "render"],
        cwd=machine,
        env={
            "PATH": str(machine / "bin"),
            "PYTHON": "python3",
            "RENDERER": "auto",
            "HOME": str(machine),
        },
        # a shell that is started in the background ignores Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while not (machine / "working").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(sent)
    assert process.wait(timeout=20) == 128 + sent
    assert (machine / "ended").exists()


def test_packages_that_cannot_be_installed_are_an_error_with_the_remedy(machine):
    stand_in(machine, "python3", SETTLED.replace("PYTHON", "exit 1"))
    result = run(machine, "python")
    assert result.returncode == 1
    assert "error: the Python packages could not be installed" in result.stderr
    assert "run make again" in result.stderr
    assert not (machine / ".venv" / ".ready").exists()


def test_quarto_before_any_make_ends_with_words_that_name_it(machine):
    settings = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    command = settings["project"]["pre-render"]
    assert command == "sh code/setup.sh installed"  # Quarto runs it in the project
    result = run(machine, "installed")
    assert result.returncode == 1
    assert "run `make pdf` once" in result.stderr
    (machine / ".venv").mkdir()
    (machine / ".venv" / ".ready").touch()
    assert run(machine, "installed").returncode == 0


def test_github_runs_the_check_with_the_pinned_quarto_and_keeps_the_pdf():
    file = ROOT / ".github" / "workflows" / "check.yml"
    steps = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]["check"]["steps"]
    (quarto,) = (step for step in steps if "quarto-actions" in step.get("uses", ""))
    lock = (ROOT / "code" / "quarto.lock").read_text(encoding="utf-8")
    assert f"quarto-cli=={quarto['with']['version']} " in lock
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert steps[-1]["with"]["path"] == "report/hw2.pdf"


@pytest.mark.skipif(not shutil.which("git"), reason="no Git on this system")
def test_line_ends_are_those_of_the_repository_whatever_git_is_set_to(tmp_path):
    for name in (".gitattributes", "code/setup.sh", "figures/fig-t1-std.png"):
        (tmp_path / "one" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "one" / name)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (
        ["-C", "one", "init"],
        ["-C", "one", "add", "."],
        ["-C", "one", "commit", "-m", "a"],
        ["-c", "core.autocrlf=true", "clone", "one", "two"],
    ):
        subprocess.run(
            [*git, *arguments], cwd=tmp_path, check=True, capture_output=True
        )
    for name in ("code/setup.sh", "figures/fig-t1-std.png"):
        assert (tmp_path / "two" / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_script_needs_nothing_beyond_posix():
    shell = shutil.which("dash") or shutil.which("sh")
    assert (
        subprocess.run(
            [shell, "-n", ROOT / "code" / "setup.sh"], check=False
        ).returncode
        == 0
    )
    assert os.access(ROOT / "code" / "setup.sh", os.R_OK)
