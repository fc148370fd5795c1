"""The tables of a gallery in SQLite, and how a connection to them is made.

SQLite's ``secure_delete`` overwrites what is deleted, but not the copies that it leaves behind when it moves rows from
one page to another. So whatever is personal (vectors, thumbnails, names, sources) is in tables whose rows are only
ever added at the end or overwritten by as many bytes, which moves nothing: ``vectors``, ``thumbnails``, ``texts``.
Erased places are zeros, and are used again (``free``). All else is numbers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resight.errors import ResightError
from resight.gallery.record import Damaged
from resight.gallery.sqlite.write_ahead import WAIT, Logged, begin, end

FORMAT = 1  # of what is written here; in the file as user_version
MARK = 0x72657367  # application_id: "resg"
HOME = "home"  # the row of ``meta`` with the path at which the gallery was last written
KEYS = "erased_keys"  # the row of ``meta`` with the keys of marks, the gallery's own first

ANSWERS = """
CREATE TABLE IF NOT EXISTS answers (   -- of first < second by their ids
    first INTEGER NOT NULL REFERENCES records (slot) ON DELETE CASCADE,
    second INTEGER NOT NULL REFERENCES records (slot) ON DELETE CASCADE,
    answer TEXT NOT NULL, time REAL NOT NULL, actor TEXT NOT NULL,
    PRIMARY KEY (first, second)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_second ON answers (second);
"""
ERASED = """
CREATE TABLE IF NOT EXISTS marks (     -- of the contents of records, where known: resight.gallery.erased
    slot INTEGER PRIMARY KEY REFERENCES records (slot) ON DELETE CASCADE,
    mark BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS erased (mark BLOB PRIMARY KEY) WITHOUT ROWID;  -- those that erased records left
"""
"""Galleries of version 0.1.0 get these tables when they are opened for writing, and stay of the same format: that
version erases the answers and the mark of a record with it."""

TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    change INTEGER NOT NULL,           -- grows with every transaction that changes records
    wipe INTEGER NOT NULL              -- 1 from an erasure on until its bytes are gone from every file
);
CREATE TABLE vectors (place INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE thumbnails (place INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE texts (place INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE free (kind TEXT, bytes INTEGER, place INTEGER, PRIMARY KEY (kind, bytes, place)) WITHOUT ROWID;
CREATE TABLE cameras (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE identities (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, because the log mentions it
    key INTEGER NOT NULL,                      -- a keyed hash of the name, to find it by
    text INTEGER NOT NULL REFERENCES texts (place),
    size INTEGER NOT NULL
);
CREATE TABLE records (
    slot INTEGER PRIMARY KEY REFERENCES vectors (place),
    id BLOB NOT NULL UNIQUE,
    identity INTEGER REFERENCES identities (number),
    camera INTEGER NOT NULL REFERENCES cameras (number),
    time REAL,
    left INTEGER, top INTEGER, right INTEGER, bottom INTEGER,
    expires REAL,
    added REAL NOT NULL,
    text INTEGER REFERENCES texts (place), text_size INTEGER,
    thumbnail INTEGER REFERENCES thumbnails (place), thumbnail_size INTEGER
);
CREATE INDEX identities_key ON identities (key);
CREATE INDEX records_identity ON records (identity) WHERE identity IS NOT NULL;
CREATE INDEX records_time ON records (time) WHERE time IS NOT NULL;
CREATE INDEX records_expires ON records (expires) WHERE expires IS NOT NULL;
{ANSWERS}
{ERASED}
CREATE TABLE changes (slot INTEGER PRIMARY KEY, change INTEGER NOT NULL);  -- of slots that changed since they were new
CREATE INDEX changes_change ON changes (change);
CREATE TABLE events (
    number INTEGER PRIMARY KEY, time REAL NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, details TEXT NOT NULL,
    digest TEXT NOT NULL
);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
"""


def connect(path: Path, how: str, page: int = 0) -> sqlite3.Connection:
    """A connection that any thread may use, one at a time.

    Args:
        path: of the file.
        how: "read"; "still", to read a file that no program writes; "write", with a log of writes beside it; "make".
        page: bytes to a page of a file that is made.
    """
    mode = {"read": "ro", "still": "ro&immutable=1", "write": "rw", "make": "rwc"}[how]
    db = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=WAIT,
        isolation_level=None,
        check_same_thread=False,
        factory=Logged if how == "write" else sqlite3.Connection,
    )
    try:
        if isinstance(db, Logged):
            db.of(path)
        if how == "make":
            db.execute(f"PRAGMA page_size = {page}")
        if how == "write":
            begin(db, path)
        if how in ("write", "make"):
            db.execute("PRAGMA secure_delete = ON")
            db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA cache_size = -16384")
        db.execute("PRAGMA mmap_size = 2147418112")  # the most there is: pages are looked at where they lie
        return db
    except BaseException:
        if how == "write":
            end([db], path)
        else:
            db.close()
        raise


def page_size(bytes_of_vector: int) -> int:
    """Bytes to a page, so that several vectors share one and little of it is left empty."""
    return min(max(1 << (8 * bytes_of_vector - 1).bit_length(), 4096), 32768)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """SQLite's errors, each as one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        message, name = str(error), getattr(error, "sqlite_errorname", "")
        if "locked" in message or "busy" in message.lower():
            raise ResightError(
                f"{path} is in use by another program, which has written for {WAIT:.0f} s: try again when it is done."
            ) from None
        if "readonly" in message or "unable to open" in message:
            raise ResightError(
                f"{path} cannot be opened or written ({message}): change the rights of the file and its folder, or "
                "open the gallery with read_only=True."
            ) from None
        if "full" in message or "disk I/O error" in message:
            raise ResightError(
                f"{path} cannot be written ({message}): free some space; nothing of this was done, and what was there "
                "before is unchanged."
            ) from None
        if isinstance(error, sqlite3.DatabaseError) and (
            "malformed" in message or "not a database" in message or "SQLITE_CORRUPT" in name or "no such" in message
        ):
            raise Damaged(
                f"{path} is damaged or no gallery ({message}): restore it from a backup, or make a new one elsewhere."
            ) from None
        raise
