"""Uploaded bytes to pixels: what is no picture, too large or damaged is recognised before it costs anything."""

from __future__ import annotations

import io
import os
import threading

from PIL import Image, UnidentifiedImageError

from resight.errors import DataError
from resight.images.decode import FORMATS, LARGEST, Pixels, decode_bytes
from resight.server.refusals import Refused

_DECODERS = threading.BoundedSemaphore(os.cpu_count() or 1)  # the pixels of so many pictures are held at once
NAME = "The picture"


def picture(data: bytes, pixels: int) -> Pixels:
    """The pixels (H, W, 3) of an uploaded file.

    Args:
        data: the file.
        pixels: how many it may have.

    Raises:
        Refused: not a picture (415), more pixels than allowed (413), or a damaged picture (422).
    """
    _check(data, min(pixels, LARGEST))
    try:
        with _DECODERS:
            return decode_bytes(data, NAME)
    except DataError as error:
        raise Refused(422, str(error)) from None
    except MemoryError:
        raise Refused(413, f"{NAME} needs more memory than there is: make it smaller.") from None


def _check(data: bytes, pixels: int) -> None:
    """Look at the header alone; one that cannot be read is left to the decoder, whose error explains it."""
    if not data:
        raise Refused(422, f"{NAME} is empty (0 bytes): send an image file.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            size = image.width * image.height
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise Refused(415, f"{NAME} is not an image of a known format: send one of {known}.") from None
    except Image.DecompressionBombError:
        size = LARGEST + 1
    except Exception:  # decoders fail in more ways than can be listed
        return
    if size > pixels:
        raise Refused(413, f"{NAME} claims to have more than the {pixels:,} pixels that are taken: make it smaller.")
