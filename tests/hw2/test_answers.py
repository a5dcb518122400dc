"""Answers as bits, and how many of them changed, against counts by hand."""

import pytest
import torch

from hw2.answers import differences, pack, unpack


@pytest.mark.parametrize("rows", [1, 8, 13])
def test_bits_are_read_back(rows):
    values = torch.rand(3, rows, generator=torch.Generator().manual_seed(0)) > 0.5
    bits = pack(values)
    assert bits.shape == (3, (rows + 7) // 8)
    assert torch.equal(unpack(bits, rows), values)


def test_bits_of_another_number_of_rows_are_refused():
    with pytest.raises(ValueError, match="are no bits of 20 rows"):
        unpack(pack(torch.ones(8, dtype=torch.bool)), 20)


def test_changed_entries_are_counted():
    old = {
        "a.bits": pack(torch.tensor([True] * 8)),
        "classes": torch.tensor([1, 2, 3], dtype=torch.uint8),
        "p": torch.tensor([0.1, 0.5, 0.9]),
    }
    new = {
        "a.bits": pack(
            torch.tensor([False, True, False, False, True, True, True, True])
        ),
        "classes": torch.tensor([1, 2, 4], dtype=torch.uint8),
        "p": torch.tensor([0.1, 0.501, 0.8]),
    }
    assert [item[:3] for item in differences(old, new)] == [
        ("a.bits", 8, 3),
        ("classes", 3, 1),
        ("p", 3, 1),
    ]
    assert [item.holds for item in differences(old, new)] == [False, True, True]


def test_two_rows_or_their_share_may_differ():
    def changed(rows, count):
        old = torch.zeros(rows, dtype=torch.uint8)
        new = old.clone()
        new[:count] = 1
        return differences({"x": old}, {"x": new})[0].holds

    assert changed(100, 2)
    assert not changed(100, 3)
    assert changed(10_000, 5)
    assert not changed(10_000, 6)


def test_what_is_copied_from_the_data_may_not_differ():
    old = torch.zeros(10_000, dtype=torch.uint8)
    new = old.clone()
    new[0] = 1
    for name in ("labels", "1.classes"):
        assert differences({name: old}, {name: old})[0].holds
    assert differences({"1.classes": old}, {"1.classes": new})[0].holds
    assert not differences({"labels": old}, {"labels": new})[0].holds
    assert not differences({"examples.images": old}, {"examples.images": new})[0].holds


def test_answers_that_are_missing_or_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="x is missing"):
        differences({}, {"x": torch.ones(2)})
    with pytest.raises(ValueError, match=r"x is \(3,\)"):
        differences({"x": torch.ones(3)}, {"x": torch.ones(2)})
