"""The look of all figures, and the one function that shows a figure and keeps it in `figures/`."""

import os
import shutil
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.figure import Figure

from hw2.paths import FIGURES

WIDTH = 5.5  # inches: the text width of the report's A4 page


def use_style() -> None:
    """Set the project's style: Okabe-Ito colours, and Latin Modern where TeX has it, else Computer Modern."""
    plt.style.use(Path(__file__).with_name("report.mplstyle"))
    if shutil.which("kpsewhich"):
        query = ["kpsewhich", "lmroman10-regular.otf", "lmroman10-bold.otf", "lmroman10-italic.otf"]
        for file in subprocess.run(query, capture_output=True, text=True, check=False).stdout.split():
            font_manager.fontManager.addfont(file)
    try:  # in a notebook: no cropping, so that a figure keeps its size and its text the size of the page's
        from matplotlib_inline.config import InlineBackend

        InlineBackend.instance().print_figure_kwargs = {"bbox_inches": None}
    except ImportError:
        pass


def show(figure: Figure, label: str) -> None:
    """Write a figure to `figures/<label>.pdf` and `.png`, each in one step, then show it in the report."""
    FIGURES.mkdir(exist_ok=True)
    undated = {"pdf": "CreationDate", "png": "Software"}  # the same figure is the same file, also in another commit
    for suffix in ("pdf", "png"):
        target = FIGURES / f"{label}.{suffix}"
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        figure.savefig(scratch, format=suffix, metadata={undated[suffix]: None})
        os.replace(scratch, target)
    plt.show()
