"""Videos and cameras in, records and identities out: ``resight watch``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from resight.embedding.compute import Progress
from resight.errors import DataError, RecipeError
from resight.gallery.gallery import Gallery
from resight.images.batches import prefetch
from resight.images.decode import Pixels
from resight.records import Embeddings
from resight.watch.detectors import Detections, Detector
from resight.watch.following.track import Track
from resight.watch.following.tracker import Tracker, Tracking
from resight.watch.frames import Frame, batches, count_frames, is_live, read_frames
from resight.watch.link import Rules, Sighted
from resight.watch.naming import WORLD, Kept, name_tracks

KINDS = {
    "person": frozenset({"person"}),
    "vehicle": frozenset({"vehicle", "car", "truck", "bus", "motorcycle"}),
    "object": None,  # whatever the detector finds
}
SMALLEST = 12  # pixels; boxes with a shorter side say nothing about who is in them
ROUND = 1000  # tracks that are named together; the memory of a camera that runs for days ends there

AS_USUAL, ANYWHERE = Tracking(), Rules()

OnTrack = Callable[["View", Track, str], None]


@dataclass(frozen=True)
class View:
    """What one camera saw.

    Attributes:
        source: a video, or a live camera: its number, or an address such as ``rtsp://door/1``.
        camera: its name; that of the file without its ending when empty.
        start: when the video begins, in seconds since 1970. Where that is not known, times count from the beginning of
            the video, and are not compared with those of other videos. A live camera knows what time it is; None.
    """

    source: str
    camera: str = ""
    start: float | None = None

    def __post_init__(self) -> None:
        if not self.camera:
            object.__setattr__(self, "camera", Path(self.source).stem if not is_live(self.source) else self.source)
        if is_live(self.source) and self.start is not None:
            raise RecipeError(f"{self.source} is a live camera, which begins now: give a start for videos only.")

    @property
    def clock(self) -> str:
        """Times of views with the same clock may be compared."""
        return WORLD if is_live(self.source) or self.start is not None else str(Path(self.source).resolve())


@dataclass(frozen=True)
class Watched:
    """What watching found.

    Attributes:
        frames: how many went through the detector; ``boxes``: how many were found in them.
        tracks: how many of each camera, by its name.
        new, known: how many of them were new to the gallery, and how many stood there before.
        people: who was seen, by name; ``met``: those of them whom the gallery knew before.
        impossible: pairs of tracks that cannot be of one individual, for time and place forbid it; ``alike``: how many
            of these are within the threshold all the same. Many are a sign that the threshold is too wide for these
            cameras.
        stopped: whether it was told to stop before the end.
    """

    frames: int
    boxes: int
    tracks: dict[str, int]
    new: int
    known: int
    people: tuple[str, ...]
    met: tuple[str, ...]
    impossible: int
    alike: int
    stopped: bool

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def watch(
    views: Sequence[View],
    gallery: Gallery,
    detector: Detector,
    *,
    what: str = "person",
    threshold: float | None = None,
    tracking: Tracking = AS_USUAL,
    rules: Rules = ANYWHERE,
    every: int = 1,
    basis: str = "",
    expires: float | None = None,
    on_track: OnTrack | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Watched:
    """Find whoever is in videos, keep one record for each track, and say who is who.

    Each track is added to the gallery when it ends, and durable then. At the end, and after every ``ROUND`` tracks,
    they get names: an identity of the gallery that matches, or a new one. Watching a video twice adds nothing.

    Args:
        views: at least one; several are watched side by side.
        gallery: where records go; its model embeds.
        detector: finds boxes in frames.
        what: "person", "vehicle", or "object" for all that the detector finds; new names begin with it.
        threshold: the distance up to which two tracks are of one individual; the gallery's decision's when None.
        tracking: how tracks are made; ``rules``: what time and place allow.
        every: only every so many-th frame counts.
        basis, expires: as for :meth:`resight.Gallery.add`.
        on_track: called with each track and the id of its record.
        stop: asked after some frames; once true, tracks end and get their names, and that is all.
        progress: called with (frames done, frames in all).

    Raises:
        DataError: no video, or one that cannot be read.
        RecipeError: no threshold, or a setting out of its range.
    """
    if not views:
        raise DataError("There is nothing to watch: pass at least one video or camera.")
    if len({(view.source, view.camera) for view in views}) < len(views):
        raise DataError("A video is there twice: pass each once.")
    if what not in KINDS:
        raise RecipeError(f"what is {what!r}: choose one of {', '.join(KINDS)}.")
    if every < 1:
        raise RecipeError(f"every is {every}: it must be 1 or more.")
    limit = gallery.decision.threshold if threshold is None and gallery.decision else threshold
    if limit is None:
        raise RecipeError(
            f"The model of {gallery.uri} has no calibrated threshold: run resight calibrate MODEL DATA first, or pass "
            "a threshold."
        )
    total = sum(-(-count_frames(view.source) // every) for view in views)
    keeper = _Keeper(gallery, limit, rules, what, basis, expires, on_track)
    apart = gallery.decision.no_match_beyond if gallery.decision else 1.5 * limit
    trackers = [Tracker(gallery.card.metric, limit, max(apart, limit), tracking) for _ in views]
    turns = deque(
        (view, tracker, prefetch(batches(read_frames(view.source, every, stop))))
        for view, tracker in zip(views, trackers, strict=True)
    )
    frames, boxes, stopped = 0, 0, False
    while turns and not (stopped := stop()):
        view, tracker, film = turns.popleft()
        some = next(film, None)
        if some is None:
            keeper.keep(view, tracker.finish())
            continue
        turns.append((view, tracker, film))
        for ended, found in _followed(some, _wanted(detector(some), what), tracker, gallery):
            boxes += found
            keeper.keep(view, ended)
        frames += len(some)
        if progress:
            progress(frames, max(total, frames))
    for view, tracker, _ in turns:
        keeper.keep(view, tracker.finish())
    keeper.name()
    return keeper.watched(views, frames, boxes, stopped)


def _wanted(found: list[Detections], what: str) -> list[Detections]:
    kinds = KINDS[what]
    good = []
    for one in found:
        large = (one.boxes[:, 2:] - one.boxes[:, :2]).min(axis=1, initial=np.inf) >= SMALLEST
        good.append(one.take(large if kinds is None else large & np.isin(one.kinds, list(kinds))))
    return good


def _followed(
    frames: list[Frame], found: list[Detections], tracker: Tracker, gallery: Gallery
) -> Iterator[tuple[list[Track], int]]:
    """The tracks that ended in each frame, and the number of its boxes; crops of all frames are embedded together."""
    crops = [_crop(frame, box) for frame, one in zip(frames, found, strict=True) for box in one.boxes]
    vectors: NDArray[np.float32] = np.zeros((0, gallery.card.dim), np.float32)
    quality: NDArray[np.float32] = np.zeros(0, np.float32)
    if crops:
        embedded = gallery.embedder(crops, quality=True)
        vectors, quality = embedded.vectors, embedded.columns["quality"]
    first = 0
    for frame, one in zip(frames, found, strict=True):
        own = slice(first, first + len(one))
        yield tracker.step(frame, one, vectors[own], quality[own]), len(one)
        first += len(one)


def _crop(frame: Frame, box: NDArray[np.float64]) -> Pixels:
    left, top, right, bottom = np.round(box).astype(int)
    return np.ascontiguousarray(frame.pixels[top:bottom, left:right])


@dataclass
class _Keeper:
    """Puts tracks into the gallery and names them."""

    gallery: Gallery
    threshold: float
    rules: Rules
    kind: str
    basis: str
    expires: float | None
    on_track: OnTrack | None
    waiting: list[Kept] = field(default_factory=list)
    tracks: dict[str, int] = field(default_factory=dict)
    people: dict[str, bool] = field(default_factory=dict)
    new: int = 0
    known: int = 0
    impossible: int = 0
    alike: int = 0

    def keep(self, view: View, tracks: Sequence[Track]) -> None:
        """Add tracks that have ended."""
        start = view.start or 0.0
        for track in tracks:
            left, top, right, bottom = np.round(track.boxes[track.best]).astype(int).tolist()
            added = self.gallery.add(
                Embeddings(track.vector[None], fingerprint=self.gallery.card.fingerprint),
                cameras=view.camera,
                times=start + float(track.times[track.best]),
                sources=[f"{view.source}#frame={track.frames[track.best]}"],
                boxes=[(left, top, right, bottom)],
                basis=self.basis,
                expires=self.expires,
                thumbnails=[_file(track.crop)],
            )
            self.new += added.new
            self.known += added.known
            self.tracks[view.camera] = self.tracks.get(view.camera, 0) + 1
            begin, end = start + float(track.times[0]), start + float(track.times[-1])
            seen = Sighted(view.camera, begin, end, view.clock)
            self.waiting.append(Kept(added.ids[0], view.source, seen, track.vector, track.change))
            if self.on_track:
                self.on_track(view, track, added.ids[0])
            if len(self.waiting) >= ROUND:
                self.name()

    def name(self) -> None:
        """Give names to all tracks that have none yet."""
        self.waiting.sort(key=lambda one: (one.seen.begin, one.seen.camera, one.id))
        named = name_tracks(self.gallery, self.waiting, self.threshold, self.rules, self.kind)
        self.waiting.clear()
        for name in named.names:
            self.people.setdefault(name, name in named.met)
        self.impossible += named.impossible
        self.alike += named.alike

    def watched(self, views: Sequence[View], frames: int, boxes: int, stopped: bool) -> Watched:
        """All of it in numbers."""
        return Watched(
            frames,
            boxes,
            {view.camera: self.tracks.get(view.camera, 0) for view in views},
            self.new,
            self.known,
            tuple(self.people),
            tuple(name for name, met in self.people.items() if met),
            self.impossible,
            self.alike,
            stopped,
        )


def _file(pixels: Pixels) -> bytes:
    """A JPEG file of a crop."""
    return bytes(cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
