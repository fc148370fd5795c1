"""What frames come from: films, which have an end, and live cameras, which have none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from resight.images.decode import Pixels
from resight.images.film import Film, is_remote

FILES = ("http", "https", "ftp", "ftps", "file")  # addresses behind which a film may be


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes:
        source: the path or address it came from, without passwords.
        number: which frame of its source, from 0.
        time: seconds: since the start of a video; since 1970 of a live camera.
        pixels: (H, W, 3) uint8 RGB.
    """

    source: str
    number: int
    time: float
    pixels: Pixels


def is_live(source: str | os.PathLike[str]) -> bool:
    """Whether a source is a camera for sure: its number, or an address such as ``rtsp://door/1``.

    Behind ``http://`` may be a camera or a film, which :func:`open_film` finds out.
    """
    name = os.fspath(source)
    return name.isdecimal() or ("://" in name and urlsplit(name).scheme.lower() not in FILES)


def is_endless(film: Film, source: str) -> bool:
    """Whether an opened film is a live camera: it is no file of this computer, and does not say how long it is."""
    return film.seconds is None and is_remote(source)
