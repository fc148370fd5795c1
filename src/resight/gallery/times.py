"""Times as text: what people write and read, in the place of seconds since 1970."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone

from resight.errors import DataError

_DIGITS_OF_A_DATE = re.compile(r"(19|20)\d\d((0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{4}(\d\d)?)?)?")


def moment(text: str, what: str = "The time") -> float:
    """Seconds since 1970 of a date, or a date and time, of ISO 8601; UTC where it names no offset.

    Args:
        text: ``2026-11-21``, ``2026-11-21T13:30``, ``2026-11-21 13:30:05.25Z``, ``2026-11-21T14:30+01:00``, or seconds.
        what: what it is, for the message.

    Raises:
        DataError: text that is none of these, or digits that are both a date and seconds, such as ``20261121``.
    """
    plain = text.strip()
    if _DIGITS_OF_A_DATE.fullmatch(plain.replace("_", "")):
        raise DataError(
            f"{what} is {text!r}, which may be a date or seconds: write a date like 2026-11-21 or 2026-11-21T13:30:05."
        )
    try:
        found = float(plain)
    except ValueError:
        found = _of_calendar(plain)
    if not math.isfinite(found):
        raise DataError(f"{what} is {text!r}: write a date or time like 2026-11-21T13:30:05, or with +01:00.")
    return found


def _of_calendar(text: str) -> float:
    """Seconds since 1970 of a date and time; NaN where it is none."""
    try:
        found = datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "zZ" else text)
    except ValueError:
        return math.nan
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def iso(time: float | None) -> str:
    """``"2026-11-21 13:30:05Z"``, in UTC and without what is below a second; "" for None."""
    if time is None:
        return ""
    try:
        return datetime.fromtimestamp(time, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # a year that no calendar has
        return f"{time:.0f} s"
