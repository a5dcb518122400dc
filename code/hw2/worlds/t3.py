"""Task 3: the network that is trained, in several sizes, and its layers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy import linalg

from hw2.formulas.checking import Case, World
from hw2.formulas.meaning import Free, Given, Interval, Law, Scope, column, equal, value
from hw2.formulas.reading import Node
from hw2.tasks import imagenette

SIZES = {  # channels and residual blocks of the stages
    "3 stages": ((1, 4, 3), (2, 0, 1)),
    "1 stage": ((2,), (1,)),
    "2 stages, no blocks": ((3, 2), (0, 0)),
}

FILTERS = {  # a sum, a difference, and neither
    "3 stages": (1.0, 1.0, 1.0),
    "1 stage": (0.5, -0.5),
    "2 stages, no blocks": (0.3, -1.2, 0.7, 2.0),
}


@dataclass(frozen=True)
class Normal(Law):
    """A normal distribution, which can be scaled."""

    def __rmul__(self, scale: Any) -> "Normal":
        mean, variance = self.parameters
        return Normal("N", (scale * mean, scale**2 * variance))


@cache
def network(name: str) -> imagenette.Network:
    widths, blocks = SIZES[name]
    config = imagenette.Config(widths=widths, blocks=blocks, groups=1)
    return imagenette.Network(config, imagenette.synthetic().images)


def stages(name: str) -> dict[str, object]:
    """What the network's own modules say of its stages."""
    channels: dict[int, int] = {}
    blocks: dict[int, int] = {}
    stages: Any = network(name).stages
    for number, stage in enumerate(stages, start=1):
        (layer,) = (m for m in stage if isinstance(m, torch.nn.Conv2d))
        channels |= {number - 1: layer.in_channels, number: layer.out_channels}
        blocks[number] = sum(isinstance(m, imagenette.Residual) for m in stage)
    return {
        "c": channels,
        "b": blocks,
        "S": len(network(name).stages),
        "P": sum(parameter.numel() for parameter in network(name).parameters()),
    }


def matrices(name: str) -> dict[str, object]:
    """A gradient of the shape of a layer, and its singular value decomposition."""
    shape = {"3 stages": (3, 2), "1 stage": (2, 4)}.get(name, (1, 1))
    gradient = np.random.default_rng(211).standard_normal(shape)
    left, values, right = np.linalg.svd(gradient, full_matrices=False)
    return {
        "G": gradient,
        "U": left,
        "V": right.T,
        "singular values": np.diag(values),
    }


def passes_gradient(node: Node, scope: Scope) -> bool:
    """Its derivative is 1 besides that of the branch."""

    def slope(function: Callable[[float], float]) -> float:
        step, x = 1e-4, scope["x"]
        return (function(x + step) - function(x - step)) / (2 * step)

    whole = slope(lambda x: value(node, scope.with_({"x": x})))
    return equal(whole - slope(scope["f"]), 1, 1e-7)


def after_filter(scope: Scope) -> float:
    """The variance of a sum of noise with the weights of a filter."""
    noise = scope["a"] ** 2 * np.eye(len(scope["w"]))
    return float((scope["w"].T @ noise @ scope["w"]).item())


def scalable(variance: Callable[[Scope], float]) -> Callable[[Scope], Law]:
    return lambda scope: Normal("N", (0, variance(scope)))


def instance(name: str) -> dict[str, object]:
    return {
        **stages(name),
        **matrices(name),
        "c'": 7,
        "x": Free((0.3, -1.1)),
        "f": lambda x: np.tanh(2 * x) - x**2,
        "i": Free(tuple(range(1, len(SIZES[name][0]) + 1))),
        "a": Free(imagenette.NOISE),
        "w": column(FILTERS[name]),
        "cal-N": lambda mean, variance: Normal("N", (mean, variance)),
    }


CHANNELS = 5  # of the single layers
decomposed = {"S": Given(lambda scope: scope["singular values"])}

WORLD = World(
    section="t3",
    how="networks of one to three stages, their parameters counted",
    instances={name: instance(name) for name in SIZES},
    functions=frozenset({"f", "cal-N"}),
    cases=(
        Case(
            r"3 \cdot 3 \cdot c c'",
            bind={"c": CHANNELS},
            equals=lambda scope: sum(
                p.numel()
                for p in imagenette.convolution(
                    CHANNELS, scope["c'"], imagenette.PLAIN
                ).parameters()
            ),
        ),
        Case(
            "c + 1",
            bind={"c": CHANNELS},
            equals=lambda _: sum(
                p.numel() for p in torch.nn.Linear(CHANNELS, 1).parameters()
            ),
        ),
        Case("x + f(x)", holds=passes_gradient),
        Case(r"G = U S V^\top", bind=decomposed),
        Case(r"U V^\top", equals=lambda scope: linalg.polar(scope["G"])[0]),
        Case(
            "[0, 1]",
            equals=lambda _: Interval(
                *imagenette.unit(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
            ),
        ),
        Case("a^2 |w|^2", equals=after_filter),
        Case(
            r"a \cdot \mathcal{N}(0, 1)", equals=scalable(lambda scope: scope["a"] ** 2)
        ),
    ),
)
