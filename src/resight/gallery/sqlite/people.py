"""Identities in the tables: records change their identity, and a name that no record has any more is forgotten."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from resight.gallery.record import Person
from resight.gallery.sqlite.changes import want_wipe
from resight.gallery.sqlite.places import Places, in_parts
from resight.gallery.sqlite.reading import GRAIN, Names, key_of
from resight.gallery.store import bears_another_name, name_taken, no_such_identity, not_there

_TEXTS = Places("texts", GRAIN)


class People:
    """The identities of one gallery, inside transactions of others.

    Args:
        uuid: which gallery.
    """

    def __init__(self, uuid: str) -> None:
        self.names = Names(uuid)

    def number(self, db: sqlite3.Connection, name: str) -> int:
        """The number of an identity; Missing if no record has the name."""
        found = self.names.find(db, [name])
        if name not in found:
            raise no_such_identity(name)
        return found[name]

    def numbers(self, db: sqlite3.Connection, names: set[str]) -> dict[str, int]:
        """The numbers of identities, new ones for new names."""
        found = self.names.find(db, names)
        for name in sorted(names - found.keys()):
            (place,), _ = _TEXTS.put(db, [name.encode()])
            row = (self.names.key(name), place, len(name.encode()))
            found[name] = int(
                db.execute("INSERT INTO identities (key, text, size) VALUES (?, ?, ?)", row).lastrowid or 0
            )
        return found

    def refuse_taken(self, db: sqlite3.Connection, name: str) -> None:
        """Raise Conflict where an identity has the name."""
        if self.names.find(db, [name]):
            raise name_taken(name)

    def enrol(self, db: sqlite3.Connection, name: str, ids: Sequence[str]) -> tuple[int, list[int]]:
        """Give records a name: its number, and the slots that did not have it before."""
        held = _holders(db, ids)
        number = self.numbers(db, {name})[name]
        for id, (_, owner) in held.items():
            if owner not in (None, number):
                raise bears_another_name(id, _name(db, owner))
        slots = [slot for slot, owner in held.values() if owner is None]
        _give(db, slots, number)
        return number, slots

    def merge(self, db: sqlite3.Connection, into: str, others: Sequence[str]) -> tuple[int, list[int], list[int]]:
        """Give all records of others one name: its number, those of the others, and the slots."""
        target, gone = self.number(db, into), [self.number(db, name) for name in others]
        slots = [slot for (slot,) in in_parts(db, "SELECT slot FROM records WHERE identity IN ({})", gone)]
        _give(db, slots, target)
        self.forget(db, gone)
        return target, gone, slots

    def split(
        self, db: sqlite3.Connection, name: str, ids: Sequence[str], new_name: str | None
    ) -> tuple[int, int | None, list[int]]:
        """Take records out of an identity: its number, that of the new one, and the slots."""
        number = self.number(db, name)
        held = _holders(db, ids)
        for id, (_, owner) in held.items():
            if owner != number:
                raise bears_another_name(id, None if owner is None else _name(db, owner))
        if new_name is not None:
            self.refuse_taken(db, new_name)
        new = None if new_name is None else self.numbers(db, {new_name})[new_name]
        slots = [slot for slot, _ in held.values()]
        _give(db, slots, new)
        self.forget(db, [number])
        return number, new, slots

    def rename(self, db: sqlite3.Connection, name: str, new_name: str) -> tuple[int, list[int]]:
        """Another name for an identity: its number, which stays, and its slots."""
        number = self.number(db, name)
        self.refuse_taken(db, new_name)
        (old,) = db.execute("SELECT text FROM identities WHERE number = ?", (number,)).fetchone()
        (place,), _ = _TEXTS.put(db, [new_name.encode()])
        row = (self.names.key(new_name), place, len(new_name.encode()), number)
        db.execute("UPDATE identities SET key = ?, text = ?, size = ? WHERE number = ?", row)
        _TEXTS.wipe(db, [old])
        want_wipe(db)
        return number, [slot for (slot,) in db.execute("SELECT slot FROM records WHERE identity = ?", (number,))]

    def forget(self, db: sqlite3.Connection, numbers: Iterable[int]) -> int:
        """Forget the names of those identities that have no record any more, and return how many these were."""
        count = 0
        for number in numbers:
            row = db.execute(
                "SELECT text FROM identities i WHERE number = ? "
                "AND NOT EXISTS (SELECT 1 FROM records WHERE identity = i.number)",
                (number,),
            ).fetchone()
            if row is not None:
                db.execute("DELETE FROM identities WHERE number = ?", (number,))
                _TEXTS.wipe(db, row)
                want_wipe(db)
                count += 1
        return count


def listed(db: sqlite3.Connection, limit: int, after: str) -> Iterator[Person]:
    """See :meth:`resight.gallery.store.Store.people`: all names are looked at, but only the records of a page."""
    chosen = db.execute(
        "SELECT i.number, substr(n.content, 1, i.size) AS name FROM identities i JOIN texts n ON n.place = i.text "
        "WHERE name > ? ORDER BY name LIMIT ?",
        (after.encode(), limit),
    ).fetchall()
    seen: dict[int, list[tuple[str, int, float | None, float | None]]] = {}
    for number, *of_camera in db.execute(
        "SELECT r.identity, c.name, count(*), min(r.time), max(r.time) FROM records r JOIN cameras c "
        "ON c.number = r.camera WHERE r.identity IN (SELECT value FROM json_each(?)) GROUP BY r.identity, r.camera",
        (json.dumps([number for number, _ in chosen]),),
    ):
        seen.setdefault(number, []).append(tuple(of_camera))
    for number, name in chosen:
        cameras, counts, first, last = zip(*seen[number], strict=True)
        times = [time for time in (*first, *last) if time is not None]
        known = (min(times), max(times)) if times else (None, None)
        yield Person(name.decode(), sum(counts), tuple(sorted(cameras)), *known)


def _holders(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, tuple[int, int | None]]:
    """The slot and the identity of each record; Missing for the first that is not there."""
    rows = in_parts(db, "SELECT id, slot, identity FROM records WHERE id IN ({})", [key_of(id) for id in ids])
    found = {key.hex(): (slot, identity) for key, slot, identity in rows}
    for id in ids:
        if id not in found:
            raise not_there(id)
    return found


def _give(db: sqlite3.Connection, slots: Iterable[int], number: int | None) -> None:
    db.executemany("UPDATE records SET identity = ? WHERE slot = ?", [(number, slot) for slot in slots])


def _name(db: sqlite3.Connection, number: int | None) -> str:
    name, size = db.execute(
        "SELECT n.content, i.size FROM identities i JOIN texts n ON n.place = i.text WHERE i.number = ?", (number,)
    ).fetchone()
    return str(name[:size].decode())
