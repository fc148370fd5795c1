"""The vectors of a gallery as one array: mapped from files beside the database, or in memory; never trusted over it.

The first search checks whether the database has changed since the files' header was written, and writes what has
changed, under a lock that all processes share. A row may be newer than the header says, never older;
:mod:`resight.gallery.sqlite.finding` copes with that. Files that are of no use
(:mod:`resight.gallery.vectors.cache_files`) or of another past, since the database came from a backup, are written
anew. Where nothing can be written, all of it is held in memory.

Shape letters: ``S`` slots, ``D`` embedding.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.gallery.vectors.cache_files import COLUMNS, GROWTH, LEAST, Changed, Files, Header, paths
from resight.pools import Lock


class Source(NamedTuple):
    """One state of the database.

    Attributes:
        change, slots: the number of its last change, and how many slots it has.
        event, digest: the last event of its log: its number, and its digest (32 bytes), which covers all its past.
        knows: whether an event with this digest is part of its past.
        since: what is other than it was after a change, when there were so many slots.
        behind: how many slots that are.
    """

    change: int
    slots: int
    event: int
    digest: bytes
    knows: Callable[[int, bytes], bool]
    since: Callable[[int, int], Iterable[Changed]]
    behind: Callable[[int, int], int]


class View(NamedTuple):
    """The rows as of a change, or newer.

    Attributes:
        rows: (S, D); columns: (S,).
        live: (S,) where there are records; None where they are everywhere.
        change: as of which they are right at least.
        longest: the longest squared length of any row.
        digest: of the last event of that state.
    """

    rows: NDArray[np.float32]
    columns: NDArray[np.void]
    live: NDArray[np.bool_] | None
    change: int
    longest: float
    digest: bytes

    @property
    def slots(self) -> int:
        """S."""
        return len(self.rows)


class Cache:
    """The vectors of one gallery.

    Args:
        database: its path; the files are beside it. None to hold everything in memory.
        uuid: which gallery, 32 hex digits; dim: D; unit: whether rows are scaled to length one.
        writable: whether the files may be written.
    """

    def __init__(self, database: Path | None, uuid: str, dim: int, *, unit: bool, writable: bool) -> None:
        self._dim, self._unit, self._writable = dim, unit, writable
        self._lock, self._process = Lock(), os.getpid()
        self._hold_nothing()
        self._trusted = (0, b"")  # the last event that is known to be of the database's past
        self._live: NDArray[np.bool_] | None = None
        self._live_at = (0, 0)
        self._place, self._uuid = database, uuid
        self._files: Files | None = None
        self._open_files()

    @property
    def in_memory(self) -> bool:
        """Whether this process holds all rows by itself."""
        return self._files is None

    def view(self, source: Source, most: int, seen: Header | None = None) -> View | Header:
        """The rows, right up to the source's change where they can be written.

        Where they cannot, they may be older by up to ``most`` changed slots; if by more, they are held in memory.

        Args:
            source: a state of the database.
            most: see above.
            seen: what the last call returned, if it was a header.

        Returns:
            A header where the rows are newer than the source: look at a newer state of the database, and call again.
            Should that not know of the same header either, it has another past, and the rows are written anew.
        """
        with self._alone():
            if self._files is not None:
                try:
                    return self._from_files(self._files, source, most, seen)
                except OSError:  # a full disk
                    self._leave_files()
            return self._from_memory(source, seen)

    def peek(self) -> View | None:
        """The rows as they are now, however old; None where this process does not know yet what they are."""
        with self._alone():
            header: Header | None = self._known
            if self._files is not None:
                try:
                    header = self._files.read()
                except OSError:
                    return None
            if header is None or not header.change or self._trusted != (header.event, header.digest):
                return None
            return self._view(header)

    def differing(self, source: Source) -> int:
        """How many rows differ from the database, where both are of one state and in files."""
        with self._alone():
            header = self._files.read() if self._files is not None else None
            if header is None or header.change != source.change or not source.knows(header.event, header.digest):
                return 0
            view, wrong = self._view(header), 0
        for some in source.since(0, 0):
            vectors = self._scaled(some.vectors)
            there = view.rows[some.slots], view.columns[some.slots]
            wrong += int(((there[0] != vectors).any(axis=1) | (there[1].view("V16") != some.columns.view("V16"))).sum())
        return wrong

    def forget(self) -> None:
        """Trust nothing that is there."""
        with self._alone():
            self._hold_nothing()
            self._trusted, self._live_at = (0, b""), (0, 0)
            if self._files is not None and self._writable:
                with self._files.alone():
                    self._files.write(Header())

    def flush(self) -> None:
        """Have the files on the disk; those that cannot be written, or not any more, are taken away.

        Raises:
            OSError: they cannot be taken away either.
        """
        with self._alone():
            if not self._writable or self._place is None:
                return
            if self._files is not None:
                try:
                    self._files.flush()
                    return
                except OSError:  # a full disk
                    self._leave_files()
            for path in paths(self._place):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the files; a second time does nothing."""
        with self._alone():
            self._leave_files()
            self._hold_nothing()
            self._place = None  # they are no longer this object's

    def _hold_nothing(self) -> None:
        self._rows: NDArray[np.float32] = np.empty((0, self._dim), np.float32)
        self._columns: NDArray[np.void] = np.empty(0, COLUMNS)
        self._known = Header()  # of what is held in memory

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other thread of this process is here; a forked one opens the files anew, with locks of its own."""
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                if self._files is not None:
                    self._leave_files()
                    self._open_files()
            yield

    def _open_files(self) -> None:
        if self._place is not None:
            with suppress(OSError):
                self._files = Files(self._place, self._uuid, self._dim, unit=self._unit, writable=self._writable)

    def _from_memory(self, source: Source, seen: Header | None) -> View | Header:
        if self._ahead(self._known, source):
            if self._known != seen:
                return self._known
            self.forget()
        known, self._known = self._known, Header()  # should this be cut short, the rows are of no one state
        self._known = self._catch_up(known, source, self._put, self._grow)
        return self._view(self._known)

    def _from_files(self, files: Files, source: Source, most: int, seen: Header | None) -> View | Header:
        header = files.read()
        if header is not None and self._ahead(header, source):
            if header != seen:
                return header
            self.forget()
            header = None
        if self._writable and (header is None or header.change < source.change):
            with files.alone():
                header = files.read() or Header()  # another program may have written it
                if self._ahead(header, source):
                    return header
                if header.change < source.change:
                    files.write(replace(header, flushed=False))
                    header = self._catch_up(header, source, files.put, files.grow)
                    files.write(header)
        elif not self._writable and (header is None or source.behind(header.change, header.slots) > most):
            if header is not None:
                rows, columns = files.map(header.slots)
                self._rows, self._columns, self._known = np.array(rows), np.array(columns), header
            self._leave_files()
            return self._from_memory(source, seen)
        assert header is not None
        return self._view(header)

    def _ahead(self, header: Header, source: Source) -> bool:
        """Whether the rows are newer than the source, or of a past that is not its own."""
        known = header.event, header.digest
        if not header.change:
            return False
        if header.change > source.change or (header.digest != source.digest and not source.knows(*known)):
            return True
        self._trusted = known
        return False

    def _view(self, header: Header) -> View:
        rows, columns = self._files.map(header.slots) if self._files is not None else (self._rows, self._columns)
        rows, columns = rows[: header.slots], columns[: header.slots]
        if self._live_at != (header.change, header.slots):
            live = columns["camera"] > 0
            self._live, self._live_at = None if live.all() else live, (header.change, header.slots)
        return View(rows, columns, self._live, header.change, header.longest, header.digest)

    def _catch_up(
        self, header: Header, source: Source, put: Callable[[Changed], None], grow: Callable[[int], None]
    ) -> Header:
        """Write what has changed since the header, and give the new one."""
        if header.change < source.change:
            grow(source.slots)
            longest = header.longest
            for some in source.since(header.change, header.slots):
                scaled = self._scaled(some.vectors)
                longest = max(longest, float(np.vecdot(scaled, scaled, dtype=np.float64).max(initial=0.0)))
                put(some._replace(vectors=scaled))
            header = Header(source.slots, source.change, source.event, source.digest, longest)
            self._trusted = header.event, header.digest
        return header

    def _scaled(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._unit:
            return vectors
        wide = vectors.astype(np.float64)
        squares = np.vecdot(wide, wide)
        wide /= np.sqrt(np.where(squares > 0, squares, 1.0))[:, None]
        return wide.astype(np.float32)

    def _grow(self, slots: int) -> None:
        if slots > len(self._rows):
            capacity = max(int(slots * GROWTH), LEAST)
            rows, columns = np.zeros((capacity, self._dim), np.float32), np.zeros(capacity, COLUMNS)
            rows[: len(self._rows)], columns[: len(self._columns)] = self._rows, self._columns
            self._rows, self._columns = rows, columns

    def _put(self, some: Changed) -> None:
        self._rows[some.slots], self._columns[some.slots] = some.vectors, some.columns

    def _leave_files(self) -> None:
        if self._files is not None:
            self._files.close()
            self._files = None
