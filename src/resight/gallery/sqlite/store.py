"""The embedded engine: one SQLite file is the record of everything, and FAISS searches a cache of its vectors.

Write-ahead logging, ``synchronous = FULL`` (what was acknowledged survives a loss of power), foreign keys. What is
personal can be forgotten without a trace, see :mod:`resight.gallery.sqlite.schema`; the cache is
:mod:`resight.gallery.vectors.cache`.
What the methods do is described in :class:`resight.gallery.store.Store`.
"""

# ruff: noqa: D102

from __future__ import annotations

import sqlite3
import time as clock
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, ResightError
from resight.gallery.record import Answer, Damaged, Event, Filter, Person, Record, Right, Stats
from resight.gallery.sqlite import answering, backup, counting, erased, first_version, leftovers, reading
from resight.gallery.sqlite.changes import touch, want_wipe, wipe_wanted
from resight.gallery.sqlite.connections import Connections
from resight.gallery.sqlite.events import EVENTS, event_of, note
from resight.gallery.sqlite.file import about_in, check_format, create, keep, lacking, path_of
from resight.gallery.sqlite.people import People, listed
from resight.gallery.sqlite.places import Places, in_parts
from resight.gallery.sqlite.schema import HOME, in_words
from resight.gallery.sqlite.searching import Searcher
from resight.gallery.store import MAKE_ONE, About, Candidates, Rows, not_there

_THUMBNAIL_GRAIN = 512
_LOOK_AGAIN = 0.2  # seconds between looks for new events
PATIENCE = 30.0  # seconds for those that read while bytes are to go


def open_store(uri: str, new: About | None, *, read_only: bool, actor: str) -> SqliteStore:
    """Open the gallery at a path, or make it, see :func:`resight.gallery.engines.open_store`."""
    path = path_of(uri)
    with in_words(path):
        if not path.exists():
            if new is None:
                raise DataError(f"There is no gallery at {path}: check the path, or {MAKE_ONE}.")
            if read_only:
                raise DataError(f"There is no gallery at {path}, and read_only makes none: check the path.")
            create(path, new, actor)
        return SqliteStore(path, read_only=read_only, actor=actor)


class SqliteStore:
    """The engine; its methods are described in :class:`resight.gallery.store.Store`."""

    def __init__(self, path: Path, *, read_only: bool, actor: str) -> None:
        self.path, self.uri, self._actor = path, f"sqlite:///{path}", actor
        self._connections = Connections(path, read_only=read_only)
        self.erased = erased.Erased(self._connections)
        self._lacking = [lacking(path)] if self._connections.lacks_log() else []
        if self._lacking and not read_only:
            raise Damaged(self._lacking[0])
        try:
            with self._connections.reading() as db:
                check_format(db, path)
                meta = dict(db.execute("SELECT key, value FROM meta"))
            self.about = about_in(meta, path)
            self._dim = self.about.card.dim
            self._people = People(meta["uuid"])
            self._places = {
                "vectors": Places("vectors", 4 * self._dim),
                "thumbnails": Places("thumbnails", _THUMBNAIL_GRAIN),
                "texts": Places("texts", reading.GRAIN),
            }
            if not read_only:
                self._settle(meta)
            self._searcher = Searcher(
                path, self._connections, meta["uuid"], self._people.names, self._dim, self.about.card.metric
            )
            with self._connections.reading() as db:
                unfinished = wipe_wanted(db)
            if unfinished and not read_only:
                self._wipe()
        except BaseException:
            self._connections.close()
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(SqliteStore, self.path, read_only=self._connections.read_only, actor=self._actor), ()

    def _settle(self, meta: Mapping[str, str]) -> None:
        """Before anything is written here: nothing of this gallery is left elsewhere, and no table is lacking."""
        leftovers.refuse_second_name(self.path)
        with self._connections.reading() as db:
            whole = answering.is_there(db) and erased.is_there(db)
        if not whole:
            with self._connections.writing() as db:
                answering.make(db)
                erased.make(db)
        if meta.get(HOME) != str(self.path):
            leftovers.clear(self.path, meta["uuid"], meta.get(HOME, ""))
            anew = False
            with self._connections.writing() as db:
                if HOME not in meta:
                    first_version.forget_times(db, self.about.policy, self._actor)
                    anew = first_version.forget_logins(db, self._places["texts"], self._actor)
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (HOME, str(self.path)))
            if anew:
                with self._connections.alone() as db:
                    db.execute("VACUUM")

    def keep(self, about: About) -> None:
        with self._connections.writing() as db:
            keep(db, about)
        self.about = about

    def add(self, rows: Rows, actor: str) -> NDArray[np.bool_]:
        with self._connections.writing() as db:
            keys = [reading.key_of(record.id) for record in rows.records]
            known = {key for (key,) in in_parts(db, "SELECT id FROM records WHERE id IN ({})", keys)}
            new = np.array([key not in known for key in keys], bool)
            which = np.flatnonzero(new).tolist()
            if which:
                self._insert(db, rows, which)
                note(db, actor, "add", {"records": len(which)})
        if which:
            self._searcher.follow()
        return new

    def _insert(self, db: sqlite3.Connection, rows: Rows, which: list[int]) -> None:
        records = [rows.records[at] for at in which]
        cameras = reading.cameras_with(db, {record.camera for record in records})
        people = self._people.numbers(db, {record.identity for record in records if record.identity is not None})
        vectors = [rows.vectors[at].astype("<f4").tobytes() for at in which]
        slots, used = self._places["vectors"].put(db, vectors)
        texts = self._places["texts"].put_some(db, [reading.text_of(record) for record in records])
        thumbnails = self._places["thumbnails"].put_some(db, [rows.thumbnails[at] for at in which])
        db.executemany(
            f"INSERT INTO records VALUES ({','.join('?' * 15)})",
            [
                (
                    slot,
                    reading.key_of(record.id),
                    None if record.identity is None else people[record.identity],
                    cameras[record.camera],
                    record.time,
                    *(record.box or (None,) * 4),
                    record.expires,
                    record.added,
                    *text,
                    *thumbnail,
                )
                for slot, record, text, thumbnail in zip(slots, records, texts, thumbnails, strict=True)
            ],
        )
        erased.keep(db, zip(slots, [rows.marks[at] for at in which] if rows.marks else (), strict=False))
        erased.lift(db, rows.lifted)
        touch(db, [slot for slot, again in zip(slots, used, strict=True) if again])

    def near(self, queries: NDArray[np.float32], k: int, where: Filter, approximate: bool) -> list[Candidates]:
        return self._searcher.near(queries, k, where, approximate)

    def hold(self, most: int) -> None:
        pass  # the cache is mapped from its files

    def index(self) -> int:
        return self._searcher.index()

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        with self._connections.reading() as db:
            rows = in_parts(db, f"{reading.RECORDS} WHERE r.id IN ({{}})", [reading.key_of(id) for id in ids])
            found = {record.id: record for record in map(reading.record, rows)}
        return [found.get(id) for id in ids]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        keys = [reading.key_of(id) for id in ids]
        statement = "SELECT r.id, v.content FROM records r JOIN vectors v ON v.place = r.slot WHERE r.id IN ({})"
        with self._connections.reading() as db:
            found = dict(in_parts(db, statement, keys))
        for id, key in zip(ids, keys, strict=True):
            if key not in found:
                raise not_there(id)
        data = b"".join(found[key] for key in keys)
        return np.frombuffer(data, "<f4").astype(np.float32).reshape(len(ids), self._dim)

    def thumbnails(self, ids: Sequence[str]) -> list[bytes | None]:
        keys = [reading.key_of(id) for id in ids]
        statement = (
            "SELECT r.id, substr(t.content, 1, r.thumbnail_size) FROM records r "
            "JOIN thumbnails t ON t.place = r.thumbnail WHERE r.id IN ({})"
        )
        with self._connections.reading() as db:
            found = dict(in_parts(db, statement, keys))
        return [found.get(key) for key in keys]

    def page(self, where: Filter, limit: int, after_id: str) -> list[Record]:
        with self._connections.reading() as db:
            return reading.page(db, self._people.names, where, limit, after_id)

    def newest(self, where: Filter, limit: int, source: str) -> list[Record]:
        with self._connections.reading() as db:
            return reading.newest(db, self._people.names, where, limit, source)

    def count(self, where: Filter) -> int:
        with self._connections.reading() as db:
            return counting.count(db, *reading.condition(db, self._people.names, where))

    def timeline(self, identity: str, limit: int, after_id: str) -> list[Record]:
        with self._connections.reading() as db:
            return reading.timeline(db, self._people.names.find(db, [identity]).get(identity), limit, after_id)

    def people(self, limit: int, after: str) -> list[Person]:
        with self._connections.reading() as db:
            return list(listed(db, limit, after))

    def cameras(self, limit: int, after: str | None) -> dict[str, int]:
        with self._connections.reading() as db:
            return counting.cameras(db, limit, after)

    def enrol(self, name: str, ids: Sequence[str], actor: str, new: bool = False) -> None:
        with self._connections.writing() as db:
            if new:
                self._people.refuse_taken(db, name)
            number, slots = self._people.enrol(db, name, ids)
            touch(db, slots)
            note(db, actor, "enrol", {"identity": number, "records": len(slots)})
        self._searcher.follow()

    def merge(self, into: str, others: Sequence[str], actor: str) -> int:
        with self._connections.writing() as db:
            number, gone, slots = self._people.merge(db, into, others)
            touch(db, slots)
            note(db, actor, "merge", {"identity": number, "others": gone, "records": len(slots)})
            forgotten = wipe_wanted(db)
        self._searcher.follow()
        if forgotten:
            self._wipe()
        return len(slots)

    def split(self, name: str, ids: Sequence[str], new_name: str | None, actor: str) -> None:
        with self._connections.writing() as db:
            number, new, slots = self._people.split(db, name, ids, new_name)
            touch(db, slots)
            note(db, actor, "split", {"identity": number, "new": new, "records": len(slots)})
            forgotten = wipe_wanted(db)
        self._searcher.follow()
        if forgotten:
            self._wipe()

    def rename(self, name: str, new_name: str, actor: str) -> None:
        with self._connections.writing() as db:
            number, slots = self._people.rename(db, name, new_name)
            touch(db, slots)
            note(db, actor, "rename", {"identity": number})
            forgotten = wipe_wanted(db)
        self._searcher.follow()
        if forgotten:
            self._wipe()

    def answer(self, answers: Sequence[Answer], actor: str) -> None:
        with self._connections.writing() as db:
            answering.put(db, answers, actor)

    def answers(self) -> list[Answer]:
        with self._connections.reading() as db:
            return answering.every(db)

    def erase(
        self,
        actor: str,
        *,
        ids: Sequence[str] | None = None,
        identity: str | None = None,
        before: float | None = None,
        expired: float | None = None,
    ) -> int:
        with self._connections.writing() as db:
            details: dict[str, Any] = {}
            chosen: Iterable[Any]
            statement = "SELECT slot, identity, text, thumbnail FROM records WHERE"
            if identity is not None:
                details["identity"] = self._people.number(db, identity)
                chosen = db.execute(f"{statement} identity = ?", (details["identity"],))
            elif ids is not None:
                chosen = in_parts(db, f"{statement} id IN ({{}})", [reading.key_of(id) for id in dict.fromkeys(ids)])
            elif before is not None:
                details["before"] = before
                chosen = db.execute(f"{statement} time < ?", (before,))
            else:
                details["expired"] = expired
                chosen = db.execute(f"{statement} expires <= ?", (expired,))
            rows = list(chosen)
            slots = [slot for slot, *_ in rows]
            if rows:
                self._forget(db, rows, actor, details, "erase" if expired is None else "expire")
            forgotten = wipe_wanted(db)
        if forgotten:
            self._wipe()
        return len(slots)

    def _forget(
        self, db: sqlite3.Connection, rows: list[Any], actor: str, details: dict[str, Any], action: str
    ) -> None:
        """Erase (slot, identity, text, thumbnail) of some records."""
        slots = [slot for slot, *_ in rows]
        if action == "erase":
            erased.leave(db, slots)
        db.executemany("DELETE FROM records WHERE slot = ?", [(slot,) for slot in slots])
        for kind, places in (
            ("vectors", slots),
            ("texts", [text for _, _, text, _ in rows if text is not None]),
            ("thumbnails", [small for *_, small in rows if small is not None]),
        ):
            self._places[kind].wipe(db, places)
        names = self._people.forget(db, {owner for _, owner, _, _ in rows if owner is not None})
        touch(db, slots)
        want_wipe(db)
        details |= {"records": len(slots), "names": names}
        note(db, actor, action, details)

    def note(self, actor: str, action: str, details: Mapping[str, Any]) -> None:
        with self._connections.writing() as db:
            note(db, actor, action, details)

    def number(self, identity: str) -> int:
        with self._connections.reading() as db:
            return self._people.number(db, identity)

    def log(self, after: int, limit: int) -> list[Event]:
        with self._connections.reading() as db:
            rows = db.execute(f"{EVENTS} WHERE number > ? ORDER BY number LIMIT ?", (after, limit))
            return [event_of(row) for row in rows]

    def wait(self, after: int, seconds: float) -> bool:
        give_up = clock.monotonic() + seconds
        while not self.log(after, 1):
            if clock.monotonic() > give_up:
                return False
            clock.sleep(_LOOK_AGAIN)
        return True

    def purge(self, actor: str) -> list[str]:
        return []  # nothing remains when erase returns

    def grant(self, role: str, right: Right, actor: str) -> None:
        raise DataError(f"{self.path} is a file, and no database with roles: change who may read and write the file.")

    def stats(self, now: float) -> Stats:
        with self._connections.reading() as db:
            return counting.stats(db, self.path, self.about.card, now)

    def check(self) -> list[str]:
        found = list(self._lacking)
        with self._connections.reading() as db:
            found += counting.problems(db, self.path, self._places)
            wrong = self._searcher.check(db)
        if wrong:
            found.append(f"The cache of {self.path} was wrong in {wrong} rows: it has been made anew.")
            self._searcher.cache.forget()
            self._searcher.follow()
        return found

    def backup(self, path: str) -> Path:
        return backup.back_up(self._connections, path_of(path))

    def close(self) -> None:
        self._searcher.close()
        self._connections.close()

    def _wipe(self) -> None:
        """Have what was erased or renamed gone from all files: from the cache's, and from SQLite's log of writes."""
        self._searcher.catch_up()
        try:
            self._searcher.cache.flush()
        except OSError as error:
            raise ResightError(
                f"The records are erased, but their vectors are still in {error.filename}, which cannot be written "
                f"({error.strerror}): delete that file, which is made anew, and open the gallery again."
            ) from None
        with self._connections.alone() as db:
            try:
                self._empty_log(db)
                want_wipe(db, 0)
            except sqlite3.OperationalError as error:
                raise ResightError(
                    "What was erased or renamed is gone from the gallery, but its bytes are still in "
                    f"{self.path}-wal, since {self.path} cannot be written ({error}): free some space and open the "
                    "gallery again."
                ) from None

    def _empty_log(self, db: sqlite3.Connection) -> None:
        give_up = clock.monotonic() + PATIENCE
        while db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:  # busy
            if clock.monotonic() > give_up:
                raise ResightError(
                    f"This is done, but another program reads {self.path}, so that bytes of what was erased or "
                    f"renamed are still in {self.path}-wal: close that program and open the gallery again."
                )
            clock.sleep(0.01)
