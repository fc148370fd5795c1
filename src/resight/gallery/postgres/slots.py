"""The slots of records, and the event with which each last changed: what a copy in memory is kept right by.

A slot is a number from 1 that an erased record leaves to the next one. It changes with its record: when that comes, is
erased, or gets another name or none. All of this is written under the lock of all writers, with the number of the event
that the action is about to write: whoever sees that event sees these changes, and those of all events before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from resight.gallery.postgres.connections import Action, Session

_NEXT = "(SELECT coalesce(max(number), 0) + 1 FROM events)"
_PUT = f"""WITH
free AS (SELECT slot, row_number() OVER (ORDER BY slot) AS nth FROM slots WHERE id IS NULL LIMIT %(count)s),
used AS (SELECT coalesce(max(slot), 0) - (SELECT count(*) FROM free) AS slot FROM slots)
INSERT INTO slots SELECT coalesce(free.slot, used.slot + nth), new.id, {_NEXT}
FROM used, unnest(%(ids)s::uuid[]) WITH ORDINALITY AS new (id, nth) LEFT JOIN free USING (nth)
ON CONFLICT (slot) DO UPDATE SET id = excluded.id, change = excluded.change"""


def put(action: Action, ids: Sequence[str]) -> None:
    """Give new records slots: the free ones, then new ones."""
    action.lock()
    action.run(_PUT, {"count": len(ids), "ids": list(ids)})


def touch(action: Action, which: str, values: Sequence[Any]) -> None:
    """Note that records change with the next event, given a query of their ids."""
    action.lock()
    action.run(f"UPDATE slots SET change = {_NEXT} WHERE id IN ({which})", values)


def there(session: Session) -> bool:
    """Whether the gallery has slots; one of an older format that was opened for reading only has none."""
    return session.rows("SELECT to_regclass('slots') IS NOT NULL") == [(True,)]


def missing(session: Session) -> int:
    """How many records have no slot, though all should."""
    if not there(session):
        return 0
    statement = "SELECT count(*) FROM records r WHERE NOT EXISTS (SELECT 1 FROM slots WHERE id = r.id)"
    return int(session.rows(statement)[0][0])
