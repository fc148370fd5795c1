"""A track: one individual, seen in one camera without a break."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.embedding.tracks import pool_tracks
from resight.images.decode import Pixels
from resight.records import Embeddings
from resight.retrieval.ranking.distance import pairwise
from resight.retrieval.reranking.expansion import pool
from resight.watch.following.motion import Motion
from resight.watch.frames import Frame

RECENT = 10  # sightings that a new one is compared with
MOMENT = 0.5  # seconds of which only the best crop counts; twice as many whenever there are MOMENTS of them
MOMENTS = 500
HALVES = 4  # moments from which a track has halves that can be compared


@dataclass(frozen=True, eq=False)
class Track:
    """A track that has ended, in L frames: all that were processed from its first sighting to its last.

    Attributes:
        source: the video or camera.
        frames: (L,) int64, their numbers; ``times``: (L,) float64, seconds as in :class:`~resight.watch.frames.Frame`.
        boxes: (L, 4) float64: left, top, right, bottom in pixels; where it was not seen, interpolated in time between
            the sightings before and after.
        seen: (L,) bool, whether the detector found it in this frame.
        vector: (D,) float32: the best crops of every half second (of every second after four minutes, and so on),
            weighted by their quality. It is as long as these are on average, so that Euclidean distances keep their
            meaning.
        change: the distance between the crops of its first and of its second half; NaN for a short one.
        best: in which of the frames it is seen best; ``crop``: (H, W, 3) uint8 RGB, its pixels there.
    """

    source: str
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    boxes: NDArray[np.float64]
    seen: NDArray[np.bool_]
    vector: NDArray[np.float32]
    change: float
    best: int
    crop: Pixels

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True, eq=False)
class Sighting:
    """One box in one frame.

    Attributes:
        box: (4,); ``vector``: (D,) float32.
        quality: of its crop, 0 or more.
        hidden: the share of it that a nearer box hides.
        sure: whether the detector is sure of it.
    """

    frame: Frame
    box: NDArray[np.float64]
    vector: NDArray[np.float32]
    quality: float
    hidden: float
    sure: bool

    @property
    def weight(self) -> float:
        """The weight of the crop: its quality, less the hidden share; half of that if the edge of the frame cuts it."""
        height, width = self.frame.pixels.shape[:2]
        left, top, right, bottom = self.box
        cut = left <= 1 or top <= 1 or right >= width - 1 or bottom >= height - 1
        return max(1e-6, self.quality * (1 - self.hidden) * (0.5 if cut else 1.0))

    def crop(self) -> Pixels:
        """Its pixels, a copy."""
        left, top, right, bottom = np.round(self.box).astype(int)
        return self.frame.pixels[top : max(bottom, top + 1), left : max(right, left + 1)].copy()


class Growing:
    """A track that goes on; memory grows with its length by seven numbers a frame.

    Attributes:
        sure: how many sightings are sure.
    """

    def __init__(self, first: Sighting, metric: str) -> None:
        self.metric, self.sure = metric, 0
        self.motion = Motion(first.box)
        self.recent: deque[NDArray[np.float32]] = deque(maxlen=RECENT)
        self._numbers, self._times = array("q"), array("d")  # of all frames processed since the first sighting
        self._seen, self._boxes = array("q"), array("d")  # which of these have a sighting, and its box
        self._moment = MOMENT
        self._moments: dict[int, tuple[float, NDArray[np.float32]]] = {}
        self._best, self._at, self._crop = 0.0, 0, first.crop()
        self._take(first)

    @property
    def begin(self) -> float:
        """When it was first seen."""
        return self._times[0]

    @property
    def end(self) -> float:
        """When it was last seen."""
        return self._times[self._seen[-1]]

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, one: Sighting) -> None:
        """It was seen again."""
        self.motion.update(one.box)
        self._take(one)

    def goes_by(self, frame: Frame) -> None:
        """Another frame was processed, whether or not it is seen there."""
        self._numbers.append(frame.number)
        self._times.append(frame.time)

    def _take(self, one: Sighting) -> None:
        self.sure += one.sure
        weight = one.weight
        if weight > self._best:
            self._best, self._at, self._crop = weight, len(self._times), one.crop()
        self._seen.append(len(self._times))
        self.goes_by(one.frame)
        self._boxes.extend(one.box.tolist())
        vector = one.vector.copy()  # a row would hold the vectors of the whole frame
        if one.hidden < 0.5 or not self.recent:
            self.recent.append(vector)
        if len(self._moments) == MOMENTS:
            self._moment *= 2
            moments, self._moments = self._moments, {}
            for moment, (before, kept) in moments.items():
                self._remember(moment // 2, before, kept)
        self._remember(int((one.frame.time - self.begin) / self._moment), weight, vector)
        self._source = one.frame.source

    def _remember(self, moment: int, weight: float, vector: NDArray[np.float32]) -> None:
        if moment not in self._moments or weight > self._moments[moment][0]:
            self._moments[moment] = weight, vector

    def ended(self) -> Track:
        """The track as it is now."""
        weights, vectors = zip(*self._moments.values(), strict=True)
        crops = Embeddings(np.stack(vectors))
        pooled = pool_tracks(crops, np.zeros(len(crops), np.int64), np.array(weights))
        length = np.average(np.linalg.norm(crops.vectors.astype(np.float64), axis=1), weights=weights)
        frames = self._seen[-1] + 1
        numbers = np.array(self._numbers[:frames], np.int64)
        times = np.array(self._times[:frames], np.float64)
        seen = np.zeros(frames, np.bool_)
        seen[np.array(self._seen)] = True
        sides = np.array(self._boxes).reshape(-1, 4).T  # (4, sightings)
        return Track(
            self._source,
            numbers,
            times,
            np.stack([np.interp(times, times[seen], side) for side in sides], axis=1),
            seen,
            (pooled.vectors[0] * length).astype(np.float32),
            _change(crops, self.metric),
            self._at,
            self._crop,
        )


def _change(crops: Embeddings, metric: str) -> float:
    """The distance between the means of the first and the second half."""
    if len(crops) < HALVES:
        return float("nan")
    halves = pool(crops, np.arange(len(crops)) * 2 // len(crops)).vectors
    length = np.linalg.norm(crops.vectors.astype(np.float64), axis=1).mean()
    return float(pairwise(halves[:1] * length, halves[1:] * length, metric)[0, 0])
