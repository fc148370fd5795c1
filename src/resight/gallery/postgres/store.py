"""The shared engine: PostgreSQL is the record of everything, and pgvector searches it, or FAISS a copy in memory.

Every action is one transaction. Reads are single statements, each of one state of the database.
What the methods do is described in :class:`resight.gallery.store.Store`.
"""

# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, ResightError
from resight.gallery.postgres import answering, counting, erased, operating, people, rows, slots
from resight.gallery.postgres.connections import EVENTS, Action, Connections
from resight.gallery.postgres.making import about_of, create, keep, objects_of, update
from resight.gallery.postgres.place import Place
from resight.gallery.postgres.searching import Searcher
from resight.gallery.postgres.thumbnails import COLUMNS, Kept, Thumbnails
from resight.gallery.record import Answer, Event, Filter, Person, Record, Right, Stats
from resight.gallery.store import MAKE_ONE, About, Candidates, Rows, no_such_identity, not_there


def open_store(uri: str, new: About | None, *, read_only: bool, actor: str) -> PostgresStore:
    """Open the gallery in a database, or make it, see :func:`resight.gallery.engines.open_store`."""
    connections = Connections(Place.of(uri), read_only=read_only)
    try:
        about = about_of(connections)
        if about is None:
            if new is None or read_only:
                why = MAKE_ONE if new is None else "read_only makes none"
                raise DataError(f"There is no gallery at {connections.place.uri}: check the address, or {why}.")
            create(connections, new, actor)
            connections.close()
            connections = Connections(connections.place, read_only=False)  # which know the types of the extension
            about = about_of(connections)
            assert about is not None
        if not read_only:
            update(connections, about.card.dim)
        thumbnails = Thumbnails(connections, *objects_of(connections))
        if not read_only:
            with suppress(ResightError):  # what another program left, if this one may
                thumbnails.sweep()
        return PostgresStore(connections, about, thumbnails)
    except BaseException:
        connections.close()
        raise


class PostgresStore:
    """The engine; its methods are described in :class:`resight.gallery.store.Store`."""

    def __init__(self, connections: Connections, about: About, thumbnails: Thumbnails) -> None:
        self.uri, self.about = connections.place.uri, about
        self._connections, self._thumbnails = connections, thumbnails
        self._dim, self._metric = about.card.dim, about.card.metric
        self.erased = erased.Erased(connections)
        self._searcher = Searcher(connections, self._dim, self._metric)

    def __reduce__(self) -> tuple[Any, ...]:
        place = self._connections.place
        separator = "&" if "?" in place.address else "?"
        uri = f"{place.address}{separator}gallery={place.gallery}"
        return partial(open_store, uri, None, read_only=self._connections.read_only, actor=""), ()

    def keep(self, about: About) -> None:
        self._connections.write(lambda action: keep(action, about))
        self.about = about

    def add(self, new: Rows, actor: str) -> NDArray[np.bool_]:
        names = {record.identity for record in new.records if record.identity is not None}
        ids = [record.id for record in new.records]
        pictures = {id: one for id, one in zip(ids, new.thumbnails, strict=True) if one is not None}

        def work(action: Action) -> NDArray[np.bool_]:
            with self._thumbnails.put(action, pictures) as small:
                if names:
                    action.lock()
                known = {id.hex for (id,) in action.rows("SELECT id FROM records WHERE id = ANY(%s::uuid[])", (ids,))}
                which = [at for at, id in enumerate(ids) if id not in known]
                if which:
                    self._insert(action, new, which, [small.pop(ids[at]) for at in which if ids[at] in small])
                    action.note(actor, "add", {"records": len(which)})
            return np.array([id not in known for id in ids], bool)

        return self._connections.write(work)

    def _insert(self, action: Action, new: Rows, which: list[int], small: list[Kept]) -> None:
        vectors = new.vectors[which]
        scales = rows.scales(vectors, self._metric)
        stored = np.ldexp(vectors, -scales[:, None])
        marks = [new.marks[at] if new.marks else None for at in which]
        each = zip([new.records[at] for at in which], scales.tolist(), stored, marks, strict=True)
        action.copy("records", rows.COLUMNS, (rows.row(*one) for one in each))
        if new.lifted:
            erased.lift(action, new.lifted)
        if small:
            action.copy("thumbnails", COLUMNS, iter(small))
        numbers = people.numbers(action, {name for at in which if (name := new.records[at].identity) is not None})
        named = ((new.records[at].id, new.records[at].identity) for at in which)
        people.label(action, ((id, numbers[name]) for id, name in named if name is not None))
        slots.put(action, [new.records[at].id for at in which])

    def near(self, queries: NDArray[np.float32], k: int, where: Filter, approximate: bool) -> list[Candidates]:
        return self._searcher.near(queries, k, where, approximate)

    def hold(self, most: int) -> None:
        self._searcher.hold(most)

    def index(self) -> int:
        return self._searcher.index()

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        statement = f"{rows.RECORDS} WHERE r.id = ANY(%s::uuid[])"
        found = {one.id: one for one in map(rows.record, self._connections.rows(statement, (rows.known_ids(ids),)))}
        return [found.get(id) for id in ids]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        statement = f"SELECT r.id, {rows.VECTOR} FROM records r WHERE r.id = ANY(%s::uuid[])"
        found = {id.hex: kept for id, *kept in self._connections.rows(statement, (rows.known_ids(ids),))}
        for id in ids:
            if id not in found:
                raise not_there(id)
        return rows.vectors_of(((found[id][0], found[id][1]) for id in ids), self._dim)

    def thumbnails(self, ids: Sequence[str]) -> list[bytes | None]:
        return self._thumbnails.get(ids)

    def page(self, where: Filter, limit: int, after_id: str) -> list[Record]:
        passing, values = rows.condition(where)
        later, values["after_id"] = rows.above(after_id)
        statement = f"{rows.RECORDS} WHERE {later}::uuid AND {passing} ORDER BY r.id LIMIT %(limit)s"
        return [rows.record(row) for row in self._connections.rows(statement, values | {"limit": limit})]

    def count(self, where: Filter) -> int:
        passing, values = rows.condition(where)
        ((found,),) = self._connections.rows(f"SELECT count(*) FROM records r WHERE {passing}", values)
        return int(found)

    def newest(self, where: Filter, limit: int, source: str) -> list[Record]:
        passing, values = rows.condition(where)
        values |= {"limit": limit, "part": source.encode("utf-8", "surrogateescape")}
        statement = (
            f"{rows.RECORDS} WHERE {passing} AND position(%(part)s::bytea in r.source) > 0 "
            "ORDER BY r.time DESC NULLS LAST, r.id DESC LIMIT %(limit)s"
        )
        return [rows.record(row) for row in self._connections.rows(statement, values)]

    def timeline(self, identity: str, limit: int, after_id: str) -> list[Record]:
        values: dict[str, Any] = {"identity": identity, "limit": limit}
        later = "true"
        if after_id:
            (last,) = self.get([after_id])
            if last is None:
                raise not_there(after_id)
            later, values["last"], values["time"] = rows.LATER, after_id, last.time
        statement = (
            f"{rows.RECORDS} WHERE i.name = %(identity)s AND {later} ORDER BY r.time NULLS LAST, r.id LIMIT %(limit)s"
        )
        return [rows.record(row) for row in self._connections.rows(statement, values)]

    def people(self, limit: int, after: str) -> list[Person]:
        found = self._connections.rows(people.LISTED, (after, limit))
        return [Person(name, count, tuple(sorted(cameras)), *times) for name, count, cameras, *times in found]

    def cameras(self, limit: int, after: str | None) -> dict[str, int]:
        return dict(self._connections.rows(rows.CAMERAS, {"after": after, "limit": limit}))

    def enrol(self, name: str, ids: Sequence[str], actor: str, new: bool = False) -> None:
        def work(action: Action) -> None:
            action.lock()
            if new:
                people.refuse_taken(action, name)
            number, given = people.enrol(action, name, ids)
            action.note(actor, "enrol", {"identity": number, "records": given})

        self._connections.write(work)

    def merge(self, into: str, others: Sequence[str], actor: str) -> int:
        def work(action: Action) -> int:
            action.lock()
            number, gone, moved = people.merge(action, into, others)
            action.note(actor, "merge", {"identity": number, "others": gone, "records": moved})
            return moved

        return self._connections.write(work)

    def split(self, name: str, ids: Sequence[str], new_name: str | None, actor: str) -> None:
        def work(action: Action) -> None:
            action.lock()
            number, new = people.split(action, name, ids, new_name)
            action.note(actor, "split", {"identity": number, "new": new, "records": len(ids)})

        self._connections.write(work)

    def rename(self, name: str, new_name: str, actor: str) -> None:
        def work(action: Action) -> None:
            action.lock()
            action.note(actor, "rename", {"identity": people.rename(action, name, new_name)})

        self._connections.write(work)

    def answer(self, answers: Sequence[Answer], actor: str) -> None:
        def work(action: Action) -> None:
            action.lock()
            answering.put(action, answers, actor)

        self._connections.write(work)

    def answers(self) -> list[Answer]:
        return self._connections.read(answering.every)

    def erase(
        self,
        actor: str,
        *,
        ids: Sequence[str] | None = None,
        identity: str | None = None,
        before: float | None = None,
        expired: float | None = None,
    ) -> int:
        def work(action: Action) -> int:
            action.lock()
            details: dict[str, Any] = {}
            value: Any
            if identity is not None:
                details["identity"] = value = people.number(action, identity)
                chosen = "r.id IN (SELECT id FROM labels WHERE identity = %s)"
            elif ids is not None:
                chosen, value = "r.id = ANY(%s::uuid[])", rows.known_ids(ids)
            elif before is not None:
                chosen, value = "r.time < %s", before
                details["before"] = before
            else:
                chosen, value = "r.expires <= %s", expired
                details["expired"] = expired
            owners = action.rows(
                f"SELECT DISTINCT l.identity FROM labels l JOIN records r ON r.id = l.id WHERE {chosen}", (value,)
            )
            if expired is None:
                erased.leave(action, action.rows(f"SELECT r.id, r.mark FROM records r WHERE {chosen}", (value,)))
            slots.touch(action, f"SELECT r.id FROM records r WHERE {chosen}", (value,))
            gone = action.run(f"DELETE FROM records r WHERE {chosen}", (value,))
            if gone:
                names = people.forget(action, [owner for (owner,) in owners])
                action.note(
                    actor, "erase" if expired is None else "expire", details | {"records": gone, "names": names}
                )
            return gone

        gone = self._connections.write(work)
        self._searcher.follow()
        self._thumbnails.sweep()
        return gone

    def note(self, actor: str, action: str, details: Mapping[str, Any]) -> None:
        self._connections.write(lambda doing: doing.note(actor, action, details))

    def number(self, identity: str) -> int:
        found = self._connections.rows(people.FIND, ([identity],))
        if not found:
            raise no_such_identity(identity)
        return int(found[0][1])

    def log(self, after: int, limit: int) -> list[Event]:
        statement = f"{EVENTS} WHERE number > %s ORDER BY number LIMIT %s"
        return [Event(*row) for row in self._connections.rows(statement, (after, limit))]

    def wait(self, after: int, seconds: float) -> bool:
        return self._connections.wait(f"{EVENTS} WHERE number > %s LIMIT 1", (after,), seconds)

    def purge(self, actor: str) -> list[str]:
        self._connections.read(
            lambda session: operating.refuse_others(session, self._connections.place.gallery, "purge")
        )
        left = self._thumbnails.purge() + operating.purge(self._connections)
        self.note(actor, "purge", {"left": len(left)})
        return left

    def grant(self, role: str, right: Right, actor: str) -> None:
        self._connections.write(
            lambda action: operating.grant(action, self._connections.place.gallery, role, right, actor)
        )

    def stats(self, now: float) -> Stats:
        return counting.stats(self._connections, self.about.card, now, self._thumbnails.size())

    def check(self) -> list[str]:
        return [*counting.problems(self._connections), *self._thumbnails.problems()]

    def backup(self, path: str) -> Path:
        raise DataError(
            f"{self.uri} is no file: back up the database with pg_dump, or write {path} with resight gallery copy."
        )

    def close(self) -> None:
        self._searcher.hold(0)
        self._connections.close()
