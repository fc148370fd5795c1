"""Connections to one SQLite file: one that writes, and as many that read as there are threads reading."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resight.errors import DataError
from resight.gallery.sqlite.schema import connect, told


class Connections:
    """What opens transactions; each is seen by others wholly or not at all, and is on the disk when it ends."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path, self.read_only = path, read_only
        self._writer: sqlite3.Connection | None = None
        self._idle: list[sqlite3.Connection] = []
        self._lock, self._writing = threading.Lock(), threading.RLock()
        self._closed = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the file throughout."""
        with told(self.path):
            with self._lock:
                self._check()
                db = self._idle.pop() if self._idle else None
            db = db or connect(self.path, read_only=self.read_only)
            try:
                db.execute("BEGIN")
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                with self._lock:
                    if self._closed:
                        db.close()
                    else:
                        self._idle.append(db)

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
        with self._writing, told(self.path):
            self._check()
            if self._writer is None:
                self._writer = connect(self.path, read_only=False)
            yield self._writer

    def close(self) -> None:
        """Close what is idle now and the rest when it becomes so; a second time does nothing."""
        with self._writing, self._lock:
            self._closed = True
            for db in [*self._idle, *([self._writer] if self._writer else [])]:
                db.close()
            self._idle, self._writer = [], None

    def _check(self) -> None:
        if self._closed:
            raise DataError(f"{self.path} is closed: open the gallery again.")
