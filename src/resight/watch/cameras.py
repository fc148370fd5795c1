"""Live cameras: each is read by a thread of its own, and the newest frames win.

A camera that sends nothing for some seconds, or whose connection ends, is opened again, after longer and longer pauses.
No camera waits for another one, nor for the detector.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing

from resight.counted import counted
from resight.errors import DataError
from resight.images.film import SILENCE, Film, shown_address
from resight.watch.source import Frame, is_endless

WAITING = 8  # frames of a camera that wait for the detector; older ones are left out
PAUSE, LONGEST = 1.0, 60.0  # seconds before a lost camera is opened again: the first time, and at most

Say = Callable[[str], None]


class Camera:
    """A live camera, which is read from :meth:`start` to :meth:`close`.

    Args:
        source: its number or address; ``name``: what messages call it.
        every: only every ``every``-th frame counts; ``rate``: at most so many frames a second, 0 for all.
        say: called, from the camera's thread, with a sentence when it is lost and when it is back.
        wake: called, from the camera's thread, whenever there is something new.

    Attributes:
        name: what messages call it.
        read: how many frames came; ``skipped``: how many of them ``every`` and ``rate`` left out.
        dropped: how many frames were left out, because newer ones came before they were taken.
        losses: how often it was lost.
        ended: whether no frame will come any more.
    """

    def __init__(
        self,
        source: str,
        name: str = "",
        *,
        every: int = 1,
        rate: float = 0.0,
        say: Say = lambda _: None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.source, self.shown = source, shown_address(source)
        self.name = name or self.shown
        self.read = self.skipped = self.dropped = self.losses = 0
        self.ended = False
        self._every, self._say, self._wake = every, say, wake
        self._pause, self._due = 1 / rate if rate else 0.0, 0.0
        self._error: DataError | None = None
        self._opened = threading.Event()  # or failed to
        self._waiting: deque[Frame] = deque()
        self._number = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resight-camera", daemon=True)

    def start(self) -> Camera:
        """Begin to read."""
        self._thread.start()
        return self

    def check(self) -> None:
        """Wait until it answers.

        Raises:
            DataError: it does not.
        """
        self._opened.wait()
        if self._error is not None and self.ended and not self._number:
            raise self._error

    def take(self, most: int = WAITING) -> list[Frame]:
        """The frames that wait, up to ``most``, the oldest first."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def close(self) -> None:
        """Stop reading; a thread that waits for the network ends within ``SILENCE`` seconds by itself."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(0.2)

    def trouble(self) -> str:
        """A message about frames that were left out and connections that were lost; "" where there are none."""
        parts = [
            f"{self.dropped:,} of {self.read - self.skipped:,} frames were left out, as the detector was slower"
            if self.dropped
            else "",
            f"the connection was lost {counted(self.losses, 'time')}" if self.losses else "",
        ]
        return f"camera {self.name}: {' and '.join(filter(None, parts))}." if any(parts) else ""

    def _run(self) -> None:
        pause = PAUSE
        while not self._over.is_set():
            before = self._number
            film = self._connect()
            if film is None and not self._opened.is_set():
                break
            if film is not None:
                self._opened.set()
                reason = self._read(film)
                if self._over.is_set() or not is_endless(film, self.source):
                    break
                self.losses += 1
                self._say(f"camera {self.name}: {reason} after {self._number:,} frames; it is opened again.")
            pause = PAUSE if self._number > before else min(2 * pause, LONGEST)
            self._over.wait(pause)
        self.ended = True
        self._opened.set()
        self._wake()

    def _connect(self) -> Film | None:
        try:
            return Film(self.source)
        except DataError as error:
            self._error = error
            return None

    def _read(self, film: Film) -> str:
        """Take in frames until the camera is lost, and say why it is."""
        last, first = time.monotonic(), True
        with closing(film):
            for still in film:
                if self._over.is_set():
                    break
                last = time.monotonic()
                if self.losses and first:
                    self._say(f"camera {self.name}: it is back.")
                first = False
                self.read += 1
                if self._number % self._every == 0 and self._is_due(last):
                    self._put(Frame(self.shown, self._number, time.time(), still.pixels()))
                else:
                    self.skipped += 1
                self._number += 1
        silent = time.monotonic() - last > 0.9 * SILENCE
        return f"no frame for {SILENCE:.0f} s" if silent else "the connection was lost"

    def _is_due(self, now: float) -> bool:
        """Whether a frame at this time keeps within the rate, on average and not much later than it should."""
        if now < self._due:
            return False
        self._due = max(self._due + self._pause, now)
        return True

    def _put(self, frame: Frame) -> None:
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(frame)
        self._wake()
