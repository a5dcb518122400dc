"""The shared style, and figures written where the report and the reader find them."""

from base64 import b64decode

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from hw2 import plots
from hw2.plots import signal as signal_plots


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(plots, "FIGURES", tmp_path)
    plots.use_style()
    yield tmp_path
    plt.close("all")


def test_personal_settings_change_nothing():
    with plt.rc_context():
        expected = dict(plt.rcParams)
        plt.rcParams.update({"axes.grid": True, "lines.linewidth": 9.0})
        plots.use_style()
        assert dict(plt.rcParams) == expected


def test_a_figure_is_written_as_pdf_and_png_and_nothing_else(folder):
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    plots.show(figure, "fig-a")
    assert sorted(file.name for file in folder.iterdir()) == ["fig-a.pdf", "fig-a.png"]
    assert (folder / "fig-a.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "fig-a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("style", [True, False])
def test_the_pixels_are_those_of_the_figure(folder, style):
    if not style:
        plt.rcdefaults()  # where pixels per inch are the figure's
    figure, axes = plt.subplots(figsize=(4.601, 1.656))
    axes.set_axis_off()
    figure.set_facecolor("red")
    plots.show(figure, "fig-a")
    dpi = 200 if style else figure.dpi
    with Image.open(folder / "fig-a.png") as image:
        assert image.size == (round(4.601 * dpi), round(1.656 * dpi))
        assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.01)
        width, height = image.size
        for place in ((1, 1), (width - 2, height - 2)):
            assert image.getpixel(place) == (255, 0, 0)


def test_the_same_figure_gives_the_same_bytes_in_every_commit(folder, monkeypatch):
    written = []
    for epoch in ("1500000000", "1600000000"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        figure, axes = plt.subplots()
        axes.set_title(r"$\sigma_\ell$ and text")
        plots.show(figure, "fig-a")
        written.append(
            [(folder / f"fig-a.{kind}").read_bytes() for kind in ("pdf", "png")]
        )
    assert written[0] == written[1]


def test_bands_stop_where_floats_end():
    measured = np.full((8, 4), 1.0)
    measured[:, 2:] = np.inf
    figure = signal_plots.layers(
        {"a": (measured, np.array([0.0, 50.0, 80.0, 100.0]))},
        "std",
        (0.1, 10),
        first_layer=1,
    )
    median, theory = figure.axes[0].lines[:2]
    assert list(median.get_xdata()) == [1, 2]
    assert list(theory.get_xdata()) == [1, 2, 3]


# what Quarto runs before the chunks of each render, also in a kernel that it has kept
QUARTO = """\
import os
from matplotlib_inline.backend_inline import set_matplotlib_formats
os.environ["QUARTO_FIG_FORMAT"] = "{0}"
set_matplotlib_formats("{0}")"""
CHUNK = """\
import matplotlib.pyplot as plt
from hw2 import plots
plots.use_style()
plots.FIGURES = plots.Path({0!r})
figure, axes = plt.subplots()
plots.show(figure, "fig-a")"""


def test_figures_have_the_format_that_quarto_asks_for(folder):
    formats = ["pdf", "pdf", "svg"]  # renders by one kernel
    cells = [
        nbformat.v4.new_code_cell(code)
        for name in formats
        for code in (QUARTO.format(name), CHUNK.format(str(folder)))
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3").execute()
    shown = [
        set(output.data) - {"text/plain"}
        for cell in cells[1::2]
        for output in cell.outputs
    ]
    assert shown == [{"application/pdf"}, {"application/pdf"}, {"image/svg+xml"}]
    (output,) = cells[1].outputs
    assert (
        b64decode(output.data["application/pdf"]) == (folder / "fig-a.pdf").read_bytes()
    )
