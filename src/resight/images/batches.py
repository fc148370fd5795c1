"""Batches prepared in advance, so that computing never waits for reading."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass
class _End:
    error: BaseException | None = None


def prefetch(items: Iterable[Item], depth: int = 2) -> Generator[Item, None, None]:
    """Run ``items`` in a thread of its own, up to ``depth`` ahead; its errors are raised here, in order.

    When the iterator is exhausted, fails or is closed, the thread has ended and ``items`` are closed.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: Item | _End) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        end = _End()
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
        except BaseException as error:
            end.error = error
        finally:
            if isinstance(items, Generator):
                items.close()
        put(end)

    thread = threading.Thread(target=work, name="resight-prefetch", daemon=True)
    thread.start()
    try:
        while not isinstance(got := ready.get(), _End):
            yield got
        if got.error is not None:
            raise got.error
    finally:
        stopped.set()
        thread.join()  # one that still decodes when Python ends would take the whole process down
