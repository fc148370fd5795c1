"""Threads and locks that go on working in a forked process, where the parent's threads do not exist."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Made = TypeVar("Made")
Result = TypeVar("Result")


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


class OfProcess(Generic[Made]):
    """A value that each process makes for itself when it first asks for it; a forked one never uses its parent's.

    Args:
        make: called once in each process, whichever threads ask.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make, self._lock = make, Lock()
        self._of_process: dict[int, Made] = {}

    def __call__(self) -> Made:
        """The value of this process."""
        if os.getpid() not in self._of_process:
            with self._lock:
                if os.getpid() not in self._of_process:
                    self._of_process[os.getpid()] = self._make()
        return self._of_process[os.getpid()]


class Pool:
    """A pool of threads, started at its first use in each process; a pickled or forked copy starts its own.

    Args:
        threads: how many.
        name: what their names begin with.
        initializer: called once in each thread.
    """

    def __init__(self, threads: int, name: str, initializer: Callable[[], object] | None = None) -> None:
        self.threads, self.name, self.initializer = threads, name, initializer
        self._executor = OfProcess(lambda: ThreadPoolExecutor(threads, name, initializer))

    def map(self, work: Callable[..., Result], *items: Iterable[Any]) -> Iterator[Result]:
        """As :meth:`concurrent.futures.Executor.map`: the results in order; what ``work`` raises is raised here."""
        return self._executor().map(work, *items)

    def __reduce__(self) -> tuple[Any, ...]:
        return Pool, (self.threads, self.name, self.initializer)
