"""The nearest and the farthest of each image among all of one set, from half of the products.

The distance of i and j is that of j and i. So each product is computed once and looked at twice: by rows for i, by
columns for j. What may be among the nearest of an image is kept by its rough distance
(:mod:`resight.retrieval.ranking.rough`, here with |p_i|^2 added, so that it is the same both ways), at most some dozens
for each image; which of them are nearer is decided by rough distances where these are far enough apart, else by exact
ones.

Shape letters: ``N`` images, ``D`` embedding, ``K`` neighbours, ``P`` pairs, ``T`` rows of a tile, ``S`` places.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resight.pools import Lock
from resight.retrieval.ranking.nearest import ROUNDED, no_less, where
from resight.retrieval.ranking.rough import Block, Floats, Rough
from resight.retrieval.ranking.threads import THREADS, one_blas_thread, spread

_STRIP, _TILE, _WIDTH = 1024, 256, 1024  # rows that all threads work on, rows and columns of a product
_SAMPLE = 1024  # images that tell in advance how near the nearest are at least, where there are many more
_SPARE = 8  # places for each image besides two for each neighbour
_ROOM = 2**21  # candidates sorted together
_NONE = (0x7F800000 << 32) | 0xFFFFFFFF  # the key of no image, infinitely far

Indices = NDArray[np.int64]


class Symmetric:
    """The ``k`` nearest others of each of N images, and the distance of its farthest.

    Args:
        rough: the distances of the N images to the same.
        k: how many, from 0 to N - 1.
        memory: bytes for blocks of distances and the images they are of.

    Attributes:
        nearest: (N, k) int64, in the order of :mod:`resight.retrieval.ranking.nearest`.
        farthest: (N,) float32.
    """

    def __init__(self, rough: Rough, k: int, memory: int) -> None:
        count = rough.shape[0]
        self._rough, self._k = rough, k
        self._slack = (2 * (rough.error + 2.0**-22) + ROUNDED).astype(np.float32)  # adding |p_i|^2 rounds once more
        self._squares = rough.squares
        self._keys = np.full((count, 2 * k + _SPARE), _NONE)  # ascending: rough distances and what is so far away
        self._bound = np.full(count, np.inf, np.float32)  # what is farther is not among the nearest
        self._largest = np.full(count, -np.inf, np.float32)  # of the rough distances so far
        self.farthest = np.zeros(count, np.float32)
        if count > 4 * _SAMPLE:
            rough.each(np.arange(0, count, -(-count // _SAMPLE)), memory, self._foresee)
        width = min(_WIDTH, memory // (4 * THREADS * (rough.dimensions + _TILE)))
        with one_blas_thread():
            for top in range(0, count, _STRIP):
                self._strip(slice(top, min(top + _STRIP, count)), max(width, 16))
        self.nearest = self._ordered()

    def _foresee(self, block: Block) -> None:
        """Bounds from some of the images."""
        products, rows = block.products, block.rows
        products += block.squares
        products += self._squares[rows, None]
        self._largest[rows] = np.maximum(self._largest[rows], products.max(axis=1))
        if 0 < self._k < products.shape[1]:  # the image itself may be among them
            bound = no_less(products, self._k + 1)[:, 0] + self._slack[rows]
            self._bound[rows] = np.minimum(self._bound[rows], bound)

    def _strip(self, strip: slice, width: int) -> None:
        """The images of ``strip`` with each other and with all that come behind them."""
        points = self._rough.points(strip)
        points *= -2
        tiles = [slice(start, min(start + _TILE, len(points))) for start in range(0, len(points), _TILE)]
        locks = [Lock() for _ in tiles]
        sides = [(strip.start, strip.stop), (strip.stop, self._rough.shape[0])]
        pieces = [slice(at, min(at + width, stop)) for start, stop in sides for at in range(start, stop, width)]

        def work(some: slice) -> None:
            for columns in pieces[some]:
                behind = columns.start >= strip.stop
                multiply = self._rough.multiplier(self._rough.points(columns))
                buffer = np.empty((_TILE, columns.stop - columns.start), np.float32)
                found = []
                for tile, lock in zip(tiles, locks, strict=True):
                    distances = buffer[: tile.stop - tile.start]
                    multiply(points[tile], distances)
                    rows = slice(strip.start + tile.start, strip.start + tile.stop)
                    distances += self._squares[columns]
                    distances += self._squares[rows, None]
                    with lock:
                        self._by_row(distances, rows, columns, alone=not behind)
                    if behind:
                        found.append(self._by_column(distances, rows, columns))
                self._add_columns(found)

        spread(work, len(pieces), 1)

    def _by_row(self, distances: Floats, rows: slice, columns: slice, *, alone: bool) -> None:
        """What a tile (T, columns) tells of its rows; ``alone`` where they may be among its columns."""
        self._farthest_of(distances, rows, columns)
        if not self._k:
            return
        if alone:
            own = np.arange(rows.start, rows.stop)
            own = own[(own >= columns.start) & (own < columns.stop)]
            distances[own - rows.start, own - columns.start] = np.inf
        row, column = where(distances <= self._bound[rows, None])
        self._add(row + rows.start, _keys(distances[row, column], column + columns.start))

    def _by_column(self, distances: Floats, rows: slice, columns: slice) -> tuple[Indices, Indices]:
        """What it tells of its columns: these, and keys of what may be among their nearest."""
        self._farthest_of(distances.T, columns, rows)
        if not self._k:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        row, column = where(distances <= self._bound[columns])
        return column + columns.start, _keys(distances[row, column], row + rows.start)

    def _add_columns(self, found: Sequence[tuple[Indices, Indices]]) -> None:
        if found:
            owners, keys = (np.concatenate(part) for part in zip(*found, strict=True))
            order = np.argsort(owners, kind="stable")
            self._add(owners[order], keys[order])

    def _farthest_of(self, distances: Floats, owners: slice, images: slice) -> None:
        """The exact distance of what may be the farthest in ``distances`` (owners, images)."""
        slack, known, here = self._slack[owners], self._largest[owners], distances.max(axis=1)
        most = np.maximum(here, known)
        some = np.flatnonzero(here >= known - slack)
        row, column = where(distances[some] >= (most - slack)[some, None])
        who = some[row] + owners.start
        np.maximum.at(self.farthest, who, self._rough.exact(who, column + images.start))
        self._largest[owners] = most

    def _add(self, owners: Indices, keys: Indices) -> None:
        """Keep the keys (P,) of images that may be among the nearest of ``owners`` (P,), which ascend."""
        first = np.flatnonzero(np.diff(owners, prepend=-1))
        many = np.diff(first, append=len(owners))
        step = max(_ROOM // (int(many.max(initial=0)) + self._keys.shape[1]), 1)
        for start in range(0, len(first), step):
            counts = many[start : start + step]
            who, begin = owners[first[start : start + step]], first[start]
            width = int(counts.max())
            new = np.full((len(who), width), _NONE)
            new[np.arange(width) < counts[:, None]] = keys[begin : begin + int(counts.sum())]
            kept = self._shortened(who, np.concatenate([self._keys[who], new], axis=1))
            self._keys[who] = kept
            self._bound[who] = np.minimum(self._bound[who], _distances(kept[:, self._k - 1]) + self._slack[who])

    def _shortened(self, owners: Indices, keys: Indices) -> Indices:
        """(owners, S) the least keys of each row, ascending, among which are those of the nearest."""
        keys.sort(axis=1)
        size = self._keys.shape[1]
        kept = keys[:, :size]
        limit = _distances(keys[:, self._k - 1]) + self._slack[owners]
        over = _distances(keys[:, size])
        for at in np.flatnonzero((over <= limit) & (over < np.inf)):  # more are equally near than there are places
            near = keys[at, _distances(keys[at]) <= limit[at]]
            images = near & 0xFFFFFFFF
            apart = self._rough.exact(np.full(len(near), owners[at]), images)
            kept[at] = _NONE
            kept[at, : self._k] = np.sort(near[np.lexsort((images, apart))[: self._k]])
        return kept

    def _ordered(self) -> Indices:
        """(N, k) the nearest, by exact distances where rough ones are too near to each other."""
        images, k = self._keys & 0xFFFFFFFF, self._k
        with np.errstate(invalid="ignore"):  # between two places without an image
            close = np.diff(_distances(self._keys), axis=1) <= self._slack[:, None]
        which = np.flatnonzero(close[:, :k].any(axis=1))
        some, close = images[which], close[which]
        beside = np.pad(close, ((0, 0), (1, 0))) | np.pad(close, ((0, 0), (0, 1)))
        group = np.cumsum(np.pad(~close, ((0, 0), (1, 0))), axis=1)  # those of one may be in any order
        row, place = np.nonzero(beside & (group <= group[:, [max(k - 1, 0)]]))
        apart = np.zeros(some.shape, np.float32)
        apart[row, place] = self._rough.exact(which[row], some[row, place])
        images[which] = np.take_along_axis(some, np.lexsort((some, apart, group), axis=1), axis=1)
        return np.ascontiguousarray(images[:, :k])


def _keys(distances: Floats, images: Indices) -> Indices:
    """(P,) whole numbers that sort by rough distance, then by image."""
    # Adding zero makes a negative zero, whose bits do not sort so, a positive one.
    bits: Indices = (np.maximum(distances, np.float32(0)) + np.float32(0)).view(np.int32).astype(np.int64)
    return (bits << 32) | images


def _distances(keys: Indices) -> Floats:
    """The rough distances in keys of any shape."""
    found: Floats = (keys >> 32).astype(np.int32).view(np.float32)
    return found
