"""Question 6: VGG-11 from its layer rules (Simonyan and Zisserman 2015, configuration
A), computed with sympy.

A square input of H x H pixels is assumed throughout; sizes and parameter counts are
exact integers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise, product
from typing import Any

import sympy as sp
import torch
from torch import nn

from hw2.claims import claim

M, N, H, P, S = sp.symbols("M N H P S", positive=True, integer=True)
C_in, n_in, n_out = sp.symbols(
    r"C_{\mathrm{in}} n_{\mathrm{in}} n_{\mathrm{out}}", positive=True, integer=True
)

ARCHITECTURE = (
    "CONV3-64", "ReLU", "POOL2", "CONV3-128", "ReLU", "POOL2", "CONV3-256", "ReLU",
    "CONV3-256", "ReLU", "POOL2", "CONV3-512", "ReLU", "CONV3-512", "ReLU", "POOL2",
    "CONV3-512", "ReLU", "CONV3-512", "ReLU", "POOL2", "FC-4096", "FC-4096", "FC-1000",
    "SOFTMAX",
)  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """What each kind of layer does to the size of its input, and how many parameters it
    has.
    """

    conv_size: sp.Expr
    conv_parameters: sp.Expr
    pool_size: sp.Expr
    fc_parameters: sp.Expr
    flatten_size: sp.Expr
    padding: int


@dataclass(frozen=True)
class Row:
    """One row of the table. `shape` is (height, width, channels) or (neurons,)."""

    layer: str
    shape: tuple[int, ...]
    parameters: int

    @property
    def is_fc(self) -> bool:
        return self.layer.startswith("FC")


RULES = Rules(
    conv_size=sp.floor((H + 2 * P - M) / S) + 1,
    conv_parameters=M * M * C_in * N + N,
    pool_size=sp.floor(H / 2),
    fc_parameters=n_in * n_out + n_out,
    flatten_size=H * H * C_in,
    padding=1,
)


def rows(rules: Rules = RULES, size: int = 224, channels: int = 3) -> list[Row]:
    """The table of VGG-11 for a `size` x `size` input, by the given rules."""
    table = [Row("INPUT", (size, size, channels), 0)]
    for layer in ARCHITECTURE:
        shape, parameters = table[-1].shape, 0
        if layer.startswith("CONV"):
            kernel, filters = (
                int(number) for number in layer.removeprefix("CONV").split("-")
            )
            at = {
                H: shape[0],
                M: kernel,
                P: rules.padding,
                S: 1,
                C_in: shape[2],
                N: filters,
            }
            side, parameters = (
                int(rules.conv_size.subs(at)),
                int(rules.conv_parameters.subs(at)),
            )
            shape = (side, side, filters)
        elif layer.startswith("POOL"):
            side = int(rules.pool_size.subs(H, shape[0]))
            shape = (side, side, shape[2])
        elif layer.startswith("FC"):
            inputs = (
                rules.flatten_size.subs({H: shape[0], C_in: shape[2]})
                if len(shape) == 3
                else shape[0]
            )
            shape = (int(layer.removeprefix("FC-")),)
            parameters = int(rules.fc_parameters.subs({n_in: inputs, n_out: shape[0]}))
        table.append(Row(layer, shape, parameters))
    return table


def total(table: list[Row]) -> int:
    """All parameters of the table."""
    return sum(row.parameters for row in table)


def fc_total(table: list[Row]) -> int:
    """The parameters of the table's fully connected layers."""
    return sum(row.parameters for row in table if row.is_fc)


def weights(table: list[Row]) -> int:
    """The weights of the table without the biases, of which each output channel or
    neuron has one.
    """
    return sum(row.parameters - row.shape[-1] for row in table if row.parameters)


def lost_columns(size: int) -> Iterator[tuple[int, int, int]]:
    """(input size, output size, columns dropped) of each pooling layer for a `size` x
    `size` image.
    """
    for before, after in pairwise(rows(size=size)):
        if after.layer == "POOL2":
            yield before.shape[0], after.shape[0], before.shape[0] - 2 * after.shape[0]


@cache
def torchvision_rows() -> list[Row]:
    """The same table read off `torchvision.models.vgg11` by running it on the meta
    device (shapes, no numbers). Its first and last row are no layers there.
    """
    # takes seconds, which a verdict that is kept need not wait for
    from torchvision.models import vgg11

    with torch.device("meta"):
        network, image = vgg11(), torch.empty(1, 3, 224, 224)
    table = [Row("INPUT", (224, 224, 3), 0)]

    def record(module: Any, _: tuple, output: torch.Tensor) -> None:
        shape = (
            tuple(output.shape[1:])
            if output.ndim == 2
            else (*output.shape[2:], output.shape[1])
        )
        name = {
            nn.Conv2d: lambda: f"CONV{module.kernel_size[0]}-{module.out_channels}",
            nn.ReLU: lambda: "ReLU",
            nn.MaxPool2d: lambda: f"POOL{module.kernel_size}",
            nn.Linear: lambda: f"FC-{module.out_features}",
        }[type(module)]()
        table.append(Row(name, shape, sum(p.numel() for p in module.parameters())))

    linear = [module for module in network.classifier if isinstance(module, nn.Linear)]
    for module in (
        *network.features,
        *linear,
    ):  # the assignment's table has no ReLU or dropout between its FC layers
        module.register_forward_hook(record)
    network.eval()(image)
    return [*table, Row("SOFTMAX", (1000,), 0)]


def counted(module: type[nn.Module], *arguments: int) -> int:
    """The parameters that PyTorch gives a layer, counted without allocating it."""
    return sum(p.numel() for p in module(*arguments, device="meta").parameters())


def output_side(layer: nn.Module, channels: int, side: int) -> int:
    """Side of a layer's output for a `side` x `side` input, by PyTorch on the meta
    device.
    """
    return layer(torch.empty(1, channels, side, side, device="meta")).shape[-1]


@claim(
    "eq-q6-conv-size",
    "side of a convolution's output",
    held="on instances",
    method="nn.Conv2d on the meta device",
    domain="kernel 1 to 5, padding 0 to 2, stride 1 to 3, input 5 to 12",
    claimed=RULES.conv_size,
    mutants={
        "padding on one side only": sp.floor((H + P - M) / S) + 1,
        "no +1": sp.floor((H + 2 * P - M) / S),
        "ceil instead of floor": sp.ceiling((H + 2 * P - M) / S) + 1,
    },
)
def check_conv_size(size: sp.Expr) -> bool:
    formula = sp.lambdify((M, P, S, H), size, "math")
    cases = product(range(1, 6), range(3), range(1, 4), range(5, 13))
    return all(
        formula(m, p, s, h)
        == output_side(nn.Conv2d(1, 1, m, s, p, device="meta"), 1, h)
        for m, p, s, h in cases
    )


@claim(
    "eq-q6-conv",
    "parameters of a convolution with bias",
    held="on instances",
    method="nn.Conv2d on the meta device",
    domain="kernel 1 to 5, 1 to 5 channels in and out",
    claimed=RULES.conv_parameters,
    mutants={
        "bias dropped": M * M * C_in * N,
        "one bias per input channel": M * M * C_in * N + C_in,
        "kernel side once": M * C_in * N + N,
    },
)
def check_conv_parameters(parameters: sp.Expr) -> bool:
    formula = sp.lambdify((M, C_in, N), parameters, "math")
    cases = product(range(1, 6), repeat=3)
    return all(formula(m, c, n) == counted(nn.Conv2d, c, n, m) for m, c, n in cases)


@claim(
    "eq-q6-pool",
    "side of a 2 by 2 max pool's output",
    held="on instances",
    method="nn.MaxPool2d on the meta device",
    domain="input 2 to 64, odd and even",
    claimed=RULES.pool_size,
    mutants={"ceil instead of floor": sp.ceiling(H / 2), "stride 1": H - 1},
)
def check_pool(size: sp.Expr) -> bool:
    return all(
        size.subs(H, h) == output_side(nn.MaxPool2d(2), 1, h) for h in range(2, 65)
    )


@claim(
    "eq-q6-fc",
    "parameters of a fully connected layer with bias",
    held="on instances",
    method="nn.Linear on the meta device",
    domain="1 to 8 inputs and outputs",
    claimed=RULES.fc_parameters,
    mutants={"bias dropped": n_in * n_out, "one bias per input": n_in * n_out + n_in},
)
def check_fc(parameters: sp.Expr) -> bool:
    formula = sp.lambdify((n_in, n_out), parameters, "math")
    return all(
        formula(a, b) == counted(nn.Linear, a, b)
        for a, b in product(range(1, 9), repeat=2)
    )


@claim(
    "tbl-q6-vgg",
    "every row of the VGG-11 table",
    held="exhaustively",
    method="torchvision's vgg11 on the meta device",
    domain=f"{len(ARCHITECTURE) - 1} rows, dimension and parameters; the first and the "
    "last row, which are no layers there, by hand",
    claimed=rows(),
    mutants={
        "bias dropped": rows(
            replace(RULES, conv_parameters=M * M * C_in * N, fc_parameters=n_in * n_out)
        ),
        "padding 0": rows(replace(RULES, padding=0)),
        "flattened to one number per channel": rows(replace(RULES, flatten_size=C_in)),
        "pooling with stride 1": rows(replace(RULES, pool_size=H - 1)),
    },
)
def check_table(table: list[Row]) -> bool:
    return table == torchvision_rows()


@claim(
    "eq-q6-total",
    "number of parameters of VGG-11",
    held="exhaustively",
    method="torchvision's vgg11 on the meta device",
    domain="the network of the question",
    claimed=sp.Integer(total(rows())),
    mutants={
        "bias dropped": sp.Integer(
            total(rows(replace(RULES, conv_parameters=M * M * C_in * N)))
        ),
        "padding 0": sp.Integer(total(rows(replace(RULES, padding=0)))),
    },
)
def check_total(parameters: sp.Integer) -> bool:
    return parameters == total(torchvision_rows())


@claim(
    "eq-q6-share",
    "share of the parameters in fully connected layers",
    held="exhaustively",
    method="torchvision's vgg11 on the meta device",
    domain="the network of the question",
    claimed=sp.Rational(fc_total(rows()), total(rows())),
    mutants={
        "first fully connected layer only": sp.Rational(
            counted(nn.Linear, 7 * 7 * 512, 4096), total(rows())
        ),
        "ratio to the convolutions": sp.Rational(
            fc_total(rows()), total(rows()) - fc_total(rows())
        ),
    },
)
def check_share(share: sp.Rational) -> bool:
    table = torchvision_rows()
    return share == sp.Rational(fc_total(table), total(table))
