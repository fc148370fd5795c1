"""The embedded engine: one SQLite file is the record of everything, and FAISS searches a cache of its vectors.

Write-ahead logging, ``synchronous = FULL`` (what was acknowledged survives a loss of power), foreign keys. What is
personal can be forgotten without a trace, see :mod:`resight.gallery.schema`; the cache is :mod:`resight.gallery.cache`.
What the methods do is told of in :class:`resight.gallery.store.Store`.
"""

# ruff: noqa: D102

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time as clock
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, ResightError
from resight.gallery import finding, log, reading
from resight.gallery.cache import COLUMNS, Cache, Changed, Header, Source, View, paths
from resight.gallery.connections import Connections
from resight.gallery.graph import Graph, build
from resight.gallery.people import People, everyone
from resight.gallery.places import Places, in_parts
from resight.gallery.record import Event, Filter, Person, Policy, Record, Stats
from resight.gallery.scan import Mask, Nearest, scan
from resight.gallery.schema import FORMAT, MARK, TABLES, connect, page_size, told
from resight.gallery.store import About, Candidates, Rows, not_there
from resight.models.card import parse_card

_READ = 1024  # vectors at a time
_BEHIND = 4096  # slots by which a cache that cannot be written may be behind
_QUERIES = 256  # queries at a time
_THUMBNAIL_GRAIN = 512
_SOON = 7 * 86400.0

Links = tuple[Graph, NDArray[np.int64]]  # the approximate index, and its slots that have changed since


def open_store(uri: str, new: About | None, *, read_only: bool, actor: str) -> SqliteStore:
    """Open the gallery at a path, or make it, see :func:`resight.gallery.engines.open_store`."""
    path = path_of(uri)
    with told(path):
        if not path.exists():
            if new is None:
                raise DataError(f"There is no gallery at {path}: check the path, or pass a model to make one.")
            if read_only:
                raise DataError(f"There is no gallery at {path}, and read_only makes none: check the path.")
            _create(path, new, actor)
        return SqliteStore(path, read_only=read_only)


def path_of(uri: str) -> Path:
    """``"seen"``, ``"seen.db"`` and ``"sqlite:///seen.db"`` as the path of the file."""
    if uri.startswith("sqlite://"):
        if not uri.startswith("sqlite:///") or len(uri) == len("sqlite:///"):
            raise DataError(f"{uri} names no file: write sqlite:///PATH, or sqlite:////PATH from the root.")
        path = Path(uri.removeprefix("sqlite:///"))
    else:
        path = Path(uri)
    if path.suffix not in (".db", ".sqlite"):
        path = path.with_name(f"{path.name}.db") if path.name else path
    if path.is_dir():
        raise DataError(f"{path} is a folder: name the file of a gallery.")
    return path


def _create(path: Path, about: About, actor: str) -> None:
    """Make the file under another name first, so that there is never a part of it."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = connect(draft, read_only=False, page=page_size(4 * about.card.dim))
        try:
            db.executescript(f"BEGIN; {TABLES} PRAGMA application_id = {MARK}; PRAGMA user_version = {FORMAT};")
            db.execute("INSERT INTO state VALUES (1, 1, 0)")
            db.execute("INSERT INTO meta VALUES ('uuid', ?)", (uuid.uuid4().hex,))
            _keep(db, about)
            _note(db, actor, "create", {"model": about.card.fingerprint, "dim": about.card.dim})
            db.execute("COMMIT")
        finally:
            db.close()
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # somebody else was first, and theirs stays
        except OSError:  # a file system without links
            draft.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise ResightError(
            f"{path} cannot be made ({error.strerror or error}): free some space or choose another place."
        ) from None
    finally:
        for end in ("", "-wal", "-shm"):
            Path(f"{draft}{end}").unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the names of a folder's files on the disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class SqliteStore:
    """The engine; what the methods promise stands in :class:`resight.gallery.store.Store`."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path, self.uri = path, f"sqlite:///{path.resolve()}"
        self._read_only = read_only
        self._connections = Connections(path, read_only=read_only)
        try:
            with self._connections.reading() as db:
                _check_format(db, path)
                meta = dict(db.execute("SELECT key, value FROM meta"))
                (unfinished,) = db.execute("SELECT wipe FROM state").fetchone()
            self.about = _about(meta, path)
            self._dim, self._metric = self.about.card.dim, self.about.card.metric
            self._people = People(meta["uuid"])
            self._places = {
                "vectors": Places("vectors", 4 * self._dim),
                "thumbnails": Places("thumbnails", _THUMBNAIL_GRAIN),
                "texts": Places("texts", reading.GRAIN),
            }
            self._cache = Cache(path, meta["uuid"], self._dim, unit=self._metric == "cosine", writable=not read_only)
            self._opened: tuple[str, Graph] | None = None
            self._linked: tuple[int, Links | None] = (0, None)  # as of which change
            self._opening = threading.Lock()
            if unfinished and not read_only:
                self._wipe()
        except BaseException:
            self._connections.close()
            raise

    def keep(self, about: About) -> None:
        with self._connections.writing() as db:
            _keep(db, about)
        self.about = about

    def add(self, rows: Rows, actor: str) -> NDArray[np.bool_]:
        with self._connections.writing() as db:
            keys = [reading.key_of(record.id) for record in rows.records]
            known = {key for (key,) in in_parts(db, "SELECT id FROM records WHERE id IN ({})", keys)}
            new = np.array([key not in known for key in keys], bool)
            which = np.flatnonzero(new).tolist()
            if which:
                self._insert(db, rows, which)
                _note(db, actor, "add", {"records": len(which)})
        if which:
            self._follow()
        return new

    def _insert(self, db: sqlite3.Connection, rows: Rows, which: list[int]) -> None:
        records = [rows.records[at] for at in which]
        cameras = _cameras(db, {record.camera for record in records})
        people = self._people.numbers(db, {record.identity for record in records if record.identity is not None})
        vectors = [rows.vectors[at].astype("<f4").tobytes() for at in which]
        slots, used = self._places["vectors"].put(db, vectors)
        texts = _placed(db, self._places["texts"], [reading.text_of(record) for record in records])
        thumbnails = _placed(db, self._places["thumbnails"], [rows.thumbnails[at] for at in which])
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
        _touch(db, [slot for slot, again in zip(slots, used, strict=True) if again])

    def near(self, queries: NDArray[np.float32], k: int, where: Filter, approximate: bool) -> list[Candidates]:
        found: list[Candidates] = []
        for start in range(0, len(queries), _QUERIES):
            found += self._near(queries[start : start + _QUERIES], k, where, approximate)
        return found

    def _near(self, queries: NDArray[np.float32], k: int, where: Filter, approximate: bool) -> list[Candidates]:
        if self._metric == "cosine":
            wide = queries.astype(np.float64)
            queries = (wide / np.sqrt(np.vecdot(wide, wide))[:, None]).astype(np.float32)
        view = self._cache.peek() if where == Filter() else None
        if view is not None and (not approximate or self._linked[0] == view.change):  # as is most often so
            most = _BEHIND if self._read_only and not self._cache.in_memory else 0
            links = self._linked[1] if approximate else None
            found = self._find(view, view.live, links, queries, k, where, most)
            if found is not None:
                return found
        with self._viewing() as (db, view):
            mask = finding.mask_of(view, where, finding.codes(db, self._people.names, where))
            links = self._graph(db, view) if approximate else None
            self._linked = (view.change, links) if approximate else self._linked
        found = self._find(view, mask, links, queries, k, where, None)
        assert found is not None
        return found

    def _find(
        self,
        view: View,
        mask: Mask | None,
        links: Links | None,
        queries: NDArray[np.float32],
        k: int,
        where: Filter,
        most: int | None,
    ) -> list[Candidates] | None:
        def nearest(wanted: int) -> Nearest:
            if links is None:
                return scan(queries, view.rows, wanted, self._metric, mask)
            return links[0].search(queries, view.rows, wanted, mask, links[1])

        exact = links is None
        return finding.find(self._connections, view, nearest, queries, k, where, self._metric, exact=exact, most=most)

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

    def thumbnail(self, id: str) -> bytes | None:
        with self._connections.reading() as db:
            row = db.execute(
                "SELECT substr(t.content, 1, r.thumbnail_size) FROM records r "
                "JOIN thumbnails t ON t.place = r.thumbnail WHERE r.id = ?",
                (reading.key_of(id),),
            ).fetchone()
        return None if row is None else bytes(row[0])

    def page(self, where: Filter, limit: int, after_id: str) -> list[Record]:
        with self._connections.reading() as db:
            condition, values = reading.condition(db, self._people.names, where)
            statement = f"{reading.RECORDS} WHERE r.id > ? AND {condition} ORDER BY r.id LIMIT ?"
            return [reading.record(row) for row in db.execute(statement, (reading.after(after_id), *values, limit))]

    def count(self, where: Filter) -> int:
        with self._connections.reading() as db:
            condition, values = reading.condition(db, self._people.names, where)
            (found,) = db.execute(f"SELECT count(*) FROM records r WHERE {condition}", values).fetchone()
        return int(found)

    def timeline(self, identity: str) -> list[Record]:
        with self._connections.reading() as db:
            number = self._people.names.find(db, [identity]).get(identity)
            statement = f"{reading.RECORDS} WHERE r.identity = ? ORDER BY r.time IS NULL, r.time, r.id"
            return [reading.record(row) for row in db.execute(statement, (number,))]

    def people(self) -> list[Person]:
        with self._connections.reading() as db:
            return sorted(everyone(db), key=lambda person: person.name)

    def enrol(self, name: str, ids: Sequence[str], actor: str) -> None:
        with self._connections.writing() as db:
            number, slots = self._people.enrol(db, name, ids)
            _touch(db, slots)
            _note(db, actor, "enrol", {"identity": number, "records": len(slots)})
        self._follow()

    def merge(self, into: str, others: Sequence[str], actor: str) -> int:
        with self._connections.writing() as db:
            number, gone, slots = self._people.merge(db, into, others)
            _touch(db, slots)
            _note(db, actor, "merge", {"identity": number, "others": gone, "records": len(slots)})
        self._follow()
        return len(slots)

    def split(self, name: str, ids: Sequence[str], new_name: str | None, actor: str) -> None:
        with self._connections.writing() as db:
            number, new, slots = self._people.split(db, name, ids, new_name)
            _touch(db, slots)
            _note(db, actor, "split", {"identity": number, "new": new, "records": len(slots)})
        self._follow()

    def rename(self, name: str, new_name: str, actor: str) -> None:
        with self._connections.writing() as db:
            number, slots = self._people.rename(db, name, new_name)
            _touch(db, slots)
            _note(db, actor, "rename", {"identity": number})
        self._follow()

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
            (unfinished,) = db.execute("SELECT wipe FROM state").fetchone()
        if unfinished:
            self._wipe()
        return len(slots)

    def _forget(
        self, db: sqlite3.Connection, rows: list[Any], actor: str, details: dict[str, Any], action: str
    ) -> None:
        """Erase (slot, identity, text, thumbnail) of some records."""
        slots = [slot for slot, *_ in rows]
        db.executemany("DELETE FROM records WHERE slot = ?", [(slot,) for slot in slots])
        for kind, places in (
            ("vectors", slots),
            ("texts", [text for _, _, text, _ in rows if text is not None]),
            ("thumbnails", [small for *_, small in rows if small is not None]),
        ):
            self._places[kind].wipe(db, places)
        names = self._people.forget(db, {owner for _, owner, _, _ in rows if owner is not None})
        _touch(db, slots)
        db.execute("UPDATE state SET wipe = 1")
        details |= {"records": len(slots), "names": names}
        _note(db, actor, action, details)

    def note(self, actor: str, action: str, details: Mapping[str, Any]) -> None:
        with self._connections.writing() as db:
            _note(db, actor, action, details)

    def number(self, identity: str) -> int:
        with self._connections.reading() as db:
            return self._people.number(db, identity)

    def log(self, after: int, limit: int) -> list[Event]:
        with self._connections.reading() as db:
            return [
                _event(row) for row in db.execute(f"{_EVENTS} WHERE number > ? ORDER BY number LIMIT ?", (after, limit))
            ]

    def stats(self, now: float) -> Stats:
        with self._connections.reading() as db:
            cameras = dict(
                db.execute("SELECT c.name, count(*) FROM records r JOIN cameras c ON c.number = r.camera GROUP BY 1")
            )
            named, first, last, expiring, people = db.execute(
                "SELECT (SELECT count(*) FROM records WHERE identity IS NOT NULL), (SELECT min(time) FROM records), "
                "(SELECT max(time) FROM records), (SELECT count(*) FROM records WHERE expires <= ?), "
                "(SELECT count(*) FROM identities)",
                (now + _SOON,),
            ).fetchone()
        total = sum(cameras.values())
        return Stats(
            records=total,
            identities=people,
            unknown=total - named,
            cameras=dict(sorted(cameras.items())),
            first=first,
            last=last,
            expiring=expiring,
            bytes={
                "database": _bytes(self.path, Path(f"{self.path}-wal")),
                "cache": _bytes(*paths(self.path)),
                "index": _bytes(*self._indexes()),
            },
            engine="sqlite",
            model=self.about.card.fingerprint,
            dim=self._dim,
            metric=self._metric,
        )

    def index(self) -> int:
        with self._connections.alone(), self._viewing() as (_, view):
            pass  # refused at once if it may not be written
        if not view.slots:
            return 0
        name = f"{self.path.name}.index-{uuid.uuid4().hex}"
        look = build(view.rows, view.live, self._metric, self.path.with_name(name))
        with self._connections.writing() as db:
            known = json.dumps({"name": name, "change": view.change, "look": look})
            db.execute("INSERT OR REPLACE INTO meta VALUES ('index', ?)", (known,))
            _touch(db, [])
        for file in self._indexes():
            if file.name != name:
                file.unlink(missing_ok=True)
        return view.slots if view.live is None else int(view.live.sum())

    def _indexes(self) -> list[Path]:
        return [file for file in self.path.parent.iterdir() if file.name.startswith(f"{self.path.name}.index-")]

    def _graph(self, db: sqlite3.Connection, view: View) -> Links | None:
        """The approximate index, and its slots that have changed since; None where there is none that can be used."""
        row = db.execute("SELECT value FROM meta WHERE key = 'index'").fetchone()
        if row is None:
            return None
        known = json.loads(row[0])
        with self._opening:
            if self._opened is None or self._opened[0] != known["name"]:
                try:
                    file = self.path.with_name(known["name"])
                    self._opened = known["name"], Graph(file, view.rows, self._metric, known["look"])
                except DataError:
                    return None
            graph = self._opened[1]
        rows = db.execute("SELECT slot - 1 FROM changes WHERE change > ? AND slot <= ?", (known["change"], graph.slots))
        return graph, np.array([slot for (slot,) in rows], np.int64)

    def check(self) -> list[str]:
        found = []
        with self._connections.reading() as db:
            for (said,) in db.execute("PRAGMA integrity_check(1)"):
                if said != "ok":
                    found.append(f"{self.path} is damaged ({said}): restore it from a backup.")
            if db.execute("PRAGMA foreign_key_check").fetchone() is not None:
                found.append(f"{self.path} has rows that point to nothing: restore it from a backup.")
            for kind in self._places:
                (left,) = db.execute(
                    f"SELECT count(*) FROM free f JOIN {kind} p USING (place) WHERE f.kind = ? "
                    "AND p.content != zeroblob(f.bytes)",
                    (kind,),
                ).fetchone()
                if left:
                    found.append(f"{self.path} has {left} erased {kind} that are not zeros: erase them again.")
            try:
                log.verify(_event(row) for row in db.execute(f"{_EVENTS} ORDER BY number"))
            except DataError as error:
                found.append(str(error))
            source = self._source(db)
            wrong = self._cache.differing(source)
        if wrong:
            found.append(f"The cache of {self.path} was wrong in {wrong} rows: it has been made anew.")
            self._cache.forget()
            self._follow()
        return found

    def close(self) -> None:
        with suppress(OSError):
            self._cache.flush()
        self._cache.close()
        self._opened, self._linked = None, (0, None)
        self._connections.close()

    @contextmanager
    def _viewing(self) -> Iterator[tuple[sqlite3.Connection, View]]:
        """A state of the database, and the cache brought to it."""
        seen: Header | None = None
        while True:
            with self._connections.reading() as db:
                found = self._cache.view(self._source(db), _BEHIND, seen)
                if isinstance(found, View):
                    yield db, found
                    return
            seen = found

    def _source(self, db: sqlite3.Connection) -> Source:
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
            partial(_since, db, self._dim),
            partial(finding.behind, db),
        )

    def _follow(self) -> None:
        """Bring the cache to where the database is; what is written is written, whether or not this works."""
        with suppress(ResightError, sqlite3.Error), self._viewing():
            pass

    def _wipe(self) -> None:
        """Have what was erased gone from all files: from the cache's, and from the log of writes that SQLite keeps."""
        self._follow()
        try:
            self._cache.flush()
        except OSError as error:
            raise ResightError(
                f"The records are erased, but their vectors are still in {error.filename}, which cannot be written "
                f"({error.strerror}): delete that file, which is made anew, and open the gallery again."
            ) from None
        with self._connections.alone() as db:
            busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise ResightError(
                    f"The records are erased, but another program reads {self.path} and so their bytes are still in "
                    f"{self.path}-wal: close that program, and open the gallery again to finish."
                )
        with self._connections.writing() as db:
            db.execute("UPDATE state SET wipe = 0")


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


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    (mark,), (version,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version"))
    if mark != MARK:
        raise DataError(f"{path} is a database, but no gallery: check the path.")
    if version != FORMAT:
        raise DataError(
            f"{path} is a gallery of format {version}, but {FORMAT} is known here: install a newer resight."
        )


def _about(meta: Mapping[str, str], path: Path) -> About:
    return About(parse_card(meta["card"], f"the card in {path}"), meta["model"], Policy(**json.loads(meta["policy"])))


def _keep(db: sqlite3.Connection, about: About) -> None:
    known = {"card": about.card.model_dump_json(), "model": about.model, "policy": json.dumps(asdict(about.policy))}
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", known.items())


def _cameras(db: sqlite3.Connection, names: set[str]) -> dict[str, int]:
    """The numbers of all cameras, these among them."""
    found = reading.cameras(db)
    if names - found.keys():
        db.executemany("INSERT INTO cameras (name) VALUES (?)", [(name,) for name in sorted(names - found.keys())])
        found = reading.cameras(db)
    return found


def _placed(
    db: sqlite3.Connection, table: Places, contents: Sequence[bytes | None]
) -> list[tuple[int, int] | tuple[None, None]]:
    """The place and size of each content, none where there is none."""
    there = [content for content in contents if content is not None]
    places = iter(table.put(db, there)[0])
    return [(None, None) if content is None else (next(places), len(content)) for content in contents]


def _touch(db: sqlite3.Connection, slots: Iterable[int]) -> None:
    """Begin a new change, in which so many slots are other than they were."""
    db.execute("UPDATE state SET change = change + 1")
    (change,) = db.execute("SELECT change FROM state").fetchone()
    db.executemany("INSERT OR REPLACE INTO changes VALUES (?, ?)", [(slot, change) for slot in slots])


_EVENTS = "SELECT number, time, actor, action, details, digest FROM events"


def _event(row: Sequence[Any]) -> Event:
    number, time, actor, action, details, digest = row
    return Event(number, time, actor, action, json.loads(details), digest)


def _note(db: sqlite3.Connection, actor: str, action: str, details: Mapping[str, Any]) -> None:
    last = db.execute(f"{_EVENTS} ORDER BY number DESC LIMIT 1").fetchone()
    new = log.event(_event(last) if last else None, clock.time(), actor, action, details)
    row = (new.number, new.time, new.actor, new.action, json.dumps(new.details), new.digest)
    db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", row)


def _bytes(*files: Path) -> int:
    """What files take on the disk: those of the cache have room for more."""
    return sum(512 * file.stat().st_blocks for file in files if file.exists())
