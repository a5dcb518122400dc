"""What the report shows of the project itself: its authors, code of the package as it was run, the recorded runs."""

import inspect
from collections.abc import Callable, Sequence

import pandas as pd
import yaml
from IPython.display import Markdown

from hw2.paths import ROOT
from hw2.runs import Run


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


def provenance(runs: Sequence[Run]) -> str:
    """Markdown table of recorded runs: where, when and from which commit and data each comes, its time and seeds."""
    rows = [
        "| Run | Device | Date | Commit | Data | Time | Seeds |",
        f"|:{'-' * 32}|:{'-' * 30}|:{'-' * 13}|:{'-' * 11}|:{'-' * 12}|{'-' * 8}:|{'-' * 6}:|",
    ]
    for run in sorted(runs, key=lambda run: (run.task, run.name)):
        origin = run.provenance
        commit = origin["commit"][:7] + ("*" if origin["uncommitted_changes"] else "")
        cells = [f"{run.task}/{run.name}".replace("_", r"\_"), origin["device"], origin["date"][:10], commit]
        cells += [origin["data_sha256"][:8], _duration(origin["seconds"]), str(len(run.seeds))]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
