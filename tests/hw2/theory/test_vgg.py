"""The VGG-11 table against figures worked out by hand, and the size rules against
PyTorch.
"""

import pytest
import torch
from torch import nn
from torchvision.models import vgg11

from hw2.theory import vgg


def test_hand_computed_rows():
    rows = dict(enumerate(vgg.rows()))
    assert rows[1] == vgg.Row("CONV3-64", (224, 224, 64), 3 * 3 * 3 * 64 + 64)
    assert rows[3] == vgg.Row("POOL2", (112, 112, 64), 0)
    assert rows[22] == vgg.Row("FC-4096", (4096,), 25088 * 4096 + 4096)
    assert rows[25] == vgg.Row("SOFTMAX", (1000,), 0)


def test_the_known_total():
    assert vgg.total(vgg.rows()) == 132_863_336


@pytest.mark.parametrize("size", [100, 225, 63])
def test_sizes_of_odd_inputs_agree_with_pytorch(size):
    x = torch.empty(1, 1, size, size, device="meta")
    for before, after, lost in vgg.lost_columns(size):
        assert x.shape[-1] == before
        assert lost == before % 2
        x = nn.MaxPool2d(2)(x)
        assert x.shape[-1] == after


def test_the_comparison_table_is_read_off_torchvision():
    assert (
        sum(
            row.parameters
            for row in vgg.torchvision_rows()
            if row.layer.startswith("CONV")
        )
        == 9_220_480
    )


def test_weights_without_biases_are_those_of_the_layers():
    with torch.device("meta"):
        network = vgg11()
    shapes = [p for p in network.parameters() if p.ndim > 1]
    assert vgg.weights(vgg.rows()) == sum(p.numel() for p in shapes)
