"""Locks of files and folders against other programs; a program that ends, however it does, gives its own back."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def take(handle: int) -> bool | None:
    """Lock an open file or folder: False where another program has it, None where the file system knows no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def give_back(handle: int) -> None:
    """Unlock what was taken, and close it."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)  # also what a process forked meanwhile holds
    os.close(handle)


@contextmanager
def held(handle: int) -> Iterator[bool | None]:
    """What :func:`take` says of an open file or folder, which is given back at the end."""
    try:
        yield take(handle)
    finally:
        give_back(handle)
