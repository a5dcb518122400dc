"""Stage 1, read: expand the includes of a Quarto document, refuse unknown constructs,
split it into cells.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import nbformat

THEOREMS = {"thm", "lem", "cor", "prp", "def"}
CHUNK_OPTIONS: dict[str, type | tuple[type, ...]] = {
    "label": str, "echo": bool, "eval": bool, "output": (bool, str), "include": bool,
    "warning": bool, "fig-cap": str, "fig-subcap": list, "layout-ncol": int,
    "tbl-cap": str,
}  # fmt: skip
CAPTIONED = {
    "fig-cap": "fig-",
    "fig-subcap": "fig-",
    "layout-ncol": "fig-",
    "tbl-cap": "tbl-",
}
DIV_KEYS = {"name", "layout-ncol"}
SPAN_CLASSES = {"unnumbered", "unlisted"}

FENCE = re.compile(r"^(?P<fence>\s*(?:`{3,}|~{3,}))\s*(?P<info>.*?)\s*$")
SHORTCODE = re.compile(r"\{\{<\s*(\S+)\s*(.*?)\s*>\}\}")
DIV = re.compile(r"^\s*:{3,}\s*(\{.*\}|[^\s:]\S*)\s*:*\s*$")
SPAN = re.compile(r"[\])]\{([^}]*)\}")


class QmdError(Exception):
    """An error in the sources. Its message starts with `file:line:` where these are
    known.
    """


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
    """An expanded document: its lines, its metadata (`_quarto.yml` below the front
    matter) and its cells.

    The first `front` lines are the front matter. Each cell of `notebook` carries in its
    metadata `where` (file:line of its first line), `first` (index of that line in
    `lines`) and, for code cells, `options` (the chunk options over the document's
    `execute` options).
    """

    path: Path
    root: Path
    lines: list[Line]
    front: int
    metadata: dict[str, Any]
    notebook: "nbformat.NotebookNode" = field(repr=False)

    def find(self, pattern: str, nth: int = 1, otherwise: str | None = None) -> str:
        """`file:line` of the nth line that matches the regular expression, or
        `otherwise`, or the document's name.
        """
        hits = [line.where for line in self.lines if re.search(pattern, line.text)]
        return (
            hits[min(nth, len(hits)) - 1]
            if hits
            else otherwise or os.path.relpath(self.path)
        )


def read(path: Path) -> Document:
    """Read a `.qmd` file. Raises QmdError for what the renderer does not support, with
    file and line.
    """
    # here, since these two take a second, and who checks claims needs only `expand`
    import jupytext
    import nbformat

    path = Path(path).resolve()
    lines = expand(path)
    root, metadata = _project(path.parent)
    text = "\n".join(line.text for line in lines)
    # with its default, jupytext would run a comment like `# %time`
    cells = jupytext.reads(
        text, fmt={"extension": ".Rmd", "comment_magics": False}
    ).cells
    front = 0
    if cells and cells[0].cell_type == "raw":
        raw = cells.pop(0).source.strip()
        front = len(raw.split("\n"))
        metadata = _merge(metadata, _mapping(raw.strip("-"), path))
    position = front
    for (
        cell
    ) in cells:  # jupytext drops positions: find each cell's first line again, in order
        chunk = cell.cell_type == "code"
        wanted = "```{python}" if chunk else cell.source.split("\n")[0].rstrip()
        while lines[position].text.rstrip() != wanted:
            position += 1
        position += chunk
        cell.metadata["first"], cell.metadata["where"] = position, lines[position].where
        if chunk:
            cell.metadata["options"] = {
                **metadata.get("execute", {}),
                **_options(cell, lines),
            }
        position += len(cell.source.split("\n"))
    return Document(
        path, root, lines, front, metadata, nbformat.v4.new_notebook(cells=cells)
    )


def expand(path: Path, parents: tuple[Path, ...] = ()) -> list[Line]:
    """The document's lines with each `{{< include file >}}` replaced by that file's
    lines.
    """
    try:
        texts = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise QmdError(
            f"{os.path.relpath(path)}: no such file; give the path of a .qmd file"
        ) from None
    result, fence = [], None
    for number, text in enumerate(texts, 1):
        line = Line(text, Path(path), number)
        opening = FENCE.match(text)
        if fence:
            if (
                opening and opening["fence"].startswith(fence) and not opening["info"]
            ):  # as far indented, as long
                fence = None
        elif opening:
            fence, opened, info = opening["fence"], line, opening["info"]
            if (
                re.match(r"\{(?!=|\.)", info) and text.rstrip() != "```{python}"
            ):  # what jupytext runs
                raise QmdError(
                    f"{line.where}: unsupported code block {info}; write ```{{python}} "
                    "and #| options"
                )
        elif (shortcode := SHORTCODE.search(text)) and shortcode[1] == "include":
            if shortcode[0] != text.strip():
                raise QmdError(f"{line.where}: an include stands on a line of its own")
            file = Path(path).parent / shortcode[2]
            if not file.is_file():
                raise QmdError(
                    f"{line.where}: included file {shortcode[2]} does not exist"
                )
            if file.resolve() in (*parents, Path(path).resolve()):
                raise QmdError(f"{line.where}: {shortcode[2]} includes itself")
            result += expand(file, (*parents, Path(path).resolve()))
            continue
        else:
            _check(line, shortcode)
        result.append(line)
    if fence:
        raise QmdError(
            f"{opened.where}: the code block that starts with {fence.strip()} is never "
            "closed"
        )
    return result


def _check(line: Line, shortcode: re.Match | None) -> None:
    """Refuse Quarto constructs outside code that this renderer would silently get
    wrong.
    """
    if shortcode:
        raise QmdError(
            f"{line.where}: unsupported shortcode {{{{< {shortcode[1]} >}}}}"
        )
    if div := DIV.match(line.text):
        attributes = div[1] if div[1].startswith("{") else f"{{.{div[1]}}}"
        names = re.sub(r'"[^"]*"', "", attributes)
        bad = [
            f".{name}" for name in re.findall(r"\.([\w-]+)", names) if name != "proof"
        ]
        bad += [
            f"#{i}"
            for i in re.findall(r"#([\w-]+)", names)
            if i.split("-")[0] not in THEOREMS | {"fig", "tbl", "refs"}
        ]
        bad += [key for key in re.findall(r"([\w-]+)=", names) if key not in DIV_KEYS]
        if bad:
            raise QmdError(f"{line.where}: unsupported block ::: {{{' '.join(bad)}}}")
    for span in SPAN.finditer(line.text):
        if bad := [
            name
            for name in re.findall(r"(?:^|\s)\.([\w-]+)", span[1])
            if name not in SPAN_CLASSES
        ]:
            raise QmdError(f"{line.where}: unsupported span class .{bad[0]}")


def _options(cell: "nbformat.NotebookNode", lines: list[Line]) -> dict[str, Any]:
    """The `#|` options of a chunk, which are removed from its source."""
    body = cell.source.split("\n")
    count = next(
        (i for i, text in enumerate(body) if not text.startswith("#|")), len(body)
    )
    where = lines[cell.metadata["first"]].where
    try:
        options = yaml.safe_load("\n".join(text[2:] for text in body[:count])) or {}
    except yaml.YAMLError as error:
        raise QmdError(f"{where}: chunk options are not valid YAML: {error}") from None
    if not isinstance(options, dict):
        raise QmdError(
            f"{where}: chunk options are `key: value` lines, not {options!r}"
        )
    for key, value in options.items():
        spelled = re.compile(rf"#\|\s*{re.escape(str(key))}\s*:")
        offset = next(
            (i for i, text in enumerate(body[:count]) if spelled.match(text)), 0
        )
        where = lines[cell.metadata["first"] + offset].where
        if key not in CHUNK_OPTIONS:
            raise QmdError(f"{where}: unsupported chunk option {key!r}")
        if not isinstance(value, CHUNK_OPTIONS[key]) or (
            CHUNK_OPTIONS[key] is int and value is True
        ):
            raise QmdError(f"{where}: chunk option {key} cannot be {value!r}")
        if not str(options.get("label", "")).startswith(CAPTIONED.get(key, "")):
            raise QmdError(
                f"{where}: chunk option {key} needs a label that starts with "
                f"{CAPTIONED[key]}"
            )
    if "fig-subcap" in options and "fig-cap" not in options:
        raise QmdError(
            f"{lines[cell.metadata['first']].where}: chunk option fig-subcap needs a "
            "fig-cap"
        )
    while (
        count < len(body) and not body[count].strip()
    ):  # IPython does not count these lines either
        count += 1
    cell.metadata["skipped"] = count
    cell.source = "\n".join(body[count:])
    return options


def _project(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The nearest folder upward with a `_quarto.yml`, and that file's content; else the
    folder itself.
    """
    for candidate in (folder, *folder.parents):
        if (file := candidate / "_quarto.yml").is_file():
            return candidate, _mapping(file.read_text(encoding="utf-8"), file)
    return folder, {}


def _mapping(text: str, path: Path) -> dict[str, Any]:
    """The YAML mapping in `text`, which starts on the first line of the file `path`."""
    try:
        value = yaml.safe_load(text) or {}
    except yaml.MarkedYAMLError as error:
        raise QmdError(
            f"{os.path.relpath(path)}:{error.problem_mark.line + 1}: not valid YAML: "
            f"{error}"
        ) from None
    if not isinstance(value, dict):
        raise QmdError(
            f"{os.path.relpath(path)}:1: expected `key: value` lines, found {value!r}"
        )
    return value


def _merge(below: dict, above: dict) -> dict:
    """`above` over `below`, mappings merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
