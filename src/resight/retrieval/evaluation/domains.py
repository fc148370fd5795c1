"""One model on several data sets, and two models on several: tables with a macro average.

The macro average weighs every data set alike, however many queries it has: it stands for cameras not seen, of which
each data set is one example.

Shape letters: ``S`` data sets, ``P`` people, ``M`` means, ``B`` draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resight.errors import DataError
from resight.records import Report
from resight.retrieval.evaluation.compare import (
    COLUMNS,
    DRAWS,
    Comparison,
    by_person,
    compare,
    draw_means,
    exchange_people,
    interval,
    per_query,
)


@dataclass(frozen=True)
class Domains:
    """The reports of one model on several data sets, all with the same metric and re-ranking.

    Attributes:
        reports: the report of each data set by its name.
        best: by name, mAP of the best model known that was trained on that data set; not all need be known.

    Raises:
        DataError: no report, or reports of different metrics or ways of re-ranking.
    """

    reports: Mapping[str, Report]
    best: Mapping[str, float]

    def __post_init__(self) -> None:
        ways = {(one.metric, one.rerank) for one in self.reports.values()}
        if len(ways) != 1:
            raise DataError(f"An average needs reports of one metric and one way of re-ranking, not of {len(ways)}.")

    def average(self) -> dict[str, float]:
        """Means over data sets of mAP, R1, R5, R10 and mINP."""
        return {
            name: float(np.mean([_value(one, name) for one in self.reports.values()])) for name in (*COLUMNS, "mINP")
        }

    def gap(self, name: str) -> float | None:
        """How far mAP is below the best known; None where none is known."""
        return self.best[name] - self.reports[name].mAP if name in self.best else None

    def numbers(self) -> dict[str, Any]:
        """The table, ready for JSON."""
        entries = {}
        for name, one in self.reports.items():
            entries[name] = one.numbers() | ({"best_known": self.best[name]} if name in self.best else {})
        return {"sets": entries, "average": self.average()}


def compare_domains(
    a: Sequence[Report], b: Sequence[Report], *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Model B against model A in the macro average over data sets, paired by person.

    Intervals come from drawing people with replacement within every data set; the p-value from exchanging the models
    for some of the people of all data sets at random.

    Args:
        a, b: evaluations of the same S data sets, in the same order.
        level, draws, seed: as for :func:`~resight.retrieval.evaluation.compare.compare`.

    Returns:
        A comparison whose ``difference`` has the queries of all data sets in a row.

    Raises:
        DataError: no data set, other numbers of them, or as :func:`~resight.retrieval.evaluation.compare.compare`.
    """
    if not a or len(a) != len(b):
        raise DataError(f"The models have {len(a)} and {len(b)} reports: pass one of each model for every data set.")
    each = [compare(*pair, level=level, draws=draws, seed=seed) for pair in zip(a, b, strict=True)]
    means, gained = [], []
    for at, (before, now) in enumerate(zip(a, b, strict=True)):
        known = np.isfinite(before.average_precision)
        assert before.identities is not None
        sums, counts = by_person((per_query(now) - per_query(before))[known], before.identities[known])
        means.append(draw_means(sums, counts, draws, [seed, at]))
        gained.append(sums[:, 0] / counts.sum() / len(a))
    mean, r1, r5, r10 = (
        interval(float(np.mean([getattr(one, name).value for one in each])), drawn, level)
        for name, drawn in zip(COLUMNS, np.mean(means, 0).T, strict=True)
    )
    wins, losses, ties = (sum(getattr(one, what) for one in each) for what in ("wins", "losses", "ties"))
    p_value = exchange_people(np.concatenate(gained), draws, seed)
    return Comparison(mean, r1, r5, r10, wins, losses, ties, p_value, np.concatenate([one.difference for one in each]))


def _value(report: Report, name: str) -> float:
    return report.cmc[int(name[1:])] if name[0] == "R" else float(getattr(report, name))
