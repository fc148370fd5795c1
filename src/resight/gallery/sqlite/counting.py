"""A gallery in numbers, and what is wrong with its tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from resight.errors import DataError
from resight.gallery import log
from resight.gallery.record import SOON, Stats
from resight.gallery.sqlite.events import EVENTS, event_of
from resight.gallery.sqlite.leftovers import indexes
from resight.gallery.store import EVERY
from resight.gallery.vectors.cache_files import paths
from resight.models.card import Card


def count(db: sqlite3.Connection, passing: str, values: Sequence[Any]) -> int:
    """How many records a condition passes."""
    (found,) = db.execute(f"SELECT count(*) FROM records r WHERE {passing}", values).fetchone()
    return int(found)


def cameras(db: sqlite3.Connection, limit: int, after: str | None) -> dict[str, int]:
    """See :meth:`resight.gallery.store.Store.cameras`."""
    return dict(
        db.execute(
            "SELECT c.name, n FROM (SELECT camera, count(*) AS n FROM records GROUP BY camera) "
            "JOIN cameras c ON c.number = camera WHERE ? IS NULL OR c.name > ? ORDER BY c.name LIMIT ?",
            (after, after, limit),
        )
    )


def stats(db: sqlite3.Connection, path: Path, card: Card, now: float) -> Stats:
    """See :meth:`resight.gallery.store.Store.stats`."""
    by_camera = cameras(db, EVERY, None)
    named, first, last, expiring, people = db.execute(
        "SELECT (SELECT count(*) FROM records WHERE identity IS NOT NULL), (SELECT min(time) FROM records), "
        "(SELECT max(time) FROM records), (SELECT count(*) FROM records WHERE expires <= ?), "
        "(SELECT count(*) FROM identities)",
        (now + SOON,),
    ).fetchone()
    total = sum(by_camera.values())
    return Stats(
        records=total,
        identities=people,
        unknown=total - named,
        cameras=by_camera,
        first=first,
        last=last,
        expiring=expiring,
        bytes={
            "database": _bytes([path, Path(f"{path}-wal")]),
            "cache": _bytes(paths(path)),
            "index": _bytes(indexes(path)),
        },
        engine="sqlite",
        model=card.fingerprint,
        dim=card.dim,
        metric=card.metric,
    )


def problems(db: sqlite3.Connection, path: Path, kinds: Iterable[str]) -> Iterator[str]:
    """What is wrong with the tables, one sentence each; ``kinds`` are those of places."""
    for (message,) in db.execute("PRAGMA integrity_check(1)"):
        if message != "ok":
            yield f"{path} is damaged ({message}): restore it from a backup."
    if db.execute("PRAGMA foreign_key_check").fetchone() is not None:
        yield f"{path} has rows that point to nothing: restore it from a backup."
    for kind in kinds:
        (left,) = db.execute(
            f"SELECT count(*) FROM free f JOIN {kind} p USING (place) WHERE f.kind = ? "
            "AND p.content != zeroblob(f.bytes)",
            (kind,),
        ).fetchone()
        if left:
            yield f"{path} has {left} erased {kind} that are not zeros: erase them again."
    try:
        log.verify(event_of(row) for row in db.execute(f"{EVENTS} ORDER BY number"))
    except DataError as error:
        yield str(error)


def _bytes(files: Iterable[Path]) -> int:
    """What files take on the disk: those of the cache have room for more."""
    return sum(512 * file.stat().st_blocks for file in files if file.exists())
