"""From the tables to records, and from a filter to a condition."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from resight.errors import DataError
from resight.gallery.record import Filter, Record
from resight.gallery.sqlite.places import in_parts
from resight.gallery.store import not_there

_FROM = """FROM records r JOIN cameras c ON c.number = r.camera
LEFT JOIN identities i ON i.number = r.identity LEFT JOIN texts n ON n.place = i.text
LEFT JOIN texts t ON t.place = r.text"""
_COLUMNS = """r.id, substr(n.content, 1, i.size), c.name, r.time, substr(t.content, 1, r.text_size),
r.left, r.top, r.right, r.bottom, r.expires, r.added"""
RECORDS = f"SELECT {_COLUMNS} {_FROM}"
WITH_VECTORS = f"SELECT r.slot, v.content, {_COLUMNS} {_FROM} JOIN vectors v ON v.place = r.slot"
GRAIN = 32  # bytes to which texts are filled up


def record(row: Sequence[Any]) -> Record:
    """A record from a row of :data:`RECORDS`."""
    id, name, camera, time, text, left, top, right, bottom, expires, added = row
    source, _, basis = text.decode("utf-8", "surrogateescape").partition("\0") if text else ("", "", "")
    box = None if left is None else (left, top, right, bottom)
    identity = None if name is None else name.decode()
    return Record(id.hex(), identity, camera, time, source, box, basis, expires, added)


def text_of(one: Record) -> bytes | None:
    """The texts of a record as they are stored; None where there are none."""
    if not (one.source or one.basis):
        return None
    return f"{one.source}\0{one.basis}".encode("utf-8", "surrogateescape")


def key_of(id: str) -> bytes:
    """The id of a record as it is stored; what is no id becomes one that no record has."""
    try:
        found = bytes.fromhex(id)
    except (ValueError, TypeError):
        return b""
    return found if len(found) == 16 and found.hex() == id else b""


def after(id: str) -> bytes:
    """What sorts as the id, or the beginning of one, does; DataError where it is none."""
    try:
        return bytes.fromhex(id + "0" * (len(id) % 2))
    except ValueError:
        raise DataError(f"{id!r} is no id of a record: pass 32 hex digits.") from None


class Names:
    """Names of identities, found by a hash that does not reveal the name without the gallery's own key."""

    def __init__(self, uuid: str) -> None:
        self._secret = bytes.fromhex(uuid)

    def key(self, name: str) -> int:
        """A signed 64-bit number."""
        return int.from_bytes(
            hashlib.blake2b(name.encode(), digest_size=8, key=self._secret).digest(), "big", signed=True
        )

    def find(self, db: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
        """The numbers of those names that are in use."""
        wanted = set(names)
        rows = in_parts(
            db,
            "SELECT i.number, substr(n.content, 1, i.size) FROM identities i JOIN texts n ON n.place = i.text "
            "WHERE i.key IN ({})",
            [self.key(name) for name in wanted],
        )
        return {found: number for number, content in rows if (found := content.decode()) in wanted}


def cameras(db: sqlite3.Connection) -> dict[str, int]:
    """The numbers of all cameras."""
    return dict(db.execute("SELECT name, number FROM cameras"))


def cameras_with(db: sqlite3.Connection, names: set[str]) -> dict[str, int]:
    """The numbers of all cameras, these among them."""
    found = cameras(db)
    if names - found.keys():
        db.executemany("INSERT INTO cameras (name) VALUES (?)", [(name,) for name in sorted(names - found.keys())])
        found = cameras(db)
    return found


def condition(db: sqlite3.Connection, names: Names, where: Filter) -> tuple[str, list[Any]]:
    """What follows WHERE, and its values."""
    terms: list[str] = ["1"]
    values: list[Any] = []
    known = cameras(db) if where.cameras or where.exclude_cameras else {}
    for column, wanted, negated in (
        ("r.camera", [known[name] for name in where.cameras if name in known] if where.cameras else None, ""),
        ("r.camera", [known[name] for name in where.exclude_cameras if name in known] or None, "NOT "),
        ("r.identity", list(names.find(db, where.identities).values()) if where.identities else None, ""),
    ):
        if wanted is not None:
            terms.append(f"{column} {negated}IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(wanted))
    for term, value in (("r.time >= ?", where.after), ("r.time < ?", where.before)):
        if value is not None:
            terms.append(term)
            values.append(value)
    if where.unknown is not None:
        terms.append(f"r.identity IS {'' if where.unknown else 'NOT '}NULL")
    return " AND ".join(terms), values


def page(db: sqlite3.Connection, names: Names, where: Filter, limit: int, after_id: str) -> list[Record]:
    """See :meth:`resight.gallery.store.Store.page`."""
    passing, values = condition(db, names, where)
    statement = f"{RECORDS} WHERE r.id > ? AND {passing} ORDER BY r.id LIMIT ?"
    return [record(row) for row in db.execute(statement, (after(after_id), *values, limit))]


def newest(db: sqlite3.Connection, names: Names, where: Filter, limit: int, source: str) -> list[Record]:
    """See :meth:`resight.gallery.store.Store.newest`."""
    passing, values = condition(db, names, where)
    found: list[Record] = []
    for timed in ("NOT NULL", "NULL"):  # each by an index, from its end
        chosen = (
            f"SELECT r.slot FROM records r LEFT JOIN texts t ON t.place = r.text WHERE r.time IS {timed} AND {passing} "
            "AND (? = x'' OR instr(substr(t.content, 1, r.text_size), ?)) ORDER BY r.time DESC, r.id DESC LIMIT ?"
        )
        wanted = source.encode("utf-8", "surrogateescape")
        statement = f"{RECORDS} WHERE r.slot IN ({chosen}) ORDER BY r.time DESC, r.id DESC"
        found += map(record, db.execute(statement, (*values, wanted, wanted, limit - len(found))))
    return found


def timeline(db: sqlite3.Connection, identity: int | None, limit: int, after_id: str) -> list[Record]:
    """See :meth:`resight.gallery.store.Store.timeline`; of a page alone more than times and ids are read."""
    later, values = "1", []
    if after_id:
        row = db.execute("SELECT time, id FROM records WHERE id = ?", (key_of(after_id),)).fetchone()
        if row is None:
            raise not_there(after_id)
        later, values = "(r.time IS NULL, coalesce(r.time, 0), r.id) > (?, ?, ?)", [row[0] is None, row[0] or 0, row[1]]
    order = "ORDER BY r.time IS NULL, r.time, r.id"
    chosen = f"SELECT r.slot FROM records r WHERE r.identity = ? AND {later} {order} LIMIT ?"
    statement = f"{RECORDS} WHERE r.slot IN ({chosen}) {order}"
    return [record(row) for row in db.execute(statement, (identity, *values, limit))]
