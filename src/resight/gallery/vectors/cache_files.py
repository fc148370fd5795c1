"""The two files of the cache, and what makes them of use.

``NAME.vectors`` holds a row of D float32 for each slot: of length one where the metric is cosine, zeros where there is
no record. ``NAME.columns`` holds a header and what filters look at. The header says which gallery this is, and up to
which change of its database the rows are right. Files that are missing, foreign, too short, or older than the last
start of the machine without having been flushed are of no use.

Rows are written with ``pwrite`` and read through a mapping, so that a full disk is an error and not a dead process.

Shape letters: ``S`` slots, ``D`` embedding.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COLUMNS = np.dtype([("camera", "<i4"), ("identity", "<i4"), ("time", "<f8")])  # camera 0: no record
HEADER = struct.Struct("<8s16sIIQQQ32sd?36s")
LEAST, GROWTH = 1024, 1.125  # slots of a file, and by how much it grows
_START = 4096  # where the columns begin
_MAGIC = b"resight1"


class Changed(NamedTuple):
    """Slots (S,) from 0 with their present contents: columns (S,) and vectors (S, D), both zero if nothing."""

    slots: NDArray[np.int64]
    columns: NDArray[np.void]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Header:
    """What is written of the rows: how many slots, as of which change and event, and whether they are on the disk."""

    slots: int = 0
    change: int = 0
    event: int = 0
    digest: bytes = b""
    longest: float = 0.0
    flushed: bool = False


class Files:
    """The open files of one gallery.

    Args:
        database: they are in its folder.
        uuid: which gallery, 32 hex digits; dim: D; unit: whether rows have length one.
        writable: whether they may be made and written.

    Raises:
        OSError: here and everywhere: they cannot be opened or written.
    """

    def __init__(self, database: Path, uuid: str, dim: int, *, unit: bool, writable: bool) -> None:
        self._paths, self._dim, self._writable = paths(database), dim, writable
        self._kind = (_MAGIC, bytes.fromhex(uuid), dim, int(unit))
        self._boot = _boot()
        self._open()

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT if self._writable else os.O_RDONLY
        columns, rows = self._paths
        first = os.open(columns, flags | os.O_CLOEXEC, 0o666)
        try:
            self._second = os.open(rows, flags | os.O_CLOEXEC, 0o666)
        except BaseException:
            os.close(first)
            raise
        self._first = first
        self._close = weakref.finalize(self, _close, first, self._second)  # also where nobody does
        self._close.atexit = False  # threads may still read them
        self._opened = [os.fstat(file).st_ino for file in (self._first, self._second)]
        self._rows: NDArray[np.float32] = np.empty((0, self._dim), np.float32)
        self._columns: NDArray[np.void] = np.empty(0, COLUMNS)

    def close(self) -> None:
        """Close them; the mapping stays as long as it is in use."""
        self._close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process writes here."""
        try:
            fcntl.flock(self._first, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(self._first, fcntl.LOCK_UN)

    def read(self) -> Header | None:
        """The header, or None where the files are of no use; others that have come in their place are opened first."""
        try:
            there = [path.stat().st_ino for path in self._paths]
        except FileNotFoundError:
            there = []
        if there != self._opened:
            close = self._close
            self._open()
            close()
        data = os.pread(self._first, HEADER.size, 0)
        if len(data) < HEADER.size:
            return None
        *kind, slots, change, event, digest, longest, flushed, boot = HEADER.unpack(data)
        if (
            tuple(kind) != self._kind
            or (not flushed and (boot != self._boot or not boot.strip(b"\0")))
            or (slots > len(self._rows) and not self._hold(slots))
        ):
            return None
        return Header(slots, change, event, digest, longest, flushed)

    def _hold(self, slots: int) -> bool:
        columns, rows = (os.fstat(file).st_size for file in (self._first, self._second))
        return columns >= _START + slots * COLUMNS.itemsize and rows >= slots * self._dim * 4

    def write(self, header: Header) -> None:
        """Write the header, after the rows that it describes."""
        known = (header.slots, header.change, header.event, header.digest, header.longest, header.flushed)
        _pwrite(self._first, HEADER.pack(*self._kind, *known, self._boot), 0)

    def grow(self, slots: int) -> None:
        """Have room for so many."""
        for file, start, width in ((self._first, _START, COLUMNS.itemsize), (self._second, 0, 4 * self._dim)):
            if os.fstat(file).st_size < start + slots * width:
                os.ftruncate(file, start + max(int(slots * GROWTH), LEAST) * width)

    def put(self, some: Changed) -> None:
        """Write rows and columns where there is room for them."""
        ends = np.flatnonzero(np.diff(some.slots, append=-2) != 1) + 1
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            first = int(some.slots[start])
            columns, vectors = some.columns[start:end], np.ascontiguousarray(some.vectors[start:end], "<f4")
            _pwrite(self._second, vectors.tobytes(), first * 4 * self._dim)
            _pwrite(self._first, columns.tobytes(), _START + first * COLUMNS.itemsize)

    def map(self, slots: int) -> tuple[NDArray[np.float32], NDArray[np.void]]:
        """The rows and columns of at least so many slots."""
        if slots > len(self._rows):
            there = os.fstat(self._second).st_size // (4 * self._dim)
            there = min(there, (os.fstat(self._first).st_size - _START) // COLUMNS.itemsize)
            columns, rows = (mmap.mmap(file, 0, access=mmap.ACCESS_READ) for file in (self._first, self._second))
            self._rows = np.frombuffer(rows, "<f4", there * self._dim).reshape(there, self._dim)
            self._columns = np.frombuffer(columns, COLUMNS, there, _START)
        return self._rows, self._columns

    def flush(self) -> None:
        """Have them on the disk."""
        with self.alone():
            header = self.read()
            if header is not None and not header.flushed:
                os.fsync(self._second)
                os.fsync(self._first)
                self.write(replace(header, flushed=True))
                os.fsync(self._first)


def paths(database: Path) -> tuple[Path, Path]:
    """The files of columns and of rows."""
    return Path(f"{database}.columns"), Path(f"{database}.vectors")


def owner(database: Path) -> str:
    """The number of the gallery whose columns lie beside a database's path, 32 hex digits; "" where there are none."""
    try:
        with paths(database)[0].open("rb") as file:
            data = file.read(24)
    except OSError:
        return ""
    return data[8:].hex() if data[:8] == _MAGIC else ""


def _close(*files: int) -> None:
    for file in files:
        os.close(file)


def _pwrite(file: int, data: bytes, at: int) -> None:
    left = memoryview(data)
    while left:
        done = os.pwrite(file, left, at)
        left, at = left[done:], at + done


def _boot() -> bytes:
    """The number of this start of the machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()[:36]
    except OSError:
        return b""
