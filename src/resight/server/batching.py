"""Work of many threads, done together: pictures through the model, queries through the search."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from resight.server.refusals import Refused

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """A function of many items that many threads call with a few each.

    While it works on some items, those that come gather, and are the next ones: under load batches fill, and without
    load no request is delayed to fill a batch.

    Args:
        work: what is done with a batch: a result for each item, in order, or the error that its caller gets.
        size: how many items at once.
        queue: how many may wait; one more is refused.
        name: of its thread.
    """

    def __init__(
        self, work: Callable[[list[Item]], Sequence[Result | Exception]], size: int, queue: int, name: str
    ) -> None:
        self._work, self._size, self._queue = work, size, queue
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """The results of some items, in order; they wait for their turn.

        Raises:
            Refused: too many wait (503), and none of these was accepted.
            Exception: whatever the work raised.
        """
        futures: list[Future[Result]] = [Future() for _ in items]
        with self._changed:
            if self._closed:
                raise Refused(503, "The service is stopping: try again in a moment.", 5)
            if len(self._waiting) + len(items) > self._queue:
                raise Refused(503, "Too many requests wait for their turn: try again in a moment.", 1)
            self._waiting.extend(zip(items, futures, strict=True))
            self._changed.notify()
        return [future.result() for future in futures]

    def close(self) -> None:
        """Finish what was accepted, and take no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                batch = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            if not batch:
                return
            try:
                results = self._work([item for item, _ in batch])
                for (_, future), result in zip(batch, results, strict=True):
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
            except BaseException as error:  # the callers get it, and the thread goes on
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
