"""What cameras, frames, tracks and times say of two crops, whatever they look like.

Two boxes in one frame of one camera are two people, and so are two tracks of one camera that were there at the same
time; nobody is in two cameras sooner than one can walk, unless their views overlap.
The images of one track are of one person, and so are those that somebody gave one name. All of it can be wrong here
and there (a detector that boxes one person twice, a tracker that changes over to somebody else), so that a cluster is
taken apart only where several of its images contradict each other; or one answer of a person about two of them.

Shape letters: ``N`` images, ``E`` pairs of images, ``T`` tracks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from resight.adaptation.cells import UNKNOWN
from resight.adaptation.crops import Crops
from resight.errors import DataError
from resight.records import DISTRACTOR
from resight.watch.link import Rules

TOLERATED = 0.1  # the share of a cluster's images that may contradict another one

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Constraints:
    """The rules of time and place for N crops.

    Attributes:
        crops: what is known of them.
        rules: which cameras' views overlap, and the shortest time from one camera to another.
        named: whether the identities that are known of some crops count.
    """

    crops: Crops
    rules: Rules = field(default_factory=Rules)
    named: bool = False

    def __post_init__(self) -> None:
        unknown = sorted({name for pair in self.rules.overlap for name in pair} - set(self.crops.camera_names))
        if unknown:
            known = ", ".join(self.crops.camera_names) or "none"
            raise DataError(f"There is no camera {unknown[0]!r} to overlap with another: the cameras are {known}.")

    @property
    def together(self) -> Integers | None:
        """(N,) which images are of one person: of one name, or else the same by answers, or else of one track, -1
        for none of these; None for all."""
        tracks = self.crops.tracks
        people = np.where(self._people >= 0, self._tracks + self._people, tracks)
        after = int(people.max(initial=UNKNOWN)) + 1
        who = np.where(self._who >= 0, after + self._who, people)
        return who if (who >= 0).any() else None

    @property
    def forbid(self) -> bool:
        """Whether any pair may be forbidden."""
        timed = self.rules.travel > 0 and bool(np.isfinite(self.crops.times).any())
        return (
            timed
            or len(np.unique(self._who[self._who >= 0])) > 1
            or bool((self.crops.frames >= 0).any())
            or len(self._pairs_of_tracks) > 0
            or len(self._apart) > 0
        )

    def allowed(self, one: Integers, other: Integers) -> NDArray[np.bool_]:
        """Which of E pairs of images may be of one person."""
        crops = self.crops
        fine = (crops.frames[one] != crops.frames[other]) | (crops.frames[one] < 0) | (one == other)
        tracks = crops.tracks[one], crops.tracks[other]
        if len(self._pairs_of_tracks):
            key = np.minimum(*tracks) * self._tracks + np.maximum(*tracks)
            at = np.minimum(np.searchsorted(self._pairs_of_tracks, key), len(self._pairs_of_tracks) - 1)
            fine &= (self._pairs_of_tracks[at] != key) | (np.minimum(*tracks) < 0)
        if self.rules.travel > 0:
            seen = crops.cameras[one], crops.cameras[other]
            soon = np.abs(crops.times[one] - crops.times[other]) < self.rules.travel
            fine &= ~(soon & (seen[0] != seen[1]) & ~self._overlap[seen])
        fine |= (tracks[0] == tracks[1]) & (tracks[0] >= 0)
        people = self._people[one], self._people[other]
        fine |= (people[0] == people[1]) & (people[0] >= 0)
        fine &= ~self._answered_apart(*people)
        names = self._who[one], self._who[other]
        fine &= (names[0] == names[1]) | (np.minimum(*names) < 0)
        return np.asarray(fine, np.bool_)

    def contradicted(self, labels: Integers) -> Integers:
        """The clusters, ascending, of which more than ``TOLERATED`` of the images contradict another of their own.

        One answer that two of its images are different suffices.

        Args:
            labels: (N,) clusters from 0 on, -1 for none.
        """
        if not self.forbid:
            return np.empty(0, np.int64)
        wrong = np.zeros(len(labels), bool)
        for key in (self.crops.frames, self.crops.times, self._begins, self._who):
            for one, other in _neighbours(labels, key):
                clash = ~self.allowed(one, other)
                wrong[one[clash]] = wrong[other[clash]] = True
        sizes = np.bincount(labels[labels >= 0])
        counts = np.bincount(labels[wrong & (labels >= 0)], minlength=len(sizes))
        found = counts > TOLERATED * sizes
        for images in self._told_apart():
            own = labels[images[:, 0]]
            found[own[(own >= 0) & (own == labels[images[:, 1]])]] = True
        return np.flatnonzero(found)

    def _told_apart(self) -> Iterator[Integers]:
        """(E, 2) pairs of images that answers tell apart and names do not join, for each pair of people."""
        for pair in self._apart.tolist():
            one, other = (np.flatnonzero(self._people == person) for person in pair)
            images = np.stack([grid.ravel() for grid in np.meshgrid(one, other)], axis=1)
            yield images[~self.allowed(images[:, 0], images[:, 1])]

    def _answered_apart(self, one: Integers, other: Integers) -> NDArray[np.bool_]:
        """Which of E pairs of people, -1 for nobody, are two by an answer."""
        if not len(self._apart):
            return np.zeros(len(one), np.bool_)
        count = int(self._apart.max()) + 1
        low, high = np.minimum(one, other), np.maximum(one, other)
        known = (low >= 0) & (high < count)
        return known & np.isin(low * count + high, self._apart[:, 0] * count + self._apart[:, 1])

    @property
    def _people(self) -> Integers:
        """(N,) who is the same by answers, -1 for nobody."""
        answers = self.crops.answers
        return answers.people if answers else np.full(len(self.crops), UNKNOWN, np.int64)

    @property
    def _apart(self) -> Integers:
        """(M, 2) pairs of people that are two by answers."""
        return self.crops.answers.apart if self.crops.answers else np.empty((0, 2), np.int64)

    @cached_property
    def _who(self) -> Integers:
        """(N,) the names as numbers from 0 on, -1 where unknown or not to count."""
        found = np.full(len(self.crops), UNKNOWN, np.int64)
        known = self.crops.images.identities > DISTRACTOR
        if self.named and known.any():
            found[known] = np.unique(self.crops.images.identities[known], return_inverse=True)[1]
        return found

    @cached_property
    def _overlap(self) -> NDArray[np.bool_]:
        """Which cameras' views overlap; the last row and column are of the camera that is unknown, number -1."""
        names = self.crops.camera_names
        found = np.ones((len(names) + 1, len(names) + 1), np.bool_)
        for at, name in enumerate(names):
            found[at, :-1] = [frozenset((name, other)) in self.rules.overlap for other in names]
        return found

    @property
    def _tracks(self) -> int:
        return int(self.crops.tracks.max(initial=UNKNOWN)) + 1

    @cached_property
    def _spans(self) -> tuple[Integers, NDArray[np.float64], NDArray[np.float64]]:
        """Camera, begin and end of each of T tracks: in seconds, or else in frames; NaN where neither is known."""
        crops, known = self.crops, self.crops.tracks >= 0
        moments = np.where(np.isfinite(crops.times), crops.times, np.nan)
        if not np.isfinite(moments[known]).any():
            moments = np.where(crops.frames >= 0, crops.frames, np.nan)
        begin, end = np.full(self._tracks, np.inf), np.full(self._tracks, -np.inf)
        known &= np.isfinite(moments)
        np.minimum.at(begin, crops.tracks[known], moments[known])
        np.maximum.at(end, crops.tracks[known], moments[known])
        camera = np.full(self._tracks, UNKNOWN, np.int64)
        camera[crops.tracks[known]] = crops.cameras[known]
        return camera, begin, end

    @cached_property
    def _begins(self) -> NDArray[np.float64]:
        """(N,) when the track of each image began; NaN for images of no track."""
        if not self._tracks:
            return np.full(len(self.crops), np.nan)
        begin = np.where(np.isfinite(self._spans[1]), self._spans[1], np.nan)
        return np.where(self.crops.tracks >= 0, begin[self.crops.tracks], np.nan)

    @cached_property
    def _pairs_of_tracks(self) -> Integers:
        """The pairs of tracks of one camera that were there at the same time, as sorted numbers a T + b, a < b."""
        if not self._tracks:
            return np.empty(0, np.int64)
        camera, begin, end = self._spans
        found: list[Integers] = []
        for one in np.unique(camera[camera >= 0]):
            own = np.flatnonzero((camera == one) & np.isfinite(begin))
            own = own[np.argsort(begin[own], kind="stable")]
            last = np.searchsorted(begin[own], end[own], side="left")  # those that begin before this one ends
            for at, stop in enumerate(last.tolist()):
                others = own[at + 1 : stop]
                if len(others):
                    found.append(np.minimum(own[at], others) * self._tracks + np.maximum(own[at], others))
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _neighbours(labels: Integers, key: NDArray[np.float64] | Integers) -> list[tuple[Integers, Integers]]:
    """Pairs of images of one cluster that follow one another, or the next but one, by a key, where it is known."""
    known = np.flatnonzero((labels >= 0) & np.isfinite(key) & ((key >= 0) | (key.dtype.kind == "f")))
    order = known[np.lexsort((key[known], labels[known]))]
    pairs = []
    for step in (1, 2):
        one, other = order[:-step], order[step:]
        same = labels[one] == labels[other]
        pairs.append((one[same], other[same]))
    return pairs
