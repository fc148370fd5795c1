"""Records that stay as they are although they were added with another name, basis or expiry than they have."""

from __future__ import annotations

from collections.abc import Sequence

from resight.gallery.record import Record
from resight.gallery.store import Store


def differing(given: Sequence[Record], new: set[str], store: Store, *, expires: bool) -> list[str]:
    """Ids of the given records whose identity or basis, where given, is not the one that the store has.

    Args:
        given: all that were added, also those given twice, in their order.
        new: ids of those that were written just now, as they were first given.
        store: where they are.
        expires: whether their expiry was given, too, and was not made from the gallery's policy.
    """
    asked: list[Record] = []
    first = set(new)
    for record in given:
        if record.id in first:
            first.remove(record.id)
        elif record.identity is not None or record.basis or expires:
            asked.append(record)
    found: dict[str, None] = {}
    for record, kept in zip(asked, store.get([record.id for record in asked]) if asked else (), strict=True):
        if kept is not None and (
            (record.identity is not None and record.identity != kept.identity)
            or (record.basis and record.basis != kept.basis)
            or (expires and record.expires != kept.expires)
        ):
            found[record.id] = None
    return list(found)
