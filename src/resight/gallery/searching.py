"""A search on any engine: queries to vectors, candidates from the store, and exact distances of them.

Shape letters: ``Q`` queries, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resight.decisions.applied import Applied
from resight.embedding.source import Pictures
from resight.errors import DataError
from resight.gallery import binding
from resight.gallery.nearest import hits, shortlist
from resight.gallery.record import Filter, Hit, Record
from resight.gallery.store import Store
from resight.models.card import Card
from resight.records import Embeddings
from resight.retrieval.reranking.rerank import KReciprocal

Query: TypeAlias = "Pictures | Embeddings | NDArray[np.float32]"
MOST = 10_000  # neighbours of one query


def vectors_of(queries: Query, card: Card, embed: Callable[[Pictures], Embeddings]) -> NDArray[np.float32]:
    """(Q, D) vectors of pictures, embeddings or float vectors, if they can be compared with the card's.

    Raises:
        DataError: another length, or a vector that cannot be compared.
        ModelError: embeddings of another model.
    """
    if isinstance(queries, Embeddings):
        asked = queries
    elif isinstance(queries, np.ndarray) and queries.dtype.kind == "f":
        asked = Embeddings(np.asarray(queries, np.float32))
    else:
        asked = embed(queries)
    return binding.checked(asked, card).vectors


def mean(vectors: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """The one vector (D,) that stands for (Q, D) vectors of one individual.

    For the cosine metric their mean direction, in which each counts alike whatever its length; else their mean.

    Raises:
        DataError: the directions cancel out, so that they have no mean.
    """
    some = vectors.astype(np.float64)
    if metric == "cosine":
        some /= np.linalg.norm(some, axis=1, keepdims=True)
    found = some.mean(axis=0)
    if metric == "cosine" and np.linalg.norm(found) < 1e-6:
        raise DataError("The pictures have no mean, because their embeddings cancel out: search with one of them.")
    return np.asarray(found, np.float32)


def elsewhere(where: Filter, record: Record) -> Filter:
    """The same filter, and only records that are known to be of another camera than this one.

    Raises:
        DataError: the record's camera is unknown.
    """
    if not record.camera:
        raise DataError(f"The camera of record {record.id} is unknown, so that no camera is known to be another.")
    return replace(where, exclude_cameras=tuple(dict.fromkeys((*where.exclude_cameras, record.camera, ""))))


def search(
    store: Store,
    vectors: NDArray[np.float32],
    k: int,
    where: Filter,
    applied: Applied | None,
    rerank: KReciprocal | None,
    *,
    approximate: bool,
) -> list[list[Hit]]:
    """The ``k`` records nearest to each of (Q, D) vectors, see :meth:`resight.Gallery.search`.

    Raises:
        DataError: a ``k`` out of range.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= MOST:
        raise DataError(f"A search for {k!r} neighbours is not possible: ask for a whole number from 1 to {MOST:,}.")
    found = store.near(vectors, shortlist(k) if rerank else k, where, approximate)
    return [
        hits(query, candidates, k, store.about.card.metric, applied, rerank)
        for query, candidates in zip(vectors, found, strict=True)
    ]
