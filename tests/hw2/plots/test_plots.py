"""The shared style, and figures written where the report and the reader find them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hw2 import plots
from hw2.plots import signal as signal_plots


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(plots, "FIGURES", tmp_path)
    plots.use_style()
    yield tmp_path
    plt.close("all")


def test_a_figure_is_written_as_pdf_and_png_and_nothing_else(folder):
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    plots.show(figure, "fig-a")
    assert sorted(file.name for file in folder.iterdir()) == ["fig-a.pdf", "fig-a.png"]
    assert (folder / "fig-a.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "fig-a.png").read_bytes().startswith(b"\x89PNG")


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
