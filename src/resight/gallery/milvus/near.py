"""The nearest records in a collection: those that Milvus finds in float32, and all that could be as near.

Shape letters: ``Q`` queries, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.gallery.milvus.rows import ALL, RECORD, record
from resight.gallery.milvus.table import MOST, ROUGH, Table
from resight.gallery.nearest import distances
from resight.gallery.store import Candidates

_POLL = 0.1  # seconds
_MORE = 16  # neighbours beyond k that are asked for at first


def near(table: Table, queries: NDArray[np.float32], k: int, where: str) -> list[Candidates]:
    """See :meth:`resight.gallery.store.Store.near`: more are asked for until the rest is surely farther."""
    found: dict[int, Candidates] = {}
    asking, wanted = np.arange(len(queries)), k + _MORE
    while len(asking):
        wanted = min(wanted, MOST)
        again = []
        for at, hits in zip(asking.tolist(), table.search(queries[asking], wanted, where), strict=True):
            if len(hits) < wanted or _surely(queries[at], hits, k, table.metric):
                found[at] = _candidates(table, [hit["entity"] for hit in hits])
            elif wanted == MOST:
                found[at] = _scan(table, queries[at], k, where)
            else:
                again.append(at)
        asking, wanted = np.array(again, int), 4 * wanted
    return [found[at] for at in range(len(queries))]


def roughly(table: Table, queries: NDArray[np.float32], k: int, where: str) -> list[Candidates]:
    """The nearest by the approximate index of a collection."""
    found = table.search(queries, k, where, ef=max(128, 2 * k))
    return [_candidates(table, [hit["entity"] for hit in hits]) for hits in found]


def build(table: Table, side: Table, beat: Callable[[], None]) -> None:
    """Make the collection of the approximate index from that of the records; ``beat`` is called again and again."""
    side.make(None)
    for rows in table.pages("", ALL):
        for message in side.messages(rows):
            beat()
            side.ask("insert", message)
    side.ask("flush")
    side.index(ROUGH)
    while side.indexing():
        beat()
        time.sleep(_POLL)
    side.load()


def _surely(query: NDArray[np.float32], hits: Sequence[Any], k: int, metric: str) -> bool:
    """Whether no record that is not among the hits can be as near as the k-th, whatever float32 rounded away.

    Milvus tells cosines, or squared Euclidean distances. A sum of D products in float32, in whatever order, is wrong by
    at most D steps of 2^-24 of the product of the lengths (Higham 2002, chapter 3); some more are granted for scaling.
    """
    kth, last = float(hits[k - 1]["distance"]), float(hits[-1]["distance"])
    step = 2 * (len(query) + 16) * 2.0**-24
    if metric == "cosine":
        return last + 2 * step < kth
    length = float(np.linalg.norm(query.astype(np.float64)))

    def off(squared: float) -> float:
        return step * (2 * length + math.sqrt(max(squared, 0.0))) ** 2 + 1e-30  # far below, float32 has no steps left

    return last - off(last) > kth + off(kth)


def _scan(table: Table, query: NDArray[np.float32], k: int, where: str) -> Candidates:
    """The k nearest by a look at every record, for where more than Milvus gives at once are equally near."""
    ids: list[str] = []
    apart = np.empty(0, np.float32)
    for rows in table.pages(where, ("id", "vector")):
        ids += [row["id"] for row in rows]
        vectors = np.array([row["vector"] for row in rows], np.float32)
        apart = np.concatenate([apart, distances(query, vectors, table.metric)])
        keep = np.lexsort((np.array(ids), apart))[:k]
        ids, apart = [ids[at] for at in keep.tolist()], apart[keep]
    return _candidates(table, table.rows(ids, (*RECORD, "vector")))


def _candidates(table: Table, rows: Sequence[Any]) -> Candidates:
    vectors = np.array([row["vector"] for row in rows], np.float32).reshape(len(rows), table.dim)
    return Candidates([record(row) for row in rows], vectors)
