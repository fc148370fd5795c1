"""How many images to show for a query: all within a distance that is chosen on validation people, then kept.

A ranked list never ends; a user who must see *the* images of a person needs a place to stop. Losing a right image is
worse than showing a wrong one, so the distance maximises F-beta with beta above 1, or reaches a given recall.

Shape letters: ``Q`` queries, ``G`` gallery, ``M`` true matches of all queries.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.files import write_text
from resight.records import Embeddings
from resight.retrieval.ranking import protocols
from resight.retrieval.ranking.arguments import choose_metric, number
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rank import MEMORY, Stream
from resight.retrieval.ranking.validity import Validity
from resight.retrieval.ranking.within import MatchesWithin

BETA = 1.5
"""How many times recall counts as much as precision, by default."""


@dataclass(frozen=True)
class Threshold:
    """A distance to stop at, and what it does on the images it was chosen on.

    Attributes:
        distance: gallery images at most this far from a query are its matches.
        precision: share of true matches among all matches of all queries.
        recall: share of the true matches of all queries that are within the distance.
        f: F-beta of the two.
        beta: how many times recall counts as much as precision.
    """

    distance: float
    precision: float
    recall: float
    f: float
    beta: float


@dataclass(frozen=True)
class MatchesReport:
    """How good the matches within a threshold are; rates are in [0, 1].

    Attributes:
        precision, recall: means over the evaluated queries; the precision of a query without any match is 0.
        pooled_precision, pooled_recall: over all their images together.
        size: matches per evaluated query, on average.
        empty: how many evaluated queries have no match within the threshold.
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
    metric: str | None = None,
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
        metric: "euclidean" or "cosine"; None for that of the embeddings' model, euclidean where it is unknown.
        beta: recall counts beta times as much as precision.
        recall: a share of the true matches in (0, 1] to reach, whatever it costs in precision.
        memory: bytes for a block of distances; O(M) comes on top. It changes the speed, never the result.

    Raises:
        DataError: a beta or recall out of range, no true match at all, or as for
            :func:`resight.retrieval.ranking.rank.ranks_of_matches`.
    """
    metric = choose_metric(metric, query, gallery)
    beta = number("beta", beta, f"choose a number above 0, such as {BETA}", lambda b: b > 0)
    if recall is not None:
        number("The recall", recall, "choose a number above 0 and up to 1", lambda share: 0 < share <= 1)
    rules = protocols.get(protocol)
    stream = Stream(query, gallery, metric, rules, memory)
    found: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    for q, start, row in stream.rows():
        matches = stream.valid.matches.of(q) - start
        found.append(row[matches[(matches >= 0) & (matches < len(row))]])
    right = np.sort(np.concatenate(found))
    if not len(right):
        raise DataError(
            f"None of the {len(query):,} validation queries has a true match under protocol {rules.name}, so no "
            "threshold can be chosen: check identities and cameras."
        )
    candidates, counts = np.unique(right, return_counts=True)
    within = np.zeros(len(candidates), np.int64)
    for q, _, row in stream.rows():
        if len(stream.valid.matches.of(q)):  # the same queries as in the recall
            near = row[row <= candidates[-1]]
            within += np.bincount(np.searchsorted(candidates, near, "left"), minlength=len(within))
    hits = np.cumsum(counts)
    precision, reached = hits / np.cumsum(within), hits / len(right)
    f = (1 + beta**2) * precision * reached / (beta**2 * precision + reached)
    if recall is None:
        best = int(np.flatnonzero(f >= f.max() - 1e-12)[-1])  # equal but for rounding
    else:
        best = int(np.searchsorted(reached, recall, "left"))
    return Threshold(float(candidates[best]), float(precision[best]), float(reached[best]), float(f[best]), beta)


def measure_matches(
    matches: MatchesWithin, query: Embeddings, gallery: Embeddings, protocol: str | Protocol
) -> MatchesReport:
    """How many of the matches within a threshold are true, and how many true matches are among them.

    Args:
        matches: what :func:`~resight.retrieval.ranking.within.matches_within` found for these embeddings.
        query, gallery, protocol: as there.

    Raises:
        DataError: matches of other queries, a missing column, or no query with a true match.
    """
    _check_same(matches, len(query))
    rules = protocols.get(protocol)
    valid = Validity(query, gallery, rules)
    counts = []  # per evaluated query: matches, true ones among them, true ones in the gallery
    for q in range(len(query)):
        true = valid.matches.of(q)
        if len(true):
            found = matches.of(q)
            counts.append((len(found), int(np.isin(found, true).sum()), len(true)))
    if not counts:
        raise DataError(f"None of the {len(query):,} queries has a true match under protocol {rules.name}: check both.")
    size, right, wanted = np.array(counts, np.int64).T
    return MatchesReport(
        precision=float((right / np.maximum(size, 1)).mean()),
        recall=float((right / wanted).mean()),
        pooled_precision=float(right.sum() / max(int(size.sum()), 1)),
        pooled_recall=float(right.sum() / wanted.sum()),
        size=float(size.mean()),
        empty=int((size == 0).sum()),
        queries=len(query),
        evaluated=len(counts),
    )


def write_matches(
    path: str | os.PathLike[str], query: NDArray[np.str_], gallery: NDArray[np.str_], matches: MatchesWithin
) -> None:
    """Write the file names of the matches, one line per query, nearest first.

    A line reads ``001261.jpg: 016903.jpg, 005883.jpg``, or ``001261.jpg:`` for a query without any match. The file is
    written whole or not at all.

    Args:
        path: the file to write.
        query, gallery: (Q,) and (G,) paths of the images, of which the file gets the names.
        matches: what :func:`~resight.retrieval.ranking.within.matches_within` found for them.

    Raises:
        DataError: matches of other queries, or two images of one side with the same file name.
        ResightError: the file cannot be written.
    """
    _check_same(matches, len(query))
    asked, there = _names(query, "query"), _names(gallery, "gallery")
    lines = [f"{name}: {', '.join(there[g] for g in matches.of(q))}".rstrip(" ") for q, name in enumerate(asked)]
    write_text(path, "".join(f"{line}\n" for line in lines))


def _check_same(matches: MatchesWithin, queries: int) -> None:
    if len(matches) != queries:
        raise DataError(
            f"The matches are of {len(matches):,} queries but {queries:,} queries were passed: pass the same queries."
        )


def _names(paths: NDArray[np.str_], side: str) -> list[str]:
    names = [PurePath(path).name for path in paths.tolist()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"Two {side} images are both called {twice[0]}, and the result file contains only names: rename one."
        )
    return names
