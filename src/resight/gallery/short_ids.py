"""Ids as people type them: the first digits are enough where they are only one record's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from resight.errors import DataError

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery

DIGITS = 32
SHOWN = 12
"""How many digits to show: among a million records two share them with a probability of 1 in 500."""


def whole_ids(gallery: Gallery, starts: Iterable[str]) -> list[str]:
    """The records' ids that begin with ``starts``, in the same order, each once.

    Raises:
        DataError: something that is no beginning of an id, or of none or several.
    """
    found: dict[str, None] = {}
    for start in starts:
        text = start.strip().lower()
        if not text or len(text) > DIGITS or text.strip("0123456789abcdef"):
            raise DataError(f"{start!r} is no record's id: pass the hexadecimal digits that a search shows.")
        before = int(text.ljust(DIGITS, "0"), 16) - 1
        near = gallery.records(limit=2, after_id=f"{before:032x}" if before >= 0 else "")
        fitting = [record.id for record in near if record.id.startswith(text)]
        if not fitting:
            raise DataError(f"{gallery.uri} has no record {text}: use an id that a search shows.")
        if len(fitting) > 1:
            raise DataError(f"Several records of {gallery.uri} begin with {text}: write more digits of the id.")
        found[fitting[0]] = None
    return list(found)
