"""Stage 1, read: expand the includes of a Quarto document, refuse unknown constructs,
split it into cells.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qmdpdf.metadata import QmdError, mapping, merge, read_text

if TYPE_CHECKING:
    import nbformat

CHUNK = "```{python}"
CHUNK_OPTIONS = {
    "label": str, "echo": bool, "eval": bool, "output": (bool, {"asis"}),
    "include": bool, "warning": bool, "fig-cap": str, "fig-subcap": list,
    "layout-ncol": int, "tbl-cap": str,
}  # fmt: skip
CAPTIONED = {
    "fig-cap": "fig-",
    "fig-subcap": "fig-",
    "layout-ncol": "fig-",
    "tbl-cap": "tbl-",
}

FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,}|~{3,})\s*(?P<info>[^`]*?)\s*$")
OPTION = re.compile(r"#\s*\|")  # formatters write `#| echo: false` as `# | echo: false`
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")  # of code, in a line
INCLUDE = re.compile(r"\{\{<\s*include\s+(\S+)\s*>\}\}")
# as Quarto reads it: not behind a backtick, and with a blank on the same line
INLINE = re.compile(r"(?<!`)`\{python\}[ \t]+((?:(?!\n\s*\n)[^`])+?)\s*`")


@dataclass(frozen=True)
class Line:
    """One line of the expanded document and where it came from."""

    text: str
    path: Path
    number: int

    @property
    def where(self) -> str:
        return f"{os.path.relpath(self.path)}:{self.number}"


@dataclass(frozen=True)
class Block:
    """A fenced block of code, or an HTML comment: its first and last line, its first
    fence, and what stands behind that.
    """

    kind: str
    first: int
    last: int
    info: str = ""
    fence: str = ""


def find(lines: list[Line], pattern: str, nth: int = 1) -> str | None:
    """`file:line` of the nth line that matches the regular expression, or of the last
    one that does.
    """
    hits = [line.where for line in lines if re.search(pattern, line.text)]
    return hits[min(nth, len(hits)) - 1] if hits else None


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
        found = find(self.lines, pattern, nth)
        return found or otherwise or os.path.relpath(self.path)


def read(path: Path) -> Document:
    """Read a `.qmd` file. Raises QmdError for what the renderer does not support, with
    file and line.
    """
    # here, since these take a second, and who checks claims needs only `expand`
    import nbformat

    from qmdpdf.tree import parse

    path = Path(path).resolve()
    lines = expand(path)
    root, metadata = _project(path.parent)
    front = 0
    if lines and lines[0].text.rstrip() == "---":
        ends = (i for i, line in enumerate(lines) if i and _ends_front(line.text))
        front = next(ends, -1) + 1
        if not front:
            raise QmdError(
                f"{lines[0].where}: the front matter has no end; write --- below it"
            )
        yaml_lines = "\n".join(line.text for line in lines[1 : front - 1])
        metadata = merge(metadata, mapping(f"\n{yaml_lines}", path))
    if not any(line.text.strip() for line in lines[front:]):
        raise QmdError(f"{path}: there is nothing to render")
    parse(
        [
            replace(line, text=line.text.replace(CHUNK, "```python"))
            for line in lines[front:]
        ]
    )
    cells, position = [], front
    end = Block("end", len(lines), len(lines), "{python}")
    for block in [*blocks(lines, front), end]:
        if block.info != "{python}":
            continue
        text = "\n".join(line.text for line in lines[position : block.first])
        if text.strip():
            position += len(text) - len(text.lstrip("\n"))
            cells.append(nbformat.v4.new_markdown_cell(text.strip("\n")))
            cells[-1].metadata |= {"first": position, "where": lines[position].where}
        position = block.last + 1
        if block.kind == "code":
            source = "\n".join(
                line.text for line in lines[block.first + 1 : block.last]
            )
            cells.append(nbformat.v4.new_code_cell(source))
            cells[-1].metadata |= {
                "first": block.first + 1,
                "where": lines[block.first + 1].where,
            }
            cells[-1].metadata["options"] = {
                **metadata.get("execute", {}),
                **_options(cells[-1], lines),
            }
    return Document(
        path, root, lines, front, metadata, nbformat.v4.new_notebook(cells=cells)
    )


def _ends_front(text: str) -> bool:
    return text.rstrip() in {"---", "..."}


def blocks(lines: Sequence[Line], start: int = 0) -> Iterator[Block]:
    """The fenced blocks and HTML comments from a line on: the one reader of fences.

    pandoc's reading is compared with it, so that where the two differ nothing is lost
    silently. Raises QmdError for a block that is never closed.
    """
    opened = fence = None
    for i, line in enumerate(lines[start:], start):
        match, rest = FENCE.match(line.text), line.text
        if fence and opened is not None:
            if match and _closes(match, fence):
                yield Block("code", opened, i, fence["info"], fence["fence"])
                opened = fence = None
            continue
        if opened is not None:  # in a comment
            _, closed, rest = rest.partition("-->")
            if not closed:
                continue
            yield Block("comment", opened, i)
            opened = None
        elif match:
            opened, fence = i, match
            continue
        rest = SPAN.sub("", rest)
        while opened is None and "<!--" in rest:
            _, closed, rest = rest.partition("<!--")[2].partition("-->")
            if closed:
                yield Block("comment", i, i)
            else:
                opened = i
    if opened is not None:
        raise QmdError(
            f"{lines[opened].where}: the "
            + (
                f"code block that starts with {fence['fence']}"
                if fence
                else "comment that starts with <!--"
            )
            + " is never closed"
        )


def _closes(match: re.Match, fence: re.Match) -> bool:
    """Whether a fence ends the block that another one began: as long, of the same sign,
    and at most three spaces further in.
    """
    further = len(match["indent"]) - len(fence["indent"])
    longer = match["fence"].startswith(fence["fence"])
    return longer and 0 <= further <= 3 and not match["info"]


def expand(path: Path, parents: tuple[Path, ...] = ()) -> list[Line]:
    """The document's lines with each `{{< include file >}}` replaced by that file's
    lines.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise QmdError(
            f"{os.path.relpath(path)}: no such file; give the path of a .qmd file"
        ) from None
    lines = [
        Line(text, Path(path), number)
        for number, text in enumerate(text.removesuffix("\n").split("\n"), 1)
    ]
    inside = {
        i: block
        for block in blocks(lines)
        for i in range(block.first, block.last + 1)
        if block.kind == "code" or block.last > block.first
    }
    result = []
    for i, line in enumerate(lines):
        _check(line, inside.get(i), i)
        include = INCLUDE.fullmatch(line.text.strip())
        if not include:
            result.append(line)
            continue
        file = Path(path).parent / include[1]
        if not file.is_file():
            raise QmdError(f"{line.where}: included file {include[1]} does not exist")
        if file.resolve() in (*parents, Path(path).resolve()):
            raise QmdError(f"{line.where}: {include[1]} includes itself")
        result += expand(file, (*parents, Path(path).resolve()))
    return result


def _check(line: Line, block: Block | None, number: int) -> None:
    """Refuse what Quarto runs or expands before pandoc reads it, and this renderer does
    not.
    """
    text, where = line.text, line.where
    chunk = block and block.kind == "code" and block.info == "{python}"
    if block and number == block.first and re.match(r"\{(?!=|\.)", block.info):
        if text.rstrip() != CHUNK:
            raise QmdError(
                f"{where}: unsupported code block {block.info}; write ```{{python}} "
                "at the start of the line, with three backticks, and #| options"
            )
        return
    if "{{<" in text:
        name = re.findall(r"\{\{<\s*(\S*)", text)[0]
        if name != "include":
            raise QmdError(f"{where}: unsupported shortcode {{{{< {name} >}}}}")
        if block or not INCLUDE.fullmatch(text.strip()):
            raise QmdError(
                f"{where}: an include stands on a line of its own, outside of code "
                "and comments"
            )
    if chunk:
        return
    unseen = block and (block.kind == "comment" or "~" in block.fence)
    if unseen and text.strip() == CHUNK:
        raise QmdError(
            f"{where}: Quarto runs a chunk in a comment and between ~~~; remove it, "
            "write `#| eval: false`, or quote it between four backticks"
        )
    if not block and re.search(r"(?<!`)`\{python\}\s*$", text):
        raise QmdError(
            f"{where}: Quarto computes inline code where `{{python}} and the beginning "
            "of the expression stand on one line; write them so"
        )
    quoted = any(
        len(span[1]) > 1 and "`{python}" in span[2] for span in SPAN.finditer(text)
    )
    if quoted or (block and re.search(r"(?<!`)`\{python\}[ \t]", text)):
        raise QmdError(
            f"{where}: Quarto evaluates an inline expression in quoted code and in a "
            "comment too; write it with other words"
        )


def _options(cell: "nbformat.NotebookNode", lines: list[Line]) -> dict[str, Any]:
    """The `#|` options of a chunk, which are removed from its source."""
    body, first = cell.source.split("\n"), cell.metadata["first"]
    count = next(
        (i for i, text in enumerate(body) if not OPTION.match(text)), len(body)
    )
    for i, text in enumerate(body[count:], count):
        if re.match(rf"{OPTION.pattern}\s*[\w-]+:", text):
            raise QmdError(
                f"{lines[first + i].where}: chunk options are the first lines of a "
                "chunk; move this one there"
            )
    start = lines[first]
    text = "\n".join(OPTION.sub("", text, count=1) for text in body[:count])
    options = mapping(
        "\n" * (start.number - 1) + text, start.path, CHUNK_OPTIONS, "chunk option"
    )
    for key, label in CAPTIONED.items():
        if key in options and not options.get("label", "").startswith(label):
            spelled = re.compile(rf"{OPTION.pattern}\s*[\"']?{key}\b")
            offset = next(i for i, text in enumerate(body) if spelled.match(text))
            raise QmdError(
                f"{lines[first + offset].where}: chunk option {key} needs a label that "
                f"starts with {label}"
            )
    name = options.get("label", "")
    for label in ("fig", "tbl"):
        if name.startswith(f"{label}-") and f"{label}-cap" not in options:
            raise QmdError(
                f"{lines[first].where}: {name} needs a caption; give the chunk option "
                f"{label}-cap, or another label"
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
            return candidate, mapping(read_text(file), file)
    return folder, {}
