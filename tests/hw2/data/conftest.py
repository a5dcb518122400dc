"""Where data is looked for, in a temporary folder."""

import pytest


@pytest.fixture
def places(monkeypatch, tmp_path):
    """An empty data folder and an empty mirror."""
    for name in ("data", "mirror"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HW2_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HW2_DATA_MIRROR", str(tmp_path / "mirror"))
    return tmp_path
