"""Which slots have changed, and since when: what the cache and a search go by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from resight.gallery.vectors.cache import Source, View
from resight.gallery.vectors.cache_files import COLUMNS, Changed

_READ = 1024  # vectors at a time


def touch(db: sqlite3.Connection, slots: Iterable[int]) -> None:
    """Begin a new change, in which so many slots are other than they were."""
    db.execute("UPDATE state SET change = change + 1")
    (change,) = db.execute("SELECT change FROM state").fetchone()
    db.executemany("INSERT OR REPLACE INTO changes VALUES (?, ?)", [(slot, change) for slot in slots])


def want_wipe(db: sqlite3.Connection, wanted: int = 1) -> None:
    """Note that bytes are to go from every file of the gallery, or that they are gone."""
    db.execute("UPDATE state SET wipe = ?", (wanted,))


def wipe_wanted(db: sqlite3.Connection) -> bool:
    """Whether bytes are to go from every file still."""
    (wanted,) = db.execute("SELECT wipe FROM state").fetchone()
    return bool(wanted)


def touched(db: sqlite3.Connection, view: View) -> list[int]:
    """The slots, from 0, that changed after the view, ascending."""
    old = db.execute("SELECT slot - 1 FROM changes WHERE change > ? AND slot <= ?", (view.change, view.slots))
    new = db.execute("SELECT place - 1 FROM vectors WHERE place > ? ORDER BY place", (view.slots,))
    return sorted([slot for (slot,) in old] + [slot for (slot,) in new])


def source(db: sqlite3.Connection, dim: int) -> Source:
    """The state that a transaction sees, for the cache."""
    change, slots, event = db.execute(
        "SELECT (SELECT change FROM state), (SELECT coalesce(max(place), 0) FROM vectors), "
        "(SELECT max(number) FROM events)"
    ).fetchone()

    def digest(event: int) -> bytes:
        row = db.execute("SELECT digest FROM events WHERE number = ?", (event,)).fetchone()
        return bytes.fromhex(row[0]) if row else b""

    return Source(
        change,
        slots,
        event,
        digest(event),
        lambda event, known: digest(event) == known,
        partial(_since, db, dim),
        partial(_behind, db),
    )


def _behind(db: sqlite3.Connection, change: int, slots: int) -> int:
    """How many slots are other than they were after a change, when there were so many."""
    (count,) = db.execute(
        "SELECT (SELECT count(*) FROM changes WHERE change > ? AND slot <= ?) + "
        "(SELECT count(*) FROM vectors WHERE place > ?)",
        (change, slots, slots),
    ).fetchone()
    return int(count)


def _since(db: sqlite3.Connection, dim: int, change: int, slots: int) -> Iterator[Changed]:
    """What has changed after a change, of which so many slots are known."""
    columns = "v.place, v.content, coalesce(r.camera, 0), coalesce(r.identity, 0), r.time"
    for statement, values in (
        ("FROM changes h JOIN vectors v ON v.place = h.slot", (change, slots)),
        ("FROM vectors v", (slots,)),
    ):
        which = "h.change > ? AND h.slot <= ?" if len(values) == 2 else "v.place > ?"
        cursor = db.execute(
            f"SELECT {columns} {statement} LEFT JOIN records r ON r.slot = v.place WHERE {which} ORDER BY v.place",
            values,
        )
        while rows := cursor.fetchmany(_READ):
            known = np.zeros(len(rows), COLUMNS)
            for at, name in ((2, "camera"), (3, "identity"), (4, "time")):
                known[name] = np.array([row[at] for row in rows], known.dtype[name])
            places = np.array([row[0] for row in rows], np.int64)
            vectors = np.frombuffer(b"".join(row[1] for row in rows), "<f4").reshape(len(rows), dim)
            yield Changed(places - 1, known, vectors)
