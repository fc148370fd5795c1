"""The vectors of a gallery as one array, memory-mapped from two files beside the database, never trusted over it.

``NAME.vectors`` holds a row of D float32 for each slot (of length one where the metric is cosine, zeros where there is
no record), ``NAME.columns`` a header and what filters look at. The header says which gallery this is and up to which
change of the database the rows are right; whoever searches first looks whether the database has moved on, and writes
what has changed since, under a lock that all processes share. A row may be newer than the header says, never older;
:mod:`resight.gallery.finding` copes with that. Files that are missing, foreign, torn, of another past (the database
came from a backup) or older than the last start of the machine without having been flushed are written anew. Where
nothing can be written, all of it is held in memory.

Rows are written with ``pwrite`` and read through the mapping, so that a full disk is an error and not a dead process.

Shape letters: ``S`` slots, ``D`` embedding.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COLUMNS = np.dtype([("camera", "<i4"), ("identity", "<i4"), ("time", "<f8")])  # camera 0: no record
_HEADER = struct.Struct("<8s16sIIQQQ32sd?36s")
_START = 4096  # where the columns begin
_MAGIC = b"resight1"
_LEAST, _GROWTH = 1024, 1.125  # slots of a file, and by how much it grows


class Changed(NamedTuple):
    """Slots (S,) from 0 with what stands in them now: their columns (S,) and vectors (S, D), both zero if nothing."""

    slots: NDArray[np.int64]
    columns: NDArray[np.void]
    vectors: NDArray[np.float32]


class Source(NamedTuple):
    """One state of the database.

    Attributes:
        change, slots: the number of its last change, and how many slots it has.
        event, digest: the last event of its log: its number, and its digest (32 bytes), which stands for all its past.
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
    """

    rows: NDArray[np.float32]
    columns: NDArray[np.void]
    live: NDArray[np.bool_] | None
    change: int
    longest: float

    @property
    def slots(self) -> int:
        """S."""
        return len(self.rows)


@dataclass(frozen=True)
class Header:
    """What is written of the rows: how many slots, as of which change and event, and whether they are on the disk."""

    slots: int = 0
    change: int = 0
    event: int = 0
    digest: bytes = b""
    longest: float = 0.0
    flushed: bool = False


class Cache:
    """The vectors of one gallery.

    Args:
        database: its path; the files stand beside it. None to hold everything in memory.
        uuid: which gallery, 32 hex digits; dim: D; unit: whether rows are scaled to length one.
        writable: whether the files may be written.
    """

    def __init__(self, database: Path | None, uuid: str, dim: int, *, unit: bool, writable: bool) -> None:
        self._uuid, self._dim, self._unit = bytes.fromhex(uuid), dim, unit
        self._lock = threading.RLock()
        self._files: tuple[int, int] | None = None  # of the columns and of the rows
        self._writable = writable
        self._rows: NDArray[np.float32] = np.empty((0, dim), np.float32)
        self._columns: NDArray[np.void] = np.empty(0, COLUMNS)
        self._known = Header()
        self._live: NDArray[np.bool_] | None = None
        self._live_at = (0, 0)
        self._boot = _boot()
        self._database = database
        self._paths = () if database is None else paths(database)
        self._trusted = (0, b"")
        if database is not None:
            with suppress(OSError):
                self._files = _opened(database, writable)

    @property
    def in_memory(self) -> bool:
        """Whether this process holds all rows by itself."""
        return self._files is None

    def view(self, source: Source, most: int, seen: Header | None = None) -> View | Header:
        """The rows, right up to the source's change where they can be written.

        Where they cannot, they may be older by up to ``most`` changed slots; if by more, they are held in memory.

        Args:
            source: a state of the database.
            most: as said.
            seen: what the last call returned, if it was a header.

        Returns:
            A header where the rows are newer than the source: look at a newer state of the database, and call again.
            Should that not know of the same header either, it has another past, and the rows are written anew.
        """
        with self._lock:
            if self._files is not None:
                try:
                    return self._from_files(source, most, seen)
                except OSError:  # a full disk
                    self._leave_files()
            return self._from_memory(source, seen)

    def peek(self) -> View | None:
        """The rows as they are now, however old; None where this process does not know yet what they are."""
        with self._lock:
            header: Header | None = self._known
            if self._files is not None:
                try:
                    self._reopen()
                    header = self._read()
                except OSError:
                    return None
            if header is None or not header.change or self._trusted != (header.event, header.digest):
                return None
            self._map(header.slots)
            return self._view(header)

    def differing(self, source: Source) -> int:
        """How many rows are not what the database says, where both are of one state and in files."""
        with self._lock:
            header = self._read() if self._files is not None else None
            if header is None or header.change != source.change or not source.knows(header.event, header.digest):
                return 0
            self._map(header.slots)
            view, wrong = self._view(header), 0
        for some in source.since(0, 0):
            vectors = self._scaled(some.vectors)
            there = view.rows[some.slots], view.columns[some.slots]
            wrong += int(((there[0] != vectors).any(axis=1) | (there[1].view("V16") != some.columns.view("V16"))).sum())
        return wrong

    def forget(self) -> None:
        """Trust nothing that is there."""
        with self._lock:
            self._known, self._trusted = Header(), (0, b"")
            self._rows, self._columns = self._rows[:0], self._columns[:0]
            if self._files is not None and self._writable:
                with self._alone():
                    self._write(Header())

    def flush(self) -> None:
        """Have the files on the disk; those that cannot be written, or not any more, are taken away.

        Raises:
            OSError: they cannot be taken away either.
        """
        with self._lock:
            if not self._writable or self._database is None:
                return
            if self._files is not None:
                try:
                    self._have_on_disk(self._files)
                    return
                except OSError:  # a full disk
                    self._leave_files()
            for path in paths(self._database):
                path.unlink(missing_ok=True)

    def _have_on_disk(self, files: tuple[int, int]) -> None:
        with self._alone():
            header = self._read()
            if header is not None and not header.flushed:
                for file in reversed(files):
                    os.fsync(file)
                self._write(replace(header, flushed=True))
                os.fsync(files[0])

    def close(self) -> None:
        """Let go of the files; a second time does nothing."""
        with self._lock:
            self._leave_files()
            self._rows, self._columns = self._rows[:0], self._columns[:0]
            self._known = Header()

    def _from_memory(self, source: Source, seen: Header | None) -> View | Header:
        if self._ahead(self._known, source):
            if self._known != seen:
                return self._known
            self.forget()
        self._catch_up(self._known, source, self._put_in_memory, self._grow_memory)
        return self._view(self._known)

    def _from_files(self, source: Source, most: int, seen: Header | None) -> View | Header:
        self._reopen()
        header = self._read()
        if header is not None and self._ahead(header, source):
            if header != seen:
                return header
            self.forget()
            header = None
        if self._writable and (header is None or header.change < source.change):
            with self._alone():
                header = self._read() or Header()  # somebody else may have been here
                if self._ahead(header, source):
                    return header
                if header.change < source.change:
                    self._write(replace(header, flushed=False))
                    header = self._catch_up(header, source, self._put_in_files, self._grow_files)
                    self._write(header)
        elif not self._writable and (header is None or source.behind(header.change, header.slots) > most):
            self._to_memory(header)
            return self._from_memory(source, seen)
        assert header is not None
        self._map(header.slots)
        return self._view(header)

    def _ahead(self, header: Header, source: Source) -> bool:
        """Whether the rows are newer than the source, or of a past that is not its own."""
        known = header.event, header.digest
        if not header.change or (header.change <= source.change and self._trusted == known):
            return False
        if header.change > source.change or not source.knows(*known):
            return True
        self._trusted = known
        return False

    def _reopen(self) -> None:
        """Open the files again if somebody has taken them away and put others there."""
        assert self._files is not None
        assert self._database is not None
        try:
            there = [path.stat().st_ino for path in self._paths]
        except FileNotFoundError:
            there = []
        if there != [os.fstat(file).st_ino for file in self._files]:
            self._leave_files()
            self._files = _opened(self._database, self._writable)

    def _view(self, header: Header) -> View:
        if self._live_at != (header.change, header.slots):
            live = self._columns["camera"][: header.slots] > 0
            self._live, self._live_at = None if live.all() else live, (header.change, header.slots)
        rows, columns = self._rows[: header.slots], self._columns[: header.slots]
        return View(rows, columns, self._live, header.change, header.longest)

    def _catch_up(
        self, header: Header, source: Source, put: Callable[[Changed], None], grow: Callable[[int], None]
    ) -> Header:
        """Write what has changed since the header; it is known of from then on."""
        if header.change < source.change:
            grow(source.slots)
            longest = header.longest
            for some in source.since(header.change, header.slots):
                scaled = self._scaled(some.vectors)
                longest = max(longest, float(np.vecdot(scaled, scaled, dtype=np.float64).max(initial=0.0)))
                put(some._replace(vectors=scaled))
            header = Header(source.slots, source.change, source.event, source.digest, longest)
            self._trusted = header.event, header.digest
        self._known = header
        return header

    def _scaled(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._unit:
            return vectors
        wide = vectors.astype(np.float64)
        squares = np.vecdot(wide, wide)
        wide /= np.sqrt(np.where(squares > 0, squares, 1.0))[:, None]
        return wide.astype(np.float32)

    # In memory

    def _grow_memory(self, slots: int) -> None:
        if slots > len(self._rows):
            capacity = max(int(slots * _GROWTH), _LEAST)
            rows, columns = np.zeros((capacity, self._dim), np.float32), np.zeros(capacity, COLUMNS)
            rows[: len(self._rows)], columns[: len(self._columns)] = self._rows, self._columns
            self._rows, self._columns = rows, columns

    def _put_in_memory(self, some: Changed) -> None:
        self._rows[some.slots], self._columns[some.slots] = some.vectors, some.columns

    def _to_memory(self, header: Header | None) -> None:
        """A copy of the files, as far as they are right."""
        if header is not None:
            self._map(header.slots)
            self._rows, self._columns = np.array(self._rows), np.array(self._columns)
        self._known = header or Header()
        self._leave_files(keep=header is not None)

    def _leave_files(self, *, keep: bool = False) -> None:
        for file in self._files or ():
            os.close(file)
        if self._files is not None and not keep:
            self._rows, self._columns = np.empty((0, self._dim), np.float32), np.empty(0, COLUMNS)
            self._known = Header()
        self._files = None

    # In files

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process writes here."""
        assert self._files is not None
        fcntl.flock(self._files[0], fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._files[0], fcntl.LOCK_UN)

    def _read(self) -> Header | None:
        """The header, or None where the files are of no use."""
        assert self._files is not None
        data = os.pread(self._files[0], _HEADER.size, 0)
        if len(data) < _HEADER.size:
            return None
        magic, uuid, dim, unit, slots, change, event, digest, longest, flushed, boot = _HEADER.unpack(data)
        if (
            (magic, uuid, dim, unit) != (_MAGIC, self._uuid, self._dim, int(self._unit))
            or (not flushed and (boot != self._boot or not boot.strip(b"\0")))
            or (slots > len(self._rows) and not self._hold(slots))
        ):
            return None
        return Header(slots, change, event, digest, longest, flushed)

    def _hold(self, slots: int) -> bool:
        """Whether the files are long enough for so many."""
        assert self._files is not None
        columns, rows = (os.fstat(file).st_size for file in self._files)
        return columns >= _START + slots * COLUMNS.itemsize and rows >= slots * self._dim * 4

    def _write(self, header: Header) -> None:
        assert self._files is not None
        known = (header.slots, header.change, header.event, header.digest, header.longest, header.flushed)
        data = _HEADER.pack(_MAGIC, self._uuid, self._dim, int(self._unit), *known, self._boot)
        _pwrite(self._files[0], data, 0)

    def _grow_files(self, slots: int) -> None:
        assert self._files is not None
        for file, start, width in zip(self._files, (_START, 0), (COLUMNS.itemsize, 4 * self._dim), strict=True):
            if os.fstat(file).st_size < start + slots * width:
                os.ftruncate(file, start + max(int(slots * _GROWTH), _LEAST) * width)

    def _put_in_files(self, some: Changed) -> None:
        assert self._files is not None
        ends = np.flatnonzero(np.diff(some.slots, append=-2) != 1) + 1
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            first = int(some.slots[start])
            columns, vectors = some.columns[start:end], np.ascontiguousarray(some.vectors[start:end], "<f4")
            _pwrite(self._files[1], vectors.tobytes(), first * 4 * self._dim)
            _pwrite(self._files[0], columns.tobytes(), _START + first * COLUMNS.itemsize)

    def _map(self, slots: int) -> None:
        """Have at least so many slots mapped."""
        if self._files is None or slots <= len(self._rows):
            return
        there = os.fstat(self._files[1]).st_size // (4 * self._dim)
        there = min(there, (os.fstat(self._files[0]).st_size - _START) // COLUMNS.itemsize)
        columns, rows = (mmap.mmap(file, 0, access=mmap.ACCESS_READ) for file in self._files)
        self._rows = np.frombuffer(rows, "<f4", there * self._dim).reshape(there, self._dim)
        self._columns = np.frombuffer(columns, COLUMNS, there, _START)


def paths(database: Path) -> tuple[Path, Path]:
    """The files of columns and of rows."""
    return Path(f"{database}.columns"), Path(f"{database}.vectors")


def _opened(database: Path, writable: bool) -> tuple[int, int]:
    flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
    columns, rows = paths(database)
    first = os.open(columns, flags | os.O_CLOEXEC, 0o666)
    try:
        return first, os.open(rows, flags | os.O_CLOEXEC, 0o666)
    except BaseException:
        os.close(first)
        raise


def _pwrite(file: int, data: bytes, at: int) -> None:
    left = memoryview(data)
    while left:
        done = os.pwrite(file, left, at)
        left, at = left[done:], at + done


def _boot() -> bytes:
    """What tells one start of the machine from another; empty where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()[:36]
    except OSError:
        return b""
