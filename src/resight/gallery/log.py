"""The chain of events: each digest covers its event and the digest before, so that none can change or go unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from resight.errors import DataError
from resight.gallery.record import Event


def event(previous: Event | None, time: float, actor: str, action: str, details: Mapping[str, Any]) -> Event:
    """The event that follows ``previous`` (None for the first)."""
    number, before = (previous.number + 1, previous.digest) if previous else (1, "")
    return Event(number, time, actor, action, dict(details), _digest(before, number, time, actor, action, details))


def verify(events: Iterable[Event], previous: Event | None = None) -> Event | None:
    """Go through events that follow ``previous``, and give the last.

    Raises:
        DataError: one is missing or was changed.
    """
    for one in events:
        if one != event(previous, one.time, one.actor, one.action, one.details):
            raise DataError(
                f"The log is broken at event {one.number}: one was changed or taken out, so compare it with a backup."
            )
        previous = one
    return previous


def verify_all(page: Callable[[int, int], list[Event]]) -> None:
    """Go through a whole log.

    Args:
        page: the first events with numbers above one, so many at most.

    Raises:
        DataError: an event is missing or was changed.
    """
    last: Event | None = None
    while events := page(last.number if last else 0, 1000):
        last = verify(events, last)


def _digest(before: str, number: int, time: float, actor: str, action: str, details: Mapping[str, Any]) -> str:
    """64 hex digits; numbers and text in JSON have one form only, given that keys are sorted."""
    content = json.dumps([before, number, time, actor, action, details], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()
