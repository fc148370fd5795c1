"""From a file to pixels: (H, W, 3) uint8, RGB, always.

EXIF's orientation is applied. Of several frames the first is taken, of 16 bits the upper eight. Transparency is left
out: the colours that are stored beneath it show.
"""

from __future__ import annotations

import io
import os

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from resight.errors import DataError, first_line
from resight.files import read_bytes
from resight.models.card import IMAGENET_MEAN, Resize

Pixels = NDArray[np.uint8]

LARGEST = 89_478_485  # pixels, as in Pillow: a damaged header may claim any size
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # not whatever else Pillow runs programs for

MEAN_COLOUR = np.array([round(255 * mean) for mean in IMAGENET_MEAN], np.uint8)

cv2.setNumThreads(1)  # batches are decoded in threads already


class _TooLarge(Exception):
    pass


def decode_bytes(data: bytes, name: str) -> Pixels:
    """Decode an image file held in memory; ``name`` is for the message.

    Raises:
        DataError: empty, truncated, not an image, or of more than ``LARGEST`` pixels (found before they are decoded).
    """
    if not data:
        raise DataError(f"{name} is empty (0 bytes): copy it again or remove it.")
    try:
        pixels = _jpeg(data) if data[:2] == b"\xff\xd8" else None
        if pixels is not None:
            return pixels
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.height, image.width)
            return from_pillow(image, name)
    except UnidentifiedImageError:
        raise DataError(f"{name} is not an image of a known format: copy it again or remove it.") from None
    except (_TooLarge, Image.DecompressionBombError):
        raise DataError(
            f"{name} claims to have more than the {LARGEST:,} pixels that are decoded at most: "
            "make it smaller or remove it."
        ) from None
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders fail in more ways than can be listed
        raise DataError(f"{name} is not a whole image ({first_line(error)}): copy it again or remove it.") from None


def _jpeg(data: bytes) -> Pixels | None:
    """The pixels of a JPEG file, or None where it is of a rare kind that Pillow knows more of."""
    try:
        height, width = simplejpeg.decode_jpeg_header(data)[:2]
        _check_size(int(height), int(width))
        pixels = np.asarray(simplejpeg.decode_jpeg(data, "RGB"), np.uint8)
    except ValueError as error:
        if any(word in str(error) for word in ("color", "subsampling")):
            return None
        raise
    if b"Exif\0\0" in data or b"tiff:Orientation" in data:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _upright(pixels, image)
    return pixels


def from_pillow(image: Image.Image, name: str) -> Pixels:
    """The pixels of a Pillow image; ``name`` is for the message.

    Raises:
        DataError: a mode without a known range: 32-bit integers, floats.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        pixels = np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    elif image.mode in ("I", "F"):
        raise DataError(
            f"{name} is of mode {image.mode}, whose black and white are not known: save it with 8 or 16 bits."
        )
    else:
        through = "RGBA" if image.mode == "P" and "transparency" in image.info else "RGB"
        pixels = np.array(image.convert(through).convert("RGB"))
    return _upright(pixels, image)


def _upright(pixels: Pixels, image: Image.Image) -> Pixels:
    """Turned and mirrored as the orientation in ``image``'s EXIF says; an EXIF that cannot be read says nothing."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return pixels
    if orientation in (5, 6, 7, 8):  # rows are columns
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _check_size(height: int, width: int) -> None:
    if height * width > LARGEST:
        raise _TooLarge
    if not height * width:
        raise ValueError("it has no pixels")


def decode(path: str | os.PathLike[str]) -> Pixels:
    """Decode an image file, which may stand inside a zip archive, to (H, W, 3) uint8 RGB.

    Raises:
        DataError: missing, unreadable, or as :func:`decode_bytes`.
    """
    name = os.fspath(path)
    return decode_bytes(read_bytes(name), name)


def fit(pixels: Pixels, height: int, width: int, *, how: Resize = "stretch") -> Pixels:
    """Resize (H, W, 3) to (height, width, 3): by area where it shrinks, linearly where it grows.

    ``letterbox`` keeps the proportions: the image fits inside, centred, the rest is zero (black).
    ``letterbox_corner`` has the image at the top left and the rest in ImageNet's mean colour, which normalisation
    makes zero.
    """
    rows, columns = pixels.shape[:2]
    if (rows, columns) == (height, width):
        return pixels
    if how != "stretch":
        factor = min(height / rows, width / columns)
        inner = fit(pixels, min(height, max(1, round(rows * factor))), min(width, max(1, round(columns * factor))))
        out = np.empty((height, width, 3), np.uint8)
        out[:] = 0 if how == "letterbox" else MEAN_COLOUR
        top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
        if how == "letterbox_corner":
            top, left = 0, 0
        out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return out
    shrinks = rows >= height and columns >= width
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=kernel), np.uint8)
