"""The labels of the report, and whether the equation under a label is the expression
that was checked.

sympy, which takes a second to import, is needed only to compare them.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw2.paths import REPORT

if TYPE_CHECKING:
    import sympy as sp

    from qmdpdf.source import Line

EQUATION = re.compile(r"\$\$((?:(?!\$\$).)+)\$\$\s*\{#(eq-[\w-]+)\}", re.DOTALL)
THEOREM = re.compile(r"^:{3,}\s*\{#((?:thm|lem|cor|prp)-[\w-]+)", re.MULTILINE)
PRINTED = re.compile(r"\bequation\(\s*[\"'](eq-[\w-]+)[\"']\s*,")
TABLE = re.compile(r"(?:label:\s*|\{#)(tbl-[\w-]+)")


class TieError(Exception):
    """The report's equation is not the claimed expression, or cannot be compared with
    it.
    """


@dataclass(frozen=True)
class Place:
    """Where a label stands in the report; `latex` is the equation's text, `printed`
    that a chunk prints it.
    """

    label: str
    where: str
    latex: str = ""
    printed: bool = False

    @property
    def needs_claim(self) -> bool:
        return self.label.split("-")[0] != "tbl" and not re.match(
            r"\w+-def-", self.label
        )


@cache
def places(report: Path = REPORT) -> dict[str, Place]:
    """The labelled equations, theorems and tables of the report, includes expanded, by
    label.

    None where the package is used without the report's sources, as in the notebook that
    is handed in.
    """
    if not report.parent.is_dir():
        return {}
    from qmdpdf.source import expand

    return find_places(expand(report))


def find_places(lines: "list[Line]") -> dict[str, Place]:
    """The labelled equations, theorems and tables of some lines, by label, in their
    order.
    """
    text = "\n".join(line.text for line in lines)

    def where(position: int) -> str:
        return lines[text.count("\n", 0, position)].where

    found = [
        (m.start(), Place(m[2], where(m.start()), latex=m[1].strip()))
        for m in EQUATION.finditer(text)
    ]
    found += [
        (m.start(), Place(m[1], where(m.start()), printed=True))
        for m in PRINTED.finditer(text)
    ]
    found += [
        (m.start(), Place(m[1], where(m.start())))
        for m in (*THEOREM.finditer(text), *TABLE.finditer(text))
    ]
    return {place.label: place for _, place in sorted(found, key=lambda pair: pair[0])}


def tie(place: Place, claimed: Any) -> str:
    """How the page is bound to the claim: "printed" from it, "parsed" and found equal,
    or "no".

    Only sympy expressions can be tied. Raises TieError where the page says something
    else or cannot be read.
    """
    import sympy as sp

    if place.printed:
        return "printed"
    if place.label.startswith("eq-") and not place.latex.strip():
        raise TieError(f"the equation {place.label} is empty")
    if not (place.latex and isinstance(claimed, sp.Basic)):
        return "no"
    said = read(place.latex, claimed)
    if not same(said, claimed):
        raise TieError(
            f"the page says `{place.latex}`, the checked claim is `{sp.latex(claimed)}`"
        )
    return "parsed"


def read(latex: str, like: "sp.Basic") -> "sp.Basic":
    """Parse an equation of the page into the symbols of the expression `like`.

    Where `like` is no relation, what stands right of the last equals sign is parsed.
    Alignment marks, closing punctuation and whatever follows a `\\qquad` do not count.
    """
    import sympy as sp
    from sympy.parsing.latex import LaTeXParsingError, parse_latex

    text = re.split(r"\\qquad", latex)[0]
    text = re.sub(r"\\(begin|end)\{aligned\}|&|\\\\", " ", text).strip().rstrip(".,; ")
    text = text.replace(r"\mathrm{d}", "d")
    if not isinstance(like, sp.core.relational.Relational):
        text = re.split(r"=(?![^{]*\})", text)[-1]  # not the equals sign in \sum_{i=1}
    text = _uniform(text)
    symbols = like.atoms(sp.Symbol)
    names = {"pi": sp.pi, "e": sp.E} | {symbol.name: symbol for symbol in symbols}
    # the parser knows single letters only: stand-ins for all others, written as sympy
    # prints them or as they are named
    written = {
        _uniform(text): symbol
        for symbol in symbols
        for text in (sp.latex(symbol), symbol.name)
    }
    for i, name in enumerate(sorted(written, key=len, reverse=True)):
        if len(name) > 1:
            names[f"z_{{{i}}}"] = written[name]
            text = re.sub(re.escape(name) + r"(?![A-Za-z])", f" z_{{{i}}} ", text)
    try:
        parsed = parse_latex(text)
    except LaTeXParsingError as error:
        raise TieError(
            f"cannot parse the equation {latex!r} to compare it with its claim: {error}"
        ) from None
    meant = {s: names[s.name] for s in parsed.atoms(sp.Symbol) if s.name in names}
    if isinstance(parsed, sp.core.relational.Relational):
        # else sympy would decide here whether it holds, by quadrature where it must
        sides = (side.subs(meant) for side in parsed.args)
        return parsed.func(*sides, evaluate=False)
    return parsed.subs(meant)


def _uniform(text: str) -> str:
    """LaTeX with braces round every subscript and superscript and without spacing
    commands.
    """
    text = re.sub(r"\\[,;:! ]|\\(left|right)(?![a-z])", " ", text)
    return re.sub(r"([_^])\s*(\\[A-Za-z]+|[A-Za-z0-9])", r"\1{\2}", text)


def same(a: "sp.Basic", b: "sp.Basic") -> bool:
    """Whether two expressions are equal, or two relations have the same sign and equal
    sides.
    """
    import sympy as sp

    if isinstance(b, sp.core.relational.Relational):
        return a.func == b.func and same(a.lhs, b.lhs) and same(a.rhs, b.rhs)
    if isinstance(a, sp.core.relational.Relational):
        return False
    return a == b or sp.simplify(a.doit() - b.doit()) == 0
