"""From a file to pixels: (H, W, 3) uint8, RGB, always.

EXIF's orientation is applied. Of several frames the first is taken. Greys of more than 8 bits are scaled by what the
file holds: from 8, 10, 12, 14 or 16 bits, the fewest that hold its brightest pixel, as cameras store 12 bits in 16.
Transparency is left out: the colours that are stored beneath it show.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from resight.beginnings import taken_for
from resight.errors import DataError, first_line
from resight.files import is_image_name, read_bytes
from resight.models.card import IMAGENET_MEAN, Interpolation, Resize

Pixels = NDArray[np.uint8]

LARGEST = 89_478_485  # pixels, as in Pillow: a damaged header may claim any size
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "SGI", "TIFF", "WEBP")
BY_NAME = {".tga": "TGA", ".pcx": "PCX"}  # no mark tells these from other files; EPS and the like run programs
_END = b"\xff\xd9"
STRAY = 16  # bytes before a marker that a whole JPEG may have, as webcams write them; damage leaves more
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

MEAN_COLOUR = np.array([round(255 * mean) for mean in IMAGENET_MEAN], np.uint8)


class _TooLarge(Exception):
    pass


class NotDecoded(DataError):
    """An image file that may well be whole is not decoded: it has too many pixels, or numbers of unknown range."""


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
        if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
            return _heif(data, name)
        with Image.open(io.BytesIO(data), formats=_formats(name)) as image:
            _check_size(image.height, image.width)
            return from_pillow(image, name)
    except UnidentifiedImageError:
        what = taken_for(data) or "not an image of a known format: copy it again or remove it"
        raise DataError(f"{name} is {what}.") from None
    except (_TooLarge, Image.DecompressionBombError):
        raise NotDecoded(
            f"{name} claims to have more than the {LARGEST:,} pixels that are decoded at most: "
            "make it smaller or remove it."
        ) from None
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders fail in more ways than can be listed
        raise DataError(f"{name} is not a complete image ({first_line(error)}): copy it again or remove it.") from None


def _jpeg(data: bytes) -> Pixels | None:
    """The pixels of a JPEG file, or None where it is of a rare kind that Pillow knows more of."""
    try:
        height, width = simplejpeg.decode_jpeg_header(data)[:2]
        _check_size(int(height), int(width))
        pixels = np.asarray(simplejpeg.decode_jpeg(data, "RGB"), np.uint8)
    except ValueError as error:
        if 0 < _stray(error) <= STRAY:
            return None
        if any(word in str(error) for word in ("color", "subsampling")):
            return None
        ends = data.endswith(_END) or "Premature end of JPEG file" not in str(error)
        if not ends and _is_all_there(data):
            return _jpeg(data + _END)
        raise
    if b"Exif\0\0" in data or b"tiff:Orientation" in data:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _upright(pixels, image)
    return pixels


def _stray(error: ValueError) -> int:
    found = re.search(r"(\d+) extraneous bytes before marker", str(error))
    return int(found[1]) if found else 0


def _is_all_there(data: bytes) -> bool:
    """Whether a JPEG file lacks its end marker alone, or half of it: what follows its data then changes no pixel."""
    data = data.removesuffix(_END[:1])
    try:
        one, other = (simplejpeg.decode_jpeg(data + pad * 64 + _END, "RGB", strict=False) for pad in (b"\0", b"\xaa"))
    except ValueError:
        return False
    return np.array_equal(one, other)


def from_pillow(image: Image.Image, name: str) -> Pixels:
    """The pixels of a Pillow image; ``name`` is for the message.

    Raises:
        DataError: a mode without a known range: 32-bit integers, floats.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        grey = np.asarray(image)
        bits = next(bits for bits in (8, 10, 12, 14, 16, 32) if int(grey.max(initial=0)) < 2**bits)
        if image.format == "PPM":  # scaled to 16 bits by Pillow, since the file says how many it has
            bits = 16
        pixels = np.repeat((grey >> (bits - 8)).astype(np.uint8)[..., None], 3, axis=2)
    elif image.mode in ("I", "F"):
        raise NotDecoded(
            f"{name} is of mode {image.mode}, whose black and white points are unknown: save it with 8 or 16 bits."
        )
    else:
        through = "RGBA" if image.mode == "P" and "transparency" in image.info else "RGB"
        pixels = np.array(image.convert(through).convert("RGB"))
    return _upright(pixels, image)


def _heif(data: bytes, name: str) -> Pixels:
    """The pixels of a HEIC or HEIF file, turned as it says itself."""
    try:
        import pillow_heif
    except ImportError:
        raise DataError(
            f"{name} is a HEIF image, which needs pillow-heif: pip install 'resight[heif]', or save it as JPEG."
        ) from None
    found = pillow_heif.open_heif(data)
    _check_size(found.size[1], found.size[0])
    return np.array(found.to_pillow().convert("RGB"))


def _formats(name: str) -> tuple[str, ...]:
    by_name = BY_NAME.get(Path(name).suffix.lower())
    return (*FORMATS, by_name) if by_name else FORMATS


def is_image_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an image by its name or, whatever its name, by how it begins."""
    if is_image_name(os.fspath(path)):
        return True
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:  # no image, no file, or one that cannot be opened, which its reader then says
        return False


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
    """Decode an image file, which may be inside a zip archive, to (H, W, 3) uint8 RGB.

    Raises:
        DataError: missing, unreadable, or as :func:`decode_bytes`.
    """
    name = os.fspath(path)
    return decode_bytes(read_bytes(name), name)


def fit(
    pixels: Pixels,
    height: int,
    width: int,
    *,
    how: Resize = "stretch",
    interpolation: Interpolation = "linear-area",
) -> Pixels:
    """Resize (H, W, 3) to (height, width, 3), with one of the interpolations of
    :class:`~resight.models.card.Preprocessing`.

    ``letterbox`` keeps the proportions: the image fits inside, centred, the rest is zero (black).
    ``letterbox_corner`` has the image at the top left and the rest in ImageNet's mean colour, which normalisation
    makes zero.
    """
    rows, columns = pixels.shape[:2]
    if (rows, columns) == (height, width):
        return pixels
    if how != "stretch":
        factor = min(height / rows, width / columns)
        size = min(height, max(1, round(rows * factor))), min(width, max(1, round(columns * factor)))
        inner = fit(pixels, *size, interpolation=interpolation)
        out = np.empty((height, width, 3), np.uint8)
        out[:] = 0 if how == "letterbox" else MEAN_COLOUR
        top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
        if how == "letterbox_corner":
            top, left = 0, 0
        out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return out
    if interpolation != "linear-area":
        kind = Image.Resampling.BILINEAR if interpolation == "bilinear" else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(pixels).resize((width, height), kind))
    shrinks = rows >= height and columns >= width
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=kernel), np.uint8)
