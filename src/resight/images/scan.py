"""Every image file opened once: whether it is complete, its size, and a small thumbnail."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from resight.files import read_bytes
from resight.images.decode import NotDecoded, decode_bytes
from resight.images.near_copies import HEIGHT, WIDTH
from resight.texts import texts

WHOLE, EMPTY, FOREIGN, DAMAGED, UNREADABLE, POINTER, UNSUPPORTED, REFUSED = range(8)
_SIGNATURES = (
    b"\xff\xd8",
    b"\x89PNG",
    b"GIF8",
    b"BM",
    b"RIFF",
    b"II*\0",
    b"MM\0*",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
)
_POINTER = b"version https://git-lfs.github.com"
_CHUNK = 128


@dataclass(frozen=True, eq=False)
class Scan:
    """What was found in N image files.

    Attributes:
        paths: (N,) str.
        states: (N,) int64: WHOLE, EMPTY (0 bytes), FOREIGN (not an image file at all), DAMAGED (an image file that
            does not decode to its end), UNREADABLE (its bytes cannot be had), POINTER (of Git LFS, in place of the
            image), UNSUPPORTED (a format that needs an extra), REFUSED (whole, but too large, or of numbers without a
            known range).
        heights, widths: (N,) int64 in pixels; 0 unless whole.
        digests: (N,) bytes, the SHA-256 of each whole file; empty unless whole.
        thumbnails: (N, 16, 8, 3) uint8 RGB, the whole images shrunk by area; 0 unless whole.
    """

    paths: NDArray[np.str_]
    states: NDArray[np.int64]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    digests: tuple[bytes, ...]
    thumbnails: NDArray[np.uint8]


class _File(NamedTuple):
    state: int
    height: int = 0
    width: int = 0
    digest: bytes = b""
    thumbnail: NDArray[np.uint8] | None = None


def scan(
    paths: Sequence[str], *, threads: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Scan:
    """Read, hash and decode each of ``paths`` in a pool of threads; nothing is raised for a bad file.

    Args:
        paths: N files, which may be inside zip archives.
        threads: by default one per processor core.
        progress: called now and then with (files done, files in all).
    """
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    files: list[_File] = []
    thumbnails = np.zeros((len(paths), HEIGHT, WIDTH, 3), np.uint8)
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for done in pool.map(lambda chunk: [_open(path) for path in chunk], chunks):
            for at, file in enumerate(done, start=len(files)):
                if file.thumbnail is not None:
                    thumbnails[at] = file.thumbnail
            files += [file._replace(thumbnail=None) for file in done]
            if progress:
                progress(len(files), len(paths))
    states, heights, widths = np.array([file[:3] for file in files], dtype=np.int64).reshape(-1, 3).T
    digests = tuple(file.digest for file in files)
    return Scan(texts(paths), states, heights, widths, digests, thumbnails)


def _open(path: str) -> _File:
    try:
        data = read_bytes(path)
    except Exception:  # not DataError alone: archives and decoders fail in more ways than can be listed
        return _File(UNREADABLE)
    if not data:
        return _File(EMPTY)
    try:
        pixels = decode_bytes(data, path)
    except Exception as error:
        if data.startswith(_POINTER):
            return _File(POINTER)
        if "resight[" in str(error):  # the message names the extra to install
            return _File(UNSUPPORTED)
        if isinstance(error, NotDecoded):
            return _File(REFUSED)
        return _File(DAMAGED if data.startswith(_SIGNATURES) or data[4:8] == b"ftyp" else FOREIGN)
    small = np.asarray(cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
    return _File(WHOLE, pixels.shape[0], pixels.shape[1], hashlib.sha256(data).digest(), small)
