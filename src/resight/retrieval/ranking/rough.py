"""Distances in two steps: all of them roughly in float32, and single ones exactly where rough is not enough.

Shape letters: ``Q`` queries, ``G`` gallery, ``D`` embedding, ``P`` pairs.

Float64 products of all pairs would take twice the time of float32 ones, and nearly all pairs do not need them: what
is ranked far before or far behind an image is so by rough distances as well. So float32 distances come first, with a
bound on their error that holds in any order of summation, and float64 decides between the few that are closer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from resight.retrieval.ranking.distance import ROUNDING, TOGETHER, Distances
from resight.retrieval.ranking.threads import THREADS, one_blas_thread, spread
from resight.retrieval.ranking.validity import Lists

_WIDTH, _HEIGHT = 2**15, 2**9  # gallery images and queries at a time: more would not be faster
_PAIRS = 2**16  # coordinates of pairs in float64 at a time, so that they stay near the processor
_LEAST = 2**14  # bytes for a block of distances
_SAMPLE = 4096  # images to take a centre from
_ROUNDED = 2.0**-21  # by how much of it a squared distance may be off that was rounded to float32 on the way

Floats = NDArray[np.float32]
Multiply = Callable[[Floats, Floats], None]


class Block(NamedTuple):
    """Rough distances of some queries to some gallery images.

    Attributes:
        rows: the queries.
        images: (columns,) int64 ascending, the gallery images.
        products: (rows, columns), -2 p_i.p_j as of :class:`Rough`, the caller's to change.
        squares: (columns,), |p_j|^2, to be added to each row; not done yet, so that a reader of
            one row after the other can do it while the row is in the cache.
    """

    rows: slice
    images: NDArray[np.int64]
    products: Floats
    squares: Floats

    def hide(self, lists: Lists) -> None:
        """Set the distances of the images in ``lists`` to infinity."""
        owner, wanted = lists.rows(self.rows)
        at = np.searchsorted(self.images, wanted)
        here = self.images[np.minimum(at, len(self.images) - 1)] == wanted
        self.products[owner[here], at[here]] = np.inf


class Products(Protocol):
    """A way to compute matrix products in place of numpy."""

    def error(self, dimensions: int, lengths: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
        """(Q,) by how much -2 p_i.p_j may be off on top of what float32 does, from (Q,) |p_i| and the longest |p_j|."""

    def multiplier(self, points: Floats) -> Multiply:
        """A function that writes the products of its first argument with ``points`` into its second."""


class Rough:
    """Rough squared distances of two sets of vectors up to a constant for each query, and how far off they can be.

    With x the vectors (for cosine, of length one), c somewhere in their middle and L a power of two that no |x - c|
    exceeds, p = (x - c) / L in float32. The rough distance of query i and gallery image j is

        |p_j|^2 - 2 p_i.p_j,    in truth |x_i - x_j|^2 / L^2 - |x_i - c|^2 / L^2.

    Args:
        query: (Q, D) floats, finite.
        gallery: (G, D) floats, finite, G at least 1.
        metric: "euclidean" or "cosine".
        products: computes them; None for numpy's library on the processor.

    Attributes:
        shape, dimensions: (Q, G) and D.
        squares: (G,) float32, |p_j|^2.
        error_of_finer: (Q,) float64 and a share of the distance, by which those of :meth:`finer` are off at most.
        error: (Q,) float64, the most by which rough distances of each query are off. u = 2^-24 per rounding: D times in
            a product (whatever its order), of |p_j|^2 and of the sum; of the coordinates of p_i and p_j, for cosine
            also of those of x; on top, what :data:`resight.retrieval.ranking.distance.ROUNDING` calls zero.

    Raises:
        DataError: vectors the metric cannot compare, see :class:`resight.retrieval.ranking.distance.Distances`.
    """

    def __init__(self, query: Floats, gallery: Floats, metric: str, products: Products | None = None) -> None:
        plain = Distances(query, gallery, metric)  # refuses what cannot be compared
        self.shape, self.dimensions = plain.shape, query.shape[1]
        self._query, self._gallery, self._power = plain.query, plain.gallery, plain.power
        self._metric, self._products = metric, products
        self._step = max(TOGETHER // self.dimensions, 1)
        self._scales = tuple(None if metric == "euclidean" else s**-0.5 for s in plain.squares)
        sample = slice(0, None, -(-len(gallery) // _SAMPLE))
        self._centre = np.zeros(self.dimensions, np.float32)
        self._centre = self._points(1, sample).mean(axis=0)
        self._squares = tuple(self._squared(side) for side in (0, 1))
        longest = [float(s.max(initial=0.0)) ** 0.5 for s in self._squares]
        self._shrink = 2.0 ** -float(np.frexp(max(longest))[1])
        self.squares = (self._squares[1] * self._shrink**2).astype(np.float32)
        lengths = np.sqrt(self._squares[0]) * self._shrink
        coordinates = 8 * (self._shrink if metric == "cosine" else 0.0)
        zero = 1.0 if metric == "cosine" else plain.squares[0]
        self._zero = np.broadcast_to(2 * self.dimensions * ROUNDING * zero, len(query))  # of squared distances
        sums = (1.01 * self.dimensions + 8) * lengths * longest[1] * self._shrink
        self.error = 2.0**-23 * (sums + 4 + coordinates)
        zero = self._zero * self._shrink**2
        scaled = 2.0**-20 * self._shrink**2 if metric == "cosine" else 0.0
        self.error_of_finer = scaled + zero, 2.0**-23 * (self.dimensions + 4)
        if products:
            self.error += products.error(self.dimensions, lengths, longest[1] * self._shrink)
        self.error += zero

    def points(self, images: slice | NDArray[np.int64]) -> Floats:
        """(images, D) p_j of some gallery images, the caller's to change."""
        points = self._points(1, images)
        points *= np.float32(self._shrink)
        return points

    def multiplier(self, points: Floats) -> Multiply:
        """A function that writes the products of its first argument (rows, D) with ``points`` into its second."""
        return self._products.multiplier(points) if self._products else partial(_multiply, points)

    def _points(self, side: int, rows: slice | NDArray[np.int64]) -> Floats:
        """x - c of some queries (side 0) or gallery images (1)."""
        vectors, scales = (self._query, self._gallery)[side], self._scales[side]
        if scales is None:
            plain: Floats = np.subtract(vectors[rows], self._centre, dtype=np.float32)
            return plain
        points: Floats = vectors[rows] * scales[rows, None].astype(np.float32)
        points -= self._centre
        return points

    def _squared(self, side: int) -> NDArray[np.float64]:
        """|x - c|^2 of all queries or gallery images."""
        out = np.empty(self.shape[side])

        def work(rows: slice) -> None:
            wide = self._points(side, rows).astype(np.float64)
            out[rows] = np.vecdot(wide, wide)

        spread(work, len(out), self._step)
        return out

    def each(self, images: NDArray[np.int64], memory: int, work: Callable[[Block], None]) -> None:
        """Call ``work`` with the rough distances of all queries to some gallery images, block by block.

        All queries to the first images come first. Blocks of the same images are worked on in threads, each of which
        computes and looks through blocks of its own: the library's own threads would have to wait for one another.

        Args:
            images: ascending gallery indices.
            memory: bytes for the blocks and for the copy of the gallery images they are of, half for each; 32 kB for
                each thread at least.
            work: must have done with a block when it returns.
        """
        queries, budget = self.shape[0], max(memory // (2 * THREADS), _LEAST)
        rounds = max(-(-queries // (THREADS * _HEIGHT)), 1)
        height = min(max(-(-queries // (THREADS * rounds)), 1), budget // 4)
        width = max(min(budget // (4 * height), budget * THREADS // (4 * self.dimensions), _WIDTH, len(images)), 1)
        points, shrink = np.empty((width, self.dimensions), np.float32), np.float32(self._shrink)
        buffers = threading.local()

        def copy(some: NDArray[np.int64], at: slice) -> None:
            np.multiply(self._points(1, some[at]), shrink, out=points[at])

        def one(some: NDArray[np.int64], squares: Floats, multiply: Multiply, rows: slice) -> None:
            if not hasattr(buffers, "own"):
                buffers.own = np.empty(height * width, np.float32)
            wanted = self._points(0, rows) * (-2 * shrink)
            products = buffers.own[: len(wanted) * len(some)].reshape(len(wanted), len(some))
            multiply(wanted, products)
            work(Block(rows, some, products, squares))

        for left in range(0, len(images), width):
            some = images[left : left + width]
            spread(partial(copy, some), len(some), self._step)
            squares = self.squares[some]
            there = points[: len(some)]
            multiply = self.multiplier(there)
            with one_blas_thread():
                spread(partial(one, some, squares, multiply), queries, height)

    def window(self, queries: NDArray[np.int64], distances: Floats) -> tuple[Floats, Floats]:
        """Between which rough distances everything lies that may be as far from its query as ``distances`` (P,).

        Returns:
            (P,) low and high: what is below ``low`` is nearer, what is above ``high`` is farther.
        """
        squares = self.squared(distances)
        return self.around(queries, squares, _ROUNDED * squares)

    def squared(self, distances: Floats) -> NDArray[np.float64]:
        """The squares of distances (P,), as large as those of the p."""
        wide = np.ldexp(distances.astype(np.float64), self._power)
        squares: NDArray[np.float64] = (2 * wide if self._metric == "cosine" else wide**2) * self._shrink**2
        return squares

    def around(
        self, queries: NDArray[np.int64], squares: NDArray[np.float64], rounded: NDArray[np.float64]
    ) -> tuple[Floats, Floats]:
        """Between which rough distances everything lies whose :meth:`squared` are within ``rounded`` of ``squares``.

        Args:
            queries: (P,).
            squares, rounded: (P,).
        """
        middle = squares - self._squares[0][queries] * self._shrink**2
        slack = self.error[queries] + rounded
        below, above = (middle - slack).astype(np.float32), (middle + slack).astype(np.float32)
        return np.nextafter(below, np.float32(-np.inf)), np.nextafter(above, np.float32(np.inf))

    def finer(self, queries: NDArray[np.int64], images: NDArray[np.int64]) -> Floats:
        """(P,) |p_i - p_j|^2 of pairs in float32, from differences, so that nothing is lost of what is near."""
        out = np.empty(len(queries), np.float32)
        step = max(_PAIRS // self.dimensions, 1)

        def work(part: slice) -> None:
            shape = (min(step, part.stop - part.start), self.dimensions)
            one, other = np.empty(shape, self._query.dtype), np.empty(shape, self._gallery.dtype)
            for start in range(part.start, part.stop, step):
                some = slice(start, min(start + step, part.stop))
                left, right = one[: some.stop - some.start], other[: some.stop - some.start]
                for out_of, scales, wanted, points in (
                    (self._query, self._scales[0], queries[some], left),
                    (self._gallery, self._scales[1], images[some], right),
                ):
                    out_of.take(wanted, axis=0, out=points, mode="clip")
                    if scales is not None:
                        points *= scales[wanted, None]
                left -= right
                np.vecdot(left, left, out=out[some])

        spread(work, len(out), max(-(-len(out) // THREADS), 1))
        out *= np.float32(self._shrink**2)
        return out

    def exact(self, queries: NDArray[np.int64], images: NDArray[np.int64]) -> Floats:
        """(P,) float32 distances of pairs, as :class:`resight.retrieval.ranking.distance.Distances` rounds them."""
        found = dissimilarities(self._query, self._gallery, queries, images, self._metric)
        if self._metric == "cosine":
            found[found <= self._zero[queries] / 2] = 0.0
            return found.astype(np.float32)
        found[found <= self._zero[queries]] = 0.0
        distances: Floats = np.ldexp(np.sqrt(found.astype(np.float32)), -self._power)
        return distances


def _multiply(points: Floats, wanted: Floats, out: Floats) -> None:
    np.matmul(wanted, points.T, out=out)


def dissimilarity(distances: Floats, metric: str) -> NDArray[np.float64]:
    """What re-ranking compares: squared Euclidean distances, and cosine distances as they are.

    1 - cos is half the squared distance of the two vectors scaled to length one; the factor cancels in what follows.
    """
    wide = distances.astype(np.float64)
    return wide * wide if metric == "euclidean" else wide


def dissimilarities(
    one: Floats, other: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64], metric: str
) -> NDArray[np.float64]:
    """The dissimilarity of single pairs, in float64 throughout.

    Args:
        one, other: (Q, D) and (G, D).
        rows, columns: (P,) indices of the pairs' vectors in ``one`` and in ``other``.
        metric: "euclidean" or "cosine".

    Returns:
        (P,) |a - b|^2 or 1 - cos(a, b), as of :func:`dissimilarity`.
    """
    out = np.empty(len(rows))
    step = max(_PAIRS // one.shape[1], 1)

    def work(part: slice) -> None:
        # Memory that is new each time would cost several times the arithmetic.
        shape = (min(step, part.stop - part.start), one.shape[1])
        narrow, a = np.empty(shape, one.dtype), np.empty(shape)
        b = np.empty(shape) if metric == "cosine" else None
        for start in range(part.start, part.stop, step):
            some = slice(start, min(start + step, part.stop))
            count = some.stop - some.start
            wide, small = a[:count], narrow[:count]
            wide[:] = one.take(rows[some], axis=0, out=small, mode="clip")
            other.take(columns[some], axis=0, out=small, mode="clip")
            if b is None:
                wide -= small
                np.vecdot(wide, wide, out=out[some])
            else:
                right = b[:count]
                right[:] = small
                out[some] = 1.0 - np.vecdot(wide, right) / np.sqrt(np.vecdot(wide, wide) * np.vecdot(right, right))

    spread(work, len(out), -(-len(out) // THREADS) if len(out) > step * THREADS else max(len(out), 1))
    return out
