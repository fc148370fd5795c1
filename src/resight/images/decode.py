"""From a file to pixels: (H, W, 3) uint8, RGB, always."""

from __future__ import annotations

import io
import os

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from resight.errors import DataError
from resight.files import read_bytes
from resight.models.card import IMAGENET_MEAN, Resize

Pixels = NDArray[np.uint8]

LARGEST = 89_478_485  # pixels, as in Pillow: a damaged header may claim any size

MEAN_COLOUR = np.array([round(255 * mean) for mean in IMAGENET_MEAN], np.uint8)

cv2.setNumThreads(1)  # batches are decoded in threads already


def decode_bytes(data: bytes, name: str) -> Pixels:
    """Decode an image file held in memory; ``name`` is for the message.

    Raises:
        DataError: empty, truncated, or not an image.
    """
    if not data:
        raise DataError(f"{name} is empty (0 bytes): copy it again or remove it.")
    try:
        if data[:2] == b"\xff\xd8":
            try:
                height, width = simplejpeg.decode_jpeg_header(data)[:2]
                _check_size(int(height), int(width))
                return np.asarray(simplejpeg.decode_jpeg(data, "RGB"), np.uint8)
            except ValueError as error:
                if not any(word in str(error) for word in ("color", "subsampling")):  # rare kinds: Pillow knows more
                    raise
        with Image.open(io.BytesIO(data)) as image:
            _check_size(image.height, image.width)
            return np.array(image.convert("RGB"))
    except UnidentifiedImageError:
        raise DataError(f"{name} is not an image of a known format: copy it again or remove it.") from None
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise DataError(f"{name} is not a whole image ({reason}): copy it again or remove it.") from None


def _check_size(height: int, width: int) -> None:
    if height * width > LARGEST:
        raise ValueError(f"it claims to be {height} x {width} pixels large")


def decode(path: str | os.PathLike[str]) -> Pixels:
    """Decode an image file, which may stand inside a zip archive, to (H, W, 3) uint8 RGB.

    Raises:
        DataError: missing, unreadable, truncated, or not an image.
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
