"""Videos and cameras in, records and identities out: ``resight watch``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from resight.counted import counted
from resight.embedding.compute import Progress
from resight.errors import RecipeError
from resight.gallery.gallery import Gallery
from resight.gallery.record import expired_already
from resight.watch.detectors import Detector, Tables
from resight.watch.events.delivery import Delivery
from resight.watch.following.tracker import Tracking
from resight.watch.frames import batches
from resight.watch.keeping import ROUND, Keeper, OnTrack
from resight.watch.lanes import CameraFacts, CameraLane, FilmLane, Run
from resight.watch.learning import Learning
from resight.watch.link import Rules
from resight.watch.naming import name_tracks, unnamed_tracks
from resight.watch.travel import TravelTimes
from resight.watch.views import View, sorted_out

__all__ = ["View", "Watched", "name_later", "watch"]

KINDS = {
    "person": frozenset({"person"}),
    "vehicle": frozenset({"vehicle", "car", "truck", "bus", "motorcycle"}),
    "object": None,  # whatever the detector finds
}

AS_USUAL, ANYWHERE = Tracking(), Rules()

Message = Callable[[str], None]


@dataclass(frozen=True)
class Watched:
    """What watching found.

    Attributes:
        frames: how many went through the detector; ``boxes``: how many were found in them.
        small: how many sure boxes besides were left out, because a side is shorter than 12 pixels.
        brief: how many tracks were left out, because they were shorter than ``Tracking.shortest`` or three boxes.
        tracks: how many of each camera, by its name.
        new, known: how many of their records were new to the gallery, and how many were there before.
        people: who was seen, by name; ``met``: those of them whom the gallery knew before.
        impossible: pairs of tracks that cannot be of one individual, because time and place forbid it; ``alike``: how
            many of these are within the threshold all the same; ``alike_across``: how many of those are of two cameras.
            Many are a sign that the threshold is too wide, or that the clocks of two cameras differ.
        clocks: a sentence for each camera whose clock differs from the others.
        live: what came from each live camera, and what was left out.
        times: how long people took between cameras, with what was known before.
        problems: a sentence for each video or camera of which something is missing.
        complete: whether every video was read to its end; damaged frames between do not count.
        stopped: whether it was stopped before the end.
    """

    frames: int
    boxes: int
    small: int
    brief: int
    tracks: dict[str, int]
    new: int
    known: int
    people: tuple[str, ...]
    met: tuple[str, ...]
    impossible: int
    alike: int
    alike_across: int
    problems: tuple[str, ...]
    clocks: tuple[str, ...]
    live: dict[str, CameraFacts]
    times: TravelTimes = field(repr=False)
    complete: bool
    stopped: bool

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON."""
        found = asdict(replace(self, times=TravelTimes()))
        del found["times"]
        return found


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
    budget: float = 0.0,
    basis: str = "",
    expires: float | None = None,
    add_erased: bool = False,
    on_track: OnTrack | None = None,
    on_message: Message | None = None,
    events: Delivery | None = None,
    times: TravelTimes | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Watched:
    """Find the people or vehicles in videos, keep one record for each track, and name the individuals.

    Each track is added to the gallery when it ends, and durable then. Tracks get names, an identity of the gallery that
    matches or a new one, at the end, and every few seconds while live cameras are watched. Watching a video twice adds
    nothing. Videos are read one after the other; live cameras all at once, whatever becomes of one of them: a camera
    that is lost is opened again.

    Args:
        views: at least one.
        gallery: where records go; its model embeds.
        detector: finds boxes in frames.
        what: "person", "vehicle", or "object" for all that the detector finds; new names begin with it.
        threshold: the distance up to which two tracks are of one individual; the gallery's decision's when None.
        tracking: how tracks are made; ``rules``: what time and place allow.
        every: process every ``every``-th frame.
        budget: frames a second of all live cameras together, an equal share of it for each; 0 for no limit.
        basis, expires, add_erased: as for :meth:`resight.Gallery.add`.
        on_track: called with each track and the id of its record.
        on_message: called with a sentence when a camera is lost or back, or a video is damaged.
        events: where messages about new tracks go; the caller closes it.
        times: how long people take between cameras, as known before.
        stop: asked after some frames; once true, tracks end and get their names, and nothing more is read.
        progress: called with (frames done, frames in all).

    Raises:
        DataError: no video, or one that cannot be read.
        RecipeError: no threshold, or a setting out of its range.
    """
    films, live = sorted_out(views)
    if every < 1:
        raise RecipeError(f"every is {every}: it must be 1 or more.")
    if budget < 0:
        raise RecipeError(f"budget is {budget}: choose frames a second, or 0 for no limit.")
    limit = _limit(gallery, threshold, what)
    learning = Learning(times or TravelTimes())
    keeper = Keeper(gallery, limit, rules, what, basis, expires, on_track, events, learning, add_erased=add_erased)
    if isinstance(detector, Tables):
        detector.check({view.source: count for view, count in films.items()}, [view.source for view in live])
    wake = threading.Event()
    run = Run(keeper, detector, KINDS[what], tracking, on_message or (lambda _: None), wake.set)
    total = sum(-(-count // every) for count in films.values())
    with ExitStack() as opened:
        cameras = [
            opened.enter_context(closing(CameraLane(view, run, every, budget / len(live), wake.set))) for view in live
        ]
        for camera in cameras:
            camera.check()
        reading = opened.enter_context(closing(FilmLane(list(films), run, every)))
        lanes: list[FilmLane | CameraLane] = [reading, *cameras]
        while not (stopped := stop()):
            wake.clear()
            busy = sum(lane.step() for lane in lanes) > 0  # each takes its turn
            run.report()
            if cameras:
                keeper.name_in_time()
            if progress and busy:
                progress(run.frames, max(total, run.frames))
            if not busy and all(lane.ended for lane in lanes):
                break
            if not busy:
                wake.wait(0.1)
        for lane in lanes:
            lane.finish()
    keeper.name()
    if keeper.erased:
        run.problem(f"{counted(keeper.erased, 'track')} not added again: erased from this gallery before.")
    if keeper.expired:
        run.problem(expired_already(keeper.expired))
    run.report()
    if run.error is not None and not run.frames:
        raise run.error
    return Watched(
        run.frames,
        run.boxes,
        run.small,
        run.brief,
        {view.camera: keeper.tracks.get(view.camera, 0) for view in views},
        keeper.new,
        keeper.known,
        tuple(keeper.people),
        tuple(name for name, met in keeper.people.items() if met),
        keeper.impossible,
        keeper.alike,
        keeper.alike_across,
        tuple(run.problems),
        tuple(map(str, learning.shifts)),
        {view.camera: lane.facts() for view, lane in zip(live, cameras, strict=True)},
        learning.times,
        run.complete,
        stopped,
    )


def name_later(
    gallery: Gallery, *, what: str = "person", threshold: float | None = None, rules: Rules = ANYWHERE
) -> tuple[str, ...]:
    """Name the tracks in a gallery that have no name, as those of a watcher that was ended by force.

    Args:
        gallery, what, threshold, rules: as for :func:`watch`.

    Returns:
        The names, one for each of these tracks.
    """
    limit = _limit(gallery, threshold, what)
    kept = unnamed_tracks(gallery)
    names: tuple[str, ...] = ()
    for some in batches(kept, ROUND):
        names += name_tracks(gallery, some, limit, rules, what).names
    return names


def _limit(gallery: Gallery, threshold: float | None, what: str) -> float:
    if what not in KINDS:
        raise RecipeError(f"what is {what!r}: choose one of {', '.join(KINDS)}.")
    limit = gallery.decision.threshold if threshold is None and gallery.decision else threshold
    if limit is None:
        raise RecipeError(
            f"The model of {gallery.uri} has no calibrated threshold: run resight calibrate MODEL DATA first, or pass "
            "a threshold."
        )
    return limit
