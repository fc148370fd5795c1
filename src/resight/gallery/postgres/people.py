"""Identities in the tables: records change their identity, and a name that no record has any more is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from resight.gallery.postgres import slots
from resight.gallery.postgres.connections import Action
from resight.gallery.postgres.rows import known_ids
from resight.gallery.store import bears_another_name, name_taken, no_such_identity, not_there

FIND = "SELECT name, number FROM identities WHERE name = ANY(%s::text[])"
LISTED = """SELECT i.name, count(*), array_agg(DISTINCT r.camera), min(r.time), max(r.time)
FROM (SELECT number, name FROM identities WHERE name > %s ORDER BY name LIMIT %s) i
JOIN labels l ON l.identity = i.number JOIN records r ON r.id = l.id GROUP BY i.number, i.name ORDER BY i.name"""


def number(action: Action, name: str) -> int:
    """The number of an identity; Missing if no record has the name."""
    found = action.rows(FIND, ([name],))
    if not found:
        raise no_such_identity(name)
    return int(found[0][1])


def numbers(action: Action, names: Iterable[str]) -> dict[str, int]:
    """The numbers of identities, new ones for new names."""
    wanted = sorted(set(names))
    found: dict[str, int] = dict(action.rows(FIND, (wanted,)))
    new = [name for name in wanted if name not in found]
    if new:
        action.run("INSERT INTO identities (name) SELECT unnest(%s::text[])", (new,))
        found |= dict(action.rows(FIND, (new,)))
    return found


def refuse_taken(action: Action, name: str) -> None:
    """Raise Conflict where an identity has the name."""
    if action.rows(FIND, ([name],)):
        raise name_taken(name)


def holders(action: Action, ids: Sequence[str]) -> dict[str, str | None]:
    """The identity of each record, None where unknown; Missing for the first that is not there."""
    rows = action.rows(
        "SELECT r.id, i.name FROM records r LEFT JOIN labels l ON l.id = r.id "
        "LEFT JOIN identities i ON i.number = l.identity WHERE r.id = ANY(%s::uuid[])",
        (known_ids(ids),),
    )
    found = {id.hex: name for id, name in rows}
    for id in ids:
        if id not in found:
            raise not_there(id)
    return found


def enrol(action: Action, name: str, ids: Sequence[str]) -> tuple[int, int]:
    """Give records a name: its number, and how many did not have it before."""
    held = holders(action, ids)
    for id, owner in held.items():
        if owner not in (None, name):
            raise bears_another_name(id, owner)
    one = numbers(action, [name])[name]
    slots.touch(action, "SELECT unnest(%s::uuid[])", (list(ids),))
    return one, label(action, ((id, one) for id, owner in held.items() if owner is None))


def label(action: Action, pairs: Iterable[tuple[str, int]]) -> int:
    """Give records that have no name the identity of a number, and return how many."""
    rows = [(UUID(id), one) for id, one in pairs]
    if rows:
        action.copy("labels", {"id": "uuid", "identity": "int8"}, iter(rows))
    return len(rows)


def merge(action: Action, into: str, others: Sequence[str]) -> tuple[int, list[int], int]:
    """Give all records of others one name: its number, those of the others, and how many records."""
    target, gone = number(action, into), [number(action, name) for name in others]
    slots.touch(action, "SELECT id FROM labels WHERE identity = ANY(%s::bigint[])", (gone,))
    moved = action.run("UPDATE labels SET identity = %s WHERE identity = ANY(%s::bigint[])", (target, gone))
    forget(action, gone)
    return target, gone, moved


def split(action: Action, name: str, ids: Sequence[str], new_name: str | None) -> tuple[int, int | None]:
    """Take records out of an identity: its number, and that of the new one."""
    one, new = number(action, name), None
    for id, owner in holders(action, ids).items():
        if owner != name:
            raise bears_another_name(id, owner)
    slots.touch(action, "SELECT unnest(%s::uuid[])", (list(ids),))
    if new_name is None:
        action.run("DELETE FROM labels WHERE id = ANY(%s::uuid[])", (list(ids),))
    else:
        refuse_taken(action, new_name)
        new = numbers(action, [new_name])[new_name]
        action.run("UPDATE labels SET identity = %s WHERE id = ANY(%s::uuid[])", (new, list(ids)))
    forget(action, [one])
    return one, new


def rename(action: Action, name: str, new_name: str) -> int:
    """Another name for an identity: its number, which stays."""
    one = number(action, name)
    refuse_taken(action, new_name)
    action.run("UPDATE identities SET name = %s WHERE number = %s", (new_name, one))
    return one


def forget(action: Action, gone: Sequence[int]) -> int:
    """Forget the names of those identities that have no record any more, and return how many these were."""
    return action.run(
        "DELETE FROM identities i WHERE number = ANY(%s::bigint[]) "
        "AND NOT EXISTS (SELECT 1 FROM labels WHERE identity = i.number)",
        (list(gone),),
    )
