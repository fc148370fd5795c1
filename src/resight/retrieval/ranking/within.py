"""All gallery images within a distance of each query: the matches within a threshold.

Shape letters: ``Q`` queries, ``G`` gallery, ``M`` matches of all queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.records import Embeddings
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.arguments import check_embeddings, check_threshold, choose_metric
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rank import MEMORY, Stream


@dataclass(frozen=True, eq=False)
class MatchesWithin:
    """The matches of each query within a threshold, nearest first.

    Attributes:
        indices: (M,) int64 into the gallery; query q's are ``indices[offsets[q]:offsets[q + 1]]``.
        distances: (M,) float32, ascending within each query.
        offsets: (Q + 1,) int64.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, q: int) -> NDArray[np.int64]:
        """The gallery indices of the matches of query ``q``, nearest first."""
        return self.indices[self.offsets[q] : self.offsets[q + 1]]


def matches_within(
    query: Embeddings,
    gallery: Embeddings,
    threshold: float,
    metric: str | None = None,
    protocol: str | Protocol | None = None,
    memory: int = MEMORY,
) -> MatchesWithin:
    """All gallery images at most ``threshold`` from each query, nearest first; among equals the earlier in the gallery.

    Args:
        query: Q embeddings.
        gallery: G embeddings.
        threshold: a distance of ``metric``, from 0 upwards.
        metric: "euclidean" or "cosine"; None for that of the embeddings' model, euclidean where it is unknown.
        protocol: leave out what it leaves out (identities are then needed); None keeps every gallery image.
        memory: bytes for a block of distances; the matches come on top.

    Raises:
        DataError: a threshold that is negative or not finite, or as for :func:`resight.retrieval.ranking.rank.topk`.
    """
    check_embeddings(query=query, gallery=gallery)
    threshold, metric = check_threshold(threshold), choose_metric(metric, query, gallery)
    stream = Stream(query, gallery, metric, None if protocol is None else protocols.get(protocol), memory)
    indices: list[list[NDArray[np.int64]]] = [[] for _ in range(len(query))]
    distances: list[list[NDArray[np.float32]]] = [[] for _ in range(len(query))]
    for q, start, row in stream.rows():
        near = np.flatnonzero(row <= threshold)
        indices[q].append(near + start)
        distances[q].append(row[near])
    where: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    far: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    for one, apart in zip(indices, distances, strict=True):
        whole = np.concatenate(apart)
        order = np.argsort(whole, kind="stable")
        where.append(np.concatenate(one)[order])
        far.append(whole[order])
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in where[1:]], dtype=np.int64)])
    return MatchesWithin(np.concatenate(where), np.concatenate(far), offsets.astype(np.int64))
