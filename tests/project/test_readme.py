"""The README is tried: its commands run, its paths exist, its numbers and its example
are those of the project.
"""

import os
import re
import shutil
import subprocess

import pytest

from hw2 import experiments
from hw2.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(
    r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
)
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = list(
    dict.fromkeys(
        text
        for text in [*CODE, *(line for block in BLOCKS for line in block.splitlines())]
        if re.match(r"(make|quarto|\.venv/bin/\w+)\b", text)
    )
)
# what is run here for a command, in seconds
TRIED = {
    "make": "make",
    "make verify": "make verify ONLY=eq-q6-fc",
    "make experiments": "make experiments ONLY=double_descent/features",
    ".venv/bin/python -m hw2 verify --survivors": (
        ".venv/bin/python -m hw2 verify --only q6 --survivors"
    ),
}
# by name: what takes long, needs data or the network, or removes the environment that
# runs this; here only planned
LONG = {
    "make pdf",
    "make test",
    "make audit",
    "make search",
    "make submission",
    "make submission FULL=1",
    "make test-oldest",
    "make mutants",
    "make bench",
    "make seal",
    "make lock",
    "make clean",
}
ELSEWHERE = {
    "quarto render report/": "where Quarto is installed",
    ".venv/bin/torchrun --nproc-per-node=2 -m hw2 run imagenette": (
        "where there are two GPUs"
    ),
}
MADE = {
    "data/",
    "dist/",
    ".build/",
    ".build/kept/",
    "report/hw2.pdf",
    "runs/bench/",
}  # by a command


def test_every_command_is_tried_or_excepted():
    assert set(COMMANDS) == set(TRIED) | LONG | set(ELSEWHERE)


@pytest.mark.parametrize("command", TRIED)
def test_a_command_runs(command):
    if (
        command.startswith("make ")
        and subprocess.run(
            ["make", "-q", ".venv/.ready"], cwd=ROOT, capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("make would install the packages first")
    if "experiments" in command:  # nothing is trained here
        assert not experiments.outdated("double_descent/features")
    # as users run it, with what is kept: other tests compute anew
    environment = {name: os.environ[name] for name in os.environ if name != "HW2_KEEP"}
    done = subprocess.run(
        TRIED[command].split(),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", sorted(LONG))
def test_a_long_command_can_be_planned(command):
    done = subprocess.run(
        [*command.split(), "-n"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_torchrun_is_where_the_readme_says():
    assert (ROOT / ".venv" / "bin" / "torchrun").is_file() or shutil.which("torchrun")


@pytest.mark.parametrize(
    "variable",
    sorted({text.rstrip("=") for text in CODE if re.fullmatch(r"[A-Z]+=\S*", text)}),
)
def test_a_variable_is_one_of_the_makefile(variable):
    assert re.search(
        rf"^{variable.partition('=')[0]} \?=",
        (ROOT / "Makefile").read_text(),
        re.MULTILINE,
    )


def test_paths_exist():
    shown = {
        text
        for text in CODE
        if re.fullmatch(r"[\w.]+(/[\w.]+)*/?", text) and ("/" in text or ".py" in text)
    }
    images = set(re.findall(r"!\[\]\((\S+)\)", README))
    assert len(images) >= 4
    places = [ROOT, ROOT / "report", ROOT / "code" / "hw2"]
    missing = {
        name
        for name in (shown | images) - MADE
        if not any((place / name).exists() for place in places)
    }
    assert missing == {
        text for text in missing if text.startswith("magic/")
    }  # those are names of runs


@pytest.mark.parametrize(
    ("row", "task", "name", "number"),
    [("Task 2, MAGIC", "magic", "final", "test_accuracy"),
     ("one of them", "magic", "single", "test_accuracy"),
     ("a plain perceptron", "magic", "plain", "test_accuracy"),
     ("without augmentation at constant resolution", "imagenette", "constant", "test_accuracy"),
     ("the same for longer, by a network that cannot tell left from right", "imagenette", "symmetric", "test_accuracy"),
     ("the same with more filters", "imagenette", "wide", "test_accuracy"),
     ("without augmentation", "imagenette", "plain", "test_accuracy"),
     ("with augmentation", "imagenette", "augmented", "test_accuracy"),
     ("60 instead of 21 epochs with augmentation", "imagenette", "long", "test_accuracy_mirrored"),
     ("noise of standard deviation 0.05", "imagenette", "augmented", "noise_0.05"),
     ("the same noise, after four more epochs", "imagenette", "noise", "noise_0.05")],
)  # fmt: skip
def test_the_results_are_the_recorded_ones(row, task, name, number):
    run = experiments.get(task, name)
    found = run.summary[number]
    expected = (
        f"{len(run.seeds)} seeds | {100 * found['mean']:.2f} ± "
        f"{100 * found['std']:.2f} % |"
    )
    assert re.search(rf"^\|.*\b{row}.*{re.escape(expected)}$", README, re.MULTILINE), (
        expected
    )


def test_the_example_of_a_claim_is_in_the_code():
    example = re.search(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]
    module = (ROOT / "code" / "hw2" / "theory" / "vgg.py").read_text(encoding="utf-8")
    for piece in re.findall(r'"[^"]+"', example):
        assert piece in module, piece
