"""Where things lie. The package is installed in place: the project is two levels up."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "report" / "hw2.qmd"
FIGURES = ROOT / "figures"
FONTS = ROOT / ".build" / "fonts"
