"""Curves of several seeds: a band, and the training figure that Tasks 2 and 3 share."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw2.runs import Run


def band(
    axes: Axes, x: Sequence[float], curves: Sequence[Sequence[float]], color: str, label: str, **line: Any
) -> None:
    """The mean of some curves (seeds x points) over x, with a band from the lowest to the highest."""
    axes.fill_between(x, np.min(curves, axis=0), np.max(curves, axis=0), color=color, alpha=0.25, linewidth=0)
    axes.plot(x, np.mean(curves, axis=0), color=color, label=label, **line)


def epochs(curves: Sequence[Sequence[float]]) -> range:
    """The epochs of some curves, from 1."""
    return range(1, len(curves[0]) + 1)


def loss_and_accuracy(axes: Sequence[Axes], run: Run) -> None:
    """Loss in the first panel and accuracy in the second, over the epochs, on training and validation data."""
    for panel, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        for i, part in enumerate(("train", "validation")):
            curves = run.curves[f"{part}_{quantity}"]
            band(panel, epochs(curves), curves, f"C{i}", part)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.set(xlabel="epoch", ylabel={"loss": "cross-entropy", "accuracy": "accuracy"}[quantity])


def training(run: Run) -> Figure:
    """Loss and accuracy over the epochs, on training and validation data; bands from the lowest seed to the highest."""
    figure, axes = plt.subplots(1, 2, figsize=(5.9, 2.6))
    loss_and_accuracy(axes, run)
    axes[0].legend()
    return figure
