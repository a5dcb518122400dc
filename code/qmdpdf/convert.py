"""Stage 4, convert: Markdown to LaTeX with pandoc and one Lua filter, LaTeX to PDF with
latexmk.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pypandoc
import yaml

from qmdpdf.metadata import DOCUMENT, TEMPLATE, QmdError, read_text
from qmdpdf.source import Document, Line, find
from qmdpdf.tree import Node, nodes, parse

HERE = Path(__file__).parent
AUXILIARY = (
    "aux",
    "toc",
    "out",
    "fdb_latexmk",
)  # in which one run of LaTeX leaves page numbers and such for the next


def convert(
    document: Document, woven: list[Line], folder: Path, reuse: Path | None = None
) -> Path:
    """Write `document.tex` and `document.pdf` into `folder`. Returns the PDF's path.

    LaTeX runs until nothing changes any more. That is sooner where it starts from what
    the last render left in the folder `reuse`. Raises QmdError for an unknown reference
    or citation, a duplicate label, an unknown option or a LaTeX error.
    """
    write_latex(document, woven, folder)
    if reuse is None:
        return _latexmk(document, woven, folder)
    left = _copy_auxiliary(reuse, folder)
    try:
        pdf = _latexmk(document, woven, folder)
    except QmdError:
        if not left:
            raise
        for file in left:  # perhaps it was for them
            file.unlink(missing_ok=True)
        pdf = _latexmk(document, woven, folder)
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
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        scratch.write_bytes(file.read_bytes())
        os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)


def write_latex(document: Document, woven: list[Line], folder: Path) -> None:
    """Write `document.tex` into a folder, and beside it the images that are no
    chunk's.
    """
    options = _pdf_options(document)
    metadata = {key: options[key] for key in TEMPLATE if key in options}
    metadata |= {
        key: document.metadata[key] for key in DOCUMENT if key in document.metadata
    }
    metadata["author"] = _authors(document, document.metadata.get("author", []))
    files = []  # not in the metadata, whose text is Markdown: `it's` is no name there
    for key in ("bibliography", "csl"):
        names = metadata.pop(key, [])
        for name in names if isinstance(names, list) else [names]:
            files.append(f"--{key}={_existing(document, name)}")
    (folder / "metadata.yml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
    (folder / "document.md").write_text(
        "\n".join(line.text for line in woven) + "\n", encoding="utf-8"
    )
    tree = parse(woven)
    _copy_images(document, tree, woven, folder)
    headers = [HERE / "header.tex", *_headers(document, options, folder)]
    command = [
        *(pypandoc.get_pandoc_path(), "--output", "document.tex"),
        *("--from", "json", "--to", "latex", "--standalone"),
        *("--metadata-file", "metadata.yml"),
        *("--lua-filter", str(HERE / "crossref.lua"), "--citeproc"),
        *files,
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
    result = subprocess.run(
        command,
        input=json.dumps(tree),
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
    _refuse_turned(
        document, woven, (folder / "document.tex").read_text(encoding="utf-8")
    )


def _refuse_turned(document: Document, woven: list[Line], latex: str) -> None:
    """Raise QmdError for letters that are written from right to left, where nothing
    tells LaTeX to.
    """
    head, _, text = latex.partition(r"\begin{document}")
    turned = re.search(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]", text)
    if turned and not re.search("bidi|babelprovide", head):
        otherwise = _find_option(document, turned[0])
        raise QmdError(
            f"{find(woven, turned[0]) or otherwise}: {turned[0]} is written from right "
            "to left, here it would not be; give a font that has it and put "
            "\\usepackage[bidi=basic]{babel} "
            "\\babelprovide[import, onchar=ids fonts]{hebrew} into include-in-header, "
            "as report/preamble.tex does"
        )


def _copy_images(
    document: Document, tree: Node, woven: list[Line], folder: Path
) -> None:
    """Put the images that are named relative to the document beside the LaTeX, which
    finds none at `../x.png`.
    """
    images = (node["c"][2] for node in nodes(tree) if node["t"] == "Image")
    for number, target in enumerate(images):
        name = unquote(target[0])
        if "/" not in name and (folder / name).is_file():  # a chunk's
            continue
        file = document.path.parent / name
        if not file.is_file():
            where = find(woven, re.escape(target[0])) or find(woven, re.escape(name))
            raise QmdError(f"{where}: image {name} not found beside the document")
        target[0] = f"image-{number}{file.suffix}"
        publish(file, folder / target[0])


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
    if kind == "bare":
        where = document.find(rf"\{{#{name}\b")
        return (
            f"{where}: {label} is an image without a number; give it a caption and a "
            "paragraph of its own, or drop the label"
        )
    if kind == "empty":
        where = document.find(rf"(#|label:\s*){name}\b(?!-)")
        return f"{where}: {label} shows no Markdown table"
    pattern = rf"@{name}(?![\w-])"
    where = document.find(pattern, otherwise=_find_option(document, pattern))
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


def _authors(document: Document, authors: Any) -> list[str]:
    authors = authors if isinstance(authors, list) else [authors]
    if any(isinstance(author, dict) and "name" not in author for author in authors):
        where = _find_option(document, r"author:")
        raise QmdError(f"{where}: an author has no name; write name: before it")
    return [
        author["name"] if isinstance(author, dict) else author for author in authors
    ]


def _find_option(document: Document, pattern: str) -> str:
    """`file:line` of the line that matches, in the front matter or else in
    `_quarto.yml`.
    """
    file = document.root / "_quarto.yml"
    texts = read_text(file).split("\n") if file.is_file() else []
    below = [Line(text, file, number) for number, text in enumerate(texts, 1)]
    return replace(document, lines=[*document.lines[: document.front], *below]).find(
        pattern
    )


def _existing(document: Document, name: str) -> Path:
    """A text file named in the metadata: relative to the project or to the document."""
    for folder in (document.root, document.path.parent):
        if (folder / name).is_file():
            read_text(folder / name)  # which refuses other encodings
            return folder / name
    raise QmdError(f"{_find_option(document, re.escape(name))}: file {name} not found")


def _headers(document: Document, options: dict[str, Any], folder: Path) -> list[Path]:
    """The files of `include-in-header`, and one for the options that only Quarto's
    template knows.
    """
    entries = options.get("include-in-header", [])
    headers = []
    for i, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        if isinstance(entry, dict) and len(entry) != 1:
            where = _find_option(document, r"\s*include-in-header:")
            raise QmdError(f"{where}: an entry has either text: or file:, write one")
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


def _latexmk(document: Document, woven: list[Line], folder: Path) -> Path:
    engine = _pdf_options(document).get("pdf-engine", "lualatex")
    if not (latexmk := shutil.which("latexmk")):
        raise QmdError(
            "latexmk not found; run `make tex` or install a TeX distribution"
        )
    command = [
        latexmk,
        "-norc",  # no personal settings
        f"-{engine}",
        "-interaction=nonstopmode",
        "-halt-on-error",
        "-file-line-error",
        "document.tex",
    ]
    # images lie beside the document
    images = f"{document.path.parent}:{os.environ.get('TEXINPUTS', '')}"
    status, output = _attended(
        command,
        folder,
        os.environ
        | {
            "FORCE_SOURCE_DATE": "1",
            "TZ": "UTC",  # or \today would be that of this place
            "max_print_line": "1000",
            "TEXINPUTS": f".:{images}",
        },
    )
    log = folder / "document.log"
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else output
    if status:
        raise QmdError(latex_error(document, text))
    refuse_lost(document, text)
    boxes = re.findall(r"^Overfull .*", text, re.MULTILINE)
    printed = (folder / "document.tex").read_text(encoding="utf-8").split("\n")
    print(f"  overfull boxes: {len(boxes)}")
    for box in boxes:
        place = re.search(r"at lines? (\d+)(?:--(\d+))?", box)
        # a line of printed text is reported where the next one is read
        first = int(place[1]) - (place[1] == place[2]) if place else 0
        # or below its end, where it is alone in its block
        near = (printed[i - 1] for i in range(first, max(first - 4, 0), -1))
        found = next(filter(None, (_woven_where(woven, line) for line in near)), None)
        print(f"  {found}: {box}" if found else f"  {box}")
    return folder / "document.pdf"


def _attended(
    command: list[str], folder: Path, environment: dict[str, str]
) -> tuple[int, str]:
    """Exit status and output of a program, which ends with this one, and what it has
    begun with it.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output


# how LaTeX's log tells of what is not in the PDF, and the remedy
LOST = {
    r"LaTeX Warning: (?:Reference|Citation) .*": "nothing has this label",
    r"LaTeX Warning: Float too large .*": "a figure or table is larger than the page; "
    "make it smaller, or fewer images in it, or give layout-ncol",
    r"Missing character: .*": "give a font that has it, such as `mainfont: DejaVu "
    "Sans` below `format: pdf:`",
}


def refuse_lost(document: Document, log: str) -> None:
    """Raise QmdError where LaTeX's log says that something is not in the PDF."""
    if not (lost := re.findall(rf"^(?:{'|'.join(LOST)})", log, re.MULTILINE)):
        return
    word = re.search(r"`(\S+)'|There is no (\S)", lost[0])
    text = re.escape(word[1] or word[2]) if word else r"(?!)"
    where = document.find(text, otherwise=_find_option(document, text))
    remedy = next(LOST[pattern] for pattern in LOST if re.match(pattern, lost[0]))
    raise QmdError(
        f"{where}: LaTeX lost something; {remedy}\n" + "\n".join(sorted(set(lost)))
    )


def _woven_where(woven: list[Line], latex: str) -> str | None:
    """`file:line` of the line of Markdown that became a line of LaTeX: the one that has
    most of its first words in order.
    """
    words = re.findall(r"\w+", re.sub(r"\\[A-Za-z]+", " ", latex))
    for count in range(len(words), 0, -1):
        if found := find(woven, r"\W+".join(map(re.escape, words[:count]))):
            return found
    return None


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
