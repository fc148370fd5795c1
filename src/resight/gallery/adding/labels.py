"""What is known of pictures or vectors that are added, one value for all or one for each, made into records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.gallery.record import DAY, Box, Policy, Record, camera_name, moment, person_name
from resight.labels import MISSING, is_missing
from resight.secrets import without_secrets

_EACH = ("cameras", "times", "identities", "sources", "boxes")


@dataclass(frozen=True)
class Labels:
    """Each field is one value for all, or a sequence with one for each (boxes and sources: a sequence or None).

    A column of pandas counts by position. An identity that is None, NaN or pandas' NA is unknown.
    """

    cameras: Any = ""
    times: Any = None
    identities: Any = None
    sources: Any = None
    boxes: Any = None
    basis: str = ""
    expires: float | None = None
    _many: frozenset[str] = field(init=False, default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        many = frozenset(name for name in _EACH if _several(getattr(self, name)))
        object.__setattr__(self, "_many", many)
        for name in many:
            value = getattr(self, name)
            if hasattr(value, "__array__"):
                object.__setattr__(self, name, np.asarray(value))

    def check(self, count: int | None) -> None:
        """Refuse sequences that do not have ``count`` entries; None where their number is unknown.

        Raises:
            DataError: a wrong length, or a basis that is no text.
        """
        for name in _EACH:
            value = getattr(self, name)
            if name not in self._many:
                if name in ("sources", "boxes") and value is not None:
                    raise DataError(f"{name} must be a sequence with one entry per picture, or None.")
            elif count is None:
                raise DataError(f"The pictures come from an iterator, so {name} cannot be a sequence: pass a list.")
            elif len(value) != count:
                raise DataError(
                    f"There are {len(value)} {name} for {count} pictures: pass one for each, or one for all."
                )
        if not isinstance(self.basis, str) or "\0" in self.basis or not _is_unicode(self.basis):
            raise DataError(f"The basis is {self.basis!r}: pass text.")
        moment(self.expires, "expires")

    def with_cameras(self, cameras: NDArray[np.int64] | None) -> Labels:
        """The same with these cameras, where none were given."""
        if cameras is None or not (isinstance(self.cameras, str) and self.cameras == ""):
            return self
        return replace(self, cameras=[str(camera) for camera in cameras.tolist()])

    def record(self, at: int, source: str, policy: Policy, now: float) -> Record:
        """The record of the picture at a position, which came from ``source``; its id is "" and has yet to be made.

        Raises:
            DataError: a name, time or box that cannot be one.
        """
        camera = camera_name(self._one("cameras", at))
        time = moment(self._one("times", at), f"The time of picture {at}")
        identity = _identity(self._one("identities", at), at)
        box = _box(self._one("boxes", at), at)
        if self.sources is not None:
            source = str(self.sources[at]).replace("\0", "")
        source = without_secrets(source)
        if not _is_unicode(source):
            raise DataError(f"The source of picture {at} is {source!r}: pass text that is Unicode.")
        expires = moment(self.expires, "expires")
        if expires is None and policy.keep_days is not None:
            expires = (now if time is None else time) + policy.keep_days * DAY
        return Record(
            id="",
            identity=identity,
            camera=camera,
            time=time,
            source=source,
            box=box,
            basis=without_secrets(self.basis),
            expires=expires,
            added=now,
        )

    def _one(self, name: str, at: int) -> Any:
        found = getattr(self, name)
        if name in self._many:
            found = found[at]
        return found.item() if isinstance(found, np.generic) else found


def _identity(given: Any, at: int) -> str | None:
    """A name, or None where it is missing; DataError where it is a text that stands for a missing one."""
    if isinstance(given, str):
        name = person_name(given)
        if name in MISSING:
            raise DataError(f"The identity of picture {at} is {name!r}, which means that none is known: pass None.")
        return name
    return None if is_missing(given) else person_name(given)


def _several(value: Any) -> bool:
    return not isinstance(value, str) and (
        isinstance(value, Sequence) or (hasattr(value, "__array__") and getattr(value, "ndim", 1) > 0)
    )


def _is_unicode(text: str) -> bool:
    """Whether it is text, but for bytes in the names of files that are no UTF-8."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _box(box: Any, at: int) -> Box | None:
    if box is None:
        return None
    try:
        left, top, right, bottom = (int(side) for side in box)
    except (TypeError, ValueError):
        raise DataError(f"The box of picture {at} is {box!r}: pass left, top, right, bottom in pixels.") from None
    if left >= right or top >= bottom or max(map(abs, (left, top, right, bottom))) > 2**31:
        raise DataError(f"The box of picture {at} is {box!r}, which holds no pixel: pass left, top, right, bottom.")
    return left, top, right, bottom
