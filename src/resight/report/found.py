"""A contact sheet of searches: each picture that was asked for, and beside it what was found, with the decision."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import resight
from resight.files import write_text
from resight.images.decode import Pixels, decode, decode_bytes
from resight.report.html import environment
from resight.report.pictures import Pictures

_FRAMES = {"match": "right", "unsure": "unsure", "no match": "wrong"}


@dataclass(frozen=True)
class Found:
    """One picture that was found.

    Attributes:
        picture: the bytes of an image file, or None where none is kept.
        who: a name, "" where unknown; ``facts``: lines about it, such as its camera and time; ``id``: what the record
            is called, short enough to be read.
        distance: to the picture asked for; ``decision``: None where the model was never calibrated.
    """

    picture: bytes | None
    who: str
    facts: tuple[str, ...]
    id: str
    distance: float
    decision: str | None


@dataclass(frozen=True)
class Search:
    """One search: what was asked for (a path or the bytes of an image file, None where there is none), what was found.

    ``name`` is its caption. Results are sorted by distance.
    """

    picture: str | bytes | None
    name: str
    found: tuple[Found, ...]


def write_found(
    path: str | os.PathLike[str],
    *,
    title: str,
    searches: Sequence[Search],
    where: str,
    metric: str,
    rule: str = "",
    warning: str = "",
    filters: str = "",
) -> Path:
    """Write searches as one self-contained HTML file.

    Args:
        path: where to write; an existing file is replaced only once the new one is whole.
        title: the heading.
        searches: shown in this order.
        where: what was searched, in words; ``filters``: what of it, "" for all.
        metric: of the distances; ``rule``: what makes a match, "" where the model was never calibrated.
        warning: a sentence to show above everything, such as that the decision does not apply here.

    Raises:
        ResightError: the file cannot be written. A picture that cannot be read leaves a gap, and the file says so.
    """
    kept: dict[str, bytes] = {}

    def look(key: str) -> Pixels:
        return decode_bytes(kept[key], key) if key in kept else decode(key)

    pictures = Pictures(look)

    def shown(picture: str | bytes | None, key: str) -> str | None:
        if isinstance(picture, bytes):
            kept[key] = picture
        return None if picture is None else pictures.of(key if isinstance(picture, bytes) else picture)

    rows = [
        {
            "name": search.name,
            "picture": shown(search.picture, f"search {number}"),
            "found": [
                {
                    "shown": shown(one.picture, f"record {one.id}"),
                    "frame": _FRAMES.get(one.decision or "", ""),
                    "one": one,
                }
                for one in search.found
            ],
        }
        for number, search in enumerate(searches, 1)
    ]
    page = (
        environment()
        .get_template("found.html.j2")
        .render(
            title=title,
            rows=rows,
            where=where,
            filters=filters,
            metric=metric,
            rule=rule,
            warning=warning,
            pictures=pictures,
            version=resight.__version__,
        )
    )
    write_text(path, page)
    return Path(path)
