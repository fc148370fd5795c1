"""Galleries of version 0.1.0, put right when they are first opened for writing.

Times that counted from the beginning of a film are in them as times of the year 1970, and addresses of cameras with
their logins.
"""

from __future__ import annotations

import sqlite3

from resight.gallery.record import DAY, Policy
from resight.gallery.sqlite import reading
from resight.gallery.sqlite.changes import touch, want_wipe
from resight.gallery.sqlite.events import note
from resight.gallery.sqlite.places import Places
from resight.secrets import without_secrets

_YEAR = 366 * DAY  # no film is longer, and no picture here was taken in 1970


def forget_times(db: sqlite3.Connection, policy: Policy, actor: str) -> None:
    """Make times of 1970 unknown; what was to expire by them counts as seen when it was added."""
    slots = [slot for (slot,) in db.execute("SELECT slot FROM records WHERE time >= 0 AND time < ?", (_YEAR,))]
    if not slots:
        return
    if policy.keep_days is not None:
        db.execute(
            "UPDATE records SET expires = added + ? WHERE time >= 0 AND time < ? AND abs(expires - time - ?) < 1",
            (policy.keep_days * DAY, _YEAR, policy.keep_days * DAY),
        )
    db.execute("UPDATE records SET time = NULL WHERE time >= 0 AND time < ?", (_YEAR,))
    touch(db, slots)
    note(db, actor, "times", {"records": len(slots)})


def forget_logins(db: sqlite3.Connection, texts: Places, actor: str) -> bool:
    """Take logins out of cameras and sources, and return whether there were any; the file then has to be rewritten."""
    known, gone = reading.cameras(db), 0
    for name, number in known.items():
        plain = without_secrets(name)
        if plain == name:
            continue
        gone += 1
        if plain in known:
            touch(db, [slot for (slot,) in db.execute("SELECT slot FROM records WHERE camera = ?", (number,))])
            db.execute("UPDATE records SET camera = ? WHERE camera = ?", (known[plain], number))
            db.execute("DELETE FROM cameras WHERE number = ?", (number,))
        else:
            db.execute("UPDATE cameras SET name = ? WHERE number = ?", (plain, number))
    rows = db.execute(
        "SELECT r.slot, r.text, substr(t.content, 1, r.text_size) FROM records r JOIN texts t ON t.place = r.text "
        "WHERE instr(t.content, x'3a2f2f')"  # "://"
    ).fetchall()
    for slot, place, content in rows:
        text = content.decode("utf-8", "surrogateescape")
        plain = without_secrets(text)
        if plain == text:
            continue
        gone += 1
        data = plain.encode("utf-8", "surrogateescape")
        (new,), _ = texts.put(db, [data])
        db.execute("UPDATE records SET text = ?, text_size = ? WHERE slot = ?", (new, len(data), slot))
        texts.wipe(db, [place])
    if gone:
        want_wipe(db)
        note(db, actor, "logins", {"texts": gone})
    return bool(gone)
