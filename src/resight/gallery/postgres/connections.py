"""Connections to the database: statements that are repeated while a server restarts, and actions done exactly once.

A connection that is lost while an action is committed leaves its outcome unknown. Each action writes an event, so the
next attempt first looks for it, under the lock that all writers take: it is there, or the action was never done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypeAlias, TypeVar

import psycopg
from pgvector.psycopg import register_vector
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Json

from resight.errors import DataError, ResightError
from resight.gallery import log
from resight.gallery.postgres.place import Place
from resight.gallery.record import Event
from resight.pools import OfProcess
from resight.secrets import without_secrets

PATIENCE = 30.0  # seconds for a server that restarts, and for another writer
MOST = 16  # connections of one process
_PAUSE = 0.05
_LOOK_AGAIN = 0.5
_LIMITS = {
    "statement_timeout": 300_000,
    "lock_timeout": int(PATIENCE * 1000),
    "idle_in_transaction_session_timeout": 60_000,
}
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "tcp_user_timeout": "30000",
    "application_name": "resight",
    "client_encoding": "utf8",
}
# What another attempt can mend: a server that stops, starts or takes over, a deadlock, the same record added twice at
# the same moment, a server that is no longer the one that writes.
_PASSING = (
    errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.TooManyConnections,
    errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation, errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
)  # fmt: skip

Result = TypeVar("Result")
Row: TypeAlias = "tuple[Any, ...]"
Values: TypeAlias = "Sequence[Any] | Mapping[str, Any]"


class Session:
    """A connection in use."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db

    def rows(self, statement: str, values: Values = (), *, often: bool = False) -> list[Row]:
        """The rows that a statement gives; its plan is kept where it comes ``often`` with values that matter little."""
        return self._db.execute(statement.encode(), values, binary=True, prepare=None if often else False).fetchall()

    def run(self, statement: str, values: Values = ()) -> int:
        """Run a statement, and return how many rows it concerned."""
        return self._db.execute(statement.encode(), values, prepare=False).rowcount

    def copy(self, table: str, columns: Mapping[str, str], rows: Iterator[Sequence[Any]]) -> None:
        """Write rows to a table, given the types of its columns."""
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with self._db.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types(list(columns.values()))
            for row in rows:
                copy.write_row(row)


class Action(Session):
    """A transaction that changes a gallery, and the event that it writes."""

    def __init__(self, db: psycopg.Connection[Any], gallery: str) -> None:
        super().__init__(db)
        self._key = int.from_bytes(
            blake2b(gallery.encode(), digest_size=8, key=b"resight").digest(), "big", signed=True
        )
        self._locked = False
        self.event: Event | None = None

    def lock(self) -> None:
        """Wait until no other action is under way, and let none begin to name, erase or note before this one ends."""
        if not self._locked:
            self.rows("SELECT pg_advisory_xact_lock(%s)", (self._key,))
            self._locked = True

    def note(self, actor: str, action: str, details: Mapping[str, Any]) -> None:
        """Write the next event, and tell those that listen."""
        self.lock()
        last = self.rows(f"{EVENTS} ORDER BY number DESC LIMIT 1")
        new = log.event(Event(*last[0]) if last else None, time.time(), actor, action, details)
        row = (new.number, new.time, new.actor, new.action, Json(new.details), new.digest)
        self.run("INSERT INTO events VALUES (%s, %s, %s, %s, %s, %s)", row)
        self.rows("SELECT pg_notify(current_schema(), %s)", (str(new.number),))
        self.event = new

    def was_done(self, event: Event) -> bool:
        """Whether the action that wrote this event is part of the log."""
        self.lock()
        return bool(self.rows("SELECT 1 FROM events WHERE number = %s AND digest = %s", (event.number, event.digest)))


EVENTS = "SELECT number, time, actor, action, details, digest FROM events"


@dataclass
class _Opened:
    """The connections of one process."""

    idle: list[psycopg.Connection[Any]] = field(default_factory=list)
    room: threading.Semaphore = field(default_factory=lambda: threading.BoundedSemaphore(MOST))


class Connections:
    """The connections of each process to one gallery; any thread may use them, and a forked process has its own."""

    def __init__(self, place: Place, *, read_only: bool) -> None:
        self.place, self.read_only = place, read_only
        self._opened = OfProcess(_Opened)
        self._reached = self._closed = False

    def rows(self, statement: str, values: Values = ()) -> list[Row]:
        """The rows of one statement that only reads."""
        return self.read(lambda session: session.rows(statement, values))

    def read(self, work: Callable[[Session], Result]) -> Result:
        """Read on one connection, in no transaction; begun again where the connection is lost."""
        return self._persistently(lambda db: work(Session(db)))

    def write(self, work: Callable[[Action], Result]) -> Result:
        """Do something in a transaction: wholly or not at all, and durable when this returns.

        Args:
            work: does it; called again where the attempt before came to nothing.

        Raises:
            DataError: the gallery was opened for reading only.
        """
        if self.read_only:
            raise DataError(f"{self.place.uri} was opened for reading only: open it without read_only.")
        committing: list[tuple[Event | None, Result]] = []  # the outcome of the last one is unknown

        def once(db: psycopg.Connection[Any]) -> Result:
            if committing:
                event, result = committing[-1]
                with db.transaction():
                    if event is not None and Action(db, self.place.gallery).was_done(event):
                        return result
                committing.clear()
            with db.transaction():
                action = Action(db, self.place.gallery)
                result = work(action)
                committing.append((action.event, result))
            return result

        return self._persistently(once)

    def wait(self, statement: str, values: Values, seconds: float) -> bool:
        """Whether a statement gives rows now, or after an event that another action writes within so many seconds."""
        give_up = time.monotonic() + seconds
        while True:
            found = bool(self.rows(statement, values))  # also waits for a server that restarts
            left = give_up - time.monotonic()
            if found or left <= 0:
                return found
            try:
                with self._connect() as db:
                    db.execute(f"LISTEN {self.place.gallery}".encode())
                    if not Session(db).rows(statement, values):
                        list(db.notifies(timeout=left, stop_after=1))
            except psycopg.Error:  # the server stops, or is a replica, which cannot listen
                time.sleep(min(left, _LOOK_AGAIN))

    @contextmanager
    def alone(self) -> Iterator[psycopg.Connection[Any]]:
        """A separate connection, in no transaction, for what takes long; nothing is repeated."""
        with in_words(self.place), self._connect() as db:
            yield db

    def close(self) -> None:
        """Close what is idle now and the rest when it becomes so; a second time does nothing."""
        self._closed = True
        idle = self._opened().idle
        while idle:
            idle.pop().close()

    def _persistently(self, once: Callable[[psycopg.Connection[Any]], Result]) -> Result:
        give_up = time.monotonic() + PATIENCE
        with in_words(self.place):
            while True:
                try:
                    with self._taken() as db:
                        return once(db)
                except (psycopg.OperationalError, *_PASSING) as error:
                    mends = isinstance(error, _PASSING) or (error.sqlstate is None and self._reached)
                    if not mends or time.monotonic() > give_up:
                        raise
                time.sleep(_PAUSE)

    @contextmanager
    def _taken(self) -> Iterator[psycopg.Connection[Any]]:
        own = self._opened()
        with own.room:
            if self._closed:
                raise DataError(f"{self.place.uri} is closed: open the gallery again.")
            try:
                db = own.idle.pop()
            except IndexError:
                db = self._connect()
            try:
                yield db
            except errors.ReadOnlySqlTransaction:
                db.close()  # another server may be the one that writes now
                raise
            finally:
                usable = not (self._closed or db.closed)
                own.idle.append(db) if usable else db.close()

    def _connect(self) -> psycopg.Connection[Any]:
        db = psycopg.connect(**self._options(), autocommit=True)
        try:
            self.configure(db)
        except BaseException:
            db.close()
            raise
        self._reached = True
        return db

    def _options(self) -> dict[str, Any]:
        """What libpq is given: what the URI says, and limits where it says nothing."""
        given = conninfo_to_dict(self.place.address)
        limits = "".join(f"-c {name}={value} " for name, value in _LIMITS.items())
        limits += "-c jit=off " + "-c default_transaction_read_only=on " * self.read_only
        return {**_DEFAULTS, **given, "options": limits + str(given.get("options") or "")}

    def configure(self, db: psycopg.Connection[Any]) -> None:
        """Have names mean this gallery's tables, and what is acknowledged be on the disk."""
        db.execute(
            "SELECT set_config('search_path', concat_ws(', ', quote_ident(%s), (SELECT quote_ident(n.nspname) "
            "FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector')), false), "
            "CASE WHEN current_setting('synchronous_commit') = 'off' "
            "THEN set_config('synchronous_commit', 'on', false) END",
            (self.place.gallery,),
        )
        if db.execute("SELECT to_regtype('vector') IS NOT NULL").fetchone() == (True,):
            register_vector(db)


@contextmanager
def in_words(place: Place) -> Iterator[None]:
    """Errors of PostgreSQL, each as one sentence."""
    try:
        yield
    except psycopg.Error as error:
        first = " ".join((error.diag.message_primary or str(error)).split()).rstrip(".")
        message = without_secrets(first)[:300]
        if isinstance(error, errors.InsufficientPrivilege):
            advice = "have the gallery's owner give you the right with resight gallery grant"
        elif isinstance(error, errors.LockNotAvailable):
            advice = f"another program has been writing for {PATIENCE:.0f} s, so try again when it is done"
        elif isinstance(error, errors.QueryCanceled):
            advice = "nothing of this was done; allow more time with &options=-c statement_timeout=0 in the URI"
        elif isinstance(error, (errors.DiskFull, errors.OutOfMemory)):
            advice = "nothing of this was done; free some space on the server"
        else:
            advice = "check the server and the address"
        raise ResightError(f"{place.uri}: PostgreSQL reported an error ({message}): {advice}.") from None
