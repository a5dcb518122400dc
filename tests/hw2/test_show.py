"""The shown source is Python that defines the same functions."""

import torch

from hw2 import show
from hw2.runs import Run
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


def test_each_recorded_run_has_a_row():
    origin = {"commit": "0123456789", "uncommitted_changes": True, "date": "2026-01-02T03:04:05", "seconds": 300.0}
    origin |= {"data_sha256": "abcdef0123", "device": "cpu: x"}
    found = [Run("task", name, {}, [1, 2], {}, {}, origin, []) for name in ("b_c", "a")]
    rows = show.provenance(found).splitlines()
    assert rows[2] == "| task/a | cpu: x | 2026-01-02 | 0123456* | abcdef01 | 5 min | 2 |"
    assert rows[3].startswith("| task/b\\_c |")
    assert len(rows) == 4
