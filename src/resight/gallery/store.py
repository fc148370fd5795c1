"""What an engine does for :class:`resight.Gallery`: keep records, and find candidates among them.

Names, times, ids and vectors that reach a store are checked already. Everything it does is whole or not at all, durable
when it returns, and logged in the same step (:mod:`resight.gallery.log`). An identity is there as long as a record
has its name. Any thread may call.

Shape letters: ``N`` records, ``Q`` queries, ``D`` embedding, ``K`` neighbours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resight.gallery.erased import Erased
from resight.gallery.record import Answer, Conflict, Event, Filter, Missing, Person, Policy, Record, Right, Stats
from resight.models.card import Card

EVERY = 2**62  # more than the entries of any list
MAKE_ONE = "make one with resight gallery create, in Python by passing a model"
HELD = 2**30  # bytes of vectors that a process holds at most, where nothing else is said


@dataclass(frozen=True)
class About:
    """What a gallery is bound to, kept inside it; ``model`` is where the card's model was loaded from, or ""."""

    card: Card
    model: str
    policy: Policy


@dataclass(frozen=True, eq=False)
class Rows:
    """N records of different ids with all that belongs to them.

    Attributes:
        vectors: (N, D) float32.
        thumbnails: N JPEGs or None.
        marks: N marks of their contents, None where unknown, see :mod:`resight.gallery.erased`; or none at all.
        lifted: marks of erased pictures that come back with these, and are to be forgotten.
    """

    records: Sequence[Record]
    vectors: NDArray[np.float32]
    thumbnails: Sequence[bytes | None]
    marks: Sequence[bytes | None] = ()
    lifted: Collection[bytes] = ()


@dataclass(frozen=True, eq=False)
class Candidates:
    """Records that may be nearest to a query, in any order, and their (N, D) float32 vectors."""

    records: list[Record]
    vectors: NDArray[np.float32]


class Store(Protocol):
    """An engine."""

    @property
    def uri(self) -> str:
        """What opens this gallery again, wherever the program runs."""

    @property
    def about(self) -> About:
        """What the gallery is bound to."""

    @property
    def erased(self) -> Erased:
        """The marks that erased records left."""

    def keep(self, about: About) -> None:
        """From now on bound to this: the same model, with a newer card or from another place."""

    def add(self, rows: Rows, actor: str) -> NDArray[np.bool_]:
        """Add those that are not there yet, and return (N,) which these were; those that are there stay as they are."""

    def near(self, queries: NDArray[np.float32], k: int, where: Filter, approximate: bool) -> list[Candidates]:
        """For each of (Q, D) queries the ``k`` nearest records that pass, or all if there are fewer.

        On top, every record that exact arithmetic could put among them: as near as the k-th but for the rounding of
        float32. ``approximate`` allows to miss some. Own earlier writes are seen, nothing erased ever is.
        """

    def hold(self, most: int) -> None:
        """From now on search exactly from this process's memory, where the vectors take at most so many bytes there.

        The answers are those of :meth:`near` without it. An embedded engine does so anyway.
        """

    def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The records, None where there is none."""

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) of records; Missing of :func:`not_there` for the first that is not there."""

    def thumbnails(self, ids: Sequence[str]) -> list[bytes | None]:
        """The JPEGs of records; None where one or its record is not there."""

    def page(self, where: Filter, limit: int, after_id: str) -> list[Record]:
        """The first records that pass, ordered by id, with ids above ``after_id``."""

    def newest(self, where: Filter, limit: int, source: str) -> list[Record]:
        """The last records that pass and whose source contains a text, by (time, id) downwards; no time comes last."""

    def timeline(self, identity: str, limit: int, after_id: str) -> list[Record]:
        """The first records of an identity by (time, id), those without a time last.

        ``after_id``: only what comes after this record; Missing of :func:`not_there`.
        """

    def count(self, where: Filter) -> int:
        """How many records pass."""

    def people(self, limit: int, after: str) -> list[Person]:
        """The first identities by name, with names above ``after``."""

    def cameras(self, limit: int, after: str | None) -> dict[str, int]:
        """The first cameras with records by name, with names above ``after``, and how many records each has."""

    def enrol(self, name: str, ids: Sequence[str], actor: str, new: bool = False) -> None:
        """Give records a name; a ``new`` one that no record has. DataError of :func:`not_there`,
        :func:`bears_another_name` or :func:`name_taken`, then nothing changes."""

    def merge(self, into: str, others: Sequence[str], actor: str) -> int:
        """Give one name to all records of ``others``, and return their number.

        DataError of :func:`no_such_identity` for any name.
        """

    def split(self, name: str, ids: Sequence[str], new_name: str | None, actor: str) -> None:
        """Take records out of an identity.

        DataError of :func:`no_such_identity`, :func:`not_there`, :func:`bears_another_name`, or :func:`name_taken` for
        the new name.
        """

    def rename(self, name: str, new_name: str, actor: str) -> None:
        """Another name for an identity. DataError of :func:`no_such_identity` or :func:`name_taken`."""

    def answer(self, answers: Sequence[Answer], actor: str) -> None:
        """Keep answers about pairs of records; a later one about the same two replaces it.

        They go with either record. Missing of :func:`not_there`, then none is kept.
        """

    def answers(self) -> list[Answer]:
        """All answers, the oldest first."""

    def erase(
        self,
        actor: str,
        *,
        ids: Sequence[str] | None = None,
        identity: str | None = None,
        before: float | None = None,
        expired: float | None = None,
    ) -> int:
        """Erase records by exactly one of these, and return how many.

        No read finds them when this returns. An embedded engine has their bytes gone from every file by then, a server
        after :meth:`purge`. Ids that are not there do not count. ``before``: with time < before. ``expired``:
        with expires <= expired, logged as "expire"; all others leave their marks (:attr:`erased`). DataError of
        :func:`no_such_identity`.
        """

    def note(self, actor: str, action: str, details: Mapping[str, Any]) -> None:
        """Write an event that changes no record, such as "export"."""

    def number(self, identity: str) -> int:
        """The number of an identity in the log; DataError of :func:`no_such_identity`."""

    def log(self, after: int, limit: int) -> list[Event]:
        """The first events with numbers above ``after``."""

    def wait(self, after: int, seconds: float) -> bool:
        """Whether there are events above a number now, or within so many seconds."""

    def stats(self, now: float) -> Stats:
        """The gallery in numbers."""

    def index(self) -> int:
        """Build the approximate index anew, and return over how many records."""

    def check(self) -> list[str]:
        """What is wrong with the files, one sentence each."""

    def purge(self, actor: str) -> list[str]:
        """Have the bytes of what was erased gone from all files, and return what remains elsewhere, a sentence each."""

    def grant(self, role: str, right: Right, actor: str) -> None:
        """Give a role of the database exactly this right; DataError where the engine knows no roles."""

    def backup(self, path: str) -> Path:
        """Write all of it as of one moment to a file that is not there yet; DataError where the engine cannot."""

    def close(self) -> None:
        """Let go of everything; a second time does nothing."""


def not_there(id: str) -> Missing:
    """For an id that no record has."""
    return Missing(f"There is no record {id} in this gallery: it was never added, or erased since.")


def all_there(ids: Sequence[str], records: Sequence[Record | None]) -> list[Record]:
    """The records of ids; Missing of :func:`not_there` for the first that is None."""
    found = []
    for id, record in zip(ids, records, strict=True):
        if record is None:
            raise not_there(id)
        found.append(record)
    return found


def no_such_identity(name: str) -> Missing:
    """For a name that no record has."""
    return Missing(f"No identity in this gallery is called {name!r}: list the names with `identities`.")


def bears_another_name(id: str, name: str | None) -> Conflict:
    """For a record that has another name than it was expected to have."""
    has = "no name" if name is None else f"the name {name!r}"
    return Conflict(f"The record {id} has {has}: merge the two identities, or split it off first.")


def name_taken(name: str) -> Conflict:
    """For a new name that is in use."""
    return Conflict(f"The name {name!r} is already in use in this gallery: merge the two, or choose another name.")
