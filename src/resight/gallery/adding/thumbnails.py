"""Thumbnails: small JPEGs made from pixels, so that they contain nothing else of the file (EXIF, place, device)."""

from __future__ import annotations

from typing import Any

import numpy as np
import simplejpeg

from resight.errors import DataError
from resight.images.decode import Pixels, decode_bytes, fit

_QUALITY = 85


def thumbnail(pixels: Pixels, longest: int) -> bytes:
    """A JPEG of (H, W, 3) uint8 RGB pixels, made smaller where a side is longer than ``longest``."""
    height, width = pixels.shape[:2]
    factor = min(longest / max(height, width), 1.0)
    small = fit(pixels, max(1, round(height * factor)), max(1, round(width * factor)))
    data: Any = simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=_QUALITY)
    return bytes(data)


def given(data: object, longest: int, name: str) -> bytes:
    """A thumbnail of an image file that was passed, made anew from its pixels.

    Raises:
        DataError: it is no bytes, or no image.
    """
    if not isinstance(data, bytes):
        raise DataError(f"The thumbnail of {name} is {type(data).__name__}: pass the bytes of an image file, or None.")
    return thumbnail(decode_bytes(data, f"the thumbnail of {name}"), longest)
