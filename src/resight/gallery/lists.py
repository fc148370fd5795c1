"""What a gallery lists: everything of a kind, or a page of it that is read alone."""

from __future__ import annotations

from resight.errors import DataError
from resight.gallery.arguments import checked_filter
from resight.gallery.record import Filter, Person, Record, person_name
from resight.gallery.store import EVERY, Store

ALL = Filter()


class Lists:
    """The lists of a gallery; ``limit`` is how many entries a page has, None for all."""

    store: Store

    def records(self, where: Filter = ALL, *, limit: int = 100, after_id: str = "") -> list[Record]:
        """A page of the records that pass, ordered by id; pass its last id as ``after_id`` for the next page."""
        return self.store.page(checked_filter(where), _page(limit), after_id)

    def newest(self, where: Filter = ALL, *, limit: int = 100, source: str = "") -> list[Record]:
        """The newest records that pass and whose source contains a text, newest first; those without a time last."""
        return self.store.newest(checked_filter(where), _page(limit), source)

    def count(self, where: Filter = ALL) -> int:
        """How many records pass."""
        return self.store.count(checked_filter(where))

    def __len__(self) -> int:
        return self.store.count(ALL)

    def __repr__(self) -> str:
        return f"<Gallery {self.store.uri}, of {self.store.about.card.architecture}>"

    def timeline(self, identity: str, *, limit: int | None = None, after_id: str = "") -> list[Record]:
        """The records of one identity by (time, id), those without a time last; none for an unknown name.

        Pass the last id of a page as ``after_id`` for the next one; Missing, a DataError, if it is not there any more.
        """
        return self.store.timeline(person_name(identity), _page(limit), after_id)

    def identities(self, *, limit: int | None = None, after: str = "") -> list[Person]:
        """Everyone who has a name, by name; pass the last name of a page as ``after`` for the next one."""
        return self.store.people(_page(limit), after)

    def cameras(self, *, limit: int | None = None, after: str | None = None) -> dict[str, int]:
        """The cameras by name, and how many records each has; "" is the unknown one. ``after`` as for identities."""
        return self.store.cameras(_page(limit), after)


def _page(limit: int | None) -> int:
    """How many entries to read.

    Raises:
        DataError: fewer than one.
    """
    if limit is not None and limit < 1:
        raise DataError(f"A page of {limit} entries is none: ask for at least 1.")
    return EVERY if limit is None else limit
