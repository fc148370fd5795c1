"""Answers about pairs of records, in the table ``answers``; they go with either record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from resight.gallery.postgres.connections import Action, Session
from resight.gallery.postgres.people import holders
from resight.gallery.record import Answer

_PUT = """INSERT INTO answers VALUES (%s, %s, %s, %s, %s) ON CONFLICT (first, second)
DO UPDATE SET answer = excluded.answer, time = excluded.time, actor = excluded.actor"""


def put(action: Action, answers: Sequence[Answer], actor: str) -> None:
    """Keep answers, and note how many of each kind; Missing where a record is not there."""
    holders(action, [id for one in answers for id in (one.first, one.second)])
    for one in answers:
        action.run(_PUT, (one.first, one.second, one.answer, one.time, one.actor))
    action.note(actor, "answer", dict(Counter(one.answer for one in answers)))


def every(session: Session) -> list[Answer]:
    """All answers, the oldest first; none in a gallery of format 1 that is opened for reading."""
    if session.rows("SELECT to_regclass('answers') IS NULL") == [(True,)]:
        return []
    found = session.rows("SELECT first, second, answer, time, actor FROM answers ORDER BY time, first, second")
    return [Answer(first.hex, second.hex, *rest) for first, second, *rest in found]
