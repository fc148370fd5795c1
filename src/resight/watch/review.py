"""The most doubtful links of a gallery's tracks, for people to look at, and links made anew with their answers.

Every link and every pair of groups that was left apart has a distance D, and is wrong with a probability that falls
with |D - bound|, the bound being the calibrated threshold and the slope that of the calibration. What is asked first is
where an answer would correct the most: the probability times the number of pairs of tracks that it is about.

Shape letters: ``T`` tracks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from resight.gallery import answers
from resight.gallery.gallery import Gallery
from resight.gallery.record import Conflict, Filter, Missing, Record
from resight.retrieval.ranking.distance import pairwise
from resight.watch.answers import between
from resight.watch.learning import Learning
from resight.watch.link import NOTHING, Answers, Rules, Sighted, at_home, excluded
from resight.watch.naming import fresh_names, known_identities
from resight.watch.origin import MARK, origin_of, sighted
from resight.watch.timed import Linked, slope_of

MOST = 1000  # tracks that are linked together, the newest
GIVEN = re.compile(r"(person|vehicle|object) \d+")  # the names that watching gives; others stay as they are
ANYWHERE, ALL = Rules(), Filter()


@dataclass(frozen=True)
class Doubt:
    """A question: are these two tracks of one individual?

    Attributes:
        first, second: records; ``joined``: whether they are linked now.
        distance: between the two groups that the answer decides about, less what the times say.
        wrong: the probability that what is now is wrong.
        pairs: how many pairs of tracks the answer is about.
    """

    first: str
    second: str
    joined: bool
    distance: float
    wrong: float
    pairs: int


def track_records(gallery: Gallery, where: Filter = ALL, most: int = MOST) -> list[Record]:
    """The newest tracks of a gallery, by time; those without a time first."""
    found = gallery.newest(where, limit=most, source=MARK)
    return [record for record in reversed(found) if origin_of(record) is not None]


def doubts(
    vectors: NDArray[np.float32],
    metric: str,
    threshold: float,
    slope: float,
    seen: Sequence[Sighted],
    rules: Rules,
    linked: Linked,
    answers: Answers = NOTHING,
) -> list[tuple[int, int, bool, float, float, int]]:
    """(first, second, joined, distance, wrong, pairs) as in :class:`Doubt`, the most to be corrected first."""
    groups = linked.made
    apart = excluded(seen, rules, answers)
    found: list[tuple[int, int, bool, float, float, int]] = []

    def consider(x: Sequence[int], y: Sequence[int], joined: bool, distance: float) -> None:
        two = pairwise(vectors[list(x)], vectors[list(y)], metric)
        a, b = divmod(int(two.argmin()), len(y))
        odds = np.clip(slope * (distance - threshold), -30, 30)
        same = 1 / (1 + np.exp(odds))
        wrong = float(1 - same if joined else same)
        found.append((x[a], y[b], joined, distance, wrong, len(x) * len(y)))

    for x, y, distance in groups.joins:
        consider(x, y, True, distance)
    members: dict[int, list[int]] = {}
    for at, group in enumerate(linked.groups):
        members.setdefault(group, []).append(at)
    different = list(members.values())
    for number, x in enumerate(different):
        no = np.any(apart[x], axis=0)
        for y in different[number + 1 :]:
            if not no[y].any():
                distance = groups.distance(groups.of(x[0]), groups.of(y[0]))
                consider(x, y, False, distance if groups.cosine else distance**0.5)
    asked = {frozenset(pair) for pair in (*answers.same, *answers.different)}
    named = [one.name for one in seen]
    left = [
        one
        for one in found
        if frozenset(one[:2]) not in asked and (named[one[0]] is None or named[one[0]] != named[one[1]])
    ]
    return sorted(left, key=lambda one: -one[4] * one[5])


def overlapping(seen: Sequence[Sighted]) -> frozenset[frozenset[str]]:
    """Pairs of cameras that saw one identity at the same time."""
    found = set()
    for at, one in enumerate(seen):
        for other in seen[:at]:
            once = one.clock == other.clock and one.begin <= other.end and other.begin <= one.end
            if (
                once
                and one.clock is not None
                and one.name is not None
                and one.name == other.name
                and one.camera != other.camera
            ):
                found.add(frozenset((one.camera, other.camera)))
    return frozenset(found)


class Review:
    """Questions about the tracks of a gallery, and their names made anew from the answers.

    Args:
        gallery: holds the tracks.
        threshold: the largest distance of one individual.
        rules: what time and place allow; cameras overlap where one identity was seen by both at once.
    """

    def __init__(self, gallery: Gallery, threshold: float, rules: Rules = ANYWHERE) -> None:
        self.gallery, self.threshold, self.rules = gallery, threshold, rules

    def questions(self, most: int = 20) -> list[Doubt]:
        """The pairs whose answers would correct the most, without those that have an answer."""
        records, seen, vectors, linked, known = self._linked()
        if not records:
            return []
        ids = [record.id for record in records]
        unsure = {frozenset((one.first, one.second)) for one in answers.of(self.gallery)}
        found = []
        slope, metric = slope_of(self.gallery.decision, self.threshold), self.gallery.card.metric
        for a, b, joined, distance, wrong, pairs in doubts(
            vectors, metric, self.threshold, slope, seen, self.rules, linked, known
        ):
            if a < len(ids) and b < len(ids) and frozenset((ids[a], ids[b])) not in unsure:
                found.append(Doubt(ids[a], ids[b], joined, distance, wrong, pairs))
            if len(found) == most:
                break
        return found

    def link(self) -> int:
        """Link all tracks anew with the answers, and give them their names; how many names changed."""
        records, seen, _, linked, _ = self._linked()
        groups: dict[int, list[int]] = {}
        for at, group in enumerate(linked.groups):
            groups.setdefault(group, []).append(at)
        names: dict[int, str] = {}
        taken: set[str] = set()
        wishes = []
        for group, members in groups.items():
            fixed = {seen[at].name for at in members} - {None}
            for name in fixed:
                wishes.append((np.inf, str(name), group))
            for name, count in Counter(records[at].identity for at in members if at < len(records)).items():
                if name is not None:
                    wishes.append((float(count), name, group))
        for _, name, group in sorted(wishes, key=lambda one: (-one[0], one[1], one[2])):
            if name not in taken and group not in names:
                names[group] = name
                taken.add(name)
        kinds = Counter(str(one.identity).split()[0] for one in records if one.identity is not None)
        fresh = fresh_names(self.gallery, max(kinds, key=lambda kind: kinds[kind], default="person"))
        changed = 0
        for group, members in groups.items():
            own = [records[at] for at in members if at < len(records)]
            if own and group not in names:
                names[group] = next(fresh)
            moving: dict[str | None, list[str]] = {}
            for record in own:
                moving.setdefault(record.identity, []).append(record.id)
            for old, ids in moving.items():
                if old != names[group]:
                    changed += self._rename(old, ids, names[group])
        return changed

    def _linked(self) -> tuple[list[Record], list[Sighted], NDArray[np.float32], Linked, Answers]:
        """The tracks, then sightings of people with other names, and their groups."""
        tracks = track_records(self.gallery)
        records = [one for one in tracks if one.identity is None or GIVEN.fullmatch(one.identity)]
        vectors = np.zeros((0, self.gallery.card.dim), np.float32)
        if records:
            vectors = self.gallery.vectors([record.id for record in records])
        named = [sighted(record) for record in records]
        self.rules = Rules(self.rules.overlap | overlapping(named), self.rules.travel, self.rules.window)
        own = [replace(one, name=None) for one in named]
        ids = {record.id for record in records}
        others, known = known_identities(self.gallery, ids, set(), vectors, self.threshold, GIVEN)
        seen, everything = [*own, *others], np.concatenate([vectors, known])
        answers = between(self.gallery, [record.id for record in records])
        linked = Learning().link(
            everything,
            self.gallery.card.metric,
            self.threshold,
            seen,
            list(range(len(records))),
            self.rules,
            at_home([]),
            slope_of(self.gallery.decision, self.threshold),
            answers,
        )
        return records, seen, everything, linked, answers

    def _rename(self, old: str | None, ids: list[str], name: str) -> int:
        """Give records another name; how many of them got it."""
        try:
            if old is not None:
                self.gallery.split(old, ids)
            self.gallery.enrol(name, ids)
        except (Conflict, Missing):  # another program named or erased one of them meanwhile
            return 0 if len(ids) == 1 else sum(self._rename(old, [id], name) for id in ids)
        return len(ids)
