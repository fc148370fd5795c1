"""Which tracks are of one individual, over cameras and days: grouping by appearance under the rules of time and place.

Two tracks cannot be of one individual if they were seen by one camera at the same time, or by two cameras whose views
do not overlap at the same time, or sooner one after the other than one can walk. Groups of tracks are joined, the two
nearest of all first, while their average distance is within the threshold and nothing forbids it. Unlike the images of
:mod:`resight.clustering.group`, of which there may be millions and which join in the order of single pairs, there are
few tracks, so that the nearest groups are searched for again after every step.

A calibrated threshold holds for pictures like those of the calibration. In another place all distances may be smaller,
also between strangers. The tracks themselves show how small: two tracks of one camera bring their groups together only
within ``HOME`` times the change that nine of ten tracks go through from their first to their second half.

Shape letters: ``T`` tracks, ``D`` embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from resight.clustering.linkage import Constrained, Groups
from resight.records import Embeddings
from resight.retrieval.ranking.within import matches_within

HOME = 4.0  # chosen on one clip and two synthetic scenes; on Market-1501's tracks it is far above any threshold
LEAST = 5  # tracks with a known change, below which nothing is learned from them
WORLD = "1970"  # the clock of all cameras and videos whose time is known

Pairs: TypeAlias = NDArray[np.bool_]
"""(T, T), symmetric."""


@dataclass(frozen=True)
class Sighted:
    """Where and when one individual was seen, and its name.

    Attributes:
        camera: its name.
        begin, end: seconds on ``clock``.
        clock: times are compared only where this is the same; None where no time is known.
        name: None where there is none yet.
    """

    camera: str
    begin: float
    end: float
    clock: str | None
    name: str | None = None


@dataclass(frozen=True)
class Rules:
    """What time and place allow.

    Attributes:
        overlap: pairs of cameras with overlapping views, which may see one individual at the same time.
        travel: the shortest time in seconds from one camera to another whose view does not overlap.
        window: two tracks with more seconds between them do not bring their groups together.
    """

    overlap: frozenset[frozenset[str]] = frozenset()
    travel: float = 0.0
    window: float = np.inf


@dataclass(frozen=True)
class Answers:
    """What people said about pairs of tracks, by their places among those that are linked."""

    same: tuple[tuple[int, int], ...] = ()
    different: tuple[tuple[int, int], ...] = ()


NOTHING = Answers()


def forbidden(seen: Sequence[Sighted], rules: Rules) -> Pairs:
    """(T, T) which sightings cannot be of one individual; those of one name can."""
    if not seen:
        return np.zeros((0, 0), np.bool_)
    camera, clock, name = (codes([getattr(one, what) for one in seen]) for what in ("camera", "clock", "name"))
    begin, end = (np.array([getattr(one, what) for one in seen], np.float64) for what in ("begin", "end"))
    names = list(dict.fromkeys(one.camera for one in seen))
    both = np.array([[frozenset((a, b)) in rules.overlap for b in names] for a in names], bool)
    own = camera[:, None] == camera
    found: Pairs = (begin <= end[:, None] + rules.travel) & ~own | (begin <= end[:, None]) & own
    found &= found.T
    found &= (clock[:, None] == clock) & (clock >= 0)
    if both.any():
        found &= own | ~both[camera[:, None], camera]
    named = (name[:, None] >= 0) & (name >= 0)
    same = name[:, None] == name
    found |= named & ~same
    found &= ~(named & same)  # what is known stays
    np.fill_diagonal(found, False)
    return found


def codes(values: Sequence[str | None]) -> NDArray[np.int16]:
    """(T,) a number for each different value, in the order of their first; -1 for None."""
    numbers: dict[str, int] = {}
    found = [-1 if value is None else numbers.setdefault(value, len(numbers)) for value in values]
    return np.array(found, np.int16 if len(numbers) < 2**15 else np.int32)


def at_home(changes: Sequence[float]) -> float:
    """The distance up to which tracks of one camera are alike, from the changes of tracks; infinity for too few."""
    known = np.array(changes)[np.isfinite(changes)]
    return HOME * float(np.quantile(known, 0.9)) if len(known) >= LEAST else np.inf


def link(
    vectors: NDArray[np.float32],
    metric: str,
    threshold: float,
    seen: Sequence[Sighted],
    rules: Rules,
    home: float = np.inf,
    answers: Answers = NOTHING,
    groups: Groups | None = None,
    reach: float | None = None,
) -> list[int]:
    """The group of each of T tracks, from 0 on, numbered by their first track.

    Args:
        vectors: (T, D), one for each of ``seen``.
        metric: "cosine" or "euclidean"; for cosine the average distance of two groups is the mean over all pairs, for
            Euclidean distance the root of the mean square.
        threshold: the largest average distance of groups that become one.
        seen: sightings of one name are one group from the beginning.
        rules: what time and place allow.
        home: the largest distance at which two tracks of one camera bring their groups together, see :func:`at_home`.
        answers: what people know; it counts for more than the rules.
        groups: the vectors in groups of one each, with a distance of their own; by appearance alone if not given.
        reach: the largest distance of two tracks that bring their groups together; the threshold if not given.
    """
    if not seen:
        return []
    groups = groups or Groups(vectors, metric, threshold)
    first: dict[str, int] = {}
    stands = np.array([at if one.name is None else first.setdefault(one.name, at) for at, one in enumerate(seen)])
    linkage = Constrained(groups, _apart(excluded(seen, rules, answers), stands))
    for at in np.flatnonzero(stands != np.arange(len(seen))).tolist():
        linkage.join(int(stands[at]), at)
    for a, b in answers.same:
        if groups.of(a) != groups.of(b) and groups.of(b) not in linkage.apart[groups.of(a)]:
            linkage.join(a, b)
    near = matches_within(Embeddings(vectors), Embeddings(vectors), reach or threshold, metric)
    left = np.repeat(np.arange(len(vectors)), np.diff(near.offsets))
    for a, b, far in zip(left.tolist(), near.indices.tolist(), near.distances.tolist(), strict=True):
        near_in_time = seen[a].clock != seen[b].clock or pause(seen[a], seen[b]) <= rules.window
        if near_in_time and (far <= home or seen[a].camera != seen[b].camera):
            linkage.allow(a, b)
    linkage.link()
    numbers: dict[int, int] = {}
    return [numbers.setdefault(groups.of(at), len(numbers)) for at in range(len(seen))]


def pause(one: Sighted, other: Sighted) -> float:
    """The seconds from the end of one sighting to the beginning of the other; below 0 where they overlap."""
    return max(one.begin, other.begin) - min(one.end, other.end)


def excluded(seen: Sequence[Sighted], rules: Rules, answers: Answers) -> Pairs:
    """As :func:`forbidden`, with what people answered: they count for more than time and place."""
    apart = forbidden(seen, rules)
    for pairs, different in ((answers.same, False), (answers.different, True)):
        for a, b in pairs:
            apart[a, b] = apart[b, a] = different
    return apart


def _apart(excluded: Pairs, stands: NDArray[np.int64]) -> list[set[int]]:
    """For each track that stands for those of its name the others that stand for what it excludes, by one of them."""
    found: list[set[int]] = [set() for _ in stands]
    for at in np.unique(stands).tolist():
        others = excluded[stands == at].any(axis=0)
        found[at] = set(stands[others].tolist()) - {at}
    return found
