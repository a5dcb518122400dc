"""The digits against scikit-learn's own reader."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hw2 import data
from hw2.data import digits


def test_they_are_those_of_scikit_learn(monkeypatch, tmp_path):
    monkeypatch.setenv("HW2_DATA", str(tmp_path))
    monkeypatch.delenv("HW2_DATA_MIRROR", raising=False)
    x, label = digits.load()
    expected = load_digits()
    assert np.array_equal(x, expected.data)
    assert np.array_equal(label, expected.target)
    assert [file.name for file in tmp_path.iterdir()] == [digits.FILE.name]


def test_a_damaged_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("HW2_DATA", str(tmp_path))
    (tmp_path / digits.FILE.name).write_bytes(b"0" * digits.FILE.size)
    with pytest.raises(data.DataError, match="damaged or another file"):
        digits.load()
