"""How sure a number is, and whether one model is better than another on the same queries.

Queries are the sample: intervals come from drawing queries with replacement (bootstrap, Efron 1979), comparisons from
the differences of the same queries under two models.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.records import Report

DRAWS = 2_000
_BLOCK = 100  # draws at a time, for memory
_COLUMNS = ("mAP", "R1", "R5", "R10")


@dataclass(frozen=True)
class Interval:
    """A number and the range that holds it with the chosen confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2%} [{self.low:.2%}, {self.high:.2%}]"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Model B against model A on the same queries; positive differences are in favour of B.

    Attributes:
        mAP, R1, R5, R10: the difference of the two models with its interval.
        wins, losses, ties: on how many queries B's average precision is higher, lower, the same.
        p_value: how often chance alone (the two models exchanged per query at random) gives a difference in mAP at
            least as large, two-sided.
        difference: (Q,) float64, B's average precision minus A's; NaN where the query was not evaluated.
    """

    mAP: Interval
    R1: Interval
    R5: Interval
    R10: Interval
    wins: int
    losses: int
    ties: int
    p_value: float
    difference: NDArray[np.float64]

    def best(self, count: int) -> NDArray[np.int64]:
        """The queries that B wins by most, at most ``count`` of them."""
        return self._extreme(-self.difference, self.wins, count)

    def worst(self, count: int) -> NDArray[np.int64]:
        """The queries that B loses by most, at most ``count`` of them."""
        return self._extreme(self.difference, self.losses, count)

    def numbers(self) -> dict[str, Any]:
        """The comparison without its per-query array, ready for JSON."""
        differences = {name: asdict(getattr(self, name)) for name in _COLUMNS}
        return differences | {
            "wins": self.wins,
            "losses": self.losses,
            "ties": self.ties,
            "p_value": self.p_value,
        }

    @staticmethod
    def _extreme(order: NDArray[np.float64], there: int, count: int) -> NDArray[np.int64]:
        return np.argsort(order, kind="stable")[: min(there, count)].astype(np.int64)  # NaN comes last


def intervals(report: Report, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> dict[str, Interval]:
    """Percentile bootstrap intervals of mAP, R1, R5 and R10 over the evaluated queries.

    Args:
        report: an evaluation.
        level: confidence in (0, 1).
        draws: how many times the queries are drawn with replacement.
        seed: the same one gives the same intervals.

    Raises:
        DataError: no query was evaluated, or a level or number of draws out of range.
    """
    table = _per_query(report)[np.isfinite(report.average_precision)]
    return dict(zip(_COLUMNS, _bootstrap(table, level, draws, seed), strict=True))


def compare(a: Report, b: Report, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Two models on the same queries, paired query by query.

    Args:
        a, b: evaluations of the same query split, in the same order, by the same protocol.
        level, draws, seed: as for :func:`intervals`; ``draws`` is also the number of random exchanges.

    Raises:
        DataError: another number of queries, another protocol, queries that only one of them evaluated, or as there.
    """
    if len(a.average_precision) != len(b.average_precision) or a.protocol != b.protocol:
        raise DataError(
            f"The reports are of {len(a.average_precision):,} queries under {a.protocol} and of "
            f"{len(b.average_precision):,} under {b.protocol}: compare evaluations of the same queries and protocol."
        )
    known = np.isfinite(a.average_precision)
    if not np.array_equal(known, np.isfinite(b.average_precision)):
        raise DataError(
            "The reports have not evaluated the same queries: evaluate both models on the same query and gallery."
        )
    difference = b.average_precision - a.average_precision
    gained = difference[known]
    mean, r1, r5, r10 = _bootstrap((_per_query(b) - _per_query(a))[known], level, draws, seed)
    wins, losses = int((gained > 0).sum()), int((gained < 0).sum())
    p_value = _p_value(gained, draws, seed)
    return Comparison(mean, r1, r5, r10, wins, losses, len(gained) - wins - losses, p_value, difference)


def _per_query(report: Report) -> NDArray[np.float64]:
    """(Q, 4) what the means in ``_COLUMNS`` are of."""
    hits = [(report.first_match <= k).astype(np.float64) for k in (1, 5, 10)]
    return np.stack([report.average_precision, *hits], 1)


def _bootstrap(table: NDArray[np.float64], level: float, draws: int, seed: int) -> list[Interval]:
    """An interval for the mean of each column of (n, K)."""
    if not 0 < level < 1:
        raise DataError(f"The confidence level is {level}: choose one between 0 and 1, such as 0.95.")
    if draws < 1:
        raise DataError(f"{draws} draws give no interval: draw at least once, better {DRAWS:,} times.")
    if not len(table):
        raise DataError("No query was evaluated, so there is nothing to be sure or unsure of: check the evaluation.")
    rng = np.random.default_rng(seed)
    means = np.empty((draws, table.shape[1]))
    for start in range(0, draws, _BLOCK):
        block = means[start : start + _BLOCK]
        block[:] = table[rng.integers(len(table), size=(len(block), len(table)))].mean(1)
    tail = 50 * (1 - level)
    low, high = np.percentile(means, [tail, 100 - tail], axis=0)
    value = table.mean(0)
    return [Interval(float(v), float(x), float(y)) for v, x, y in zip(value, low, high, strict=True)]


def _p_value(gained: NDArray[np.float64], draws: int, seed: int) -> float:
    """The share of random exchanges (signs of the differences) at least as extreme, the observed one included."""
    rng = np.random.default_rng([seed, 1])
    observed, extreme = abs(gained.sum()), 1
    for start in range(0, draws, _BLOCK):
        signs = rng.integers(2, size=(min(_BLOCK, draws - start), len(gained)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ gained) >= observed - 1e-12).sum())
    return extreme / (draws + 1)
