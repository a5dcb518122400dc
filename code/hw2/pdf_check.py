"""What a finished PDF must show: all sections, no open reference; and that no label is
without a reference.
"""

import re
from pathlib import Path

from pypdf import PdfReader

from hw2 import pages
from hw2.paths import REPORT
from qmdpdf.source import Line, expand

HEADING = re.compile(r"^#{1,3} (.+?)\s*(\{.*\})?\s*$")
LABEL = re.compile(r"(?:\{#|label:\s*)((?:fig|tbl|eq|sec|thm|lem|cor|prp|def)-[\w-]+)")


def faults(pdf: Path, report: Path = REPORT) -> list[str]:
    """What is wrong with a rendered report, one message each; none if it is good."""
    lines = expand(report)
    reader = PdfReader(pdf)
    text = "\n".join(page.extract_text() for page in reader.pages)
    marks = (
        "?" * 2,
        "?" + "@",
    )  # not as they are: this module is itself in the report's listing
    found = [
        f"{pdf}: unresolved reference {mark!r} in the text"
        for mark in marks
        if mark in text
    ]
    bookmarks = {_letters(title) for title in _titles(reader.outline)}
    for line in headings(lines):
        title = HEADING.match(line.text)[1]
        if not any(bookmark.endswith(_letters(title)) for bookmark in bookmarks):
            found.append(f"{line.where}: the section {title!r} is not in {pdf}")
    return found + unreferenced(lines)


def headings(lines: list[Line]) -> list[Line]:
    """The lines that are headings, outside code blocks."""
    fenced, found = False, []
    for line in lines:
        fenced ^= line.text.lstrip().startswith("```")
        if not fenced and HEADING.match(line.text):
            found.append(line)
    return found


def unreferenced(lines: list[Line]) -> list[str]:
    """A message for each label that no reference in the text mentions."""
    text = "\n".join(line.text for line in lines)
    labels = dict.fromkeys([*LABEL.findall(text), *pages.find_places(lines)])
    mentioned = set(re.findall(r"@((?:\w+)-[\w-]+)", text))
    parents = {re.sub(r"-\d+$", "", label) for label in mentioned}
    return [
        f"{label} is never referred to; write @{label} or drop it"
        for label in labels
        if label not in mentioned | parents
    ]


def _titles(outline: list) -> list[str]:
    return [
        title
        for item in outline
        for title in (_titles(item) if isinstance(item, list) else [item.title])
    ]


def _letters(text: str) -> str:
    """Letters and digits only: renderers differ in quotes, dashes and spaces."""
    return re.sub(r"[\W_]", "", re.sub(r"\$[^$]*\$", "", text)).lower()
