"""The nearest gallery images of each query, streamed, by distances that are rough first and exact where it matters.

Shape letters: ``Q`` queries, ``G`` gallery, ``K`` neighbours, ``R`` some of the queries.

The order is that of a stable sort of the float32 distances: nearer first, and among equal distances the image that
is earlier in the gallery.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from resight.retrieval.ranking.rough import Block, Floats, Rough
from resight.retrieval.ranking.validity import Lists

_PART = 64  # rows searched together: what equal distances can make of them stays small, and near the processor
_GROUP = 16  # columns of which only the least counts at first
ROUNDED = 2.0**-19  # twice by how much the rounding of a distance to float32 can move its square

Indices = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)


def nearest(rough: Rough, k: int, images: Indices, left_out: Lists, memory: int) -> tuple[Indices, Floats]:
    """The ``k`` nearest images of each query.

    Args:
        rough: the distances of Q queries to G images.
        k: how many, at least 1.
        images: ascending, the gallery images that count at all.
        left_out: those that do not count for a query.
        memory: bytes for a block of distances and a copy of the gallery images it is of.

    Returns:
        (Q, k) indices and distances: -1 and infinity where a query has fewer than k images.
    """
    queries = rough.shape[0]
    found = np.full((queries, k), -1, np.int64), np.full((queries, k), np.inf, np.float32)

    def work(block: Block) -> None:
        block.hide(left_out)
        for start in range(0, len(block.products), _PART):
            _pick(rough, block, found, slice(start, min(start + _PART, len(block.products))))

    rough.each(images, memory, work)
    return found


def _pick(rough: Rough, block: Block, found: tuple[Indices, Floats], part: slice) -> None:
    """Merge the nearest in a part of the block's rows into what is found already."""
    rows = block.products[part]
    rows += block.squares
    queries = np.arange(block.rows.start + part.start, block.rows.start + part.stop)
    indices, distances = found[0][queries], found[1][queries]
    k = indices.shape[1]
    slack = (2 * rough.error[queries] + ROUNDED).astype(np.float32)[:, None]
    near = rows <= (no_less(rows, k) + slack if k < rows.shape[1] else np.float32(np.inf))
    row, column = where(near)
    finite = rows[row, column] < np.inf
    if not finite.all():
        row, column = row[finite], column[finite]
    apart = rough.exact(queries[row], block.images[column])
    order = np.lexsort((apart, row))  # stable, so among equals the earlier one
    row, image, apart = row[order], block.images[column[order]], apart[order]
    place = np.arange(len(row)) - np.searchsorted(row, np.arange(len(rows)))[row]
    kept = place < k
    here = np.full(indices.shape, -1, np.int64), np.full(indices.shape, np.inf, np.float32)
    here[0][row[kept], place[kept]], here[1][row[kept], place[kept]] = image[kept], apart[kept]
    if (indices[:, 0] >= 0).any():
        both = np.concatenate([indices, here[0]], axis=1), np.concatenate([distances, here[1]], axis=1)
        best = np.argsort(both[1], axis=1, kind="stable")[:, :k]
        here = np.take_along_axis(both[0], best, 1), np.take_along_axis(both[1], best, 1)
    found[0][queries], found[1][queries] = here


def where(mask: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Rows and columns of what is true, row by row; faster than ``numpy.nonzero`` where that is little."""
    row, column = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return row, column


def no_less(rows: NDArray[Number], k: int) -> NDArray[Number]:
    """(R, 1) values that are not below the k-th smallest of each row, nor far above it.

    The k-th smallest of the least of each group of columns is one: it has k values up to itself. To select among the
    groups is many times faster than to select among all.
    """
    size = max(min(_GROUP, rows.shape[1] // k), 1)
    groups = rows.shape[1] // size
    least = rows[:, : size * groups].reshape(len(rows), size, groups).min(axis=1)
    bound: NDArray[Number] = np.partition(least, k - 1, axis=1)[:, k - 1 : k]
    return bound
