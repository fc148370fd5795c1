"""CMC, average precision and inverse negative penalty, from the ranks of the true matches alone.

With r_1 < ... < r_m the ranks (from 1) of a query's m true matches among its valid gallery images:

- CMC(k) = 1 if r_1 <= k else 0, averaged over the queries.
- AP = 1/m * sum_i i / r_i, the mean precision at the hits. This is what torchreid, fast-reid and the Bag of Tricks
  code compute; the MATLAB code of Market-1501 integrates by trapezoids and gives slightly larger numbers.
- INP = m / r_m (Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2021).

Queries without a match (m = 0) have none of these and are left out of every mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.retrieval.rank import MatchRanks

MOST_RANKS = 50


class PerQuery(NamedTuple):
    """One value per query; NaN, or 0 for ``first_match``, where a query has no true match.

    Attributes:
        average_precision: (Q,) float64 in (0, 1].
        first_match: (Q,) int64 from 1.
        inverse_negative_penalty: (Q,) float64 in (0, 1].
    """

    average_precision: NDArray[np.float64]
    first_match: NDArray[np.int64]
    inverse_negative_penalty: NDArray[np.float64]


def per_query(matches: MatchRanks) -> PerQuery:
    """The three quantities of every query."""
    ranks, offsets = matches.ranks, matches.offsets
    counts = np.diff(offsets)
    some = counts > 0
    owner = np.repeat(np.arange(len(counts)), counts)
    hit = np.arange(len(ranks)) - offsets[:-1][owner] + 1
    total = np.bincount(owner, weights=hit / ranks, minlength=len(counts))
    precision, penalty = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    first = np.zeros(len(counts), np.int64)
    precision[some] = total[some] / counts[some]
    first[some] = ranks[offsets[:-1][some]]
    penalty[some] = counts[some] / ranks[offsets[1:][some] - 1]
    return PerQuery(precision, first, penalty)


def cmc(first_match: NDArray[np.int64], most: int = MOST_RANKS) -> dict[int, float]:
    """The share of queries whose first true match has rank <= k, for k = 1..``most``.

    Args:
        first_match: (Q,) ranks from 1; queries with 0 (no match) are left out. At least one must be left.
        most: the largest k.
    """
    first = first_match[first_match > 0]
    return {k: float(np.mean(first <= k)) for k in range(1, most + 1)}
