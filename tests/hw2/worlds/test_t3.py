"""Task 3 on the page: its world is right, and errors in it are noticed."""

import pytest
import torch
from torch import nn

from hw2.data.imagenette import Images
from hw2.tasks import imagenette
from hw2.theory.residual import counted
from hw2.worlds import t3
from hw2.worlds.t3 import WORLD


def test_no_formula_has_a_fault(page) -> None:
    assert [fault for f in page.today for fault in f.faults] == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"$3 \cdot 3 \cdot c c'$", r"$3 \cdot c c'$"),
        ("$c_0 = 3$", "$c_0 = 1$"),
        (r"\sum_{i=1}^{S} \left(9 c_{i-1}", r"\sum_{i=0}^{S-1} \left(9 c_{i-1}"),
        ("10 (c_S + 1)", "10 (c_1 + 1)"),
        (r"$G = U S V^\top$", "$G = U S V$"),
        (r"$U V^\top$", r"$V U^\top$"),
        (r"$a \cdot \mathcal{N}(0, 1)$", r"$\mathcal{N}(0, a)$"),
    ],
)
def test_a_planted_error_is_a_fault(page, right: str, wrong: str) -> None:
    assert page.faults(right, wrong)


@pytest.mark.parametrize("name", WORLD.instances)
def test_parameters_are_those_of_torchvision_s_blocks(name: str) -> None:
    assert WORLD.instances[name]["P"] == counted(*t3.SIZES[name])


def test_the_noise_that_is_added_is_a_times_a_standard_normal_one() -> None:
    seen: list[torch.Tensor] = []

    class Watch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x.new_zeros(len(x), 10)

    black = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    data = Images(black, torch.zeros(2, dtype=torch.long))
    imagenette.right_in_noise(Watch(), data, 0.5, 0)
    assert abs(seen[0].mean()) < 0.02
    assert abs(seen[0].std() - 0.5) < 0.02
