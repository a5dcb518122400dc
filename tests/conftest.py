"""Tests at the same time, each on a core of its own, and processes that begin at
once.
"""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess

import pytest

# Git in tests knows nothing of a repository around them (as in a hook), nor of a user's
# signatures and hooks
for name in [name for name in os.environ if name.startswith("GIT_")]:
    del os.environ[name]
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
# personal settings that make withholds
for name in ("MPLBACKEND", "LANGUAGE", "PYTHONOPTIMIZE", "PYTHONWARNINGS"):
    os.environ.pop(name, None)
# tests compute anew: what a render has kept is not taken for a result of today
os.environ["HW2_KEEP"] = "0"
if "PYTEST_XDIST_WORKER" in os.environ:
    # with more threads than cores they wait for each other; read by the first import of
    # NumPy and PyTorch, here and in the processes that tests start
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"

# the files that take longest, which begin first: the others then fill what is left
LONGEST = (
    "hw2/test_submission.py",
    "qmdpdf/test_convert.py",
    "tasks/test_imagenette.py",
    "project/test_faults.py",
    "hw2/test_experiments.py",
    "qmdpdf/test_main.py",
    "hw2/test_searching.py",
    "hw2/test_bench.py",
)
# what the processes below need and takes seconds to import
IMPORTED = (
    "hw2.data.imagenette",
    "hw2.claims",
    "hw2.theory.signal",
    "qmdpdf.__main__",
    "nbclient",
)
PROLOGUE = """
import os
for number, file in enumerate(files, 1):
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
"""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many as there are cores for this process, which may be fewer than there are."""
    from hw2.workers import cores  # here: the variables below are set before imports

    del config
    return cores()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = "/".join(item.path.parts[-2:])
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


@dataclass(frozen=True)
class Fork:
    """A process that runs a program."""

    process: BaseProcess
    files: tuple[Path, Path]

    def wait(self, seconds: float = 300) -> CompletedProcess[str]:
        """What it has printed and its exit status, a signal's as a negative number."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"the process did not end in {seconds} seconds")
        texts = (file.read_text(encoding="utf-8") for file in self.files)
        return CompletedProcess(self.process.name, self.process.exitcode, *texts)


@pytest.fixture
def fork(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Path, Mapping[str, str]], Fork]:
    """Starts programs in processes of their own, in a folder and an environment.

    They are forked off one that has imported what they need, and has done nothing else.
    """
    from hw2.workers import start_method

    context = multiprocessing.get_context(start_method())
    context.set_forkserver_preload(list(IMPORTED))

    def start(code: str, folder: Path, environment: Mapping[str, str]) -> Fork:
        output = tmp_path_factory.mktemp("fork")
        files = (output / "stdout", output / "stderr")
        for file in files:
            file.touch()
        names = {
            "__name__": "__main__",
            "files": [os.fspath(file) for file in files],
            "folder": os.fspath(folder),
            "environment": dict(environment),
        }
        process = context.Process(target=exec, args=(PROLOGUE + code, names))
        process.start()
        return Fork(process, files)

    return start
