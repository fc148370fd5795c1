"""Average linkage of vectors: groups join while the average distance between them is within a threshold.

The average distance of two groups A and B is the mean of 1 - cos(a, b) over all pairs (a, b) for the cosine metric and
the root of the mean of |a - b|^2 for the Euclidean one. Both follow from sums of vectors, not from the pairs.

Scikit-learn and scipy link by all N^2 distances, which do not fit the memory for the images of a day, or by averages
over the near pairs alone, which chain strangers together. Here only pairs within the threshold are looked at, in
bounded memory, and some may be forbidden.

Shape letters: ``N`` vectors, ``D`` embedding, ``E`` pairs of vectors.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from resight.records import Embeddings
from resight.retrieval.ranking.rank import MEMORY, Stream

_MOST = 2**20  # pairs gathered in one pass over the distances, at 20 bytes and twice as many while they are sorted
_TOGETHER = 2**16  # pairs after which those inside one group are left out

Pairs = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""Distances, first and second vectors, (E,) each."""


class Groups:
    """N vectors in groups that only grow (union-find); each group is named by one of its vectors.

    Args:
        vectors: (N, D).
        metric: "euclidean" or "cosine".
        threshold: the largest average distance of two groups that join.
    """

    def __init__(self, vectors: NDArray[np.float32], metric: str, threshold: float) -> None:
        self.sums = vectors.astype(np.float64)
        self.cosine = metric == "cosine"
        if self.cosine:
            self.sums /= np.linalg.norm(self.sums, axis=1, keepdims=True)
        self.squares = np.einsum("nd,nd->n", self.sums, self.sums)
        self.sizes = np.ones(len(vectors), np.int64)
        self.parent = list(range(len(vectors)))
        limit = threshold if self.cosine else threshold**2
        self.limit = limit + 1e-9 * max(1.0, limit)  # a pair exactly at the threshold counts

    def of(self, vector: int) -> int:
        """The group of a vector."""
        while self.parent[vector] != vector:
            self.parent[vector] = self.parent[self.parent[vector]]
            vector = self.parent[vector]
        return vector

    def all(self) -> NDArray[np.int64]:
        """(N,) the group of each vector."""
        groups = np.array(self.parent, np.int64)
        while not np.array_equal(above := groups[groups], groups):
            groups = above
        self.parent = groups.tolist()
        return groups

    def distance(self, x: int, y: int) -> float:
        """The average distance of two groups; its square for the Euclidean metric."""
        product = float(self.sums[x] @ self.sums[y]) / float(self.sizes[x] * self.sizes[y])
        if self.cosine:
            return 1 - product
        return float(self.squares[x] / self.sizes[x] + self.squares[y] / self.sizes[y] - 2 * product)

    def join(self, x: int, y: int) -> int:
        """Make one group of two, named by the first."""
        self.parent[y] = x
        self.sums[x] += self.sums[y]
        self.squares[x] += self.squares[y]
        self.sizes[x] += self.sizes[y]
        return x


def link(embeddings: Embeddings, threshold: float, metric: str, memory: int = MEMORY) -> NDArray[np.int64]:
    """The group of each of N images, (N,) int64, each named by one of its images.

    The pairs within the threshold ask for their two groups to join, the nearest pair first and equal ones in the order
    of their images; the groups join if their average distance is within the threshold too. Unlike
    :class:`Constrained` this does not look for the nearest groups again after each step, so the time grows with
    the number of pairs.

    Arguments and errors as for :func:`resight.clustering.group.group`.
    """
    groups = Groups(embeddings.vectors, metric, threshold)
    done: tuple[float, int, int] = (-1.0, 0, 0)
    while True:
        (distances, left, right), complete = _nearest_pairs(embeddings, threshold, metric, memory, groups, done)
        for start in range(0, len(left), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            of = groups.all()
            apart = of[left[part]] != of[right[part]]
            for a, b in zip(left[part][apart].tolist(), right[part][apart].tolist(), strict=True):
                x, y = groups.of(a), groups.of(b)
                if x != y and groups.distance(x, y) <= groups.limit:
                    groups.join(*((x, y) if groups.sizes[x] >= groups.sizes[y] else (y, x)))
        if complete:
            return groups.all()
        done = float(distances[-1]), int(left[-1]), int(right[-1])


def _nearest_pairs(
    embeddings: Embeddings,
    threshold: float,
    metric: str,
    memory: int,
    groups: Groups,
    done: tuple[float, int, int],
) -> tuple[Pairs, bool]:
    """The nearest pairs of different groups that come after the pair ``done``, in order, at most ``_MOST`` of them, and
    whether those are all there are.

    Where many images are alike, as of a camera that watches an empty room, nearly all pairs are inside one group after
    the nearest have joined, and are never gathered.
    """
    of = groups.all()
    stream = Stream(embeddings, embeddings, metric, None, memory)
    parts: list[Pairs] = []
    held, farthest, complete = 0, threshold, True
    for q, start, row in stream.rows():
        first = max(q + 1 - start, 0)  # each pair once
        near = first + np.flatnonzero((row[first:] >= done[0]) & (row[first:] <= farthest))
        image = near + start
        later = (of[image] != of[q]) & ((row[near] > done[0]) | (q > done[1]) | ((q == done[1]) & (image > done[2])))
        if later.any():
            image = image[later]
            parts.append((row[near[later]], np.full(len(image), q), image))
            held += len(image)
        if held > 2 * _MOST:
            parts = [_sorted(parts)]
            held, farthest, complete = _MOST, float(parts[0][0][-1]), False
    return _sorted(parts), complete and held <= _MOST


def _sorted(parts: list[Pairs]) -> Pairs:
    """The ``_MOST`` nearest pairs, nearest first, equal ones by their images."""
    if not parts:
        return np.empty(0, np.float32), np.empty(0, np.int64), np.empty(0, np.int64)
    distances, left, right = (np.concatenate(one) for one in zip(*parts, strict=True))
    if len(distances) > _MOST:
        near = distances <= np.partition(distances, _MOST)[_MOST]
        distances, left, right = distances[near], left[near], right[near]
    order = np.lexsort((right, left, distances))[:_MOST]
    return distances[order], left[order], right[order]


class Constrained:
    """Groups of which some must never join (cannot-link constraints), and only near ones may.

    Meant for few vectors, such as tracks: after each step the nearest groups are looked for again.

    Args:
        groups: N vectors, each in a group of its own.
        forbidden: for each vector those that must never be in its group.
    """

    def __init__(self, groups: Groups, forbidden: list[set[int]]) -> None:
        self.groups = groups
        self.apart = forbidden
        self.near: list[set[int]] = [set() for _ in forbidden]

    def allow(self, a: int, b: int) -> None:
        """Two vectors are near, so their groups may join."""
        x, y = self.groups.of(a), self.groups.of(b)
        if x != y:
            self.near[x].add(y)
            self.near[y].add(x)

    def join(self, a: int, b: int) -> int:
        """Make one group of those of two vectors, whatever their distance, named by the earlier of the two."""
        x, y = sorted((self.groups.of(a), self.groups.of(b)))
        self.groups.join(x, y)
        for links in (self.apart, self.near):
            for other in links[y]:
                links[other].discard(y)
                if other != x:
                    links[other].add(x)
                    links[x].add(other)
            links[x].discard(y)
            links[y] = set()
        return x

    def link(self) -> None:
        """Join the nearest two groups as long as any two that may join are within the threshold."""
        version = [0] * len(self.near)
        heap: list[tuple[float, int, int, int, int]] = []

        def consider(x: int, y: int) -> None:
            x, y = min(x, y), max(x, y)
            if y not in self.apart[x] and (apart := self.groups.distance(x, y)) <= self.groups.limit:
                heapq.heappush(heap, (apart, x, y, version[x], version[y]))

        for x, others in enumerate(self.near):
            for y in others:
                if x < y:
                    consider(x, y)
        while heap:
            _, x, y, then_x, then_y = heapq.heappop(heap)
            if version[x] != then_x or version[y] != then_y:
                continue
            joined = self.join(x, y)
            version[x], version[y] = version[x] + 1, version[y] + 1
            for other in self.near[joined]:
                consider(joined, other)
