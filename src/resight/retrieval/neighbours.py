"""The nearest neighbours of every image among all of them, streamed, and the dissimilarity of single pairs.

Shape letters: ``N`` images, ``D`` embedding, ``K`` neighbours, ``P`` pairs.

The order of an image's neighbours: itself first, then nearer before farther by float32 distances (equal to those of
:func:`resight.retrieval.distance.pairwise` but for rounding of float64), and among equal distances the lower index.

N x N products in float64 would take most of the time of all that needs neighbours. So float32 looks first, with a bound
on its error, and float64 decides between the few images that can be among the nearest, or be the farthest, within it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.records import Embeddings
from resight.retrieval.distance import ROUNDING, Distances
from resight.retrieval.rank import MEMORY

_MOST = 1024  # rows of rough distances together; more would not be faster
_ROWS = 64  # looked through together: what equal distances can make of them stays small, and near the processor
_GROUP = 16  # columns of which only the least counts at first
_CHUNK = 4096  # rows in float64 at a time
_TOGETHER = 2**17  # float64 values of pairs in work at a time, so that they stay near the processor


class Neighbours(NamedTuple):
    """Who is nearest to each image, and how far away the last of all is.

    Attributes:
        nearest: (N, K) int64, in the order this module describes; the first is the image itself.
        farthest: (N,) float32, the largest distance of each image to any.
    """

    nearest: NDArray[np.int64]
    farthest: NDArray[np.float32]


def neighbours(images: Embeddings, k: int, metric: str = "euclidean", memory: int = MEMORY) -> Neighbours:
    """The ``k`` nearest of each image among all N of them, itself included (all N where there are fewer).

    Args:
        images: N embeddings.
        k: how many, at least 1.
        metric: "euclidean" or "cosine".
        memory: bytes for a block of rough distances (one row of N at least); a float32 copy of the vectors and O(N K)
            come on top. It changes the speed, never the result.

    Raises:
        DataError: vectors the metric cannot compare.
    """
    vectors = images.vectors
    Distances(vectors, vectors, metric)  # refuses what cannot be compared
    rough = _Rough(vectors, metric)
    count, k = len(vectors), min(k, len(vectors))
    nearest, farthest = np.empty((count, k), np.int64), np.empty(count, np.float32)
    height = min(max(memory // (4 * max(count, 1)), 1), _MOST)
    buffer = np.empty((min(height, count), count), np.float32)
    for start in range(0, count, height):
        block = rough.block(start, min(start + height, count), buffer)
        for top in range(0, len(block), _ROWS):
            part = block[top : top + _ROWS]
            own = np.arange(start + top, start + top + len(part))
            slack = rough.slack[own, None]
            row, column = _where(part >= part.max(axis=1, keepdims=True) - slack)
            far = np.zeros(len(part), np.float32)
            np.maximum.at(far, row, rough.exact(own[row], column))
            part[np.arange(len(part)), own] = -np.inf  # itself first
            row, column = _where(part <= _no_less(part, k) + slack)
            apart = rough.exact(own[row], column)
            apart[own[row] == column] = -1.0
            order = np.lexsort((apart, row))  # stable, so among equals the lower index
            row, column = row[order], column[order]
            place = np.arange(len(row)) - np.searchsorted(row, np.arange(len(part)))[row]
            nearest[own], farthest[own] = column[place < k].reshape(len(part), k), far
    return Neighbours(nearest, farthest)


class _Rough:
    """Squared distances in float32 up to a constant for each row, and how far from the truth they can be.

    With p_i the vectors (for cosine, of length one) minus their mean, divided by the length of the longest, and rounded
    to float32: |p_i - p_j|^2 - |p_i|^2 = |p_j|^2 - 2 p_i.p_j.

    Attributes:
        slack: (N,) float32. If image j is one of the k nearest of i, its rough distance is at most that of the k-th by
            rough distances plus slack_i. u = 2^-24 per rounding: of the coordinates of p_i and p_j, D times in their
            product (whatever its order), and of the sum, twice, for j and for the k-th. On top: twice the rounding of
            a distance to float32, and what :data:`resight.retrieval.distance.ROUNDING` calls zero.
    """

    def __init__(self, vectors: NDArray[np.float32], metric: str) -> None:
        self._vectors, self._metric = vectors, metric
        count, dimensions = vectors.shape
        squares, self._points = np.empty(count), np.empty((count, dimensions), np.float32)
        centre, lengths = np.zeros(dimensions), np.empty(count)
        for part, wide in self._wide():
            squares[part] = 1.0 if metric == "cosine" else np.einsum("nd,nd->n", wide, wide)
            centre += wide.sum(axis=0) / max(count, 1)
        for part, wide in self._wide():
            lengths[part] = np.linalg.norm(wide - centre, axis=1)
        longest = float(lengths.max(initial=0.0)) or 1.0
        for part, wide in self._wide():
            self._points[part] = (wide - centre) / longest
        self._squares = ((lengths / longest) ** 2).astype(np.float32)
        self._zero = 2 * dimensions * ROUNDING * squares  # of squared distances
        error = 2.0**-23 * ((1.05 * dimensions + 8) * lengths / longest + 4)
        self.slack = (2 * error + 2.0**-19 + self._zero / longest**2).astype(np.float32)

    def _wide(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        for start in range(0, len(self._vectors), _CHUNK):
            wide = self._vectors[start : start + _CHUNK].astype(np.float64)
            if self._metric == "cosine":
                wide /= np.linalg.norm(wide, axis=1, keepdims=True)
            yield slice(start, start + len(wide)), wide

    def block(self, start: int, stop: int, buffer: NDArray[np.float32]) -> NDArray[np.float32]:
        """(stop - start, N) rough distances of rows ``start`` to ``stop``, in the memory of ``buffer``."""
        out = buffer[: stop - start]
        np.matmul(-2 * self._points[start:stop], self._points.T, out=out)
        out += self._squares
        return out

    def exact(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float32]:
        """(P,) float32 distances of pairs, as :class:`resight.retrieval.distance.Distances` rounds them."""
        found = dissimilarities(self._vectors, one, other, self._metric)
        if self._metric == "cosine":
            found[found <= self._zero[one] / 2] = 0.0
            return found.astype(np.float32)
        found[found <= self._zero[one]] = 0.0
        return np.sqrt(found.astype(np.float32))


def _no_less(part: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """(rows, 1) values that are not below the k-th smallest of each row, nor far above it.

    The k-th smallest of the least of each group of columns is one: it has k values up to itself. To select among the
    groups is many times faster than to select among all.
    """
    size = max(min(_GROUP, part.shape[1] // k), 1)
    groups = part.shape[1] // size
    least = part[:, : size * groups].reshape(len(part), size, groups).min(axis=1)
    bound: NDArray[np.float32] = np.partition(least, k - 1, axis=1)[:, k - 1 : k]
    return bound


def _where(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of what is true, row by row; faster than ``numpy.nonzero`` where that is little."""
    row, column = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return row, column


def dissimilarity(distances: NDArray[np.float32], metric: str) -> NDArray[np.float64]:
    """What re-ranking compares: squared Euclidean distances, and cosine distances as they are.

    1 - cos is half the squared distance of the two vectors scaled to length one; the factor cancels in what follows.
    """
    wide = distances.astype(np.float64)
    return wide * wide if metric == "euclidean" else wide


def dissimilarities(
    vectors: NDArray[np.float32], one: NDArray[np.int64], other: NDArray[np.int64], metric: str
) -> NDArray[np.float64]:
    """The dissimilarity of single pairs, in float64 throughout.

    Args:
        vectors: (N, D).
        one, other: (P,) indices of the pairs' images.
        metric: "euclidean" or "cosine".

    Returns:
        (P,) |a - b|^2 or 1 - cos(a, b), as of :func:`dissimilarity`.
    """
    out = np.empty(len(one))
    step = max(_TOGETHER // vectors.shape[1], 1)
    for start in range(0, len(one), step):
        part = slice(start, start + step)
        a, b = vectors[one[part]].astype(np.float64), vectors[other[part]].astype(np.float64)
        if metric == "euclidean":
            a -= b
            out[part] = np.einsum("pd,pd->p", a, a)
        else:
            lengths = np.sqrt(np.einsum("pd,pd->p", a, a) * np.einsum("pd,pd->p", b, b))
            out[part] = 1.0 - np.einsum("pd,pd->p", a, b) / lengths
    return out
