"""Figures and the table of Question 3's own runs: all kinds of double descent, and
where the critical point lies.

A line is the mean over the seeds, its band reaches from the lowest seed to the highest.
"""

from collections.abc import Callable, Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw2.plots.curves import STYLES, band
from hw2.runs import Run
from hw2.tasks.double_descent import (
    LEVEL,
    FeaturesConfig,
    NetworkConfig,
    critical_point,
    peak,
)
from hw2.theory.double_descent import Sweep

METRICS = ("train_loss", "train_error", "test_error", "test_loss")


def students(over_features: Sweep, over_samples: Sweep) -> Figure:
    """Risk of the solution of smallest norm and at the best mu: over p on the left,
    over n on the right.
    """
    figure, axes = plt.subplots(1, 2, figsize=(5.9, 2.7))
    for panel, sweep, column in zip(
        axes, (over_features, over_samples), (1, 0), strict=True
    ):
        x = [pair[column] for pair in sweep.pairs]
        fixed = sweep.pairs[0][1 - column]
        for i, (risks, name) in enumerate(
            ((sweep.least_norm, "smallest norm"), (sweep.best, r"best $\mu$"))
        ):
            band(panel, x, risks, f"C{4 - 2 * i}", name)
        finite = np.isfinite(sweep.mean)
        for side in (np.less, np.greater):
            chosen = finite & side(x, fixed)
            label = "mean by theory" if side is np.less else None
            panel.plot(
                np.compress(chosen, x),
                sweep.mean[chosen],
                "k--",
                linewidth=0.9,
                label=label,
            )
        _mark(panel, fixed)
        panel.set(yscale="log", ylabel="Bayes risk")
        panel.set_ylim(top=1e3)  # the mean over a few X at n = p is anything beyond
    axes[0].set(
        xlabel="features $p$ of the student",
        title=_title("model-wise", "n", over_features.pairs[0][0]),
    )
    axes[1].set(
        xlabel="samples $n$", title=_title("sample-wise", "p = d", over_samples.d)
    )
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3
    )
    return figure


def features(run: Run) -> Figure:
    """Test error of random features over their number and over the number of samples,
    without and with ridge.
    """
    config = FeaturesConfig(**run.config)
    figure, axes = plt.subplots(1, 2, figsize=(5.9, 2.9), sharey=True)
    for panel, (kind, grid), column in zip(
        axes, config.grids().items(), (1, 0), strict=True
    ):
        x = [pair[column] for pair in grid]
        for i, noise in enumerate(config.noise):
            band(
                panel,
                x,
                run.curves[f"{kind}/test_error/{noise:g}"],
                f"C{i}",
                f"{noise:.0%} wrong labels",
                linestyle=STYLES[i],
            )
            panel.plot(
                x, np.mean(run.curves[f"{kind}/ridge/{noise:g}"], axis=0), f"C{i}:"
            )
        _mark(panel, grid[0][1 - column])
        panel.set(xscale="log", ylim=(0, 1))
    axes[0].set(
        xlabel="features $p$",
        ylabel="test error",
        title=_title("model-wise", "n", config.samples),
    )
    axes[1].set(xlabel="samples $n$", title=_title("sample-wise", "p", config.features))
    handles, names = axes[0].get_legend_handles_labels()
    handles.append(plt.Line2D([], [], color="0.4", linestyle=":"))
    figure.legend(
        handles, [*names, r"ridge, $\mu$ chosen"], loc="outside upper center", ncols=4
    )
    return figure


def networks(run: Run) -> Figure:
    """Test and training error over the width at the end, and over the epochs for the
    largest width.
    """
    config = NetworkConfig(**run.config)
    epochs = config.epochs(config.samples[0])
    figure, axes = plt.subplots(2, 2, figsize=(5.9, 3.5), sharex="col", sharey="row")
    for i, noise in enumerate(config.noise):
        curves = {
            metric: network_curves(run, metric, noise)[:, :, 0]
            for metric in ("test_error", "train_error")
        }
        for column, x, chosen in (
            (0, config.widths, np.s_[:, :, -1]),
            (1, epochs, np.s_[:, -1]),
        ):
            threshold = critical_point(x, curves["train_error"][chosen].mean(axis=0))
            for panel, found in zip(axes[:, column], curves.values(), strict=True):
                band(
                    panel,
                    x,
                    found[chosen],
                    f"C{i}",
                    f"{noise:.0%} wrong labels",
                    linestyle=STYLES[i],
                )
                if threshold:
                    _mark(panel, threshold, f"C{i}")
    for panel in axes.flat:
        panel.set(xscale="log")
    axes[0, 0].set(
        ylabel="test error", title=f"model-wise, after {epochs[-1]:,} epochs"
    )
    axes[0, 1].set_title(f"epoch-wise, width {config.widths[-1]}")
    axes[1, 0].set(ylabel="training error", xlabel="width of the hidden layers")
    axes[1, 1].set(xlabel="epoch")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3
    )
    return figure


def grid(run: Run, noises: Sequence[float]) -> Figure:
    """Maps of the mean test error over width and epoch, one for each noise, with the
    interpolation threshold in it.
    """
    config = NetworkConfig(**run.config)
    epochs = config.epochs(config.samples[0])
    figure, axes = plt.subplots(1, len(noises), figsize=(5.9, 2.5), sharey=True)
    for panel, noise in zip(axes, noises, strict=True):
        _, test, train = _means(run, noise)
        shown = panel.pcolormesh(
            config.widths,
            epochs,
            test.T,
            shading="gouraud",
            vmin=0,
            vmax=0.5,
            cmap="viridis",
        )
        panel.contour(
            config.widths,
            epochs,
            train.T,
            levels=[LEVEL],
            colors="white",
            linewidths=1.3,
        )
        panel.set(xscale="log", yscale="log", xlabel="width of the hidden layers")
        panel.set_title(f"{noise:.0%} wrong labels")
    axes[0].set_ylabel("epoch")
    figure.colorbar(shown, ax=axes, label="test error", extend="max")
    return figure


def samples(run: Run) -> Figure:
    """Test error and test loss of one width over the number of samples."""
    config = NetworkConfig(**run.config)
    figure, axes = plt.subplots(1, 2, figsize=(5.9, 2.7))
    for i, noise in enumerate(config.noise):
        train = network_curves(run, "train_error", noise)[:, 0, :, -1].mean(axis=0)
        threshold = _threshold(config.samples, train)
        for panel, metric in zip(axes, ("test_error", "test_loss"), strict=True):
            curves = network_curves(run, metric, noise)[:, 0, :, -1]
            band(
                panel,
                config.samples,
                curves,
                f"C{i}",
                f"{noise:.0%} wrong labels",
                linestyle=STYLES[i],
            )
            if threshold:
                _mark(panel, threshold, f"C{i}")
    for panel, name in zip(axes, ("test error", "test loss"), strict=True):
        panel.set(xscale="log", xlabel="samples $n$", ylabel=name)
        panel.set_title(f"{name}, width {config.widths[0]}")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3
    )
    return figure


Curves = dict[
    str, np.ndarray
]  # train_loss, train_error, test_error and test_loss: seeds x points


def critical_points(features: Run, widths: Run, samples: Run) -> str:
    """Markdown table: per kind and noise the critical point by the training curves, and
    the peaks of the test curves.

    Each is the mean over the seeds with its standard deviation, and in brackets how
    many seeds have one, if not all.
    """
    head = [
        "| Kind | Wrong | Train loss | Train error | Test error | Test loss |",
        f"|:{'-' * 24}|{'-' * 9}:|{'-' * 22}:|{'-' * 17}:|{'-' * 21}:|{'-' * 15}:|",
    ]
    rows = [
        f"| {kind} | {noise:.0%} | {' | '.join(map(cell, found.values()))} |"
        for kind, noise, found in points(features, widths, samples)
    ]
    return "\n".join([*head, *rows])


Points = dict[str, list[float | None]]  # by metric, one for each seed


def points(features: Run, widths: Run, samples: Run) -> list[tuple[str, float, Points]]:
    """Kind, noise, and in each seed the thresholds by the training curves and the peaks
    of the test curves.
    """
    rules: dict[str, Callable[..., float | None]] = {
        "train_loss": _threshold,
        "train_error": _threshold,
        "test_error": peak,
        "test_loss": peak,
    }
    return [
        (
            kind,
            noise,
            {
                metric: [rule(x, curve) for curve in curves[metric]]
                for metric, rule in rules.items()
            },
        )
        for kind, noise, x, curves in _curves(features, widths, samples)
    ]


def lags(found: Sequence[tuple[str, float, Points]], kind: str) -> list[float]:
    """How many times later than the mean threshold by the training error the mean peaks
    of the test error and the test loss are, for each noise with peaks.
    """

    def mean(values: Sequence[float | None]) -> float | None:
        seen = [value for value in values if value is not None]
        return float(np.mean(seen)) if seen else None

    ratios = []
    for name, _, seeds in found:
        rule = mean(seeds["train_error"])
        for metric in ("test_error", "test_loss"):
            top = mean(seeds[metric])
            if name == kind and rule and top:
                ratios.append(top / rule)
    return ratios


def hump(run: Run, metric: str, noise: float) -> float:
    """The largest factor by which at least twice as many samples raise the mean of a
    test curve.
    """
    x = np.array(NetworkConfig(**run.config).samples)
    mean = network_curves(run, metric, noise)[:, 0, :, -1].mean(axis=0)
    return max(
        float(mean[x >= 2 * n].max() / value)
        for n, value in zip(x, mean, strict=True)
        if (x >= 2 * n).any()
    )


def plateau(x: Sequence[int], curve: np.ndarray, share: float) -> list[int]:
    """Where around its peak a curve is above this share of it; nowhere where it has no
    peak.
    """
    top = peak(x, curve)
    if top is None:
        return []
    first = last = list(x).index(int(top))
    floor = share * curve[first]
    while first > 0 and curve[first - 1] > floor:
        first -= 1
    while last < len(x) - 1 and curve[last + 1] > floor:
        last += 1
    return list(x[first : last + 1])


def _means(run: Run, noise: float) -> tuple[NetworkConfig, np.ndarray, np.ndarray]:
    """Config, and mean test and training error, (widths, epochs)."""
    test, train = (
        network_curves(run, name, noise)[:, :, 0].mean(axis=0)
        for name in ("test_error", "train_error")
    )
    return NetworkConfig(**run.config), test, train


def plateaus(run: Run, noise: float) -> tuple[list[int], list[int]]:
    """The widths, at the end, at which the mean test error is within a tenth of its
    peak, and the epochs, for the largest width, at which it is within a fiftieth.
    """
    config, test, _ = _means(run, noise)
    epochs = config.epochs(config.samples[0])
    return (
        plateau(config.widths, test[:, -1], 0.9),
        plateau(epochs, test[-1], 0.98),
    )


def rise(run: Run, noise: float) -> list[tuple[int, float]]:
    """Width and mean test error, at the end, of the peak's left minimum and of the
    peak. Raises ValueError where there is no peak.
    """
    config, test, _ = _means(run, noise)
    error = test[:, -1]
    if (top := peak(config.widths, error)) is None:
        raise ValueError(f"with {noise:.0%} wrong labels the mean has no peak")
    highest = config.widths.index(int(top))
    lowest = int(error[:highest].argmin())
    return [(config.widths[i], float(error[i])) for i in (lowest, highest)]


def valley(run: Run, noise: float) -> list[float]:
    """By which factor the critical epoch is later than that of the smallest mean test
    error, for each width that fits.
    """
    config, test, train = _means(run, noise)
    epochs = config.epochs(config.samples[0])
    return [
        point / epochs[int(error.argmin())]
        for error, fit in zip(test, train, strict=True)
        if (point := critical_point(epochs, fit))
    ]


def described(features: Run, widths: Run, samples: Run) -> dict[str, bool]:
    """What the report's text says of these runs in words, and whether it is so."""
    said: dict[str, bool] = {}
    found = points(features, widths, samples)
    for kind, pairs in FeaturesConfig(**features.config).grids().items():
        errors, ridges = (
            np.mean(
                [features.curves[f"{kind}/{name}/{n:g}"] for n in (0, 0.1, 0.2)], axis=1
            )
            for name in ("test_error", "ridge")
        )
        at = [n == p for n, p in pairs].index(True)
        wide = (errors > errors[:, [at]] / 2)[:, at // 2 :].sum(axis=1)
        said |= {
            f"{kind}: wrong labels make the peaks higher": bool(
                (np.diff(errors[:, at]) > 0).all()
            ),
            f"{kind}: and wider": bool((np.diff(wide) > 0).all()),
            f"{kind}: ridge regression has no peak": bool(
                (ridges[:, at] < 1.1 * ridges[:, :at].min(axis=1)).all()
            ),
        }
    config, test, train = _means(widths, 0.2)
    x, (wide, late) = list(config.widths), plateaus(widths, 0.2)
    times = config.epochs(config.samples[0])
    loss = network_curves(widths, "train_loss", 0.2)[:, -1, 0].mean(axis=0)
    factors = valley(widths, 0.2)
    top = peak(x, test[:, -1])
    low = int(test[-1].argmin())
    crest = low + int(test[-1, low:].argmax())
    said |= {
        "width: ends below half of the first minimum": top is not None
        and bool(test[-1, -1] < test[: x.index(int(top)), -1].min() / 2),
        "width: the critical point is in the plateau": bool(
            wide[0] < (critical_point(x, train[:, -1]) or 0) < wide[-1]
        ),
        "width: the peak is left of the critical point": top is not None
        and top < (critical_point(x, train[:, -1]) or 0),
        "width: the mean has no peak with a tenth wrong": not plateaus(widths, 0.1)[0],
        "epoch: the plateau begins where the loss is fitted": bool(
            abs(late[0] / (critical_point(times, loss) or np.inf) - 1) < 0.15
        ),
        "map: the valley is below the line, further for narrow networks": bool(
            min(factors) > 1 and max(factors) == factors[0] > factors[-1]
        ),
        "map: the wrong labels cost less in wide networks": bool(
            test[np.argmax(train[:, -1] <= LEVEL), -1] > test[-1, low:].max()
        ),
        "epoch: smallest before the wrong labels are fitted": bool(
            train[-1, low] > 0.1
        ),
        "epoch: rises well beyond the fit": bool(train[-1, crest] < LEVEL)
        and all(factor > 2 for factor in lags(found, "networks, epoch")),
        "epoch: stopping early is better": bool(
            test[-1, low] < test[-1, -1] < test[-1, crest]
        ),
        "samples: a hump in the loss": hump(samples, "test_loss", 0.2) > 1.2,
        "samples: hardly one in the error": hump(samples, "test_error", 0.2) < 1.1,
    }
    for kind, noise, seeds in found:
        rule, error, loss = (
            np.array([x for x in seeds[name] if x is not None] or [np.nan])
            for name in ("train_error", "test_error", "test_loss")
        )
        if kind.startswith("features"):
            losses = np.array(seeds["train_loss"], dtype=float)
            equal = FeaturesConfig(**features.config).samples
            said |= {
                f"{kind}, {noise}: all peaks at p = n": bool(
                    (error == equal).all() and (loss == equal).all()
                ),
                f"{kind}, {noise}: by the loss within an eighth": bool(
                    (np.abs(losses / equal - 1) < 1 / 8).all()
                ),
                f"{kind}, {noise}: by the error far off": not (
                    abs(rule.mean() / equal - 1) < 1 / 3
                ),
            }
        elif noise == 0:
            said[f"{kind}: no peaks without wrong labels"] = bool(
                np.isnan(error).all() and np.isnan(loss).all()
            )
        elif kind == "networks, width":
            near = 0.02 if noise == 0.2 else 0.1
            said[f"{kind}, {noise}: threshold and peak agree"] = bool(
                abs(error.mean() / rule.mean() - 1) < near
            )
        elif kind == "networks, $n$":
            said[f"{kind}, {noise}: the loss peaks at fewer samples"] = bool(
                loss.mean() < rule.mean()
            )
    return said


def cell(found: Sequence[float | None]) -> str:
    """Mean and standard deviation of what was found in the seeds, and in how many of
    them.
    """
    values = [value for value in found if value is not None]
    share = "" if len(values) == len(found) else f" ({len(values)}/{len(found)})"
    if len(values) < 2:
        return f"{values[0]:.3g}{share}" if values else "none"
    spread = np.std(values, ddof=1)
    return (
        f"{np.mean(values):.3g} ± "
        f"{spread:.{0 if spread >= 100 else 2}{'f' if spread >= 100 else 'g'}}{share}"
    )


def _curves(
    features: Run, widths: Run, samples: Run
) -> Iterator[tuple[str, float, Sequence[int], Curves]]:
    """Kind, noise, horizontal axis and curves of each row of the table."""
    config = FeaturesConfig(**features.config)
    for (name, pairs), column, kind in zip(
        config.grids().items(), (1, 0), ("$p$", "$n$"), strict=True
    ):
        for noise in config.noise:
            curves = {
                metric: np.array(features.curves[f"{name}/{metric}/{noise:g}"])
                for metric in METRICS
            }
            yield f"features, {kind}", noise, [pair[column] for pair in pairs], curves
    network = NetworkConfig(**widths.config)
    for kind, x, chosen in (
        ("width", network.widths, np.s_[:, :, 0, -1]),
        ("epoch", network.epochs(network.samples[0]), np.s_[:, -1, 0]),
    ):
        for noise in network.noise:
            yield (
                f"networks, {kind}",
                noise,
                x,
                {m: network_curves(widths, m, noise)[chosen] for m in METRICS},
            )
    network = NetworkConfig(**samples.config)
    for noise in network.noise:
        curves = {
            metric: network_curves(samples, metric, noise)[:, 0, :, -1]
            for metric in METRICS
        }
        yield "networks, $n$", noise, network.samples, curves


def _threshold(x: Sequence[float], train: np.ndarray) -> float | None:
    """The critical point; over the number of samples, where the training error rises,
    that is where fitting ends.
    """
    return (
        critical_point(x, train)
        if train[0] >= train[-1]
        else critical_point(x[::-1], train[::-1])
    )


def network_curves(run: Run, metric: str, noise: float) -> np.ndarray:
    """Shape: seeds x widths x numbers of samples x evaluations."""
    config = NetworkConfig(**run.config)
    found = [
        [run.curves[f"{metric}/{noise:g}/{width}/{n}"] for n in config.samples]
        for width in config.widths
    ]
    return np.array(found).transpose(2, 0, 1, 3)


def _mark(axes: Axes, x: float, color: str = "0.4") -> None:
    axes.axvline(x, color=color, linestyle=":", linewidth=0.9)


def _title(kind: str, symbol: str, value: int) -> str:
    return f"{kind}, ${symbol} = {value}$"
