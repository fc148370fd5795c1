"""Exact ranks, streamed: what a full sort would say, without the sort and without the Q x G matrix.

Shape letters: ``Q`` queries, ``G`` gallery, ``D`` embedding, ``K`` neighbours, ``M`` true matches of all queries.

The order is that of a stable sort of the float32 distances (of :func:`resight.retrieval.ranking.distance.pairwise`, or
re-ranked) over the valid gallery images: nearer first, and among equal distances the one that is earlier in the
gallery. A true match has rank r if r - 1 valid gallery images come before it, so counting replaces sorting.

Distances of the metric are rough first and exact where it matters, see :mod:`resight.retrieval.ranking.rough`,
:mod:`resight.retrieval.ranking.counting` and :mod:`resight.retrieval.ranking.nearest`; so are re-ranked ones that are
counted (:class:`Countable`). Others (in lists of re-ranked images, or of tracks) come in blocks of queries by all of
the gallery that fit the memory budget; where not even the smallest such block does, the gallery is cut as well, and
read twice. Their blocks lie on one grid of tiles (see :class:`resight.retrieval.ranking.distance.Distances`). So the
memory budget never changes a rank.
"""

from __future__ import annotations

import threading
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.records import Embeddings, Ranking
from resight.retrieval.ranking import distance as grid
from resight.retrieval.ranking.arguments import check_embeddings, check_rerank, choose_metric, whole_number
from resight.retrieval.ranking.counting import Counter, TwoSteps
from resight.retrieval.ranking.distance import Distances
from resight.retrieval.ranking.nearest import nearest
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rough import Products, Rough
from resight.retrieval.ranking.threads import THREADS, one_blas_thread, spread
from resight.retrieval.ranking.validity import Validity

MEMORY = 256 * 2**20
"""Default budget for a block of distances, in bytes; some 30 MB of working space (at D = 512) come on top."""

_MOST_QUERIES = 1024  # a taller block would not be faster
_TURNS = 3  # blocks for each thread at least, so that all end at about the same time

Chunk = tuple[int, NDArray[np.float32]]


class Blocks(typing.Protocol):
    """The (Q, G) distances of two sets, of which any block can be asked for, as of :class:`Distances`."""

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, G)."""

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """The float32 distances of ``rows`` to ``columns``, none negative, in an array of the caller's own."""


@typing.runtime_checkable
class Countable(Blocks, typing.Protocol):
    """Blocks whose ranks can be counted in two steps, without the distances of all pairs."""

    def rough(self) -> TwoSteps | None:
        """The distances in two steps, or None where they are to be read block by block."""


Rerank: typing.TypeAlias = Callable[[Embeddings, Embeddings, str, int], Blocks]
"""From query, gallery, metric and memory to other distances, such as
:class:`~resight.retrieval.reranking.rerank.KReciprocal`."""


@dataclass(frozen=True, eq=False)
class MatchRanks:
    """The ranks of the true matches of each query.

    Attributes:
        ranks: (M,) int64 from 1, ascending within each query; query q's are ``ranks[offsets[q]:offsets[q + 1]]``.
        offsets: (Q + 1,) int64.
    """

    ranks: NDArray[np.int64]
    offsets: NDArray[np.int64]


class Stream:
    """Distances with every invalid pair set to infinity, one block of queries after the other.

    With ``rerank`` these are the distances it makes of all queries and the whole gallery, junk included.
    """

    def __init__(
        self,
        query: Embeddings,
        gallery: Embeddings,
        metric: str,
        protocol: Protocol | None,
        memory: int,
        rerank: Rerank | None = None,
    ) -> None:
        check_sets(query, gallery, rerank)
        memory = whole_number("The memory in bytes", memory, 0)
        self.valid = Validity(query, gallery, protocol)
        self.distances: Blocks
        if rerank is None:
            self.distances = Distances(query.vectors, gallery.vectors, metric)
        else:
            self.distances = rerank(query, gallery, metric, memory)
        count, size = self.distances.shape
        smallest = min(grid.TILE_QUERIES, max(count, 1))
        affordable = max(memory, 1) // (4 * size)
        together = max(min(affordable // smallest, THREADS), 1)
        self._room = threading.BoundedSemaphore(together)
        tall = min(affordable // together, _MOST_QUERIES, -(-count // (_TURNS * together)))
        self.height = max(-(-tall // grid.TILE_QUERIES) * grid.TILE_QUERIES, grid.TILE_QUERIES)
        if self.height * together > affordable > 0:
            self.height = max(self.height - grid.TILE_QUERIES, grid.TILE_QUERIES)
        if affordable >= smallest:
            self.width = size
        else:
            self.width = max(memory // (4 * smallest) // grid.TILE_GALLERY, 1) * grid.TILE_GALLERY
        self.whole = self.width >= size

    def blocks(self) -> Iterator[slice]:
        """Slices of queries whose distances fit the memory together."""
        count = self.distances.shape[0]
        for start in range(0, count, self.height):
            yield slice(start, min(start + self.height, count))

    def each(self, work: Callable[[slice], None]) -> None:
        """Call ``work`` with such slices, in threads."""

        def one(rows: slice) -> None:
            with self._room:
                work(rows)

        with one_blas_thread():
            spread(one, self.distances.shape[0], self.height)

    def chunks(self, rows: slice) -> Iterator[Chunk]:
        """(first gallery index, (rows, columns) distances) for the gallery from its first image to its last."""
        size = self.distances.shape[1]
        for start in range(0, size, self.width):
            stop = min(start + self.width, size)
            block = self.distances.block(rows, slice(start, stop))
            self.valid.mask(block, rows.start, start)
            yield start, block

    def rows(self) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """(query, first gallery index, (columns,) distances) over everything; the invalid are infinitely far."""
        for rows in self.blocks():
            for start, block in self.chunks(rows):
                for q, row in zip(range(rows.start, rows.stop), block, strict=True):
                    yield q, start, row


def check_sets(query: Embeddings, gallery: Embeddings, rerank: Rerank | None = None) -> None:
    """Raise DataError where there is nothing to search in, or something that is no embeddings."""
    check_embeddings(query=query, gallery=gallery)
    check_rerank(rerank)
    if not len(gallery):
        raise DataError("The gallery is empty, so there is nothing to search in: check what was embedded.")


def ranks_of_matches(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    metric: str = "euclidean",
    memory: int = MEMORY,
    rerank: Rerank | None = None,
    products: Products | None = None,
) -> MatchRanks:
    """The rank of every true match of every query among its valid gallery images.

    Args:
        query: Q embeddings with identities, and whatever else the protocol needs.
        gallery: G embeddings with the same.
        protocol: which gallery images are valid and which of them match.
        metric: "euclidean" or "cosine".
        memory: bytes for a block of distances; it changes the speed, never the result.
        rerank: take other distances, those it makes; None for those of the metric.
        products: computes the matrix products (:class:`~resight.embedding.products.TorchProducts`); changes the speed,
            never the result. Not for ``rerank``.

    Raises:
        DataError: dimensions or columns that do not fit, an empty gallery, or vectors the metric cannot compare.
    """
    if rerank is None:
        check_sets(query, gallery)
        memory = whole_number("The memory in bytes", memory, 0)
        valid = Validity(query, gallery, protocol)
        rough = Rough(query.vectors, gallery.vectors, metric, products)
        return MatchRanks(Counter(rough, valid, memory).ranks(), valid.matches.offsets)
    stream = Stream(query, gallery, metric, protocol, memory, rerank)
    counted = stream.distances.rough() if isinstance(stream.distances, Countable) else None
    if counted is not None:
        return MatchRanks(Counter(counted, stream.valid, memory).ranks(), stream.valid.matches.offsets)
    found: dict[int, list[NDArray[np.int64]]] = {}

    def work(rows: slice) -> None:
        true = [stream.valid.matches.of(q) for q in range(rows.start, rows.stop)]
        chunks = list(stream.chunks(rows)) if stream.whole else None
        near = [np.empty(len(of_one), np.float32) for of_one in true]
        for start, block in chunks or stream.chunks(rows):
            for row, of_one, distances in zip(block, true, near, strict=True):
                here = (of_one >= start) & (of_one < start + len(row))
                distances[here] = row[of_one[here] - start]
        ranks = [np.ones(len(of_one), np.int64) for of_one in true]
        for start, block in chunks or stream.chunks(rows):
            for row, of_one, distances, rank in zip(block, true, near, ranks, strict=True):
                rank += _before(row, of_one - start, distances)
        found[rows.start] = [np.sort(rank) for rank in ranks]

    stream.each(work)
    every = [rank for _, ranks in sorted(found.items()) for rank in ranks]
    return MatchRanks(np.concatenate([np.empty(0, np.int64), *every]), stream.valid.matches.offsets)


def _before(row: NDArray[np.float32], indices: NDArray[np.int64], distances: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many images of ``row`` come before each match.

    Args:
        row: distances of one query to a chunk of the gallery, infinity where invalid.
        indices: (m,) positions of the matches relative to this chunk; outside [0, len(row)) if in another.
        distances: (m,) of the matches.
    """
    # One integer per image that sorts by (distance, index), since the bits of non-negative floats sort as the floats
    # do; then the place of each image that may come before a match among the sorted matches.
    near = np.flatnonzero(row <= distances.max(initial=-np.inf))
    images = _keys(row[near], near)
    wanted = _keys(distances, np.clip(indices, -1, len(row)))
    order = np.argsort(wanted)
    place = np.searchsorted(wanted[order], images, "right")
    found = np.empty(len(indices), np.int64)
    found[order] = np.cumsum(np.bincount(place, minlength=len(indices) + 1))[:-1]
    return found


def _keys(distances: NDArray[np.float32], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    bits: NDArray[np.int64] = np.ascontiguousarray(distances).view(np.int32).astype(np.int64)
    return (bits << 32) + (indices + 1)


def topk(
    query: Embeddings,
    gallery: Embeddings,
    k: int,
    metric: str | None = None,
    protocol: Protocol | None = None,
    memory: int = MEMORY,
    rerank: Rerank | None = None,
    products: Products | None = None,
) -> Ranking:
    """The ``k`` nearest gallery images of each query, in the order this module describes.

    Args:
        query: Q embeddings.
        gallery: G embeddings.
        k: how many, at least 1.
        metric: "euclidean" or "cosine"; None for that of the embeddings' model, euclidean where it is unknown.
        protocol: leave out what it leaves out (identities are then needed); None keeps every gallery image.
        memory: bytes for a block of distances; it changes the speed, never the result.
        rerank: take other distances, those it makes; None for those of the metric.
        products: computes the matrix products (:class:`~resight.embedding.products.TorchProducts`); changes the speed,
            never the result. Not for ``rerank``.

    Returns:
        Ranking of shape (Q, k): index -1 and distance infinity where a query has fewer than k valid images.

    Raises:
        DataError: ``k`` is no whole number from 1 upwards, or as for :func:`ranks_of_matches`.
    """
    check_sets(query, gallery, rerank)
    k, metric = whole_number("k", k), choose_metric(metric, query, gallery)
    if rerank is None:
        check_sets(query, gallery)
        memory = whole_number("The memory in bytes", memory, 0)
        valid = Validity(query, gallery, protocol)
        rough = Rough(query.vectors, gallery.vectors, metric, products)
        return Ranking(*nearest(rough, k, valid.kept, valid.left_out, memory))
    stream = Stream(query, gallery, metric, protocol, memory, rerank)
    indices = np.full((len(query), k), -1, np.int64)
    distances = np.full((len(query), k), np.inf, np.float32)

    def work(rows: slice) -> None:
        for start, block in stream.chunks(rows):
            worst = np.partition(block, k - 1, axis=1)[:, k - 1] if k < block.shape[1] else np.full(len(block), np.inf)
            for q, row, limit in zip(range(rows.start, rows.stop), block, worst, strict=True):
                near = np.flatnonzero((row <= limit) & (row < np.inf))
                order = np.concatenate([distances[q][indices[q] >= 0], row[near]])
                where = np.concatenate([indices[q][indices[q] >= 0], near + start])
                best = np.argsort(order, kind="stable")[:k]
                indices[q, : len(best)], distances[q, : len(best)] = where[best], order[best]

    stream.each(work)
    return Ranking(indices, distances)
