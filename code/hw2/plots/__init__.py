"""The look of all figures, and the one function that shows a figure and keeps it in
`figures/`.
"""

import base64
import os
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pypdfium2
from IPython.display import display
from matplotlib import font_manager
from matplotlib.figure import Figure

from hw2.paths import FIGURES, FONTS, write


def use_style() -> None:
    """Set the project's style: Okabe-Ito colours, and Latin Modern where TeX has it,
    else Computer Modern.
    """
    plt.rcdefaults()  # no personal settings
    plt.style.use(Path(__file__).with_name("report.mplstyle"))
    _use_latin_modern()
    # in a notebook: no cropping, so that a figure keeps its size and its text the size
    # of the page's
    try:
        from matplotlib_inline.config import InlineBackend
    except ImportError:
        return
    backend = InlineBackend.instance()
    # Quarto has set its format past the backend, which would now go back to its own
    if found := os.environ.get("QUARTO_FIG_FORMAT"):
        backend.figure_formats = {found}
    whole: dict[str, Any] = {"bbox_inches": None}
    backend.print_figure_kwargs = whole


def _use_latin_modern() -> None:
    """Make TeX's 10 pt fonts the ones that matplotlib takes for "Latin Modern Roman".

    They are copied into the project, because PDF files list their fonts in the order of
    the fonts' paths: beside matplotlib's own in the same project, the order and so the
    file do not depend on where the project lies.
    """
    if not shutil.which("kpsewhich"):
        return
    names = [f"lmroman10-{shape}.otf" for shape in ("regular", "bold", "italic")]
    found = subprocess.run(
        ["kpsewhich", *names], capture_output=True, text=True, check=False
    ).stdout.split()
    manager = font_manager.fontManager
    manager.ttflist = [
        font for font in manager.ttflist if font.name != "Latin Modern Roman"
    ]  # other optical sizes
    FONTS.mkdir(parents=True, exist_ok=True)
    for file in map(Path, found):
        if not (copy := FONTS / file.name).exists():
            scratch = copy.with_suffix(f".{os.getpid()}")
            shutil.copy(file, scratch)
            scratch.replace(copy)
        manager.addfont(copy)


def show(figure: Figure, label: str) -> None:
    """Write a figure to `figures/<label>.pdf`, and the pixels of that PDF to `.png`,
    each in one step, then show it in the report.
    """
    FIGURES.mkdir(exist_ok=True)
    pdf, png = BytesIO(), BytesIO()
    # without a date: the same figure is the same file, also in another commit
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    # matplotlib would draw it anew for the pixels, and take eight times as long
    with pypdfium2.PdfDocument(pdf.getvalue()) as document:
        dpi = plt.rcParams["savefig.dpi"]
        dpi = figure.dpi if dpi == "figure" else dpi
        pixels = document[0].render(scale=dpi / 72).to_pil()
        width, height = (round(float(side) * dpi) for side in figure.get_size_inches())
        pixels.crop((0, 0, width, height)).save(png, "png", dpi=(dpi, dpi))
    write(FIGURES / f"{label}.pdf", pdf.getvalue())
    write(FIGURES / f"{label}.png", png.getvalue())
    if _formats() == {"pdf"}:  # it is there already, drawing it again would take long
        data = {"application/pdf": base64.b64encode(pdf.getvalue()).decode()}
        display(data | {"text/plain": str(figure)}, raw=True)
        plt.close(figure)
    else:
        figure.set_layout_engine("none")  # it is laid out, and looks so in any format
        plt.show()


def _formats() -> set[str]:
    """The formats in which figures are shown, where a notebook shows them."""
    if not plt.get_backend().endswith("inline"):
        return set()
    from matplotlib_inline.config import InlineBackend

    return set(InlineBackend.instance().figure_formats)
