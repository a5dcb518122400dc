"""Test the notebook with the oldest versions that pyproject.toml allows.

They are installed into an environment of its own, `.build/oldest`, where it is not
there yet; what has no lower bound gets its newest version that fits. Needs the standard
library alone.
"""

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".build" / "oldest"
TESTS = ("tests/hw2/test_live.py", "tests/hw2/test_submission.py")
# the recorded runs are read with the versions of requirements.lock: others draw other
# random numbers, and the runs' first losses would be taken for those of other code
LEFT_OUT = (
    "tests/hw2/test_submission.py::test_what_is_recorded_is_what_the_notebook_compares"
)


def requirements(pyproject: str) -> list[str]:
    """The dependencies, each lower bound as the version to install: "torch>=2.8"
    becomes "torch==2.8.*".
    """
    found = tomllib.loads(pyproject)["project"]["dependencies"]
    return [re.sub(r">=\s*([\w.]+)$", r"==\1.*", dependency) for dependency in found]


def main() -> int:
    """Install what is missing and run the tests. Returns the exit status."""
    wanted = requirements((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    note = ENVIRONMENT / hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
    python = str(ENVIRONMENT / "bin" / "python")
    pytest = [python, "-m", "pytest", "-p", "no:cacheprovider"]
    commands = [[*pytest, *TESTS, "--deselect", LEFT_OUT]]
    if not note.exists():
        commands = [
            [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
            [python, "-m", "pip", "install", "--quiet", *wanted],
            [python, "-m", "pip", "install", "--quiet", "--no-deps", "-e", str(ROOT)],
            *commands,
        ]
    for command in commands:
        if command[: len(pytest)] == pytest:
            note.touch()  # all is installed
        if status := subprocess.run(command, cwd=ROOT, check=False).returncode:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
