"""The metadata of a document and of its project: YAML that is checked against a list of
what is known.

What Quarto knows and this renderer does not, such as `date`, is refused at its line.
"""

import os
import re
from pathlib import Path
from typing import Any

import yaml


class QmdError(Exception):
    """An error in the sources. Its message starts with `file:line:` where these are
    known.
    """


EXECUTE = {"echo": bool, "eval": bool, "output": bool, "include": bool, "warning": bool}
TEMPLATE = {  # options of pandoc's template for LaTeX
    "documentclass": str, "classoption": [str], "papersize": str, "geometry": [str],
    "fontsize": str, "linestretch": (int, float), "mainfont": str, "monofont": str,
    "mathfont": str, "colorlinks": bool, "linkcolor": str, "citecolor": str,
    "urlcolor": str, "toccolor": str, "toc-title": str,
}  # fmt: skip
BUILD = {
    "toc": bool,
    "toc-depth": int,
    "number-sections": bool,
    "include-in-header": [(str, {"text": str, "file": str})],
    "pdf-engine": {"lualatex"},
    "fig-pos": str,
    # those in which pandoc and Quarto have the same colours
    "highlight-style": {"pygments", "kate"},
    "latex-min-runs": int,  # of no effect: latexmk stops where nothing changes any more
}
DOCUMENT = {
    "title": str, "subtitle": str, "abstract": str, "lang": {"en", "en-US"},
    "author": [(str, {"name": str, "email": str, "id": (str, int)})],
    "bibliography": [str], "csl": str, "link-citations": bool,
}  # fmt: skip
PRINTED = {  # options whose text is printed
    "title", "subtitle", "abstract", "author", "toc-title",
    "fig-cap", "fig-subcap", "tbl-cap",
}  # fmt: skip
KNOWN = {
    **DOCUMENT,
    "jupyter": {"python3"},
    "execute": {**EXECUTE, "daemon": bool},  # here no kernel outlives its render
    "format": ({"pdf"}, {"pdf": ({"default"}, {**TEMPLATE, **BUILD})}),
    "project": {
        "type": {"default"},
        "title": str,
        "render": [str],
        "execute-dir": {"project", "file"},
        "pre-render": [str],  # of Quarto
    },
}


def read_text(path: Path) -> str:
    """A text file's content. Raises QmdError where it is not UTF-8."""
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise QmdError(
            f"{os.path.relpath(path)}:{line}: byte {data[error.start]:#x} is no UTF-8; "
            "save the file with the encoding UTF-8"
        ) from None
    return text.replace("\r\n", "\n")


def mapping(
    text: str, path: Path, known: dict[str, Any] | None = None, kind: str = "option"
) -> dict[str, Any]:
    """The YAML mapping in `text`, which starts on the first line of the file `path`.

    Raises QmdError with file and line for an option or a value that is not known.
    """
    name = os.path.relpath(path)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        value = loader.construct_document(node) if node else {}
        if value is None:
            return {}
        if not isinstance(value, dict):
            line = node.start_mark.line + 1
            raise QmdError(
                f"{name}:{line}: expected `key: value` lines, found {value!r}"
            )
        if node:
            _check(loader, node, KNOWN if known is None else known, kind, "", name)
    except (yaml.YAMLError, ValueError) as error:  # such as the thirteenth month
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}" if mark else name
        raise QmdError(f"{place}: {kind}s are not valid YAML: {error}") from None
    return value


def merge(below: dict, above: dict) -> dict:
    """`above` over `below`, mappings merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def _check(
    loader: yaml.SafeLoader, node: yaml.Node, spec: Any, kind: str, key: str, name: str
) -> None:
    """Refuse a value that its specification does not allow: a type, a set of values, a
    mapping of known keys, `[one or a list of these]`, or a tuple of such.
    """
    choices = spec if isinstance(spec, tuple) else (spec,)
    if one := next((choice[0] for choice in choices if isinstance(choice, list)), None):
        for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            _check(loader, item, one, kind, key, name)
        return
    where = f"{name}:{node.start_mark.line + 1}"
    known = next((choice for choice in choices if isinstance(choice, dict)), None)
    if known is not None and isinstance(node, yaml.MappingNode):
        keys = [child.value for child, _ in node.value]
        for i, (child, value) in enumerate(node.value):
            where = f"{name}:{child.start_mark.line + 1}"
            if child.value not in known:
                raise QmdError(f"{where}: unsupported {kind} {child.value!r}")
            if child.value in keys[:i]:
                raise QmdError(f"{where}: {kind} {child.value!r} is given twice")
            if child.value in PRINTED:
                _refuse_inline(value, kind, child.value, name)
            _check(loader, value, known[child.value], kind, child.value, name)
        return
    value = loader.construct_object(node, deep=True)
    if not any(allowed(value, choice) for choice in choices):
        wanted = " or ".join(_described(choice) for choice in choices)
        raise QmdError(f"{where}: {kind} {key} cannot be {value!r}; give {wanted}")


def _refuse_inline(node: yaml.Node, kind: str, key: str, name: str) -> None:
    start, end = node.start_mark, node.end_mark
    text = start.buffer[start.pointer : end.pointer]
    # as Quarto reads it in the text: an accent of LaTeX, \`{a}, is none
    if code := re.search(r"(?<![`\\])`\{\w+\}[ \t]", text):
        line = start.line + text[: code.start()].count("\n") + 1
        raise QmdError(
            f"{name}:{line}: {kind} {key} is not computed, inline code in it would be "
            "printed as it stands; write the text itself, or make it in a chunk"
        )


def allowed(value: Any, choice: Any) -> bool:
    """Whether a scalar is in a set of values, or of a type. Text is not empty, and a
    truth value is no number.
    """
    if isinstance(choice, set):
        return isinstance(value, str) and value in choice
    if isinstance(value, str):
        return choice is str and bool(value.strip())
    return isinstance(choice, type) and type(value) is choice


def _described(choice: Any) -> str:
    if isinstance(choice, set):
        return " or ".join(sorted(choice))
    if isinstance(choice, dict):
        return "`key: value` lines"
    names = {str: "text (in quotes)", bool: "true or false"}
    return names.get(choice, "a number")
