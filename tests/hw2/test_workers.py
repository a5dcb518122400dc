"""Calls in other processes: what they return, in which order, and what they raise."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from hw2 import workers as workers_module
from hw2.workers import cores, start_method, workers


def where(number):
    return number, os.getpid()


def test_a_few_calls_are_made_here_as_they_are_waited_for():
    with workers() as begin:
        waits = begin(where, [(number,) for number in range(3)])
        assert [wait() for wait in waits] == [(n, os.getpid()) for n in range(3)]


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == os.cpu_count()


@pytest.mark.parametrize(("length", "expected"), [(10, "forkserver"), (70, "spawn")])
def test_the_name_of_a_socket_has_room(monkeypatch, length, expected):
    monkeypatch.setattr(tempfile, "tempdir", "/" + (length - 1) * "a")
    if sys.platform == "linux":
        assert start_method() == expected


def test_many_calls_are_made_elsewhere(monkeypatch):
    monkeypatch.setattr(workers_module, "cores", lambda: 2)
    with workers() as begin:
        waits = begin(divmod, [(number, 2) for number in range(8)])
        more = begin(divmod, [(1, 0)] * 8)
        assert [wait() for wait in waits] == [divmod(n, 2) for n in range(8)]
        with pytest.raises(ZeroDivisionError):
            more[0]()


def test_processes_begin_before_the_first_call_where_it_comes_soon(monkeypatch):
    monkeypatch.setattr(workers_module, "cores", lambda: 2)
    before, end = len(multiprocessing.active_children()), time.monotonic() + 60
    with workers(soon=True):
        while len(multiprocessing.active_children()) == before:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_without_calls_no_process_begins(monkeypatch):
    monkeypatch.setattr(workers_module, "cores", lambda: 2)
    monkeypatch.setattr(workers_module, "ProcessPoolExecutor", None)
    with workers():
        pass


def test_nobody_waits_for_processes_that_are_to_come_soon(monkeypatch):
    monkeypatch.setattr(workers_module, "cores", lambda: 2)
    began = threading.Event()

    class Slow(workers_module.ProcessPoolExecutor):
        def submit(self, *task):
            assert began.wait(60)
            return super().submit(*task)

    monkeypatch.setattr(workers_module, "ProcessPoolExecutor", Slow)
    with workers(soon=True):
        began.set()  # would not be reached


ONE_THREAD = """
import os

import torch

from hw2 import workers

workers.cores = lambda: 2
before = dict(os.environ)
with workers.workers() as begin:
    waits = begin(torch.get_num_threads, [()] * 8)
    assert {wait() for wait in waits} == {1}
assert os.environ == before
"""


def test_each_process_computes_in_one_thread():
    """Here, processes may have begun to be forked off one with other variables."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "3"}
    environment.pop("OMP_NUM_THREADS", None)
    subprocess.run([sys.executable, "-c", ONE_THREAD], env=environment, check=True)
