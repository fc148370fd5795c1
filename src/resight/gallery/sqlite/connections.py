"""Connections to one SQLite file: one that writes, and as many that read as there are threads reading.

The last one that closes ends the log of writes: :mod:`resight.gallery.sqlite.write_ahead`. Connections that nobody
closed are closed when the object goes, or with the program.

A forked process opens connections of its own: :mod:`resight.gallery.sqlite.forks`.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from resight.errors import DataError, ResightError
from resight.gallery.sqlite import forks, write_ahead
from resight.gallery.sqlite.schema import HOME, connect, in_words
from resight.pools import Lock

_TRIES, _PAUSE = 5, 0.05  # seconds: to open or to close a gallery takes less


@dataclass(eq=False)
class _Connection:
    """One of this process.

    Attributes:
        stamp: of the file, where the connection relies on no program writing.
        thread: that uses it. An interrupt (Ctrl-C) may leave a thread there that does not any more.
    """

    db: sqlite3.Connection
    stamp: tuple[int, ...] | None = None
    thread: int | None = None


class Connections:
    """What opens transactions; each is seen by others wholly or not at all, and is on the disk when it ends."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path, self.read_only = path, read_only
        self._of_process: dict[int, list[_Connection]] = {}
        self._lock, self._writing = Lock(), Lock()
        self._closed = False
        self._file = _file_at(path)
        weakref.finalize(self, _let_go, self._of_process, self._lock, path, read_only=read_only, at_end=True)
        forks.watch(self)

    def lacks_log(self) -> bool:
        """Whether the log of writes that belongs to the file is missing; to be asked before anything is opened.

        Version 0.1.0 left its mark in every file, and wrote no home into it.
        """
        for _ in range(_TRIES):
            if not write_ahead.is_missing(self.path):
                return False
            time.sleep(_PAUSE)  # another program may be opening or closing it
        try:
            with closing(connect(self.path, "still")) as db:
                return db.execute("SELECT 1 FROM meta WHERE key = ?", (HOME,)).fetchone() is not None
        except sqlite3.Error:  # the next reader reports what is wrong
            return False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the file throughout."""
        with in_words(self.path), self._using() as one:
            one.db.execute("BEGIN")
            try:
                yield one.db
            except sqlite3.Error:
                self._check_still(one)
                raise
            self._check_still(one)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, in a transaction that is kept if the block ends well.

        Raises:
            DataError: the gallery was opened for reading only.
        """
        with self.alone() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, in no transaction, while no other thread has it."""
        if self.read_only:
            raise DataError(f"{self.path} was opened for reading only: open it without read_only.")
        with in_words(self.path), self._using(self._writing) as one:
            yield one.db

    def close(self) -> None:
        """Close what is idle now and the rest when it becomes so; a second time does nothing."""
        with self._writing, self._lock:
            self._closed = True
            self.close_idle()

    def close_idle(self) -> None:
        """Close what no thread of this process is using."""
        _let_go(self._of_process, self._lock, self.path, read_only=self.read_only)

    @contextmanager
    def _using(self, turn: AbstractContextManager[None] | None = None) -> Iterator[_Connection]:
        """A connection for this thread, when it is its turn; a transaction that is still open at the end is undone."""
        with forks.using(self._file), turn or nullcontext():
            one = self._take()
            try:
                yield one
            finally:
                self._give_back(one)

    def _take(self) -> _Connection:
        with self._lock:
            self._check()
            own = self._of_process.setdefault(os.getpid(), [])
            one = next((one for one in own if one.thread is None), None)
            if one is not None and one.stamp is not None and one.stamp != self._stamp():
                own.remove(one)
                one.db.close()
                one = None
            if one is not None:
                one.thread = threading.get_ident()
        if one is None:
            one = self._open()
            with self._lock:
                own.append(one)
        if one.db.in_transaction:  # the interrupt came as it was undone
            one.db.execute("ROLLBACK")
        return one

    def _give_back(self, one: _Connection) -> None:
        try:
            if one.db.in_transaction:
                one.db.execute("ROLLBACK")
        finally:
            one.thread = None
            if self._closed:
                self.close_idle()

    def _open(self) -> _Connection:
        me = threading.get_ident()
        if not self.read_only:
            return _Connection(connect(self.path, "write"), thread=me)
        if self._rests():
            stamp = self._stamp()
            return _Connection(connect(self.path, "still"), stamp, me)
        return _Connection(connect(self.path, "read"), thread=me)

    def _rests(self) -> bool:
        """Whether the file has SQLite's mark and no log, so that SQLite reads it only as one that does not change."""
        for _ in range(_TRIES):
            if not write_ahead.is_between(self.path):
                return False
            if write_ahead.is_missing(self.path):
                return True
            time.sleep(_PAUSE)  # another program is opening or closing it, or was killed at it
        return True

    def _stamp(self) -> tuple[int, ...]:
        """What changes when a program writes."""
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size, write_ahead.there_is(self.path)

    def _check_still(self, one: _Connection) -> None:
        if one.stamp is not None and one.stamp != self._stamp():
            raise ResightError(f"{self.path} was written while it was read: try again.")

    def _check(self) -> None:
        if self._closed:
            raise DataError(f"{self.path} is closed: open the gallery again.")
        if forks.spoiled(self._file):
            raise ResightError(
                f"{self.path} was in use when this process was forked, so that it cannot be used here: start processes "
                "with the method 'spawn' or 'forkserver', or before the gallery is in use."
            )
        if _file_at(self.path) != self._file:
            raise ResightError(
                f"{self.path} was renamed, deleted or replaced while this program has it open: put it back "
                "under its name, where its log is, or open the gallery that is there now."
            )


def _let_go(
    of_process: dict[int, list[_Connection]], lock: Lock, path: Path, *, read_only: bool, at_end: bool = False
) -> None:
    """Close what no thread of this process is using; at the end this one does not, whatever an interrupt left."""
    with lock:
        own = of_process.get(os.getpid(), [])
        running = set(sys._current_frames()) - ({threading.get_ident()} if at_end else set())
        idle = [one for one in own if one.thread not in running]
        _leave([one.db for one in idle], path, read_only=read_only)
        own[:] = [one for one in own if one not in idle]


def _leave(opened: list[sqlite3.Connection], path: Path, *, read_only: bool) -> None:
    if opened and not read_only:
        write_ahead.end(opened, path)
    else:
        for db in opened:
            db.close()


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file lies there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
