"""What the tasks share: curves of several seeds as a band, the figures of a training
and of an ablation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator
from numpy.typing import ArrayLike

from hw2.intervals import Interval
from hw2.runs import Run

STYLES = ("-", "--", "-.", (0, (4, 1, 1, 1, 1, 1)))  # lines differ without colours too


def band(
    axes: Axes,
    x: ArrayLike,
    curves: ArrayLike,
    color: str,
    label: str,
    **line: Any,
) -> None:
    """The mean of some curves (seeds x points) over x, with a band from the lowest to
    the highest.
    """
    curves = np.asarray(curves)
    axes.fill_between(
        x,
        np.min(curves, axis=0),
        np.max(curves, axis=0),
        color=color,
        alpha=0.25,
        linewidth=0,
    )
    axes.plot(x, np.mean(curves, axis=0), color=color, label=label, **line)


def epochs(curves: Sequence[Sequence[float]]) -> range:
    """The epochs of some curves, from 1."""
    return range(1, len(curves[0]) + 1)


def loss_and_accuracy(axes: Sequence[Axes], run: Run) -> None:
    """Loss in the first panel and accuracy in the second, over the epochs, on training
    and validation data.
    """
    for panel, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        for i, part in enumerate(("train", "validation")):
            curves = run.curves[f"{part}_{quantity}"]
            band(panel, epochs(curves), curves, f"C{i}", part, linestyle=STYLES[i])
        whole_epochs = AutoLocator()
        whole_epochs.set_params(integer=True)
        panel.xaxis.set_major_locator(whole_epochs)
        panel.set(
            xlabel="epoch",
            ylabel={"loss": "cross-entropy", "accuracy": "accuracy"}[quantity],
        )


def training(run: Run) -> Figure:
    """Loss and accuracy over the epochs, on training and validation data; bands from
    the lowest seed to the highest.
    """
    figure, axes = plt.subplots(1, 2, figsize=(5.9, 2.6))
    loss_and_accuracy(axes, run)
    axes[0].legend()
    return figure


def ablations(found: Mapping[str, Interval]) -> Figure:
    """What each undone choice changes, in percentage points, with intervals."""
    figure, axes = plt.subplots(figsize=(5.9, 0.5 + 0.26 * len(found)))
    ordered = sorted(found.items(), key=lambda item: -item[1].mean)
    for i, (_, change) in enumerate(ordered):
        axes.plot(
            [100 * change.low, 100 * change.high], [i, i], color="C0", linewidth=2
        )
        axes.plot(100 * change.mean, i, "o", color="C0", markersize=4)
    axes.axvline(0, color="0.5", linewidth=0.8, linestyle=":")
    axes.set(yticks=range(len(ordered)), yticklabels=[name for name, _ in ordered])
    axes.invert_yaxis()
    axes.set_xlabel("change of the validation accuracy (percentage points)")
    return figure
