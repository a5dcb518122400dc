"""Calls that take seconds, several at a time, each in a process of its own."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

MOST = 8  # processes
# begins `call(*task)` for each task, the first ones first; gives what waits for each
Begin = Callable[[Callable[..., Any], Sequence[tuple]], list[Callable[[], Any]]]


@contextlib.contextmanager
def workers(worth: int = 8) -> Iterator[Begin]:
    """Begins calls in other processes. Where there are fewer than `worth` of them, or
    there is one core, they are made here as they are waited for: what they need takes
    seconds to import.
    """
    count = min(os.cpu_count() or 1, MOST)
    with contextlib.ExitStack() as stack:

        @cache
        def pool() -> ProcessPoolExecutor:
            made = ProcessPoolExecutor(count, get_context("spawn"))
            stack.callback(made.shutdown, cancel_futures=True)
            return made

        def begin(
            call: Callable[..., Any], tasks: Sequence[tuple]
        ) -> list[Callable[[], Any]]:
            if count < 2 or len(tasks) < worth:
                return [lambda task=task: call(*task) for task in tasks]  # type: ignore[misc]
            return [pool().submit(call, *task).result for task in tasks]

        yield begin
