"""How much of their encodings queries and gallery images share: s = sum_j min(V_qj, V_gj), over shared columns alone.

Shape letters: ``Q`` queries, ``G`` gallery, ``N`` both, ``P`` pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.retrieval.reranking.reciprocal import Rows

_TOGETHER = 2**18  # pairs of a query and an image whose sums are in work at a time
_PAIRS = 2**13  # single pairs

Indices = NDArray[np.int64]


class Near(NamedTuple):
    """The pairs that share something, of some queries.

    Attributes:
        rows: the queries.
        row: (P,) ascending, which of them, counted from the first.
        image: (P,) gallery images, ascending for each query.
        shared: (P,) s in (0, 1].
    """

    rows: slice
    row: Indices
    image: Indices
    shared: NDArray[np.float64]


class Shared:
    """What the encodings of Q queries share with those of G gallery images.

    Args:
        encoded: (N, N) rows that sum to 1, of the queries and then of the gallery, with ascending columns.
        queries: Q.
    """

    def __init__(self, encoded: Rows, queries: int) -> None:
        self._queries, self._gallery = encoded[:queries], encoded[queries:]
        self._inverted = self._gallery.tocsc()  # for each column the gallery images that have it

    def near(self, rows: slice) -> Iterator[Near]:
        """What shares something with the queries of ``rows``, some of them at a time."""
        size = self._gallery.shape[0]
        step = max(_TOGETHER // size, 1)
        for start in range(rows.start, rows.stop, step):
            some = slice(start, min(start + step, rows.stop))
            ends = self._queries.indptr[some.start : some.stop + 1]
            own = slice(ends[0], ends[-1])
            columns, weights = self._queries.indices[own], self._queries.data[own]
            starts = self._inverted.indptr[columns]
            counts = self._inverted.indptr[columns + 1] - starts
            entries = np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
            owners = np.repeat(np.arange(some.stop - some.start) * size, np.diff(ends))
            pairs = np.repeat(owners, counts) + self._inverted.indices[entries]
            common = np.minimum(np.repeat(weights, counts), self._inverted.data[entries])
            total = np.bincount(pairs, weights=common).astype(np.float64, copy=False)
            found = np.flatnonzero(total > 0)  # several times faster than of the numbers themselves
            yield Near(some, *np.divmod(found, size), np.minimum(total[found], 1.0))

    def pairs(self, queries: Indices, images: Indices) -> NDArray[np.float64]:
        """(P,) s in [0, 1] of single pairs, bit for bit as of :meth:`near`."""
        out = np.empty(len(queries))
        for start in range(0, len(out), _PAIRS):
            some = slice(start, start + _PAIRS)
            out[some] = self._queries[queries[some]].minimum(self._gallery[images[some]]).sum(axis=1)
        return np.minimum(out, 1.0)
