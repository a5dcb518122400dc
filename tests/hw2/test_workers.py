"""Calls in other processes: what they return, in which order, and what they raise."""

import os

import pytest

from hw2.workers import workers


def where(number):
    return number, os.getpid()


def test_a_few_calls_are_made_here_as_they_are_waited_for():
    with workers() as begin:
        waits = begin(where, [(number,) for number in range(3)])
        assert [wait() for wait in waits] == [(n, os.getpid()) for n in range(3)]


def test_many_calls_are_made_elsewhere(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with workers() as begin:
        waits = begin(divmod, [(number, 2) for number in range(8)])
        more = begin(divmod, [(1, 0)] * 8)
        assert [wait() for wait in waits] == [divmod(n, 2) for n in range(8)]
        with pytest.raises(ZeroDivisionError):
            more[0]()
