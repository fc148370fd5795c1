"""The approximate index, built and measured: which share of the nearest records a search by it finds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from resight.gallery.record import Filter, Index
from resight.records import Embeddings

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery

QUERIES, NEAREST = 200, 10
NEIGHBOUR = 6  # the fifth neighbour of a record, itself being the first


def beyond(vectors: NDArray[np.float32], neighbours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) points as far from ``vectors`` as their neighbours are, on the other side of them.

    A record would find itself by any index. These are in none, and as far from what is, as new pictures may be.
    """
    return np.asarray(2 * vectors - neighbours, np.float32)


def build(gallery: Gallery, progress: Callable[[str], None] | None) -> Index:
    """Build the index, and ask it for the neighbours of records that lie evenly among all ids."""
    say = progress or (lambda _: None)
    say("building the index")
    start = time.perf_counter()
    records = gallery.store.index()
    seconds = time.perf_counter() - start
    say("measuring its recall")
    asked = _some(gallery)
    if not asked:
        return Index(records, 1.0, 0, seconds)
    known = gallery.vectors(asked)
    near = [hits[-1].record.id for hits in gallery.search_many(Embeddings(known), NEIGHBOUR)]
    points = Embeddings(beyond(_scaled(known, gallery), _scaled(gallery.vectors(near), gallery)))
    truth, found = (
        [{hit.record.id for hit in hits} for hits in gallery.search_many(points, NEAREST, approximate=roughly)]
        for roughly in (False, True)
    )
    shares = [len(near & got) / len(near) for near, got in zip(truth, found, strict=True)]
    return Index(records, float(np.mean(shares)), len(asked), seconds)


def _scaled(vectors: NDArray[np.float32], gallery: Gallery) -> NDArray[np.float32]:
    """Vectors of length one where only their direction counts."""
    if gallery.card.metric != "cosine":
        return vectors
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _some(gallery: Gallery) -> list[str]:
    """Ids of up to ``QUERIES`` records: the next ones after evenly spaced ids, which are as good as random."""
    found = []
    for at in range(QUERIES):
        after = f"{at * 16**8 // QUERIES:08x}"
        found += [record.id for record in gallery.store.page(Filter(), 1, after)]
    return list(dict.fromkeys(found))
