"""Connections to one SQLite file: one that writes, and as many that read as there are threads reading.

While a gallery is open for writing, SQLite keeps a log of writes beside it (``seen.db-wal``). The last one that closes
brings all of it into the file and takes SQLite's mark of a log out of the file. So a file with the mark and without a
log was copied after a program was killed, or while one was writing: :meth:`Connections.lacks_log`.

A forked process opens connections of its own.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from resight.errors import DataError, ResightError
from resight.gallery.sqlite.schema import HOME, connect, in_words
from resight.pools import Lock

_TRIES, _PAUSE = 5, 0.05  # seconds: to open or to close a gallery takes less


class _Reader(NamedTuple):
    """A connection that reads; with a stamp of the file where it relies on no program writing."""

    db: sqlite3.Connection
    stamp: tuple[int, ...] | None


@dataclass
class _Opened:
    """The connections of one process."""

    idle: list[_Reader] = field(default_factory=list)
    writer: sqlite3.Connection | None = None


class Connections:
    """What opens transactions; each is seen by others wholly or not at all, and is on the disk when it ends."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path, self.read_only = path, read_only
        self._of_process: dict[int, _Opened] = {}
        self._lock, self._writing = Lock(), Lock()
        self._closed = False
        self._file = _file_at(path)

    def lacks_log(self) -> bool:
        """Whether the log of writes that belongs to the file is missing; to be asked before anything is opened.

        Version 0.1.0 left its mark in every file, and wrote no home into it.
        """
        for _ in range(_TRIES):
            if self._log.exists() or not _marked(self.path):
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
        with in_words(self.path):
            with self._lock:
                self._check()
                idle = self._own().idle
                one = idle.pop() if idle else None
            if one is not None and one.stamp is not None and one.stamp != self._stamp():
                one.db.close()
                one = None
            one = one or self._reader()
            try:
                one.db.execute("BEGIN")
                try:
                    yield one.db
                except sqlite3.Error:
                    self._check_still(one)
                    raise
                self._check_still(one)
            finally:
                if one.db.in_transaction:
                    one.db.execute("ROLLBACK")
                with self._lock:
                    if self._closed:
                        self._leave([one.db])
                    else:
                        self._own().idle.append(one)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, in a transaction that is kept if the block ends well.

        Raises:
            DataError: the gallery was opened for reading only.
        """
        with self.alone() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    @contextmanager
    def alone(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, in no transaction, while no other thread has it."""
        if self.read_only:
            raise DataError(f"{self.path} was opened for reading only: open it without read_only.")
        with self._writing, in_words(self.path):
            self._check()
            own = self._own()
            if own.writer is None:
                own.writer = connect(self.path, "write")
            yield own.writer

    def close(self) -> None:
        """Close what is idle now and the rest when it becomes so; a second time does nothing."""
        with self._writing, self._lock:
            self._closed = True
            own = self._of_process.pop(os.getpid(), _Opened())
            self._leave([*(one.db for one in own.idle), *([own.writer] if own.writer else [])])

    @property
    def _log(self) -> Path:
        return Path(f"{self.path}-wal")

    def _own(self) -> _Opened:
        return self._of_process.setdefault(os.getpid(), _Opened())

    def _reader(self) -> _Reader:
        if not self.read_only:
            return _Reader(connect(self.path, "write"), None)
        if not self._log.exists() and _marked(self.path):  # without its log SQLite reads only files that do not change
            stamp = self._stamp()
            return _Reader(connect(self.path, "still"), stamp)
        return _Reader(connect(self.path, "read"), None)

    def _stamp(self) -> tuple[int, ...]:
        """What changes when a program writes."""
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size, self._log.exists()

    def _check_still(self, one: _Reader) -> None:
        if one.stamp is not None and one.stamp != self._stamp():
            raise ResightError(f"{self.path} was written while it was read: try again.")

    def _leave(self, opened: list[sqlite3.Connection]) -> None:
        """Close connections; the last one that any program has takes the log into the file."""
        with _one_at_a_time(self.path.parent):
            for at, db in enumerate(opened, 1):
                if at == len(opened) and not self.read_only:
                    with suppress(sqlite3.Error):  # another program has it open
                        db.execute("PRAGMA busy_timeout = 0")
                        db.execute("PRAGMA journal_mode = DELETE")
                db.close()

    def _check(self) -> None:
        if self._closed:
            raise DataError(f"{self.path} is closed: open the gallery again.")
        if _file_at(self.path) != self._file:
            raise ResightError(
                f"{self.path} was renamed, deleted or replaced while this program has it open: put it back "
                "under its name, where its log is, or open the gallery that is there now."
            )


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file lies there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _marked(path: Path) -> bool:
    """Whether the file says that a log belongs to it. To be asked only where there is none: it closes the file."""
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\2\2"
    except OSError:  # SQLite reports why
        return False


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """While no other program does this for a gallery of the folder, where the file system knows such locks."""
    try:
        file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
