"""What pandoc reads in the sources: its tree, checked against a list of what is known.

Anything else stops at its file and line, since pandoc would drop or misread what only
Quarto knows.
"""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pypandoc

from qmdpdf.metadata import QmdError
from qmdpdf.source import Line, blocks, find

Node = dict[str, Any]

LABELS = {"fig", "tbl", "eq", "sec", "thm", "lem", "cor", "prp", "def"}
THEOREMS = {"thm", "lem", "cor", "prp", "def"}
# elements without attributes, such as a paragraph
PLAIN = {
    "Plain", "Para", "LineBlock", "BlockQuote", "OrderedList", "BulletList",
    "DefinitionList", "HorizontalRule", "Str", "Emph", "Underline", "Strong",
    "Strikeout", "Superscript", "Subscript", "SmallCaps", "Quoted", "Cite", "Space",
    "SoftBreak", "LineBreak", "Math", "Note",
}  # fmt: skip
# what pandoc writes like an element, and is none
VALUES = {
    "AlignDefault", "AlignLeft", "AlignRight", "AlignCenter", "ColWidth",
    "ColWidthDefault", "InlineMath", "DisplayMath", "SingleQuote", "DoubleQuote",
    "AuthorInText", "NormalCitation", "SuppressAuthor", "DefaultStyle", "Example",
    "Decimal", "LowerRoman", "UpperRoman", "LowerAlpha", "UpperAlpha", "DefaultDelim",
    "Period", "OneParen", "TwoParens",
}  # fmt: skip
LANGUAGES = {"python", "bash", "sh", "yaml", "json", "toml", "latex", "markdown"}
# element -> the classes and the attributes that it may have
KNOWN = {
    "Header": ({"unnumbered", "unlisted"}, set()),
    "CodeBlock": (LANGUAGES, set()),
    "Code": (LANGUAGES, set()),
    "Span": ({"unnumbered"}, set()),
    "Link": ({"uri", "email"}, set()),
    "Image": (set(), {"width", "height"}),
    "Figure": (set(), set()),
    "Table": (set(), set()),
    "Div": ({"proof"}, {"name", "layout-ncol"}),
}
FORMATS = {"latex", "tex"}
IMAGES = (".pdf", ".png", ".jpg", ".jpeg")
# what is no word: signs of Markdown or of Quarto that nothing has read
STRAY = re.compile(
    r"^(:::|\{\{<|\{\.|\{[\w-]+=|#(fig|tbl|eq|sec)[-:]|\{#(?![a-z]+-))|\[\^"
)
FOREIGN = re.compile(
    r"\{(?!python\} )[A-Za-z]\w*\}(?=\s)|\{python\}(?=\S)"
)  # inline code that Quarto would compute
TARGET = re.compile(r" {0,3}\[[^]^@]+\]:(\s|$)")
# what a table may stand behind: marks of quotes and lists
MARKS = re.compile(r"^(\s*(>|([-*+:]|\(?\w[.)]|\d+[.)]|\[\^\w+\]:)(?=\s)))*\s*")
DELIMITERS = re.compile(r"\|?(\s*:?-+:?\s*[|+])+(\s*:?-+:?\s*)?")
LENGTH = re.compile(r"(?=.*[1-9])(\d*\.?\d+(%|px|cm|mm|in|pt|em)|\d{2,})")
UNSPLIT = re.compile(
    r"\\.|(`+).*?\1|\$(?=\S)[^$]*?(?<=\S)\$(?!\d)|<!--.*?-->"
)  # in which | parts no cells
COMMENTS = re.compile(r"(<!--.*?-->\s*)+", re.DOTALL)


def parse(lines: list[Line]) -> Node:
    """pandoc's tree of some lines of Markdown. Raises QmdError with file and line for
    all that is not known in it.
    """
    done = subprocess.run(
        [pypandoc.get_pandoc_path(), "--from", "markdown", "--to", "json"],
        input="\n".join(line.text for line in lines) + "\n",
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    for warning in re.findall(r"^\[WARNING\] (.*)", done.stderr, re.MULTILINE):
        if warning.startswith("Duplicate identifier"):  # found with all others later
            continue
        at = re.search(r"at line (\d+)", warning)
        place = lines[min(int(at[1]) if at else 1, len(lines)) - 1].where
        raise QmdError(f"{place}: {warning}")
    if done.returncode:
        raise QmdError(f"{lines[0].where}: pandoc cannot read it: {done.stderr}")
    tree = json.loads(done.stdout)
    if problems := [*_unknown(tree, lines), *_fences(tree, lines)]:
        raise QmdError("\n".join(problems))
    return tree


def nodes(tree: Any) -> Iterator[Node]:
    """All elements of a tree, in the order of the text."""
    if isinstance(tree, list):
        for child in tree:
            yield from nodes(child)
    elif isinstance(tree, dict):
        if "t" in tree:
            yield tree
        for child in tree.values():
            yield from nodes(child)


def attributes(node: Node) -> tuple[str, list[str], dict[str, str]]:
    """Identifier, classes and attributes of an element."""
    name, classes, pairs = node["c"][1 if node["t"] == "Header" else 0]
    return name, classes, dict(pairs)


def kind(label: str) -> str | None:
    """The kind of thing that a label names, such as "fig"; None for no label."""
    prefix = label.split("-")[0]
    return prefix if "-" in label and prefix in LABELS else None


def _fences(tree: Node, lines: list[Line]) -> Iterator[str]:
    """Blocks of code that pandoc reads otherwise than the reader of fences did."""

    def bare(text: str) -> str:  # pandoc takes indentation away, and expands tabs
        found = (line.expandtabs(4).strip() for line in text.split("\n"))
        return "\n".join(found).strip("\n")

    read = Counter(
        bare(node["c"][1])
        for node in nodes(tree)
        if node["t"] == "CodeBlock"
        or (node["t"] == "RawBlock" and node["c"][0] not in {"tex", "html"})
    )
    for block in blocks(lines):
        if block.kind == "code":
            text = "\n".join(line.text for line in lines[block.first + 1 : block.last])
            if not read[bare(text)]:
                yield (
                    f"{lines[block.first].where}: pandoc reads this block of code "
                    "otherwise; write its fences at the start of the line, with an "
                    "empty line before and after"
                )
                return
            read[bare(text)] -= 1
    for text in read.elements():
        first = re.escape(text.split("\n")[0])
        place = find(lines, rf"(^|\s){first}\s*$") or lines[0].where
        yield f"{place}: pandoc reads a block of code here; write it between fences"


def _unknown(tree: Node, lines: list[Line]) -> Iterator[str]:
    """What is not on the list, each with its place."""
    quoted = {
        i
        for block in blocks(lines)
        if block.kind == "code" or block.last > block.first
        for i in range(block.first + 1, block.last)
    }
    text = [line for i, line in enumerate(lines) if i not in quoted]

    def place(pattern: str) -> str:
        return find(text, pattern) or find(lines, pattern) or lines[0].where

    if tree["meta"]:
        where = place(rf"^{re.escape(next(iter(tree['meta'])))}\s*:")
        yield f"{where}: metadata stands at the start of a document"
    for node in nodes(tree["blocks"]):
        element = node["t"]
        if element == "Str":
            if STRAY.search(node["c"]):
                yield f"{place(re.escape(node['c']))}: stray {node['c']}"
        elif element in {"RawInline", "RawBlock"}:
            form, raw = node["c"]
            if form == "html" and not COMMENTS.fullmatch(raw.strip() + "\n"):
                tag = raw.split("\n")[0]
                yield (
                    f"{place(re.escape(tag))}: HTML such as {tag} is lost in a PDF; "
                    "write Markdown, such as ^2^ for a superscript"
                )
            elif form not in FORMATS | {"html"}:
                where = place(rf"\{{={re.escape(form)}")
                yield f"{where}: unsupported raw format {form}"
        elif element in KNOWN:
            yield from _attributes(node, place)
            if element == "Code" and (code := FOREIGN.match(node["c"][1])):
                where = place(rf"`\s*{re.escape(code[0])}")
                yield (
                    f"{where}: {code[0]} is printed and not computed; inline code is "
                    "`{python} expression`, with a space between"
                )
            name = attributes(node)[0]
            # pandoc makes such names of a heading's words, too
            written = rf"\{{[^}}]*#{re.escape(name)}\b"
            if (
                element == "Header"
                and kind(name) not in {None, "sec"}
                and (stands := find(text, written))
            ):
                yield f"{stands}: unsupported header #{name}"
        elif element == "Cite":
            yield from _citation(node, place)
        elif element[0].isupper() and element not in PLAIN | VALUES:
            yield f"{lines[0].where}: unsupported element {element}"
        if element == "Image":
            source = node["c"][2][0]
            if "://" in source or not source.lower().endswith(IMAGES):
                yield (
                    f"{place(re.escape(source))}: image {source} is no file that LaTeX "
                    f"can show ({', '.join(IMAGES)})"
                )
        if element == "Div":
            yield from _div(node, place)
    yield from _lost(text)


def _citation(node: Node, place: Callable[[str], str]) -> Iterator[str]:
    """What stands behind a reference in its brackets, which no renderer prints."""
    for citation in node["c"][0]:
        label = citation["citationId"]
        if kind(label) and citation["citationSuffix"]:
            where = place(rf"@{re.escape(label)}\b")
            yield (
                f"{where}: what stands behind @{label} in its brackets is lost; write "
                "it behind them"
            )


def _lost(text: list[Line]) -> Iterator[str]:
    """Lines whose text pandoc drops without a word: the target of a link, and cells of
    a table that are more than those of its head.
    """

    def cells(text: str) -> int:
        row = MARKS.sub("", UNSPLIT.sub("", text)).strip()
        return row.removeprefix("|").removesuffix("|").count("|") + 1

    head, before = 0, None
    for line in text:
        if TARGET.match(MARKS.sub("", line.text)):
            yield (
                f"{line.where}: pandoc takes this for the target of a link, and prints "
                "nothing; write links as [text](target), or \\[ for a bracket"
            )
        content = MARKS.sub("", line.text).strip()
        if not content:
            head = 0
        elif not head and "|" in content and DELIMITERS.fullmatch(content):
            head = cells(line.text.replace("+", "|")) if before else 0
            if before and cells(before.text) > head:
                yield f"{before.where}: a head of more cells than the line below it"
        elif head and cells(line.text) > head:
            yield (
                f"{line.where}: a row of {cells(line.text)} cells in a table of {head} "
                "columns, of which the last are lost; write \\| for the sign"
            )
        before = line if content else None


def _attributes(node: Node, place: Callable[[str], str]) -> Iterator[str]:
    name, classes, pairs = attributes(node)
    known_classes, known_keys = KNOWN[node["t"]]
    element = {"Div": "block", "Span": "span"}.get(node["t"], node["t"].lower())
    bad = [
        (f".{name}", rf"(\{{[^}}]*\.|[:`~]{{3,}}\s*|class=.){re.escape(name)}\b")
        for name in classes
        if name not in known_classes
    ]
    bad += [
        (f"{key}=", rf"\b{re.escape(key)}\s*=")
        for key in pairs
        if key not in known_keys
    ]
    bad += [
        (f"{key}={value}", rf"\b{re.escape(key)}\s*=")
        for key, value in pairs.items()
        if node["t"] == "Image" and key in known_keys and not LENGTH.fullmatch(value)
    ]
    labels = {"Figure": {"fig"}, "Image": {"fig"}, "Table": {"tbl"}, "Header": {"sec"},
              "Div": THEOREMS | {"fig", "tbl"}}.get(node["t"], set())  # fmt: skip
    if "-" in name and name.split("-")[0] not in labels and node["t"] != "Header":
        bad.append((f"#{name}", rf"#{re.escape(name)}\b"))
    for what, pattern in bad:
        yield f"{place(pattern)}: unsupported {element} {what}"


def _div(node: Node, place: Callable[[str], str]) -> Iterator[str]:
    """A Div is a theorem, a proof, a figure, a table or the list of references, and
    nothing in it is lost.
    """
    name, classes, pairs = attributes(node)
    content, prefix = node["c"][1], kind(name)
    where = place(rf"#{re.escape(name)}\b") if name else place(r"^\s*:::+\s*(\{|\w)")
    if not name and not classes:
        where = place(r"^\s*(<div\b|:::+\s*\{[^.#]*\})")
        yield f"{where}: a block ::: (or <div>) needs a label or a class"
    elif name and (classes or not (prefix or name == "refs")):
        yield f"{where}: unsupported block #{name}"
    if "name" in pairs and prefix not in THEOREMS and "proof" not in classes:
        yield f"{where}: only theorems and proofs have a name"
    if "layout-ncol" in pairs and not (
        prefix == "fig" and re.fullmatch("[1-9]", pairs["layout-ncol"])
    ):
        yield f"{where}: layout-ncol is a number of columns of a figure #fig-..."
    if prefix in {"fig", "tbl"} and (not content or content[-1]["t"] != "Para"):
        yield f"{where}: the last paragraph of {name} is its caption"
    elif prefix == "tbl":
        tables = [block for block in content if block["t"] == "Table"]
        if any(table["c"][1][1] for table in tables):
            yield f"{where}: the table in {name} has a second caption; remove it"
        kinds = [block["t"] for block in content[:-1]]
        others = kinds.count("Table") > 1 or set(kinds) - {"Table", "RawBlock"}
        if "Table" in kinds and others:
            yield f"{where}: {name} is one table and, last, its caption; move the rest"
    elif prefix == "fig":
        yield from _figure(name, content[:-1], where)


def _figure(name: str, content: list[Node], where: str) -> Iterator[str]:
    """A figure is images, either each with a label and a caption or all with none."""
    others, images = [], []
    for block in content:
        inner = block["c"] if block["t"] in {"Para", "Plain"} else [block]
        for node in inner:
            if node["t"] in {"Image", "Figure"}:
                found = next(one for one in nodes(node) if one["t"] == "Image")
                label = attributes(node)[0] or attributes(found)[0]
                images.append((label, found["c"][1]))
            elif node["t"] not in {"Space", "SoftBreak"}:
                others.append(node["t"])
    if others:
        yield (
            f"{where}: {name} is images and, last, its caption; move the {others[0]} "
            "elsewhere. A chunk that draws has the label itself"
        )
    elif not images:
        yield f"{where}: {name} shows no image"
    elif any(caption and not label for label, caption in images) or (
        len({bool(label) for label, _ in images}) > 1
    ):
        yield (
            f"{where}: in {name} an image with a caption needs a label, such as "
            f"{{#{name}-1}}, and then each needs one"
        )
