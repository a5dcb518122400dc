"""Where things lie and who hands them in. The package is installed in place: the project is two levels up."""

from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "report" / "hw2.qmd"
FIGURES = ROOT / "figures"
FONTS = ROOT / ".build" / "fonts"


def students() -> pd.DataFrame:
    """The authors in `_quarto.yml` with campus e-mail and ID. Raises ValueError where one of these is missing."""
    file = ROOT / "_quarto.yml"
    authors = yaml.safe_load(file.read_text(encoding="utf-8"))["author"]
    for author in authors:
        if missing := {"name", "email", "id"} - set(author):
            raise ValueError(f"{file}: author {author} has no {', '.join(sorted(missing))}; add it")
    return pd.DataFrame([{"Name": a["name"], "Campus e-mail": a["email"], "ID": str(a["id"])} for a in authors])
