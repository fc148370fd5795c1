"""Work on many rows spread over the processor's cores: numpy lets go of Python's lock while it computes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import numpy as np  # so that its library for matrix products is there to be found
from threadpoolctl import ThreadpoolController

assert np

# The processor's cores that this process may use; not every system tells.
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

_here = threading.local()
_pool = ThreadPoolExecutor(THREADS, "resight-rows", initializer=lambda: setattr(_here, "busy", True))
_blas = ThreadpoolController().select(user_api="blas")


def one_blas_thread() -> AbstractContextManager[Any]:
    """While this lasts, matrix products use one thread each, so that several threads can each make their own."""
    limit: AbstractContextManager[Any] = _blas.limit(limits=1)
    return limit


def spread(work: Callable[[slice], object], count: int, step: int) -> None:
    """Call ``work`` with slices of ``step`` of ``count`` rows, in any order; what it raises is raised here.

    ``work`` may itself spread its work: that is then done by the thread that it is in.
    """
    pieces = [slice(start, min(start + step, count)) for start in range(0, count, step)]
    each = map(work, pieces) if len(pieces) == 1 or hasattr(_here, "busy") else _pool.map(work, pieces)
    for _ in each:
        pass
