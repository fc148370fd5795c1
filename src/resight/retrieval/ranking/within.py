"""How many images to return: all within a distance that is chosen on validation people, then kept.

A ranked list never ends; somebody who must be shown *the* images of a person needs a place to stop. Source 002 looks
for "the true split line" in the ordered distances and sets it "a little bit higher", for it "would rather pick the
wrong images than lose any right one". Here that is F-beta with beta above 1, or a recall that is asked for.

Shape letters: ``Q`` queries, ``G`` gallery, ``R`` images returned to all queries, ``M`` true matches of all queries.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.files import atomic_path
from resight.records import Embeddings
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rank import MEMORY, Stream
from resight.retrieval.ranking.validity import Validity

BETA = 1.5
"""How many times recall counts as much as precision, unless somebody says otherwise."""


@dataclass(frozen=True)
class Threshold:
    """A distance to stop at, and what it does on the images it was chosen on.

    Attributes:
        distance: images at most this far are returned.
        precision: share of right ones among all images returned to all queries.
        recall: share of the true matches of all queries that are returned.
        f: F-beta of the two.
        beta: as asked for.
    """

    distance: float
    precision: float
    recall: float
    f: float
    beta: float


@dataclass(frozen=True, eq=False)
class ReturnedSets:
    """What is returned to each query, nearest first.

    Attributes:
        indices: (R,) int64 into the gallery; query q's are ``indices[offsets[q]:offsets[q + 1]]``.
        distances: (R,) float32, ascending within each query.
        offsets: (Q + 1,) int64.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, q: int) -> NDArray[np.int64]:
        """The gallery indices returned to query ``q``, nearest first."""
        return self.indices[self.offsets[q] : self.offsets[q + 1]]


@dataclass(frozen=True)
class ReturnedReport:
    """How good returned sets are; rates are in [0, 1].

    Attributes:
        precision, recall: means over the evaluated queries; the precision of a query that gets nothing is 0.
        pooled_precision, pooled_recall: over all their images together.
        size: images returned per evaluated query, on average.
        empty: how many evaluated queries get nothing.
        queries: how many were given; ``evaluated`` of them have a true match in the gallery, the others count nowhere.
    """

    precision: float
    recall: float
    pooled_precision: float
    pooled_recall: float
    size: float
    empty: int
    queries: int
    evaluated: int

    def numbers(self) -> dict[str, Any]:
        """The report ready for JSON."""
        return asdict(self)


def choose_threshold(
    query: Embeddings,
    gallery: Embeddings,
    protocol: str | Protocol,
    metric: str = "euclidean",
    *,
    beta: float = BETA,
    recall: float | None = None,
    memory: int = MEMORY,
) -> Threshold:
    """The distance to stop at, chosen on people whose identities are known.

    With P and R the precision and recall of the images within a distance, over all queries together, the one that
    maximises F_beta = (1 + beta^2) P R / (beta^2 P + R); among equals the largest. With ``recall`` it is instead the
    smallest distance that reaches it. Only distances of true matches are candidates, since between two of them nothing
    but wrong images is added; the search is exact.

    Args:
        query, gallery: validation embeddings with what the protocol needs; queries without a match do not count.
        protocol: which gallery images are valid and which of them match.
        metric: "euclidean" or "cosine".
        beta: recall counts beta times as much as precision.
        recall: a share of the true matches in (0, 1] to reach, whatever it costs in precision.
        memory: bytes for a block of distances; O(M) comes on top. It changes the speed, never the result.

    Raises:
        DataError: a beta or recall out of range, no true match at all, or as for
            :func:`resight.retrieval.ranking.rank.ranks_of_matches`.
    """
    if not (beta > 0 and np.isfinite(beta)):
        raise DataError(f"beta is {beta}: choose a number above 0, such as {BETA}.")
    if recall is not None and not 0 < recall <= 1:
        raise DataError(f"The recall asked for is {recall}: choose a number above 0 and up to 1.")
    rules = protocols.get(protocol)
    stream = Stream(query, gallery, metric, rules, memory)
    found: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    for q, start, row in _rows(stream):
        matches = stream.valid.matches.of(q) - start
        found.append(row[matches[(matches >= 0) & (matches < len(row))]])
    right = np.sort(np.concatenate(found))
    if not len(right):
        raise DataError(
            f"None of the {len(query):,} validation queries has a true match under protocol {rules.name}, so no "
            "threshold can be chosen: check identities and cameras."
        )
    candidates, counts = np.unique(right, return_counts=True)
    returned = np.zeros(len(candidates), np.int64)
    for q, _, row in _rows(stream):
        if len(stream.valid.matches.of(q)):  # the same queries as in the recall
            near = row[row <= candidates[-1]]
            returned += np.bincount(np.searchsorted(candidates, near, "left"), minlength=len(returned))
    hits = np.cumsum(counts)
    precision, reached = hits / np.cumsum(returned), hits / len(right)
    f = (1 + beta**2) * precision * reached / (beta**2 * precision + reached)
    if recall is None:
        best = int(np.flatnonzero(f >= f.max() - 1e-12)[-1])  # equal but for rounding
    else:
        best = int(np.searchsorted(reached, recall, "left"))
    return Threshold(float(candidates[best]), float(precision[best]), float(reached[best]), float(f[best]), beta)


def returned_sets(
    query: Embeddings,
    gallery: Embeddings,
    threshold: float,
    metric: str = "euclidean",
    protocol: str | Protocol | None = None,
    memory: int = MEMORY,
) -> ReturnedSets:
    """All gallery images at most ``threshold`` from each query, nearest first; among equals the earlier in the gallery.

    Args:
        query: Q embeddings.
        gallery: G embeddings.
        threshold: a distance of ``metric``, from 0 upwards.
        metric: "euclidean" or "cosine".
        protocol: leave out what it leaves out (identities are then needed); None keeps every gallery image.
        memory: bytes for a block of distances; what is returned comes on top.

    Raises:
        DataError: a threshold that is negative or not finite, or as for :func:`resight.retrieval.ranking.rank.topk`.
    """
    if not (threshold >= 0 and np.isfinite(threshold)):
        raise DataError(f"The threshold is {threshold}: choose a distance from 0 upwards.")
    stream = Stream(query, gallery, metric, None if protocol is None else protocols.get(protocol), memory)
    indices: list[list[NDArray[np.int64]]] = [[] for _ in range(len(query))]
    distances: list[list[NDArray[np.float32]]] = [[] for _ in range(len(query))]
    for q, start, row in _rows(stream):
        near = np.flatnonzero(row <= threshold)
        indices[q].append(near + start)
        distances[q].append(row[near])
    where: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    far: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    for of_one, apart in zip(indices, distances, strict=True):
        whole = np.concatenate(apart)
        order = np.argsort(whole, kind="stable")
        where.append(np.concatenate(of_one)[order])
        far.append(whole[order])
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in where[1:]], dtype=np.int64)])
    return ReturnedSets(np.concatenate(where), np.concatenate(far), offsets.astype(np.int64))


def measure_returned(
    returned: ReturnedSets, query: Embeddings, gallery: Embeddings, protocol: str | Protocol
) -> ReturnedReport:
    """How many of the returned images are right, and how many right ones are returned.

    Args:
        returned: what :func:`returned_sets` gave for these embeddings under this protocol.
        query, gallery, protocol: as there.

    Raises:
        DataError: sets of other queries, a missing column, or no query with a true match.
    """
    _check_same(returned, len(query))
    rules = protocols.get(protocol)
    valid = Validity(query, gallery, rules)
    counts = []  # per evaluated query: returned, right among them, right in the gallery
    for q in range(len(query)):
        matches = valid.matches.of(q)
        if len(matches):
            found = returned.of(q)
            counts.append((len(found), int(np.isin(found, matches).sum()), len(matches)))
    if not counts:
        raise DataError(f"None of the {len(query):,} queries has a true match under protocol {rules.name}: check both.")
    size, right, wanted = np.array(counts, np.int64).T
    return ReturnedReport(
        precision=float((right / np.maximum(size, 1)).mean()),
        recall=float((right / wanted).mean()),
        pooled_precision=float(right.sum() / max(int(size.sum()), 1)),
        pooled_recall=float(right.sum() / wanted.sum()),
        size=float(size.mean()),
        empty=int((size == 0).sum()),
        queries=len(query),
        evaluated=len(counts),
    )


def result_lines(
    path: str | os.PathLike[str], query: NDArray[np.str_], gallery: NDArray[np.str_], returned: ReturnedSets
) -> None:
    """Write the returned sets in source 002's format, one line per query, nearest image first.

    ``001261.jpg: 016903.jpg, 005883.jpg``, and ``001261.jpg:`` where nothing is returned. The file is written whole or
    not at all.

    Args:
        path: the file to write.
        query, gallery: (Q,) and (G,) paths of the images, of which the file gets the names.
        returned: what :func:`returned_sets` gave for them.

    Raises:
        DataError: sets of other queries, or two images of one side with the same file name.
        ResightError: the file cannot be written.
    """
    _check_same(returned, len(query))
    asked, there = _names(query, "query"), _names(gallery, "gallery")
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for q, name in enumerate(asked):
            answers = ", ".join(there[g] for g in returned.of(q))
            file.write(f"{name}: {answers}\n" if answers else f"{name}:\n")


def _check_same(returned: ReturnedSets, queries: int) -> None:
    if len(returned) != queries:
        raise DataError(f"There are {len(returned):,} returned sets for {queries:,} queries: pass those they answer.")


def _names(paths: NDArray[np.str_], side: str) -> list[str]:
    names = [PurePath(path).name for path in paths.tolist()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"Two {side} images are both called {twice[0]}, and the result file holds names alone: rename one."
        )
    return names


def _rows(stream: Stream) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """(query, first gallery index, (columns,) distances) over all valid pairs; the invalid are infinitely far."""
    for rows in stream.blocks():
        for start, block in stream.chunks(rows):
            for q, row in zip(range(rows.start, rows.stop), block, strict=True):
                yield q, start, row
