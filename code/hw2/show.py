"""What the pages of the report show of the project itself: its authors, and code of the package as it was run."""

import inspect
from collections.abc import Callable

import pandas as pd
import yaml
from IPython.display import Markdown

from hw2.paths import ROOT


def source(*functions: Callable) -> Markdown:
    """The source of functions or classes of the package, as one block of Python."""
    blocks = [inspect.getsource(function).rstrip() for function in functions]
    return Markdown("```python\n" + "\n\n\n".join(blocks) + "\n```")


def students() -> pd.DataFrame:
    """The authors in `_quarto.yml` with campus e-mail and ID. Raises ValueError where one of these is missing."""
    file = ROOT / "_quarto.yml"
    authors = yaml.safe_load(file.read_text(encoding="utf-8"))["author"]
    for author in authors:
        if missing := {"name", "email", "id"} - set(author):
            raise ValueError(f"{file}: author {author} has no {', '.join(sorted(missing))}; add it")
    return pd.DataFrame([{"Name": a["name"], "Campus e-mail": a["email"], "ID": str(a["id"])} for a in authors])
