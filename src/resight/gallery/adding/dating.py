"""When pictures were taken: by their EXIF, their names, or the times of their files."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

from PIL import Image

from resight.counted import counted
from resight.errors import DataError
from resight.files import read_bytes, split_archive

WAYS = ("exif", "name", "file")
_EXIF, _TAKEN, _FRACTION, _OFFSET = 0x8769, 0x9003, 0x9291, 0x9011  # the sub-directory, and its tags of the original
_NAME = re.compile(
    r"(?<!\d)(20\d\d|19\d\d)[-_.]?(\d\d)[-_.]?(\d\d)"  # the date
    r"(?:[T _-]+|[ _-]+at[ _-]+)"
    r"(\d\d)[-_.:h]?(\d\d)(?:[-_.:m]?(\d\d)(?:[.,]?(\d{3,6}))?)?"  # the time
    r"(Z|[+-]\d\d:?\d\d)?(?!\d)"
)
_SECONDS = re.compile(r"(?<!\d)(1\d{9})(\d{3})?(?!\d)")  # since 1970, from 2001 to 2033; or milliseconds


def times_of(paths: Sequence[str], way: str) -> tuple[list[float | None], tuple[str, ...]]:
    """The time of each of N pictures in seconds since 1970, None where unknown; and what a reader should know.

    Args:
        paths: N paths, which may lead through a zip archive.
        way: ``exif``, the time of the original with its offset; ``name``, a date and time in the file's name, such as
            ``IMG_20261121_133005.jpg``, or seconds or milliseconds since 1970; ``file``, when the file was last
            changed. Times without an offset are UTC.

    Raises:
        DataError: the times of files in an archive are asked for, which have no time zone; or a file is missing.
    """
    if way == "file" and (packed := next((path for path in paths if split_archive(path)[1]), "")):
        raise DataError(
            f"{packed} is in an archive, whose times have no time zone: unpack it, or read times from exif or name."
        )
    read: dict[str, Callable[[str], tuple[float | None, bool]]] = {"exif": _exif, "name": _name, "file": _changed}
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(read[way], paths))
    unknown, loose = sum(time is None for time, _ in found), sum(without for _, without in found)
    notes = []
    if unknown:
        where = {"exif": "EXIF", "name": "name", "file": "file"}[way]
        notes.append(f"{unknown:,} of {len(paths):,} images have no time in their {where}: their times are unknown.")
    if loose:
        notes.append(f"{counted(loose, 'time')} without a time zone, taken as UTC.")
    return [time for time, _ in found], tuple(notes)


def _changed(path: str) -> tuple[float | None, bool]:
    try:
        return Path(path).stat().st_mtime, False
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check the path and its rights.") from None


def _name(path: str) -> tuple[float | None, bool]:
    stem = PurePosixPath(path).stem
    for match in _NAME.finditer(stem):
        *digits, fraction, offset = match.groups()
        year, month, day, hour, minute, second = (int(one or 0) for one in digits)
        try:
            taken = datetime(year, month, day, hour, minute, second)
        except ValueError:
            continue
        return _since_1970(taken, fraction or "", offset or "")
    if since := _SECONDS.search(stem):
        return int(since[1]) + int(since[2] or 0) / 1000, False
    return None, False


def _exif(path: str) -> tuple[float | None, bool]:
    try:
        with Image.open(io.BytesIO(read_bytes(path))) as image:
            tags = image.getexif().get_ifd(_EXIF)
        taken = datetime.strptime(str(tags.get(_TAKEN, "")).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ):  # no picture, which is reported when it is added
        return None, False
    return _since_1970(taken, str(tags.get(_FRACTION, "")).strip("\0 "), str(tags.get(_OFFSET, "")).strip("\0 "))


def _since_1970(taken: datetime, fraction: str, offset: str) -> tuple[float, bool]:
    """Seconds, and whether the offset is unknown."""
    digits = re.fullmatch(r"([+-])(\d\d):?(\d\d)", offset)
    shift = timedelta(hours=int(digits[2]), minutes=int(digits[3])) if digits else timedelta()
    local = timezone(-shift if digits and digits[1] == "-" else shift)
    seconds = taken.replace(tzinfo=local).timestamp()
    return seconds + (float(f"0.{fraction}") if fraction.isdecimal() else 0.0), not (digits or offset == "Z")
