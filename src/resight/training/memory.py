"""Keeping freed memory, so that every training step does not have to fetch its pages from the system again."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
_KEEP = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20}
_DEFAULTS = {_MMAP_MAX: 65536, _TRIM_THRESHOLD: 128 << 10, _TOP_PAD: 128 << 10}


@contextmanager
def freed_memory_kept(wanted: bool = True) -> Iterator[bool]:
    """Let glibc serve large blocks from its heap and keep what is freed; yields whether it does.

    Each step allocates and frees the same tensors. By default glibc maps every large one anew and the system zeroes
    its pages again, which costs a third of the time of an OSNet step on the CPU. Afterwards glibc's defaults are set
    again and free memory is given back. Does nothing with other allocators (musl, macOS, Windows; jemalloc and tcmalloc
    do this themselves).
    """
    library = _glibc() if wanted else None
    if library is None:
        yield False
        return
    kept = all(tuple(library.mallopt(option, value) for option, value in _KEEP.items()))
    try:
        yield kept
    finally:
        for option, value in _DEFAULTS.items():
            library.mallopt(option, value)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        library.mallopt, library.malloc_trim  # noqa: B018, missing in other libraries
    except (OSError, AttributeError):
        return None
    return library
