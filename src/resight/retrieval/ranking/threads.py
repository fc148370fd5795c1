"""Work on many rows spread over the processor's cores: numpy lets go of Python's lock while it computes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np  # so that its library for matrix products is there to be found
from threadpoolctl import ThreadpoolController

from resight.pools import Lock, Pool

assert np

# The processor's cores that this process may use; not every system tells.
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

_RUNS = 16  # of slices for each thread at most, so that all end at about the same time

_here = threading.local()
_pool = Pool(THREADS, "resight-rows", lambda: setattr(_here, "busy", True))
_blas: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers


class _OneThread:
    """The limit of one thread, set by its first user and taken back by its last, whichever thread that is."""

    def __init__(self) -> None:
        self.users, self.lock = 0, Lock()
        self.before: list[int] = []

    def enter(self) -> None:
        with self.lock:
            if not self.users:
                self.before = [library.get_num_threads() for library in _blas]
                self._set([1] * len(_blas))
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if not self.users:
                self._set(self.before)

    def forked(self) -> None:
        """Take the limit back in a new process, where its users do not exist."""
        if self.users:
            self._set(self.before)
        self.users = 0

    @staticmethod
    def _set(numbers: list[int]) -> None:
        for library, number in zip(_blas, numbers, strict=True):
            # from threadpoolctl 3.8 on, only the first thread that sets a limit may take it back by the public method
            getattr(library, "_real_set_num_threads", library.set_num_threads)(number)


_one = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one.forked)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """While this lasts, matrix products use one thread each, so that several threads can each make their own.

    Uses may overlap: the number of threads from before the first is set again when the last one ends.
    """
    _one.enter()
    try:
        yield
    finally:
        _one.leave()


@cache
def _openmp() -> list[Any]:
    found: list[Any] = ThreadpoolController().select(user_api="openmp").lib_controllers
    return found


@contextmanager
def one_openmp_thread() -> Iterator[None]:
    """While this lasts, torch, which has to be loaded, computes with one thread where the calling thread asks it to."""
    before = [library.get_num_threads() for library in _openmp()]  # OpenMP has these numbers for each thread by itself
    try:
        for library in _openmp():
            library.set_num_threads(1)
        yield
    finally:
        for library, number in zip(_openmp(), before, strict=True):
            library.set_num_threads(number)


def spread(work: Callable[[slice], object], count: int, step: int) -> None:
    """Call ``work`` with slices of ``step`` of ``count`` rows, in any order; what it raises is raised here.

    Of very many slices each thread gets runs, since handing one over takes as long as some small ones themselves.
    ``work`` may itself spread its work: that is then done by the thread that it is in.
    """
    run = max(-(-count // (step * _RUNS * THREADS)), 1) * step
    runs = [slice(start, min(start + run, count)) for start in range(0, count, run)]

    def each(rows: slice) -> None:
        for start in range(rows.start, rows.stop, step):
            work(slice(start, min(start + step, rows.stop)))

    for _ in map(each, runs) if len(runs) == 1 or hasattr(_here, "busy") else _pool.map(each, runs):
        pass
