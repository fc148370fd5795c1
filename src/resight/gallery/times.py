"""Times as text: what people write and read, in the place of seconds since 1970."""

from __future__ import annotations

import math
from datetime import datetime, timezone

from resight.errors import DataError


def moment(text: str, what: str = "The time") -> float:
    """Seconds since 1970 of a date, or a date and time, of ISO 8601; UTC where it names no offset.

    Args:
        text: ``2026-11-21``, ``2026-11-21T13:30``, ``2026-11-21 13:30:05.25Z``, ``2026-11-21T14:30+01:00``, or seconds.
        what: what it is, for the message.

    Raises:
        DataError: text that is none of these.
    """
    plain = text.strip()
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
