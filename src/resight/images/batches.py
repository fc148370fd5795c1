"""Batches prepared ahead of time, so that whoever computes never waits for whoever reads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_END = object()


def prefetch(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """Run ``items`` in a thread of its own, up to ``depth`` ahead; its errors are raised here, in order.

    The thread ends when the iterator is exhausted, fails, or is closed.
    """
    ready: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: object) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
            put(_END)
        except BaseException as error:
            put((None, error))

    thread = threading.Thread(target=work, name="resight-prefetch", daemon=True)
    thread.start()
    try:
        while (got := ready.get()) is not _END:
            item, error = got  # type: ignore[misc]
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
