"""What may come in: what is there already, and what was not erased before, unless that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from resight.gallery.erased import marks
from resight.gallery.store import Store


class Passed(NamedTuple):
    """Which records may be added.

    Attributes:
        marks: the mark of the content of each, None where it is unknown, by id; records that are refused are not in it.
        there: ids of those that the gallery holds already.
        lifted: marks of erased pictures that come back.
    """

    marks: dict[str, bytes | None]
    there: set[str]
    lifted: set[bytes]


class Door:
    """Refuses what was erased from a gallery before.

    Args:
        store: of the gallery.
        add_erased: refuse nothing.
    """

    def __init__(self, store: Store, *, add_erased: bool) -> None:
        self._store, self._add_erased = store, add_erased
        self._keys = store.erased.keys()

    def passed(self, contents: Mapping[str, bytes | None]) -> Passed:
        """Which records may be added, given the content of each by its id, None where it is unknown."""
        ids = list(contents)
        there = {id for id, record in zip(ids, self._store.get(ids), strict=True) if record is not None}
        left = {id: marks(self._keys, contents[id], id) for id in ids if id not in there}
        found = self._store.erased.among([one for several in left.values() for one in several]) if left else set()
        refused = set() if self._add_erased else {id for id, several in left.items() if found.intersection(several)}
        known = {id: left[id][0] if id in left and one is not None else None for id, one in contents.items()}
        passed = {id: one for id, one in known.items() if id not in refused}
        return Passed(passed, there, found if self._add_erased else set())
