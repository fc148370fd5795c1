"""The identities in a collection: their names, and their numbers in the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from resight.gallery.milvus.rows import among, moment
from resight.gallery.milvus.table import MOST, Row, Table
from resight.gallery.record import Person
from resight.gallery.store import name_taken, no_such_identity, not_there


def everyone(table: Table) -> list[Person]:
    """All identities, by name."""
    seen: dict[str, list[tuple[str, float | None]]] = {}
    for rows in table.pages('identity != ""', ("id", "identity", "camera", "time")):
        for row in rows:
            seen.setdefault(row["identity"], []).append((row["camera"], moment(row["time"])))
    return [_person(name, seen[name]) for name in sorted(seen)]


def named(identity: str) -> str:
    """The expression of an identity's rows."""
    return among("identity", [identity])


def number(table: Table, identity: str) -> int:
    """What the log calls an identity; Missing if no record has the name."""
    found = table.any(named(identity), ("id", "person"))
    if found is None:
        raise no_such_identity(identity)
    return int(found["person"])


def numbers(table: Table, last: int, names: set[str]) -> tuple[dict[str, int], int]:
    """The numbers of identities, new ones after ``last`` for new names, and the highest number then."""
    found: dict[str, int] = {}
    while left := sorted(names - found.keys()):  # one with very many records hides the others
        rows = next(table.pages(among("identity", left), ("id", "identity", "person")), [])
        found |= {row["identity"]: int(row["person"]) for row in rows}
        if len(rows) < MOST:
            break
    new = sorted(names - found.keys())
    return found | {name: last + at for at, name in enumerate(new, 1)}, last + len(new)


def holders(table: Table, ids: Sequence[str]) -> dict[str, str]:
    """The identity of each record, "" where unknown; Missing for the first that is not there."""
    found = {row["id"]: str(row["identity"]) for row in table.rows(ids, ("id", "identity"))}
    for id in ids:
        if id not in found:
            raise not_there(id)
    return found


def refuse_taken(table: Table, name: str) -> None:
    """Raise Conflict where some identity has the name."""
    if table.any(named(name), ("id",)) is not None:
        raise name_taken(name)


def emptied(table: Table, gone: Sequence[Row]) -> int:
    """How many identities have no record any more when these rows are gone."""
    losing = Counter(row["identity"] for row in gone if row["identity"])
    return sum(table.count(named(name)) == lost for name, lost in losing.items())


def _person(name: str, seen: Sequence[tuple[str, float | None]]) -> Person:
    times = [time for _, time in seen if time is not None]
    cameras = tuple(sorted({camera for camera, _ in seen}))
    return Person(name, len(seen), cameras, min(times, default=None), max(times, default=None))
