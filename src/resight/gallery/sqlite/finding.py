"""Candidates for a search: nearest by the cache, and all that changed in the database while one looked.

The cache is right up to a change c, and its rows may be newer. So first all rows are scanned; then, in one state of the
database that is at least as new as any row seen, the slots that changed after c are looked up. Of the others the scan
is right; those themselves are judged by their contents in the database. The result is that of this one state.

Shape letters: ``Q`` queries, ``S`` slots, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from resight.gallery.record import Filter, Record
from resight.gallery.sqlite import reading
from resight.gallery.sqlite.changes import touched
from resight.gallery.sqlite.connections import Connections
from resight.gallery.sqlite.places import in_parts
from resight.gallery.store import Candidates
from resight.gallery.vectors.cache import View
from resight.gallery.vectors.choosing import MORE, Codes, chosen
from resight.gallery.vectors.scan import Nearest, slack


def codes(db: sqlite3.Connection, names: reading.Names, where: Filter) -> Codes:
    """The numbers of a filter's names; names that no record has are left out."""
    known = reading.cameras(db) if where.cameras or where.exclude_cameras else {}

    def of(wanted: tuple[str, ...]) -> NDArray[np.int64] | None:
        return np.array([known[name] for name in wanted if name in known], np.int64) if wanted else None

    people = np.array(list(names.find(db, where.identities).values()), np.int64) if where.identities else None
    return Codes(of(where.cameras), of(where.exclude_cameras), people)


def passes(record: Record, where: Filter) -> bool:
    """Whether a record passes a filter."""
    return (
        (not where.cameras or record.camera in where.cameras)
        and record.camera not in where.exclude_cameras
        and (not where.identities or record.identity in where.identities)
        and (where.unknown is None or (record.identity is None) == where.unknown)
        and (where.after is None or (record.time is not None and record.time >= where.after))
        and (where.before is None or (record.time is not None and record.time < where.before))
    )


def find(
    connections: Connections,
    view: View,
    scan: Callable[[int], Nearest],
    queries: NDArray[np.float32],
    k: int,
    where: Filter,
    metric: str,
    *,
    exact: bool,
    most: int | None,
) -> list[Candidates] | None:
    """Candidates for each query, see :meth:`resight.gallery.store.Store.near`.

    Args:
        connections: to the database.
        view: what the scan looks at.
        scan: the so many nearest slots of the view that pass, for each query.
        queries: (Q, D).
        k, where, metric: what is asked for.
        exact: whether the scan finds all, so that what is as near as the k-th but for rounding belongs to the result.
        most: how many slots may have changed after the view; None for any number.

    Returns:
        None where more have changed.
    """
    wanted = min(k + MORE if exact else k, view.slots)
    margins = slack(queries, view.longest, metric).tolist() if exact else [None] * len(queries)
    while True:
        near = scan(wanted)
        with connections.reading() as db:
            changed = touched(db, view)
            if most is not None and len(changed) > most:
                return None
            found = chosen(near, changed, k, margins, complete=wanted == view.slots)
            if found is not None:
                return _candidates(db, found, changed, where, queries.shape[1])
        wanted = min(4 * wanted, view.slots)


def _candidates(
    db: sqlite3.Connection, chosen: list[NDArray[np.int64]], changed: list[int], where: Filter, dim: int
) -> list[Candidates]:
    """Records and vectors of the slots chosen for each query, and of changed ones that pass.

    Raises:
        KeyError: a slot that has not changed has no record, so that the view is wrong.
    """
    slots = np.unique(np.concatenate([*chosen, np.array(changed, np.int64)])) + 1
    rows = in_parts(db, f"{reading.WITH_VECTORS} WHERE r.slot IN ({{}})", slots.tolist())
    there = {slot - 1: (reading.record(rest), np.frombuffer(content, "<f4")) for slot, content, *rest in rows}
    new = [there[slot] for slot in changed if slot in there and passes(there[slot][0], where)]
    found = []
    for some in chosen:
        pairs = [there[slot] for slot in some.tolist()] + new
        vectors = np.array([vector for _, vector in pairs], np.float32).reshape(len(pairs), dim)
        found.append(Candidates([record for record, _ in pairs], vectors))
    return found
