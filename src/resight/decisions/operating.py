"""What thresholds do: false-match and false-non-match rates with intervals, for pairs and for whole searches.

Where the data cannot support a rate, there is no number. The rule of three says how much is needed: when none of n
independent pairs was a false match, rates up to 3 / n remain possible (95%), so a rate f asks for 3 / f pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.decisions.curves import curve, fnmr, threshold_at
from resight.decisions.pairs import Pairs, near_impostors
from resight.records import Embeddings
from resight.retrieval.evaluation.compare import Interval
from resight.retrieval.evaluation.identity_bootstrap import (
    count_near,
    draw,
    group_identities,
    impostor_totals,
    pair_rate,
    rate,
)
from resight.retrieval.ranking.protocols import Protocol
from resight.retrieval.ranking.rank import MEMORY

RATES = (1e-2, 1e-3, 1e-4, 1e-5)
SEARCH_RATES = (1e-1, 1e-2)
LEAST_IDENTITIES = 20
"""Fewest identities that an interval is computed for."""


@dataclass(frozen=True)
class Point:
    """A wanted false-match rate and what comes with it.

    Attributes:
        wanted: the false-match rate asked for.
        needed: how many different impostor pairs it needs.
        threshold: the largest distance that keeps it; None where the data has too few pairs.
        fmr, fnmr: what that threshold attains on the data, with intervals at this very threshold.
    """

    wanted: float
    needed: int
    threshold: float | None = None
    fmr: Interval | None = None
    fnmr: Interval | None = None


@dataclass(frozen=True)
class SearchPoint:
    """A wanted false-positive identification rate and what comes with it (ISO/IEC 19795-1, open set).

    Attributes:
        wanted: the share of strangers' searches that may return anybody.
        needed: how many searches of strangers it needs.
        threshold: the largest distance that keeps it; None where the data has too few searches.
        fpir: the share attained.
        tpir: the share of the other searches whose true match is the first of all and within the threshold.
    """

    wanted: float
    needed: int
    threshold: float | None = None
    fpir: Interval | None = None
    tpir: Interval | None = None


@dataclass(frozen=True)
class Errors:
    """Error rates of thresholds on one query set and gallery.

    Attributes:
        eer: the equal error rate.
        eer_threshold: the distance at which it is attained.
        points: one for each wanted false-match rate, largest first.
        searches: one for each wanted false-positive identification rate.
        strangers: how many queries have no true match in the gallery. Where there are none, every query is searched
            for once more in a gallery without its own identity.
    """

    eer: Interval
    eer_threshold: float
    points: tuple[Point, ...]
    searches: tuple[SearchPoint, ...]
    strangers: int


def needed(wanted: float) -> int:
    """How many trials a rate needs: 3 / rate."""
    return math.ceil(3 / wanted - 1e-6)


def errors(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    metric: str,
    pairs: Pairs,
    rates: Sequence[float] = RATES,
    memory: int = MEMORY,
) -> Errors:
    """The equal error rate, and what thresholds for wanted rates attain.

    Args:
        query, gallery, protocol, metric, memory: as for :func:`resight.decisions.pairs.collect`.
        pairs: what it found; some of either kind are needed.
        rates: wanted false-match rates, each in (0, 1).
    """
    assert query.identities is not None
    eer, at_eer = curve(pairs).eer()
    thresholds = {
        wanted: threshold_at(pairs.impostors, wanted, pairs.copies)
        for wanted in sorted(set(rates), reverse=True)
        if pairs.different_impostors >= needed(wanted)
    }
    chosen = sorted({one for one in thresholds.values() if one is not None} | {at_eer})
    attained = rates_at(query, gallery, protocol, metric, pairs, chosen, memory)
    of = dict(zip(chosen, attained, strict=True))
    points = []
    for wanted in sorted(set(rates), reverse=True):
        threshold = thresholds.get(wanted)
        both = (None, None) if threshold is None else of[threshold]
        points.append(Point(wanted, needed(wanted), threshold, *both))
    false, missed = of[at_eer]  # a draw's own EER lies between its two rates at this threshold
    low, high = (false.low + missed.low) / 2, (false.high + missed.high) / 2
    return Errors(
        Interval(eer, min(low, eer), max(high, eer)),
        at_eer,
        tuple(points),
        tuple(_search(query, gallery, pairs, wanted) for wanted in SEARCH_RATES),
        int((pairs.asked & ~pairs.has_match).sum()),
    )


def rates_at(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    metric: str,
    pairs: Pairs,
    thresholds: Sequence[float],
    memory: int = MEMORY,
) -> list[tuple[Interval, Interval]]:
    """(FMR, FNMR) at each of some thresholds, ascending and at ends of steps, with intervals over identities."""
    groups = group_identities(query, gallery)
    draws, totals = draw(groups.count), impostor_totals(query, gallery, groups)
    ends = np.array(thresholds, np.float32)
    near = near_impostors(query, gallery, protocol, metric, float(ends[-1]), memory)
    within = count_near(near, ends, groups)
    owner = groups.query[pairs.genuine_query]
    genuine = np.bincount(owner, minlength=groups.count)
    found = []
    for threshold, false in zip(ends, within, strict=True):
        beyond = np.bincount(owner[pairs.genuine > threshold], minlength=groups.count)
        found.append((pair_rate(false, totals, draws, pairs.copies), rate(beyond, genuine, draws, pairs.copies)))
    return found


def false_positives(query: Embeddings, pairs: Pairs) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Which queries (Q,) are searched for as strangers, and the distance to the nearest image of anybody else."""
    strangers = pairs.asked & ~pairs.has_match
    return (strangers if strangers.any() else pairs.asked), pairs.nearest_other


def _search(query: Embeddings, gallery: Embeddings, pairs: Pairs, wanted: float) -> SearchPoint:
    strangers, nearest = false_positives(query, pairs)
    count = int(strangers.sum())
    if count < needed(wanted):
        return SearchPoint(wanted, needed(wanted))
    allowed = math.floor(wanted * (count + 1) + 1e-9) - 1
    first_too_many = np.sort(nearest[strangers])[allowed]
    threshold = np.nextafter(first_too_many, np.float32(-1))
    if threshold < 0:
        return SearchPoint(wanted, needed(wanted))
    groups = group_identities(query, gallery)
    draws, size = draw(groups.count), groups.count
    found = np.bincount(groups.query[strangers & (nearest <= threshold)], minlength=size)
    right = pairs.has_match & pairs.match_first & (pairs.nearest_match <= threshold)
    return SearchPoint(
        wanted,
        needed(wanted),
        float(threshold),
        rate(found, np.bincount(groups.query[strangers], minlength=size), draws),
        rate(
            np.bincount(groups.query[right], minlength=size),
            np.bincount(groups.query[pairs.has_match], minlength=size),
            draws,
        ),
    )


def beyond(pairs: Pairs, threshold: float) -> float:
    """The share of genuine pairs beyond a threshold."""
    return float(fnmr(pairs, np.array([threshold], np.float32))[0])
