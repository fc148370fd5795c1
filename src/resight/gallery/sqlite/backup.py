"""A backup: one file with the state of one moment, while others go on reading and writing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from resight.errors import DataError, ResightError
from resight.files import atomic_path
from resight.gallery.sqlite.connections import Connections
from resight.gallery.sqlite.schema import in_words


def write(connections: Connections, path: Path) -> Path:
    """Copy a gallery by SQLite's own backup, check the copy, and give its path.

    Raises:
        DataError: there is something at ``path``.
        ResightError: it cannot be written, or the copy is damaged.
    """
    if path.exists():
        raise DataError(f"{path} is there already: name a file that is not there, such as one with the date.")
    with atomic_path(path) as draft, in_words(path):
        copy = sqlite3.connect(draft, isolation_level=None)
        try:
            with connections.reading() as db:
                db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            (message,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            copy.close()
        if message != "ok":
            raise ResightError(f"The copy of {connections.path} is damaged ({message}): check the gallery.")
    return path
