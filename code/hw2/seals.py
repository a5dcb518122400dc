"""The words of the report and of the notebook, kept as they were when somebody read
them.

Formulas are evaluated and claims are checked, but no program knows whether a sentence
is true, or whether a chunk draws what its caption says. All of it is therefore
*sealed*: `report/sealed.json` has every sentence, formula, and line of a chunk as it
was read, where each file is included, the references, what is set for LaTeX, of each
claim what it says of itself, and the words of figures and tables. A change shows until
it is sealed anew with `make seal`, which shows the difference. A seal is no check, and
earns no tick.
"""

import ast
import difflib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, groupby
from pathlib import Path
from typing import TYPE_CHECKING

from hw2.formulas.collecting import classified, without_comments
from hw2.paths import NOTEBOOK, REPORT, ROOT, write

if TYPE_CHECKING:
    from qmdpdf.source import Line

SEALED = REPORT.parent / "sealed.json"


class SealError(ValueError):
    """What was sealed cannot be read; the message says where, and what to do."""


# a theorem is one piece, a displayed formula is another, a sentence a third
PIECE = re.compile(
    r"^:{3,}\s*\{#(?:thm|lem|cor|prp)-.*?^:{3,}\s*$"
    r"|\$\$.+?\$\$(?:\s*\{#[^}]*\})?"
    r"|(?:(?!\$\$|\n\s*\n|^:{3,}).)+?"
    r"(?:[.!?:;](?=\s+[A-Z@*`$(\[])|(?=\$\$|\n\s*\n|^:{3,})|\Z)"
    r"|^:{3,}[^\n]*",
    re.DOTALL | re.MULTILINE,
)
STATEMENT = re.compile(r":{3,}\s*\{#(?P<label>(?:thm|lem|cor|prp)-[\w-]+)")


@dataclass(frozen=True)
class Sentence:
    """What is sealed: the text with single spaces, but for the indentation of a line
    of code, and where it begins.
    """

    text: str
    where: str
    file: str  # from the folder of the report
    label: str = ""  # of a theorem, whose statement it is


def pages() -> "list[Line]":
    """All lines of the report, then those of the notebook."""
    from qmdpdf.source import expand

    return expand(REPORT) + expand(NOTEBOOK)


def sentences(lines: "Sequence[Line]") -> list[Sentence]:
    """Everything that the pages say, piece by piece: theorems, formulas, sentences, and
    the lines of chunks; the preamble, in which a macro may turn what a formula shows;
    of the report also its title and settings, its references, what the claims say of
    themselves in its appendix, and the words that figures, tables and the first page
    get from the package.
    """
    folder = lines[0].path.parent if lines else Path()
    others = [*_lines(folder / "preamble.tex")]
    if folder == REPORT.parent:
        package = ROOT / "code" / "hw2"
        others += [
            *_lines(ROOT / "_quarto.yml", after="title:"),  # the students are above
            *_lines(ROOT / "code" / "qmdpdf" / "header.tex"),
            *_lines(folder / "references.bib"),
            *_claims(package / "theory"),
            *_words([package / "glance.py", *sorted((package / "plots").glob("*.py"))]),
        ]
    return [
        Sentence(
            " " * (len(text) - len(text.lstrip(" "))) + " ".join(text.split()),
            line.where,
            os.path.relpath(line.path, folder),
            found["label"] if (found := STATEMENT.match(text)) else "",
        )
        for text, line in (*_pieces(lines), *others)
        if text.strip(" `\n")
    ]


Found = Iterator[tuple[str, "Line"]]


def _pieces(lines: "Sequence[Line]") -> "Found":
    inside = list(lines[:1])  # the last line of each file that includes the next one
    for (code, path), group in groupby(
        classified(lines), key=lambda item: (bool(item[0]), item[1].path)
    ):
        block = [line for _, line in group]
        if path in (files := [line.path for line in inside]):
            inside = inside[: files.index(path)]
        else:
            name = os.path.relpath(path, files[-1].parent)
            yield f"include {name}", replace(inside[-1], number=inside[-1].number + 1)
        inside.append(block[-1])
        if code:
            yield from ((line.text, line) for line in block)
            continue
        text = without_comments("\n".join(line.text for line in block))
        for piece in PIECE.finditer(text):
            begins = piece.start() + len(piece[0]) - len(piece[0].lstrip())
            yield piece[0].strip(), block[text.count("\n", 0, begins)]


def _lines(file: Path, after: str = "") -> "Found":
    """The lines of a file, if it is there, from the first one that begins so."""
    from qmdpdf.source import Line

    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    lines = [Line(line, file, i) for i, line in enumerate(text.splitlines(), 1)]
    for line in dropwhile(lambda line: not line.text.startswith(after), lines):
        yield line.text.strip(), line


def _words(files: Sequence[Path]) -> "Found":
    """The strings in the code of some modules, but for docstrings: in the order of the
    syntax tree, since inside f-strings versions of Python place them differently.
    """
    from qmdpdf.source import Line

    def inside(node: ast.AST) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.Expr(value=ast.Constant()):
                    pass
                case ast.Constant(value=str(text)):
                    yield text, child.lineno
                case _:
                    yield from inside(child)

    for file in files:
        for text, number in inside(ast.parse(file.read_text(encoding="utf-8"))):
            yield text.strip(), Line(text, file, number)


def _claims(folder: Path) -> "Found":
    """What each claim says it is, and the names of its mutants: read from the source,
    since to import what computes takes seconds.
    """
    from qmdpdf.source import Line

    for file in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name("claim"), args=[*words], keywords=named):
                    told = {item.arg: item.value for item in named}
                    words += [told[name] for name in ("held", "method", "domain")]
                    match told["mutants"]:
                        case ast.Dict(keys=keys):
                            words += [key for key in keys if key]
                        case other:
                            words.append(other)
                    text = "; ".join(ast.unparse(word) for word in words)
                    yield text, Line(text, file, node.lineno)


def _by_file(found: Sequence[Sentence]) -> dict[str, list[Sentence]]:
    files: dict[str, list[Sentence]] = {}
    for sentence in found:
        files.setdefault(sentence.file, []).append(sentence)
    return files


def sealed(file: Path = SEALED) -> dict[str, list[str]]:
    """What was sealed, by source file. Raises SealError where the file is damaged."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SealError(f"{file}: {error}; restore it from git") from None
    if not isinstance(found, dict) or not all(
        isinstance(texts, list) and all(isinstance(text, str) for text in texts)
        for texts in found.values()
    ):
        raise SealError(
            f"{file} has no list of texts for each file; restore it from git"
        )
    return found


def broken(lines: "Sequence[Line]", file: Path = SEALED) -> list[tuple[Sentence, str]]:
    """What is not as it was sealed, each with a message: changed, new, moved, or
    gone.
    """
    kept, now = sealed(file), _by_file(sentences(lines))
    return [
        fault
        for name in sorted(kept.keys() | now.keys())
        for fault in _differences(name, kept.get(name, []), now.get(name, []))
    ]


def _differences(
    name: str, kept: list[str], now: list[Sentence]
) -> Iterator[tuple[Sentence, str]]:
    matcher = difflib.SequenceMatcher(
        None, kept, [sentence.text for sentence in now], autojunk=False
    )
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            continue
        old = kept[i1:i2]
        for sentence in now[j1:j2]:
            near = difflib.get_close_matches(sentence.text, old, 1, 0.6)
            was = ""
            if near:
                old.remove(near[0])
                was = f", it was sealed as: {near[0]}"
            yield (
                sentence,
                f"{sentence.where}: not sealed: {sentence.text}{was}; read it against "
                "what it states, then `make seal`",
            )
        where = now[min(j1, len(now) - 1)].where if now else name
        for text in old:
            yield (
                Sentence(text, where, name),
                f"{where}: sealed, but gone: {text}; `make seal`",
            )


def seal(lines: "Sequence[Line]", file: Path = SEALED) -> list[str]:
    """Seal everything as it is now. Returns the difference, one line each."""
    old = [f"{name}: {text}" for name, texts in sealed(file).items() for text in texts]
    files = {
        name: [sentence.text for sentence in found]
        for name, found in _by_file(sentences(lines)).items()
    }
    new = [f"{name}: {text}" for name, texts in files.items() for text in texts]
    text = json.dumps(files, indent=1, ensure_ascii=False) + "\n"
    write(file, text.encode())
    return [
        line
        for line in difflib.unified_diff(old, new, lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
