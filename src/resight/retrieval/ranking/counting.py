"""How many gallery images come before each true match, without a sort and without the Q x G matrix.

The wrong answers before a match are counted by rough distances; only those about as near as the match itself, for all
that the rounding of float32 tells, are looked at in float64. The matches of a query are few and sorted exactly.

Shape letters: ``Q`` queries, ``G`` gallery, ``D`` embedding, ``M`` true matches of all queries, ``m`` of one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from resight.retrieval.ranking.rough import Block, Floats
from resight.retrieval.ranking.validity import Validity

_WORTH = 5 * 10**8  # pairs of a query and an image from which on what numba saves is more than loading it takes, once
# To count the images before one match takes as long as to pick and sort one in _SPARSE / _MATCHES of them. The images
# before the last of many matches are worth sorting even where they are more: then all are counted at once.
_SPARSE, _MATCHES = 320, 16

Indices = NDArray[np.int64]


@cache
def kernel() -> Callable[..., int] | None:
    """:func:`resight.retrieval.ranking.kernel.count`, or None where numba is not installed: it is an extra."""
    try:
        from resight.retrieval.ranking.kernel import count
    except ImportError:
        return None
    return count


class TwoSteps(Protocol):
    """Distances of Q queries to G images, roughly and exactly, as of :class:`resight.retrieval.ranking.rough.Rough`."""

    @property
    def shape(self) -> tuple[int, int]:
        """(Q, G)."""

    def each(self, images: Indices, memory: int, work: Callable[[Block], None]) -> None:
        """Call ``work`` with the rough distances of all queries to some gallery images, block by block."""

    def window(self, queries: Indices, distances: Floats) -> tuple[Floats, Floats]:
        """Between which rough distances everything lies that may be as far from its query as ``distances`` (P,)."""

    def exact(self, queries: Indices, images: Indices) -> Floats:
        """(P,) float32 distances of pairs."""


class Counter:
    """The ranks of the true matches of Q queries.

    Args:
        rough: the distances of the queries to the gallery.
        valid: which gallery images count for which query, and which of them match.
        memory: bytes for a block of distances and a copy of the gallery images it is of.
    """

    def __init__(self, rough: TwoSteps, valid: Validity, memory: int) -> None:
        self._rough, self._valid = rough, valid
        self._owner, self._offsets = valid.matches.owners(), valid.matches.offsets
        distances = rough.exact(self._owner, valid.matches.images)
        # by query, distance and image: the bits of floats that are not negative sort as the floats do; images ascend
        order = np.argsort((self._owner << 32) | distances.view(np.int32), kind="stable")
        self._image, self._distance = valid.matches.images[order], distances[order]
        self._low, self._high = rough.window(self._owner, self._distance)
        self._before = np.arange(len(order)) - self._offsets[self._owner]  # the matches before it, for a start
        self._memory = memory

    def ranks(self) -> Indices:
        """(M,) from 1, ascending within each query."""
        self._rough.each(self._valid.kept, self._memory, self._count)
        return self._before + 1

    def _count(self, block: Block) -> None:
        """Count what comes before the matches of the block's queries among its images."""
        block.hide(self._valid.matches)
        block.hide(self._valid.left_out)
        worth = kernel.cache_info().currsize or self._rough.shape[0] * self._rough.shape[1] >= _WORTH
        compiled = kernel() if worth else None
        unsure = self._compiled(block, compiled) if compiled else self._by_rows(block)
        if len(unsure[0]):
            match, image = unsure[0], block.images[unsure[1]]
            apart, limit = self._rough.exact(self._owner[match], image), self._distance[match]
            nearer = (apart < limit) | ((apart == limit) & (image < self._image[match]))
            np.add.at(self._before, match[nearer], 1)

    def _compiled(self, block: Block, compiled: Callable[..., int]) -> tuple[Indices, Indices]:
        """Count what surely comes before the matches of the block's queries; return what may: matches and columns."""
        offsets = self._offsets[block.rows.start : block.rows.stop + 1]
        part, room = slice(offsets[0], offsets[-1]), 4 * int(offsets[-1] - offsets[0]) + 64
        while True:
            matches, columns = np.empty(room, np.int64), np.empty(room, np.int64)
            low, high, before = self._low[part], self._high[part], self._before[part]
            found = compiled(block.products, block.squares, offsets - offsets[0], low, high, before, matches, columns)
            if found <= room:
                return matches[:found] + offsets[0], columns[:found]
            room = found

    def _by_rows(self, block: Block) -> tuple[Indices, Indices]:
        """As :meth:`_compiled`, with numpy."""
        unsure: list[tuple[int, Indices]] = []
        offsets = self._offsets[block.rows.start : block.rows.stop + 1].tolist()
        for row, first, last in zip(block.products, offsets[:-1], offsets[1:], strict=True):
            if last > first:
                row += block.squares
                unsure += self._row(row, first, last)
        if not unsure:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        match = np.repeat([match for match, _ in unsure], [len(near) for _, near in unsure])
        return match, np.concatenate([near for _, near in unsure])

    def _row(self, row: Floats, first: int, last: int) -> list[tuple[int, Indices]]:
        """Count what surely comes before the matches ``first`` to ``last`` of a query; return what may, for each."""
        unsure = []
        for match in range(last - 1, first - 1, -1):
            reached = row <= self._high[match]
            count = int(np.count_nonzero(reached))
            if count * _SPARSE <= len(row) * max(match + 1 - first, _MATCHES):
                break
            sure = np.count_nonzero(row < self._low[match])
            self._before[match] += sure
            if count > sure:
                unsure.append((match, np.flatnonzero(reached & (row >= self._low[match]))))
        else:
            return unsure
        if count:
            matches = slice(first, match + 1)
            near = np.flatnonzero(reached)
            values = row[near]
            ordered = np.sort(values)
            low, high = self._low[matches], self._high[matches]
            nearer, maybe = ordered.searchsorted(low, "left"), ordered.searchsorted(high, "right")
            self._before[matches] += nearer
            for m in np.flatnonzero(maybe > nearer).tolist():
                unsure.append((first + m, near[(values >= low[m]) & (values <= high[m])]))
        return unsure
