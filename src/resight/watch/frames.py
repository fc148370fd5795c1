"""Frames of films and live cameras, one after the other, in bounded memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from resight.errors import DataError
from resight.images.film import Film, local_path
from resight.watch.cameras import Camera
from resight.watch.source import Frame, is_endless, is_live

__all__ = ["Frame", "batches", "count_frames", "file_start", "film_frames", "is_live", "open_film", "read_frames"]

BATCH = 8  # frames that go through the detector together

Item = TypeVar("Item")


def open_film(source: str | os.PathLike[str]) -> Film | None:
    """The film at a source; None for a live camera.

    Raises:
        DataError: there is no such film, or FFmpeg cannot read it.
    """
    name = os.fspath(source)
    if is_live(name):
        return None
    film = Film(name)
    if not is_endless(film, name):
        return film
    film.close()
    return None


def count_frames(source: str | os.PathLike[str]) -> int:
    """How many frames a video says it has; 0 where it does not say, as live cameras."""
    film = open_film(source)
    if film is None:
        return 0
    film.close()
    return film.count


def file_start(source: str | os.PathLike[str]) -> float:
    """When a video began, in seconds since 1970, if its file was last written when it ended, as recorders do.

    Raises:
        DataError: there is no such video, or it does not say how long it is.
    """
    path = Path(local_path(os.fspath(source)))
    film = open_film(source)
    if film is not None:
        film.close()
    if film is None or film.seconds is None or not path.is_file():
        raise DataError(f"{os.fspath(source)} does not say how long it is, or when it was written: say when it began.")
    return path.stat().st_mtime - film.seconds


def film_frames(film: Film, every: int = 1) -> Iterator[Frame]:
    """Every ``every``-th frame of an opened film, which is closed at the end.

    Raises:
        DataError: the film has no frame that can be decoded.
    """
    with closing(film):
        for still in film:
            if still.number % every == 0:
                yield Frame(film.name, still.number, still.time, still.pixels())
        if not film.read:
            raise DataError(f"{film.name} has no frame that can be decoded: convert it to MP4 (H.264).")


def read_frames(
    source: str | os.PathLike[str], every: int = 1, stop: Callable[[], bool] = lambda: False
) -> Iterator[Frame]:
    """Every ``every``-th frame of a video, or of a live camera until ``stop`` is true; in order.

    Frames of a camera that are not taken in time are left out, the oldest first.

    Raises:
        DataError: there is no such video or camera, or FFmpeg cannot read it.
    """
    film = open_film(source)
    return _live(os.fspath(source), every, stop) if film is None else film_frames(film, every)


def _live(source: str, every: int, stop: Callable[[], bool]) -> Iterator[Frame]:
    wake = threading.Event()
    with closing(Camera(source, every=every, wake=wake.set).start()) as camera:
        while not stop():
            wake.clear()
            frames = camera.take()
            yield from frames
            if not frames and camera.ended:
                break
            if not frames:
                wake.wait(0.1)
        camera.check()


def batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """``size`` items at a time, the last time fewer."""
    some: list[Item] = []
    for item in items:
        some.append(item)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
