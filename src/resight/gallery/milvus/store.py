"""The cluster engine: vectors and what is known of them in a Milvus collection, thumbnails and the log as objects.

Milvus knows no transactions, so every action takes a turn and writes down first what it will do; what was left half
done is done, or undone, by the next writer (:mod:`resight.gallery.milvus.journal`). Reads see all that was
acknowledged.
"""
# ruff: noqa: D102
# The public methods are those of resight.gallery.store.Store, which documents them.

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, ResightError
from resight.gallery.milvus import counting, near, people
from resight.gallery.milvus import rows as rows_
from resight.gallery.milvus.journal import Head, Intent, Journal, Turn
from resight.gallery.milvus.making import about_in, create, plain
from resight.gallery.milvus.objects import Objects, open_objects
from resight.gallery.milvus.rows import RECORD, among, expression
from resight.gallery.milvus.sweep import Sweeper
from resight.gallery.milvus.table import Place, Row, Table, connect, now
from resight.gallery.record import Event, Filter, Person, Record, Stats
from resight.gallery.store import About, Candidates, Rows, bears_another_name, not_there

_FEW = 500  # records in one step
_WRITERS = 8  # thumbnails at a time


def open_store(uri: str, new: About | None, *, read_only: bool, actor: str) -> MilvusStore:
    """Open the gallery in a collection, or make it, see :func:`resight.gallery.engines.open_store`."""
    place = Place.of(uri)
    objects = open_objects(place.objects)
    about = about_in(objects, place)
    if about is None and new is None:
        raise DataError(f"There is no gallery in {objects.uri}: check the address, or pass a model to make one.")
    if about is None and read_only:
        raise DataError(f"There is no gallery in {objects.uri}, and read_only makes none: check the address.")
    client = connect(place)
    try:
        if about is None:
            assert new is not None
            create(client, place, objects, new)
            about = about_in(objects, place)
            assert about is not None
        return MilvusStore(client, place, objects, about, read_only=read_only, actor=actor)
    except BaseException:
        client.close()
        raise


class MilvusStore:
    """The engine, see :class:`resight.gallery.store.Store`."""

    def __init__(
        self, client: Any, place: Place, objects: Objects, about: About, *, read_only: bool, actor: str
    ) -> None:
        self.about, self.uri = about, place.uri(objects.uri)
        self._client, self._objects, self._read_only = client, objects, read_only
        dim, metric = about.card.dim, about.card.metric
        self._main = Table(client, place.address, place.collection, dim, metric, self._as_of)
        self._side = Table(client, place.address, f"{place.collection}_approximate", dim, metric, self._as_of)
        self._address, self._seen = place.address, (0, 0)
        self._journal, self._lock = Journal(objects), threading.RLock()
        self._sweeper = Sweeper(objects, self._last, self._tables)
        if not self._main.ask("has_collection"):
            raise DataError(
                f"The collection of {self.uri} is gone, only its objects are left: restore it from a backup."
            )
        self._main.load()
        if not read_only:
            self._journal.begin(actor, {"model": about.card.fingerprint, "dim": dim})
            self._journal.settle(self._finish)
            self._journal.tidy()
            if self._sweeper.pending():
                self._sweeper.begin()

    def keep(self, about: About) -> None:
        self._writable()
        self._objects.write("gallery.json", plain(about, self._main.name))
        self.about = about

    def add(self, rows: Rows, actor: str) -> NDArray[np.bool_]:
        ids = [record.id for record in rows.records]
        new = np.zeros(len(ids), bool)
        numbers: dict[str, int] = {}

        def prepare(head: Head) -> Intent | None:
            there = {row["id"] for row in self._main.rows(ids, ("id",))}
            new[:] = [id not in there for id in ids]
            added = [record for record, one in zip(rows.records, new, strict=True) if one]
            found, last = people.numbers(
                self._main, head.people, {record.identity for record in added if record.identity}
            )
            numbers.update(found)
            if not added:
                return None
            details = {"records": len(added)}
            return Intent("add", actor, details, last, head.indexed, added=[record.id for record in added])

        def put(turn: Turn) -> None:
            which = np.flatnonzero(new).tolist()
            made = [
                rows_.row(record, numbers.get(record.identity or "", 0), rows.vectors[at], rows.thumbnails[at])
                for at, record in enumerate(rows.records)
                if new[at]
            ]
            small = [(_thumbnail(ids[at]), data) for at in which if (data := rows.thumbnails[at]) is not None]
            with ThreadPoolExecutor(_WRITERS) as pool:
                for some in _parts(small):
                    turn.beat()
                    list(pool.map(self._objects.write, *zip(*some, strict=True)))
            for message in self._main.messages(made):
                turn.beat()
                for table in self._tables():
                    table.ask("insert", message)

        self._act(prepare, put)
        return new

    def near(self, queries: NDArray[np.float32], k: int, where: Filter, approximate: bool) -> list[Candidates]:
        if approximate and self._indexed():
            return near.roughly(self._side, queries, k, expression(where))
        return near.near(self._main, queries, k, expression(where))

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        found = {row["id"]: rows_.record(row) for row in self._main.rows(ids, RECORD)}
        return [found.get(id) for id in ids]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        found = {row["id"]: np.array(row["vector"], np.float32) for row in self._main.rows(ids, ("id", "vector"))}
        for id in ids:
            if id not in found:
                raise not_there(id)
        return np.array([found[id] for id in ids], np.float32).reshape(len(ids), self.about.card.dim)

    def thumbnail(self, id: str) -> bytes | None:
        return self._objects.read([_thumbnail(id)])[0] if self._main.rows([id], ("id",)) else None

    def page(self, where: Filter, limit: int, after_id: str) -> list[Record]:
        if after_id.strip("0123456789abcdefABCDEF"):
            raise DataError(f"{after_id!r} is no id of a record: pass 32 hex digits.")
        found: list[Record] = []
        for rows in self._main.pages(expression(where), RECORD, limit, after_id.lower()):
            found += map(rows_.record, rows)
            if len(found) >= limit:
                break
        return found[:limit]

    def timeline(self, identity: str) -> list[Record]:
        found = [rows_.record(row) for rows in self._main.pages(people.named(identity)) for row in rows]
        return sorted(found, key=lambda one: (one.time is None, one.time or 0.0, one.id))

    def count(self, where: Filter) -> int:
        return self._main.count(expression(where))

    def people(self) -> list[Person]:
        return people.everyone(self._main)

    def enrol(self, name: str, ids: Sequence[str], actor: str, new: bool = False) -> None:
        def prepare(head: Head) -> Intent:
            if new:
                people.refuse_taken(self._main, name)
            held = people.holders(self._main, ids)
            for id, owner in held.items():
                if owner not in ("", name):
                    raise bears_another_name(id, owner)
            numbers, last = people.numbers(self._main, head.people, {name})
            given = [id for id, owner in held.items() if not owner]
            details = {"identity": numbers[name], "records": len(given)}
            return _naming(head, actor, "enrol", details, given, name, numbers[name], last)

        self._act(prepare)

    def merge(self, into: str, others: Sequence[str], actor: str) -> int:
        moved: list[str] = []

        def prepare(head: Head) -> Intent:
            target, gone = self.number(into), [self.number(name) for name in others]
            moved[:] = self._main.ids(among("identity", others))
            details = {"identity": target, "others": gone, "records": len(moved)}
            return _naming(head, actor, "merge", details, moved, into, target, head.people)

        self._act(prepare)
        return len(moved)

    def split(self, name: str, ids: Sequence[str], new_name: str | None, actor: str) -> None:
        def prepare(head: Head) -> Intent:
            number, new, last = self.number(name), None, head.people
            for id, owner in people.holders(self._main, ids).items():
                if owner != name:
                    raise bears_another_name(id, owner or None)
            if new_name is not None:
                people.refuse_taken(self._main, new_name)
                new = last = head.people + 1
            details = {"identity": number, "new": new, "records": len(ids)}
            return _naming(head, actor, "split", details, ids, new_name or "", new or 0, last)

        self._act(prepare)

    def rename(self, name: str, new_name: str, actor: str) -> None:
        def prepare(head: Head) -> Intent:
            number = self.number(name)
            people.refuse_taken(self._main, new_name)
            held = self._main.ids(people.named(name))
            return _naming(head, actor, "rename", {"identity": number}, held, new_name, number, head.people)

        self._act(prepare)

    def erase(
        self,
        actor: str,
        *,
        ids: Sequence[str] | None = None,
        identity: str | None = None,
        before: float | None = None,
        expired: float | None = None,
    ) -> int:
        """See :meth:`resight.gallery.store.Store.erase`.

        When this returns, thumbnails are gone and no search finds the records. The bytes of the vectors leave Milvus's
        own files later: see :mod:`resight.gallery.milvus.sweep` and docs/cluster.md.
        """
        gone: list[Row] = []

        def prepare(head: Head) -> Intent | None:
            details: dict[str, Any] = {}
            columns = ("id", "identity")
            if ids is not None:
                gone[:] = self._main.rows(ids, columns)
            else:
                if identity is not None:
                    details, where = {"identity": self.number(identity)}, people.named(identity)
                elif before is not None:
                    details, where = {"before": before}, expression(Filter(before=before))
                else:
                    details, where = {"expired": expired}, f"expires <= {expired!r}"
                gone[:] = [row for rows in self._main.pages(where, columns) for row in rows]
            if not gone:
                return None
            going = [row["id"] for row in gone]
            details |= {"records": len(going), "names": people.emptied(self._main, gone)}
            action = "erase" if expired is None else "expire"
            return Intent(action, actor, details, head.people, head.indexed, erased=going)

        self._act(prepare)
        return len(gone)

    def note(self, actor: str, action: str, details: Mapping[str, Any]) -> None:
        self._act(lambda head: Intent(action, actor, dict(details), head.people, head.indexed))

    def number(self, identity: str) -> int:
        return people.number(self._main, identity)

    def log(self, after: int, limit: int) -> list[Event]:
        return self._journal.events(after, limit)

    def stats(self, now: float) -> Stats:
        return counting.stats(self._main, self.about.card, now)

    def index(self) -> int:
        """See :meth:`resight.gallery.store.Store.index`: a second collection, since Milvus gives a vector one index.

        From then on every change is written to both, so that it never is behind.
        """
        for standing in (False, True):  # the old one is taken down first
            if standing or self._indexed():
                self._act(lambda head, to=standing: Intent("index", "", {"standing": to}, head.people, to))  # type: ignore[misc]
        return self._side.count()

    def check(self) -> list[str]:
        problems = [f"Event {number} of the log is missing: restore it." for number in self._journal.missing()]
        problems += counting.thumbnails_amiss(self._main, self._objects)
        if self._indexed() and counting.differ(self._main, self._side):
            problems.append("The approximate index does not hold the same records: build it again.")
        return problems

    def backup(self, path: str) -> Path:
        raise DataError(f"{self.uri} is no file: copy it to one with resight gallery copy, which is a backup.")

    def close(self) -> None:
        self._sweeper.close()
        with suppress(Exception):  # it is only let go of
            self._client.close()

    def _act(self, prepare: Callable[[Head], Intent | None], put: Callable[[Turn], None] | None = None) -> None:
        """One action, in a turn of its own.

        Args:
            prepare: looks and says what is to be done, nothing if None; raises where it cannot be.
            put: does it, where the intent alone is not enough to.
        """
        self._writable()
        with self._lock:
            turn: Turn | None = None
            while turn is None:
                head = self._journal.settle(self._finish)
                intent = prepare(head)
                if intent is None:
                    return
                turn = self._journal.take(head, intent)
            try:
                details: Mapping[str, Any] = turn.intent.details
                if put is None:
                    details = self._finish(turn)
                else:
                    put(turn)
                self._journal.done(head, turn, details)
            except BaseException:
                turn.leave()
                with suppress(ResightError):  # else the next writer does
                    self._journal.settle(self._finish)
                raise
            if turn.intent.erased:
                self._sweeper.begin()

    def _finish(self, turn: Turn) -> Mapping[str, Any]:
        """Do what an intent says, perhaps once more, and give the details for the log."""
        intent, details = turn.intent, turn.intent.details
        if intent.added and len(self._main.rows(intent.added, ("id",), now=True)) < len(intent.added):
            self._remove(turn, intent.added)
            details = details | {"records": 0}
        if intent.erased:
            self._sweeper.mark(turn.number)
            self._remove(turn, intent.erased)
        for some in _parts(intent.named):
            for message in self._main.messages(self._main.rows(some, rows_.ALL, now=True)):
                turn.beat()
                made = [row | {"identity": intent.identity, "person": intent.person} for row in message]
                for table in self._tables():
                    table.ask("upsert", made)
        if intent.action == "index":
            self._build(turn)
        return details

    def _remove(self, turn: Turn, ids: Sequence[str]) -> None:
        for some in _parts(ids):
            turn.beat()
            self._objects.remove(map(_thumbnail, some))
            for table in self._tables():
                table.ask("delete", ids=list(some))

    def _build(self, turn: Turn) -> None:
        """Take the approximate index down, and build it if it is to stand."""
        self._side.ask("drop_collection")
        if turn.intent.indexed:
            near.build(self._main, self._side, turn.beat)

    def _tables(self) -> list[Table]:
        """What every change is written to."""
        return [self._main, self._side] if self._indexed() else [self._main]

    def _indexed(self) -> bool:
        head = self._journal.head()
        return head is not None and head.indexed

    def _as_of(self) -> int:
        """A moment after the last event: who reads as of then sees all that was acknowledged, and nothing erased."""
        number, moment = self._seen
        if number != (last := self._last()):
            moment = now(self._client, self._address)
            self._seen = last, moment
        return moment

    def _last(self) -> int:
        head = self._journal.head()
        return head.event.number if head else 0

    def _writable(self) -> None:
        if self._read_only:
            raise DataError(f"{self.uri} was opened for reading only: open it without read_only.")


def _naming(
    head: Head,
    actor: str,
    action: str,
    details: dict[str, Any],
    ids: Iterable[str],
    name: str,
    person: int,
    people: int,
) -> Intent:
    return Intent(action, actor, details, people, head.indexed, named=list(ids), identity=name, person=person)


def _thumbnail(id: str) -> str:
    return f"thumbnails/{id[:2]}/{id}.jpg"


def _parts(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _FEW] for start in range(0, len(items), _FEW))
