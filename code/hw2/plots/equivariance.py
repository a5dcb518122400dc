"""Figure of Question 5: which weights are equal under a group of permutations."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure


def patterns(found: Mapping[str, np.ndarray]) -> Figure:
    """One matrix per group, for labels (d, d) that number its free weights; up to 26 of
    them also get a letter.
    """
    figure, axes = plt.subplots(1, len(found), figsize=(5.9, 2.1), sharey=True)
    for axis, (name, labels) in zip(axes, found.items(), strict=True):
        size, free = len(labels), labels.max() + 1
        edges = np.arange(size + 1) + 0.5
        # too many to tell apart: one colour for all
        colors = "cividis" if free <= 26 else ListedColormap(["0.8"])
        axis.pcolormesh(
            edges, edges, labels, cmap=colors, edgecolors="white", linewidth=0.5
        )
        if free <= 26:
            for (row, column), label in np.ndenumerate(labels):
                color = "white" if label < 0.4 * (free - 1) else "black"
                axis.text(
                    column + 1,
                    row + 0.97,
                    chr(ord("a") + label),
                    color=color,
                    size=8,
                    ha="center",
                    va="center",
                )
        axis.set(
            aspect="equal",
            title=f"{name}\n{free} free",
            xlabel="column $j$",
            xticks=(1, size),
            yticks=(1, size),
        )
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    axes[0].invert_yaxis()
    axes[0].set_ylabel("row $i$")
    return figure
