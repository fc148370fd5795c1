"""CMC, average precision, inverse negative penalty and precisions, from the ranks of the true matches alone.

With r_1 < ... < r_m the ranks (from 1) of a query's m true matches among its valid gallery images:

- CMC(k) = 1 if r_1 <= k else 0, averaged over the queries.
- AP = 1/m * sum_i i / r_i, the mean precision at the hits. This is what torchreid, fast-reid and the Bag of Tricks
  code compute; the MATLAB code of Market-1501 and MARS integrates by trapezoids and gives slightly other numbers:
  AP = 1/m * sum_i ((i - 1) / (r_i - 1) + i / r_i) / 2, the first term being 1 where r_i = 1.
- INP = m / r_m (Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2021).
- P@k = #{i : r_i <= k} / k, the share of true matches among the first k. With fewer than k of them it stays below 1.
- R-precision = #{i : r_i <= m} / m, the share of true matches among the first m, where there would be no other.

Queries without a match (m = 0) have none of these and are left out of every mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.retrieval.ranking.rank import MatchRanks

MOST_RANKS = 50
PRECISION_AT = (1, 5, 10, 20, 50)


class PerQuery(NamedTuple):
    """One value per query; NaN, or 0 for ``first_match``, where a query has no true match.

    Attributes:
        average_precision: (Q,) float64 in (0, 1].
        first_match: (Q,) int64 from 1.
        inverse_negative_penalty: (Q,) float64 in (0, 1].
        r_precision: (Q,) float64 in [0, 1].
    """

    average_precision: NDArray[np.float64]
    first_match: NDArray[np.int64]
    inverse_negative_penalty: NDArray[np.float64]
    r_precision: NDArray[np.float64]


def per_query(matches: MatchRanks, *, trapezoids: bool = False) -> PerQuery:
    """The four quantities of every query; with ``trapezoids`` average precision is integrated by them."""
    ranks, offsets = matches.ranks, matches.offsets
    counts = np.diff(offsets)
    some = counts > 0
    owner = np.repeat(np.arange(len(counts)), counts)
    hit = np.arange(len(ranks)) - offsets[:-1][owner] + 1
    heights = hit / ranks
    if trapezoids:
        before = np.divide(hit - 1, ranks - 1, out=np.ones(len(ranks)), where=ranks > 1)
        heights = (before + heights) / 2
    total = np.bincount(owner, weights=heights, minlength=len(counts))
    precision, penalty = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    first = np.zeros(len(counts), np.int64)
    precision[some] = total[some] / counts[some]
    first[some] = ranks[offsets[:-1][some]]
    penalty[some] = counts[some] / ranks[offsets[1:][some] - 1]
    return PerQuery(precision, first, penalty, _among_first(matches, counts))


def precision_at(matches: MatchRanks, k: int) -> NDArray[np.float64]:
    """(Q,) float64, P@k of every query; NaN where it has no true match."""
    return _among_first(matches, np.full(len(matches.offsets) - 1, k))


def _among_first(matches: MatchRanks, most: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of each query's first ``most`` (Q,) that are true matches; NaN where it has none at all."""
    counts = np.diff(matches.offsets)
    owner = np.repeat(np.arange(len(counts)), counts)
    found = np.bincount(owner[matches.ranks <= most[owner]], minlength=len(counts))
    share = np.full(len(counts), np.nan)
    np.divide(found, most, out=share, where=counts > 0)
    return share


def cmc(first_match: NDArray[np.int64], most: int = MOST_RANKS) -> dict[int, float]:
    """The share of queries whose first true match has rank <= k, for k = 1..``most``.

    Args:
        first_match: (Q,) ranks from 1; queries with 0 (no match) are left out. At least one must be left.
        most: the largest k.
    """
    first = first_match[first_match > 0]
    return {k: float(np.mean(first <= k)) for k in range(1, most + 1)}
