"""The nearest records by pgvector, in float32, and all that could be as near; or by its index, which may miss some.

Shape letters: ``Q`` queries, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, ResightError
from resight.gallery.postgres import slots
from resight.gallery.postgres.connections import Connections, Row, Session
from resight.gallery.postgres.held import Held
from resight.gallery.postgres.rows import NAMED, RECORD, VECTOR, condition, record, vectors_of
from resight.gallery.record import Filter
from resight.gallery.store import Candidates
from resight.gallery.vectors.scan import faiss
from resight.pools import Pool

INDEX = "records_near"
_MORE = 8  # neighbours beyond k that are asked for at first
_MORE_NEAR = 16  # and of an index, whose half precision puts some in the wrong order
_AT_ONCE = 4  # queries of one search, each on a connection of its own
_LOOK = 128  # nodes in view of an approximate search, at least
_WIDEST = {"cosine": 4000, "euclidean": 2000}  # numbers that an index takes
_BUILD = 2**31  # bytes of memory for building one, at most


class Searcher:
    """What finds the records of one gallery.

    Args:
        connections: to it.
        dim, metric: of its vectors.
    """

    def __init__(self, connections: Connections, dim: int, metric: str) -> None:
        self._connections, self._dim, self._metric = connections, dim, metric
        self._pool = Pool(_AT_ONCE, "resight-postgres")
        self._held: Held | None = None
        self._indexed, self._class, self._near = "vector", "vector_l2_ops", "r.vector <-> %(query)s"
        self._apart = f"({self._near}) + 0"  # which no index answers
        if metric == "cosine":  # half precision halves the index
            self._apart = "r.vector <=> %(query)s"
            self._indexed, self._class = f"(l2_normalize(vector)::halfvec({dim}))", "halfvec_ip_ops"
            self._near = f"l2_normalize(r.vector)::halfvec({dim}) <#> %(query)s::halfvec({dim})"

    def near(self, queries: NDArray[np.float32], k: int, where: Filter, approximate: bool) -> list[Candidates]:
        """See :meth:`resight.gallery.store.Store.near`."""
        scaled = self._scaled(queries)
        if self._held is not None and not approximate:
            found = self._held.near(scaled, k, where)
            if found is not None:
                return found
        passing, values = condition(where)

        def some(queries: NDArray[np.float32]) -> list[list[Row]]:
            return self._connections.read(lambda session: each(session, queries))

        def each(session: Session, queries: NDArray[np.float32]) -> list[list[Row]]:
            if approximate and self._looks_far(session, k):
                statement = self._statement(self._near, passing, k + _MORE_NEAR)
                return [session.rows(statement, values | {"query": query}, often=True) for query in queries]
            return [self._exactly(session, query, k, passing, values | {"query": query}) for query in queries]

        parts = np.array_split(scaled, max(1, min(len(scaled), _AT_ONCE)))
        nearest = map(some, parts) if len(parts) == 1 else self._pool.map(some, parts)
        return [
            Candidates([record(row[3:]) for row in rows], vectors_of((row[1:3] for row in rows), self._dim))
            for part in nearest
            for rows in part
        ]

    def hold(self, most: int) -> None:
        """See :meth:`resight.gallery.store.Store.hold`."""
        self._held = None
        if most and self._connections.read(slots.there):
            faiss()  # or an error now
            self._held = Held(self._connections, self._dim, self._metric, most)
            self._held.follow()

    def follow(self) -> None:
        """Bring what is held in memory to where the database is, whether or not this works."""
        if self._held is not None:
            with suppress(ResightError):
                self._held.follow()

    def index(self) -> int:
        """See :meth:`resight.gallery.store.Store.index`; others go on writing meanwhile."""
        if self._connections.read_only:
            raise DataError(f"{self._connections.place.uri} was opened for reading only: open it without read_only.")
        if self._dim > _WIDEST[self._metric]:
            raise DataError(
                f"pgvector's index takes embeddings of at most {_WIDEST[self._metric]:,} numbers with {self._metric} "
                f"distance, and these have {self._dim:,}: search without approximate."
            )
        with self._connections.alone() as db:
            (count,) = db.execute("SELECT count(*) FROM records").fetchone() or (0,)
            memory = min(_BUILD, 2**26 + count * (4 * self._dim + 1024))
            db.execute(
                "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false), "
                "set_config('maintenance_work_mem', %s, false)",
                (f"{memory // 1024}kB",),
            )
            db.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}".encode())
            build = f"CREATE INDEX CONCURRENTLY {INDEX} ON records USING hnsw ({self._indexed} {self._class})"
            db.execute(build.encode())
        return int(count)

    def _exactly(
        self, session: Session, query: NDArray[np.float32], k: int, passing: str, values: dict[str, Any]
    ) -> list[Row]:
        """The nearest, more and more of them until the rest is surely farther than the k-th."""
        wanted = k + _MORE
        while True:
            rows = session.rows(self._statement(self._apart, passing, wanted), values, often=True)
            if len(rows) < wanted or self._surely(query, rows, k):
                return rows
            wanted *= 4

    def _looks_far(self, session: Session, k: int) -> bool:
        """Have approximate searches on a connection look far enough for ``k``, and say whether there is an index."""
        settings = {
            "hnsw.ef_search": min(max(_LOOK, 2 * k), 1000),
            "hnsw.iterative_scan": "relaxed_order",  # goes on where a filter lets too few pass
            "hnsw.max_scan_tuples": max(20_000, 4 * k),
        }
        changed = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
        there = "EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisvalid)"
        return bool(session.rows(f"SELECT {there}, {changed}", (INDEX,))[0][0])

    def _statement(self, apart: str, passing: str, count: int) -> str:
        """(distance, scale, vector, record) of the ``count`` nearest that pass, nearest first."""
        return (
            f"SELECT near.apart, {VECTOR}, {RECORD} FROM (SELECT r.id, {apart} AS apart FROM records r "
            f"WHERE {passing} ORDER BY {apart} LIMIT {count}) near JOIN records r ON r.id = near.id {NAMED} "
            "ORDER BY near.apart"
        )

    def _surely(self, query: NDArray[np.float32], rows: list[Row], k: int) -> bool:
        """Whether no record that is not among the rows can be as near as the k-th, whatever float32 rounded away.

        A sum of D products in float32, in whatever order, is wrong by at most D steps of 2^-24 of the product of the
        lengths (Higham 2002, chapter 3); some more are granted for scaling.
        """
        kth, last = float(rows[k - 1][0]), float(rows[-1][0])
        step = 2 * (len(query) + 16) * 2.0**-24
        if self._metric == "cosine":
            return last - 2 * step > kth
        length = float(np.linalg.norm(query.astype(np.float64)))

        def off(apart: float) -> float:
            return step * (2 * length + apart) ** 2 + 1e-30  # far below, float32 has no steps left

        return last**2 - off(last) > kth**2 + off(kth)

    def _scaled(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The queries, of length one where only their direction counts."""
        if self._metric != "cosine":
            return queries
        wide = queries.astype(np.float64)
        return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True), np.float32)
