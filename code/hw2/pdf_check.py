"""What a finished PDF must show: all sections, contents with their pages, no open
reference, no caption twice, figures as vectors, nothing in the margin; and of its
sources, that each label is there once and referred to.
"""

import re
from collections import Counter
from itertools import product
from pathlib import Path

import pypdfium2
from PIL import Image
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from hw2 import pages
from hw2.formulas.collecting import CODE, classified
from hw2.paths import REPORT
from qmdpdf.source import Line, expand

HEADING = re.compile(r"^#{1,3} (.+?)\s*(\{.*\})?\s*$")
REFERENCE = re.compile(r"@((?:fig|tbl|eq|sec|thm|lem|cor|prp|def)-[\w-]+)")
LABEL = re.compile(r"(?:\{#|label:\s*)((?:fig|tbl|eq|sec|thm|lem|cor|prp|def)-[\w-]+)")
CITED = re.compile(r"(?<![\w\\])@([A-Za-z][\w:-]*)")
TICK = "✓"  # beside the number of a checked equation
HANGING = 5.0  # points: punctuation hangs by 1.2, the frame around code by 3
CAPTION = re.compile(r"^(?:Figure|Table)\s+\d+(?=:)", re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+\.(?:png|jpe?g))\)", re.IGNORECASE)


def faults(pdf: Path, report: Path = REPORT) -> list[str]:
    """What is wrong with a rendered report, one message each; none if it is good."""
    lines = expand(report)
    reader = PdfReader(pdf)
    texts = [page.extract_text() for page in reader.pages]
    found = [
        f"{pdf}: unresolved reference {mark!r} in the text"
        for mark in ("??", "?@")
        if any(mark in text for text in texts)
    ]
    bookmarks = {_letters(title) for title in _titles(reader.outline)}
    for line in headings(lines):
        title = HEADING.sub(r"\1", line.text)
        if not any(bookmark.endswith(_letters(title)) for bookmark in bookmarks):
            found.append(f"{line.where}: the section {title!r} is not in {pdf}")
    found += [
        f"{pdf}: {fault}"
        for fault in (
            *wrong_contents(reader, texts),
            *repeated_captions(texts),
            *rasters(reader, pictures(lines)),
            *overfull(pdf),
        )
    ]
    return found + repeated_labels(lines) + unreferenced(lines)


def wrong_contents(reader: PdfReader, texts: list[str]) -> list[str]:
    """A message for each section in the contents, at the front, with another page than
    its bookmark's.
    """
    sections = [item for item in reader.outline if not isinstance(item, list)]
    if not sections:
        return []
    places = [reader.get_destination_page_number(item) or 0 for item in sections]
    # the answers may come first, and the contents before the next section
    front = "\n".join(texts[: max(places[:2]) + 1]).splitlines()
    entries = [
        (_letters(match[1]), match[2])
        # a title may take two lines
        for before, line in zip(["", *front], front, strict=False)
        for text in (line, f"{before} {line}")
        if (match := re.match(r"(.*\S)[\s.]+(\d+)$", text))
    ]
    found = []
    for item, place in zip(sections, places, strict=True):
        page, title = reader.page_labels[place], _letters(item.title or "")
        told = {number for text, number in entries if text.endswith(title)}
        if told and page not in told:
            found.append(
                f"the contents say page {min(told)} for {item.title!r}, which is on "
                f"page {page}; LaTeX has to run once more"
            )
    return found


def repeated_captions(texts: list[str]) -> list[str]:
    """A message for each caption that is printed more than once."""
    counted = Counter(caption for text in texts for caption in CAPTION.findall(text))
    return [
        f"the caption of {caption} is printed {times} times"
        for caption, times in counted.items()
        if times > 1
    ]


def pictures(lines: list[Line]) -> set[tuple[int, int]]:
    """Width and height of the pictures of pixels that the sources show as they are."""
    sizes = set()
    for line in lines:
        for name in PICTURE.findall(line.text):
            if (file := line.path.parent / name).is_file():
                with Image.open(file) as image:
                    sizes.add(image.size)
    return sizes


def rasters(reader: PdfReader, expected: set[tuple[int, int]]) -> list[str]:
    """A message for each image of pixels that lies on a page itself and is none of the
    sources' pictures.

    A drawn figure is a form on its page, whatever images are inside it.
    """
    found = []
    for number, page in enumerate(reader.pages, 1):
        resources = page.get("/Resources", DictionaryObject()).get_object()
        objects = resources.get("/XObject", DictionaryObject()).get_object()
        for item in (objects[name].get_object() for name in objects):
            size = (item.get("/Width"), item.get("/Height"))
            if item["/Subtype"] == "/Image" and size not in expected:
                found.append(
                    f"a figure on page {number} is an image of {size[0]} x {size[1]} "
                    "pixels; what is drawn has to be vectors (fig-format: pdf)"
                )
    return found


def overfull(pdf: Path) -> list[str]:
    """A message for each piece of text, figure or frame that juts out into the right
    margin, which is taken to be as wide as the left one, where most lines begin.

    LaTeX says it of each line (overfull box), but not every renderer keeps its words.
    """
    drawn = {pypdfium2.raw.FPDF_PAGEOBJ_FORM, pypdfium2.raw.FPDF_PAGEOBJ_IMAGE}
    begins: Counter[int] = Counter()
    ends = []  # on a page of a width; the right end and what ends there
    with pypdfium2.PdfDocument(pdf) as document:
        for number, page in enumerate(document, 1):
            text = page.get_textpage()
            boxes = [text.get_rect(i) for i in range(text.count_rects())]
            begins.update(round(left) for left, *_ in boxes)
            what = [text.get_text_bounded(*box).strip() for box in boxes]
            for item in page.get_objects(max_depth=1):
                if item.type in drawn:
                    boxes.append(item.get_bounds())
                    what.append("a figure")
            for box, name in zip(boxes, what, strict=True):
                if name != TICK:
                    ends.append((number, page.get_width(), box[2], name))
    margin = begins.most_common(1)[0][0] if begins else 0
    return [
        f"{name!r} on page {number} juts out {end - width + margin:.0f} points into "
        "the right margin; shorten it or let it break"
        for number, width, end, name in ends
        if end > width - margin + HANGING
    ]


def headings(lines: list[Line]) -> list[Line]:
    """The lines that are headings, outside code blocks."""
    return [
        line
        for chunk, line in classified(lines)
        if not chunk and HEADING.match(line.text)
    ]


def repeated_labels(lines: list[Line]) -> list[str]:
    """A message for each label that is defined more than once."""
    found: dict[str, list[str]] = {}
    for line in lines:
        for label in (*LABEL.findall(line.text), *pages.PRINTED.findall(line.text)):
            found.setdefault(label, []).append(line.where)
    return [
        f"{places[1]}: the label {label} is defined again, first at {places[0]}"
        for label, places in found.items()
        if len(places) > 1
    ]


def uncited(
    lines: list[Line], bibliography: Path = REPORT.parent / "references.bib"
) -> list[str]:
    """A message for each citation of what is not in the bibliography."""
    known = set(
        re.findall(
            r"^@\w+\{\s*([^,\s]+)", bibliography.read_text(encoding="utf-8"), re.M
        )
    )
    return [
        f"{line.where}: unknown citation @{key}; {bibliography.name} has no such entry"
        for chunk, line in classified(lines)
        if not chunk
        for key in CITED.findall(CODE.sub("", line.text))
        if not REFERENCE.match(f"@{key}") and key not in known
    ]


def unknown(lines: list[Line]) -> list[str]:
    """A message for each reference to a label that is not there."""
    labels = {label for line in lines for label in LABEL.findall(line.text)}
    labels |= set(pages.find_places(lines))
    return [
        f"{line.where}: unknown reference @{label}; nothing has this label"
        for line in lines
        for label in REFERENCE.findall(line.text)
        if label not in labels and re.sub(r"-\d+$", "", label) not in labels
    ]


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


def disordered(lines: list[Line]) -> list[str]:
    """A message for each file whose figures, or tables, are not mentioned first in the
    order in which they stand there: references were swapped, or a figure was moved.
    """
    found = []
    paths = dict.fromkeys(line.path for line in lines)
    for path, kind in product(paths, ("fig", "tbl")):
        mine = [line for line in lines if line.path == path]
        stand = [
            label
            for line in mine
            for label in LABEL.findall(line.text)
            if label.startswith(f"{kind}-")
        ]
        first: dict[str, str] = {}  # where each is mentioned first
        for line in mine:
            for label in REFERENCE.findall(line.text):
                first.setdefault(re.sub(r"-\d+$", "", label), line.where)
        mentioned = [label for label in first if label in stand]
        for label, other in zip(stand, mentioned, strict=False):
            if label != other:
                found.append(
                    f"{first[other]}: @{other} is mentioned before @{label}, which "
                    "stands before it; mention them in their order"
                )
                break
    return found


def _titles(outline: list) -> list[str]:
    return [
        title
        for item in outline
        for title in (_titles(item) if isinstance(item, list) else [item.title])
    ]


def _letters(text: str) -> str:
    """Letters and digits only: renderers differ in quotes, dashes and spaces."""
    return re.sub(r"[\W_]", "", re.sub(r"\$[^$]*\$", "", text)).lower()
