"""One message: who was seen where and when, and where before."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from resight.gallery.gallery import Gallery
from resight.gallery.record import Record
from resight.gallery.times import iso
from resight.watch.origin import sighted


@dataclass(frozen=True)
class Seen:
    """A track that has a name.

    Attributes:
        id: of its record. A message that arrives twice has the same id twice.
        identity: its name, as it is when the message is sent.
        camera: the camera's name.
        begin, end: seconds since 1970; None where the start of the video is unknown.
        before_camera, before_time: where and when the identity was last seen before; None if never.
        source: the video or camera, the frame of the best picture, and the times, see :mod:`resight.watch.origin`.
    """

    id: str
    identity: str
    camera: str
    begin: float | None
    end: float | None
    before_camera: str | None
    before_time: float | None
    source: str

    @property
    def text(self) -> str:
        """A sentence: ``person 7 at yard, 2026-11-21 14:03:12Z, seen before at door``."""
        time = "" if self.begin is None else f", {iso(self.begin)}"
        before = "seen for the first time" if self.before_camera is None else f"seen before at {self.before_camera}"
        return f"{self.identity} at {self.camera}{time}, {before}"

    def numbers(self) -> dict[str, Any]:
        """Ready for JSON; times are ISO 8601 in UTC."""
        fields = asdict(self)
        for name in ("begin", "end", "before_time"):
            fields[name] = iso(fields[name]).replace(" ", "T") or None
        return {"event": "seen", **fields, "text": self.text}

    def line(self) -> str:
        """One line of JSON, without the line's end."""
        return json.dumps(self.numbers(), ensure_ascii=False)


def seen_event(gallery: Gallery, record: Record) -> Seen | None:
    """The message for a track's record; None while it has no name."""
    if record.identity is None:
        return None
    own = sighted(record)
    timed = record.time is not None
    before: Record | None = None
    for other in gallery.timeline(record.identity):
        if other.id == record.id:
            continue
        if timed and (other.time is None or other.time >= (record.time or 0.0)):
            break  # those without a time come last
        before = other
    return Seen(
        record.id,
        record.identity,
        record.camera,
        own.begin if timed else None,
        own.end if timed else None,
        None if before is None else before.camera,
        None if before is None else before.time,
        record.source,
    )
