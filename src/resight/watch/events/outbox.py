"""Messages that wait to be sent, in a file of SQLite: what waits is still there after a crash or a loss of power.

The file holds ids of records and names of sinks without secrets, no names of people and no pictures: a message is
written when it is sent, from the record as it is then, and a record that was erased meanwhile is not sent. While a
track is being added to the gallery, the file holds its source, so that the next program finds out what came of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from resight.errors import ResightError
from resight.pools import Lock
from resight.watch.events.webhook import webhook_name

WAIT = 30.0  # seconds for another program that writes

TABLES = (
    "CREATE TABLE IF NOT EXISTS waiting (number INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, "
    "record TEXT NOT NULL, UNIQUE (sink, record))",
    "CREATE TABLE IF NOT EXISTS coming (source TEXT PRIMARY KEY)",
)


class Outbox:
    """Records whose messages were not sent yet, for each sink in the order in which they came. Any thread may call.

    Args:
        path: of the file, made where there is none.

    Raises:
        ResightError: the file cannot be read or written; every method may raise it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        with self._words():
            self._db = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            for table in TABLES:
                self._db.execute(table)
            self._rename_webhooks()

    def expect(self, source: str) -> None:
        """A track from this source is about to be added to the gallery; durable when this returns."""
        with self._lock, self._words():
            self._write(("INSERT OR IGNORE INTO coming (source) VALUES (?)", [(source,)]))

    def expected(self) -> list[str]:
        """The sources of tracks of which it was not told whether they were added."""
        with self._lock, self._words():
            return [source for (source,) in self._db.execute("SELECT source FROM coming")]

    def put(self, sinks: Sequence[str], records: Sequence[str], source: str = "") -> None:
        """Messages for records wait for each of the sinks, and the source is expected no longer; durable."""
        rows = [(sink, record) for record in records for sink in sinks]
        with self._lock, self._words():
            self._write(
                ("INSERT OR IGNORE INTO waiting (sink, record) VALUES (?, ?)", rows),
                ("DELETE FROM coming WHERE source = ?", [(source,)]),
            )

    def waiting(self, sink: str, after: int = 0, limit: int = 100) -> list[tuple[int, str]]:
        """The first (number, record) that wait for a sink, with numbers above ``after``."""
        statement = "SELECT number, record FROM waiting WHERE sink = ? AND number > ? ORDER BY number LIMIT ?"
        with self._lock, self._words():
            return list(self._db.execute(statement, (sink, after, limit)))

    def done(self, number: int) -> None:
        """A message was sent, or its record erased."""
        with self._lock, self._words():
            self._db.execute("DELETE FROM waiting WHERE number = ?", (number,))

    def counts(self) -> dict[str, int]:
        """How many messages wait for each sink for which any do."""
        with self._lock, self._words():
            return dict(self._db.execute("SELECT sink, count(*) FROM waiting GROUP BY sink"))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _rename_webhooks(self) -> None:
        """Before, webhooks were called by their whole address."""
        sinks = [sink for (sink,) in self._db.execute("SELECT DISTINCT sink FROM waiting WHERE sink LIKE 'http%://%'")]
        old = [(webhook_name(sink), sink) for sink in sinks if webhook_name(sink) != sink]
        if old:
            self._db.execute("PRAGMA secure_delete = ON")
            self._write(("UPDATE OR REPLACE waiting SET sink = ? WHERE sink = ?", old))
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _write(self, *changes: tuple[str, Sequence[tuple[str, ...]]]) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for statement, rows in changes:
                self._db.executemany(statement, rows)
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:  # Ctrl-C: what is sent after it must not be undone with it
                self._db.execute("ROLLBACK")

    @contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ResightError(
                f"The outbox {self.path} cannot be used ({error}): check its rights and the free space, or name "
                "another file with --outbox."
            ) from None
