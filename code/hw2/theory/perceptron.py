"""Task 2: how many parameters a perceptron has, and why averaging several of them
helps.
"""

import itertools

import sympy as sp
from torch import nn

from hw2.claims import claim

d, w, L = sp.symbols("d w L", positive=True, integer=True)
p_1, p_2 = sp.symbols("p_1 p_2", positive=True)
PARAMETERS = (d + 1) * w + (L - 1) * (w + 1) * w + w + 1
ENSEMBLE = sp.Le(-sp.log((p_1 + p_2) / 2), -(sp.log(p_1) + sp.log(p_2)) / 2)


@claim(
    "eq-t2-parameters",
    "parameters of a perceptron with L hidden layers of equal width",
    held="on instances",
    method="parameters of torch.nn.Linear layers",
    domain="1 to 6 inputs, widths 1 to 6, 1 to 4 hidden layers",
    claimed=PARAMETERS,
    mutants={
        "no biases": d * w + (L - 1) * w**2 + w,
        "one hidden layer too many": (d + 1) * w + L * (w + 1) * w + w + 1,
        "output without its bias": PARAMETERS - 1,
    },
)
def check_parameters(parameters: sp.Expr) -> bool:
    """Counted on layers that PyTorch makes."""
    count = sp.lambdify((d, w, L), parameters)
    for inputs, width, depth in itertools.product(
        range(1, 7), range(1, 7), range(1, 5)
    ):
        sizes = [inputs, *[width] * depth, 1]
        layers = [nn.Linear(a, b, device="meta") for a, b in itertools.pairwise(sizes)]
        if count(inputs, width, depth) != sum(
            p.numel() for layer in layers for p in layer.parameters()
        ):
            return False
    return True


@claim(
    "eq-t2-ensemble",
    "the loss of averaged probabilities is at most the average of the losses",
    held="for all values",
    method="sympy: arithmetic against geometric mean; and on a grid",
    domain="two members, any positive probabilities; grid of 99 x 99",
    claimed=ENSEMBLE,
    mutants={
        "the other way round": sp.Ge(*ENSEMBLE.args),
        "a sum in place of the mean": sp.Le(
            -sp.log(p_1 + p_2), -(sp.log(p_1) + sp.log(p_2))
        ),
        "twice the gain": sp.Le(2 * ENSEMBLE.lhs, ENSEMBLE.rhs),
    },
)
def check_ensemble(inequality: sp.core.relational.Relational) -> bool:
    """With e^(-2 loss) on both sides, what is left is the square of p_1 - p_2."""
    gap = (
        inequality.rhs - inequality.lhs
        if isinstance(inequality, sp.Le)
        else inequality.lhs - inequality.rhs
    )
    square = sp.simplify(sp.exp(2 * gap) * 4 * p_1 * p_2 - 4 * p_1 * p_2)
    if sp.expand(square - (p_1 - p_2) ** 2) != 0:
        return False
    holds = sp.lambdify((p_1, p_2), inequality)
    grid = [i / 100 for i in range(1, 100)]
    return all(holds(a, b) for a, b in itertools.product(grid, grid))
