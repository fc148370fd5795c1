"""Arguments of a gallery's methods, checked: lists of ids and names, and the user whom the log names."""

from __future__ import annotations

import getpass
from collections.abc import Sequence

from resight.errors import DataError
from resight.gallery.record import Filter


def checked_filter(where: Filter) -> Filter:
    """The filter itself; DataError for anything else, such as a dict."""
    if not isinstance(where, Filter):
        raise DataError(
            f"where is a {type(where).__name__}: pass a resight.gallery.record.Filter, as in Filter(cameras=('door',))."
        )
    return where


def several(values: Sequence[str], what: str) -> list[str]:
    """A list of at least one text.

    Raises:
        DataError: a single text, or nothing.
    """
    if isinstance(values, str) or not len(values):
        raise DataError(f"{what} is {values!r}: pass a list of at least one.")
    return list(values)


def ids_in(ids: Sequence[str]) -> list[str]:
    """A list of ids, which may be empty.

    Raises:
        DataError: a single text, or what is no text, such as a record.
    """
    if isinstance(ids, str):
        raise DataError(f"ids is the text {ids!r}: pass a list of ids.")
    found = list(ids)
    for id in found:
        if not isinstance(id, str):
            raise DataError(f"ids holds a {type(id).__name__}: pass texts, such as the id of each record.")
    return found


def some_ids(ids: Sequence[str]) -> list[str]:
    """At least one id, each once.

    Raises:
        DataError: a single text, or none.
    """
    return list(dict.fromkeys(several(ids_in(ids), "ids")))


def user() -> str:
    """The name of the user, "unknown" for a number without a name, as in containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
