"""Question 6: layers of PyTorch, whose output sides and parameters are counted on the
meta device, and torchvision's VGG-11.
"""

from functools import cache
from math import prod

import torch
from torch import nn
from torchvision.models import vgg11

from hw2.formulas.checking import Case, World
from hw2.formulas.meaning import Given, Scope

# image side H, kernel M, padding P, stride S, channels in, filters N, outputs n_out
INSTANCES = {
    "a window that does not fit": (8, 3, 0, 2, 2, 5, 4),
    "padded, stride 3": (11, 4, 2, 3, 3, 4, 7),
    "one filter, stride 1": (6, 5, 1, 1, 4, 1, 3),
    "kernel as large as the image": (5, 5, 0, 4, 1, 2, 1),
    "kernel 1, two pixels": (2, 1, 3, 2, 6, 3, 2),
}


@cache
def side_after(kind: type[nn.Module], side: int, *arguments: int) -> int:
    """The side of what a layer for one channel makes of a square image."""
    with torch.device("meta"):
        layer = kind(*arguments)
        return layer(torch.empty(1, 1, side, side)).shape[-1]


@cache
def parameters(kind: type[nn.Module], *arguments: int) -> int:
    """The parameters that PyTorch gives a layer."""
    with torch.device("meta"):
        return sum(p.numel() for p in kind(*arguments).parameters())


@cache
def flattened(channels: int, side: int) -> int:
    with torch.device("meta"):
        return nn.Flatten()(torch.empty(1, channels, side, side)).shape[1]


def of(scope: Scope, *names: str) -> list[int]:
    return [scope[name] for name in names]


@cache
def network() -> nn.Module:
    with torch.device("meta"):
        return vgg11()


def layers(kind: type[nn.Module]) -> list[nn.Module]:
    return [module for module in network().modules() if isinstance(module, kind)]


def setting(kind: type[nn.Module], name: str) -> int:
    """A setting that all layers of a kind share in VGG-11."""
    found = {getattr(module, name) for module in layers(kind)}
    (shared,) = {
        x for item in found for x in (item if type(item) is tuple else (item,))
    }
    return shared


def count(*kinds: type[nn.Module]) -> int:
    """The parameters of all layers of these kinds in VGG-11."""
    return sum(prod(p.shape) for k in kinds for m in layers(k) for p in m.parameters())


@cache
def last_map() -> tuple[int, ...]:
    """The sides of VGG-11's last feature map for 224 x 224 pixels."""
    with torch.device("meta"):
        features: torch.nn.Module = network().features  # type: ignore[assignment]
        return tuple(features(torch.empty(1, 3, 224, 224)).shape[2:])


def positions(scope: Scope) -> list[int]:
    """The left edges at which the window is on the extended image."""
    extended = scope["P"] + scope["H"] + scope["P"]
    return [left for left in range(extended) if left + scope["M"] <= extended]


def pooled(scope: Scope) -> int:
    return side_after(nn.MaxPool2d, *of(scope, "H", "M", "S", "P"))


def window(scope: Scope) -> tuple[int, ...]:
    layer = nn.Conv2d(scope["C_in"], scope["N"], scope["M"], device="meta")
    return tuple(layer.weight.shape[2:])


def weights_of_filter(scope: Scope) -> int:
    layer = nn.Conv2d(scope["C_in"], scope["N"], scope["M"], device="meta")
    return layer.weight[0].numel()


CONV = {
    "M": setting(nn.Conv2d, "kernel_size"),
    "P": setting(nn.Conv2d, "padding"),
    "S": setting(nn.Conv2d, "stride"),
}
POOL = {
    "M": setting(nn.MaxPool2d, "kernel_size"),
    "P": setting(nn.MaxPool2d, "padding"),
    "S": setting(nn.MaxPool2d, "stride"),
}
WHOLE = {
    "P_all": count(nn.Conv2d, nn.Linear),
    "P_classifier": count(nn.Linear),
    "P_conv": count(nn.Conv2d),
}


def instance(H: int, M: int, P: int, S: int, C: int, N: int, n_out: int) -> dict:
    return {
        "H": H,
        "M": M,
        "P": P,
        "S": S,
        "N": N,
        "C_in": C,
        "n_out": n_out,
        "n_in": Given(lambda s: flattened(*of(s, "C_in", "H"))),
        "H_out": Given(
            lambda s: side_after(nn.Conv2d, s["H"], 1, 1, *of(s, "M", "S", "P"))
        ),
        "P_conv": Given(lambda s: parameters(nn.Conv2d, *of(s, "C_in", "N", "M"))),
        "P_fc": Given(lambda s: parameters(nn.Linear, *of(s, "n_in", "n_out"))),
    }


WORLD = World(
    section="q6",
    how="layers of PyTorch of several sizes, and torchvision's VGG-11",
    instances={name: instance(*sizes) for name, sizes in INSTANCES.items()},
    cases=(
        Case("0", equals=lambda scope: positions(scope)[0]),
        Case("H + 2P - M", equals=lambda scope: positions(scope)[-1]),
        Case("M = 3", bind=CONV),
        Case("P = S = 1", bind=CONV),
        Case(r"H_{\mathrm{out}} = H", bind=CONV),
        Case(r"M \times M", equals=window),
        Case(r"M \cdot M \cdot C_{\mathrm{in}}", equals=weights_of_filter),
        Case(r"2 \times 2", equals=lambda scope: (POOL["M"], POOL["M"])),
        Case("M = S = 2", bind=POOL),
        Case("P = 0", bind=POOL),
        Case(
            r"H_{\mathrm{out}} = \left\lfloor \frac{H}{2} \right\rfloor",
            bind=POOL | {"H_out": Given(pooled)},
        ),
        Case(r"P_{\mathrm{all}} = 132\,863\,336", bind=WHOLE),
        Case(
            r"\frac{P_{\mathrm{classifier}}}{P_{\mathrm{all}}} = "
            r"\frac{15\,455\,357}{16\,607\,917}",
            bind=WHOLE,
        ),
        Case(r"7 \times 7", equals=lambda scope: last_map()),
    ),
)
