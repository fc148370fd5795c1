"""Searches of the embedded engine: by the cache and, where that is wanted, by the approximate index."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, ResightError
from resight.gallery.record import Filter
from resight.gallery.sqlite import finding
from resight.gallery.sqlite.changes import source, touch
from resight.gallery.sqlite.connections import Connections
from resight.gallery.sqlite.graph import Graph, build
from resight.gallery.sqlite.leftovers import indexes
from resight.gallery.sqlite.reading import Names
from resight.gallery.store import Candidates
from resight.gallery.vectors.cache import Cache, View
from resight.gallery.vectors.cache_files import Header
from resight.gallery.vectors.choosing import mask_of
from resight.gallery.vectors.scan import Mask, Nearest, scan
from resight.pools import Lock

_BEHIND = 4096  # slots by which a cache that cannot be written may be behind
_QUERIES = 256  # queries at a time

Links = tuple[Graph, NDArray[np.int64]]  # the approximate index, and its slots that have changed since


class Searcher:
    """What finds the records of one database.

    Args:
        path: of the database; connections: to it.
        uuid: which gallery; names: of its identities.
        dim, metric: of its vectors.
    """

    def __init__(self, path: Path, connections: Connections, uuid: str, names: Names, dim: int, metric: str) -> None:
        self._path, self._connections, self._names = path, connections, names
        self._dim, self._metric, self._read_only = dim, metric, connections.read_only
        self.cache = Cache(path, uuid, dim, unit=metric == "cosine", writable=not connections.read_only)
        self._opened: tuple[str, Graph] | None = None
        self._linked: tuple[int, Links | None] = (0, None)  # as of which change
        self._opening = Lock()

    def near(self, queries: NDArray[np.float32], k: int, where: Filter, approximate: bool) -> list[Candidates]:
        """See :meth:`resight.gallery.store.Store.near`."""
        found: list[Candidates] = []
        for start in range(0, len(queries), _QUERIES):
            some = queries[start : start + _QUERIES]
            try:
                found += self._near(some, k, where, approximate)
            except KeyError:  # the cache has what the database has not
                self.cache.forget()
                found += self._near(some, k, where, approximate)
        return found

    def _near(self, queries: NDArray[np.float32], k: int, where: Filter, approximate: bool) -> list[Candidates]:
        if self._metric == "cosine":
            wide = queries.astype(np.float64)
            queries = (wide / np.sqrt(np.vecdot(wide, wide))[:, None]).astype(np.float32)
        view = self.cache.peek() if where == Filter() else None
        if view is not None and (not approximate or self._linked[0] == view.change):  # as is most often so
            most = _BEHIND if self._read_only and not self.cache.in_memory else 0
            links = self._linked[1] if approximate else None
            found = self._find(view, view.live, links, queries, k, where, most)
            if found is not None:
                return found
        with self._viewing() as (db, view):
            mask = mask_of(view, where, finding.codes(db, self._names, where))
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

    def index(self) -> int:
        """See :meth:`resight.gallery.store.Store.index`."""
        with self._connections.alone(), self._viewing() as (_, view):
            pass  # refused at once if it may not be written
        if not view.slots:
            return 0
        name = f"{self._path.name}.index-{uuid.uuid4().hex}"
        look = build(view.rows, view.live, self._metric, self._path.with_name(name))
        with self._connections.writing() as db:
            known = json.dumps({"name": name, "change": view.change, "look": look})
            db.execute("INSERT OR REPLACE INTO meta VALUES ('index', ?)", (known,))
            touch(db, [])
        for file in indexes(self._path):
            if file.name != name:
                file.unlink(missing_ok=True)
        return view.slots if view.live is None else int(view.live.sum())

    def _graph(self, db: sqlite3.Connection, view: View) -> Links | None:
        """The approximate index, and its slots that have changed since; None where there is none that can be used."""
        row = db.execute("SELECT value FROM meta WHERE key = 'index'").fetchone()
        if row is None:
            return None
        known = json.loads(row[0])
        with self._opening:
            if self._opened is None or self._opened[0] != known["name"]:
                try:
                    file = self._path.with_name(known["name"])
                    self._opened = known["name"], Graph(file, view.rows, self._metric, known["look"])
                except DataError:
                    return None
            graph = self._opened[1]
        rows = db.execute("SELECT slot - 1 FROM changes WHERE change > ? AND slot <= ?", (known["change"], graph.slots))
        return graph, np.array([slot for (slot,) in rows], np.int64)

    def follow(self) -> None:
        """Bring the cache to where the database is; what is written is written, whether or not this works."""
        with suppress(ResightError, sqlite3.Error):
            self.catch_up()

    def catch_up(self) -> None:
        """The same, or an error."""
        with self._viewing():
            pass

    def check(self, db: sqlite3.Connection) -> int:
        """In how many rows the cache is not what a transaction sees."""
        return self.cache.differing(source(db, self._dim))

    def close(self) -> None:
        """Let go of the files."""
        with suppress(OSError):
            self.cache.flush()
        self.cache.close()
        self._opened, self._linked = None, (0, None)

    @contextmanager
    def _viewing(self) -> Iterator[tuple[sqlite3.Connection, View]]:
        """A state of the database, and the cache brought to it."""
        seen: Header | None = None
        while True:
            with self._connections.reading() as db:
                found = self.cache.view(source(db, self._dim), _BEHIND, seen)
                if isinstance(found, View):
                    yield db, found
                    return
            seen = found
