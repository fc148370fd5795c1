"""Exact searches from the memory of this process: a copy of the vectors, compared with the log at every search.

Every action that changes records writes its event in the same transaction, and those transactions take turns, so that
the last event's digest, which covers all events before it, names the state of all records: one digest, one state. A
search scans the copy and reads what it found by one statement, which also says whether the last event still is the one
the copy is of. If so, the answer is that of the database at this moment. If not, what has changed is read
(:mod:`resight.gallery.postgres.slots`), and the search begun again.

The database searches where the copy cannot: it would be too large, row security hides records from this role, others
write all the time, or the server is a replica that is behind the copy.

Shape letters: ``Q`` queries, ``D`` embedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.gallery.postgres.connections import Connections, Row, Session
from resight.gallery.postgres.rows import NAMED, RECORD, VECTOR, record, vectors_of
from resight.gallery.record import Filter
from resight.gallery.store import Candidates
from resight.gallery.vectors.cache import Cache, Source, View
from resight.gallery.vectors.cache_files import COLUMNS, GROWTH, Changed, Header
from resight.gallery.vectors.choosing import MORE, Codes, chosen, mask_of
from resight.gallery.vectors.scan import scan, slack

_QUERIES = 256  # at a time
_TRIES = 3  # of a search while others write
_READ = 1024  # vectors at a time
_HIDDEN = """(SELECT bool_or(row_security_active(c))
FROM unnest('{records,labels,identities,slots,events}'::regclass[]) c)"""
_STATE = f"""SELECT e.number, e.digest, (SELECT coalesce(max(slot), 0) FROM slots), {_HIDDEN}
FROM events e ORDER BY number DESC LIMIT 1"""
_STILL = f"(SELECT digest FROM events ORDER BY number DESC LIMIT 1) = %(digest)s AND NOT {_HIDDEN}"
_FOUND = f"""WITH s AS MATERIALIZED (SELECT {_STILL} AS still) SELECT s.still, p.slot - 1, {VECTOR}, {RECORD} FROM s
LEFT JOIN (slots p JOIN records r ON r.id = p.id {NAMED}) ON s.still AND p.slot = ANY(%(slots)s::int[])"""
_NAMES = f"SELECT {_STILL}, array(SELECT number FROM identities WHERE name = ANY(%(names)s::text[]))"
_CHANGED = f"""SELECT p.change, p.slot, r.camera, l.identity, r.time, {VECTOR}
FROM slots p LEFT JOIN records r ON r.id = p.id LEFT JOIN labels l ON l.id = r.id
WHERE (p.change, p.slot) > (%s, %s) AND p.slot <= %s ORDER BY p.change, p.slot LIMIT {_READ}"""


class Held:
    """The vectors of one gallery.

    Args:
        connections: to it.
        dim, metric: of its vectors.
        most: bytes that they may take.
    """

    def __init__(self, connections: Connections, dim: int, metric: str, most: int) -> None:
        self._connections, self._dim, self._metric, self._most = connections, dim, metric, most
        self._cache = Cache(None, "", dim, unit=metric == "cosine", writable=False)
        self._cameras: dict[str, int] = {}  # numbers from 1, which columns hold

    def near(self, queries: NDArray[np.float32], k: int, where: Filter) -> list[Candidates] | None:
        """As :meth:`resight.gallery.store.Store.near`; None where the database has to search.

        Args:
            queries: (Q, D), of length one for the cosine metric.
            k, where: what is asked for.
        """
        found: list[Candidates] = []
        for start in range(0, len(queries), _QUERIES):
            some = self._near(queries[start : start + _QUERIES], k, where)
            if some is None:
                return None
            found += some
        return found

    def follow(self) -> View | None:
        """Bring the copy to where the database is, and give it; None where the database has to search."""
        return self._connections.read(self._follow)

    def _follow(self, session: Session) -> View | None:
        seen: Header | None = None
        while True:
            ((number, digest, slots, hidden),) = session.rows(_STATE, often=True)
            if hidden or slots * self._dim * 4 * GROWTH > self._most:
                self._cache.forget()
                return None
            knows, since = partial(_knows, session), partial(self._since, session, slots)
            source = Source(number, slots, number, bytes.fromhex(digest), knows, since, lambda *_: 0)
            found = self._cache.view(source, 0, seen)
            if isinstance(found, View):
                return found
            if found.change > number:
                return None  # a replica that is behind
            seen = found

    def _since(self, session: Session, last: int, change: int, _: int) -> Iterator[Changed]:
        """What has changed after an event in the slots up to the ``last``; some of it may be newer than the state."""
        slot = last
        while rows := session.rows(_CHANGED, (change, slot, last)):
            change, slot = rows[-1][:2]
            columns, vectors = np.zeros(len(rows), COLUMNS), np.zeros((len(rows), self._dim), np.float32)
            there = [at for at, row in enumerate(rows) if row[2] is not None]
            some = [rows[at] for at in there]
            columns["camera"][there] = [self._cameras.setdefault(row[2], len(self._cameras) + 1) for row in some]
            columns["identity"][there] = [row[3] or 0 for row in some]
            columns["time"][there] = [np.nan if row[4] is None else row[4] for row in some]
            vectors[there] = vectors_of((row[5:] for row in some), self._dim)
            yield Changed(np.array([row[1] - 1 for row in rows], np.int64), columns, vectors)
            if len(rows) < _READ:
                return

    def _near(self, queries: NDArray[np.float32], k: int, where: Filter) -> list[Candidates] | None:
        for _ in range(_TRIES):
            view = self.follow()
            if view is None:
                return None
            found = self._found(view, queries, k, where)
            if found is not None:
                return found
        return None

    def _found(self, view: View, queries: NDArray[np.float32], k: int, where: Filter) -> list[Candidates] | None:
        """Candidates for each query; None where the view is not that of the database any more."""
        known = self._codes(view, where)
        if known is None:
            return None
        nearest = self._chosen(view, queries, k, mask_of(view, where, known))
        slots = np.unique(np.concatenate(nearest))
        rows = self._rows(_FOUND, view, slots=(slots + 1).tolist())
        now = self._cache.peek()
        if not rows[0][0] or now is None or now.digest != view.digest:  # which the rows may be newer than
            return None
        at = {row[1]: number for number, row in enumerate(rows) if row[1] is not None}
        if len(at) < len(slots):  # a record was deleted by other means than resight
            self._cache.forget()
            return None
        records = [record(row[4:]) for row in rows if row[1] is not None]
        vectors = vectors_of((row[2:4] for row in rows if row[1] is not None), self._dim)
        several = ([at[slot] for slot in some.tolist()] for some in nearest)
        return [Candidates([records[each] for each in some], vectors[some]) for some in several]

    def _chosen(
        self, view: View, queries: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None
    ) -> list[NDArray[np.int64]]:
        """The slots, from 0, that may be among the ``k`` nearest of each query."""
        margins = slack(queries, view.longest, self._metric).tolist()
        wanted = min(k + MORE, view.slots)
        while True:
            near = scan(queries, view.rows, wanted, self._metric, mask)
            found = chosen(near, [], k, margins, complete=wanted == view.slots)
            if found is not None:
                return found
            wanted = min(4 * wanted, view.slots)

    def _codes(self, view: View, where: Filter) -> Codes | None:
        """The numbers of a filter's names; None where the view is not that of the database any more."""

        def of(wanted: tuple[str, ...]) -> NDArray[np.int64] | None:
            known = [self._cameras[name] for name in wanted if name in self._cameras]
            return np.array(known, np.int64) if wanted else None

        people = None
        if where.identities:
            ((still, numbers),) = self._rows(_NAMES, view, names=list(where.identities))
            if not still:
                return None
            people = np.array(numbers, np.int64)
        return Codes(of(where.cameras), of(where.exclude_cameras), people)

    def _rows(self, statement: str, view: View, **values: Any) -> list[Row]:
        values["digest"] = view.digest.hex()
        return self._connections.read(lambda session: session.rows(statement, values, often=True))


def _knows(session: Session, event: int, digest: bytes) -> bool:
    return bool(session.rows("SELECT 1 FROM events WHERE number = %s AND digest = %s", (event, digest.hex())))
