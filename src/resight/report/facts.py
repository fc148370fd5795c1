"""What a report shows beyond the numbers of :class:`resight.Report`, computed in bounded memory.

Shape letters: ``Q`` queries, ``G`` gallery, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.records import JUNK, Embeddings, Report
from resight.retrieval.evaluation import metrics
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rank import ranks_of_matches, topk
from resight.retrieval.ranking.validity import Validity

MOST_CAMERAS = 20


def sample_distances(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    metric: str,
    queries: int = 500,
    others: int = 200,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distances of true matches and of other valid gallery images, for at most ``queries`` queries with a match.

    Returns:
        (distances of all their matches, distances of at most ``others`` random other images per query).
    """
    valid = Validity(query, gallery, protocol)
    assert gallery.identities is not None
    generator = np.random.default_rng(seed)
    same: list[NDArray[np.float32]] = []
    other: list[NDArray[np.float32]] = []
    for q in generator.permutation(len(query)).tolist():
        matches = valid.matches.of(q)
        if not len(matches):
            continue
        drawn = generator.integers(0, len(gallery), others)
        drawn = drawn[(gallery.identities[drawn] != JUNK) & ~np.isin(drawn, valid.same_identity.of(q))]
        distances = pairwise(query.vectors[q : q + 1], gallery.vectors[np.concatenate([matches, drawn])], metric)[0]
        same.append(distances[: len(matches)])
        other.append(distances[len(matches) :])
        if len(same) == queries:
            break
    empty = [np.empty(0, np.float32)]
    return np.concatenate(same or empty), np.concatenate(other or empty)


@dataclass(frozen=True)
class CameraPair:
    """The queries of one camera against the gallery of another: how many have a match there, R1 and mAP in [0, 1]."""

    queries: int
    rank1: float
    mAP: float


@dataclass(frozen=True)
class CameraPairs:
    """``cells[i][j]`` is query camera ``query[i]`` against gallery camera ``gallery[j]``; None without a match."""

    query: list[int]
    gallery: list[int]
    cells: list[list[CameraPair | None]]
    left_out: int

    def values(self) -> Iterator[CameraPair]:
        """The cells that hold something."""
        return (cell for line in self.cells for cell in line if cell is not None)


def camera_pairs(query: Embeddings, gallery: Embeddings, protocol: Protocol, metric: str) -> CameraPairs | None:
    """Every query camera against every gallery camera, each a small evaluation of its own.

    With more than :data:`MOST_CAMERAS` cameras on a side those with the most images are kept; ``left_out`` counts the
    others. None where cameras are unknown or there is only one.
    """
    if query.cameras is None or gallery.cameras is None:
        return None
    kept: list[list[int]] = []
    left_out: set[int] = set()
    for cameras in (query.cameras, gallery.cameras):
        names, counts = np.unique(cameras, return_counts=True)
        largest = names[np.argsort(-counts, kind="stable")]
        kept.append(sorted(largest[:MOST_CAMERAS].tolist()))
        left_out |= set(largest[MOST_CAMERAS:].tolist())
    if len(set(kept[0]) | set(kept[1])) < 2:
        return None
    parts = [gallery.take(np.flatnonzero(gallery.cameras == camera)) for camera in kept[1]]
    cells: list[list[CameraPair | None]] = []
    for camera in kept[0]:
        asked = query.take(np.flatnonzero(query.cameras == camera))
        line: list[CameraPair | None] = []
        for part in parts:
            found = metrics.per_query(ranks_of_matches(asked, part, protocol, metric))
            some = found.first_match > 0
            line.append(
                CameraPair(
                    int(some.sum()),
                    float((found.first_match[some] == 1).mean()),
                    float(found.average_precision[some].mean()),
                )
                if some.any()
                else None
            )
        cells.append(line)
    return CameraPairs(kept[0], kept[1], cells, len(left_out))


def choose_queries(report: Report, count: int, seed: int = 0) -> list[tuple[str, NDArray[np.int64]]]:
    """Which of the evaluated queries to show: half of them the worst by AP, the rest random ones and the best.

    Returns:
        (title, query indices) for "Worst", "Random" and "Best", without repetition; empty groups are left out.
    """
    precision = report.average_precision
    order = np.argsort(precision, kind="stable")[: int(np.isfinite(precision).sum())]
    count = min(count, len(order))
    best = count // 4
    random = count // 4
    worst = count - best - random
    middle = order[worst : len(order) - best]
    drawn = np.sort(np.random.default_rng(seed).permutation(middle)[:random])
    groups = (("Worst", order[:worst]), ("Random", drawn), ("Best", order[::-1][:best]))
    return [(title, which) for title, which in groups if len(which)]


@dataclass(frozen=True)
class Answer:
    """One gallery image in a query's ranked list."""

    index: int
    rank: int
    distance: float
    identity: int
    same: bool


def ranked_lists(
    query: Embeddings, gallery: Embeddings, which: NDArray[np.int64], k: int, protocol: Protocol, metric: str
) -> list[list[Answer]]:
    """The ``k`` nearest valid gallery images of the queries at ``which``, nearest first."""
    assert query.identities is not None and gallery.identities is not None
    ranking = topk(query.take(which), gallery, k, metric, protocol)
    lists = []
    for q, indices, distances in zip(which, ranking.indices, ranking.distances, strict=True):
        found = gallery.identities[indices]
        lists.append(
            [
                Answer(int(index), rank, float(distance), int(identity), bool(identity == query.identities[q]))
                for rank, (index, distance, identity) in enumerate(zip(indices, distances, found, strict=True), start=1)
                if index >= 0
            ]
        )
    return lists
