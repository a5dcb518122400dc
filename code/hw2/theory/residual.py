"""Task 3: how many parameters a residual network of 3 x 3 convolutions and GroupNorm
has.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import cache

import sympy as sp
from torch import nn

from hw2.claims import claim

# stage i of S: channels c_i, before it c_{i-1}, residual blocks b_i; to sympy each of
# these is one symbol
i, S = sp.symbols("i S")
c, c_before, c_last, b = sp.symbols("c_i c_{i-1} c_S b_i")
CONVOLUTION, BLOCK, CLASSIFIER = (
    9 * c_before * c + 2 * c,
    2 * (9 * c**2 + 2 * c),
    10 * (c_last + 1),
)
PARAMETERS = sp.Sum(CONVOLUTION + b * BLOCK, (i, 1, S)) + CLASSIFIER


def parameters(
    widths: Sequence[int], blocks: Sequence[int], formula: sp.Expr = PARAMETERS
) -> int:
    """The formula's value for stages of `widths` channels and `blocks` residual blocks,
    on images of three channels. Raises KeyError where it sums over a stage that is not
    there.
    """

    sums = list(formula.atoms(sp.Sum))
    if len(sums) != 1:
        raise ValueError(f"{formula} has not one sum over the stages")
    (_, low, high), total = sums[0].limits[0], sp.Symbol("total")
    stages = dict(enumerate(zip((3, *widths), widths, blocks, strict=False), 1))
    indices = range(int(low), int(high.subs(S, len(widths))) + 1)
    term = _compiled((c_before, c, b), sums[0].function)
    rest = _compiled((total, c_last), formula.subs(sums[0], total))
    return rest(sum(term(*stages[k]) for k in indices), widths[-1])


@cache
def _compiled(symbols: tuple[sp.Symbol, ...], formula: sp.Expr) -> Callable[..., int]:
    return sp.lambdify(symbols, formula, "math")


@cache
def counted(widths: tuple[int, ...], blocks: tuple[int, ...]) -> int:
    """The same, counted on layers of PyTorch and residual blocks of torchvision's
    ResNet, made without memory.
    """
    # takes seconds, which a verdict that is kept need not wait for
    from torchvision.models.resnet import BasicBlock

    def norm(channels: int) -> nn.GroupNorm:
        return nn.GroupNorm(1, channels, device="meta")

    layers: list[nn.Module] = [nn.Linear(widths[-1], 10, device="meta")]
    for before, width, n in zip((3, *widths), widths, blocks, strict=False):
        layers += [nn.Conv2d(before, width, 3, bias=False, device="meta"), norm(width)]
        layers += [BasicBlock(width, width, norm_layer=norm) for _ in range(n)]
    return sum(
        parameter.numel() for layer in layers for parameter in layer.parameters()
    )


@claim(
    "eq-t3-parameters",
    "parameters of the residual network",
    held="on instances",
    method="parameters of layers of PyTorch and of torchvision's ResNet",
    domain="1 to 3 stages, widths 1, 2 and 5, 0 to 2 blocks in each",
    claimed=PARAMETERS,
    mutants={
        "convolutions with a bias": sp.Sum(
            CONVOLUTION + c + b * (BLOCK + 2 * c), (i, 1, S)
        )
        + CLASSIFIER,
        "blocks of one convolution": sp.Sum(CONVOLUTION + b * BLOCK / 2, (i, 1, S))
        + CLASSIFIER,
        "no gains and biases of the norms": sp.Sum(
            9 * c_before * c + 18 * b * c**2, (i, 1, S)
        )
        + CLASSIFIER,
        "classifier without its bias": PARAMETERS - 10,
    },
)
def check_parameters(formula: sp.Expr) -> bool:
    for stages in range(1, 4):
        for widths in itertools.product((1, 2, 5), repeat=stages):
            for blocks in itertools.product(range(3), repeat=stages):
                if parameters(widths, blocks, formula) != counted(widths, blocks):
                    return False
    return True
