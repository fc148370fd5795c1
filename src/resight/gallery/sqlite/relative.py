"""Galleries of version 0.1.0: times that counted from the beginning of a film stood there as times of the year 1970."""

from __future__ import annotations

import sqlite3

from resight.gallery.record import DAY, Policy
from resight.gallery.sqlite.changes import touch
from resight.gallery.sqlite.events import note

_YEAR = 366 * DAY  # no film is longer, and no picture here was taken in 1970


def forget(db: sqlite3.Connection, policy: Policy, actor: str) -> None:
    """Make times of 1970 unknown; what was to expire by them counts as seen when it was added."""
    slots = [slot for (slot,) in db.execute("SELECT slot FROM records WHERE time >= 0 AND time < ?", (_YEAR,))]
    if not slots:
        return
    if policy.keep_days is not None:
        db.execute(
            "UPDATE records SET expires = added + ? WHERE time >= 0 AND time < ? AND abs(expires - time - ?) < 1",
            (policy.keep_days * DAY, _YEAR, policy.keep_days * DAY),
        )
    db.execute("UPDATE records SET time = NULL WHERE time >= 0 AND time < ?", (_YEAR,))
    touch(db, slots)
    note(db, actor, "times", {"records": len(slots)})
