"""Pictures that were erased, remembered by keyed digests alone, so that none comes back unasked.

A record that is erased leaves a mark: HMAC-SHA256 of what its picture is known by (:mod:`resight.gallery.content`) with
a key of the gallery's own, cut to 16 bytes. It holds no picture, vector, name, camera or time, and only who has the
gallery's key and the same picture can tell that it is of that picture. Embeddings that come from a source, and records
of galleries of format 1, are marked by their ids: content, camera, time and box. Records that expire leave no mark.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Sequence
from typing import Protocol

SIZE = 16  # bytes of a mark, and of a key
_PART = 4096  # marks that are handed over at a time


class Erased(Protocol):
    """The marks of one gallery."""

    def keys(self) -> tuple[bytes, ...]:
        """The gallery's own key, and after it those of the galleries that were copied into it."""

    def among(self, marks: Sequence[bytes]) -> set[bytes]:
        """Those that erased records left."""

    def of(self, ids: Sequence[str]) -> list[bytes | None]:
        """What marks records by their content; None where that is unknown or there is no such record."""

    def page(self, after: bytes, limit: int) -> list[bytes]:
        """The first marks that erased records left, in order, above ``after``."""

    def take(self, keys: Sequence[bytes], marks: Sequence[bytes]) -> None:
        """Also remember these, made with these keys."""


def mark(key: bytes, content: bytes) -> bytes:
    """The mark of a content."""
    return hmac.digest(key, content, "sha256")[:SIZE]


def mark_of_id(key: bytes, id: str) -> bytes:
    """The mark of a record whose content is unknown."""
    return mark(key, b"id" + id.encode())


def marks(keys: Iterable[bytes], content: bytes | None, id: str) -> tuple[bytes, ...]:
    """All marks that a picture can have left; where its content is known, the first is what marks its record now."""
    both = (() if content is None else (content,)) + (b"id" + id.encode(),)
    return tuple(mark(key, one) for key in keys for one in both)


def keys_as_text(keys: Iterable[bytes]) -> str:
    """Keys as both engines store them."""
    return json.dumps([key.hex() for key in keys])


def keys_of_text(text: str) -> tuple[bytes, ...]:
    """The keys that :func:`keys_as_text` wrote."""
    return tuple(bytes.fromhex(key) for key in json.loads(text))


def hand_over(source: Erased, target: Erased) -> None:
    """Have a copy of a gallery refuse what the gallery refuses."""
    target.take(source.keys(), ())
    after = b""
    while found := source.page(after, _PART):
        target.take((), found)
        after = found[-1]
