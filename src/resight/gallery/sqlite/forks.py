"""Forks while a gallery is open: no connection of SQLite may go along into the new process.

The system's locks stay with the old process, but SQLite in the new one takes them for its own, whatever it opens: other
programs end the log that it writes to, and what it or they write is lost. So a fork waits for the threads that use a
connection, and closes those that are idle.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet

PATIENCE = 10.0  # seconds that a fork waits for other threads

File = tuple[int, int] | None  # the device and number of a file


class Closes(Protocol):
    """What has connections that a fork must close."""

    def close_idle(self) -> None:
        """Close those that no thread is using."""


class _Forks:
    def __init__(self) -> None:
        self._holders: WeakSet[Closes] = WeakSet()
        self._used: Counter[tuple[int, File]] = Counter()  # by threads
        self._changed = threading.Condition()
        self._forking: int | None = None  # the thread that does
        self._taken: set[File] = set()  # files of which a connection went along into this process

    def watch(self, holder: Closes) -> None:
        with self._changed:
            self._holders.add(holder)

    def spoiled(self, file: File) -> bool:
        return file in self._taken

    @contextmanager
    def using(self, file: File) -> Iterator[None]:
        me, counted = threading.get_ident(), 0
        try:
            with self._changed:
                while self._forking not in (None, me) and not any(thread == me for thread, _ in self._used):
                    self._changed.wait()
                self._used[me, file] += 1
                counted = 1
            yield
        finally:
            with self._changed:
                self._used[me, file] -= counted
                self._used = +self._used
                self._changed.notify_all()

    def before(self) -> None:
        me, give_up = threading.get_ident(), time.monotonic() + PATIENCE
        with self._changed:
            while self._forking is not None:
                self._changed.wait()
            self._forking = me
            while any(thread != me for thread, _ in self._used) and (left := give_up - time.monotonic()) > 0:
                self._changed.wait(left)
            holders = list(self._holders)
        for holder in holders:
            holder.close_idle()

    def in_parent(self) -> None:
        with self._changed:
            self._forking = None
            self._changed.notify_all()

    def in_child(self) -> None:
        self._changed, self._forking = threading.Condition(), None
        self._taken |= {file for _, file in self._used}
        self._used = Counter()


_forks = _Forks()
watch: Callable[[Closes], None] = _forks.watch
"""Have a fork close the idle connections of an object, for as long as it is there."""
using = _forks.using
"""While a thread uses a connection to a file; it waits while another thread forks."""
spoiled = _forks.spoiled
"""Whether a connection to a file was in use when this process was forked, so that SQLite must not open it here."""
os.register_at_fork(before=_forks.before, after_in_parent=_forks.in_parent, after_in_child=_forks.in_child)
