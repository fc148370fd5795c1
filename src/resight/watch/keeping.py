"""Tracks into the gallery: a record for each when it ends, and names for them from time to time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from resight.gallery.gallery import Gallery
from resight.images.decode import Pixels
from resight.records import Embeddings
from resight.watch.events.delivery import Delivery
from resight.watch.following.track import Track
from resight.watch.learning import Learning
from resight.watch.link import LEAST, WORLD, Rules, Sighted, at_home
from resight.watch.naming import Kept, name_tracks
from resight.watch.origin import Origin
from resight.watch.views import View

ROUND = 1000  # tracks that are named together at most; the memory of a camera that runs for days ends there
SOON, LATER = 10.0, 30.0  # seconds that a track of a live camera waits for its name; later while few tracks are known
REMEMBERED = 10_000  # tracks whose change is remembered

OnTrack = Callable[[View, Track, str], None]


@dataclass
class Keeper:
    """Puts tracks into the gallery and names them.

    Attributes:
        gallery: where they go; ``threshold``, ``rules``, ``kind``: as for :func:`~resight.watch.naming.name_tracks`.
        basis, expires, add_erased: as for :meth:`resight.Gallery.add`.
        on_track: called with each track and its record's id.
        events: where messages about new tracks go; ``learning``: travel times and clocks.
        tracks: how many of each camera; ``new``, ``known``: how many of their records were new, or there already.
        erased: how many were erased before, so that they are not added again; ``expired``: how many of the new ones
            have expired already.
        people: the names given, and whether the gallery knew each before.
        impossible, alike: pairs of tracks as in :class:`~resight.watch.naming.Pairs`, one for each kind.
    """

    gallery: Gallery
    threshold: float
    rules: Rules
    kind: str
    basis: str = ""
    expires: float | None = None
    on_track: OnTrack | None = None
    events: Delivery | None = None
    learning: Learning = field(default_factory=Learning)
    add_erased: bool = False
    tracks: dict[str, int] = field(default_factory=dict)
    people: dict[str, bool] = field(default_factory=dict)
    new: int = 0
    known: int = 0
    erased: int = 0
    expired: int = 0
    impossible: int = 0
    alike: int = 0
    alike_across: int = 0
    _waiting: list[Kept] = field(default_factory=list)
    _since: float = 0.0
    _changes: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def keep(self, view: View, tracks: Sequence[Track], clock: str) -> None:
        """Add tracks that have ended, whose times are on this clock; without one that all share, they have no time."""
        start = view.start or 0.0
        for track in tracks:
            begin, end = start + float(track.times[0]), start + float(track.times[-1])
            left, top, right, bottom = np.round(track.boxes[track.best]).astype(int).tolist()
            source = str(Origin(view.recorded, int(track.frames[track.best]), begin, end))
            if self.events:
                self.events.expect(source)
            added = self.gallery.add(
                Embeddings(track.vector[None], fingerprint=self.gallery.card.fingerprint),
                cameras=view.camera,
                times=start + float(track.times[track.best]) if clock == WORLD else None,
                sources=[source],
                boxes=[(left, top, right, bottom)],
                basis=self.basis,
                expires=self.expires,
                add_erased=self.add_erased,
                thumbnails=[_file(track.crop)],
            )
            if self.events:
                self.events.add(added.ids if added.new else (), source)
            self.new += added.new
            self.known += added.known
            self.expired += added.expired
            self.tracks[view.camera] = self.tracks.get(view.camera, 0) + 1
            if added.refused:
                self.erased += 1
                continue
            seen = Sighted(view.camera, begin, end, clock)
            self._since = self._since if self._waiting else time.monotonic()
            self._waiting.append(Kept(added.ids[0], view.recorded, seen, track.vector))
            if np.isfinite(track.change):
                self._changes.append(track.change)
            if self.on_track:
                self.on_track(view, track, added.ids[0])
            if len(self._waiting) >= ROUND:
                self.name()

    def name_in_time(self) -> None:
        """Name the tracks of live cameras once they have waited long enough."""
        wait = SOON if len(self._changes) >= LEAST else LATER
        if self._waiting and time.monotonic() - self._since > wait:
            self.name()

    def name(self) -> None:
        """Give names to all tracks that have none yet."""
        self._waiting.sort(key=lambda one: (one.seen.begin, one.seen.camera, one.id))
        home = at_home(self._changes)
        named = name_tracks(self.gallery, self._waiting, self.threshold, self.rules, self.kind, home, self.learning)
        self._waiting.clear()
        if self.events:
            self.events.wake()
        for name in named.names:
            self.people.setdefault(name, name in named.met)
        self.impossible += named.impossible
        self.alike += named.alike
        self.alike_across += named.alike_across


def _file(pixels: Pixels) -> bytes:
    """A JPEG file of a crop."""
    return bytes(cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
