"""Threads and locks that go on working in a forked process, where the parent's threads do not exist."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Pool:
    """A pool of threads, started at its first use in each process; a pickled or forked copy starts its own.

    Args:
        threads: how many.
        name: what their names begin with.
        initializer: called once in each thread.
    """

    def __init__(self, threads: int, name: str, initializer: Callable[[], object] | None = None) -> None:
        self.threads, self.name, self.initializer = threads, name, initializer
        self._of_process: dict[int, ThreadPoolExecutor] = {}

    def map(self, work: Callable[..., Result], *items: Iterable[Any]) -> Iterator[Result]:
        """As :meth:`concurrent.futures.Executor.map`: the results in order; what ``work`` raises is raised here."""
        executor = self._of_process.get(os.getpid())
        if executor is None:
            new = ThreadPoolExecutor(self.threads, self.name, self.initializer)
            executor = self._of_process.setdefault(os.getpid(), new)
        return executor.map(work, *items)

    def __reduce__(self) -> tuple[Any, ...]:
        return Pool, (self.threads, self.name, self.initializer)


class Lock:
    """A lock of the threads of one process, re-entrant; a pickled or forked copy is free."""

    def __init__(self) -> None:
        self._of_process: dict[int, Any] = {}

    def __enter__(self) -> None:
        self._of_process.setdefault(os.getpid(), threading.RLock()).acquire()

    def __exit__(self, *_: object) -> None:
        self._of_process[os.getpid()].release()

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()
