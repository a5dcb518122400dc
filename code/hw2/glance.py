"""The answers on the first page of the report, each computed as in its section."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hw2 import experiments
from hw2.data import magic as magic_data
from hw2.intervals import difference, signed
from hw2.tasks import imagenette, magic, magic_baselines, signal
from hw2.theory import double_descent, vgg

# the two others of Task 2, as they are called on the page
INITIALIZATIONS = {
    "xavier_uniform": "Xavier uniform",
    "small_normal": f"normal with std {magic.SMALL_STD:g}",
}


def answers() -> dict[str, str]:
    """What the first page says, by name, as it is written there."""
    return {**_theory(), **_signal(), **_magic(), **_imagenette()}


def _theory() -> dict[str, str]:
    rows = vgg.rows()
    a, b, c = (list(double_descent.curves(plot).values()) for plot in "abc")
    large = c[-1].peak
    assert large
    return {
        "a": _peaks(a),
        "b": _peaks(b),
        "b noise": _listed([curve.name.split()[0] for curve in b]),
        "c": f"{large[0]:g}",
        "parameters": f"{vgg.total(rows):,}",
        "share": f"{vgg.fc_total(rows) / vgg.total(rows):.2%}",
    }


def _peaks(curves: list[double_descent.Curve]) -> str:
    return _listed([f"{curve.peak[0]:g}" for curve in curves if curve.peak])


def _listed(items: list[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if items[1:] else items)


def _signal() -> dict[str, str]:
    units = signal.propagate(signal.unit_init)
    products = signal.product_statistics(width=signal.WIDTH, products=10_000)

    def last(
        init: signal.Init, activation: Callable[[Tensor], Tensor] | None = None
    ) -> str:
        x = signal.propagate(init, activation)[-1]
        form = ".1e" if x.std() < 1e-4 else ".4f"
        return f"mean {_minus(f'{x.mean():{form}}')}, std {x.std():{form}}"

    return {
        "inf": str(signal.first_layer(units.isinf())),
        "nan": str(signal.first_layer(units.isnan())),
        "product mean": _minus(f"{products.mean:.4f}"),
        "product std": f"{products.std:.4f}",
        "root": f"{signal.WIDTH**0.5:.4f}",
        "normalized": last(signal.normalized_init),
        "tanh": last(signal.unit_init, torch.tanh),
        "xavier": last(signal.xavier_init, torch.tanh),
        "kaiming": last(signal.kaiming_init, torch.relu),
        "xavier relu": last(signal.xavier_init, torch.relu),
    }


def _minus(number: str) -> str:
    """A number whose sign, not that of its exponent, is longer than a hyphen."""
    return re.sub("^-", "\N{MINUS SIGN}", number)


def baselines() -> dict[str, float]:
    """Test accuracy of logistic regression after learning from all rows but test, by
    what the features go through.
    """
    frame, split, rest = magic.load()
    x, y = magic_data.arrays(frame)
    models = {
        "standardized features": magic_baselines.logistic(),
        "the network's preprocessing": magic_baselines.prepared(),
    }
    return {
        name: model.fit(x[rest], y[rest]).score(x[split.test], y[split.test])
        for name, model in models.items()
    }


def _magic() -> dict[str, str]:
    final, single, plain = (
        experiments.get("magic", name).summary["test_accuracy"]
        for name in ("final", "single", "plain")
    )
    others = experiments.get("magic", "initializations").summary
    return {
        "seeds of task 2": str(len(final["values"])),
        "baseline": _listed(
            [f"{share:.2%} ({name})" for name, share in baselines().items()]
        ),
        "network": f"{_percent(final)} (ensemble of {magic.Config.members}), "
        f"{_percent(single)} (one network), {_percent(plain)} (plain perceptron)",
        "initializations": "; ".join(
            f"{title} {_percent(others[name])}, "
            f"change {signed(100 * (others[name]['mean'] - final['mean']))} points"
            for name, title in INITIALIZATIONS.items()
        ),
    }


def _imagenette() -> dict[str, str]:
    constant, plain, augmented, bare = (
        experiments.get("imagenette", name)
        for name in ("constant", "plain", "augmented", "untransformed")
    )
    network = imagenette.Network(imagenette.PLAIN, imagenette.synthetic().images)
    count = sum(parameter.numel() for parameter in network.parameters())
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(nn.Linear) == 1  # "one"
    before, after = (run.summary["test_accuracy"] for run in (plain, augmented))
    change = difference(after, before)
    told = "improved" if change.low > 0 else "changed"
    alone = difference(after, bare.summary["test_accuracy"])
    return {
        "seeds of task 3": str(len(after["values"])),
        "cnn": f"{kinds.count(nn.Conv2d)} convolutions and one fully connected layer, "
        f"{count:,} parameters, {4 * count / 1e6:.2f} MB in float32",
        "plain": f"{_percent(constant.summary['test_accuracy'])} at constant "
        f"resolution, {_percent(before)} at growing resolution",
        "noise": "; ".join(
            f"{_percent(plain.summary[f'noise_{level:g}'])} at a = {level:g}"
            for level in sorted(imagenette.NOISE, reverse=True)
        ),
        "augmented": f"{_percent(after)}, it {told} by "
        f"{signed(100 * change.mean)} points, at equal regularization by "
        f"{signed(100 * alone.mean)}",
    }


def _percent(number: Mapping[str, Any]) -> str:
    return f"{100 * number['mean']:.2f} ± {100 * number['std']:.2f}%"
