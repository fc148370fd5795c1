"""``resight watch``."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from resight.cli.console import Json, bar, err, out, print_json
from resight.errors import DataError, RecipeError

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery
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
        list[str],
        typer.Argument(metavar="VIDEO...", help="Video files or live cameras (a device number, rtsp://...)."),
    ],
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
            "file's modification time minus the duration (default: times count from the start of the video).",
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Detector: OpenVINO SSD (.xml) or YOLOX (.onnx); or boxes: a CSV file (frame, x, y, width, height), "
            "or a folder with one CSV per video.",
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
    every: Annotated[int, typer.Option(metavar="N", min=1, help="Process every Nth frame.")] = 1,
    basis: Annotated[
        str, typer.Option(metavar="TEXT", help="Legal basis for keeping the records: consent, contract, ...")
    ] = "",
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="When the records expire (default: the gallery's policy).")
    ] = "",
    json: Annotated[bool, Json] = False,
) -> None:
    """Detect, track and re-identify people or vehicles in videos, across cameras.

    Every track becomes one record of the gallery. Processing the same video again adds nothing. Ctrl-C stops early and
    keeps all tracks found so far.
    """
    from resight.gallery.times import moment
    from resight.watch.detectors import find_detector, open_detector
    from resight.watch.link import Rules
    from resight.watch.watch import watch as look

    views = _views(videos, camera or [], start or [])
    rules = Rules(frozenset(_pair(pair, views) for pair in overlap or ()), travel)
    finds = open_detector(detector or find_detector(what.value), what.value)
    until = moment(expires, "--expires") if expires else None
    with _opened(gallery, model, what) as to, bar("watching", json) as progress, _stoppable() as stop:
        found = look(
            views,
            to,
            finds,
            what=what.value,
            threshold=threshold,
            rules=rules,
            every=every,
            basis=basis,
            expires=until,
            stop=stop,
            progress=progress,
        )
        if json:
            print_json(found.numbers() | {"gallery": to.uri})
        else:
            _tell(found, to, views)


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


def _pair(text: str, views: Sequence[View]) -> frozenset[str]:
    pair = frozenset(name.strip() for name in text.split(","))
    known = {view.camera for view in views}
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


def _tell(found: Watched, gallery: Gallery, views: Sequence[View]) -> None:
    """The result for people."""
    from resight.gallery.times import iso
    from resight.watch.frames import is_live

    table = Table(box=None, pad_edge=False)
    for column in ("who", "records", "cameras", "first seen", "last seen", ""):
        table.add_column(column, no_wrap=column.endswith("seen"), overflow="fold")
    for person in gallery.identities():
        if person.name in found.people:
            known = "known" if person.name in found.met else "new"
            cells = (person.name, str(person.records), ", ".join(person.cameras), iso(person.first), iso(person.last))
            table.add_row(*cells, known)
    out.print(table, markup=False)
    stopped = " Stopped before the end." if found.stopped else ""
    out.print(
        f"{len(found.people):,} seen in {sum(found.tracks.values()):,} tracks ({found.new:,} new records), "
        f"{found.frames:,} frames.{stopped}",
        markup=False,
    )
    if found.impossible:
        err.print(
            f"Of {found.impossible:,} pairs of tracks that cannot be the same, {found.alike:,} are within the threshold"
            + (": choose a smaller --threshold." if found.alike > 0.05 * found.impossible else "."),
            markup=False,
        )
    if any(view.start is None and not is_live(view.source) for view in views):
        err.print("Times count from the beginning of each video: --start says when that was.")
    err.print(f"written: {gallery.uri}", markup=False)
