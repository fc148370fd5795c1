"""Who is on an image and which camera took it, read from where the image lies and what it is called."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, RecipeError
from resight.records import DISTRACTOR, JUNK

_NUMBERED = re.compile(r"(?:camera|cam|c)?-?(\d{1,9})(?:s\d+)?", re.IGNORECASE)


def from_folders(names: Sequence[str]) -> tuple[list[str], list[str | None]]:
    """The identity and camera of each ``<identity>/<camera>_*.jpg``.

    The camera is what stands before the first ``_``, or None where there is no ``_``. Where every file repeats its
    identity first (``0002/0002_c1s1_000451_03.jpg``), that is passed over.

    Raises:
        DataError: a file lies in no identity's folder, or deeper than it.
    """
    identities, files = [], []
    for name in names:
        parts = name.split("/")
        if len(parts) < 2:
            raise DataError(
                f"{name} lies in no identity's folder: move it to <identity>/<camera>_*.jpg, "
                r"or pass a pattern such as '(?P<identity>\d+)_c(?P<camera>\d+)'."
            )
        if len(parts) > 2:
            raise DataError(
                f"{name} lies {len(parts) - 1} folders deep where <identity>/<camera>_*.jpg is read: "
                "pass a pattern such as '(?P<identity>[^/]+)/(?P<camera>[^/]+)/[^/]+$'."
            )
        identities.append(parts[0])
        files.append(parts[1].rpartition(".")[0])
    prefixes = [f"{identity}_" for identity in identities]
    if all(file.startswith(prefix) for file, prefix in zip(files, prefixes, strict=True)):
        files = [file[len(prefix) :] for file, prefix in zip(files, prefixes, strict=True)]
    return identities, [file.partition("_")[0] or None if "_" in file else None for file in files]


def from_pattern(names: Sequence[str], pattern: str) -> tuple[list[str], list[str | None]]:
    """The identity and camera that the named groups of ``pattern`` find in each name; camera is None without one.

    Raises:
        RecipeError: no regular expression, or one without a group called identity.
        DataError: some names do not match.
    """
    try:
        search = re.compile(pattern)
    except re.error as error:
        raise RecipeError(f"The pattern {pattern!r} is no regular expression ({error}): correct it.") from None
    if "identity" not in search.groupindex:
        raise RecipeError(
            f"The pattern {pattern!r} has no group called identity: write one, as in '(?P<identity>[^_]+)_'."
        )
    found = [search.search(name) for name in names]
    missed = [name for name, match in zip(names, found, strict=True) if match is None or not match["identity"]]
    if missed:
        raise DataError(
            f"The pattern {pattern!r} does not fit {len(missed)} of {len(names)} images, first {missed[0]}: "
            "widen it or take those images out."
        )
    groups = [match.groupdict() for match in found if match is not None]
    return [str(group["identity"]) for group in groups], [group.get("camera") or None for group in groups]


def number_identities(names: Sequence[str]) -> NDArray[np.int64]:
    """Identities 1, 2, ... (N,) for ``names`` in sorted order.

    ``-1`` is junk as in Market-1501, and beside it a name of nothing but zeros is a distractor.
    """
    known = set(names)
    special = {"-1": JUNK}
    if "-1" in known:
        special |= {name: DISTRACTOR for name in known if not name.strip("0")}
    numbers = {name: number for number, name in enumerate(sorted(known - special.keys()), start=1)} | special
    return np.array([numbers[name] for name in names], dtype=np.int64)


def number_cameras(names: Sequence[str]) -> NDArray[np.int64]:
    """Camera numbers (N,): their own where all are like ``3``, ``c3``, ``c3s1``, ``cam03``; else 1, 2, ... sorted."""
    known = sorted(set(names))
    matches = {name: _NUMBERED.fullmatch(name) for name in known}
    numbers = {name: int(match[1]) for name, match in matches.items() if match is not None}
    if len(numbers) < len(known):
        numbers = {name: number for number, name in enumerate(known, start=1)}
    return np.array([numbers[name] for name in names], dtype=np.int64)
