"""Wordings that no program can check, kept as they were when somebody read them.

The statements of theorems, and sentences that state something that could be wrong
(numbers in digits or words, comparisons, references, citations, inline expressions,
captions) are *sealed*: `report/sealed.json` has them as they were read. A change shows
until it is sealed anew with `make seal`, which shows the difference. A seal is no
check, and earns no tick.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hw2.formulas.collecting import COMMENT, OPTION, classified
from hw2.paths import REPORT, write

if TYPE_CHECKING:
    from qmdpdf.source import Line

SEALED = REPORT.parent / "sealed.json"

STATEMENT = re.compile(r"^:{3,}\s*\{#(?P<label>(?:thm|lem|cor|prp)-[\w-]+)")
SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z@*`$(\[])")
NUMBERS = (
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "twenty", "thirty", "fifty",
    "sixty", "ninety", "hundred", "thousand", "million", "billion", "half", "halves",
    "thirds", "quarter", "quarters", "fifth", "sixth", "seventh", "eighth", "tenth",
    "tenths", "dozen", "twice", "thrice", "once", "percent", "double", "doubles",
    "none", "zero",
)  # fmt: skip
COMPARISONS = (
    "more", "less", "most", "least", "fewer", "fewest", "better", "best", "worse",
    "worst", "larger", "largest", "smaller", "smallest", "higher", "highest", "lower",
    "lowest", "faster", "slower", "easier", "hardest", "harder", "improve", "improved",
    "improves", "rise", "rises", "rose", "fall", "falls", "fell", "grow", "grows",
    "grew", "shrink", "shrinks", "gain", "gains", "lose", "loses", "lost", "win",
    "wins", "beats", "above", "below", "left", "right", "before", "after", "later",
    "earlier", "always", "never", "every", "only", "first", "last", "same", "equal",
    "differs", "agree", "agrees", "not", "no", "without", "all", "any", "some", "each",
    "positive", "negative", "depend", "depends", "independent", "correlated", "fixed",
    "random", "constant", "symmetric", "orthogonal", "invertible", "injective",
    "bounded", "finite", "infinite", "small", "large", "exact", "exactly", "because",
    "therefore", "hence", "since", "so", "if", "implies", "vanishes", "unlike", "like",
)  # fmt: skip
WORDS = "|".join([*NUMBERS, *COMPARISONS])
STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
# a macro may turn what a formula shows
MACRO = r"\\(?:re)?newcommand|\\def\b|\\let\b"
STATES = re.compile(rf"\d|@\w|`\{{python\}}|%|{MACRO}|\b(?:{WORDS})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Sentence:
    """What is sealed: the text with single spaces, and where it begins."""

    text: str
    where: str
    file: str  # from the folder of the report
    label: str = ""  # of a theorem, whose statement it is


def sentences(lines: "Sequence[Line]") -> list[Sentence]:
    """The statements, captions, and sentences of the report that state something."""
    folder = lines[0].path.parent if lines else Path()
    return [
        Sentence(
            " ".join(text.split()),
            line.where,
            line.path.relative_to(folder).as_posix(),
            label,
        )
        for text, line, label in (
            *_statements(lines),
            *_captions(lines),
            *_stating(lines),
            *_preamble(folder / "preamble.tex"),
        )
    ]


Found = Iterator[tuple[str, "Line", str]]  # with the label of a theorem


def _statements(lines: "Sequence[Line]") -> "Found":
    opened = None
    text: list[str] = []
    for line in lines:
        if opened is None and (found := STATEMENT.match(line.text)):
            opened, label, text = line, found["label"], [line.text]
        elif opened is not None and re.match(r"^:{3,}\s*$", line.text):
            yield " ".join(text), opened, label
            opened = None
        elif opened is not None:
            text.append(line.text)


def _captions(lines: "Sequence[Line]") -> "Found":
    for kind, line in classified(lines):
        option = OPTION.match(line.text) if kind == "python" else None
        if option and option["key"] in ("fig-cap", "tbl-cap", "fig-subcap"):
            yield option["value"], line, ""
        elif kind == "python" and "print(" in line.text:
            said = " ".join(STRING.findall(line.text))
            if STATES.search(re.sub(r"\{[^}]*\}", " ", said)):
                yield line.text, line, ""


def _preamble(file: Path) -> "Found":
    """The lines of the preamble that define macros."""
    from qmdpdf.source import Line

    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(MACRO, line):
            yield line, Line(line, file, number), ""


def _stating(lines: "Sequence[Line]") -> "Found":
    """The sentences of all paragraphs outside code and displayed formulas."""
    shown = [
        "" if kind or line.text.startswith((":::", "{{<")) else line.text
        for kind, line in classified(lines)
    ]
    text = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), "\n".join(shown))
    text = re.sub(r"\$\$.*?\$\$", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    row = 0
    for paragraph in re.split(r"(\n\s*\n)", text):
        at = row + len(paragraph) - len(paragraph.lstrip("\n"))
        if paragraph.strip():
            for sentence in SENTENCE.split(paragraph.strip()):
                if STATES.search(re.sub(r"\$[^$]*\$", " ", sentence)):
                    yield sentence, lines[min(at, len(lines) - 1)], ""
                at += sentence.count("\n")
        row += paragraph.count("\n")


def _by_file(found: "Sequence[Sentence]") -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for sentence in found:
        files.setdefault(sentence.file, []).append(sentence.text)
    return files


def sealed(file: Path = SEALED) -> dict[str, list[str]]:
    """What was sealed, by source file. Raises ValueError where the file is damaged."""
    if not file.is_file():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: {error}; restore it from git") from None


def broken(lines: "Sequence[Line]", file: Path = SEALED) -> list[tuple[Sentence, str]]:
    """The sentences that are not as they were sealed, each with a message; those that
    are gone have no place but their file.
    """
    found, kept = sentences(lines), sealed(file)
    left = {name: Counter(texts) for name, texts in kept.items()}
    messages = []
    for sentence in found:
        name = sentence.file
        if left.get(name, Counter())[sentence.text] > 0:
            left[name][sentence.text] -= 1
            continue
        near = difflib.get_close_matches(sentence.text, kept.get(name, ()), 1, 0.6)
        was = f", it was sealed as: {near[0]}" if near else ""
        messages.append(
            (
                sentence,
                f"{sentence.where}: not sealed: {sentence.text}{was}; read it against "
                "what it states, then `make seal`",
            )
        )
    for name, texts in left.items():
        for text, count in texts.items():
            if count > 0:
                gone = Sentence(text, f"{name}:1", name)
                messages.append(
                    (gone, f"{name}: sealed, but gone: {text}; `make seal`")
                )
    return messages


def seal(lines: "Sequence[Line]", file: Path = SEALED) -> list[str]:
    """Seal everything as it is now. Returns the difference, one line each."""
    old = [f"{name}: {text}" for name, texts in sealed(file).items() for text in texts]
    files = _by_file(sentences(lines))
    new = [f"{name}: {text}" for name, texts in files.items() for text in texts]
    text = json.dumps(files, indent=1, ensure_ascii=False) + "\n"
    write(file, text.encode())
    return [
        line
        for line in difflib.unified_diff(old, new, lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
