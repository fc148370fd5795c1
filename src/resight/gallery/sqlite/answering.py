"""Answers about pairs of records, in the table ``answers``; they go with either record."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from resight.gallery.record import Answer
from resight.gallery.sqlite import reading
from resight.gallery.sqlite.events import note
from resight.gallery.sqlite.schema import ANSWERS
from resight.gallery.store import not_there

_PUT = """INSERT INTO answers SELECT a.slot, b.slot, ?, ?, ? FROM records a, records b WHERE a.id = ? AND b.id = ?
ON CONFLICT (first, second) DO UPDATE SET answer = excluded.answer, time = excluded.time, actor = excluded.actor"""
_ALL = """SELECT a.id, b.id, n.answer, n.time, n.actor FROM answers n
JOIN records a ON a.slot = n.first JOIN records b ON b.slot = n.second ORDER BY n.time, a.id, b.id"""


def is_there(db: sqlite3.Connection) -> bool:
    """Whether the gallery has a table of answers."""
    return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'answers_second'").fetchone())


def make(db: sqlite3.Connection) -> None:
    """Make the table, if no other program was first."""
    for statement in ANSWERS.split(";"):
        db.execute(statement)


def put(db: sqlite3.Connection, answers: Sequence[Answer], actor: str) -> None:
    """Keep answers, and note how many of each kind; Missing where a record is not there."""
    for one in answers:
        keys = reading.key_of(one.first), reading.key_of(one.second)
        if not db.execute(_PUT, (one.answer, one.time, one.actor, *keys)).rowcount:
            known = [db.execute("SELECT 1 FROM records WHERE id = ?", (key,)).fetchone() for key in keys]
            raise not_there(one.second if known[0] else one.first)
    note(db, actor, "answer", dict(Counter(one.answer for one in answers)))


def every(db: sqlite3.Connection) -> list[Answer]:
    """All answers, the oldest first."""
    if not is_there(db):
        return []
    return [Answer(first.hex(), second.hex(), *rest) for first, second, *rest in db.execute(_ALL)]
