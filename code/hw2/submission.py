"""What is handed in: an executed notebook with Part 2 of the assignment, and the PDF,
in one archive.

The notebook is written in `report/notebook/`: its chunks are the visible cells. Folded
cells before them write the few modules of the package that the visible ones import, and
the recorded results that stand beside the live ones. It is executed in an empty folder,
so that its outputs are those that its reader will get.
"""

import ast
import base64
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import numpy as np
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from torch import Tensor

from hw2 import data, experiments, runs, show
from hw2.data import DataError, imagenette
from hw2.paths import NOTEBOOK, REPORT, ROOT, write
from hw2.tasks.imagenette import NOISE
from qmdpdf.execute import execute
from qmdpdf.source import Document, expand, read

COURSE = "ece046211_hw2"
CHECKPOINTS = ROOT / ".build" / "checkpoints" / "submission"
FOLDED = {
    "jupyter": {"source_hidden": True, "outputs_hidden": True},
    "cellView": "form",
    "tags": ["folded"],
}  # in Jupyter, in Colab, and by the style below in HTML
STYLE = (
    "<style>.celltag_folded .jp-Cell-inputWrapper { max-height: 3em; overflow: auto }"
    " .celltag_folded .jp-Cell-outputWrapper { display: none }</style>"
)
PLACE = re.compile(r"\[\[([\w-]+)\]\]")  # what is filled in before the cells run

# what the notebook compares -> the run and the number of its summary
_BOTH = {
    "logistic regression, test accuracy": ("magic/notebook", "logistic_test_accuracy"),
    "plain network, validation accuracy": (
        "magic/notebook",
        "plain_validation_accuracy",
    ),
}
QUICK = _BOTH | {
    "chosen network, validation accuracy": (
        "magic/notebook",
        "chosen_validation_accuracy",
    ),
    "chosen network, test accuracy": ("magic/notebook", "chosen_test_accuracy"),
    "xavier_uniform, test accuracy": ("magic/notebook", "xavier_uniform_test_accuracy"),
    "small_normal, test accuracy": ("magic/notebook", "small_normal_test_accuracy"),
    "without augmentation, test accuracy": (
        "imagenette/notebook",
        "plain_0",
    ),
    "a = 0.05: test accuracy": ("imagenette/notebook", "plain_0.05"),
    "a = 0.01: test accuracy": ("imagenette/notebook", "plain_0.01"),
    "a = 0.005: test accuracy": ("imagenette/notebook", "plain_0.005"),
    "with augmentation, test accuracy": (
        "imagenette/notebook",
        "augmented_0",
    ),
}
FULL = _BOTH | {
    "chosen network, validation accuracy": ("magic/final", "validation_accuracy"),
    "chosen network, test accuracy": ("magic/final", "test_accuracy"),
    "xavier_uniform, test accuracy": ("magic/initializations", "xavier_uniform"),
    "small_normal, test accuracy": ("magic/initializations", "small_normal"),
    "without augmentation, test accuracy": ("imagenette/constant", "test_accuracy"),
    "a = 0.05: test accuracy": ("imagenette/constant", "noise_0.05"),
    "a = 0.01: test accuracy": ("imagenette/constant", "noise_0.01"),
    "a = 0.005: test accuracy": ("imagenette/constant", "noise_0.005"),
    "growing resolution, without augmentation, test accuracy": (
        "imagenette/plain",
        "test_accuracy",
    ),
    "with augmentation, test accuracy": ("imagenette/augmented", "test_accuracy"),
    "trained for longer, test accuracy": ("imagenette/long", "test_accuracy"),
}
# what was recorded besides, from whose seeds the spread is known the better
BESIDES = (
    ("magic/single", "validation_accuracy"),
    ("magic/plain", "validation_accuracy"),
    *(
        place
        for level in NOISE
        for place in (
            ("imagenette/notebook", f"augmented_{level:g}"),
            ("imagenette/plain", f"noise_{level:g}"),
            ("imagenette/augmented", f"noise_{level:g}"),
            ("imagenette/long", f"noise_{level:g}"),
        )
    ),
)
# the curves that are shown where the images are not at hand
CURVES = {"without augmentation": "plain", "with augmentation": "augmented"}


class SubmissionError(Exception):
    """Nothing can be handed in; the message says why, and what to do."""


# --- names ---


def is_identity(number: str) -> bool:
    """Whether nine digits are an Israeli identity number: weighted by 1, 2, 1, ...
    their digit sums add up to tens.
    """
    if not re.fullmatch(r"[0-9]{9}", number) or not int(number):
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
    if not draft and len(ids) != 2:
        raise SubmissionError(
            f"{file}: {len(ids)} students, but this is handed in by pairs; name both, "
            "or make a draft: make submission DRAFT=1"
        )
    for number in ids:
        if not draft and not is_identity(number):
            line = next((i for i, text in enumerate(lines, 1) if number in text), 1)
            raise SubmissionError(
                f"{file}:{line}: {number} is no identity number (nine digits, the last "
                "one checks the others); correct "
                "it, or make a draft: make submission DRAFT=1"
            )
    return "_".join([COURSE, *ids])


# --- what the notebook shows of the rest of the project ---


def recorded() -> dict[str, object]:
    """The recorded results that stand beside the live ones. Raises RunError where one
    is missing or stale.
    """
    shown = [*QUICK.values(), *FULL.values()]
    places = dict.fromkeys([*shown, *BESIDES])
    keys = dict.fromkeys(key for key, _ in places)
    read = {key: experiments.get(*key.split("/")) for key in keys}
    values = {(key, number): _values(read[key], number) for key, number in places}
    found: dict[str, object] = {
        name: {
            what: {
                "values": values[place],
                # the recipes whose spread is taken to be the same
                "like": [values[o] for o in values if _kind(*o) == _kind(*place)],
            }
            for what, place in named.items()
        }
        for name, named in (("quick", QUICK), ("full", FULL))
    }
    curves = experiments.get("imagenette", "notebook").curves
    found["curves"] = {
        name: {
            curve.removeprefix(f"{prefix}_"): _rounded(values)
            for curve, values in curves.items()
            if curve.startswith(f"{prefix}_")
        }
        for name, prefix in CURVES.items()
    }
    data_run = experiments.get("imagenette", "data")
    found["examples"] = examples(runs.load_weights(data_run))
    return found


def examples(shown: Mapping[str, Tensor]) -> dict[str, object]:
    """Five training images side by side, as a PNG in base64, with their classes."""
    strip = np.concatenate(list(shown["examples.images"].numpy()), axis=2)
    png = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(strip.transpose(1, 2, 0))).save(png, "PNG")
    return {
        "names": [imagenette.NAMES[label] for label in shown["examples.labels"]],
        "png": base64.b64encode(png.getvalue()).decode(),
    }


def _values(run: runs.Run, number: str) -> list[float]:
    """The values of a number of a run, one per seed; one alone where there is no chance
    in it.
    """
    found = run.summary[number]
    return found["values"] if isinstance(found, dict) else [found]


def _kind(key: str, number: str) -> str:
    """What an accuracy is one of: its task, and the level of noise, or whether it is of
    a single network.
    """
    task = key.partition("/")[0]
    if level := re.search(r"0\.\d+", number):
        return f"{task} {level[0]}"
    if "logistic" in number:
        return number
    if "validation" in number:
        alone = number.startswith("plain") or key in ("magic/single", "magic/plain")
        return f"{task} validation{' alone' if alone else ''}"
    return f"{task} test"


def _rounded(curves: list[list[float]]) -> list[list[float]]:
    return [[round(value, 4) for value in curve] for curve in curves]


def sections() -> dict[str, str]:
    """The numbered sections of the PDF: label -> number and title."""
    found: dict[str, str] = {}
    for line in expand(REPORT):
        if line.text.strip() == "\\appendix":
            break
        if match := re.match(r"# (.*?)\s*\{#(sec-[\w-]+)\}", line.text):
            found[match[2]] = f"Section {len(found) + 1}, *{match[1]}*"
    return found


def fill(text: str, full: bool, pdf: str) -> str:
    """The text with each [[place]] filled in. Raises SubmissionError for an unknown
    one.
    """
    named = sections()
    questions = [title for label, title in named.items() if label.startswith("sec-q")]
    known = named | {
        "students": show.students().to_markdown(index=False, disable_numparse=True),
        "questions": "\n\n".join(questions),
        "pdf": pdf,
        "full": str(full),
    }

    def place(match: re.Match) -> str:
        if match[1] not in known:
            raise SubmissionError(
                f"{NOTEBOOK.parent}: [[{match[1]}]] is unknown; there are: "
                f"{', '.join(known)}, modules"
            )
        return known[match[1]]

    return PLACE.sub(place, text)


# --- the notebook ---


def modules(cells: Sequence[NotebookNode]) -> list[Path]:
    """The files of the package that some cells import, and those that these import, in
    the order of their names; relative to the project.
    """
    todo = [_without_magics(cell.source) for cell in cells if cell.cell_type == "code"]
    found: set[Path] = set()
    while todo:
        for name in _imported(todo.pop()):
            for file in (f"{name}.py", f"{name}/__init__.py"):
                path = ROOT / "code" / file
                if path.is_file() and path not in found:
                    found.add(path)
                    todo.append(path.read_text(encoding="utf-8"))
    return sorted(path.relative_to(ROOT) for path in found)


def _without_magics(source: str) -> str:
    return re.sub(r"^%.*$", "", source, flags=re.MULTILINE)


def _imported(source: str) -> Iterator[str]:
    """The paths of what a program imports of the package, and of what may be modules
    among it.
    """
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{name.name}" for name in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "hw2":
                yield from ("/".join(parts[:end]) for end in range(1, len(parts) + 1))


def preparation(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Folded cells that write the modules that some cells need, and the recorded
    results.
    """
    files = {
        str(file): (ROOT / file).read_text(encoding="utf-8") for file in modules(cells)
    }
    parts = (
        f"{json.dumps(name)}: {json.dumps(part)}" for name, part in recorded().items()
    )
    files["recorded.json"] = "{\n" + ",\n".join(parts) + "\n}"
    return [
        new_code_cell(
            f"%%writefile {name}\n{text.rstrip()}\n",
            metadata=FOLDED
            | {"options": {}, "where": f"the cell of {name}", "first": 0, "skipped": 0},
        )
        for name, text in files.items()
    ]


def document(full: bool, pdf: str) -> Document:
    """The notebook's cells, filled in and with the folded ones, not yet executed."""
    found = read(NOTEBOOK)
    cells: list[NotebookNode] = []
    for cell in found.notebook.cells:
        if cell.cell_type == "markdown" and "[[modules]]" in cell.source:
            before, after = cell.source.split("[[modules]]")
            folded = preparation(found.notebook.cells)
            cells += [
                new_markdown_cell(before + STYLE, metadata=dict(cell.metadata)),
                *folded,
                new_markdown_cell(after, metadata=dict(cell.metadata)),
            ]
        else:
            cells.append(cell)
    for cell in cells:
        if "outputs_hidden" not in cell.metadata.get("jupyter", {}):
            cell.source = fill(cell.source, full, pdf)
    found.notebook.cells = cells
    return found


def notebook(found: Document, folder: Path, full: bool = False) -> NotebookNode:
    """The executed notebook, run in an empty folder. Raises QmdError where a cell
    raises.
    """
    found.root = folder
    with _environment(_places(found) if full else _places()):
        execute(found, figures="png")
    cells = [_saved(cell) for cell in found.notebook.cells if cell.source.strip()]
    title = f"# {found.metadata['title']}\n\n{found.metadata['subtitle']}"
    cells.insert(0, new_markdown_cell(title))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(
        cells=cells,
        metadata={"kernelspec": kernel, "language_info": {"name": "python"}},
    )


def _places(full: Document | None = None) -> dict[str, str]:
    """Where the notebook finds data, and keeps what a killed training goes on from: its
    folder is named after its code.
    """
    found = {"HW2_DATA": str(data.folder().resolve())}
    mirror = os.environ.get("HW2_DATA_MIRROR", "")
    if mirror and "://" not in mirror:
        found["HW2_DATA_MIRROR"] = str(Path(mirror).resolve())
    if full:
        code = "\n".join(
            cell.source for cell in full.notebook.cells if cell.cell_type == "code"
        )
        name = hashlib.sha256(code.encode()).hexdigest()[:16]
        found["HW2_CHECKPOINTS"] = str(CHECKPOINTS / name)
    return found


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _saved(cell: NotebookNode) -> NotebookNode:
    """A cell as it is saved."""
    if cell.cell_type == "markdown":
        return new_markdown_cell(cell.source.strip())
    keep = {key: cell.metadata[key] for key in FOLDED if key in cell.metadata}
    return new_code_cell(
        cell.source.rstrip(),
        metadata=keep,
        outputs=cell.outputs,
        execution_count=cell.execution_count,
    )


# --- the archive ---


def images_at_hand() -> str:
    """Why Imagenette cannot be had, or nothing where it can: then it is in the data
    folder now, decoded.
    """
    try:
        imagenette.load()
    except DataError as error:
        return str(error)
    return ""


def check(draft: bool, full: bool, pdf: Path | None = None) -> str:
    """The name of what will be handed in; says where Task 3 will show recorded results.

    Raises SubmissionError for IDs that are none, for a date or a PDF that is none, and
    where everything is to be trained without the images.
    """
    name = stem(draft)
    _date()
    if pdf and not pdf.read_bytes().startswith(b"%PDF-"):
        raise SubmissionError(f"{pdf} is no PDF; render the report with `make pdf`")
    (ROOT / "dist").mkdir(exist_ok=True)
    if missing := images_at_hand():
        if full:
            raise SubmissionError(f"FULL=1 trains Task 3 too. {missing}")
        print(f"Task 3 will show recorded results, marked as such. {missing}")
    return name


def submit(pdf: Path, draft: bool, full: bool = False) -> Path:
    """Write the archive with the notebook and the PDF into `dist/`. Returns its path.

    Raises what `check` raises, QmdError where the notebook fails, and what reading the
    runs raises.
    """
    name = check(draft, full, pdf)
    found = document(full, f"{name}.pdf")
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        content = nbformat.writes(notebook(found, Path(folder), full)).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for suffix, part in ((".ipynb", content), (".pdf", pdf.read_bytes())):
            file.writestr(
                zipfile.ZipInfo(name + suffix, _date()), part, zipfile.ZIP_DEFLATED
            )
    target = ROOT / "dist" / f"{name}.zip"
    write(target, archive.getvalue())
    if full:  # what a killed one would have gone on from
        shutil.rmtree(CHECKPOINTS, ignore_errors=True)
    return target


def _date() -> tuple[int, int, int, int, int, int]:
    """The commit's date, so that one commit gives one archive."""
    told = os.environ.get("SOURCE_DATE_EPOCH") or "1500000000"
    try:
        found = datetime.fromtimestamp(int(told), UTC)
    except (ValueError, OverflowError, OSError):
        found = datetime.min.replace(tzinfo=UTC)
    if not 1980 <= found.year < 2108:  # what an archive can hold
        raise SubmissionError(
            f"SOURCE_DATE_EPOCH={told} is no time from 1980 on; give seconds since "
            "1970, or unset it"
        )
    return found.timetuple()[:6]
