"""Messages as lines of JSON in a named pipe, while another program reads it."""

from __future__ import annotations

import errno
import os
import select
import time
from pathlib import Path

from resight.errors import DataError
from resight.paths import expanded
from resight.watch.events.event import Seen
from resight.watch.events.sink import TIMEOUT, Undelivered


def is_pipe(path: str) -> bool:
    """Whether a named pipe is at this place."""
    try:
        return Path(expanded(path)).is_fifo()
    except OSError:  # whoever opens it says what is wrong
        return False


class Pipe:
    """One line of JSON for each message. Taken is what the pipe holds; without a reader it takes nothing.

    Nothing waits for a reader but :meth:`send`, and that not for long: to open a pipe would wait until there is one.
    """

    def __init__(self, path: str) -> None:
        self.name = str(Path(expanded(path)).absolute())  # a link such as /dev/fd/63 leads to no name
        self._fd = -1
        if not os.access(self.name, os.W_OK):
            raise DataError(f"{path} cannot be written: give yourself the right, or choose another pipe for --events.")

    def send(self, seen: Seen) -> None:
        """See :class:`~resight.watch.events.sink.Sink`."""
        try:
            if self._fd < 0:
                self._fd = os.open(self.name, os.O_WRONLY | os.O_NONBLOCK)
            self._write((seen.line() + "\n").encode())
        except OSError as error:
            self.close()
            nobody = error.errno in (errno.ENXIO, errno.EPIPE)
            raise Undelivered("no program reads it" if nobody else error.strerror or str(error)) from None
        except Undelivered:
            self.close()
            raise

    def close(self) -> None:
        """Close the pipe."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, line: bytes) -> None:
        """The whole line, as its reader makes room."""
        room, end = select.poll(), time.monotonic() + TIMEOUT
        room.register(self._fd, select.POLLOUT)
        while line:
            if not room.poll(1000 * max(0.0, end - time.monotonic())):
                raise Undelivered(f"its reader takes nothing for {TIMEOUT:.0f} s")
            line = line[os.write(self._fd, line) :]
