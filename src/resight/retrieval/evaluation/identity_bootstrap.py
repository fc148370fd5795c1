"""How sure a rate is, where pairs share identities: bootstrap over identities.

Pairs are far from independent: an identity that resembles many others is in many false matches. So identities are
drawn with replacement, and a pair counts as often as both of its identities were drawn together (the product of the
two counts). This is the bootstrap of a two-way table (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics
2007): it is never too narrow on average, and up to sqrt(3) too wide where chance within single pairs is all there is.
The interval is widened, where needed, to the exact one of independent pairs (Clopper and Pearson 1934), which also
holds when no false match was seen at all.

Shape letters: ``C`` groups of identities, ``B`` draws, ``Q`` queries, ``G`` gallery, ``T`` thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # which imports its parts when they are first used
from numpy.typing import NDArray

from resight.records import DISTRACTOR, JUNK, Embeddings
from resight.retrieval.evaluation.compare import Interval

LEVEL = 0.95
DRAWS = 1_000
MOST_GROUPS = 1_024
"""With more identities than this, several are drawn together, so that counts per pair of groups stay at 8 MB."""

_WAITING = 2**21


@dataclass(frozen=True, eq=False)
class Groups:
    """Which images are drawn together: those of one identity; distractors are spread over all groups.

    Attributes:
        identities: (I,) int64, the known identities of both sides, sorted.
        query, gallery: (Q,) and (G,) int64 in [0, count).
        count: how many groups, C.
    """

    identities: NDArray[np.int64]
    query: NDArray[np.int64]
    gallery: NDArray[np.int64]
    count: int

    def of(self, identities: NDArray[np.int64]) -> NDArray[np.int64]:
        """The groups of known identities."""
        return np.searchsorted(self.identities, identities) % self.count


def group_identities(query: Embeddings, gallery: Embeddings) -> Groups:
    """Groups of the identities of both sets, which must be known."""
    assert query.identities is not None and gallery.identities is not None
    both = np.union1d(query.identities, gallery.identities)
    known = both[both > DISTRACTOR]
    groups = Groups(known, query.identities, gallery.identities, max(1, min(len(known), MOST_GROUPS)))
    codes = []
    for identities in (query.identities, gallery.identities):
        code = groups.of(identities)
        others = identities <= DISTRACTOR
        code[others] = np.arange(int(others.sum())) % groups.count
        codes.append(code)
    return Groups(known, codes[0], codes[1], groups.count)


def draw(groups: int, seed: int = 0) -> NDArray[np.float64]:
    """(B, C) how often each of C groups is drawn in each of B draws."""
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=DRAWS)
    return drawn.astype(np.float64)


def rate(hits: NDArray[Any], totals: NDArray[Any], draws: NDArray[np.float64], copies: int = 1) -> Interval:
    """The share of hits with its interval, from (C,) counts per group.

    Args:
        hits, totals: (C,) numbers per group, of which ``hits`` is a part of ``totals``; not all totals are 0.
        draws: (B, C) from :func:`draw`.
        copies: how many times each thing was counted.
    """
    return _interval(float(hits.sum()), float(totals.sum()), draws @ hits, draws @ totals, copies)


def pair_rate(hits: NDArray[Any], totals: NDArray[Any], draws: NDArray[np.float64], copies: int = 1) -> Interval:
    """As :func:`rate`, from (C, C) counts of pairs: the query's group first, the gallery image's second."""
    sampled = [((draws @ counts.astype(np.float64)) * draws).sum(axis=1) for counts in (hits, totals)]
    return _interval(float(hits.sum()), float(totals.sum()), sampled[0], sampled[1], copies)


def impostor_totals(query: Embeddings, gallery: Embeddings, groups: Groups) -> NDArray[np.int64]:
    """(C, C) how many impostor pairs the images of two groups make: all but junk, and but those of one identity."""
    assert query.identities is not None and gallery.identities is not None
    asked, there = query.identities > DISTRACTOR, gallery.identities != JUNK
    totals = np.outer(
        np.bincount(groups.query[asked], minlength=groups.count),
        np.bincount(groups.gallery[there], minlength=groups.count),
    ).astype(np.int64)
    of_query, of_gallery = (
        np.bincount(np.searchsorted(groups.identities, one[one > DISTRACTOR]), minlength=len(groups.identities))
        for one in (query.identities, gallery.identities)
    )
    code = groups.of(groups.identities)
    np.subtract.at(totals, (code, code), of_query * of_gallery)
    return totals


def count_near(
    near: Iterable[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]],
    thresholds: NDArray[np.float32],
    groups: Groups,
) -> NDArray[np.int64]:
    """(T, C, C) how many impostor pairs of two groups are within each threshold.

    Args:
        near: pieces of all impostor pairs within the last threshold, see
            :func:`resight.decisions.pairs.near_impostors`.
        thresholds: (T,) float32, ascending.
        groups: whose pairs to count.
    """
    size = groups.count
    tally = Tally(len(thresholds) * size * size)
    for q, g, distances in near:
        first = np.searchsorted(thresholds, distances, "left")  # the smallest threshold that the pair is within
        tally.add((first * size + groups.query[q]) * size + groups.gallery[g])
    counts = tally.counts().reshape(len(thresholds), size, size)
    return np.cumsum(counts, axis=0, out=counts)


class Tally:
    """How often each code in [0, size) was added, in bounded memory."""

    def __init__(self, size: int) -> None:
        self._counts = np.zeros(size, np.int64)
        self._waiting: list[NDArray[np.int64]] = []
        self._held = 0

    def add(self, codes: NDArray[np.int64]) -> None:
        """Count (n,) codes."""
        self._waiting.append(codes)
        self._held += len(codes)
        if self._held >= _WAITING:
            self.counts()

    def counts(self) -> NDArray[np.int64]:
        """(size,) int64."""
        if self._waiting:
            self._counts += np.bincount(np.concatenate(self._waiting), minlength=len(self._counts))
            self._waiting, self._held = [], 0
        return self._counts


def independent(hits: float, total: float) -> tuple[float, float]:
    """The exact interval of a share of ``total`` independent things (Clopper and Pearson), which need not be whole."""
    tail = (1 - LEVEL) / 2
    low = 0.0 if hits <= 0 else float(scipy.special.betaincinv(hits, total - hits + 1, tail))
    high = 1.0 if hits >= total else float(scipy.special.betaincinv(hits + 1, total - hits, 1 - tail))
    return low, high


def _interval(
    hits: float, total: float, sampled: NDArray[np.float64], totals: NDArray[np.float64], copies: int
) -> Interval:
    low, high = independent(hits / copies, total / copies)
    some = totals > 0
    if some.any():
        tail = (1 - LEVEL) / 2
        lower, upper = np.quantile(sampled[some] / totals[some], [tail, 1 - tail])
        low, high = min(low, float(lower)), max(high, float(upper))
    return Interval(hits / total, low, min(high, 1.0))
