"""What is watched at once: the videos, one after the other, and every live camera for itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.images.batches import prefetch
from resight.images.decode import Pixels
from resight.images.film import Film
from resight.watch.cameras import Camera
from resight.watch.detectors import Detections, Detector, Tables
from resight.watch.following.tracker import PAUSE, Tracker, Tracking
from resight.watch.frames import Frame, batches, film_frames
from resight.watch.keeping import Keeper
from resight.watch.link import WORLD
from resight.watch.views import View

SMALLEST = 12  # pixels; boxes with a shorter side are too small to recognise anybody


class Run:
    """What all lanes share: detector, gallery, counts, and messages.

    Args:
        keeper: takes the tracks that have ended.
        detector: finds boxes in frames; ``kinds``: those that count, None for all.
        tracking: how tracks are made.
        say: called with messages, always from the thread that calls :meth:`report`.
        wake: called, from any thread, when there is a message.

    Attributes:
        frames, boxes, small: how many frames and boxes there were, and how many sure boxes were too small.
        problems: what is missing of videos and cameras; ``complete``: whether every video was read to its end.
        error: the first video that could not be read.
    """

    def __init__(
        self,
        keeper: Keeper,
        detector: Detector,
        kinds: frozenset[str] | None,
        tracking: Tracking,
        say: Callable[[str], None],
        wake: Callable[[], None],
    ) -> None:
        self.keeper, self.detector = keeper, detector
        self.frames = self.boxes = self.small = 0
        self.problems: list[str] = []
        self.complete = True
        self.error: DataError | None = None
        self._kinds, self._tracking, self._say, self._wake = kinds, tracking, say, wake
        self._messages: deque[str] = deque()
        self._trackers: list[Tracker] = []

    @property
    def brief(self) -> int:
        """How many tracks were left out since they were too short."""
        return sum(tracker.brief for tracker in self._trackers)

    def tracker(self) -> Tracker:
        """A tracker for one camera."""
        card, limit, decision = self.keeper.gallery.card, self.keeper.threshold, self.keeper.gallery.decision
        apart = decision.no_match_beyond if decision else 1.5 * limit
        self._trackers.append(Tracker(card.metric, limit, max(apart, limit), self._tracking))
        return self._trackers[-1]

    def process(self, view: View, frames: Sequence[Frame], tracker: Tracker, clock: str) -> None:
        """Detect, embed and follow in frames of one camera; tracks that end are kept."""
        found = [self._wanted(one) for one in self.detector(frames)]
        crops = [_crop(frame, box) for frame, one in zip(frames, found, strict=True) for box in one.boxes]
        gallery = self.keeper.gallery
        vectors: NDArray[np.float32] = np.zeros((0, gallery.card.dim), np.float32)
        quality: NDArray[np.float32] = np.zeros(0, np.float32)
        if crops:
            embedded = gallery.embedder(crops, quality=True)
            vectors, quality = embedded.vectors, embedded.columns["quality"]
        first = 0
        for frame, one in zip(frames, found, strict=True):
            own = slice(first, first + len(one))
            self.keeper.keep(view, tracker.step(frame, one, vectors[own], quality[own]), clock)
            first += len(one)
        self.frames += len(frames)
        self.boxes += first

    def say(self, message: str) -> None:
        """Keep a message for :meth:`report`; from any thread."""
        self._messages.append(message)
        self._wake()

    def problem(self, message: str, complete: bool = True) -> None:
        """Something is missing of a video or camera; "" for nothing."""
        self.complete &= complete
        if message:
            self.problems.append(message)
            self.say(message)

    def unreadable(self, error: DataError) -> None:
        """A video cannot be read; the others are."""
        self.error = self.error or error
        self.problem(str(error), complete=False)

    def report(self) -> None:
        """Hand on the messages."""
        while self._messages:
            self._say(self._messages.popleft())

    def _wanted(self, found: Detections) -> Detections:
        """Those of the kinds that count, and large enough."""
        wanted = np.ones(len(found), np.bool_) if self._kinds is None else np.isin(found.kinds, list(self._kinds))
        large = (found.boxes[:, 2:] - found.boxes[:, :2]).min(axis=1, initial=np.inf) >= SMALLEST
        self.small += int((wanted & ~large & (found.scores >= self._tracking.sure)).sum())
        return found.take(wanted & large)


class FilmLane:
    """Videos, one after the other; a thread decodes ahead."""

    def __init__(self, views: Sequence[View], run: Run, every: int) -> None:
        self._views, self._run, self._every = deque(views), run, every
        self._open: _OpenFilm | None = None

    @property
    def ended(self) -> bool:
        """Whether all are read."""
        return not self._views and self._open is None

    def step(self) -> bool:
        """Process some frames; whether there was anything to do."""
        if self.ended:
            return False
        frames = self._next()
        if frames and self._open:
            self._run.process(self._open.view, frames, self._open.tracker, self._open.view.clock)
        else:
            self._end(over=True)
        return True

    def finish(self) -> None:
        """End the tracks of the video that is open, and say what is missing of it."""
        self._end(over=False)

    def _next(self) -> list[Frame] | None:
        """The next frames of the video that is open, or of the one that follows; None where it ends."""
        try:
            if self._open is None:
                self._open = _OpenFilm(self._views.popleft(), self._run, self._every)
            return next(self._open.ahead, None)
        except DataError as error:
            self._run.unreadable(error)
            return None

    def close(self) -> None:
        """Stop reading."""
        if self._open is not None:
            self._open.ahead.close()

    def _end(self, over: bool) -> None:
        """Done with the video that is open, at its end if it is ``over``."""
        if self._open is None:
            return
        self.close()
        film, view, tracker = self._open.film, self._open.view, self._open.tracker
        self._open = None
        self._run.keeper.keep(view, tracker.finish(), view.clock)
        if film.read:
            self._run.problem(film.trouble(), complete=not film.short)
        if over and film.read and isinstance(self._run.detector, Tables):
            self._run.problem(self._run.detector.trouble(view.source, film.read + film.lost))


class _OpenFilm:
    def __init__(self, view: View, run: Run, every: int) -> None:
        self.view, self.tracker = view, run.tracker()
        self.film = Film(view.address)
        self.ahead = prefetch(batches(film_frames(self.film, every)))


@dataclass(frozen=True)
class CameraFacts:
    """Frames of a live camera.

    Attributes:
        read: how many came.
        skipped: left out by rule, to keep within the budget or for ``every``.
        dropped: left out because newer ones came first; the rest were processed.
        losses: how often the connection was lost.
    """

    read: int
    skipped: int
    dropped: int
    losses: int


class CameraLane:
    """A live camera."""

    def __init__(self, view: View, run: Run, every: int, rate: float, wake: Callable[[], None]) -> None:
        self._view, self._run, self._tracker = view, run, run.tracker()
        self._camera = Camera(view.address, view.camera, every=every, rate=rate, say=run.say, wake=wake).start()
        self._last = time.monotonic()

    def facts(self) -> CameraFacts:
        """What came and what was left out."""
        one = self._camera
        return CameraFacts(one.read, one.skipped, one.dropped, one.losses)

    def check(self) -> None:
        """Wait until the camera answers; DataError where it does not."""
        self._camera.check()

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more."""
        return self._camera.ended

    def step(self) -> bool:
        """Process the frames that wait; whether there were any."""
        frames = self._camera.take()
        if frames:
            self._run.process(self._view, frames, self._tracker, WORLD)
            self._last = time.monotonic()
        elif time.monotonic() - self._last > PAUSE:
            self._end_tracks()
        return bool(frames)

    def finish(self) -> None:
        """End the tracks that go on, and say what is missing."""
        self._end_tracks()
        self._run.problem(self._camera.trouble())

    def close(self) -> None:
        """Stop reading."""
        self._camera.close()

    def _end_tracks(self) -> None:
        self._run.keeper.keep(self._view, self._tracker.finish(), WORLD)


def _crop(frame: Frame, box: NDArray[np.float64]) -> Pixels:
    left, top, right, bottom = np.round(box).astype(int)
    return np.ascontiguousarray(frame.pixels[top:bottom, left:right])
