"""The shown source is Python that defines the same functions."""

import torch

from hw2 import show
from hw2.tasks import signal


def test_the_source_of_several_functions_runs():
    text = show.source(signal.xavier_bound, signal.xavier_init).data
    assert text.startswith("```python\n")
    assert text.endswith("\n```")
    names = {"math": signal.math, "torch": torch, "Tensor": torch.Tensor}
    exec(text.removeprefix("```python\n").removesuffix("\n```"), names)
    torch.manual_seed(0)
    expected = signal.xavier_init(3, 5)
    torch.manual_seed(0)
    assert torch.equal(names["xavier_init"](3, 5), expected)
