"""Stage 4, convert: Markdown to LaTeX with pandoc and one Lua filter, LaTeX to PDF with
latexmk.
"""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypandoc
import yaml

from qmdpdf.source import Document, Line, QmdError

HERE = Path(__file__).parent
TEMPLATE_OPTIONS = {
    "documentclass", "classoption", "papersize", "geometry", "fontsize", "linestretch",
    "mainfont", "monofont", "mathfont", "colorlinks", "linkcolor", "citecolor",
    "urlcolor", "toccolor", "toc-title", "lang",
}  # fmt: skip
BUILD_OPTIONS = {
    "toc",
    "toc-depth",
    "number-sections",
    "include-in-header",
    "pdf-engine",
    "fig-pos",
    "highlight-style",
}
DOCUMENT_OPTIONS = {
    "title",
    "subtitle",
    "date",
    "author",
    "bibliography",
    "csl",
    "link-citations",
    "abstract",
    "lang",
}
HANDLED_ELSEWHERE = {"project", "format", "execute", "jupyter"}


AUXILIARY = (
    "aux",
    "toc",
    "out",
    "fdb_latexmk",
)  # in which one run of LaTeX leaves page numbers and such for the next


def convert(
    document: Document, markdown: str, folder: Path, reuse: Path | None = None
) -> Path:
    """Write `document.tex` and `document.pdf` into `folder`. Returns the PDF's path.

    LaTeX runs until nothing changes any more. That is sooner where it starts from what
    the last render left in the folder `reuse`. Raises QmdError for an unknown reference
    or citation, a duplicate label, an unknown option or a LaTeX error.
    """
    _pandoc(document, markdown, folder)
    if reuse is None:
        return _latexmk(document, folder)
    left = _copy_auxiliary(reuse, folder)
    try:
        pdf = _latexmk(document, folder)
    except QmdError:
        if not left:
            raise
        for file in left:  # perhaps it was for them
            file.unlink(missing_ok=True)
        pdf = _latexmk(document, folder)
    _copy_auxiliary(folder, reuse)
    return pdf


def _copy_auxiliary(source: Path, target: Path) -> list[Path]:
    """Copy what LaTeX left in one folder into another. Returns the copies."""
    copies = []
    for suffix in AUXILIARY:
        if (file := source / f"document.{suffix}").is_file():
            publish(file, target / file.name)
            copies.append(target / file.name)
    return copies


def publish(file: Path, target: Path) -> None:
    """Put a file in its place in one step, so that nobody ever finds half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=f".{target.name}.", delete=False
    ) as scratch:
        try:
            scratch.write(file.read_bytes())
            scratch.flush()
            os.chmod(scratch.name, 0o644)
            os.replace(scratch.name, target)
        except BaseException:
            os.unlink(scratch.name)
            raise


def _pandoc(document: Document, markdown: str, folder: Path) -> None:
    options = _pdf_options(document)
    unknown = [key for key in options if key not in TEMPLATE_OPTIONS | BUILD_OPTIONS]
    known = DOCUMENT_OPTIONS | HANDLED_ELSEWHERE
    for key in [*unknown, *(key for key in document.metadata if key not in known)]:
        where = _find_option(document, rf"(?<![\w-]){re.escape(key)}\s*:")
        raise QmdError(f"{where}: unsupported option {key!r}")
    metadata = {key: value for key, value in options.items() if key in TEMPLATE_OPTIONS}
    metadata |= {
        key: value
        for key, value in document.metadata.items()
        if key in DOCUMENT_OPTIONS
    }
    metadata["author"] = _authors(document.metadata.get("author", []))
    for key in ("bibliography", "csl"):
        if key in metadata:
            metadata[key] = str(_existing(document, metadata[key]))
    (folder / "metadata.yml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
    (folder / "document.md").write_text(markdown, encoding="utf-8")
    headers = [HERE / "header.tex", *_headers(document, options, folder)]
    command = [
        *(pypandoc.get_pandoc_path(), "document.md", "--output", "document.tex"),
        *("--from", "markdown", "--to", "latex", "--standalone"),
        *("--metadata-file", "metadata.yml"),
        *("--lua-filter", str(HERE / "crossref.lua"), "--citeproc"),
        *(f"--include-in-header={header}" for header in headers),
    ]
    command += (
        ["--toc", f"--toc-depth={options.get('toc-depth', 3)}"]
        if options.get("toc")
        else []
    )
    command += ["--number-sections"] if options.get("number-sections") else []
    command += (
        [f"--syntax-highlighting={options['highlight-style']}"]
        if "highlight-style" in options
        else []
    )
    command += ["--resource-path", f"{folder}:{document.path.parent}"]
    result = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    problems = [
        line.split("\t")
        for line in result.stderr.splitlines()
        if line.startswith("qmdpdf\t")
    ]
    problems += [
        ["", "citation", key]
        for key in re.findall(r"citation (\S+) not found", result.stderr)
    ]
    if problems:
        raise QmdError(
            "\n".join(_describe(document, kind, label) for _, kind, label in problems)
        )
    if result.returncode:
        raise QmdError(f"pandoc failed on {document.path}:\n{result.stderr}")
    if result.stderr.strip():
        print(result.stderr.strip())


def _describe(document: Document, kind: str, label: str) -> str:
    name = re.escape(label)
    if kind == "duplicate":
        where = document.find(rf"(#|label:\s*|[\"']){name}\b(?!-)", nth=2)
        return (
            f"{where}: duplicate label {label}; labels are unique in the whole document"
        )
    if kind == "misplaced":
        where = document.find(rf"\{{#{name}\b")
        return (
            f"{where}: label {label} is not alone in its braces, or does not end "
            "its line"
        )
    if kind == "empty":
        where = document.find(rf"(#|label:\s*){name}\b(?!-)")
        return f"{where}: {label} shows no Markdown table"
    where = document.find(rf"@{name}(?![\w-])")
    remedy = (
        "add it to the bibliography"
        if kind == "citation"
        else "nothing that has a number has this label"
    )
    return (
        f"{where}: unknown {'citation' if kind == 'citation' else 'reference'} "
        f"@{label}; {remedy}"
    )


def _pdf_options(document: Document) -> dict[str, Any]:
    """The options below `format: pdf:`; none where that is just `format: pdf` or `pdf:
    default`.
    """
    formats = document.metadata.get("format")
    options = formats.get("pdf") if isinstance(formats, dict) else None
    return options if isinstance(options, dict) else {}


def _authors(authors: Any) -> list[str]:
    authors = authors if isinstance(authors, list) else [authors]
    return [
        author["name"] if isinstance(author, dict) else author for author in authors
    ]


def _find_option(document: Document, pattern: str) -> str:
    """`file:line` of the line that matches, in the front matter or else in
    `_quarto.yml`.
    """
    file = document.root / "_quarto.yml"
    texts = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    below = [Line(text, file, number) for number, text in enumerate(texts, 1)]
    return replace(document, lines=[*document.lines[: document.front], *below]).find(
        pattern
    )


def _existing(document: Document, name: str) -> Path:
    """A file named in the metadata: relative to the project or to the document."""
    for folder in (document.root, document.path.parent):
        if (folder / name).is_file():
            return folder / name
    raise QmdError(f"{_find_option(document, re.escape(name))}: file {name} not found")


def _headers(document: Document, options: dict[str, Any], folder: Path) -> list[Path]:
    """The files of `include-in-header`, and one for the options that only Quarto's
    template knows.
    """
    entries = options.get("include-in-header", [])
    headers = []
    for i, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        if isinstance(entry, dict) and "text" in entry:
            (folder / f"header-{i}.tex").write_text(entry["text"], encoding="utf-8")
            headers.append(folder / f"header-{i}.tex")
        else:
            headers.append(
                _existing(document, entry["file"] if isinstance(entry, dict) else entry)
            )
    if "fig-pos" in options:
        (folder / "position.tex").write_text(
            f"\\floatplacement{{figure}}{{{options['fig-pos']}}}\n", encoding="utf-8"
        )
        headers.append(folder / "position.tex")
    return headers


def _latexmk(document: Document, folder: Path) -> Path:
    engine = _pdf_options(document).get("pdf-engine", "lualatex")
    if not (latexmk := shutil.which("latexmk")):
        raise QmdError(
            "latexmk not found; run `make tex` or install a TeX distribution"
        )
    command = [
        latexmk,
        f"-{engine}",
        "-interaction=nonstopmode",
        "-halt-on-error",
        "-file-line-error",
        "document.tex",
    ]
    # images lie beside the document
    images = f"{document.path.parent}:{os.environ.get('TEXINPUTS', '')}"
    result = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env=os.environ
        | {
            "FORCE_SOURCE_DATE": "1",
            "max_print_line": "1000",
            "TEXINPUTS": f".:{images}",
        },
    )
    log = folder / "document.log"
    text = (
        log.read_text(encoding="utf-8", errors="replace")
        if log.exists()
        else result.stdout
    )
    if result.returncode:
        raise QmdError(latex_error(document, text))
    if lost := re.findall(
        r"^(?:LaTeX Warning: Reference .*|Missing character: .*)", text, re.MULTILINE
    ):
        word = re.search(r"`(\S+)'|There is no (\S)", lost[0])
        where = (
            document.find(re.escape(word[1] or word[2]))
            if word
            else os.path.relpath(document.path)
        )
        raise QmdError(
            f"{where}: LaTeX lost something:\n" + "\n".join(sorted(set(lost)))
        )
    boxes = re.findall(r"^Overfull .*", text, re.MULTILINE)
    print(
        "\n".join([f"  overfull boxes: {len(boxes)}", *(f"  {box}" for box in boxes)])
    )
    return folder / "document.pdf"


def latex_error(document: Document, log: str) -> str:
    """The first error of a LaTeX log with its context, at the source line it comes
    from, where that can be found.
    """
    lines = log.splitlines()
    start = next(
        (i for i, line in enumerate(lines) if re.match(r"(\S+:\d+: |! )", line)), None
    )
    if start is None:
        return f"{os.path.relpath(document.path)}: LaTeX failed:\n" + "\n".join(
            lines[-15:]
        )
    end = next(
        (i for i in range(start, len(lines)) if lines[i].startswith("l.")), start
    )
    excerpt = lines[start : min(end + 2, start + 20)]
    read_so_far = lines[end].split(" ", 1)[-1] if end > start else ""
    words = re.findall(r"\\[A-Za-z]+|\w+", read_so_far)
    where = os.path.relpath(document.path)
    for i in reversed(
        range(len(words))
    ):  # the more of the last words a line has in order, the surer it is
        where = document.find(
            r"[^\w\\]*".join(map(re.escape, words[i:])), otherwise=where
        )
    return f"{where}: LaTeX error\n" + "\n".join(excerpt)
