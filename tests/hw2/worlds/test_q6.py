"""The world of Question 6: its objects, and errors on the page that it catches."""

import pytest
import torch
from torchvision.models import vgg11

from hw2.formulas.meaning import Scope
from hw2.worlds import q6

WORLD = q6.WORLD


def test_no_faults(page) -> None:
    assert [fault for f in page.today for fault in f.faults] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            r"\left\lfloor \frac{H + 2P - M}{S} \right\rfloor + 1",
            r"\left\lceil \frac{H + 2P - M}{S} \right\rceil + 1",
        ),
        (r"P_{\mathrm{conv}} = M", r"P_{\mathrm{fc}} = M"),
        (r"\frac{P_{\mathrm{classifier}}}", r"\frac{P_{\mathrm{conv}}}"),
        (r"0, \dots, H + 2P - M", r"0, \dots, H + P - M"),
        (r"0, \dots, H + 2P - M", r"1, \dots, H + 2P - M"),
        (r"$M = 3$ and", r"$M = 5$ and"),
        (r"$P = S = 1$", r"$P = S = 2$"),
        (r"H_{\mathrm{out}} = H$", r"H_{\mathrm{out}} = H - 1$"),
        (r"$M \times M$", r"$M \times N$"),
        (r"takes $M \cdot M", r"takes $M \cdot N"),
        (r"\cdot N + N", r"\cdot N + C_{\mathrm{in}}"),
        (r"\cdot N + N", r"\cdot N"),
        (r"$M = S = 2$", r"$M = S = 3$"),
        (r"$P = 0$", r"$P = 1$"),
        (
            r"\left\lfloor \frac{H}{2} \right\rfloor",
            r"\left\lfloor \frac{H}{2} \right\rfloor, \quad P = M",
        ),
        (r"n_{\mathrm{out}} + n_{\mathrm{out}}", r"n_{\mathrm{out}} + n_{\mathrm{in}}"),
        (r"= H \cdot H \cdot C_{\mathrm{in}}", r"= H \cdot C_{\mathrm{in}}"),
        (r"$7 \times 7$ here", r"$7 \times 14$ here"),
    ],
)
def test_errors_on_the_page_are_caught(page, old: str, new: str) -> None:
    assert any("_q6-vgg.qmd:" in fault for fault in page.faults(old, new))


def test_the_whole_network_is_torchvisions() -> None:
    with torch.device("meta"):
        network = vgg11()
    assert q6.WHOLE["P_all"] == sum(p.numel() for p in network.parameters())
    classifier = sum(p.numel() for p in network.classifier.parameters())
    assert q6.WHOLE["P_classifier"] == classifier
    assert q6.last_map() == network.avgpool.output_size


def test_layers_are_counted_as_by_hand() -> None:
    scope = Scope(q6.WORLD.instances["padded, stride 3"])
    assert scope["H_out"] == len(range(0, 11 + 4 - 4 + 1, 3))
    assert scope["P_conv"] == 4 * (4 * 4 * 3 + 1)
    assert scope["P_fc"] == 7 * (11 * 11 * 3 + 1)
