"""Command line of the renderer: `python -m qmdpdf report/hw2.qmd`."""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import pypandoc

from qmdpdf.convert import convert, publish
from qmdpdf.execute import execute
from qmdpdf.reuse import keep, key, restore, stamps
from qmdpdf.source import QmdError, read
from qmdpdf.weave import weave


def main(arguments: list[str] | None = None) -> int:
    """Render one document. Returns the exit status: 0, 1 for an error in the sources,
    130 for Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="qmdpdf", description="Render a Quarto document to PDF without Quarto."
    )
    parser.add_argument("document", type=Path, help="the .qmd file")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="the PDF to write (default: beside the document)",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="FOLDER",
        help="keep Markdown, LaTeX, figures and log in FOLDER",
    )
    parser.add_argument(
        "--reuse",
        type=Path,
        metavar="FOLDER",
        help="keep results in FOLDER, reuse them if nothing changed",
    )
    parser.add_argument(
        "--depends",
        type=Path,
        nargs="*",
        default=[],
        help="files and folders that the results depend on",
    )
    options = parser.parse_args(arguments)
    if not options.document.name:  # such as `.`
        parser.error(f"{options.document} is no document; give a .qmd file")
    if options.document.is_dir():
        parser.error(f"{options.document} is a folder; give a .qmd file")
    target = options.output or options.document.with_suffix(".pdf")
    if target.suffix != ".pdf":  # which might be a source
        parser.error(f"{target}: the name of a PDF ends in .pdf; give such a name")
    start = time.perf_counter()
    # for chunks that say what renders them
    os.environ["QMDPDF"] = f"qmdpdf with pandoc {pypandoc.get_pandoc_version()}"
    try:
        with tempfile.TemporaryDirectory(prefix="qmdpdf-") as scratch:
            folder = options.keep or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            document = read(options.document)
            if missing := [path for path in options.depends if not path.exists()]:
                raise QmdError(f"--depends: there is no {missing[0]}")
            files = stamps(document, options.depends)
            name = key(document, options.depends) if options.reuse else ""
            if options.reuse and restore(document, options.reuse, name):
                print(
                    "  chunks and all they depend on are unchanged: their results are "
                    "reused"
                )
            else:
                execute(document)
                # not where a file was changed meanwhile: which one was read is unknown
                if options.reuse and stamps(document, options.depends) == files:
                    keep(document, options.reuse, name)
            markdown, latex = (
                weave(document, folder.resolve()),
                options.reuse and options.reuse.resolve() / "latex",
            )
            publish(convert(document, markdown, folder.resolve(), latex), target)
    except (QmdError, OSError) as error:  # such as a full disk
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the previous PDF is untouched", file=sys.stderr)
        return 130
    print(f"{target} ({time.perf_counter() - start:.1f} s)")
    return 0


if __name__ == "__main__":
    # as Ctrl-C, leaves no kernel and no folder behind
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
