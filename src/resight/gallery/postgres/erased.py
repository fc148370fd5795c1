"""The marks that erased records leave, in their table, see :mod:`resight.gallery.erased`."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from resight.gallery.erased import SIZE, keys_as_text, keys_of_text, mark_of_id
from resight.gallery.postgres import rows
from resight.gallery.postgres.connections import Action, Connections, Row, Session

_KEYS = "erased_keys"  # the row of ``meta`` with the keys, the gallery's own first


class Erased:
    """What :class:`resight.gallery.erased.Erased` describes; an older gallery that is only read has none.

    Args:
        connections: to the database.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def keys(self) -> tuple[bytes, ...]:
        """See :class:`resight.gallery.erased.Erased`."""
        return self._connections.read(_keys)

    def among(self, marks: Sequence[bytes]) -> set[bytes]:
        """See :class:`resight.gallery.erased.Erased`."""
        found = self._connections.rows("SELECT mark FROM erased WHERE mark = ANY(%s::bytea[])", (list(marks),))
        return {bytes(one) for (one,) in found}

    def of(self, ids: Sequence[str]) -> list[bytes | None]:
        """See :class:`resight.gallery.erased.Erased`."""
        if not self.keys():
            return [None] * len(ids)
        statement = "SELECT id, mark FROM records WHERE id = ANY(%s::uuid[]) AND mark IS NOT NULL"
        found = {id.hex: bytes(one) for id, one in self._connections.rows(statement, (rows.known_ids(ids),))}
        return [found.get(id) for id in ids]

    def page(self, after: bytes, limit: int) -> list[bytes]:
        """See :class:`resight.gallery.erased.Erased`."""
        if not self.keys():
            return []
        statement = "SELECT mark FROM erased WHERE mark > %s ORDER BY mark LIMIT %s"
        return [bytes(one) for (one,) in self._connections.rows(statement, (after, limit))]

    def take(self, keys: Sequence[bytes], marks: Sequence[bytes]) -> None:
        """See :class:`resight.gallery.erased.Erased`."""

        def work(action: Action) -> None:
            action.lock()
            known = _keys(action)
            if not set(keys) <= set(known):
                _write(action, dict.fromkeys([*known, *keys]))
            _insert(action, marks)

        self._connections.write(work)


def make_key(action: Action) -> None:
    """Draw the key of a gallery that has none yet."""
    if not _keys(action):
        _write(action, [secrets.token_bytes(SIZE)])


def leave(action: Action, records: Iterable[Row]) -> None:
    """Leave the marks of records that are about to be erased, given as (id, mark)."""
    key = _keys(action)[0]
    _insert(action, [mark_of_id(key, id.hex) if mark is None else bytes(mark) for id, mark in records])


def lift(action: Action, marks: Iterable[bytes]) -> None:
    """Forget marks, since their pictures come back by request."""
    action.run("DELETE FROM erased WHERE mark = ANY(%s::bytea[])", (list(marks),))


def _keys(session: Session) -> tuple[bytes, ...]:
    found = session.rows("SELECT value FROM meta WHERE key = %s", (_KEYS,))
    return keys_of_text(found[0][0]) if found else ()


def _write(action: Action, keys: Iterable[bytes]) -> None:
    statement = "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    action.run(statement, (_KEYS, keys_as_text(keys)))


def _insert(action: Action, marks: Sequence[bytes]) -> None:
    if marks:
        action.run("INSERT INTO erased SELECT unnest(%s::bytea[]) ON CONFLICT DO NOTHING", (list(marks),))
