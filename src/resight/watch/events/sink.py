"""What takes messages."""

from __future__ import annotations

from typing import Protocol

from resight.errors import ResightError
from resight.watch.events.event import Seen

TIMEOUT = 10.0  # seconds for a server to answer


class Undelivered(ResightError):
    """A message was not taken, for a reason that may pass."""


class Sink(Protocol):
    """Takes messages, one after the other, from one thread."""

    @property
    def name(self) -> str:
        """What the outbox and messages call it, without passwords."""

    def send(self, seen: Seen) -> None:
        """Return when it was taken for sure.

        Raises:
            Undelivered: it was not, or nobody knows.
        """

    def close(self) -> None:
        """Let go of files and connections."""
