"""Stage 2, execute: run the chunks and the inline expressions of a document in one
Jupyter kernel.
"""

import ast
import bisect
import contextlib
import os
import re
import string
import tempfile
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from tqdm import tqdm

from qmdpdf.source import INLINE, Document, QmdError

ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{4,}")  # another one in each render
RETURN = re.compile(r".*\r(?=[^\n])")  # what a progress bar writes over
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# an argument or an environment of raw LaTeX that is still open
RAW = re.compile(
    r"\\[A-Za-z]+(\[[^]]*\])?\{[^{}]*\Z|\\begin\{(\w+\*?)\}(?!.*\\end\{\2\})", re.DOTALL
)
# the beginning of what ends with its line, or of a quote or an item
ONE_LINE = re.compile(r"\s*(#|\||>|[-*+:] |\d+\. )")
# not for a kernel: figures would go elsewhere, assertions be skipped, warnings shown
PERSONAL = {"MPLBACKEND", "PYTHONOPTIMIZE", "PYTHONWARNINGS"}
# the backend's setting, which stays when a chunk changes others of them; a document
# without figures does not wait for matplotlib
FIGURES = "--InlineBackend.figure_formats={{{!r}}}"


def execute(document: Document, figures: str = "pdf") -> None:
    """Run all cells in order, in place. Text cells get their inline expressions
    replaced by Markdown.

    `figures` is their format.

    Raises QmdError with file and line, and the traceback, where a chunk or an
    expression raises.
    """
    cells = document.notebook.cells
    notebook = nbformat.v4.new_notebook(cells=[*cells])
    todo = [
        cell
        for cell in cells
        if cell.cell_type == "code" and cell.metadata["options"].get("eval", True)
    ]
    if not todo and not any(INLINE.search(cell.source) for cell in cells):
        return  # a kernel takes seconds to start
    bar = tqdm(total=len(todo), unit="chunk", desc="execute", leave=False, disable=None)
    with (
        tempfile.TemporaryDirectory(dir=socket_folder()) as sockets,
        _client(
            notebook, working_folder(document), sockets, FIGURES.format(figures)
        ) as client,
        bar,
    ):
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "markdown":
                _evaluate_inline(client, cell, document)
            elif cell in todo:
                start = time.perf_counter()
                try:
                    client.execute_cell(cell, index)
                except CellExecutionError as error:
                    raise QmdError(_explain(error, cell, document)) from None
                except DeadKernelError:
                    raise QmdError(
                        f"{cell.metadata['where']}: the kernel died in this chunk"
                    ) from None
                cell.outputs = _merged(cell.outputs)
                name = cell.metadata["options"].get("label", "")
                bar.write(
                    (
                        f"  {time.perf_counter() - start:6.2f} s  "
                        f"{cell.metadata['where']} "
                        f"{name}"
                    ).rstrip()
                )
                bar.update()


def _merged(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Outputs with what was printed in one go in one piece, as a terminal shows it, and
    before the warnings beside it: in which order the two arrive is chance.
    """
    found: list[nbformat.NotebookNode] = []
    for streams, group in groupby(outputs, lambda one: one.output_type == "stream"):
        pieces = list(group)
        if not streams:
            found += pieces
            continue
        for name in ("stdout", "stderr"):
            text = "".join(one.text for one in pieces if one.name == name)
            if text:
                text = RETURN.sub("", text)
                found.append(nbformat.v4.new_output("stream", name=name, text=text))
    return found


@contextlib.contextmanager
def _client(
    notebook: nbformat.NotebookNode, folder: Path, sockets: str, setting: str
) -> Iterator[NotebookClient]:
    """A client with a running kernel that talks through sockets in a private folder,
    not through open ports.
    """
    manager = AsyncKernelManager(
        kernel_name="python3",
        # this Python and no other, whatever kernels the user has
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        transport="ipc",
        connection_file=f"{sockets}/kernel.json",
    )
    resources = {"metadata": {"path": folder}}
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=None,
        coalesce_streams=False,  # it moves what is printed past what is shown
        resources=resources,
        shell_timeout_interval=1,  # seconds until a dead kernel is noticed
        shutdown_kernel="immediate",
        extra_arguments=[setting],
    )
    environment = {name: os.environ[name] for name in os.environ.keys() - PERSONAL}
    environment["IPYTHONDIR"] = sockets  # not the user's, with its settings
    # cleaned up also after an error or Ctrl-C
    with client.setup_kernel(env=environment, cleanup_kc=True):
        yield client


def socket_folder() -> str | None:
    """A folder whose name leaves room for that of a socket (107 bytes in Linux); None
    for the usual one.
    """
    usual = tempfile.gettempdir()
    return "/tmp" if len(os.fsencode(usual)) > 60 and os.path.isdir("/tmp") else None


def working_folder(document: Document) -> Path:
    """The folder that the chunks run in."""
    project = document.metadata.get("project") or {}
    of_project = project.get("execute-dir") == "project"
    return document.root if of_project else document.path.parent


def _explain(
    error: CellExecutionError, cell: nbformat.NotebookNode, document: Document
) -> str:
    """File, line and traceback of a chunk that raised."""
    trace = ANSI.sub("", error.traceback)
    inside = re.findall(rf"Cell In\[{cell.execution_count}\], line (\d+)", trace)
    offset = int(inside[-1]) - 1 if inside else 0
    line = document.lines[cell.metadata["first"] + cell.metadata["skipped"] + offset]
    return (
        f"{line.where}: the chunk raised {error.ename}: "
        f"{ANSI.sub('', error.evalue)}\n{trace}"
    )


def _evaluate_inline(
    client: NotebookClient, cell: nbformat.NotebookNode, document: Document
) -> None:
    """Evaluate the inline expressions of a text cell, keep their values in its
    metadata, and insert them.
    """
    expressions = {
        str(i): match[1] for i, match in enumerate(INLINE.finditer(cell.source))
    }
    if not expressions:
        return
    assert client.kc  # as the kernel runs
    try:
        reply = client.wait_for_reply(
            client.kc.execute("", user_expressions=expressions, store_history=False)
        )
    except DeadKernelError:
        where = _inline_where(cell, next(INLINE.finditer(cell.source)), document)
        raise QmdError(
            f"{where}: the kernel died in an inline expression of the text from here "
            f"to the next chunk: {', '.join(expressions.values())}"
        ) from None
    assert reply
    values = reply["content"]["user_expressions"].values()
    for match, value in zip(INLINE.finditer(cell.source), values, strict=True):
        if value["status"] != "ok":
            where = _inline_where(cell, match, document)
            raise QmdError(
                f"{where}: inline `{match[1]}` raised {value['ename']}: "
                f"{value['evalue']}"
            )
        if why := _unprintable(value["data"]):
            where = _inline_where(cell, match, document)
            raise QmdError(
                f"{where}: inline `{match[1]}` is {value['data']['text/plain']}, "
                f"{why}; give text, a number or display.Markdown"
            )
    cell.metadata["inline"] = [
        {
            "text": _inline_markdown(value["data"]),
            "escaped": "text/markdown" not in value["data"],
        }
        for value in values
    ]
    insert_inline(cell, document)


def insert_inline(cell: nbformat.NotebookNode, document: Document) -> None:
    """Replace each inline expression of a text cell by its value from
    `cell.metadata["inline"]`.
    """
    values, source = iter(cell.metadata["inline"]), cell.source
    # for each line of the result the line of the source
    origins = list(range(source.count("\n") + 1))

    def replace(match: re.Match) -> str:
        value = next(values)
        before = source[: match.start()]
        paragraph = before.rsplit("\n\n", 1)[-1]
        dollars = re.findall(r"(?<!\\)\$+", re.sub(r"`[^`]*`", "", paragraph))
        line_before = before.rsplit("\n", 1)[-1]
        escapes, why = value["escaped"] and "\\" in value["text"], ""
        if escapes and len(dollars) % 2:
            why = (
                f"math would lose the escapes of inline `{match[1]}`; wrap it in "
                "display.Markdown"
            )
        elif escapes and RAW.search(paragraph):
            why = (
                f"LaTeX would read the escapes of inline `{match[1]}` as its own; wrap "
                "it in display.Markdown, or write Markdown around it"
            )
        elif "\n" in value["text"] and ONE_LINE.match(line_before):
            why = (
                f"inline `{match[1]}` has several lines, which would end the heading, "
                "row, quote or item that it stands in; give one line"
            )
        if why:
            raise QmdError(f"{_inline_where(cell, match, document)}: {why}")
        after = bisect.bisect_right(origins, line := before.count("\n"))
        gone = slice(after, after + match[0].count("\n"))
        origins[gone] = [line] * value["text"].count("\n")
        return value["text"]

    cell.source = INLINE.sub(replace, source)
    cell.metadata["origins"] = origins


def _inline_where(
    cell: nbformat.NotebookNode, match: re.Match, document: Document
) -> str:
    return document.lines[
        cell.metadata["first"] + cell.source[: match.start()].count("\n")
    ].where


def _unprintable(data: dict[str, Any]) -> str:
    """Why a value cannot stand in a line of text; empty where it can."""
    plain = data["text/plain"]
    if "text/markdown" in data or plain.startswith(("'", '"')):
        return ""
    if ADDRESS.search(plain):
        return "with an address that is another one in each render"
    if other := sorted(set(data) - {"text/plain", "text/latex"}):
        return f"which is shown as {other[0]}"
    if re.fullmatch(r"None|<.*>|(np\.\w+|array)\(.*\)|.*\n.*", plain, re.DOTALL):
        return "which is no text"
    return ""


def _inline_markdown(data: dict[str, Any]) -> str:
    """A value as Markdown: `display.Markdown` as it is, anything else as literal text,
    as in Quarto.
    """
    if "text/markdown" in data:
        return data["text/markdown"]
    text = data["text/plain"]
    with contextlib.suppress(ValueError, SyntaxError):  # a quote begins other texts too
        if isinstance(value := ast.literal_eval(text), str):
            return re.sub(rf"([{re.escape(string.punctuation)}])", r"\\\1", value)
    return re.sub(r"([\\`*_{}\[\]<>#$^~|@])", r"\\\1", text)
