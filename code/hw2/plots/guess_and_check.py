"""Figure of Question 2: errors of guess and check below both bounds, and the ratio of
the bounds.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from hw2.theory.guess_and_check import RATIO, Curve, d0, d1, d1s


def bounds(
    found: Curve, hidden: int = 8, teachers: tuple[int, ...] = (1, 2, 4)
) -> Figure:
    """Left: error over the number of samples, with both bounds; right: ratio of the
    bounds over the input dimension.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(5.9, 2.7))
    low, median, high = np.quantile(found.errors, (0.05, 0.5, 1 - found.delta), axis=1)
    left.fill_between(
        found.samples,
        low,
        high,
        color="C0",
        alpha=0.25,
        linewidth=0,
        label="5% to 95% of the runs",
    )
    left.plot(
        found.samples,
        median,
        color="C0",
        marker="o",
        markersize=3,
        label="median of the runs",
    )
    dense = np.geomspace(found.samples[0], found.samples[-1], 200)
    for bound, style in ((found.typical, "C4-"), (found.whole_class, "k--")):
        name = "Theorem 1" if bound is found.typical else "Theorem 2, all of $Q^k$"
        left.plot(
            dense, bound[0] * found.samples[0] / dense, style, label=name
        )  # both are proportional to 1/N
    left.set(
        xscale="log",
        ylim=(-0.02, 1),
        xlabel="number of samples $N$",
        ylabel=r"error $\epsilon$",
    )
    left.set_xticks(
        [2, 4, 8, 16, 32, 64, 128], labels=["2", "4", "8", "16", "32", "64", "128"]
    )
    left.minorticks_off()
    left.set_title("$q=3$, $d_0=2$, $d_1=3$, $d_1^\\star=1$")
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside upper center", ncols=4
    )
    inputs = np.geomspace(1, 1000, 61)
    for i, teacher in enumerate(teachers):
        ratio = [float(RATIO.subs({d0: n, d1: hidden, d1s: teacher})) for n in inputs]
        right.plot(
            inputs,
            ratio,
            color=f"C{i}",
            linestyle=("-", "--", "-.")[i],
            label=f"$d_1^\\star={teacher}$",
        )
        right.axhline(teacher / hidden, color="0.5", linestyle=":", linewidth=0.9)
    right.set(
        xscale="log",
        ylim=(0, 1),
        xlabel="input dimension $d_0$",
        ylabel="Theorem 1 / Theorem 2",
    )
    right.set_title(f"$d_1={hidden}$")
    right.legend(loc="upper right")
    return figure
