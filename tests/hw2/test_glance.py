"""The first page says what the sections say."""

from functools import partial

import torch

from hw2 import glance
from hw2.tasks import signal


def test_the_answers_of_task_1_are_those_of_its_cells(monkeypatch):
    few = partial(signal.product_statistics, products=100)
    monkeypatch.setattr(signal, "product_statistics", lambda **_: few())
    found = glance._signal()
    torch.manual_seed(signal.SEED)
    x, layer = torch.randn(512), 0
    while not x.isnan().any():
        layer += 1
        x = torch.randn(512, 512) @ x
    assert found["nan"] == str(layer)
    x = signal.propagate(signal.kaiming_init, torch.relu)[-1]
    assert found["kaiming"] == f"mean {x.mean():.4f}, std {x.std():.4f}"
    assert "e-" in found["xavier relu"]


def test_lists_are_written_as_words():
    assert glance._listed(["1", "2", "3"]) == "1, 2 and 3"
    found = glance._theory()
    assert found["a"] == "205 and 295"
    assert found["b noise"] == "0%, 10% and 20%"


def test_task_3_says_improved_only_where_the_interval_does(monkeypatch):
    said = glance._imagenette()["augmented"]
    assert "improved by +" in said
    low = glance.difference({"values": [1, 2]}, {"values": [1, 2]})
    monkeypatch.setattr(glance, "difference", lambda *_: low)
    assert "changed by" in glance._imagenette()["augmented"]


def test_every_initialization_of_task_2_is_named():
    assert list(glance.INITIALIZATIONS) == list(glance.magic.INITIALIZED)
