"""The world of Question 6: its objects, and errors on the page that it catches."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torchvision.models import vgg11

from hw2 import claims
from hw2.formulas.checking import DEFINING, Finding, Section, World
from hw2.formulas.collecting import Formula, collect
from hw2.formulas.meaning import Scope
from hw2.paths import REPORT
from hw2.worlds import q6
from qmdpdf.source import Line, expand


@cache
def page() -> list[Line]:
    return [line for line in expand(REPORT) if "_q6-" in line.where]


def said(lines: list[Line]) -> list[Formula]:
    return collect(lines, claims.written)


def judge(formulas: list[Formula], world: World = q6.WORLD) -> list[Finding]:
    return Section(world, formulas).examine(changes=False)


@cache
def today() -> list[Finding]:
    return judge(said(page()))


def part_of_world(formulas: list[Formula]) -> World:
    """With the cases only that some formulas have."""
    section = Section(q6.WORLD, formulas)
    section.examine(changes=False)
    used = [replace(c, times=0) for c in q6.WORLD.cases if c.latex in section.used]
    return replace(q6.WORLD, cases=used)


def faults(old: str, new: str) -> list[str]:
    """What is wrong where one line of the page says something else: with the formulas
    of that line and all definitions, or else with all formulas.
    """
    i = next(i for i, line in enumerate(page()) if old in line.text)
    changed = replace(page()[i], text=page()[i].text.replace(old, new, 1))
    needed = {f.formula.where for f in today() if f.status == DEFINING}
    needed.add(changed.where)
    few = [line for line in page() if line.where in needed]
    world = part_of_world(said(few))
    lines = [changed if line.where == changed.where else line for line in page()]
    found = judge(said([line for line in lines if line.where in needed]), world)
    if not any(f.faults for f in found):
        found = judge(said(lines))
    return [f"{f.formula.where}: {fault}" for f in found for fault in f.faults]


def test_no_faults() -> None:
    assert [fault for f in today() for fault in f.faults] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            r"\left\lfloor \frac{H + 2P - M}{S} \right\rfloor + 1",
            r"\left\lceil \frac{H + 2P - M}{S} \right\rceil + 1",
        ),
        (r"P_{\mathrm{conv}} = M", r"P_{\mathrm{fc}} = M"),
        (r'r"\frac{P_{\mathrm{fc}}}{P}")', r'r"\frac{P_{\mathrm{conv}}}{P}")'),
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
def test_errors_on_the_page_are_caught(old: str, new: str) -> None:
    assert any("_q6-vgg.qmd:" in fault for fault in faults(old, new))


def test_the_whole_network_is_torchvisions() -> None:
    with torch.device("meta"):
        network = vgg11()
    assert q6.WHOLE["P"] == sum(p.numel() for p in network.parameters())
    assert q6.WHOLE["P_fc"] == sum(p.numel() for p in network.classifier.parameters())
    assert q6.last_map() == network.avgpool.output_size


def test_layers_are_counted_as_by_hand() -> None:
    scope = Scope(q6.WORLD.instances["padded, stride 3"])
    assert scope["H_out"] == len(range(0, 11 + 4 - 4 + 1, 3))
    assert scope["P_conv"] == 4 * (4 * 4 * 3 + 1)
    assert scope["P_fc"] == 7 * (11 * 11 * 3 + 1)
