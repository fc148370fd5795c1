"""Contents that can be forgotten: rows that are added at the end or overwritten in place, see :mod:`schema`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

FEW = 500  # values in one statement


class Places:
    """One of the tables of places.

    Args:
        kind: its name: vectors, thumbnails or texts.
        grain: contents are filled up with zeros to a multiple of so many bytes, so that places suit other contents.
    """

    def __init__(self, kind: str, grain: int) -> None:
        self.kind, self.grain = kind, grain

    def put(self, db: sqlite3.Connection, contents: Sequence[bytes]) -> tuple[list[int], list[bool]]:
        """Store contents: the place of each, and whether it was used before."""
        places, used, new = [], [], []
        (empty,) = db.execute("SELECT NOT EXISTS (SELECT 1 FROM free WHERE kind = ?)", (self.kind,)).fetchone()
        (last,) = db.execute(f"SELECT coalesce(max(place), 0) FROM {self.kind}").fetchone()
        for content in contents:
            size = -(-len(content) // self.grain) * self.grain
            there = None if empty else self._free(db, size)
            if there is None:
                last += 1
                new.append((last, content.ljust(size, b"\0")))
                places.append(last)
            else:
                size, place = there
                db.execute("DELETE FROM free WHERE kind = ? AND bytes = ? AND place = ?", (self.kind, size, place))
                db.execute(f"UPDATE {self.kind} SET content = ? WHERE place = ?", (content.ljust(size, b"\0"), place))
                places.append(place)
            used.append(there is not None)
        db.executemany(f"INSERT INTO {self.kind} VALUES (?, ?)", new)
        return places, used

    def put_some(
        self, db: sqlite3.Connection, contents: Sequence[bytes | None]
    ) -> list[tuple[int, int] | tuple[None, None]]:
        """As :meth:`put`: the place and size of each content, none where there is none."""
        there = [content for content in contents if content is not None]
        places = iter(self.put(db, there)[0])
        return [(None, None) if content is None else (next(places), len(content)) for content in contents]

    def wipe(self, db: sqlite3.Connection, places: Iterable[int]) -> None:
        """Overwrite contents with zeros and make their places free."""
        which = [(place,) for place in places]
        some = f"FROM {self.kind} WHERE place = ?"
        db.executemany(f"INSERT INTO free SELECT '{self.kind}', length(content), place {some}", which)
        db.executemany(f"UPDATE {self.kind} SET content = zeroblob(length(content)) WHERE place = ?", which)

    def _free(self, db: sqlite3.Connection, size: int) -> tuple[int, int] | None:
        """The size and number of the smallest free place that holds so much, and no more than twice as much."""
        found: tuple[int, int] | None = db.execute(
            "SELECT bytes, place FROM free WHERE kind = ? AND bytes BETWEEN ? AND ? ORDER BY bytes LIMIT 1",
            (self.kind, size, 2 * size),
        ).fetchone()
        return found


def in_parts(db: sqlite3.Connection, statement: str, values: Sequence[Any]) -> Iterator[Any]:
    """The rows of a SELECT whose ``{}`` stands for a list of any number of values."""
    for start in range(0, len(values), FEW):
        some = values[start : start + FEW]
        yield from db.execute(statement.format(",".join("?" * len(some))), some)
