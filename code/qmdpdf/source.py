"""Stage 1, read: expand the includes of a Quarto document, refuse unknown constructs, split it into cells."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml

THEOREMS = {"thm", "lem", "cor", "prp", "def"}
CROSSREFS = THEOREMS | {"fig", "tbl", "eq", "sec"}
CHUNK_OPTIONS = {
    "label": str, "echo": bool, "eval": bool, "output": (bool, str), "include": bool, "warning": bool,
    "fig-cap": str, "fig-subcap": list, "layout-ncol": int, "tbl-cap": str,
}  # fmt: skip
DIV_KEYS = {"name", "layout-ncol"}
SPAN_CLASSES = {"unnumbered", "unlisted"}

FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*(.*?)\s*$")
SHORTCODE = re.compile(r"\{\{<\s*(\S+)\s*(.*?)\s*>\}\}")
DIV = re.compile(r"^\s*:{3,}\s*(\{.*\}|[^\s:]\S*)\s*:*\s*$")
SPAN = re.compile(r"[\])]\{([^}]*)\}")


class QmdError(Exception):
    """An error in the sources. Its message starts with `file:line:` where these are known."""


@dataclass(frozen=True)
class Line:
    """One line of the expanded document and where it came from."""

    text: str
    path: Path
    number: int

    @property
    def where(self) -> str:
        return f"{os.path.relpath(self.path)}:{self.number}"


@dataclass
class Document:
    """An expanded document: its lines, its metadata (`_quarto.yml` below the front matter) and its cells.

    Each cell of `notebook` carries in its metadata `where` (file:line of its first line), `first` (index of that
    line in `lines`) and, for code cells, `options` (the chunk options over the document's `execute` options).
    """

    path: Path
    root: Path
    lines: list[Line]
    metadata: dict[str, Any]
    notebook: nbformat.NotebookNode = field(repr=False)

    def find(self, pattern: str, nth: int = 1) -> str:
        """`file:line` of the nth line that matches the regular expression, or the document's name."""
        hits = [line.where for line in self.lines if re.search(pattern, line.text)]
        return hits[min(nth, len(hits)) - 1] if hits else os.path.relpath(self.path)


def read(path: Path) -> Document:
    """Read a `.qmd` file. Raises QmdError for what the renderer does not support, with file and line."""
    path = Path(path).resolve()
    lines = expand(path)
    root, metadata = _project(path.parent)
    cells = jupytext.reads("\n".join(line.text for line in lines), fmt="Rmd").cells
    if cells and cells[0].cell_type == "raw":
        metadata = _merge(metadata, yaml.safe_load(cells.pop(0).source.strip().strip("-")) or {})
    position = 0
    for cell in cells:  # jupytext drops positions: find each cell's first line again, in order
        wanted = cell.source.split("\n")[0]
        while lines[position].text != wanted:
            position += 1
        cell.metadata["first"], cell.metadata["where"] = position, lines[position].where
        if cell.cell_type == "code":
            cell.metadata["options"] = {**metadata.get("execute", {}), **_options(cell, lines)}
        position += len(cell.source.split("\n"))
    return Document(path, root, lines, metadata, nbformat.v4.new_notebook(cells=cells))


def expand(path: Path) -> list[Line]:
    """The document's lines with each `{{< include file >}}` replaced by that file's lines."""
    try:
        texts = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise QmdError(f"{os.path.relpath(path)}: no such file; give the path of a .qmd file") from None
    result, fence = [], None
    for number, text in enumerate(texts, 1):
        line = Line(text, Path(path), number)
        opening = FENCE.match(text)
        if fence:
            if opening and opening[1].startswith(fence) and not opening[2]:
                fence = None
        elif opening:
            fence = opening[1]
            if re.match(r"\{(?!=|\.|python\}$)", opening[2]):
                raise QmdError(f"{line.where}: unsupported code block {opening[2]}; write ```{{python}} and #| options")
        elif (shortcode := SHORTCODE.search(text)) and shortcode[1] == "include":
            file = Path(path).parent / shortcode[2]
            if not file.is_file():
                raise QmdError(f"{line.where}: included file {shortcode[2]} does not exist")
            result += expand(file)
            continue
        else:
            _check(line, shortcode)
        result.append(line)
    if fence:
        raise QmdError(f"{os.path.relpath(path)}: a code block that starts with {fence} is never closed")
    return result


def _check(line: Line, shortcode: re.Match | None) -> None:
    """Refuse Quarto constructs outside code that this renderer would silently get wrong."""
    if shortcode:
        raise QmdError(f"{line.where}: unsupported shortcode {{{{< {shortcode[1]} >}}}}")
    if div := DIV.match(line.text):
        attributes = div[1] if div[1].startswith("{") else f"{{.{div[1]}}}"
        names = re.sub(r'"[^"]*"', "", attributes)
        bad = [f".{name}" for name in re.findall(r"\.([\w-]+)", names) if name != "proof"]
        bad += [
            f"#{i}" for i in re.findall(r"#([\w-]+)", names) if i.split("-")[0] not in THEOREMS | {"fig", "tbl", "refs"}
        ]
        bad += [key for key in re.findall(r"([\w-]+)=", names) if key not in DIV_KEYS]
        if bad:
            raise QmdError(f"{line.where}: unsupported block ::: {{{' '.join(bad)}}}")
    for span in SPAN.finditer(line.text):
        if bad := [name for name in re.findall(r"(?:^|\s)\.([\w-]+)", span[1]) if name not in SPAN_CLASSES]:
            raise QmdError(f"{line.where}: unsupported span class .{bad[0]}")


def _options(cell: nbformat.NotebookNode, lines: list[Line]) -> dict[str, Any]:
    """The `#|` options of a chunk, which are removed from its source."""
    body = cell.source.split("\n")
    count = next((i for i, text in enumerate(body) if not text.startswith("#|")), len(body))
    where = lines[cell.metadata["first"]].where
    try:
        options = yaml.safe_load("\n".join(text[2:] for text in body[:count])) or {}
    except yaml.YAMLError as error:
        raise QmdError(f"{where}: chunk options are not valid YAML: {error}") from None
    for offset, text in enumerate(body[:count]):
        key = text[2:].split(":")[0].strip()
        if key in options and key not in CHUNK_OPTIONS:
            raise QmdError(f"{lines[cell.metadata['first'] + offset].where}: unsupported chunk option {key!r}")
        if key in options and not isinstance(options[key], CHUNK_OPTIONS[key]):
            raise QmdError(
                f"{lines[cell.metadata['first'] + offset].where}: chunk option {key} cannot be {options[key]!r}"
            )
    cell.metadata["skipped"] = count
    cell.source = "\n".join(body[count:])
    return options


def _project(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The nearest folder upward with a `_quarto.yml`, and that file's content; else the folder itself."""
    for candidate in (folder, *folder.parents):
        if (file := candidate / "_quarto.yml").is_file():
            return candidate, yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return folder, {}


def _merge(below: dict, above: dict) -> dict:
    """`above` over `below`, mappings merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
