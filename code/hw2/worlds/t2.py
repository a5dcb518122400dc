"""Task 2: layers of the network that is trained, and losses as PyTorch has them."""

import math
from functools import cache

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from hw2.formulas.checking import Case, World
from hw2.formulas.meaning import Free, Law, Scope, equal, truth, value
from hw2.formulas.reading import Node
from hw2.tasks import magic

SIZES = {  # inputs, hidden layers, units of each
    "3 inputs, 2 layers of 4": (3, 2, 4),
    "1 input, 1 layer of 1": (1, 1, 1),
    "2 inputs, 4 layers of 3": (2, 4, 3),
}
FREQUENCIES, AT = (0.3, -0.7, 1.9), 0.45


@cache
def counted(inputs: int, depth: int, width: int) -> int:
    """Parameters of one network of the ensemble without its periodic layer."""
    config = magic.Config(members=1, depth=depth, width=width, frequencies=0)
    model = magic.Ensemble(config, inputs, [0])
    return sum(parameter.numel() for parameter in model.parameters())


@cache
def periodic() -> list[float]:
    """What the layer makes of one feature: it, its sines, its cosines."""
    layer = magic.Periodic(1, 1, len(FREQUENCIES)).double()
    with torch.no_grad():
        layer.frequency.copy_(torch.tensor(FREQUENCIES, dtype=torch.double))
        return layer(torch.tensor([[[AT]]], dtype=torch.double)).flatten().tolist()


def miss(scope: Scope) -> float:
    """The distance of the source's place, the origin, from the axis: a line at an angle
    of alpha to the line between source and shower.
    """
    shower = np.array([scope["dist"], 0.0])
    axis = np.array([math.cos(scope["alpha"]), math.sin(scope["alpha"])])
    return float(np.linalg.norm(shower - (shower @ axis) * axis))


def is_miss(node: Node, scope: Scope) -> bool:
    """As geometry has it, and as the derived feature has it."""
    row = np.ones((1, 10))
    row[0, 8:] = math.degrees(scope["alpha"]), scope["dist"]
    found = value(node, scope)
    return equal(found, miss(scope)) and equal(found, float(magic.derive(row)[0, 11]))


def averaged(node: Node, scope: Scope) -> bool:
    """On the left the loss of the mean probability, on the right the mean loss."""
    p = torch.tensor([scope["p_1"], scope["p_2"]], dtype=torch.double)
    one = torch.ones((), dtype=torch.double)
    left, right = (value(part, scope) for part in node.parts)
    return (
        truth(node, scope)
        and equal(left, binary_cross_entropy(p.mean(), one).item())
        and equal(
            right,
            binary_cross_entropy_with_logits(p.logit(), one.expand_as(p)).item(),
        )
    )


def instance(name: str) -> dict[str, object]:
    inputs, depth, width = SIZES[name]
    return {
        "d": inputs,
        "L": depth,
        "w": width,
        "P": counted(inputs, depth, width),
        "p_1": Free((0.2, 0.9)),
        "p_2": Free((0.9, 0.35)),
        "dist": Free((130.0, 40.0)),
        "alpha": Free((0.3, 1.2)),
        "x": AT,
        "c": FREQUENCIES,
        "i": Free((1, 2, 3)),
        "cal-N": lambda mean, variance: Law("N", (mean, variance)),
    }


WORLD = World(
    section="t2",
    how="networks of three sizes, and the package's own layers and features",
    instances={name: instance(name) for name in SIZES},
    functions=frozenset({"cal-N"}),
    cases=(
        Case(r"\mathrm{dist} \cdot \sin\alpha", holds=is_miss),
        Case(r"\sin(2\pi c_i x)", equals=lambda scope: periodic()[scope["i"]]),
        Case(
            r"\cos(2\pi c_i x)",
            equals=lambda scope: periodic()[len(FREQUENCIES) + scope["i"]],
        ),
        Case(
            r"-\log\left(\frac{p_1 + p_2}{2}\right)"
            r" \le -\frac{\log(p_1) + \log(p_2)}{2}",
            holds=averaged,
        ),
        Case(
            r"\mathcal{N}(0, 0.005^2)",
            equals=lambda scope: Law("N", (0, magic.SMALL_STD**2)),
        ),
    ),
)
