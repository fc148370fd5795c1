"""``resight watch``."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json
from resight.cli.options import AddErased
from resight.counted import counted
from resight.errors import DataError, ModelError, RecipeError

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery
    from resight.watch.events.delivery import Delivery
    from resight.watch.scoring.watched import Measured
    from resight.watch.watch import View, Watched


class What(str, Enum):
    """The kinds of :mod:`resight.watch.watch`, named here so that nothing heavy is imported for ``--help``."""

    person = "person"
    vehicle = "vehicle"
    object = "object"


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("watch")(watch)


def watch(
    videos: Annotated[
        list[str] | None,
        typer.Argument(metavar="VIDEO...", help="Video files or live cameras (a device number, rtsp://...)."),
    ] = None,
    gallery: Annotated[
        str, typer.Option("--gallery", "-g", metavar="GALLERY", help="Where to keep the records; created if missing.")
    ] = "seen",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="Model of a new gallery (default: chosen by --what)."),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option("--camera", metavar="NAME", help="Camera of each video, in order (default: the file's name)."),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TIME",
            help="Start of each video, or one for all: 2026-11-21T13:30:05 (UTC, or with +01:00), or `file` for the "
            "file's modification time minus the duration (default: records have no time).",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Detector: a public one (zoo:NAME), OpenVINO SSD (.xml) or YOLOX (.onnx); or "
            "boxes: a CSV file (frame, x, y, width, height), or a folder with one CSV per video.",
        ),
    ] = None,
    what: Annotated[What, typer.Option(help="What to detect; object means every class of the detector.")] = What.person,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="DISTANCE",
            min=0,
            help="Maximum distance for linking two tracks (default: the gallery's threshold).",
        ),
    ] = None,
    overlap: Annotated[
        list[str] | None,
        typer.Option(metavar="CAMERA,CAMERA", help="Two cameras with overlapping views; repeatable."),
    ] = None,
    travel: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Shortest time to travel between two cameras.")
    ] = 0.0,
    window: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="Longest time between two tracks that are linked (default: no limit)."
        ),
    ] = None,
    travel_times: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table of travel times between cameras, read if it exists and written with what was learnt.",
        ),
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", min=1, help="Process every Nth frame.")] = 1,
    budget: Annotated[
        float,
        typer.Option(
            metavar="FPS",
            min=0,
            help="Frames per second of all live cameras together, shared equally (default: no limit).",
        ),
    ] = 0.0,
    basis: Annotated[
        str, typer.Option(metavar="TEXT", help="Legal basis for keeping the records: consent, contract, ...")
    ] = "",
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="When the records expire (default: the gallery's policy).")
    ] = "",
    add_erased: AddErased = False,
    events: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SINK",
            help="Send a JSON message for each new track to - (standard output), a FILE, mqtt://HOST/TOPIC or "
            "http://...; repeatable. What cannot be sent waits in the outbox.",
        ),
    ] = None,
    outbox: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Messages that wait (default: beside the gallery's file).")
    ] = None,
    measure: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="True boxes of each video, in order (MOTChallenge gt.txt): print the scores."
        ),
    ] = None,
    save_tracks: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the boxes of each camera in MOTChallenge format.")
    ] = None,
    name: Annotated[
        bool,
        typer.Option("--name", help="Only name the tracks in the gallery that have no name, after a watch was killed."),
    ] = False,
    json: Annotated[bool, Json] = False,
) -> None:
    """Detect, track and re-identify people or vehicles in videos, across cameras.

    Every track becomes one record of the gallery. Processing the same video again adds nothing. Ctrl-C stops early and
    keeps all tracks found so far. Exit code 1: a video could not be read to its end.
    """
    from resight.gallery.times import moment
    from resight.watch.detectors import NEEDED, open_detector
    from resight.watch.link import Rules
    from resight.watch.scoring.watched import Tracks, read_truth
    from resight.watch.travel import TravelTimes
    from resight.watch.watch import watch as process

    if json and "-" in (events or ()):
        raise RecipeError("--json and --events - both write to standard output: leave one out, or write to a file.")
    if name:
        limits = travel, _window(window)
        return _name(videos or [], gallery, what, threshold, overlap or [], limits, events or [], outbox, json)
    if not videos:
        raise RecipeError("Nothing to watch: pass at least one video or camera, or --name.")
    views = _views(videos, camera or [], start or [])
    rules = Rules(
        frozenset(_pair(pair, [view.camera for view in views]) for pair in overlap or ()), travel, _window(window)
    )
    times = TravelTimes.read(travel_times) if travel_times and travel_times.exists() else TravelTimes()
    if detector is None:
        raise ModelError(NEEDED)
    finds = open_detector(detector, what.value)
    until = moment(expires, "--expires") if expires else None
    truth = read_truth(measure, views) if measure else None
    tracks = Tracks()
    with (
        _opened(gallery, model, what) as to,
        bar("watching", json) as progress,
        _stoppable() as stop,
        _sending(to, events or [], outbox) as delivery,
    ):
        found = process(
            views,
            to,
            finds,
            what=what.value,
            threshold=threshold,
            rules=rules,
            every=every,
            budget=budget,
            basis=basis,
            expires=until,
            add_erased=add_erased,
            on_track=tracks.add if truth or save_tracks else None,
            on_message=_say,
            events=delivery,
            times=times,
            stop=stop,
            progress=progress,
        )
        if travel_times:
            found.times.write(travel_times)
        for sentence in found.clocks:
            _say(sentence)
        applied = to.applied()
        if applied and applied.banner:
            err.print(f"warning: {applied.banner}")
        saved = tracks.save(save_tracks, [view.camera for view in views], to) if save_tracks else []
        scores = tracks.measure(truth, to, every) if truth else None
        if json:
            print_json(found.numbers() | {"gallery": to.uri} | ({"scores": scores.numbers()} if scores else {}))
        else:
            console = err if "-" in (events or ()) else out
            _print_result(found, to, views, console)
            if scores:
                _print_scores(scores, console)
            for file in saved:
                err.print(f"written: {file}")
    if not (found.complete or found.stopped):
        raise typer.Exit(1)


def _name(
    videos: Sequence[str],
    where: str,
    what: What,
    threshold: float | None,
    overlap: Sequence[str],
    limits: tuple[float, float],
    events: Sequence[str],
    outbox: Path | None,
    json: bool,
) -> None:
    """``--name``: names for the tracks that have none."""
    from resight.gallery.gallery import Gallery
    from resight.watch.link import Rules
    from resight.watch.watch import name_later

    if videos:
        raise RecipeError("--name names what is in the gallery: leave out the videos, or leave out --name.")
    with Gallery.open(where) as gallery, _sending(gallery, events, outbox):
        rules = Rules(frozenset(_pair(pair, gallery.stats().cameras) for pair in overlap), *limits)
        names = name_later(gallery, what=what.value, threshold=threshold, rules=rules)
        if json:
            print_json({"tracks": len(names), "people": list(dict.fromkeys(names)), "gallery": gallery.uri})
        else:
            console = err if "-" in events else out
            people = counted(len(set(names)), "identity", "identities")
            console.print(f"{counted(len(names), 'track')} named: {people}.")
            err.print(f"written: {gallery.uri}")


def _window(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _views(videos: Sequence[str], cameras: Sequence[str], starts: Sequence[str]) -> list[View]:
    """The videos with their cameras and times."""
    from resight.gallery.times import moment
    from resight.watch.frames import file_start, is_live
    from resight.watch.watch import View

    if cameras and len(cameras) != len(videos):
        raise RecipeError(f"There are {len(cameras)} cameras for {len(videos)} videos: name one for each, or none.")
    if len(starts) not in (0, 1, len(videos)):
        raise RecipeError(f"There are {len(starts)} starts for {len(videos)} videos: give one for each, or for all.")
    names = list(cameras) or [""] * len(videos)
    begin = [*starts] * (len(videos) if len(starts) == 1 else 1) or [""] * len(videos)
    times = [
        None if not text or is_live(video) else file_start(video) if text == "file" else moment(text, "--start")
        for video, text in zip(videos, begin, strict=True)
    ]
    return [View(*one) for one in zip(videos, names, times, strict=True)]


def _pair(text: str, cameras: Iterable[str]) -> frozenset[str]:
    pair = frozenset(name.strip() for name in text.split(","))
    known = set(cameras)
    if len(pair) != 2 or not pair <= known:
        raise RecipeError(f"--overlap {text!r} is no pair of {', '.join(sorted(known))}: write it like A,B.")
    return pair


def _opened(where: str, model: str | None, what: What) -> Gallery:
    """The gallery, made where there is none."""
    from resight.gallery.gallery import Gallery

    if model is None:
        try:
            return Gallery.open(where)
        except DataError:  # nothing there
            if what is What.object:
                raise
            model = what.value
    return Gallery.open(where, model)


@contextmanager
def _sending(gallery: Gallery, events: Sequence[str], outbox: Path | None) -> Iterator[Delivery | None]:
    """Messages go out while the block runs, and what can still be sent at its end; None where nobody asked."""
    from resight.watch.events.delivery import Delivery

    if not events:
        yield None
        return
    delivery = Delivery(gallery, events, outbox, _say)
    try:
        yield delivery
    finally:
        for sink, count in delivery.close().items():
            left = f"{counted(count, 'event')} for {sink} left in {delivery.outbox.path}"
            _say(f"{left}: the next watch to it sends what is there.")


def _say(message: str) -> None:
    err.print(message)


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Whether it was asked to stop: Ctrl-C and SIGTERM ask once, a second Ctrl-C means it."""
    asked = False

    def ask(number: int, _: object) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        err.print("stopping; tracks are finished and named.")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_result(found: Watched, gallery: Gallery, views: Sequence[View], console: Console) -> None:
    """The result as a table and sentences."""
    from resight.gallery.times import iso
    from resight.watch.link import WORLD
    from resight.watch.watch import AS_USUAL

    table = Table(box=None, pad_edge=False)
    for column in ("identity", "records", "cameras", "first seen", "last seen", ""):
        table.add_column(column, no_wrap=column.endswith("seen"), overflow="fold")
    for person in gallery.identities():
        if person.name in found.people:
            known = "known" if person.name in found.met else "new"
            cells = (person.name, str(person.records), ", ".join(person.cameras), iso(person.first), iso(person.last))
            table.add_row(*cells, known)
    console.print(table)
    stopped = " Stopped before the end." if found.stopped else ""
    console.print(
        f"{len(found.people):,} seen in {counted(sum(found.tracks.values()), 'track')} "
        f"({counted(found.new, 'new record')}), {counted(found.frames, 'frame')}.{stopped}",
    )
    if found.small:
        err.print(f"{counted(found.small, 'box', 'boxes')} with a side of less than 12 pixels left out.")
    if found.brief:
        err.print(f"{counted(found.brief, 'track')} of less than {AS_USUAL.shortest:g} s or three boxes left out.")
    if found.impossible:
        err.print(_advice(found))
    if any(view.clock != WORLD for view in views):
        err.print("Records of videos without --start have no time.")
    err.print(f"written: {gallery.uri}")


def _print_scores(scores: Measured, console: Console) -> None:
    """One row for each camera: its tracks, and its identities; and one for all cameras."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0), title="against the true boxes, %", title_justify="left"
    )
    for column in ("camera", "of", "HOTA", "DetA", "AssA", "LocA", "IDF1", "MOTA", "switches", "found", "true"):
        table.add_column(column, justify="left" if column in ("camera", "of") else "right")
    rows = [(camera, what, one) for what, part in scores.parts().items() for camera, one in part.items()]
    for name, what, one in rows + ([("all", "identities", scores.together)] if len(scores.tracks) > 1 else []):
        shares = (one.HOTA, one.DetA, one.AssA, one.LocA, one.IDF1, one.MOTA)
        counts = (one.switches, one.found, one.true)
        table.add_row(name, what, *(f"{100 * share:.1f}" for share in shares), *(f"{count:,}" for count in counts))
    console.print(table)


def _advice(found: Watched) -> str:
    """What look-alikes that cannot be one individual mean, and what helps."""
    fact = (
        f"Of {found.impossible:,} pairs of tracks that cannot be the same, {found.alike:,} are within the threshold"
        f" ({found.alike_across:,} of them seen by two cameras)"
    )
    many = 0.05 * found.impossible
    cures = []
    if found.alike_across > many:
        cures.append(
            "check that the clocks of the cameras agree (--start), and name cameras that see the same place (--overlap)"
        )
    if found.alike - found.alike_across > many:
        cures.append("choose a smaller --threshold")
    elif cures:
        cures.append("if both are right, choose a smaller --threshold")
    return f"{fact}{': ' if cures else ''}{'; '.join(cures)}."
