"""Folders of one person's images each: ``<camera>/<person>/*.png``."""

from __future__ import annotations

import re

from resight.errors import DataError
from resight.files import is_image_name, list_files

_DIGITS = re.compile(r"(\d+)")


def in_order(name: str) -> tuple[object, ...]:
    """A key that sorts names by the numbers in them: ``img2`` before ``img10``."""
    return tuple((1, int(part), part) if part.isdecimal() else (0, 0, part) for part in _DIGITS.split(name))


def people_in(folder: str) -> dict[str, list[str]]:
    """The images of each person's folder, in the order of their numbers.

    Raises:
        DataError: there is no such folder, or an image lies deeper or in no person's folder.
    """
    found: dict[str, list[str]] = {}
    for path, _ in list_files(folder):
        if not is_image_name(path):
            continue
        person, *rest = path[len(folder) + 1 :].split("/")
        if len(rest) != 1:
            raise DataError(f"{path} lies in no person's folder just below {folder}: move it or take it out.")
        found.setdefault(person, []).append(path)
    return {person: sorted(images, key=in_order) for person, images in sorted(found.items())}
