"""Frames of videos and cameras, one after the other, in bounded memory."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.images.decode import Pixels

WAITING = 64  # frames of a camera that are kept while nobody has time for them; older ones are left out
BATCH = 8  # frames that go through the detector together

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes:
        source: the path or address it came from.
        number: which frame of its source, from 0.
        time: seconds: since the start of a video; since 1970 of a live camera.
        pixels: (H, W, 3) uint8 RGB.
    """

    source: str
    number: int
    time: float
    pixels: Pixels


def is_live(source: str | os.PathLike[str]) -> bool:
    """Whether a source is a camera: its number, or an address such as ``rtsp://door/1``."""
    name = os.fspath(source)
    return name.isdecimal() or "://" in name


def count_frames(source: str | os.PathLike[str]) -> int:
    """How many frames a video says it has; 0 where it does not say, as live cameras."""
    if is_live(source):
        return 0
    film = _open(os.fspath(source))
    count = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
    film.release()
    return max(0, count)


def file_start(source: str | os.PathLike[str]) -> float:
    """When a video began, in seconds since 1970, if its file was last written when it ended, as recorders do.

    Raises:
        DataError: there is no such video, or it does not say how long it is.
    """
    film = _open(os.fspath(source))
    count, rate = film.get(cv2.CAP_PROP_FRAME_COUNT), film.get(cv2.CAP_PROP_FPS)
    film.release()
    if is_live(source) or not (count > 0 and rate > 0):
        raise DataError(f"{os.fspath(source)} does not say how long it is: say when it began.")
    return Path(source).stat().st_mtime - count / rate


def read_frames(
    source: str | os.PathLike[str], every: int = 1, stop: Callable[[], bool] = lambda: False
) -> Iterator[Frame]:
    """Every ``every``-th frame of a video, or of a live camera until it ends or ``stop`` says so; in order.

    A camera is read by a thread of its own, and frames that are not taken in time are left out, the oldest first.

    Raises:
        DataError: there is no such video, or OpenCV cannot read it.
    """
    name = os.fspath(source)
    return _live(name, every, stop) if is_live(name) else _film(name, every)


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


def _open(name: str) -> cv2.VideoCapture:
    if not is_live(name) and not Path(name).is_file():
        raise DataError(f"{name} does not exist: check the path of the video.")
    film = cv2.VideoCapture(int(name) if name.isdecimal() else name)
    if not film.isOpened():
        if is_live(name):
            raise DataError(f"The camera {name} does not answer: check its address, and that nobody else holds it.")
        raise DataError(f"{name} is no video that OpenCV can read: convert it to MP4 (H.264).")
    return film


def _rgb(frame: NDArray[Any]) -> Pixels:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


def _film(name: str, every: int) -> Iterator[Frame]:
    film = _open(name)
    try:
        rate = film.get(cv2.CAP_PROP_FPS) or 25.0
        number, before = 0, -np.inf
        while film.grab():
            at = film.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if not before < at < before + 3600:  # the file does not say, or it jumps
                at = 0.0 if number == 0 else before + 1 / rate
            before = at
            if number % every == 0:
                there, frame = film.retrieve()
                if there:
                    yield Frame(name, number, at, _rgb(frame))
            number += 1
        if not number:
            raise DataError(f"{name} has no frame that can be decoded: convert it to MP4 (H.264).")
    finally:
        film.release()


def _live(name: str, every: int, stop: Callable[[], bool]) -> Iterator[Frame]:
    film = _open(name)
    waiting: deque[Frame] = deque(maxlen=WAITING)
    some, over = threading.Event(), threading.Event()

    def read() -> None:
        number = 0
        while not over.is_set():
            there, frame = film.read()
            if not there:
                over.set()
            elif number % every == 0:
                waiting.append(Frame(name, number, time.time(), _rgb(frame)))
            some.set()
            number += 1

    thread = threading.Thread(target=read, name="resight-camera", daemon=True)
    thread.start()
    try:
        while not stop() and (waiting or not over.is_set()):
            if waiting:
                yield waiting.popleft()
            else:
                some.wait(0.1)
                some.clear()
    finally:
        over.set()
        thread.join(5)
        film.release()
