"""The log of writes that SQLite keeps beside a file (``seen.db-wal``) while a gallery is open for writing.

The first program that opens the file begins the log, and SQLite marks the file; the last that closes it brings all of
the log into the file and takes the mark out. So a file with the mark and without a log was copied after a program was
killed, or while one was writing: :func:`is_missing`.

Neither end is one step: the mark is there for a moment without a log. A program that is killed in that moment leaves an
empty file (``seen.db-changing``) that says so; a copy of ``seen.db`` does not have it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from resight.locks import give_back, take

WAIT = 30.0  # seconds for another writer
TURN = 5.0  # seconds for another program that begins or ends a log, which takes less than one
_PAUSE = 0.01
_holders: set[tuple[int, int, Path]] = set()  # process, thread and folder


class Logged(sqlite3.Connection):
    """A connection to a file with a log, of which it is given the path; where an interrupt lost it, it ends the log."""

    path: Path | None = None
    process = 0

    def of(self, path: Path) -> None:
        """Say which file it is."""
        self.path, self.process = path, os.getpid()

    def close(self) -> None:
        """As any connection's."""
        self.path = None
        super().close()

    def __del__(self) -> None:
        if self.path is not None and self.process == os.getpid():
            end([self], self.path)


def there_is(path: Path) -> bool:
    """Whether the file at ``path`` has a log."""
    return Path(f"{path}-wal").exists()


def is_between(path: Path) -> bool:
    """Whether the file has SQLite's mark of a log, and no log. It closes the file, so this process must not use it."""
    return not there_is(path) and _marked(path)


def is_missing(path: Path) -> bool:
    """Whether that is so though no program begins or ends the log, or was killed at it: the file was copied alone."""
    return is_between(path) and not _sign(path).exists()


def begin(db: sqlite3.Connection, path: Path) -> None:
    """Have a log beside the file; where none was, no other program may use the file for a moment."""
    with nullcontext() if there_is(path) and not _sign(path).exists() else _change(path):
        _write_ahead(db)
        db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # SQLite makes the log when it first reads


def end(opened: list[sqlite3.Connection], path: Path) -> None:
    """Close connections; where they are the last ones of any program, without leaving a log."""
    with _change(path):
        for db in opened[:-1]:
            db.close()
        _close(opened[-1])
        if is_between(path):  # the other programs left after the attempt: SQLite took the log, but not the mark
            _close(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None))


def _close(db: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # another program has it open
        db.execute("PRAGMA busy_timeout = 0")
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()


def _write_ahead(db: sqlite3.Connection) -> None:
    give_up = time.monotonic() + WAIT
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(_PAUSE)


def _marked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\2\2"
    except OSError:  # SQLite reports why
        return False


def _sign(path: Path) -> Path:
    return Path(f"{path}-changing")


@contextmanager
def _change(path: Path) -> Iterator[None]:
    """While a log begins or ends: one program at a time, and a sign beside the file for as long as it takes."""
    sign = _sign(path)
    with _one_at_a_time(path.parent):
        with suppress(OSError):  # a full disk: a program that is killed now is not told apart
            sign.touch()
        try:
            yield
        finally:
            if not is_between(path):
                with suppress(OSError):
                    sign.unlink(missing_ok=True)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """While no other program does this for a gallery of the folder, where the file system knows such locks."""
    holder = os.getpid(), threading.get_ident(), folder
    if holder in _holders:  # a lost connection goes while this thread is here for another one
        yield
        return
    try:
        file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        _holders.add(holder)
        give_up = time.monotonic() + TURN
        while take(file) is False and time.monotonic() < give_up:
            time.sleep(_PAUSE)
        yield
    finally:
        _holders.discard(holder)
        give_back(file)
