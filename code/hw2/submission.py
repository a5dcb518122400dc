"""What is handed in: the report as a notebook that stands alone, and the PDF, in one
archive.

The notebook has the text of the report, the package as cells that write its modules,
and the recorded runs as cells that write their files. It is executed in an empty
folder, so that its outputs are those that its reader will get.
"""

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import tempfile
import zipfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pypandoc
import safetensors.torch
import torch
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from hw2 import bench, experiments, kept, runs, show
from hw2.paths import REPORT, ROOT, write
from hw2.runs import Run
from qmdpdf.execute import execute
from qmdpdf.source import Document, read

COURSE = "ece046211_hw2"
LEFT_OUT = {
    "__main__.py",
    "cli.py",
    "formulas",
    "pdf_check.py",
    "seals.py",
    "submission.py",
    "worlds",
}  # of no use in a notebook
MARK = "HW2CELL"
TEXT = "gfm-tex_math_gfm+tex_math_dollars-raw_html"  # the Markdown of Jupyter and Colab
FOLDED = {
    "jupyter": {"source_hidden": True},
    "cellView": "form",
}  # in Jupyter and in Colab


class SubmissionError(Exception):
    """Nothing can be handed in; the message says why, and what to do."""


# --- names ---


def is_identity(number: str) -> bool:
    """Whether nine digits are an Israeli identity number: weighted by 1, 2, 1, ...
    their digit sums add up to tens.
    """
    if not re.fullmatch(r"[0-9]{9}", number):
        return False
    products = [int(digit) * (1 + place % 2) for place, digit in enumerate(number)]
    return sum(product // 10 + product % 10 for product in products) % 10 == 0


def stem(draft: bool) -> str:
    """The files' name without its ending. Raises SubmissionError for authors that are
    not complete, and for IDs that are none, if this is no draft.
    """
    file = ROOT / "_quarto.yml"
    try:
        ids = list(show.students()["ID"])
    except ValueError as error:
        raise SubmissionError(str(error)) from None
    lines = file.read_text(encoding="utf-8").splitlines()
    for number in ids:
        if not draft and not is_identity(number):
            line = next((i for i, text in enumerate(lines, 1) if number in text), 1)
            raise SubmissionError(
                f"{file}:{line}: {number} is no identity number (nine digits, the last "
                "one checks the others); correct "
                "it, or make a draft: make submission DRAFT=1"
            )
    return "_".join([COURSE, *ids])


# --- the notebook ---

INTRODUCTION = """\
This notebook stands alone: it has the report's text, and the code and the recorded
results that belong to it. The next cells write these as files beside the notebook, then
the report begins. Nothing else is needed but the packages.

**What is recorded.** Trainings that take minutes or hours were done beforehand; their
results are in the files under `runs/`, and the text says where they are shown. With
`RETRAIN = True` below everything is trained anew, on a GPU if there is one:
`magic04.data` is taken from beside this notebook, and what is not there is
downloaded."""

SETUP = """\
RETRAIN = False  # True trains everything anew

import importlib.util
import os
import sys
from pathlib import Path

for folder in {folders}:
    Path(folder).mkdir(parents=True, exist_ok=True)
sys.path.insert(0, "code")
os.environ.setdefault("HW2_DATA_MIRROR", ".")  # where magic04.data may lie
needed = {needed}
found = importlib.util.find_spec
if missing := [name for name in needed if not found(name.replace("-", "_"))]:
    raise ImportError("run this first: %pip install " + " ".join(missing))"""

TRAINING = """\
if RETRAIN:
    from hw2 import experiments

    for key in experiments.select([]):
        experiments.record(key, fresh=True)"""

NEEDED = (
    "kornia",
    "optuna",
    "safetensors",
)  # of the packages those that neither Jupyter nor Colab brings along


def modules() -> list[Path]:
    """The files of the package that the notebook needs, relative to the project, in the
    order of their names.
    """
    found = sorted((ROOT / "code" / "hw2").rglob("*.py")) + sorted(
        (ROOT / "code" / "hw2").rglob("*.mplstyle")
    )
    return [
        path.relative_to(ROOT)
        for path in found
        if path.name not in LEFT_OUT and path.parent.name not in LEFT_OUT
    ]


def recorded() -> list[NotebookNode]:
    """Cells that write the recorded runs, and what the figures show of their
    weights.
    """
    cells = []
    for run in [
        *(experiments.get(*key.split("/")) for key in experiments.select([])),
        *bench.recorded(),
    ]:
        shown, provenance = _shown_weights(run), dict(run.provenance)
        provenance.pop("weights_sha256", None)
        if shown:
            provenance["weights_sha256"] = hashlib.sha256(shown).hexdigest()
        record = json.dumps(
            asdict(replace(run, provenance=provenance)), separators=(",", ":")
        )
        cells.append(_written(run.file, record))
        if shown:
            file = str(run.weights_file.relative_to(ROOT))
            code = f"import base64\n\nPath({file!r}).write_bytes(base64.b64decode("
            cells.append(_hidden(f'{code}"{base64.b64encode(shown).decode()}"))'))
    return cells


def _shown_weights(run: Run) -> bytes:
    """What figures show of the tensors beside a run, such as images. The networks, in
    half precision, are left out.
    """
    if "weights_sha256" not in run.provenance:
        return b""
    shown = {
        name: value
        for name, value in runs.load_weights(run).items()
        if value.dtype != torch.float16
    }
    return safetensors.torch.save(shown) if shown else b""


def _written(file: Path, content: str) -> NotebookNode:
    """A cell that writes a file of the project."""
    return _hidden(f"%%writefile {file.relative_to(ROOT)}\n{content.rstrip()}\n")


def _hidden(source: str) -> NotebookNode:
    """A code cell that Jupyter and Colab show folded."""
    return new_code_cell(source, metadata=dict(FOLDED))


def preparation() -> list[NotebookNode]:
    """The cells before the report."""
    folders = {str(file.parent) for file in modules()} | {
        str(Path("runs") / task) for task in [*experiments.TASKS, "bench"]
    }
    setup = SETUP.format(folders=sorted(folders), needed=list(NEEDED))
    return [
        new_markdown_cell(INTRODUCTION),
        new_code_cell(setup),
        new_markdown_cell(
            "## The package {.unnumbered}\n\nEach cell writes a module of the package "
            "`hw2`."
        ),
        _written(
            ROOT / "_quarto.yml", (ROOT / "_quarto.yml").read_text(encoding="utf-8")
        ),
        *(
            _written(ROOT / file, (ROOT / file).read_text(encoding="utf-8"))
            for file in modules()
        ),
        new_markdown_cell(
            "## The recorded results {.unnumbered}\n\nEach cell writes a run of `make "
            "experiments`."
        ),
        *recorded(),
        new_code_cell(TRAINING),
    ]


def notebook(document: Document, folder: Path) -> NotebookNode:
    """The executed notebook of a report, run in an empty folder. Raises QmdError where
    a cell raises.
    """
    before = preparation()
    for cell in before:
        cell.metadata |= {
            "options": {},
            "where": "the notebook's preparation",
            "first": 0,
            "skipped": 0,
        }
    cells = document.notebook.cells = [*before, *document.notebook.cells]
    document.root = folder
    # the same code gives the same results in that folder as here
    os.environ.setdefault("HW2_KEEP", str(kept.folder() or 0))
    execute(document, figures="png")
    text, numbers = numbered(document)
    found = [new_markdown_cell(_title(document))]
    for part in re.split(rf"^({MARK}\d+)$", text, flags=re.MULTILINE):
        if part.startswith(MARK):
            found.append(_code(cells[int(part.removeprefix(MARK))], numbers))
        elif part.strip():
            found.append(new_markdown_cell(part.strip()))
    for number, cell in enumerate(found):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(
        cells=found,
        metadata={"kernelspec": kernel, "language_info": {"name": "python"}},
    )


def _title(document: Document) -> str:
    return f"# {document.metadata['title']}\n\n{document.metadata['subtitle']}"


def _code(cell: NotebookNode, numbers: dict[str, str]) -> NotebookNode:
    """A code cell as it is saved. What Quarto takes from its output as text of the
    report is a text cell instead.
    """
    keep = {key: cell.metadata[key] for key in FOLDED if key in cell.metadata}
    if not cell.metadata["options"].get("echo", True):
        keep = FOLDED
    outputs = [] if cell.metadata["options"].get("output") == "asis" else cell.outputs
    for output in outputs:
        if text := output.get("data", {}).get("text/markdown"):
            written = re.sub(
                r"@([a-z]+-[\w-]+)", lambda match: numbers.get(match[1], match[0]), text
            )
            output.data["text/markdown"] = written
    return new_code_cell(
        cell.source,
        metadata=keep,
        outputs=outputs,
        execution_count=cell.execution_count,
    )


def numbered(document: Document) -> tuple[str, dict[str, str]]:
    """The text with all numbers and citations written out, as Markdown that Jupyter and
    Colab render, and the numbers.

    A paragraph such as "HW2CELL7" stands for each code cell.
    """
    parts = []
    for number, cell in enumerate(document.notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        options, mark = cell.metadata["options"], f"{MARK}{number}"
        label, printed = options.get("label", ""), options.get("output") == "asis"
        parts.append(
            f"::: {{#{label}}}\n{mark}\n\n{_caption(options)}\n:::"
            if _caption(options)
            else mark
        )
        parts += [
            output.text
            for output in cell.outputs
            if printed and output.output_type == "stream"
        ]
    text = "\n\n".join(parts)
    with tempfile.TemporaryDirectory() as folder:
        numbers = Path(folder) / "numbers.json"
        command = [
            pypandoc.get_pandoc_path(),
            *("--from", "markdown", "--to", TEXT, "--wrap=none", "--citeproc"),
            *("--lua-filter", str(Path(__file__).with_suffix(".lua"))),
            *("--metadata", f"numbers={numbers}"),
            *(f"--bibliography={ROOT / name}" for name in _bibliography(document)),
        ]
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            raise SubmissionError(
                f"pandoc failed on the notebook's text: {done.stderr.strip()}"
            )
        return done.stdout, json.loads(numbers.read_text(encoding="utf-8"))


def _bibliography(document: Document) -> list[str]:
    names = document.metadata.get("bibliography", [])
    return names if isinstance(names, list) else [names]


def _caption(options: dict[str, Any]) -> str:
    return options.get("fig-cap", options.get("tbl-cap", ""))


# --- the archive ---


def submit(pdf: Path, draft: bool) -> Path:
    """Write the archive with the notebook and the PDF into `dist/`. Returns its path.

    Raises SubmissionError for IDs that are none, QmdError where the notebook fails, and
    what reading the runs raises.
    """
    name = stem(draft)
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        content = nbformat.writes(notebook(read(REPORT), Path(folder))).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for suffix, data in ((".ipynb", content), (".pdf", pdf.read_bytes())):
            file.writestr(
                zipfile.ZipInfo(name + suffix, _date()), data, zipfile.ZIP_DEFLATED
            )
    target = ROOT / "dist" / f"{name}.zip"
    target.parent.mkdir(exist_ok=True)
    write(target, archive.getvalue())
    return target


def _date() -> tuple[int, int, int, int, int, int]:
    """The commit's date, so that one commit gives one archive."""
    return datetime.fromtimestamp(
        int(os.environ.get("SOURCE_DATE_EPOCH", "1500000000")), UTC
    ).timetuple()[:6]
