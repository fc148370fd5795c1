"""Linking by appearance and time: travel times are learnt from the links that appearance gives, and used for the rest.

The first links come from appearance alone (:func:`resight.watch.link.link`). From them, and from links that are known,
travel times are learnt (:mod:`resight.watch.travel`); then all is linked again, the distance of two groups being

    average distance - mean over i, j of log ratio(i, j) / slope

where i, j are the neighbours in time that come from different groups when the two are put in one order, and the slope
is how fast the logarithm of the odds falls with the distance, which the calibration knows: both terms are evidence in
the same unit. The bound is the calibrated threshold, as without times.

Among many tracks there are look-alikes within the threshold, and links with these teach wrong times. How many is known:
the share of the pairs that cannot be one individual and are within the threshold all the same, times the number of
tracks. Where C > 1 look-alikes are expected for each track, a link is right if neither of its tracks has another that
fits as well; it counts 1/C^2, and the rest is learnt without links (:func:`resight.watch.travel.surplus`). And a usual
time makes up for a larger distance only as long as few look-alikes have such a time: up to the distance at which
``CHANCE`` of them are expected for each track.

Shape letters: ``T`` tracks.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from resight.clustering.linkage import Groups
from resight.decisions.decide import Decision
from resight.decisions.probability import slope_at
from resight.records import Embeddings
from resight.retrieval.ranking.distance import pairwise as distances
from resight.retrieval.ranking.within import matches_within
from resight.watch.link import NOTHING, Answers, Pairs, Rules, Sighted, forbidden, link
from resight.watch.travel import MOST, TravelTimes, cannot_be_one, evidence, surplus

ROUNDS = 3  # links are looked for again with what was learnt from the ones before
CHANCE = 4.0  # 2 to 4 were best on drawn scenes of 50 and 200 people
ENOUGH = 8.0  # links below which times say nothing


class TimedGroups(Groups):
    """Groups whose distance counts what the times of neighbouring tracks say.

    Args:
        begin: (T,) when each track begins; ``bonus``: (T, T) what to take off the distance for track i directly before
            track j, NaN where time says nothing.

    Attributes:
        joins: the members of either group and their distance, for each two groups that were joined.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        metric: str,
        threshold: float,
        begin: NDArray[np.float64],
        bonus: NDArray[np.float32],
    ) -> None:
        super().__init__(vectors, metric, threshold)
        self.joins: list[tuple[list[int], list[int], float]] = []
        self._order = np.argsort(begin, kind="stable").argsort().tolist()
        self._bonus = bonus
        self._members = [[at] for at in range(len(vectors))]
        self._most = float(np.nanmax(bonus, initial=0.0))

    def distance(self, x: int, y: int) -> float:
        """The average distance less what the times say; its square for the Euclidean metric."""
        apart = super().distance(x, y)
        plain = apart if self.cosine else float(np.sqrt(max(0.0, apart)))
        bound = self.limit if self.cosine else float(np.sqrt(self.limit))
        if plain - self._most > bound:
            return apart
        found = max(0.0, plain - self._between(x, y))
        return found if self.cosine else found**2

    def join(self, x: int, y: int) -> int:
        """Make one group of two, named by the first."""
        apart = self.distance(x, y)
        self.joins.append((self._members[x], self._members[y], apart if self.cosine else apart**0.5))
        self._members[x] = list(heapq.merge(self._members[x], self._members[y], key=self._order.__getitem__))
        self._members[y] = []
        return super().join(x, y)

    def _between(self, x: int, y: int) -> float:
        if len(self._members[x]) == len(self._members[y]) == 1:  # most are
            (a,), (b,) = self._members[x], self._members[y]
            one = float(self._bonus[a, b] if self._order[a] < self._order[b] else self._bonus[b, a])
            return one if one == one else 0.0
        own = set(self._members[x])
        line = list(heapq.merge(self._members[x], self._members[y], key=self._order.__getitem__))
        new = [self._bonus[a, b] for a, b in pairwise(line) if (a in own) != (b in own)]
        known = [float(one) for one in new if one == one]
        return sum(known) / len(known) if known else 0.0


@dataclass(frozen=True, eq=False)
class Linked:
    """What :func:`link_in_time` found.

    Attributes:
        groups: of each of T tracks, from 0 on.
        links: (earlier, later) of tracks that follow one another in their group, with known times.
        made: the groups with their distances, and how they were made.
        weight: of each of the links for travel times.
    """

    groups: list[int]
    links: list[tuple[int, int]]
    made: TimedGroups
    weight: float = 1.0


def slope_of(decision: Decision | None, threshold: float) -> float:
    """How fast the logarithm of the odds falls with the distance, around the threshold; ``MOST`` over it if unknown."""
    if decision is None:
        return MOST / threshold
    return slope_at(decision.knots, threshold)


def link_in_time(
    vectors: NDArray[np.float32],
    metric: str,
    threshold: float,
    seen: Sequence[Sighted],
    rules: Rules,
    home: float,
    times: TravelTimes,
    slope: float,
    answers: Answers = NOTHING,
    context: tuple[Sequence[Sighted], NDArray[np.float32]] | None = None,
) -> Linked:
    """As :func:`resight.watch.link.link`, with travel times.

    Args:
        vectors, metric, threshold, seen, rules, home, answers: as there.
        times: links that are known, which stay as they are.
        slope: see :func:`slope_of`.
        context: sightings of these cameras, and their vectors, with which links are compared; those of ``seen`` if
            there are more of them.
    """
    if not seen:
        return Linked([], [], TimedGroups(vectors, metric, threshold, np.zeros(0), np.zeros((0, 0), np.float32)))
    begin = np.array([one.begin for one in seen])
    weight = max(1.0, len(seen) * look_alikes(vectors, metric, threshold, forbidden(seen, rules))) ** -2
    compared, looks = context if context and len(context[0]) > len(seen) else (seen, vectors)
    extra = (1 - weight) * surplus(compared, looks, metric, threshold, rules) if weight < 1 else None
    bonus = np.full((len(seen), len(seen)), np.nan, np.float32)
    for last in (*(False,) * ROUNDS, True):
        made = TimedGroups(vectors, metric, threshold, begin, bonus)
        reach = threshold + float(np.nanmax(bonus, initial=0.0))
        groups = link(vectors, metric, threshold, seen, rules, home, answers, made, reach)
        links = successions(seen, groups)
        if last or times.total + len(links) < ENOUGH:
            break
        ratios = evidence(times.with_links(seen, links, weight), seen, compared, rules, extra)
        bonus = np.minimum(ratios / np.float32(slope), room(vectors, metric, threshold, seen, rules, ratios > 0))
    return Linked(groups, links, made, weight)


def room(
    vectors: NDArray[np.float32],
    metric: str,
    threshold: float,
    seen: Sequence[Sighted],
    rules: Rules,
    usual: NDArray[np.bool_],
) -> np.float32:
    """How far beyond the threshold ``CHANCE`` look-alikes are expected for each of T tracks at a usual time.

    Args:
        vectors, metric, threshold, seen, rules: as for :func:`resight.watch.link.link`.
        usual: (T, T) whether the time of track i before track j is.
    """
    apart = cannot_be_one(seen, rules)
    strangers = distances(vectors, vectors, metric)[apart]
    others = float((usual & ~apart).sum()) / len(seen)
    if not len(strangers) or others <= CHANCE:
        return np.float32(np.inf)
    return np.float32(max(0.0, float(np.quantile(strangers, CHANCE / others)) - threshold))


def look_alikes(vectors: NDArray[np.float32], metric: str, threshold: float, apart: Pairs) -> float:
    """The share of the pairs that cannot be one individual and are within the threshold; with few pairs near 1%."""
    near = matches_within(Embeddings(vectors), Embeddings(vectors), threshold, metric)
    left = np.repeat(np.arange(len(vectors)), np.diff(near.offsets))
    return (int(apart[left, near.indices].sum()) + 1) / (int(apart.sum()) + 100)


def successions(seen: Sequence[Sighted], groups: Sequence[int]) -> list[tuple[int, int]]:
    """(earlier, later) of sightings that follow one another in their group, on one clock."""
    last: dict[tuple[int, str | None], int] = {}
    found = []
    for at in sorted(range(len(seen)), key=lambda at: seen[at].begin):
        key = groups[at], seen[at].clock
        if key in last and seen[at].clock is not None:
            found.append((last[key], at))
        last[key] = at
    return found
