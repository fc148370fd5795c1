"""Genuine and impostor pairs of a query set and a gallery, streamed: what every decision is learned from.

Shape letters: ``Q`` queries, ``G`` gallery, ``M`` genuine pairs, ``S`` steps of distance.

A pair is a query with an identity and a gallery image that is valid for it under a protocol. It is genuine if both show
one identity and an impostor pair if not (a distractor matches no image, so its pairs are impostors). Genuine pairs are
few and kept one by one. Impostor pairs are many, 66 million on Market-1501's test, and are counted in steps of
distance: a step is all float32 numbers that agree in their exponent and the upper 11 bits of their fraction, so that
there are 2,048 steps for each doubling of the distance. The bits of non-negative floats sort as the floats do, so the
522,240 steps hold every distance there is, in 4 MB and without knowing the range beforehand. Thresholds are only
ends of steps: a step is at most 0.05% of the distance wide, and the counts up to its end are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from resight.records import DISTRACTOR, Embeddings
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rank import MEMORY, Stream

_SHIFT = 12
STEPS = 0x7F800000 >> _SHIFT  # the bits of infinity, the distance of invalid pairs
_PIECE = 2**22  # distances processed together


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of Q queries and G gallery images under a protocol.

    Attributes:
        genuine: (M,) float32 distances of the genuine pairs.
        genuine_query, genuine_gallery: (M,) int64, which query and which gallery image each of them is.
        impostors: (S,) int64, how many impostor pairs are in each step of distance.
        nearest_match, nearest_other: (Q,) float32 distance from each query to its nearest true match and to the nearest
            valid image of anybody else; infinity where there is none.
        match_first: (Q,) bool, whether a true match is the very first in the query's ranked list.
        asked: (Q,) bool, which queries have an identity; the others make no pairs.
        copies: 2 where queries and gallery are the same images, so that each pair is counted from both sides.
    """

    genuine: NDArray[np.float32]
    genuine_query: NDArray[np.int64]
    genuine_gallery: NDArray[np.int64]
    impostors: NDArray[np.int64]
    nearest_match: NDArray[np.float32]
    nearest_other: NDArray[np.float32]
    match_first: NDArray[np.bool_]
    asked: NDArray[np.bool_]
    copies: int = 1

    @property
    def different_genuine(self) -> int:
        """How many genuine pairs there are, each counted once."""
        return len(self.genuine) // self.copies

    @property
    def different_impostors(self) -> int:
        """How many impostor pairs there are, each counted once."""
        return int(self.impostors.sum()) // self.copies

    @property
    def has_match(self) -> NDArray[np.bool_]:
        """(Q,) bool, which queries have a true match in the gallery."""
        return np.isfinite(self.nearest_match)


def step_of(distances: ArrayLike) -> NDArray[np.int64]:
    """The step of each of (N,) distances, from 0."""
    bits = np.ascontiguousarray(distances, dtype=np.float32).view(np.uint32)
    return (bits >> _SHIFT).astype(np.int64)


def end_of(steps: ArrayLike) -> NDArray[np.float32]:
    """The largest distance of each of (N,) steps."""
    bits = ((np.atleast_1d(np.asarray(steps, np.int64)) + 1) << _SHIFT) - 1
    return bits.astype(np.uint32).view(np.float32)


def middle_of(steps: ArrayLike) -> NDArray[np.float64]:
    """The distance in the middle of each of (N,) steps."""
    bits = (np.atleast_1d(np.asarray(steps, np.int64)) << _SHIFT) + (1 << (_SHIFT - 1))
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def to_end_of_step(distance: float) -> float:
    """The end of the step that holds a distance: the nearest threshold that is not below it."""
    return float(end_of(step_of([distance]))[0])


def collect(
    query: Embeddings, gallery: Embeddings, protocol: Protocol, metric: str, memory: int = MEMORY, copies: int = 1
) -> Pairs:
    """Every pair of the query set and the gallery, in one pass over blocks of distances.

    Args:
        query, gallery: embeddings with identities and whatever else the protocol needs.
        protocol: which gallery images are valid and which of them match.
        metric: "euclidean" or "cosine".
        memory: bytes for a block of distances; about 50 MB and O(Q + M) come on top.
        copies: 2 where both sets are the same images.

    Raises:
        DataError: as for :func:`resight.retrieval.ranking.rank.ranks_of_matches`.
    """
    stream = Stream(query, gallery, metric, protocol, memory)
    assert query.identities is not None
    asked = query.identities > DISTRACTOR
    nearest = {side: np.full(len(query), np.inf, np.float32) for side in ("match", "other")}
    where = {side: np.full(len(query), -1, np.int64) for side in ("match", "other")}
    impostors = np.zeros(STEPS + 1, np.int64)  # and, last, the pairs that do not count
    distances, owners, images = [np.empty(0, np.float32)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for rows in stream.blocks():
        for start, block in stream.chunks(rows):
            for q, row, matches in _take_out_matches(stream, rows, start, block, asked):
                found = row[matches - start]
                row[matches - start] = np.inf
                distances.append(found)
                owners.append(np.full(len(matches), q))
                images.append(matches)
                first = int(found.argmin())
                if found[first] < nearest["match"][q]:
                    nearest["match"][q], where["match"][q] = found[first], matches[first]
            other = block.argmin(axis=1)
            far = block[np.arange(len(block)), other]
            nearer = np.flatnonzero(far < nearest["other"][rows])
            nearest["other"][rows.start + nearer] = far[nearer]
            where["other"][rows.start + nearer] = other[nearer] + start
            flat = block.reshape(-1)
            for piece in range(0, flat.size, _PIECE):
                bits = flat[piece : piece + _PIECE].view(np.uint32) >> _SHIFT
                np.add.at(impostors, bits, 1)
    tie = (nearest["match"] == nearest["other"]) & np.isfinite(nearest["match"])
    return Pairs(
        np.concatenate(distances),
        np.concatenate(owners).astype(np.int64),
        np.concatenate(images),
        impostors[:STEPS],
        nearest["match"],
        nearest["other"],
        (nearest["match"] < nearest["other"]) | (tie & (where["match"] < where["other"])),
        asked,
        copies,
    )


def near_impostors(
    query: Embeddings, gallery: Embeddings, protocol: Protocol, metric: str, limit: float, memory: int = MEMORY
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """(queries, gallery images, distances), each (n,), of all impostor pairs at most ``limit`` apart, piece by piece.

    Arguments as for :func:`collect`.
    """
    stream = Stream(query, gallery, metric, protocol, memory)
    assert query.identities is not None
    asked = query.identities > DISTRACTOR
    for rows in stream.blocks():
        for start, block in stream.chunks(rows):
            for _, row, matches in _take_out_matches(stream, rows, start, block, asked):
                row[matches - start] = np.inf
            height = max(1, _PIECE // block.shape[1])
            for top in range(0, len(block), height):
                piece = block[top : top + height]
                q, g = np.nonzero(piece <= np.float32(limit))
                if len(q):
                    yield q + rows.start + top, g + start, piece[q, g]


def _take_out_matches(
    stream: Stream, rows: slice, start: int, block: NDArray[np.float32], asked: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.int64]]]:
    """(query, its row, its matches in this block) of each query that has some; the rows of queries without an identity
    become infinite."""
    for q, row in zip(range(rows.start, rows.stop), block, strict=True):
        if not asked[q]:
            row[:] = np.inf
            continue
        matches = stream.valid.matches.of(q)
        matches = matches[(matches >= start) & (matches < start + len(row))]
        if len(matches):
            yield q, row, matches
