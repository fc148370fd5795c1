"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

from resight.errors import DataError, ResightError


def expanded(path: str | os.PathLike[str]) -> str:
    """A path with ``~`` or ``~name`` at its beginning replaced by that home, where there is one."""
    return os.path.expanduser(path)  # noqa: PTH111 - pathlib's raises where there is none


def reachable(path: str | os.PathLike[str], kind: type[ResightError] = DataError) -> str:
    """As :func:`expanded`, of a path that may be looked at, whether there is something or not.

    Raises:
        ResightError: of this ``kind``: it is in a folder that may not be entered, or too long.
    """
    found = expanded(path)
    try:
        Path(found).stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte; who opens it says so
        pass
    except OSError as error:
        raise kind(no_way(found, error)) from None
    return found


def no_way(path: object, error: OSError) -> str:
    """The sentence for a path that may not be looked at."""
    return f"{path} cannot be looked at ({error.strerror}): check the path and the rights."
