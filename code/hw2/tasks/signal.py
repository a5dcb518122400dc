"""Task 1: what happens to a signal, and to a gradient, on the way through 100 random
layers of 512 units.

Weights are `fan_out x fan_in` matrices and a layer is `activation(weights @ x)`, as in
the assignment. Layers count from 1; layer 0 is the input.
"""

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hw2.kept import kept

WIDTH, DEPTH, SEED = 512, 100, 211

Init = Callable[[int, int], Tensor]


def unit_init(fan_in: int, fan_out: int) -> Tensor:
    """Weights from N(0, 1). Shape: fan_out x fan_in."""
    return torch.randn(fan_out, fan_in)


def normalized_init(fan_in: int, fan_out: int) -> Tensor:
    """Weights from N(0, 1 / fan_in). Shape: fan_out x fan_in."""
    return unit_init(fan_in, fan_out) / math.sqrt(fan_in)


def xavier_bound(fan_in: int, fan_out: int) -> float:
    """The bound b of U(-b, b) in Glorot and Bengio (2010), equation 16."""
    return math.sqrt(6 / (fan_in + fan_out))


def xavier_init(fan_in: int, fan_out: int) -> Tensor:
    """Xavier uniform weights. Shape: fan_out x fan_in."""
    bound = xavier_bound(fan_in, fan_out)
    return torch.empty(fan_out, fan_in).uniform_(-bound, bound)


def kaiming_std(fan_in: int) -> float:
    """The standard deviation in He et al. (2015), equation 10."""
    return math.sqrt(2 / fan_in)


def kaiming_init(fan_in: int, fan_out: int) -> Tensor:
    """Kaiming normal weights, fan_in mode. Shape: fan_out x fan_in."""
    return torch.randn(fan_out, fan_in) * kaiming_std(fan_in)


def propagate(
    init: Init,
    activation: Callable[[Tensor], Tensor] | None = None,
    seed: int = SEED,
) -> Tensor:
    """The signal after each layer, the input first. Shape: (DEPTH + 1) x WIDTH."""
    torch.manual_seed(seed)
    signal = [torch.randn(WIDTH)]
    for _ in range(DEPTH):
        y = init(WIDTH, WIDTH) @ signal[-1]
        signal.append(activation(y) if activation else y)
    return torch.stack(signal)


def first_layer(hit: Tensor) -> int | None:
    """The first row of a boolean (layers x units) tensor with a hit in it, or None."""
    rows = hit.any(dim=1).nonzero()
    return int(rows[0]) if len(rows) else None


def overflow_layers(
    width: int, networks: int, depth: int, seed: int = SEED
) -> list[int]:
    """For each of some linear networks with unit normal float32 weights: the first
    layer with an infinite unit.
    """
    torch.manual_seed(seed)
    x, found = torch.randn(networks, 1, width), torch.zeros(networks, dtype=torch.long)
    a = torch.empty(
        networks, width, width
    )  # once: new memory for each layer would cost as much as its numbers
    for layer in range(1, depth + 1):
        x = torch.bmm(x, a.normal_().mT)
        found[(found == 0) & ~x.isfinite().all(dim=2).squeeze(1)] = layer
        if found.all():
            break
    return found.tolist()


@dataclass(frozen=True)
class ProductStatistics:
    """Mean, standard deviation (the assignment's formula) of y = ax over all products,
    and their standard errors.
    """

    mean: float
    mean_error: float
    std: float
    std_error: float


@kept
def product_statistics(
    width: int = WIDTH, products: int = 10_000, seed: int = SEED
) -> ProductStatistics:
    """Multiply fresh pairs of an x and an a from N(0, 1)."""

    def product(number: int, a: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed + number)
        x = torch.empty(width).normal_(generator=generator)
        y = (a.normal_(generator=generator) @ x).double()
        return torch.stack([y.mean(), y.square().mean()])

    mean, square = torch.stack(
        _in_threads(product, range(products), (width, width)), dim=1
    )
    std = square.mean().sqrt().item()
    error = (torch.stack([mean, square]).std(dim=1) / math.sqrt(len(mean))).tolist()
    return ProductStatistics(mean.mean().item(), error[0], std, error[1] / (2 * std))


@dataclass(frozen=True)
class Scheme:
    """An initialization with an activation. Weights are `scale` times N(0, 1), or U(-1,
    1) where `uniform`.
    """

    name: str
    scale: float
    uniform: bool = False
    activation: str = "linear"


SCHEMES = (
    Scheme("unit normal, linear", 1.0),
    Scheme("normalized, linear", 1 / math.sqrt(WIDTH)),
    Scheme("unit normal, tanh", 1.0, activation="tanh"),
    Scheme("Xavier, tanh", xavier_bound(WIDTH, WIDTH), uniform=True, activation="tanh"),
    Scheme("Xavier, ReLU", xavier_bound(WIDTH, WIDTH), uniform=True, activation="relu"),
    Scheme("Kaiming, ReLU", kaiming_std(WIDTH), activation="relu"),
)

# each activation with its derivative as a function of the activation's value
ACTIVATIONS = {
    "linear": (lambda u: u, torch.ones_like),
    "tanh": (torch.tanh, lambda x: 1 - x.square()),
    "relu": (torch.relu, lambda x: (x > 0).to(x.dtype)),
}


@dataclass(frozen=True)
class Trace:
    """Per seed and layer: standard deviation of the units and norm of the gradient,
    relative to the last layer's.

    Shapes: `std` seeds x DEPTH for the layers 1 to DEPTH, `gradient` seeds x (DEPTH +
    1) for the layers 0 to DEPTH.
    """

    std: np.ndarray
    gradient: np.ndarray


@kept
def study(seeds: int = 64, chunk: int = 4) -> dict[str, Trace]:
    """Forward and backward through all schemes for many seeds; schemes with the same
    distribution share draws.
    """
    numbers = range(SEED, SEED + seeds, chunk)
    traces: dict[str, Trace] = {}
    for uniform in (False, True):
        schemes = [scheme for scheme in SCHEMES if scheme.uniform == uniform]
        parts = _in_threads(
            partial(_trace, schemes), numbers, (DEPTH, chunk, WIDTH, WIDTH)
        )
        std, gradient = (torch.cat([part[i] for part in parts]).numpy() for i in (0, 1))
        traces |= {
            s.name: Trace(std[:, :, i], gradient[:, :, i])
            for i, s in enumerate(schemes)
        }
    return {scheme.name: traces[scheme.name] for scheme in SCHEMES}


def _in_threads(
    call: Callable[[int, Tensor], Any], numbers: Sequence[int], shape: tuple[int, ...]
) -> list[Any]:
    """`call(number, memory)` for some numbers, in two threads, each with one tensor of
    this shape as its memory.

    Drawing takes most of the time and one core; new memory for each call would cost as
    much as the numbers in it.
    """
    thread = threading.local()

    def allocate() -> None:
        thread.memory = torch.empty(shape)

    with ThreadPoolExecutor(2, initializer=allocate) as pool:
        return list(pool.map(lambda number: call(number, thread.memory), numbers))


def _trace(schemes: list[Scheme], seed: int, weights: Tensor) -> tuple[Tensor, Tensor]:
    """`chunk` networks of each scheme: std (chunk x DEPTH x schemes) and gradient
    (chunk x DEPTH + 1 x schemes).

    The weights are drawn into a tensor (DEPTH x chunk x WIDTH x WIDTH), layer by layer,
    as they are used. A signal is a row, one for each scheme: as columns the products
    would take two to four times as long.
    """
    chunk = weights.shape[1]
    generator = torch.Generator().manual_seed(seed)
    x, g = (
        torch.empty(chunk, 1, WIDTH)
        .normal_(generator=generator)
        .repeat(1, len(schemes), 1)
        for _ in range(2)
    )
    scale = torch.tensor([[scheme.scale] for scheme in schemes])
    signal = []
    for a in weights:
        if schemes[0].uniform:
            a.uniform_(-1, 1, generator=generator)
        else:
            a.normal_(generator=generator)
        u = torch.bmm(x, a.mT) * scale
        x = torch.stack(
            [ACTIVATIONS[s.activation][0](u[:, i]) for i, s in enumerate(schemes)],
            dim=1,
        )
        signal.append(x)
    g = g / g.norm(dim=2, keepdim=True)
    # in double: squares of large floats leave the range
    norms = [g.double().norm(dim=2)]
    for a, x in zip(reversed(weights.unbind()), reversed(signal), strict=True):
        slope = torch.stack(
            [ACTIVATIONS[s.activation][1](x[:, i]) for i, s in enumerate(schemes)],
            dim=1,
        )
        g = torch.bmm(slope * g, a) * scale
        norms.append(g.double().norm(dim=2))
    std = [x.double().std(dim=2) for x in signal]
    return torch.stack(std, dim=1), torch.stack(norms[::-1], dim=1)
