"""Many texts as one array, such as the paths of a million images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OBJECT = 64  # bytes of a str without its characters, and of what points to it


def texts(values: Sequence[str]) -> NDArray[Any]:
    """(N,) texts; objects (str) where the longest would make the width of all the others a waste."""
    longest, total = max(map(len, values), default=0), sum(map(len, values))
    wasteful = 4 * longest * len(values) > 8 * (total + _OBJECT * len(values))
    if not wasteful:
        return np.array(values, np.str_)
    found = np.empty(len(values), object)
    found[:] = [str(value) for value in values]
    return found


def packed(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Texts without NUL, which no path has, as bytes."""
    return np.frombuffer("\0".join(values.tolist()).encode("utf-8", "surrogateescape"), np.uint8)


def unpacked(data: NDArray[np.uint8]) -> NDArray[Any]:
    """What :func:`packed` made bytes of; one text or more."""
    return texts(data.tobytes().decode("utf-8", "surrogateescape").split("\0"))
