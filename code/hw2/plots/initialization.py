"""Figure of Question 4: what symmetry gives at every width, and what only large width
gives.
"""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from hw2.theory.initialization import Convergence


def convergence(found: dict[str, Convergence]) -> Figure:
    """Left: share of the second moment that ReLU keeps; right: distance of u from a
    Gaussian; both over the width.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(5.9, 2.7))
    for i, (name, item) in enumerate(found.items()):
        style = {"color": f"C{i}", "marker": "osD^"[i], "markersize": 4, "label": name}
        left.plot(item.widths, item.ratio, **style)
        right.plot(item.widths, item.distance, **style)
    left.axhline(0.5, color="black", linestyle="--", linewidth=0.9)
    right.axhline(item.noise_floor, color="0.4", linestyle=":", linewidth=0.9)
    right.text(
        item.widths[0],
        item.noise_floor * 0.9,
        "an exact Gaussian",
        va="top",
        fontsize=8,
    )
    left.set(
        xscale="log",
        xlabel="width $d_{l-2}$",
        ylabel=r"$E[\varphi(u)^2] \,/\, E[u^2]$",
        title="Part 1: symmetry",
    )
    right.set(
        xscale="log",
        yscale="log",
        xlabel="width $d_{l-2}$",
        title="Part 2: large width",
    )
    right.set_ylabel("distance of $u$ from a Gaussian")
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside upper center", ncols=4
    )
    return figure
