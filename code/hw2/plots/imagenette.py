"""Figures and tables of Task 3: the images, the transforms, the training, and what the
networks get wrong.

Images and their labels come from the weights that are recorded beside a run, everything
else from the run itself.
"""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from hw2.data.imagenette import NAMES
from hw2.plots.curves import STYLES, band, loss_and_accuracy
from hw2.runs import Run
from hw2.tasks.imagenette import MIXING, NOISE, unit

TITLES = {
    "shift": "shift",
    "crop": "crop",
    "flip": "flip",
    "affine": "affine",
    "color": "colour",
    "erase": "erase",
    "mixup": "mixup",
    "cutmix": "CutMix",
    "noise": "noise",
}


def examples(weights: Mapping[str, Tensor]) -> Figure:
    """Training images with their classes, side by side."""
    images, labels = weights["examples.images"], weights["examples.labels"]
    figure, axes = plt.subplots(1, len(images), figsize=(5.9, 1.4))
    for panel, image, label in zip(axes, images, labels, strict=True):
        _picture(panel, image, NAMES[label])
    return figure


def transforms(weights: Mapping[str, Tensor], names: Sequence[str]) -> Figure:
    """A row per transform: the first training image, then what the transform makes of
    it, one draw each.

    A transform that mixes images makes them of all the shown training images, one each;
    titles say how the label is shared out.
    """
    columns = 1 + len(weights["examples.images"])
    heights = [1.35 if name in MIXING else 0.92 for name in names]
    figure, axes = plt.subplots(
        len(names),
        columns,
        figsize=(5.9, 0.2 + sum(heights)),
        height_ratios=heights,
        squeeze=False,
    )
    for row, name in zip(axes, names, strict=True):
        mixed = name in MIXING
        original = (
            textwrap.fill(NAMES[weights["examples.labels"][0]], 11) if mixed else ""
        )
        _picture(row[0], weights["examples.images"][0], original)
        for panel, image, target in zip(
            row[1:], weights[f"{name}.images"], weights[f"{name}.targets"], strict=True
        ):
            _picture(panel, image, _shares(target) if mixed else "")
        row[0].set_ylabel(TITLES[name])
    return figure


def comparison(runs: Mapping[str, Run]) -> Figure:
    """Loss (top) and accuracy (bottom) over the epochs, a column for each of two
    trainings by their titles.
    """
    figure, axes = plt.subplots(2, 2, figsize=(5.9, 3.2), sharex="col", sharey="row")
    for column, (title, run) in zip(axes.T, runs.items(), strict=True):
        loss_and_accuracy(column, run)
        column[0].set_title(title)
    for panel in axes.flat:
        panel.label_outer()
    axes[0, 0].legend()
    return figure


def confusion(run: Run) -> Figure:
    """How many percent of the test images of each class (rows) were taken for each
    class (columns), over all seeds.
    """
    counts = _confusions(run).sum(axis=0)
    percent = 100 * counts / counts.sum(axis=1, keepdims=True)
    figure, axes = plt.subplots(figsize=(5.9, 4.3))
    # the root of the share, since the errors are small beside the diagonal
    axes.imshow(percent, cmap="Blues", norm=PowerNorm(0.5, 0, 100), aspect="auto")
    for (i, j), value in np.ndenumerate(percent):
        text = f"{value:.1f}" if counts[i, j] else "0"
        axes.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            color="white" if value > 40 else "black",
            fontsize=8,
        )
    axes.set_xticks(
        range(len(NAMES)), NAMES, rotation=40, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(len(NAMES)), NAMES)
    axes.set(xlabel="answer", ylabel="class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def per_class(run: Run) -> str:
    """Markdown table: test images of each class, percentage of right answers over the
    seeds, most frequent error.
    """
    counts = _confusions(run)
    images = counts[0].sum(axis=1)
    right = 100 * np.diagonal(counts, axis1=1, axis2=2) / images
    errors = counts.sum(axis=0) * (1 - np.eye(len(NAMES)))
    rows = [
        "| Class | Images | Mean | Std | Most often taken for | Share |",
        "|:---|---:|---:|---:|:---|---:|",
    ]
    for i, name in enumerate(NAMES):
        other = errors[i].argmax()
        error = (
            f"{NAMES[other]} | {100 * errors[i, other] / counts[:, i].sum():.1f}"
            if errors[i].any()
            else " | "
        )
        accuracy = f"{right[:, i].mean():.1f} | {right[:, i].std(ddof=1):.1f}"
        rows.append(f"| {name} | {images[i]:.0f} | {accuracy} | {error} |")
    return "\n".join(rows)


def mistakes(weights: Mapping[str, Tensor]) -> Figure:
    """Test images with wrong answers, six in a row; above each its class, the answer
    and the answer's probability.
    """
    found = [
        weights[f"mistakes.{name}"]
        for name in ("images", "labels", "answers", "confidence")
    ]
    rows = -(-len(found[0]) // 6)
    figure, axes = plt.subplots(rows, 6, figsize=(5.9, 1.45 * rows), squeeze=False)
    for panel in axes.flat[len(found[0]) :]:
        panel.set_axis_off()
    for panel, image, label, answer, confidence in zip(axes.flat, *found, strict=False):
        _picture(panel, image, f"{NAMES[label]}\n{NAMES[answer]}\n{confidence:.0%}")
    return figure


def noise(runs: Mapping[str, Run]) -> Figure:
    """Test accuracy over the standard deviation of the noise; bands from the lowest
    seed to the highest.
    """
    figure, axes = plt.subplots(figsize=(4.6, 2.7))
    for i, (title, run) in enumerate(runs.items()):
        levels, accuracy = run.curves["noise_level"][0], run.curves["noise_accuracy"]
        line = {"linestyle": STYLES[i], "marker": "o", "markersize": 3}
        band(axes, levels, accuracy, f"C{i}", title, **line)
    for i, level in enumerate(NOISE):
        label = "_" if i else "levels of the assignment"
        axes.axvline(
            level, color="0.4", linewidth=0.8, linestyle=":", zorder=0, label=label
        )
    axes.axhline(
        1 / len(NAMES),
        color="0.4",
        linewidth=0.8,
        linestyle="--",
        zorder=0,
        label="guessing",
    )
    axes.set(
        xlabel="standard deviation $a$ of the noise",
        ylabel="test accuracy",
        ylim=(0, 1),
    )
    axes.legend()
    return figure


def noisy(images: Tensor, levels: Sequence[float], seed: int = 0) -> Figure:
    """A row per image (bytes): what a N(0, 1) makes of it at each level, one draw for
    all of them, cut off at 0 and 1 as a screen does.
    """
    draw = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    figure, axes = plt.subplots(
        len(images), len(levels), figsize=(5.9, 1.25 * len(images)), squeeze=False
    )
    for row, image, noise in zip(axes, unit(images), draw, strict=True):
        for panel, level in zip(row, levels, strict=True):
            shown = (image + level * noise).clamp(0, 1)
            _picture(panel, (255 * shown).round().byte())
    for panel, level in zip(axes[0], levels, strict=True):
        panel.set_title(f"$a = {level:g}$", fontsize=8, pad=3)
    return figure


def noise_table(run: Run) -> str:
    """Markdown table of the percentage of right answers without noise and at the
    assignment's levels.

    The deviation over the draws of the noise is that of one network, its mean over the
    seeds.
    """
    clean = run.summary["test_accuracy"]
    rows = ["| $a$ | Mean | Std over seeds | Std over draws |", "|---:|---:|---:|---:|"]
    rows.append(f"| 0 | {100 * clean['mean']:.2f} | {100 * clean['std']:.2f} |  |")
    for level in NOISE:
        found, draws = (
            run.summary[f"noise_{level:g}"],
            run.summary[f"noise_{level:g}_std"]["mean"],
        )
        rows.append(
            f"| {level:g} | {100 * found['mean']:.2f} | {100 * found['std']:.2f} | "
            f"{100 * draws:.2f} |"
        )
    return "\n".join(rows)


MEANINGS = {  # of the hyper-parameters
    "widths": "channels of the stages",
    "blocks": "residual blocks of the stages",
    "groups": "of GroupNorm",
    "symmetric": "whether filters come in mirrored pairs",
    "pooling": "where a stage but the first halves the resolution",
    "dropout": "of the features that the classifier sees",
    "branch_dropout": "of whole channels in a residual branch",
    "stochastic_depth": "chance that an image skips the last block",
    "learning_rate": "the largest of the one-cycle schedule",
    "momentum": "Nesterov's",
    "weight_decay": "of the weights",
    "warmup": "share of the steps in which the learning rate rises",
    "label_smoothing": "share of a label that all classes get",
    "ema": "decay per step of the average of the weights",
    "sides": "pixels, each for an equal part of the epochs",
}


def settings(runs: Mapping[str, Run]) -> str:
    """Markdown table of the hyper-parameters of some runs, a column each; of several
    runs only what they differ in.
    """
    rows = [
        f"| Name | Meaning | {' | '.join(runs)} |",
        f"|:{'-' * 17}|:{'-' * 48}|{(':' + '-' * 16 + '|') * len(runs)}",
    ]
    for name in next(iter(runs.values())).config:
        values = [_value(run.config[name]) for run in runs.values()]
        if len(runs) == 1 or len(set(values)) > 1:
            about = f"{name.replace('_', ' ')} | {MEANINGS.get(name, '')}"
            rows.append(f"| {about} | {' | '.join(values)} |")
    return "\n".join(rows)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _confusions(run: Run) -> np.ndarray:
    """Counts (seeds, classes, answers)."""
    return np.reshape(run.curves["confusion"], (-1, len(NAMES), len(NAMES)))


def _shares(target: Tensor) -> str:
    """The classes of a mixed image with their percentages, the larger one first, in
    lines that a column holds.
    """
    order = [i for i in target.argsort(descending=True).tolist() if target[i] > 0]
    return "\n".join(
        textwrap.fill(f"{100 * target[i]:.0f}% {NAMES[i]}", 13) for i in order
    )


def _picture(axes: Axes, image: Tensor, title: str = "") -> None:
    """An image (3, 64, 64) in uint8, pixel by pixel."""
    axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=8, pad=3)
