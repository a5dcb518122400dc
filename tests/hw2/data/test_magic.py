"""The MAGIC module on a small table in the file's format: splits, copies and labels."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from hw2 import data
from hw2.data import magic


@pytest.fixture(scope="module")
def frame():
    """1,000 different rows, of which 100 stand there twice, in random order."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(1000, 10)), columns=magic.FEATURES)
    frame["class"] = np.where(rng.random(1000) < 0.65, "g", "h")
    return (
        pd.concat([frame, frame.sample(100, random_state=0)])
        .sample(frac=1, random_state=1)
        .reset_index(drop=True)
    )


def parts(frame, seed=211):
    split = magic.split(frame, seed)
    return [split.train, split.validation, split.test]


def test_every_row_is_in_exactly_one_part(frame):
    assert sorted(np.concatenate(parts(frame))) == list(range(len(frame)))


def test_copies_of_a_row_never_straddle_two_parts(frame):
    keys = [set(map(tuple, frame.iloc[part].to_numpy())) for part in parts(frame)]
    assert not (keys[0] & keys[1])
    assert not (keys[0] & keys[2])
    assert not (keys[1] & keys[2])
    assert sum(map(len, keys)) == 1000


def test_shares_and_strata(frame):
    whole = (frame["class"] == "g").mean()
    for part, share in zip(parts(frame), (0.7, 0.1, 0.2), strict=True):
        assert len(part) / len(frame) == pytest.approx(share, abs=0.02)
        assert (frame["class"].iloc[part] == "g").mean() == pytest.approx(
            whole, abs=0.04
        )


def test_the_seed_decides(frame):
    assert all(map(np.array_equal, parts(frame), parts(frame)))
    assert not np.array_equal(parts(frame)[2], parts(frame, seed=212)[2])


def test_rows_that_are_split_otherwise_are_refused(monkeypatch):
    whole = magic.load()
    magic.split(whole)
    magic.split(whole, 212)  # of other splits none is recorded by its rows
    monkeypatch.setattr(magic, "ROWS", 64 * "0")
    with pytest.raises(data.DataError, match="are split otherwise"):
        magic.split(whole)


def test_a_damaged_copy_of_the_repository_is_named(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / magic.FILE.name).write_text("short")
    monkeypatch.setattr(magic, "ROOT", tmp_path)
    monkeypatch.setenv("HW2_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.delenv("HW2_DATA_MIRROR", raising=False)
    with pytest.raises(data.DataError, match=r"data/magic04\.data has 5 bytes"):
        magic.load()


def test_labels(frame):
    features, labels = magic.arrays(frame)
    assert features.shape == (1100, 10)
    assert ((labels == 1) == (frame["class"] == "h")).all()


def archive(name, content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"no archive", archive("another.txt", "x")])
def test_an_archive_without_the_data_is_refused(monkeypatch, tmp_path, content):
    monkeypatch.setattr(magic, "ROOT", tmp_path)
    monkeypatch.setattr(data, "download", lambda url, path: path.write_bytes(content))
    with pytest.raises(
        data.DataError, match=r"is no archive with a magic04.data in it"
    ):
        magic._fetch(tmp_path / "magic04.data")


def test_another_data_folder_gets_the_copy_of_the_repository(monkeypatch, tmp_path):
    monkeypatch.setenv("HW2_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("HW2_DATA_MIRROR", "")
    assert len(magic.load()) == 19_020
    assert (tmp_path / "elsewhere" / "magic04.data").is_file()


def test_the_data_is_taken_out_of_the_archive(monkeypatch, tmp_path):
    monkeypatch.setattr(magic, "ROOT", tmp_path)
    monkeypatch.setattr(
        data,
        "download",
        lambda url, path: path.write_bytes(archive("magic04.data", "rows")),
    )
    magic._fetch(tmp_path / "magic04.data")
    assert (tmp_path / "magic04.data").read_text() == "rows"
