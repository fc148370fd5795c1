"""Where a track's record comes from, as text in the record: ``door.mp4#frame=170&t=12.3,17.9``.

``frame`` is that of the best picture. ``t`` is when the track began and ended (W3C Media Fragments), in seconds on the
clock of the record's time: since 1970, or since the start of the video where the record has no time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from resight.gallery.record import Record
from resight.watch.link import WORLD, Sighted

MARK = "#frame="  # in the source of every track
_ORIGIN = re.compile(r"(?P<place>.*)#frame=(?P<frame>\d+)(?:&t=(?P<begin>-?[\d.]+),(?P<end>-?[\d.]+))?", re.DOTALL)


@dataclass(frozen=True)
class Origin:
    """The source of a track's record.

    Attributes:
        place: the video or camera.
        frame: of the best picture, from 0.
        begin, end: seconds, see the module; None in records of version 0.1.0.
    """

    place: str
    frame: int
    begin: float | None = None
    end: float | None = None

    def __str__(self) -> str:
        times = "" if self.begin is None or self.end is None else f"&t={self.begin:.3f},{self.end:.3f}"
        return f"{self.place}{MARK}{self.frame}{times}"


def origin_of(record: Record) -> Origin | None:
    """Where a record's track was seen; None where the record is no track."""
    found = _ORIGIN.fullmatch(record.source)
    if found is None:
        return None
    times = (None, None) if found["begin"] is None else (float(found["begin"]), float(found["end"]))
    return Origin(found["place"], int(found["frame"]), *times)


def sighted(record: Record) -> Sighted:
    """When and where a record's individual was seen, with its name."""
    origin = origin_of(record)
    clock = None if record.time is None else WORLD
    begin = end = record.time or 0.0
    if origin is not None and origin.begin is not None and origin.end is not None:
        begin, end = origin.begin, origin.end
        clock = clock or origin.place
    return Sighted(record.camera, begin, end, clock, record.identity)
