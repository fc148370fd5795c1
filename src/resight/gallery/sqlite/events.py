"""The log in its table."""

from __future__ import annotations

import json
import sqlite3
import time as clock
from collections.abc import Mapping, Sequence
from typing import Any

from resight.gallery import log
from resight.gallery.record import Event

EVENTS = "SELECT number, time, actor, action, details, digest FROM events"


def event_of(row: Sequence[Any]) -> Event:
    """An event from a row of :data:`EVENTS`."""
    number, time, actor, action, details, digest = row
    return Event(number, time, actor, action, json.loads(details), digest)


def note(db: sqlite3.Connection, actor: str, action: str, details: Mapping[str, Any]) -> None:
    """Write the next event, in the transaction of the action."""
    last = db.execute(f"{EVENTS} ORDER BY number DESC LIMIT 1").fetchone()
    new = log.event(event_of(last) if last else None, clock.time(), actor, action, details)
    row = (new.number, new.time, new.actor, new.action, json.dumps(new.details), new.digest)
    db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", row)
