"""Where things lie, and how a file is written. The package is installed in place: the
project is two levels up.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "report" / "hw2.qmd"
NOTEBOOK = ROOT / "report" / "notebook" / "_notebook.qmd"
FIGURES = ROOT / "figures"
FONTS = ROOT / ".build" / "fonts"


def write(file: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it finds the old content or the new
    one.
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)
