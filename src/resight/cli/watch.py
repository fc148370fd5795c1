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
        typer.Argument(metavar="VIDEO...", help="Videos, or live cameras: a number, or an address (rtsp://...)."),
    ],
    gallery: Annotated[
        str, typer.Option("--gallery", "-g", help="Where records go; made if it is not there.")
    ] = "seen",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="What embeds, for a new gallery; the model of --what if not given."),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option("--camera", metavar="NAME", help="The camera of each video, in order; else the file's name."),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TIME",
            help="When each video begins, or all do: 2026-11-21T13:30:05 (UTC), or with +01:00; `file`: when its file "
            "was last written, less its length. Else times count from the beginning of the video.",
        ),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            help="An OpenVINO SSD (.xml), a YOLOX (.onnx), or boxes: a CSV file of frame,x,y,width,height, or a folder "
            "with one for each video. Else what stands in ../shared."
        ),
    ] = None,
    what: Annotated[What, typer.Option(help="What to look for; object is whatever the detector finds.")] = What.person,
    threshold: Annotated[
        float | None, typer.Option(min=0, help="Up to which distance two tracks are the same; the gallery's otherwise.")
    ] = None,
    overlap: Annotated[
        list[str] | None,
        typer.Option(metavar="CAMERA,CAMERA", help="Two cameras that may see somebody at once; repeat for more."),
    ] = None,
    travel: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="The least time from one camera to another.")
    ] = 0.0,
    every: Annotated[int, typer.Option(min=1, help="Look at every so many-th frame.")] = 1,
    basis: Annotated[str, typer.Option(help="Why they may be kept: consent, contract, ...")] = "",
    expires: Annotated[str, typer.Option(metavar="TIME", help="When they expire, if not as the gallery says.")] = "",
    json: Annotated[bool, Json] = False,
) -> None:
    """Watch videos: find whoever is in them, keep one record for each track, and say who is who over all cameras.

    Watching the same video again adds nothing. Ctrl-C ends it early and loses no track that was seen.
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
