"""Calls that take seconds, several at a time, each in a process of its own."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_all_start_methods, get_context
from threading import Thread
from typing import Any

MOST = 8  # processes
# what all of them need: imported once, in the process that the others are forks of
NEEDED = ("scipy.stats", "sympy.parsing.latex", "torchvision")
# each process computes in one thread: two of two threads each on two cores wait for one
# another
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
# begins `call(*task)` for each task, the first ones first; gives what waits for each
Begin = Callable[[Callable[..., Any], Sequence[tuple]], list[Callable[[], Any]]]


def cores() -> int:
    """Cores that this process may use; on a cluster fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_method() -> str:
    """How processes begin: forked off one that has imported what they need, or, where
    the name of its socket in the temporary folder would be too long, by themselves.
    """
    short = len(os.fsencode(tempfile.gettempdir())) < 64
    return (
        "forkserver" if short and "forkserver" in get_all_start_methods() else "spawn"
    )


@contextlib.contextmanager
def workers(worth: int = 8, soon: bool = False) -> Iterator[Begin]:
    """Begins calls in other processes. Where there are fewer than `worth` of them, or
    there is one core, they are made here as they are waited for: what they need takes
    seconds to import. Where calls are sure to come `soon`, that is imported at once.
    """
    count = min(cores(), MOST)
    with contextlib.ExitStack() as stack:

        @cache
        def pool() -> ProcessPoolExecutor:
            before = {name: os.environ.get(name) for name in ONE_THREAD}
            os.environ.update(ONE_THREAD)  # for the processes, which inherit it
            stack.callback(_restore, before)
            context = get_context(start_method())
            context.set_forkserver_preload(list(NEEDED))
            made = ProcessPoolExecutor(count, context)
            stack.callback(made.shutdown, cancel_futures=True)
            return made

        if soon and count > 1:  # a thread, as it waits until all is imported there
            starting = Thread(target=pool().submit, args=(os.getpid,))
            starting.start()
            stack.callback(starting.join)

        def begin(
            call: Callable[..., Any], tasks: Sequence[tuple]
        ) -> list[Callable[[], Any]]:
            if count < 2 or len(tasks) < worth:
                return [lambda task=task: call(*task) for task in tasks]  # type: ignore[misc]
            return [pool().submit(call, *task).result for task in tasks]

        yield begin


def _restore(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
