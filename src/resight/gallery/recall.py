"""The approximate index, built and measured: which share of the nearest records a search by it finds."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from resight.gallery.nearest import hits
from resight.gallery.record import Filter, Index
from resight.gallery.store import Store

QUERIES, NEAREST = 200, 10
NEIGHBOUR = 6  # the fifth neighbour of a record, itself being the first


def beyond(vectors: NDArray[np.float32], neighbours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) points as far from ``vectors`` as their neighbours are, on the other side of them.

    A record would find itself by any index. These are in none, and as far from what is, as new pictures may be.
    """
    return np.asarray(2 * vectors - neighbours, np.float32)


def build(store: Store, progress: Callable[[str], None] | None) -> Index:
    """Build the index, and ask it for the neighbours of records that lie evenly among all ids."""
    say = progress or (lambda _: None)
    say("building the index")
    start = time.perf_counter()
    records = store.index()
    seconds = time.perf_counter() - start
    say("measuring its recall")
    asked = _sample(store)
    if not asked:
        return Index(records, 1.0, 0, seconds)
    metric = store.about.card.metric
    known = store.vectors(asked)
    near = [ids[-1] for ids in _nearest(store, known, NEIGHBOUR, approximate=False)]
    points = beyond(_scaled(known, metric), _scaled(store.vectors(near), metric))
    truth, found = (_nearest(store, points, NEAREST, approximate=roughly) for roughly in (False, True))
    shares = [len({*true} & {*got}) / len(true) for true, got in zip(truth, found, strict=True)]
    return Index(records, float(np.mean(shares)), len(asked), seconds)


def _nearest(store: Store, points: NDArray[np.float32], k: int, *, approximate: bool) -> list[list[str]]:
    """Ids of the ``k`` records nearest to each of (Q, D) points, nearest first."""
    found = store.near(points, k, Filter(), approximate)
    return [
        [hit.record.id for hit in hits(point, candidates, k, store.about.card.metric, None, None)]
        for point, candidates in zip(points, found, strict=True)
    ]


def _scaled(vectors: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """Vectors of length one where only their direction counts."""
    if metric != "cosine":
        return vectors
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _sample(store: Store) -> list[str]:
    """Ids of up to ``QUERIES`` records: the next ones after evenly spaced ids, which are as good as random."""
    found = []
    for at in range(QUERIES):
        after = f"{at * 16**8 // QUERIES:08x}"
        found += [record.id for record in store.page(Filter(), 1, after)]
    return list(dict.fromkeys(found))
