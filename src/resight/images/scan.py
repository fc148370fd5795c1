"""Every image file opened once: is it whole, how large is it, and which others are copies of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from resight.files import read_bytes
from resight.images.decode import decode_bytes

WHOLE, EMPTY, FOREIGN, DAMAGED, UNREADABLE = range(5)
_SIGNATURES = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
_CHUNK = 128


@dataclass(frozen=True, eq=False)
class Scan:
    """What was found in N image files.

    Attributes:
        paths: (N,) str.
        states: (N,) int64: WHOLE, EMPTY (0 bytes), FOREIGN (not an image file at all), DAMAGED (an image file that
            does not decode to its end), UNREADABLE (its bytes cannot be had).
        heights, widths: (N,) int64 in pixels; 0 unless whole.
        digests: (N,) bytes, the SHA-256 of each whole file; empty unless whole.
    """

    paths: NDArray[np.str_]
    states: NDArray[np.int64]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    digests: tuple[bytes, ...]


def scan(
    paths: Sequence[str], *, threads: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Scan:
    """Read, hash and decode each of ``paths`` in a pool of threads; nothing is raised for a bad file.

    Args:
        paths: N files, which may stand inside zip archives.
        threads: by default one per processor core.
        progress: called now and then with (files done, files in all).
    """
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    results: list[tuple[int, int, int, bytes]] = []
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for done in pool.map(lambda chunk: [_look(path) for path in chunk], chunks):
            results += done
            if progress:
                progress(len(results), len(paths))
    states, heights, widths = np.array([result[:3] for result in results], dtype=np.int64).reshape(-1, 3).T
    digests = tuple(result[3] for result in results)
    return Scan(np.array(paths, dtype=np.str_), states, heights, widths, digests)


def _look(path: str) -> tuple[int, int, int, bytes]:
    """State, height, width and digest of one file."""
    try:
        data = read_bytes(path)
    except Exception:  # not DataError alone: archives and decoders fail in more ways than can be listed
        return UNREADABLE, 0, 0, b""
    if not data:
        return EMPTY, 0, 0, b""
    try:
        height, width = decode_bytes(data, path).shape[:2]
    except Exception:
        return DAMAGED if data.startswith(_SIGNATURES) else FOREIGN, 0, 0, b""
    return WHOLE, height, width, hashlib.sha256(data).digest()
