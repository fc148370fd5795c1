"""Re-ranked distances in blocks, and in two steps for ranks: rough ones of all pairs, exact ones of a few.

Shape letters: ``Q`` queries, ``G`` gallery, ``N`` both, ``P`` pairs.

The rough distance of query q and gallery image g is that of :class:`resight.retrieval.ranking.rough.Rough` less what
they share, on its scale: with d the dissimilarity, F_q that of q's farthest image, and d_J = 1 - s / (2 - s),

    (1 - lambda) d_J + lambda d / F_q = (1 - lambda) + lambda / F_q * (d - F_q * (1 - lambda) / lambda * s / (2 - s)).

So the rough distances only change where something is shared.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from resight.retrieval.ranking.distance import Distances
from resight.retrieval.ranking.rough import Block, Floats, Rough, dissimilarity
from resight.retrieval.reranking.reciprocal import Rows
from resight.retrieval.reranking.shared import Shared

_ROUNDED = 2.0**-19  # by how much two distances may be off, of their size, that were rounded to float32 on the way
_LEAST = 0.01  # share of the original distance from which on rough distances are worth it

Indices = NDArray[np.int64]


class Reranked:
    """The (Q, G) re-ranked distances of which any block can be asked for, all in [0, 1] but for rounding.

    Args:
        plain: the original (Q, G) distances.
        encoded: (N, N) rows that sum to 1, of the queries and then of the gallery, with ascending columns.
        farthest: (Q,) the largest original distance of each query to any of the N images.
        lambda_value: the share of the original dissimilarity.
    """

    def __init__(self, plain: Distances, encoded: Rows, farthest: Floats, lambda_value: float) -> None:
        self.shape = plain.shape
        self._plain, self._lambda = plain, lambda_value
        self._shared = Shared(encoded, self.shape[0])
        self._farthest = np.where(farthest > 0, farthest, np.float32(1))

    def block(self, rows: slice, columns: slice) -> Floats:
        """The float32 distances of ``rows`` to ``columns``, on the grid of :class:`Distances`."""
        out = self._plain.block(rows, columns)
        for near in self._shared.near(slice(rows.start, rows.start + len(out))):
            inside = (near.image >= columns.start) & (near.image < columns.stop)
            row, column = near.row[inside], near.image[inside] - columns.start
            part = out[near.rows.start - rows.start : near.rows.stop - rows.start]
            sharing = self._sharing(part[row, column], self._farthest[near.rows][row], near.shared[inside])
            self._without(part, self._farthest[near.rows, None])
            part[row, column] = sharing
        return out

    def exact(self, queries: Indices, images: Indices, plain: Floats) -> Floats:
        """(P,) the float32 distances of single pairs from their original ones."""
        shared, farthest = self._shared.pairs(queries, images), self._farthest[queries]
        sharing = self._sharing(plain, farthest, shared).astype(np.float32)
        self._without(plain, farthest)
        return np.where(shared > 0, sharing, plain)

    def _without(self, distances: Floats, farthest: Floats) -> None:
        """Turn original distances into those of images that share nothing, so that d_J = 1: many, and in float32."""
        if self._plain.metric == "euclidean":
            distances *= (np.sqrt(self._lambda) / farthest.astype(np.float64)).astype(np.float32)
            distances *= distances
        else:
            distances *= np.float32(self._lambda) / farthest
        distances += np.float32(1 - self._lambda)

    def _sharing(self, distances: Floats, farthest: Floats, shared: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distances of images that share ``shared`` (P,): few, and in float64 for their order."""
        metric = self._plain.metric
        original = dissimilarity(distances, metric) / dissimilarity(farthest, metric)
        found: NDArray[np.float64] = (1 - self._lambda) * (1 - shared / (2 - shared)) + self._lambda * original
        return found

    def rough(self) -> RoughReranked | None:
        """The distances in two steps; None where the original ones count too little to tell most images apart."""
        few = self._lambda < _LEAST
        return None if few else RoughReranked(self, self._plain, self._shared, self._farthest, self._lambda)


class RoughReranked:
    """Re-ranked distances in two steps, to be used as :class:`resight.retrieval.ranking.rough.Rough` is.

    Args:
        reranked: the distances, made of ``plain``, ``shared``, ``farthest`` (Q,) above 0 and ``lambda_value`` above 0.
    """

    def __init__(
        self, reranked: Reranked, plain: Distances, shared: Shared, farthest: Floats, lambda_value: float
    ) -> None:
        self.shape = plain.shape
        self._rough = Rough(plain.query, plain.gallery, plain.metric)
        self._exact, self._shared, self._lambda = reranked.exact, shared, lambda_value
        self._whole = self._rough.squared(farthest) / lambda_value  # (Q,) what a distance of 1 is on the rough scale

    def each(self, images: Indices, memory: int, work: Callable[[Block], None]) -> None:
        """As :meth:`Rough.each`."""
        worth = (1 - self._lambda) * self._whole

        def one(block: Block) -> None:
            place = np.full(self.shape[1], -1)
            place[block.images] = np.arange(len(block.images))
            for near in self._shared.near(block.rows):
                column = place[near.image]
                inside = column >= 0
                row, shared = near.row[inside], near.shared[inside]
                part = block.products[near.rows.start - block.rows.start : near.rows.stop - block.rows.start]
                part[row, column[inside]] -= worth[near.rows][row] * (shared / (2 - shared))
            work(block)

        self._rough.each(images, memory, one)

    def window(self, queries: Indices, distances: Floats) -> tuple[Floats, Floats]:
        """As :meth:`Rough.window`, of re-ranked distances."""
        whole = self._whole[queries]
        squares = (distances.astype(np.float64) - (1 - self._lambda)) * whole
        return self._rough.around(queries, squares, _ROUNDED * (whole + 1))

    def exact(self, queries: Indices, images: Indices) -> Floats:
        """(P,) float32 distances of pairs, as :class:`Reranked` rounds them."""
        return self._exact(queries, images, self._rough.exact(queries, images))
