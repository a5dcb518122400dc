"""Figures and tables of Task 2: the data, the results, and what the choices are
worth.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from hw2.data.magic import FEATURES
from hw2.intervals import Interval, interval, signed
from hw2.plots.curves import STYLES, band, epochs
from hw2.runs import Run

ACTIVATIONS = {"relu": "ReLU", "gelu": "GELU", "silu": "SiLU"}
MODELS = {
    "network": "network",
    "boosting, derived features": "boosting with derived features",
    "boosting, tuned": "boosting",
    "boosting, default": "boosting, untuned",
    "forest, tuned": "random forest",
    "logistic regression, derived features": "logistic regression, derived features",
    "logistic regression": "logistic regression",
}
LINEAR = ("logistic regression", "logistic regression, derived features")
MEANINGS = {  # of the hyper-parameters
    "members": "networks of the ensemble",
    "depth": "hidden layers",
    "width": "units of a hidden layer",
    "frequencies": "of the periodic layer, per feature",
    "bandwidth": "deviation of the initial frequencies",
    "activation": "of the hidden layers",
    "initialization": "of the linear layers' weights",
    "dropout": "chance that a unit is left out",
    "learning_rate": "the largest of the schedule",
    "schedule": "of the learning rate, over the steps",
    "weight_decay": "of the linear layers' weights",
    "transform": "of each feature (Part 3)",
    "derived": "further features (Part 3)",
}
KINDS = {"g": "gamma (signal)", "h": "hadron (background)"}


def features(run: Run, before: str = "raw", after: str = "quantile") -> Figure:
    """Density of each feature per class on the training rows, as it is given and after
    its transform.
    """
    figure, axes = plt.subplots(4, 5, figsize=(5.9, 3.4))
    for i, feature in enumerate(FEATURES):
        for row, transform in ((i // 5 * 2, before), (i // 5 * 2 + 1, after)):
            panel = axes[row, i % 5]
            for j, kind in enumerate(KINDS):
                edges, density = (
                    run.curves[f"{transform}_{feature}_{part}"][0]
                    for part in ("edges", kind)
                )
                panel.stairs(density, edges, color=f"C{j}", fill=True, alpha=0.3)
                panel.stairs(density, edges, color=f"C{j}", label=KINDS[kind])
            panel.set(yticks=[])
            panel.locator_params(axis="x", nbins=3)
            if transform == before:
                panel.set_title(feature)
        if i % 5 == 0:
            axes[i // 5 * 2, 0].set_ylabel("as given")
            axes[i // 5 * 2 + 1, 0].set_ylabel("transformed")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2
    )
    return figure


def roc(run: Run, shares: Sequence[float]) -> Figure:
    """Gammas kept over hadrons let through, with the operating points at the given
    shares of hadrons.
    """
    figure, axes = plt.subplots(figsize=(4.2, 2.8))
    background, signal = (
        np.array(run.curves["roc_background"][0]),
        np.array(run.curves["roc_signal"]),
    )
    band(axes, background, signal, "C0", f"network, {len(signal)} seeds")
    points = [run.summary[f"signal_at_{share:g}"]["mean"] for share in shares]
    axes.plot(shares, points, "o", color="C4", markersize=4, label="operating points")
    for share, point in zip(shares, points, strict=True):
        axes.annotate(
            f"{point:.1%}",
            (share, point),
            (4, -3),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=8,
        )
    axes.plot(background, background, color="0.5", linestyle=":", label="guessing")
    axes.set(
        xscale="log",
        xlim=(0.005, 1),
        ylim=(0, 1.02),
        xticks=[0.01, 0.1, 1],
        xticklabels=["1%", "10%", "100%"],
    )
    axes.set(xlabel="hadrons let through", ylabel="gammas kept")
    axes.legend(loc="lower right")
    return figure


def comparison(run: Run) -> Figure:
    """Test accuracy of each model on each split but logistic regression's, which is far
    below; a line joins the values of a split.
    """
    figure, axes = plt.subplots(figsize=(5.9, 2.6))
    shown = {name: title for name, title in MODELS.items() if name not in LINEAR}
    values = 100 * np.array([run.summary[name]["values"] for name in shown])
    axes.plot(values, color="0.75", linewidth=0.7, zorder=1)
    for i, row in enumerate(values):
        axes.scatter(np.full(len(row), i), row, s=14, color=f"C{i}", zorder=2)
        axes.plot(
            [i - 0.22, i + 0.22],
            [row.mean()] * 2,
            color="black",
            linewidth=1.6,
            zorder=3,
        )
    axes.set_xticks(
        range(len(shown)), [textwrap.fill(title, 13) for title in shown.values()]
    )
    axes.set_ylabel("test accuracy (%)")
    return figure


def differences(
    run: Run, base: str, overlap: float = 0.0, confidence: float = 0.95
) -> dict[str, Interval]:
    """Change of each number of a summary against `base`, with `overlap` and
    `confidence` as in `interval`.
    """
    before = run.summary[base]["values"]
    return {
        name: interval(np.subtract(value["values"], before), overlap, confidence)
        for name, value in run.summary.items()
        if name != base
    }


def importance(values: Mapping[str, float]) -> Figure:
    """Share of the variance of the search's results that each hyper-parameter
    explains.
    """
    figure, axes = plt.subplots(figsize=(4.6, 0.5 + 0.24 * len(values)))
    ordered = sorted(values.items(), key=lambda item: item[1])
    axes.barh(
        [name.replace("_", " ") for name, _ in ordered],
        [value for _, value in ordered],
        color="C0",
        height=0.6,
    )
    axes.set_xlabel("importance")
    return figure


def losses(curves: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Training loss over the epochs, by title; bands from the lowest seed to the
    highest.
    """
    figure, axes = plt.subplots(figsize=(4.6, 2.6))
    for i, (title, values) in enumerate(curves.items()):
        band(axes, epochs(values), values, f"C{i}", title, linestyle=STYLES[i])
    axes.set(xlabel="epoch", ylabel="training cross-entropy", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(FixedLocator([0.2, 0.3, 0.4, 0.5, 0.6]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend()
    return figure


def settings(run: Run, chosen: Mapping[str, object]) -> str:
    """Markdown table of the chosen hyper-parameters, with the range or the choices of
    those that were searched for.
    """
    rows = [
        "| Name | Meaning | Value | Searched |",
        f"|:{'-' * 14}|:{'-' * 38}|:{'-' * 17}|:{'-' * 31}|",
    ]
    for name, value in chosen.items():
        shown = f"{value:.3g}" if isinstance(value, float) else str(value)
        shown = {"True": "yes", "False": "no"}.get(shown, shown).replace("_", " ")
        item = run.config["space"].get(name)
        rows.append(
            f"| {name.replace('_', ' ')} | {MEANINGS.get(name, '')} | {shown} | "
            f"{_range(item['attributes']) if item else ''} |"
        )
    return "\n".join(rows)


def _range(item: Mapping[str, Any]) -> str:
    if "choices" in item:
        return ", ".join(map(str, item["choices"]))
    step = f" in steps of {item['step']:g}" if (item.get("step") or 1) > 1 else ""
    return (
        f"{item['low']:g} to {item['high']:g}{', logarithmic' if item['log'] else step}"
    )


def comparison_table(run: Run, overlap: float) -> str:
    """Markdown table: each model's mean and standard deviation over the splits, and the
    network's paired lead.

    `overlap` is the ratio of test to training rows, for the interval's correction.
    """
    rows = [
        "| Model | Mean | Std | Network better by | 95% interval |",
        f"|:{'-' * 36}|{'-' * 6}:|{'-' * 6}:|{'-' * 18}:|:{'-' * 16}|",
    ]
    network = np.array(run.summary["network"]["values"])
    for name, title in MODELS.items():
        found = run.summary[name]
        lead = interval(100 * (network - found["values"]), overlap)
        paired = (
            f"{signed(lead.mean)} | {signed(lead.low)} to {signed(lead.high)}"
            if name != "network"
            else " | "
        )
        rows.append(
            f"| {title} | {100 * found['mean']:.2f} | {100 * found['std']:.2f} | "
            f"{paired} |"
        )
    return "\n".join(rows)
