"""What is watched: videos and live cameras, each with the camera's name and the time of the beginning."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resight.errors import DataError, RecipeError
from resight.gallery.record import LONGEST_NAME, camera_name, readable
from resight.images.film import Film, is_remote, local_path, shown_address
from resight.watch.link import WORLD
from resight.watch.source import is_endless, is_live


@dataclass(frozen=True)
class View:
    """What one camera saw.

    Attributes:
        source: a video, or a live camera: its number, or an address such as ``rtsp://door/1``. Passwords are taken out
            of it, so that it can be kept and printed.
        camera: the camera's name; when empty, the file's name without its ending, or the address.
        start: when the video begins, in seconds since 1970. Where that is not known, its records have no time, and it
            is not compared with other videos. None for a live camera, whose times are those of the clock.
        address: the source with its password, which is opened; as given when empty.
        named: whether the camera's name was given.
    """

    source: str
    camera: str = ""
    start: float | None = None
    address: str = field(default="", repr=False)
    named: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "address", self.address or local_path(os.fspath(self.source)))
        put(self, "source", shown_address(self.address))
        put(self, "named", bool(self.camera))
        put(self, "camera", camera_name(self.camera) or _usual_name(self.source))
        if self.start is not None and is_live(self.address):
            raise live_start(self.source)
        if self.start is not None and not self.start < time.time() + 86400:
            raise RecipeError(f"{self.source} starts in the future ({self.start:.0f} s after 1970): correct its start.")

    @property
    def clock(self) -> str:
        """Times of views with the same clock may be compared."""
        return WORLD if is_live(self.address) or self.start is not None else self.place

    @property
    def place(self) -> str:
        """The address, or the path under one spelling."""
        return self.address if is_remote(self.address) else str(Path(self.address).resolve())

    @property
    def recorded(self) -> str:
        """The source as records keep it: the absolute path of a file without links, or the address."""
        return self.source if is_remote(self.address) else self.place


def live_start(source: str) -> RecipeError:
    """The error for a live camera with a start."""
    return RecipeError(f"{source} is a live camera, which begins now: give a start for videos only.")


def sorted_out(views: Sequence[View]) -> tuple[dict[View, int], list[View]]:
    """The films with the number of frames that each says it has, and the live cameras.

    Raises:
        DataError: nothing to watch, a video twice, two files of one name whose cameras have no names, or a film that
            cannot be read.
        RecipeError: a live camera with a start.
    """
    if not views:
        raise DataError("There is nothing to watch: pass at least one video or camera.")
    if len({view.place for view in views}) < len(views):
        raise DataError("A video is there twice: pass each once.")
    usual: dict[str, View] = {}
    for view in views:
        other = usual.setdefault(view.camera, view)
        if other is not view and not (view.named and other.named):
            raise DataError(
                f"{other.source} and {view.source} would both be camera {view.camera!r}: name each camera (--camera)."
            )
    films: dict[View, int] = {}
    live = []
    for view in views:
        if is_live(view.address):
            live.append(view)
            continue
        film = Film(view.address)
        film.close()
        if not is_endless(film, view.address):
            films[view] = film.count
        elif view.start is None:
            live.append(view)
        else:
            raise live_start(view.source)
    return films, live


def _usual_name(source: str) -> str:
    name = source.partition("?")[0] if is_remote(source) else readable(Path(source).stem)
    return name[:LONGEST_NAME]
