"""How sure a number is, and whether one model is better than another on the same queries.

People are the sample, not queries: the queries of one person succeed and fail together. Intervals come from drawing
people with replacement, each with all of their queries (cluster bootstrap), and p-values from exchanging the two models
for some of the people at random, for all of their queries at once (a paired permutation test).

Shape letters: ``Q`` queries, ``P`` people, ``M`` means.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.records import Report

DRAWS = 2_000
_BLOCK = 100  # exchanges at a time, for memory
COLUMNS = ("mAP", "R1", "R5", "R10")


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
        p_value: how often chance alone (the two models exchanged per person at random) gives a difference in mAP at
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
        differences = {name: asdict(getattr(self, name)) for name in COLUMNS}
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
    """Percentile bootstrap intervals of mAP, R1, R5 and R10 over the people of the evaluated queries.

    Args:
        report: an evaluation.
        level: confidence in (0, 1).
        draws: how many times the people are drawn with replacement.
        seed: the same one gives the same intervals.

    Raises:
        DataError: no query was evaluated, the report has no identities, or a level or number of draws is out of range.
    """
    known = np.isfinite(report.average_precision)
    sums, counts = by_person(per_query(report)[known], _people(report)[known])
    return dict(zip(COLUMNS, _bootstrap(sums, counts, level, draws, seed), strict=True))


def compare(a: Report, b: Report, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Two models on the same queries, paired by person.

    Args:
        a, b: evaluations of the same query split, in the same order, by the same protocol.
        level, draws, seed: as for :func:`intervals`; ``draws`` is also the number of random exchanges.

    Raises:
        DataError: other queries, another protocol, queries that only one of them evaluated, or as there.
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
    people = _people(a)
    if not np.array_equal(people, _people(b)):
        raise DataError(
            "The reports are of queries of other people, or in another order: evaluate both models on the same query."
        )
    difference = b.average_precision - a.average_precision
    gained = difference[known]
    sums, counts = by_person((per_query(b) - per_query(a))[known], people[known])
    mean, r1, r5, r10 = _bootstrap(sums, counts, level, draws, seed)
    wins, losses = int((gained > 0).sum()), int((gained < 0).sum())
    p_value = exchange_people(sums[:, 0], draws, seed)
    return Comparison(mean, r1, r5, r10, wins, losses, len(gained) - wins - losses, p_value, difference)


def per_query(report: Report) -> NDArray[np.float64]:
    """(Q, 4) what the means in ``COLUMNS`` are of."""
    hits = [(report.first_match <= k).astype(np.float64) for k in (1, 5, 10)]
    return np.stack([report.average_precision, *hits], 1)


def _people(report: Report) -> NDArray[np.int64]:
    if report.identities is None:
        raise DataError(
            "The report does not say which person each query shows, but intervals are computed by resampling people: "
            "pass identities=... or use a report of resight.evaluate."
        )
    return report.identities


def by_person(table: NDArray[np.float64], identities: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """(P, M) sums of the queries' rows (n, M) for each person, and (P,) how many queries each has."""
    _, person, counts = np.unique(identities, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), table.shape[1]))
    np.add.at(sums, person, table)
    return sums, counts


def _bootstrap(sums: NDArray[np.float64], counts: NDArray[Any], level: float, draws: int, seed: int) -> list[Interval]:
    """An interval for the mean over all queries of each column of (P, M) sums."""
    if not len(sums):
        raise DataError("No query was evaluated, so there is no interval to give: check the evaluation.")
    drawn = draw_means(sums, counts, draws, seed)
    value = sums.sum(0) / counts.sum()
    return [interval(float(one), column, level) for one, column in zip(value, drawn.T, strict=True)]


def draw_means(
    sums: NDArray[np.float64], counts: NDArray[Any], draws: int, seed: int | list[int]
) -> NDArray[np.float64]:
    """(draws, M) means over all queries of the columns of (P, M) sums, of people drawn with replacement."""
    if draws < 1:
        raise DataError(f"{draws} draws give no interval: draw at least once, better {DRAWS:,} times.")
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)
    means: NDArray[np.float64] = (drawn @ sums) / (drawn @ counts)[:, None]
    return means


def interval(value: float, drawn: NDArray[np.float64], level: float) -> Interval:
    """``value`` with the percentiles of its draws (draws,)."""
    if not 0 < level < 1:
        raise DataError(f"The confidence level is {level}: choose one between 0 and 1, such as 0.95.")
    tail = 50 * (1 - level)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Interval(value, float(low), float(high))


def exchange_people(gained: NDArray[np.float64], draws: int, seed: int) -> float:
    """How often exchanging the models of some people (the signs of their (P,) sums) gives as much, two-sided."""
    from scipy.stats import permutation_test  # takes most of a second to import, and few use it

    found = permutation_test(
        (gained,),
        np.sum,
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        batch=_BLOCK,
        rng=np.random.default_rng([seed, 1]),
    )
    return float(found.pvalue)
