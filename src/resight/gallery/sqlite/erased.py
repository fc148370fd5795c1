"""The marks that erased records leave, in their table, see :mod:`resight.gallery.erased`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from resight.gallery.erased import SIZE, keys_as_text, keys_of_text, mark_of_id
from resight.gallery.sqlite.connections import Connections
from resight.gallery.sqlite.places import in_parts
from resight.gallery.sqlite.reading import key_of
from resight.gallery.sqlite.schema import ERASED, KEYS


class Erased:
    """What :class:`resight.gallery.erased.Erased` describes; one of version 0.1.0 that is only read has none.

    Args:
        connections: to the file.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def keys(self) -> tuple[bytes, ...]:
        """See :class:`resight.gallery.erased.Erased`."""
        with self._connections.reading() as db:
            return _keys(db)

    def among(self, marks: Sequence[bytes]) -> set[bytes]:
        """See :class:`resight.gallery.erased.Erased`."""
        with self._connections.reading() as db:
            return {one for (one,) in in_parts(db, "SELECT mark FROM erased WHERE mark IN ({})", marks)}

    def of(self, ids: Sequence[str]) -> list[bytes | None]:
        """See :class:`resight.gallery.erased.Erased`."""
        keys = [key_of(id) for id in ids]
        with self._connections.reading() as db:
            if not _keys(db):
                return [None] * len(ids)
            statement = "SELECT r.id, m.mark FROM records r JOIN marks m USING (slot) WHERE r.id IN ({})"
            found = dict(in_parts(db, statement, keys))
        return [found.get(key) for key in keys]

    def page(self, after: bytes, limit: int) -> list[bytes]:
        """See :class:`resight.gallery.erased.Erased`."""
        with self._connections.reading() as db:
            if not _keys(db):
                return []
            rows = db.execute("SELECT mark FROM erased WHERE mark > ? ORDER BY mark LIMIT ?", (after, limit))
            return [one for (one,) in rows]

    def take(self, keys: Sequence[bytes], marks: Sequence[bytes]) -> None:
        """See :class:`resight.gallery.erased.Erased`."""
        with self._connections.writing() as db:
            all_keys = dict.fromkeys([*_keys(db), *keys])
            db.execute("UPDATE meta SET value = ? WHERE key = ?", (keys_as_text(all_keys), KEYS))
            db.executemany("INSERT OR IGNORE INTO erased VALUES (?)", [(one,) for one in marks])


def is_there(db: sqlite3.Connection) -> bool:
    """Whether the gallery has tables of marks."""
    return bool(_keys(db))


def make(db: sqlite3.Connection) -> None:
    """Make the tables and a key, if no other program was first."""
    if not is_there(db):
        for statement in ERASED.split(";"):
            db.execute(statement)
        make_key(db)


def make_key(db: sqlite3.Connection) -> None:
    """Draw the key of a new gallery."""
    (key,) = db.execute("SELECT randomblob(?)", (SIZE,)).fetchone()
    db.execute("INSERT INTO meta VALUES (?, ?)", (KEYS, keys_as_text([key])))


def keep(db: sqlite3.Connection, marks: Iterable[tuple[int, bytes | None]]) -> None:
    """Keep the marks of records, given as (slot, mark)."""
    db.executemany("INSERT INTO marks VALUES (?, ?)", [(slot, mark) for slot, mark in marks if mark is not None])


def leave(db: sqlite3.Connection, slots: Sequence[int]) -> None:
    """Leave the marks of records that are about to be erased."""
    key = _keys(db)[0]
    statement = "SELECT r.id, m.mark FROM records r LEFT JOIN marks m USING (slot) WHERE r.slot IN ({})"
    rows = [(mark_of_id(key, id.hex()) if mark is None else mark,) for id, mark in in_parts(db, statement, slots)]
    db.executemany("INSERT OR IGNORE INTO erased VALUES (?)", rows)


def lift(db: sqlite3.Connection, marks: Iterable[bytes]) -> None:
    """Forget marks, since their pictures come back by request."""
    db.executemany("DELETE FROM erased WHERE mark = ?", [(one,) for one in marks])


def _keys(db: sqlite3.Connection) -> tuple[bytes, ...]:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (KEYS,)).fetchone()
    return keys_of_text(row[0]) if row else ()
