"""Structured logs: one JSON object a line, without pictures, names, queries or bodies."""

from __future__ import annotations

import json
import logging
import time
import traceback
from typing import Any, TextIO

LOG = logging.getLogger("resight.server")


class Line(logging.Formatter):
    """A record of the log as a line of JSON: time, level, what happened, and the fields given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; of an error its kind and where it was raised, never its message, which may hold names."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["where"] = [f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(record.exc_info[2])]
        return json.dumps(line)


def write_logs(to: TextIO) -> None:
    """Send whatever is logged in this process, and Python's warnings, to a stream as lines of JSON."""
    handler = logging.StreamHandler(to)
    handler.setFormatter(Line())
    logging.basicConfig(handlers=[handler], level="WARNING", force=True)
    logging.captureWarnings(True)
    LOG.setLevel("INFO")
    for name in ("python_multipart", "py.warnings"):  # of what people send
        logging.getLogger(name).setLevel("ERROR")
