"""Stage 3, weave: turn executed cells into one Markdown text, with figures as files
beside it.
"""

import base64
import re
from pathlib import Path

import nbformat

from qmdpdf.execute import ANSI
from qmdpdf.source import Document, QmdError

SUFFIX = {"application/pdf": ".pdf", "image/svg+xml": ".svg", "image/png": ".png"}


def weave(document: Document, folder: Path) -> str:
    """The document as pandoc Markdown. Figures are written into `folder` and named
    relative to it.
    """
    parts = []
    for number, cell in enumerate(document.notebook.cells):
        parts.append(
            cell.source
            if cell.cell_type == "markdown"
            else _chunk(cell, folder, number)
        )
    return "\n\n".join(part for part in parts if part) + "\n"


def _chunk(cell: nbformat.NotebookNode, folder: Path, number: int) -> str:
    """The Markdown of one code cell: its source, then its outputs, wrapped in the Div
    that its label asks for.

    Raises QmdError where a chunk with a figure's label shows none.
    """
    options = cell.metadata["options"]
    if not options.get("include", True):
        return ""
    source = _fenced(cell.source, "python") if options.get("echo", True) else ""
    output = options.get("output", True)
    if output is False:
        return source
    text, figures = [], []
    for i, item in enumerate(cell.get("outputs", [])):
        if item.output_type == "stream":
            if item.name == "stderr" and not options.get("warning", True):
                continue
            text.append(
                item.text
                if output == "asis"
                else _fenced(ANSI.sub("", item.text).rstrip("\n"))
            )
        elif kind := next((kind for kind in SUFFIX if kind in item.data), None):
            name = f"figure-{number}-{i}{SUFFIX[kind]}"
            data = item.data[kind]
            (folder / name).write_bytes(
                data.encode() if kind == "image/svg+xml" else base64.b64decode(data)
            )
            figures.append(name)
        else:
            text.append(_display(item.data))
    if (
        (label := options.get("label", "")).startswith("fig-")
        and options.get("eval", True)
        and not figures
    ):
        raise QmdError(f"{cell.metadata['where']}: the chunk {label} shows no figure")
    return "\n\n".join(
        part
        for part in (source, *_text_and_table(text, options), _figure(figures, options))
        if part
    )


def _text_and_table(text: list[str], options: dict) -> list[str]:
    """The text outputs of a chunk; as a captioned table where its label says so."""
    label = options.get("label", "")
    if not text or not label.startswith("tbl-"):
        return text
    return [f"::: {{#{label}}}", *text, options.get("tbl-cap", ""), ":::"]


def _display(data: dict[str, str]) -> str:
    """A displayed value: Markdown and LaTeX pass through, anything else is shown as
    literal text.
    """
    if "text/markdown" in data:
        return data["text/markdown"]
    if "text/latex" in data:
        return re.sub(
            r"^\$\\displaystyle (.*)\$$",
            r"$$\1$$",
            data["text/latex"].strip(),
            flags=re.DOTALL,
        )
    return _fenced(data["text/plain"])


def _figure(names: list[str], options: dict) -> str:
    """The figures of a chunk, as a figure Div with caption and subcaptions where the
    chunk has a caption.
    """
    if not names:
        return ""
    label, captions = options.get("label", ""), options.get("fig-subcap", [])
    if "fig-cap" not in options:
        return "\n\n".join(f"![]({name})" for name in names)
    images = [
        f"![{captions[i] if i < len(captions) else ''}]({name}){{#{label}-{i + 1}}}"
        if captions
        else f"![]({name})"
        for i, name in enumerate(names)
    ]
    columns = (
        f' layout-ncol="{options["layout-ncol"]}"' if "layout-ncol" in options else ""
    )
    return "\n\n".join(
        [f"::: {{#{label}{columns}}}", *images, options["fig-cap"], ":::"]
    )


def _fenced(text: str, language: str = "") -> str:
    """`text` as a code block, with a fence longer than any inside it."""
    fence = "`" * max(
        3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0)
    )
    return (
        f"{fence}{{.{language}}}\n{text}\n{fence}"
        if language
        else f"{fence}\n{text}\n{fence}"
    )
