"""Between stages 1 and 2, reuse: an edit of prose alone need not run the chunks again.

The results of the last execution are kept in a folder under a key of everything that
could change them: the chunks, the inline expressions, the formulas and labelled parts
of the text (which chunks may read and check), and the files they depend on, such as
data, modules and images beside the document.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat

from qmdpdf.execute import INLINE, insert_inline, working_folder
from qmdpdf.source import Document

FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]+\$", re.DOTALL)
# what begins first counts: a dollar in code, or behind a backslash, begins no formula,
# and a backtick in a formula no code
SPAN = re.compile(
    r"(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|\\\$|"
    rf"(?P<formula>{FORMULA.pattern})",
    re.DOTALL,
)
RESULTS = re.compile(r"[0-9a-f]{64}\.json")  # named by a key
LABELLED = re.compile(
    r"^:{3,}\s*\{#.*?^:{3,}\s*$|^[^\n]*\{#[^\n]*$", re.MULTILINE | re.DOTALL
)


def key(document: Document, depends: list[Path]) -> str:
    """A digest of all that the results of a document's chunks may depend on. `depends`
    are files and folders; the document's own text and what renderers make of it count
    in none of them.
    """
    digest = hashlib.sha256(
        f"{sys.version} {os.environ.get('SOURCE_DATE_EPOCH')} "
        f"{working_folder(document).resolve()}".encode()
    )
    for cell in document.notebook.cells:
        if cell.cell_type == "code":
            options = cell.metadata["options"]
            parts = [cell.source, str(options.get("eval", True))]
            parts += FORMULA.findall(str(options))  # of captions
        else:
            parts = [*INLINE.findall(cell.source), *LABELLED.findall(cell.source)]
            spans = SPAN.finditer(cell.source)
            parts += [span["formula"] for span in spans if span["formula"]]
        digest.update("\0".join(parts).encode() + b"\1")
    for file in _files(document, depends):
        digest.update(f"{file}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def stamps(document: Document, depends: list[Path]) -> list[tuple[Path, int, int]]:
    """The files with their sizes and times, which tell whether one was changed."""
    files = ((file, file.stat()) for file in _files(document, depends))
    return [(file, found.st_size, found.st_mtime_ns) for file, found in files]


def _files(document: Document, depends: list[Path]) -> Iterator[Path]:
    """The files that count, in an order that is always the same."""
    own = {line.path.resolve() for line in document.lines}
    made = document.path.resolve().with_suffix("")  # such as doc.pdf, doc_files/
    for path in depends:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            inside = file.relative_to(path).parts
            place = file.resolve()
            if (
                file.is_file()
                and place not in own
                and not any(part.startswith(".") for part in inside)
                and "__pycache__" not in inside
                and ".egg-info" not in file.parent.name
                and not str(place).startswith((f"{made}.", f"{made}_files/"))
            ):
                yield file


def restore(document: Document, folder: Path, name: str) -> bool:
    """Fill in the results kept as `name`. Returns whether there were any; what cannot
    be read does not count.
    """
    try:
        kept = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        results = [
            cell["outputs"] if "outputs" in cell else cell["inline"] for cell in kept
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    for cell, result in zip(document.notebook.cells, results, strict=True):
        if cell.cell_type == "code":
            cell.outputs = nbformat.from_dict(result)
        else:
            cell.metadata["inline"] = result
            insert_inline(cell, document)
    return True


def keep(document: Document, folder: Path, name: str) -> None:
    """Keep the results of an executed document as `name`, in one step, and drop older
    ones.
    """
    results = [
        {"outputs": cell.outputs}
        if cell.cell_type == "code"
        else {"inline": cell.metadata.get("inline", [])}
        for cell in document.notebook.cells
    ]
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{name}.{os.getpid()}"
    scratch.write_text(json.dumps(results), encoding="utf-8")
    for old in folder.glob("*.json"):
        if RESULTS.fullmatch(old.name):  # others are not ours
            old.unlink(missing_ok=True)
    scratch.replace(folder / f"{name}.json")
