"""Sends the messages of an outbox: a thread for each sink, in order, again and again until each was taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from resight.errors import RecipeError, ResightError
from resight.gallery.gallery import Gallery
from resight.gallery.record import Missing
from resight.watch.events.event import seen_event
from resight.watch.events.outbox import Outbox
from resight.watch.events.sink import Sink
from resight.watch.events.sinks import open_sink

PAUSE, LONGEST = 1.0, 60.0  # seconds before a sink that failed is tried again: the first time, and at most
PAGE = 1000  # tracks of one source that began and ended together, at most
GRACE = 10.0  # seconds that closing waits for what can still be sent


class Delivery:
    """Messages about the tracks of a gallery on their way to some sinks, each at least once.

    A track's message is durable when :meth:`add` returns, and is sent once the track has a name. A program that is
    killed between :meth:`expect` and :meth:`add` loses none: the next one looks whether the track is there.

    Args:
        gallery: holds the tracks.
        addresses: of the sinks, see :func:`~resight.watch.events.sinks.open_sink`.
        outbox: the file of what waits; for a gallery in a file it is beside that if not given.
        say: called, from any thread, with a sentence when a sink fails and when it is back.

    Raises:
        RecipeError: one sink twice, or no outbox for a gallery that is not in a file.
        DataError: a sink that cannot be opened.
        ResightError: an outbox that cannot be written.
    """

    def __init__(
        self,
        gallery: Gallery,
        addresses: Sequence[str],
        outbox: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._gallery, self._say = gallery, say
        self._closing, self._give_up = threading.Event(), float("inf")
        self.outbox = Outbox(outbox or outbox_of(gallery))
        self._lanes: list[_Lane] = []
        try:
            for address in addresses:
                sink = open_sink(address)
                self._lanes.append(_Lane(sink, self))
            names = [lane.sink.name for lane in self._lanes]
            if len(set(names)) < len(names):
                raise RecipeError("--events has the same sink twice: pass each once.")
            for source in self.outbox.expected():  # a program was killed before it said whether they were added
                there = gallery.newest(limit=PAGE, source=source)
                self.add([record.id for record in there if record.source == source], source)
        except BaseException:
            for lane in self._lanes:
                lane.sink.close()
            self.outbox.close()
            raise
        for lane in self._lanes:
            lane.thread.start()

    def expect(self, source: str) -> None:
        """A track from this source is about to be added to the gallery; :meth:`add` says what came of it."""
        self.outbox.expect(source)

    def add(self, records: Sequence[str], source: str = "") -> None:
        """Tracks are new in the gallery, from the source that was expected: there will be a message about each."""
        self.outbox.put([lane.sink.name for lane in self._lanes], records, source)

    def wake(self) -> None:
        """Some tracks have got their names."""
        for lane in self._lanes:
            lane.wake.set()

    def close(self, grace: float | None = None) -> dict[str, int]:
        """Send what can be sent within ``grace`` seconds (default 10); how many messages still wait for each sink."""
        self._give_up = time.monotonic() + (GRACE if grace is None else grace)
        self._closing.set()
        self.wake()
        for lane in self._lanes:
            lane.thread.join()
            lane.sink.close()
        left = self.outbox.counts()
        self.outbox.close()
        return left

    def _run(self, lane: _Lane) -> None:
        pause = PAUSE
        while True:
            lane.wake.clear()
            closing = self._closing.is_set()
            try:
                self._send_all(lane)
                if lane.failing:
                    self._say(f"events to {lane.sink.name}: they are taken again.")
                lane.failing, pause = False, PAUSE
                if closing:
                    return
                lane.wake.wait()
            except ResightError as error:
                if not lane.failing:
                    self._say(f"events to {lane.sink.name} wait in {self.outbox.path}: {str(error).rstrip('.')}.")
                lane.failing = True
                left = self._give_up - time.monotonic()
                if left <= 0:
                    return
                self._closing.wait(min(pause, left)) if not closing else time.sleep(min(PAUSE, left))
                pause = min(2 * pause, LONGEST)

    def _send_all(self, lane: _Lane) -> None:
        """Send what waits and has a name.

        Raises:
            Undelivered: the sink does not take it.
        """
        after = 0
        while rows := self.outbox.waiting(lane.sink.name, after):
            for number, record in rows:
                after = number
                try:
                    seen = seen_event(self._gallery, self._gallery.get([record])[0])
                except Missing:  # erased
                    self.outbox.done(number)
                    continue
                if seen is not None:
                    lane.sink.send(seen)
                    self.outbox.done(number)


class _Lane:
    def __init__(self, sink: Sink, delivery: Delivery) -> None:
        self.sink = sink
        self.wake = threading.Event()
        self.failing = False
        self.thread = threading.Thread(target=delivery._run, args=(self,), name="resight-events", daemon=True)


def outbox_of(gallery: Gallery) -> Path:
    """``seen.outbox.db`` beside ``seen.db``.

    Raises:
        RecipeError: the gallery is not in a file.
    """
    where = gallery.uri.partition("sqlite:///")[2]
    if not where:
        raise RecipeError(f"{gallery.uri} is no file: name the file for events that wait (--outbox FILE).")
    return Path(where).with_suffix(".outbox.db")
