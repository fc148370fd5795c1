"""The thumbnails of a gallery: in the database, or as objects of a folder or bucket that the database names.

An object is written before the row that names it, under a name that is used once, and its name is written down in the
transaction that erases the row, before it is removed. So a program may die at any moment: no row lacks its object, what
is erased is removed by the next program, and an object that no row names is nobody's and goes with the next purge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import TypeAlias
from uuid import UUID, uuid4

from resight.errors import ResightError
from resight.gallery.postgres.connections import Action, Connections
from resight.gallery.postgres.objects import Objects
from resight.gallery.postgres.rows import known_ids
from resight.gallery.record import Damaged

COLUMNS = {"id": "uuid", "content": "bytea", "name": "uuid", "size": "int4"}
_MOST = 10_000  # names in one statement
_SLOW = 600_000  # milliseconds that objects may take to be written

Kept: TypeAlias = "tuple[UUID, bytes | None, UUID | None, int | None]"
"""A row of :data:`COLUMNS`."""


class Thumbnails:
    """The thumbnails of one gallery.

    Args:
        connections: to it.
        place: the address where the objects are; "" for the database.
        objects: there; None for the database.
    """

    def __init__(self, connections: Connections, place: str, objects: Objects | None) -> None:
        self._connections, self._place, self._objects = connections, place, objects
        seed = f"{connections.place.gallery} thumbnails".encode()
        self._key = int.from_bytes(blake2b(seed, digest_size=8, key=b"resight").digest(), "big", signed=True)

    @contextmanager
    def put(self, action: Action, small: Mapping[str, bytes]) -> Iterator[dict[str, Kept]]:
        """Rows for the thumbnails of records, by id; whoever writes one takes it out, and what is left is removed."""
        if self._objects is None or not small:
            yield {id: (UUID(id), content, None, None) for id, content in small.items()}
            return
        action.rows("SELECT pg_advisory_xact_lock_shared(%s)", (self._key,))  # which a purge waits for
        action.rows("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", (str(_SLOW),))
        known = action.rows("SELECT id FROM records WHERE id = ANY(%s::uuid[])", (list(small),))
        new = {id: uuid4() for id in small.keys() - {id.hex for (id,) in known}}
        kept: dict[str, Kept] = {id: (UUID(id), None, name, len(small[id])) for id, name in new.items()}
        try:
            self._objects.put({_path(name): small[id] for id, name in new.items()})
            yield kept
        except BaseException:
            with suppress(ResightError):  # then they are nobody's
                self._objects.remove([_path(name) for name in new.values()])
            raise
        if kept:  # another program was faster
            self._objects.remove([_path(new[id]) for id in kept])

    def get(self, ids: Sequence[str]) -> list[bytes | None]:
        """The thumbnails of records, None where one or its record is not there.

        Raises:
            Damaged: an object is missing.
        """
        name = "NULL" if self._objects is None else "name"  # which tables of the first formats do not have
        statement = f"SELECT id, content, {name} FROM thumbnails WHERE id = ANY(%s::uuid[])"
        rows = self._connections.rows(statement, (known_ids(ids),))
        found = {id.hex: bytes(content) for id, content, _ in rows if content is not None}
        named = {id.hex: _path(name) for id, _, name in rows if name is not None}
        if named and self._objects is not None:
            objects = self._objects.get(list(named.values()))
            missing = [id for id, name in named.items() if name not in objects]
            if missing and (lost := self._connections.rows(statement, (missing,))):  # not erased meanwhile
                raise Damaged(
                    f"The thumbnail of record {lost[0][0].hex} is not in {self._place} ({_path(lost[0][2])}): restore "
                    "it from a backup, or erase the record."
                )
            found |= {id: objects[name] for id, name in named.items() if name in objects}
        return [found.get(id) for id in ids]

    def size(self) -> int:
        """Bytes of the objects."""
        if self._objects is None:
            return 0
        ((found,),) = self._connections.rows("SELECT coalesce(sum(size), 0)::bigint FROM thumbnails")
        return int(found)

    def sweep(self) -> None:
        """Remove the objects of erased records.

        Raises:
            ResightError: the place cannot be reached; they are removed another time.
        """
        if self._objects is None:
            return
        while names := [name for (name,) in self._connections.rows(f"SELECT name FROM leaving LIMIT {_MOST}")]:
            try:
                self._objects.remove([_path(name) for name in names])
            except ResightError as error:
                raise ResightError(
                    f"The records are erased, but {len(names):,} or more of their thumbnails are not removed yet. "
                    f"{error} Then run resight gallery purge."
                ) from None
            self._forget(names)

    def purge(self) -> list[str]:
        """Remove the objects of erased records and those that no row names; where they may remain, a sentence each."""
        if self._objects is None:
            return []
        self.sweep()
        nobodys = [name for names in self._objects.names() for name in self._without_row(names)]
        if nobodys:
            with self._connections.alone() as db, db.transaction():  # programs that were writing are done now
                db.execute("SELECT pg_advisory_xact_lock(%s)", (self._key,))
            for start in range(0, len(nobodys), _MOST):
                self._objects.remove(self._without_row(nobodys[start : start + _MOST]))
        return [sentence for sentence in (self._objects.remains(),) if sentence]

    def problems(self) -> Iterator[str]:
        """What is missing, and what should be gone, one sentence each."""
        if self._objects is None:
            return
        named = {
            _path(name): name
            for (name,) in self._connections.rows("SELECT name FROM thumbnails WHERE name IS NOT NULL")
        }
        for names in self._objects.names():
            for name in names:
                named.pop(name, None)
        still = "SELECT id FROM thumbnails WHERE name = ANY(%s::uuid[]) ORDER BY id"
        missing = self._connections.rows(still, (list(named.values()),)) if named else []
        if missing:
            yield (
                f"{self._place} lacks {len(missing):,} thumbnails, the first of record {missing[0][0].hex}: restore "
                "them from a backup, or erase the records."
            )
        ((leaving,),) = self._connections.rows("SELECT count(*) FROM leaving")
        if leaving:
            yield f"{self._place} keeps thumbnails of {leaving:,} erased records: run resight gallery purge."

    def _forget(self, names: list[UUID]) -> None:
        statement = "DELETE FROM leaving WHERE name = ANY(%s::uuid[])"
        self._connections.write(lambda action: action.run(statement, (names,)))

    def _without_row(self, names: Sequence[str]) -> list[str]:
        """Those objects of ours that no row names."""
        ours = {name: one for name in names if (one := _name(name)) is not None}
        statement = "SELECT name FROM thumbnails WHERE name = ANY(%s::uuid[])"
        there = {name for (name,) in self._connections.rows(statement, (list(ours.values()),))} if ours else set()
        return [name for name, one in ours.items() if one not in there]


def _path(name: UUID) -> str:
    """The name of an object: some hundreds to a folder."""
    return f"{name.hex[:2]}/{name.hex}.jpg"


def _name(path: str) -> UUID | None:
    """The name that a path was made of; None where it is another's file."""
    try:
        found = UUID(path[3:-4])
    except ValueError:
        return None
    return found if path == _path(found) else None
