"""After an erasure: Milvus rewrites its segments without the deleted records.

Deleting in Milvus hides rows; flush and compaction write segments without them, and the server's garbage collection
removes the old files some time later. ``sweeps/N`` says that event N erased something, until the compaction is done.
"""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable
from pathlib import Path

from resight.errors import ResightError
from resight.gallery.milvus.objects import Objects
from resight.gallery.milvus.table import Table

_LONGEST = 300.0  # seconds for one compaction
_POLL = 0.1
_AGAIN = 10.0  # seconds until another attempt, since servers limit how often one may flush


class Sweeper:
    """One thread that compacts while the gallery is used.

    Args:
        done: the number of the last event.
        tables: what is to be compacted.
    """

    def __init__(self, objects: Objects, done: Callable[[], int], tables: Callable[[], list[Table]]) -> None:
        self._objects, self._done, self._tables = objects, done, tables
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._wanted = False

    def mark(self, number: int) -> None:
        """Note, before anything is deleted, that event ``number`` deletes."""
        self._objects.write(f"sweeps/{number:012d}", b"")

    def pending(self) -> list[str]:
        """Marks of the deletions that are done, but not compacted."""
        past = self._done()
        return [name for name in self._objects.names("sweeps") if int(Path(name).name) <= past]

    def begin(self) -> None:
        """Compact, soon and beside everything else."""
        with self._lock:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="resight-sweeper", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait until Milvus was asked. What it has not done by then is asked for again at the next opening."""
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._thread = None
                    return
                self._wanted = False
            try:
                marks = self.pending()
                if marks and self._sweep():
                    self._objects.remove(marks)
            except ResightError:
                if self._closing.wait(_AGAIN):
                    return
                with self._lock:
                    self._wanted = True

    def _sweep(self) -> bool:
        """Ask for it, and wait until it is done; whether it is, for one who closes waits no longer."""
        jobs = []
        for table in self._tables():
            table.ask("flush")
            jobs.append((table, table.ask("compact")))
        until = clock.monotonic() + _LONGEST
        while any(table.compacting(job) for table, job in jobs):
            if clock.monotonic() > until or self._closing.wait(_POLL):
                return False
        return True
