"""Thumbnails as data URIs, so that a report needs no file beside it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from resight.errors import DataError, ResightError
from resight.images.decode import fit

LONGEST = 128
Decode = Callable[[str], NDArray[np.uint8]]


def shrink(pixels: NDArray[np.uint8], longest: int = LONGEST) -> NDArray[np.uint8]:
    """An (H, W, 3) uint8 RGB image made so small that no side is longer than ``longest`` pixels.

    Raises:
        DataError: another shape or type.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise DataError(
            f"A picture has shape {pixels.shape} and type {pixels.dtype}: the decode function must return "
            "(H, W, 3) uint8 RGB."
        )
    height, width = pixels.shape[:2]
    factor = min(longest / max(height, width), 1.0)
    return fit(pixels, max(1, round(height * factor)), max(1, round(width * factor)))


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """An (H, W, 3) uint8 RGB image as a JPEG data URI."""
    data: Any = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


class Pictures:
    """Thumbnails by path, each decoded once; what cannot be read is counted, and the first complaint kept."""

    def __init__(self, decode: Decode) -> None:
        self.decode = decode
        self.unreadable = 0
        self.complaint = ""
        self._known: dict[str, str | None] = {}
        self._shapes: list[tuple[int, ...]] = []

    @property
    def frame(self) -> tuple[int, int]:
        """(height, width) in pixels that suits most of the pictures so far."""
        height, width = np.median(self._shapes or [(128, 64, 3)], axis=0)[:2]
        return round(height), round(width)

    def of(self, path: str) -> str | None:
        """The data URI of the picture at ``path``, or None if it cannot be read."""
        if path not in self._known:
            try:
                small = shrink(self.decode(path))
                self._known[path] = data_uri(small)
                self._shapes.append(small.shape)
            except (ResightError, OSError) as error:
                self._known[path] = None
                self.unreadable += 1
                self.complaint = self.complaint or str(error)
        return self._known[path]
