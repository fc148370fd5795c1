"""The nearest and the farthest of each image among all of one set, from half of the products.

The distance of i and j is that of j and i. So each product is computed once and looked at twice: by rows for i, by
columns for j. What may be among the nearest of an image is kept by its rough distance
(:mod:`resight.retrieval.ranking.tiles`), at most some dozens for each image; which of them are nearer is decided by
rough distances where these are far enough apart, else by finer ones, and in the end by exact ones.

Shape letters: ``N`` images, ``D`` embedding, ``K`` neighbours, ``P`` pairs, ``T`` rows of a tile, ``W`` columns, ``S``
places.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from resight.pools import Lock
from resight.retrieval.ranking.nearest import ROUNDED, no_less, where
from resight.retrieval.ranking.rough import Floats, Rough
from resight.retrieval.ranking.threads import THREADS, one_blas_thread, spread
from resight.retrieval.ranking.tiles import Codes, Float32, TiledProducts, Tiles

_STRIP, _TILE, _WIDTH = 2048, 512, 1024  # images of a block, rows and columns of a product
_SAMPLE = 1024  # images that tell in advance how near the nearest are at least, where there are many more
_CROWD = 3.0  # images at most as near as one of them, for all that faster tiles tell, or they are not worth it
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
        tiled: makes faster tiles, to be used where there are many images and they tell neighbours apart.

    Attributes:
        nearest: (N, k) int64, in the order of :mod:`resight.retrieval.ranking.nearest`.
        farthest: (N,) float32.
    """

    def __init__(self, rough: Rough, k: int, memory: int, tiled: TiledProducts | None = None) -> None:
        count = rough.shape[0]
        self._rough, self._k = rough, k
        size = max(min(_STRIP, memory // (4 * THREADS * (rough.dimensions + _TILE))), 16)
        self._blocks = [slice(start, min(start + size, count)) for start in range(0, count, size)]
        many = count > 4 * _SAMPLE
        faster = tiled.tiles(rough) if tiled and many else None
        with one_blas_thread():
            self._begin(faster or Float32(rough))
            if many and self._foresee() > _CROWD and faster:
                faster = None
                self._begin(Float32(rough))
                self._foresee()
            self._all()
        if faster:
            self._refine()
        self.nearest = self._ordered()

    def _begin(self, tiles: Tiles) -> None:
        """Nothing is known yet; ``tiles`` are to tell."""
        count = self._rough.shape[0]
        self._tiles = tiles
        self._judge_by(tiles.error, tiles.relative)
        self._keys = np.full((count, 2 * self._k + _SPARE), _NONE)  # ascending: rough distances and what is so far away
        self._bound = np.full(count, np.inf, np.float32)  # what is farther is not among the nearest
        self._largest = np.zeros(count, np.float32)  # of the rough distances so far
        self.farthest = np.zeros(count, np.float32)

    def _judge_by(self, error: NDArray[np.float64], relative: float) -> None:
        """Rough distances are off by ``error`` (N,) and by ``relative`` of what they are."""
        self._slack = (2 * error + ROUNDED).astype(np.float32)
        self._factor = np.float32((1 + relative) / (1 - relative) + 2.0**-22)

    def _reach(self, distances: Floats, owners: Indices | slice) -> Floats:
        """Up to which rough distance something may be nearer than what is at ``distances`` (owners,) or (owners, S)."""
        slack = self._slack[owners]
        return distances * self._factor + (slack if distances.ndim == 1 else slack[:, None])

    def _values(self, codes: Codes) -> Floats:
        """The rough distances of codes."""
        found: Floats = (np.maximum(codes, 0).astype(np.int32) << self._tiles.shift).view(np.float32)
        return found

    def _codes(self, distances: Floats) -> Codes:
        """The greatest codes that are not above rough distances."""
        return (np.maximum(distances, 0).view(np.int32) >> self._tiles.shift).astype(self._tiles.kind)

    def _foresee(self) -> float:
        """Bounds from some of the images.

        Returns:
            How many of all images, on average, are for all that rough distances tell as near as one that is.
        """
        count = self._rough.shape[0]
        sample = np.arange(0, count, -(-count // _SAMPLE))
        few, crowd = max(self._k * len(sample) // count, 1), np.empty(count)

        def work(some: slice) -> None:
            for block in self._blocks[some]:
                for part, _, codes in self._tiles.between(block, sample, _TILE, len(sample)):
                    rows = _moved(part, block)
                    self._largest[rows] = self._values(codes.max(axis=1))
                    reach = self._reach(self._values(no_less(codes, few)[:, 0]), rows)
                    crowd[rows] = np.count_nonzero(codes <= self._codes(reach)[:, None], axis=1)
                    if 0 < self._k < len(sample):  # the image itself may be among them
                        self._bound[rows] = self._reach(self._values(no_less(codes, self._k + 1)[:, 0]), rows)

        spread(work, len(self._blocks), 1)
        return float(crowd.mean()) / few

    def _all(self) -> None:
        """All images with each other: each block with itself and with those behind it."""
        blocks, locks = self._blocks, [Lock() for _ in self._blocks]
        pairs = [(i, j) for i in range(len(blocks)) for j in range(i, len(blocks))]

        def work(some: slice) -> None:
            for i, j in pairs[some]:
                by_row, by_column = [], []
                for left, right, codes in self._tiles.between(blocks[i], blocks[j], _TILE, _WIDTH):
                    rows, columns = _moved(left, blocks[i]), _moved(right, blocks[j])
                    self._see_farthest(codes, rows, columns, 1, locks[i])
                    if i != j:
                        self._see_farthest(codes, columns, rows, 0, locks[j])
                    if not self._k:
                        continue
                    if i != j:
                        row, column, near = self._see_nearest(codes, self._bound[columns], 0)
                        by_column.append((column + right.start, _keys(near, row + rows.start)))
                    else:  # no image is its own neighbour
                        own = np.arange(max(left.start, right.start), min(left.stop, right.stop))
                        codes[own - left.start, own - right.start] = np.iinfo(codes.dtype).max
                    row, column, near = self._see_nearest(codes, self._bound[rows], 1)
                    by_row.append((row + left.start, _keys(near, column + columns.start)))
                with locks[i]:
                    self._add(blocks[i], by_row)
                with locks[j]:
                    self._add(blocks[j], by_column)

        spread(work, len(pairs), 1)

    def _see_nearest(self, codes: Codes, bound: Floats, axis: int) -> tuple[Indices, Indices, Floats]:
        """Rows, columns and rough distances of what is within the bounds in a tile; ``axis`` 1 if they are of rows."""
        row, column = where(codes <= np.expand_dims(self._codes(bound), axis))
        return row, column, self._values(codes[row, column])

    def _see_farthest(self, codes: Codes, owners: slice, images: slice, axis: int, lock: Lock) -> None:
        """The exact distance of what may be the farthest in a tile; ``axis`` 1 if its rows are the owners', else 0."""
        here = codes.max(axis=axis)
        self._largest[owners] = most = np.maximum(self._largest[owners], self._values(here))
        least = self._codes((most - self._slack[owners]) / self._factor)
        some = np.flatnonzero(here >= least)
        found = where(codes.take(some, axis=1 - axis) >= np.expand_dims(least[some], axis))
        who = some[found[1 - axis]] + owners.start
        apart = self._rough.exact(who, found[axis] + images.start)
        with lock:
            np.maximum.at(self.farthest, who, apart)

    def _add(self, block: slice, found: list[tuple[Indices, Indices]]) -> None:
        """Keep the keys of images that may be among the nearest of others, which are counted from the block's first."""
        if not found:
            return
        owners, keys = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.argsort(owners.astype(np.uint16), kind="stable")
        owners, keys = owners[order] + block.start, keys[order]
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
            self._bound[who] = np.minimum(self._bound[who], self._reach(_distances(kept[:, self._k - 1]), who))

    def _shortened(self, owners: Indices, keys: Indices) -> Indices:
        """(owners, S) the least keys of each row, ascending, among which are those of the nearest."""
        keys.sort(axis=1)
        size = self._keys.shape[1]
        kept = keys[:, :size]
        limit = self._reach(_distances(keys[:, self._k - 1]), owners)
        over = _distances(keys[:, size])
        for at in np.flatnonzero((over <= limit) & (over < np.inf)):  # more are equally near than there are places
            near = keys[at, _distances(keys[at]) <= limit[at]]
            images = near & 0xFFFFFFFF
            apart = self._rough.exact(np.full(len(near), owners[at]), images)
            kept[at] = _NONE
            kept[at, : self._k] = np.sort(near[np.lexsort((images, apart))[: self._k]])
        return kept

    def _refine(self) -> None:
        """Keep what may be among the nearest by finer distances."""
        distances = _distances(self._keys)
        limit = self._reach(distances[:, max(self._k - 1, 0)], slice(None))
        kept = (distances <= limit[:, None]) & (distances < np.inf)
        owners, places = np.nonzero(kept)
        images = self._keys[owners, places] & 0xFFFFFFFF
        self._keys[~kept] = _NONE
        self._keys[owners, places] = _keys(self._rough.finer(owners, images), images)
        self._keys.sort(axis=1)
        self._judge_by(*self._rough.error_of_finer)

    def _ordered(self) -> Indices:
        """(N, k) the nearest, by exact distances where rough ones are too near to each other."""
        images, k = self._keys & 0xFFFFFFFF, self._k
        distances = _distances(self._keys)
        close = (distances[:, 1:] <= self._reach(distances[:, :-1], slice(None))) & (distances[:, 1:] < np.inf)
        which = np.flatnonzero(close[:, :k].any(axis=1))
        some, close = images[which], close[which]
        beside = np.pad(close, ((0, 0), (1, 0))) | np.pad(close, ((0, 0), (0, 1)))
        group = np.cumsum(np.pad(~close, ((0, 0), (1, 0))), axis=1)  # those of one may be in any order
        row, place = np.nonzero(beside & (group <= group[:, [max(k - 1, 0)]]))
        apart = np.zeros(some.shape, np.float32)
        apart[row, place] = self._rough.exact(which[row], some[row, place])
        images[which] = np.take_along_axis(some, np.lexsort((some, apart, group), axis=1), axis=1)
        return np.ascontiguousarray(images[:, :k])


def _moved(part: slice, block: slice) -> slice:
    """Part of a block, counted from the first image."""
    return slice(part.start + block.start, part.stop + block.start)


def _keys(distances: Floats, images: Indices) -> Indices:
    """(P,) whole numbers that sort by rough distance, which is not below zero, then by image."""
    bits: Indices = distances.view(np.int32).astype(np.int64)
    return (bits << 32) | images


def _distances(keys: Indices) -> Floats:
    """The rough distances in keys of any shape."""
    found: Floats = (keys >> 32).astype(np.int32).view(np.float32)
    return found
