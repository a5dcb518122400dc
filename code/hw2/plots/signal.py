"""Figures of Task 1: bands over the seeds, with mean-field theory as lines."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

MARKERS = "osD^vX"  # lines differ without colours too
SPARSE = (0, (2, 4))  # dashes that leave room for the line below them

Band = tuple[
    np.ndarray, np.ndarray
]  # measured (seeds x layers), natural log of the prediction (layers)


def layers(
    bands: dict[str, Band], ylabel: str, zoom: tuple[float, float], first_layer: int
) -> Figure:
    """A quantity over the layers for several schemes: everything on the left, the range
    `zoom` on the right.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(5.9, 3.0))
    limit = float(np.finfo(np.float32).max)
    for i, (name, (measured, log_predicted)) in enumerate(bands.items()):
        for axes in (left, right):
            drawn = _band(axes, f"C{i}", name, measured, log_predicted, first_layer)
            drawn.set(marker=MARKERS[i], markersize=4, markevery=(3 * i, 20))
    left.axhline(limit, color="0.4", linewidth=0.8, linestyle=":")
    left.text(50, limit * 3, "largest float32", ha="center", va="bottom", fontsize=8)
    left.set(yscale="log", ylim=(1e-20, 1e46), xlabel="layer", ylabel=ylabel)
    right.set(yscale="log", ylim=zoom, xlabel="layer")
    handles, names = left.get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color="black", linestyle=SPARSE, linewidth=0.9))
    figure.legend(
        handles, [*names, "mean-field theory"], loc="outside upper center", ncols=4
    )
    return figure


def summary(study: dict, fields: dict) -> str:
    """Markdown table of the last layer's standard deviation and the input's gradient:
    measured and predicted.

    `study` and `fields` map a scheme's name to its traces (`hw2.tasks.signal`) and
    theory (`hw2.theory.signal`).
    """
    head = [
        "| Scheme | std, measured | theory | gradient, measured | theory |",
        f"|:{'-' * 20}|:{'-' * 28}|{'-' * 8}:|:{'-' * 28}|{'-' * 8}:|",
    ]
    rows = []
    for name, trace in study.items():
        std = _cells(trace.std[:, -1], fields[name].log_std[-1])
        gradient = _cells(trace.gradient[:, 0], fields[name].log_gradient[0])
        rows.append(f"| {' | '.join([name, *std, *gradient])} |")
    return "\n".join([*head, *rows])


def _cells(measured: np.ndarray, log_predicted: float) -> tuple[str, str]:
    if not np.isfinite(measured).all():
        return "out of range", ""
    low, median, high = (
        f"{value:.2g}" for value in np.quantile(measured, (0.025, 0.5, 0.975))
    )
    return f"{median} ({low} to {high})", f"{math.exp(log_predicted):.2g}"


def _band(
    axes: Axes,
    color: str,
    name: str,
    measured: np.ndarray,
    log_predicted: np.ndarray,
    first_layer: int,
) -> Line2D:
    """The central 95% of the seeds, their median, and the prediction, as far as floats
    reach. Returns the line of the median.
    """
    x = np.arange(first_layer, first_layer + measured.shape[1])
    finite = np.isfinite(measured).all(axis=0) & (measured > 0).all(axis=0)
    low, median, high = np.quantile(measured[:, finite], (0.025, 0.5, 0.975), axis=0)
    axes.fill_between(x[finite], low, high, color=color, alpha=0.25, linewidth=0)
    (line,) = axes.plot(x[finite], median, color=color, linewidth=2, label=name)
    shown = np.abs(log_predicted) < math.log(np.finfo(np.float32).max)
    axes.plot(
        x[shown],
        np.exp(log_predicted[shown]),
        color="black",
        linestyle=SPARSE,
        linewidth=0.9,
    )
    return line
