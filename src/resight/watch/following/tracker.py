"""Boxes of frame after frame, joined into tracks. We prefer splitting a track to mixing identities.

In every frame boxes and tracks are assigned to each other so that the sum of the costs is least (Kuhn 1955). A pair
costs how little the box overlaps where the track should be, and how unlike it looks. Pairs that are too far apart or
too unlike are never joined: a track then ends, and another begins, which linking may find to be the same individual.

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
PAUSE = 5.0  # seconds without a frame, after which all tracks end
REACH = 9.21  # squared distance in variances within which 99% of the true places are (two dimensions)


@dataclass(frozen=True)
class Tracking:
    """How tracks are made.

    Attributes:
        sure: the score from which a box begins a track; all boxes may continue one.
        overlap: the least intersection over union with where a track should be.
        gap: seconds a track may be unseen.
        shortest: seconds; shorter tracks, or of fewer than three boxes, are left out.
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
    """

    def __init__(self, metric: str, same: float, apart: float, settings: Tracking) -> None:
        self.metric, self.same, self.apart, self.settings = metric, same, max(same, apart, 1e-6), settings
        self._tracks: list[Growing] = []
        self._before = -np.inf

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
        hidden = covered(found.boxes)
        seen = [
            Sighting(frame, found.boxes[at], vectors[at], float(quality[at]), float(hidden[at]))
            for at in range(len(found))
        ]
        for track in self._tracks:
            track.motion.advance(frame.time - self._before)
        pairs = self._assigned(found, vectors)
        for at, track in enumerate(self._tracks):
            if at in pairs:
                track.add(seen[pairs[at]])
            else:
                track.miss(frame)
        used = set(pairs.values())
        begun = [one for at, one in enumerate(seen) if at not in used and found.scores[at] >= self.settings.sure]
        self._tracks += [Growing(one, self.metric) for one in begun]
        self._before = frame.time
        settings = self.settings
        return ended + self._end(
            [t for t in self._tracks if frame.time - t.end > settings.gap or t.end - t.begin > settings.longest]
        )

    def finish(self) -> list[Track]:
        """End all tracks."""
        return self._end(self._tracks)

    def _end(self, over: list[Growing]) -> list[Track]:
        self._tracks = [track for track in self._tracks if track not in over]
        least = self.settings.shortest - 1e-6
        return [track.ended() for track in over if len(track) >= 3 and track.end - track.begin >= least]

    def _assigned(self, found: Detections, vectors: NDArray[np.float32]) -> dict[int, int]:
        """Which track goes on with which box."""
        if not self._tracks or not len(found):
            return {}
        cost = self._costs(found, vectors)
        rows, columns = linear_sum_assignment(cost)
        return {int(t): int(m) for t, m in zip(rows, columns, strict=True) if cost[t, m] < NEVER}

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
