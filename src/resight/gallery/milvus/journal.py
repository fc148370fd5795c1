"""The log as objects, and whose turn it is to write: several programs may write to one gallery, one action at a time.

Event N is the object ``events/N``. A process that writes event N first creates ``turns/N-0``, which says what is to be
done (the intent) and by whom; a name can be created only once, so one writer wins and the others wait. He does it,
creates the event and removes the turn. Where he stops half way (killed, or silent for :data:`LEASE` seconds), the next
writer creates ``turns/N-1``, does what the intent says once more, and writes the event in his place.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time as clock
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from resight.errors import ResightError
from resight.gallery import log
from resight.gallery.milvus.objects import Objects
from resight.gallery.record import Damaged, Event

LEASE = 60.0  # seconds without a sign of life, after which a turn is taken over
_BEAT, _POLL = 5.0, 0.05
_here: set[str] = set()  # tokens of the turns that this process is in


@dataclass(frozen=True)
class Head:
    """The last event, and how it left the gallery.

    Attributes:
        event: the last one.
        people: the highest number that an identity has ever had.
        indexed: whether the approximate index stands.
    """

    event: Event
    people: int = 0
    indexed: bool = False


@dataclass(frozen=True)
class Intent:
    """What is to be done in one turn, so that doing it again leaves the same.

    Attributes:
        action, actor, details: of the event.
        people, indexed: of the head that follows.
        added: ids that come new; they are taken out again where not all of them arrived.
        erased: ids that go.
        named: ids that get the name ``identity`` with the number ``person``; "" and 0 make them unknown.
    """

    action: str
    actor: str
    details: dict[str, Any]
    people: int
    indexed: bool
    added: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    identity: str = ""
    person: int = 0


class Turn:
    """The right to write one event, held from :meth:`Journal.take` to :meth:`Journal.done`."""

    def __init__(self, objects: Objects, number: int, attempt: int, intent: Intent) -> None:
        self.number, self.attempt, self.intent = number, attempt, intent
        self._objects, self._token, self._beats, self._last = objects, uuid4().hex, 0, clock.monotonic()

    def create(self) -> bool:
        """Take the turn; False if another process has it."""
        _here.add(self._token)
        try:
            created = self._objects.create(self.name, self._content())
        except BaseException:
            _here.discard(self._token)
            raise
        if not created:
            _here.discard(self._token)
        return created

    @property
    def name(self) -> str:
        """Of the object."""
        return _turn_name(self.number, self.attempt)

    def beat(self) -> None:
        """Give a sign of life, to be called before every step of an action.

        Raises:
            ResightError: another writer took the turn over; nothing more may be written in it.
        """
        if self._objects.exists(_turn_name(self.number, self.attempt + 1)):
            raise ResightError(
                f"{self._objects.uri}: another program took over action {self.number}, for this one was silent for "
                f"{LEASE:.0f} s; it is completed, so check the gallery before you try again."
            )
        if clock.monotonic() - self._last > _BEAT:
            self._beats, self._last = self._beats + 1, clock.monotonic()
            self._objects.write(self.name, self._content())

    def leave(self) -> None:
        """Stop half way; the next process completes the event."""
        _here.discard(self._token)

    def _content(self) -> bytes:
        owner = {"place": _place(), "process": os.getpid(), "token": self._token, "beats": self._beats}
        return json.dumps({"owner": owner, "intent": asdict(self.intent)}).encode()


class Journal:
    """The events of a gallery, and the turns of its writers. Any thread may read; one at a time may write."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._head: Head | None = None
        self._lock = threading.Lock()

    def begin(self, actor: str, details: Mapping[str, Any]) -> None:
        """Write the first event, if it is not there."""
        self._create(Head(log.event(None, clock.time(), actor, "create", details)))

    def head(self) -> Head | None:
        """The last event; None before the first."""
        with self._lock:
            number = self._head.event.number if self._head else self._search()
            while self._objects.exists(_event_name(number + 1)):
                number += 1
            if number and (self._head is None or self._head.event.number != number):
                self._head = self._read(number, number)[0]
            return self._head

    def _search(self) -> int:
        """The number of the last event, or of one before it, in few steps."""
        low, high = 0, 1
        while self._objects.exists(_event_name(high)):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._objects.exists(_event_name(middle)) else (low, middle)
        return low

    def events(self, after: int, limit: int) -> list[Event]:
        """The first events with numbers above ``after``.

        Raises:
            DataError: one is missing.
        """
        head = self.head()
        last = min(after + limit, head.event.number if head else 0)
        return [one.event for one in self._read(after + 1, last)]

    def settle(self, finish: Callable[[Turn], Mapping[str, Any]]) -> Head:
        """Wait until no process is writing, complete unfinished events with ``finish``, and return the head."""
        watched, since = b"", clock.monotonic()
        while True:
            head = self.head()
            assert head is not None  # a gallery begins with its first event
            found = self._waiting(head)
            if found is None:
                return head
            attempt, content = found
            if content != watched:
                watched, since = content, clock.monotonic()
            kept = json.loads(content)
            if _gone(kept["owner"]) or clock.monotonic() - since > LEASE:
                turn = Turn(self._objects, head.event.number + 1, attempt + 1, Intent(**kept["intent"]))
                if turn.create():
                    self._do(head, turn, finish)
            else:
                clock.sleep(_POLL)

    def take(self, head: Head, intent: Intent) -> Turn | None:
        """The turn after ``head``; None if another process was faster."""
        turn = Turn(self._objects, head.event.number + 1, 0, intent)
        if not turn.create():
            return None
        if self._objects.exists(_event_name(turn.number)):  # already completed and removed by another process
            self._objects.remove([turn.name])
            turn.leave()
            return None
        return turn

    def done(self, head: Head, turn: Turn, details: Mapping[str, Any]) -> None:
        """Write the event of a turn and end it."""
        intent = turn.intent
        event = log.event(head.event, clock.time(), intent.actor, intent.action, details)
        self._create(Head(event, intent.people, intent.indexed))
        self._objects.remove([_turn_name(turn.number, attempt) for attempt in range(turn.attempt + 1)])
        turn.leave()

    def tidy(self) -> None:
        """Remove turns whose events are written, left by a writer that was killed between the two."""
        head = self.head()
        past = head.event.number if head else 0
        self._objects.remove([name for number, _, name in self._turns() if number <= past])

    def missing(self) -> Iterator[int]:
        """Numbers of events that are not there, below others that are."""
        there = {int(Path(name).name) for name in self._objects.names("events")}
        return (number for number in range(1, max(there, default=0)) if number not in there)

    def _do(self, head: Head, turn: Turn, finish: Callable[[Turn], Mapping[str, Any]]) -> None:
        try:
            if not self._objects.exists(_event_name(turn.number)):
                self.done(head, turn, finish(turn))
            else:
                self._objects.remove([turn.name])
        finally:
            turn.leave()

    def _turns(self) -> list[tuple[int, int, str]]:
        found = []
        for name in self._objects.names("turns"):
            number, _, attempt = Path(name).name.partition("-")
            found.append((int(number), int(attempt), name))
        return sorted(found)

    def _waiting(self, head: Head) -> tuple[int, bytes] | None:
        """The last attempt at the event that comes next, and its content."""
        attempts = [(attempt, name) for number, attempt, name in self._turns() if number == head.event.number + 1]
        if not attempts:
            return None
        attempt, name = attempts[-1]
        (content,) = self._objects.read([name])
        return None if content is None else (attempt, content)

    def _create(self, head: Head) -> None:
        data = json.dumps(asdict(head), ensure_ascii=False, indent=1).encode()
        self._objects.create(_event_name(head.event.number), data)

    def _read(self, first: int, last: int) -> list[Head]:
        numbers = range(first, last + 1)
        heads = []
        for number, data in zip(numbers, self._objects.read([_event_name(one) for one in numbers]), strict=True):
            try:
                plain = json.loads(data or b"")
                heads.append(Head(Event(**plain["event"]), plain["people"], plain["indexed"]))
            except (ValueError, KeyError, TypeError):
                raise Damaged(
                    f"{self._objects.uri}: event {number} of the log is missing or damaged: restore it from a backup."
                ) from None
        return heads


def _event_name(number: int) -> str:
    return f"events/{number:012d}"


def _turn_name(number: int, attempt: int) -> str:
    return f"turns/{number:012d}-{attempt:03d}"


def _place() -> str:
    """Where process numbers mean the same: this boot of this machine, and this namespace; "" where that is unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()} {socket.gethostname()}"
    except OSError:
        return ""


def _gone(owner: Mapping[str, Any]) -> bool:
    """Whether the owner of a turn certainly does nothing more in it."""
    if not _place() or owner["place"] != _place():
        return False
    if owner["process"] == os.getpid():
        return owner["token"] not in _here
    with suppress(PermissionError):
        try:
            os.kill(owner["process"], 0)
        except ProcessLookupError:
            return True
    return False
