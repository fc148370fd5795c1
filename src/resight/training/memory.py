"""Keeping freed memory, so that every training step does not have to fetch its pages from the system again."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc to serve large blocks from its heap and never to give the heap back; whether it agreed.

    Each step allocates and frees the same tensors. By default glibc maps every large one anew and the system zeroes
    its pages again, which costs a third of the time of an OSNet step on the CPU. The process keeps its peak memory
    afterwards. Does nothing with other allocators (musl, macOS, Windows; jemalloc and tcmalloc do this themselves).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, 2**31 - 1), mallopt(_M_TOP_PAD, 64 << 20)])
