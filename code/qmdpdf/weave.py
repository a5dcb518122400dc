"""Stage 3, weave: turn executed cells into one Markdown text, with figures as files
beside it.
"""

import base64
import re
from pathlib import Path

import nbformat

from qmdpdf.execute import ADDRESS, ANSI
from qmdpdf.source import Document, Line, QmdError

SUFFIX = {"application/pdf": ".pdf", "image/png": ".png", "image/jpeg": ".jpg"}
# the file of a chunk is another one in each render
ARTIST = re.compile(r"\[?<(matplotlib\.|seaborn\.|Axes|Figure)")
CHUNK_FILE = re.compile(r"\S*/ipykernel_\d+/\d+\.py(?=:\d)")
SEMICOLON = "end its last line with a semicolon, which shows nothing"


def weave(document: Document, folder: Path) -> list[Line]:
    """The lines of the document as pandoc Markdown, each with where it came from.

    Figures are written into `folder` and named relative to it. Raises QmdError where a
    chunk or an expression shows what cannot be printed.
    """
    result: list[Line] = []
    for number, cell in enumerate(document.notebook.cells):
        first = document.lines[cell.metadata["first"]]
        if cell.cell_type == "markdown":
            origins = cell.metadata.get("origins")
            texts = cell.source.split("\n")
            places = [
                document.lines[cell.metadata["first"] + i]
                for i in origins or range(len(texts))
            ]
        else:
            texts = _chunk(cell, folder, number).split("\n")
            places = [first] * len(texts)
        if any(texts):
            result += [Line("", first.path, first.number)] if result else []
            result += [
                Line(text, place.path, place.number)
                for text, place in zip(texts, places, strict=True)
            ]
    return result


def _chunk(cell: nbformat.NotebookNode, folder: Path, number: int) -> str:
    """The Markdown of one code cell: its source, then its outputs, wrapped in the Div
    that its label asks for.
    """
    options, where = cell.metadata["options"], cell.metadata["where"]
    if not options.get("include", True):
        return ""
    source = _fenced(cell.source, "python") if options.get("echo", True) else ""
    output = options.get("output", True)
    if output is False:
        return source
    parts: list[str] = []  # in their order
    figures: list[str] = []
    captioned = "fig-cap" in options
    for i, item in enumerate(cell.get("outputs", [])):
        if item.output_type == "stream":
            if item.name == "stderr" and not options.get("warning", True):
                continue
            printed = CHUNK_FILE.sub("chunk", item.text)
            _refuse_address(printed, where)
            parts.append(
                printed
                if output == "asis"
                else _fenced(ANSI.sub("", printed).rstrip("\n"))
            )
        elif kind := next((kind for kind in SUFFIX if kind in item.data), None):
            name = f"figure-{number}-{i}{SUFFIX[kind]}"
            (folder / name).write_bytes(base64.b64decode(item.data[kind]))
            figures.append(name)
            parts.append(name if captioned else f"![]({name})")
        else:
            parts.append(_display(item.data, where))
    if (
        (label := options.get("label", "")).startswith("fig-")
        and options.get("eval", True)
        and not figures
    ):
        raise QmdError(f"{where}: the chunk {label} shows no figure")
    captions = len(options.get("fig-subcap", figures))
    if figures and captions != len(figures):
        raise QmdError(
            f"{where}: the chunk shows {len(figures)} figures and has {captions} "
            "subcaptions in fig-subcap; give each figure one"
        )
    if captioned and figures:  # one block, where they stand
        first = parts.index(figures[0])
        if parts[first : first + len(figures)] != figures:
            raise QmdError(
                f"{where}: the chunk shows something between its figures, which have "
                "one caption; show it before or behind them"
            )
        parts[first : first + len(figures)] = [_figure(figures, options)]
    return "\n\n".join(
        part for part in (source, *_text_and_table(parts, options)) if part
    )


def _refuse_address(text: str, where: str) -> None:
    if found := ADDRESS.search(text):
        raise QmdError(
            f"{where}: an output with an object's address, another one in each render: "
            f"{text[max(0, found.start() - 40) : found.end()]}; if it is the chunk's "
            f"value, {SEMICOLON}"
        )


def _text_and_table(text: list[str], options: dict) -> list[str]:
    """The text outputs of a chunk; as a captioned table where its label says so."""
    label = options.get("label", "")
    if not text or not label.startswith("tbl-"):
        return text
    return [f"::: {{#{label}}}", *text, _running(options.get("tbl-cap", "")), ":::"]


def _running(caption: str) -> str:
    """A caption as a paragraph, however it begins: behind an empty span nothing is a
    list, a quote or a definition.
    """
    return f"[]{{}}{' '.join(caption.split())}"


def _display(data: dict[str, str], where: str) -> str:
    """A displayed value: Markdown and LaTeX pass through, text is shown literally.

    Raises QmdError for what has neither, such as HTML, and for what plotting returns.
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
    if other := sorted(set(data) - {"text/plain"}):
        raise QmdError(
            f"{where}: the chunk shows {other[0]}, which a PDF cannot; show Markdown "
            f"or a figure, or {SEMICOLON}"
        )
    if ARTIST.match(data["text/plain"]):
        raise QmdError(
            f"{where}: the chunk's value is {data['text/plain']}; {SEMICOLON}"
        )
    _refuse_address(data["text/plain"], where)
    return _fenced(data["text/plain"])


def _figure(names: list[str], options: dict) -> str:
    """The figures of a chunk, as a figure Div with caption and subcaptions."""
    label, captions = options.get("label", ""), options.get("fig-subcap", [])
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
        [f"::: {{#{label}{columns}}}", *images, _running(options["fig-cap"]), ":::"]
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
