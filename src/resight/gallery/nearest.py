"""From candidates to hits: exact distances, in the order (distance, id), and what they mean.

Distances are those of :mod:`resight.retrieval`: computed in float64 from the stored vectors, rounded to float32.

Shape letters: ``N`` candidates, ``D`` embedding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.decisions.applied import Applied
from resight.gallery.record import Hit
from resight.gallery.store import Candidates
from resight.records import Embeddings
from resight.retrieval.ranking.distance import ROUNDING
from resight.retrieval.ranking.rank import MEMORY
from resight.retrieval.ranking.rough import dissimilarities
from resight.retrieval.reranking.rerank import KReciprocal


def distances(query: NDArray[np.float32], vectors: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """(N,) distances of one query (D,) to (N, D) vectors, equal to :func:`resight.retrieval.ranking.rank.topk`'s."""
    first = np.zeros(len(vectors), np.int64)
    found = dissimilarities(query[None], vectors, first, np.arange(len(vectors)), metric)
    zero = len(query) * ROUNDING
    if metric == "cosine":
        found[found <= zero] = 0.0
        return found.astype(np.float32)
    found[found <= 2 * zero * np.vecdot(query, query, dtype=np.float64)] = 0.0
    return np.sqrt(found.astype(np.float32))


def hits(
    query: NDArray[np.float32],
    found: Candidates,
    k: int,
    metric: str,
    applied: Applied | None,
    rerank: KReciprocal | None,
) -> list[Hit]:
    """The ``k`` nearest candidates; by their re-ranked distance where ``rerank`` is given, of the nearest of them."""
    apart = distances(query, found.vectors, metric)
    ids = np.array([record.id for record in found.records])
    order = np.lexsort((ids, apart))
    if rerank is not None and len(order):
        order = order[: shortlist(k)]
        one, several = Embeddings(query[None]), Embeddings(found.vectors[order])
        again = rerank(one, several, metric, MEMORY).block(slice(0, 1), slice(0, len(order)))[0]
        order = order[np.argsort(again, kind="stable")]
    order = order[:k]
    near = apart[order].astype(np.float64)
    if applied is None:
        return [Hit(found.records[at], float(d), None, None) for at, d in zip(order.tolist(), near, strict=True)]
    probabilities, words = applied.decision.probability(near).tolist(), applied.decide(near)
    each = zip(order.tolist(), near.tolist(), probabilities, words, strict=True)
    return [Hit(found.records[at], d, probability, str(word)) for at, d, probability, word in each]


def shortlist(k: int) -> int:
    """How many of the nearest are re-ranked when ``k`` are wanted."""
    return max(4 * k, 200)
