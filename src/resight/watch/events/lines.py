"""Messages as lines of JSON, in a file or on standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from resight.beginnings import is_binary
from resight.errors import DataError
from resight.paths import expanded
from resight.watch.events.event import Seen
from resight.watch.events.sink import Undelivered


class Lines:
    """One line of JSON for each message, at the end of a file or on standard output."""

    def __init__(self, path: str) -> None:
        self.name = path if path == "-" else str(Path(expanded(path)).resolve())
        if path != "-" and is_binary(self.name):
            raise DataError(f"{path} is there and is no text: choose another file for --events.")
        try:
            self._file = sys.stdout if path == "-" else open(self.name, "a", encoding="utf-8")  # noqa: SIM115, PTH123
        except OSError as error:
            raise DataError(f"{path} cannot be written ({error.strerror}): choose another file for --events.") from None
        self._kept = path != "-" and Path(self.name).is_file()  # a device such as /dev/null has nothing to sync

    def send(self, seen: Seen) -> None:
        """See :class:`~resight.watch.events.sink.Sink`."""
        try:
            self._file.write(seen.line() + "\n")
            self._file.flush()
            if self._kept:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise Undelivered(error.strerror or str(error)) from None
        except ValueError as error:  # it was closed, or has an encoding without these letters
            raise Undelivered(str(error)) from None

    def close(self) -> None:
        """Close the file."""
        if self.name != "-":
            self._file.close()
