"""Boxes of frame after frame, joined into tracks. We prefer splitting a track to mixing identities.

In every frame boxes and tracks are assigned to each other so that the sum of the costs is least (Kuhn 1955): the sure
boxes first, then the others to the tracks that are left (ByteTrack, Zhang et al. 2022). A pair costs how little the box
overlaps where the track should be, and how unlike it looks. Pairs that are too far apart or too unlike are never
joined: a track then ends, and another begins, which linking may find to be the same individual. A track begins with
any box, as people come into view little by little, but is left out if few of its boxes are sure: things in the
background may look a little like a person all the time.

Shape letters: ``M`` boxes, ``T`` tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from resight.errors import RecipeError
from resight.retrieval.ranking.distance import Distances
from resight.watch.detectors.detector import Detections
from resight.watch.following.boxes import covered, overlaps
from resight.watch.following.track import Growing, Sighting, Track
from resight.watch.frames import Frame

NEVER = 1e6
DOUBLE = 0.3  # an unsure box that overlaps a sure or assigned one by more is of the same person, and begins no track
DOUBTFUL = 0.3  # seconds that a track without a sure box may be unseen
REAL = 1 / 3  # the share of a track's boxes that must be sure; chosen on five drawn scenes, where 0.2 did as well
FEWEST = 3  # boxes of a track
PAUSE = 5.0  # seconds without a frame, after which all tracks end
REACH = 9.21  # squared distance in variances within which 99% of the true places are (two dimensions)


@dataclass(frozen=True)
class Tracking:
    """How tracks are made.

    Attributes:
        sure: the score from which a box is sure.
        overlap: the least intersection over union with where a track should be.
        gap: seconds a track may be unseen.
        shortest: seconds; shorter tracks, or of fewer than three boxes, are left out and counted.
        longest: seconds after which a track is cut, so that a person who stands still gets a name in time.
    """

    sure: float = 0.5
    overlap: float = 0.3
    gap: float = 1.0
    shortest: float = 0.3
    longest: float = 60.0

    def __post_init__(self) -> None:
        for name in ("sure", "overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{name} is {getattr(self, name)}: it must be from 0 to 1.")
        for name in ("gap", "shortest", "longest"):
            if not getattr(self, name) >= 0:
                raise RecipeError(f"{name} is {getattr(self, name)}: it must be 0 seconds or more.")


class Tracker:
    """The tracks of one camera.

    Args:
        metric: "cosine" or "euclidean", how crops are compared.
        same: the distance up to which two crops are the same individual: a track that was out of sight goes on only
            within it.
        apart: that beyond which they are not: no track goes on beyond it.
        settings: how tracks are made.

    Attributes:
        brief: how many tracks were left out since they were too short.
    """

    def __init__(self, metric: str, same: float, apart: float, settings: Tracking) -> None:
        self.metric, self.same, self.apart, self.settings = metric, same, max(same, apart, 1e-6), settings
        self._tracks: list[Growing] = []
        self._before = -np.inf
        self.brief = 0

    def step(
        self, frame: Frame, found: Detections, vectors: NDArray[np.float32], quality: NDArray[np.float32]
    ) -> list[Track]:
        """Go on to the next frame.

        Args:
            frame: later than the one before.
            found: M boxes in it; ``vectors``: (M, D) their embeddings, of length one; ``quality``: (M,).

        Returns:
            The tracks that have ended, in the order in which they began.
        """
        ended = self.finish() if frame.time - self._before > PAUSE else []
        hidden, sure = covered(found.boxes), found.scores >= self.settings.sure
        seen = [
            Sighting(frame, found.boxes[at], vectors[at], float(quality[at]), float(hidden[at]), bool(sure[at]))
            for at in range(len(found))
        ]
        for track in self._tracks:
            track.motion.advance(frame.time - self._before)
        pairs = self._assigned(found, vectors, sure)
        for at, track in enumerate(self._tracks):
            if at in pairs:
                track.add(seen[pairs[at]])
            else:
                track.goes_by(frame)
        taken = np.isin(np.arange(len(found)), list(pairs.values()))
        double = overlaps(found.boxes, found.boxes[taken | sure]).max(axis=1, initial=0) > DOUBLE
        begun = np.flatnonzero(~taken & (sure | ~double))
        self._tracks += [Growing(seen[at], self.metric) for at in begun]
        self._before = frame.time
        return ended + self._end([track for track in self._tracks if self._is_over(track, frame.time)])

    def finish(self) -> list[Track]:
        """End all tracks."""
        return self._end(self._tracks)

    def _is_over(self, track: Growing, now: float) -> bool:
        gap = self.settings.gap if track.sure else min(self.settings.gap, DOUBTFUL)
        return now - track.end > gap or track.end - track.begin > self.settings.longest

    def _end(self, over: list[Growing]) -> list[Track]:
        self._tracks = [track for track in self._tracks if track not in over]
        least = self.settings.shortest - 1e-6
        real = [track for track in over if track.sure and track.sure >= REAL * len(track)]
        long = [track for track in real if len(track) >= FEWEST and track.end - track.begin >= least]
        self.brief += len(real) - len(long)
        return [track.ended() for track in long]

    def _assigned(self, found: Detections, vectors: NDArray[np.float32], sure: NDArray[np.bool_]) -> dict[int, int]:
        """Which track goes on with which box: sure boxes first, then the others with the tracks that are left."""
        if not self._tracks or not len(found):
            return {}
        cost = self._costs(found, vectors)
        pairs: dict[int, int] = {}
        for boxes in (np.flatnonzero(sure), np.flatnonzero(~sure)):
            tracks = np.array([at for at in range(len(self._tracks)) if at not in pairs], np.int64)
            some = cost[np.ix_(tracks, boxes)]
            rows, columns = linear_sum_assignment(some)
            good = some[rows, columns] < NEVER
            pairs |= dict(zip(tracks[rows[good]].tolist(), boxes[columns[good]].tolist(), strict=True))
        return pairs

    def _costs(self, found: Detections, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """(T, M) from 0 to 2, or never."""
        places = np.stack([track.motion.box for track in self._tracks])
        over = overlaps(places, found.boxes)
        near = np.stack([track.motion.far(found.boxes) <= REACH for track in self._tracks])
        tall, other = found.boxes[:, 3] - found.boxes[:, 1], (places[:, 3] - places[:, 1])[:, None]
        alike = (tall > 0.6 * other) & (other > 0.6 * tall)
        recent = np.concatenate([track.recent for track in self._tracks])
        starts = np.cumsum([0, *(len(track.recent) for track in self._tracks[:-1])])
        apart = Distances(recent, vectors, self.metric).block(slice(0, len(recent)), slice(0, len(vectors)))
        unlike = np.minimum.reduceat(apart.astype(np.float64), starts, axis=0)
        limit = np.array([self.apart if track.end == self._before else self.same for track in self._tracks])[:, None]
        good = ((over >= self.settings.overlap) | (near & alike)) & (unlike <= limit)
        return np.where(good, 1 - over + np.clip(unlike / self.apart, 0, 1), NEVER)
