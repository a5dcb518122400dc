"""All mathematics of the report, displayed and inline, as the renderer sees it: with
file and line, without comments and code, with captions and what chunks print.
"""

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from qmdpdf.source import Line, QmdError, blocks

DISPLAY, INLINE, CAPTION, PRINTED = "display", "inline", "caption", "printed"

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CODE = re.compile(r"(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)", re.DOTALL)
MATH = re.compile(
    r"(?<!\\)\$\$(?P<display>.+?)(?<!\\)\$\$(?:\s*\{#(?P<label>eq-[\w-]+)\})?"
    r"|(?<![\\$])\$(?P<inline>[^\s$](?:[^$]*?[^\s\\$])?)\$(?!\d)",
    re.DOTALL,
)
# what begins first counts, as for pandoc: no comment begins in code or in a formula
PARTS = re.compile(
    rf"(?P<comment>{COMMENT.pattern})|{CODE.pattern}|{MATH.pattern}", re.DOTALL
)
WORDS = 80  # characters of the text before a formula
OPTION = re.compile(r"^#\s?\|\s*(?P<key>[\w-]+):\s*(?P<value>.*)$")


@dataclass(frozen=True)
class Formula:
    """One formula: its LaTeX, where it stands, its label, what kind of place it is, and
    the last words before it.
    """

    latex: str
    where: str
    section: str
    kind: str
    label: str = ""
    before: str = ""


def section_of(path: str) -> str:
    """The short name of a section from its file: q1, t3; "" for other files."""
    found = re.search(r"_([qt]\d)-[\w-]+\.qmd", path)
    return found[1] if found else ""


def text_of(lines: Sequence[Line], section: str) -> str:
    """All that the files of a section say: the question's, then what goes beyond it."""
    return "\n".join(line.text for line in lines if section_of(line.where) == section)


def collect(
    lines: Sequence[Line], printed: Callable[[str, str], str] | None = None
) -> list[Formula]:
    """The formulas of the expanded report in their order. `printed(label, left side)`
    is what `claims.equation` prints in a chunk.
    """
    found: list[Formula] = []
    texts: list[str] = []  # the lines, with code blanked
    for chunk, line in classified(lines):
        texts.append("" if chunk else line.text)
        if chunk:
            found += _of_chunk(line, chunk, printed)
    text = "\n".join(texts)
    for match in PARTS.finditer(text):
        if not (latex := match["display"] or match["inline"]):
            continue
        line = lines[text.count("\n", 0, match.start())]
        found.append(
            Formula(
                " ".join(latex.split()),
                line.where,
                section_of(line.where),
                DISPLAY if match["display"] else INLINE,
                match["label"] or "",
                " ".join(text[max(0, match.start() - WORDS) : match.start()].split()),
            )
        )
    order = {line.where: i for i, line in enumerate(lines)}
    return sorted(found, key=lambda formula: order[formula.where])


def _spaces(match: re.Match[str]) -> str:
    """As many spaces as what matches has signs, on as many lines."""
    return re.sub(r"[^\n]", " ", match[0])


def lone_dollars(lines: Sequence[Line]) -> list[str]:
    """A message for each dollar that begins or ends no formula, by which one is
    lost.
    """
    text = "\n".join("" if chunk else line.text for chunk, line in classified(lines))
    rest = PARTS.sub(_spaces, text)
    return [
        f"{lines[rest.count(chr(10), 0, match.start())].where}: a lone $, which begins "
        "or ends no formula; write \\$ for the sign"
        for match in re.finditer(r"(?<!\\)\$", rest)
    ]


def without_comments(text: str) -> str:
    """A text with spaces in place of its comments."""

    def blank(match: re.Match[str]) -> str:
        return _spaces(match) if match["comment"] else match[0]

    return PARTS.sub(blank, text)


def classified(lines: Sequence[Line]) -> Iterator[tuple[str, Line]]:
    """Each line with the kind of code block that it is in: "python", "code", or "".
    What stands on the lines within a comment is left out.
    """
    found, kinds = list(lines), [""] * len(lines)
    for block in blocks(lines):
        if block.kind == "comment":
            for i in range(block.first + 1, block.last):
                found[i] = replace(found[i], text="")
        else:
            kind = "python" if block.info == "{python}" else "code"
            for i in range(block.first, block.last + 1):
                kinds[i] = kind
    yield from zip(kinds, found, strict=True)


def _of_chunk(
    line: Line, kind: str, printed: Callable[[str, str], str] | None
) -> Iterator[Formula]:
    """The formulas of a caption, and those that `claims.equation` prints."""
    if kind != "python":
        return
    section = section_of(line.where)
    if (option := OPTION.match(line.text)) and option["key"] in (
        "fig-cap",
        "tbl-cap",
        "fig-subcap",
    ):
        caption = option["value"].replace("\\\\", "\\")
        for match in MATH.finditer(caption):
            yield Formula(match["inline"], line.where, section, CAPTION)
    if printed and (call := re.search(r"claims\.equation\((.*)\)\s*$", line.text)):
        try:
            label, left = (ast.literal_eval(part) for part in _arguments(call[1]))
            latex = printed(label, left)
        except (KeyError, ValueError, SyntaxError) as error:
            raise QmdError(
                f"{line.where}: {call[0]} prints no equation ({error!r}); give the "
                "label of a claim and the left side, both in quotes"
            ) from None
        yield Formula(latex, line.where, section, PRINTED, label)


def _arguments(text: str) -> list[ast.expr]:
    call = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    return call.args
