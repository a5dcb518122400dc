"""The shown source is Python that defines the same functions."""

import platform
import subprocess

import pytest
import torch

from hw2 import runs, show
from hw2.paths import ROOT
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
    origin = {
        "commit": "0123456789",
        "uncommitted_changes": True,
        "date": "2026-01-02T03:04:05",
        "seconds": 300.0,
    }
    origin |= {"data_sha256": "abcdef0123", "device": "cpu: x"}
    found = [Run("task", name, {}, [1, 2], {}, {}, origin, []) for name in ("b_c", "a")]
    rows = show.provenance(found).splitlines()
    assert (
        rows[2] == "| task/a | cpu: x | 2026-01-02 | 0123456* | abcdef01 | 5 min | 2 |"
    )
    assert rows[3].startswith("| task/b\\_c |")
    assert len(rows) == 4


@pytest.fixture
def rendering(monkeypatch):
    """Neither Quarto nor qmdpdf, until a test says so."""
    for name in ("QMDPDF", "QUARTO_BIN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_renderer_is_the_one_that_runs(rendering, tmp_path):
    assert show.renderer() == show.NOTEBOOK
    command = tmp_path / "quarto"
    command.write_text("#!/bin/sh\necho 1.9.38\n")
    command.chmod(0o755)
    rendering.setenv("QUARTO_BIN_PATH", str(tmp_path))
    assert show.renderer() == "Quarto 1.9.38"
    rendering.setenv("QMDPDF", "qmdpdf with pandoc 3.9")
    assert show.renderer() == "qmdpdf with pandoc 3.9"


def test_the_versions_are_those_of_today(rendering):
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    text = show.versions()
    assert text.startswith(f"commit {commit[:12]}")
    assert f"torch {torch.__version__.partition('+')[0]}," in text
    assert f"Python {platform.python_version()}," in text
    rendering.setattr(runs, "commit", lambda: ("", "no commit of a Git repository"))
    assert show.versions().startswith("no commit of a Git repository, by")
