"""The carriers of a gallery: records, hits, filters, people, events. Times are seconds since 1970, UTC."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from resight.errors import DataError, ResightError
from resight.images.stream import BadImage
from resight.secrets import without_secrets


class Missing(DataError):
    """A record or a name that is not in the gallery."""


class Damaged(ResightError):
    """What a gallery holds is not what was written; it has to be restored."""


class Conflict(DataError):
    """A name in use, or a record that has another one."""


Box = tuple[int, int, int, int]
Right = Literal["none", "read", "write", "erase"]
"""What a role of a database may do with a gallery, each more than the one before."""
LONGEST_NAME = 200
DAY = 86400.0
EARLIEST, LATEST = -62_135_596_800, 253_402_300_799  # the years 1 and 9999, which is what calendars have


@dataclass(frozen=True)
class Record:
    """One sighting, without its vector and thumbnail.

    Attributes:
        id: 32 hex digits, made from the content (picture or vector, camera, time, box): adding twice is adding once.
        identity: whose it is, a name; None where unknown.
        camera: "" where unknown.
        time: when it was seen.
        source: where the picture came from: a path, a video and frame, "upload"; "" where unknown.
        box: left, top, right, bottom in the source.
        basis: why it may be kept, such as "consent", in free words; "" where unstated.
        expires: when it is to be erased; None for never.
        added: when it came into the gallery.
    """

    id: str
    identity: str | None
    camera: str
    time: float | None
    source: str
    box: Box | None
    basis: str
    expires: float | None
    added: float


@dataclass(frozen=True)
class Hit:
    """A record that a search found.

    Attributes:
        record: what was found.
        distance: in the card's metric, also where the order is a re-ranked one.
        probability: that it is the same one, as :meth:`resight.Decision.probability`; None where the model was never
            calibrated.
        decision: "match", "unsure" or "no match"; None as well.
    """

    record: Record
    distance: float
    probability: float | None
    decision: str | None


@dataclass(frozen=True)
class Filter:
    """Which records count; one must pass all that is given. A name that no record has matches nothing.

    Attributes:
        cameras: any of these; all where there are none.
        exclude_cameras: none of these.
        after, before: after <= time < before. A record without a time passes neither.
        identities: any of these.
        unknown: True for records without an identity, False for those with one, None for both.

    Raises:
        DataError: a single text in the place of several, what cannot be a name, or a time that is no number.
    """

    cameras: tuple[str, ...] = ()
    exclude_cameras: tuple[str, ...] = ()
    after: float | None = None
    before: float | None = None
    identities: tuple[str, ...] = ()
    unknown: bool | None = None

    def __post_init__(self) -> None:
        for name in ("cameras", "exclude_cameras", "identities"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise DataError(f"Filter.{name} is the text {value!r}: pass several, as in ({value!r},).")
            one = person_name if name == "identities" else camera_name
            object.__setattr__(self, name, tuple(one(each) for each in value))
        for name in ("after", "before"):
            object.__setattr__(self, name, moment(getattr(self, name), f"Filter.{name}"))


@dataclass(frozen=True)
class Added:
    """What adding did.

    Attributes:
        ids: of all records that are in the gallery now, in the order in which they were given.
        new, known: how many of them were new, and how many were there before or were given before.
        failed: pictures that could not be used.
        refused: positions, from 0, of what was erased from this gallery before and was not added again.
        expired: how many of the new ones have expired already, so that the next ``expire`` erases them.
        different: ids of known ones that were given another identity, basis or expiry than they have, and keep theirs.
    """

    ids: tuple[str, ...] = field(repr=False)
    new: int
    known: int
    failed: tuple[BadImage, ...] = ()
    refused: tuple[int, ...] = ()
    expired: int = 0
    different: tuple[str, ...] = ()

    @property
    def twice(self) -> int:
        """How many were the same as one that was given before them."""
        return len(self.ids) - len(set(self.ids))


def expired_already(count: int) -> str:
    """The sentence on records whose time to be erased had passed when they were added."""
    return (
        f"{count:,} of the new records have expired already, and the next resight gallery expire or resight serve "
        "erases them: check --expires, --keep-days of the gallery, and the times of the pictures."
    )


def kept_as_they_are(different: Sequence[str], first: Record) -> str:
    """The sentence on ``Added.different``, with the first of them as it is in the gallery."""
    name = "no name" if first.identity is None else f"the name {first.identity!r}"
    return (
        f"{len(different):,} were there already with another identity, basis or expiry than given now and keep "
        f"theirs: {first.id} ({first.source or 'no source'}) has {name}. Change names with resight gallery enrol, "
        "split or merge; to change the rest, erase the records and add them with --add-erased."
    )


@dataclass(frozen=True)
class Person:
    """An identity: how many records have its name, in which cameras, and when first and last."""

    name: str
    records: int
    cameras: tuple[str, ...]
    first: float | None
    last: float | None


SAME, DIFFERENT, UNSURE = "same", "different", "unsure"


@dataclass(frozen=True)
class Answer:
    """What a person said about two records, see :mod:`resight.gallery.answers`.

    Attributes:
        first, second: ids of the records, ``first`` < ``second``.
        answer: "same", "different" or "unsure".
        time: when, in seconds since 1970; ``actor``: by whom.
    """

    first: str
    second: str
    answer: str
    time: float
    actor: str


@dataclass(frozen=True)
class Event:
    """One line of the log, which holds no names of people and no pictures.

    Attributes:
        number: from 1, without gaps.
        time: when it was done; ``actor``: by whom.
        action: "create", "calibrate", "add", "enrol", "merge", "split", "rename", "answer", "erase", "expire", "purge",
            "export", "copy", "grant", or "times" and "logins", which were unknown or secret and are kept no longer.
        details: counts, and identities by their number.
        digest: of this event and the digest of the one before, see :mod:`resight.gallery.log`.
    """

    number: int
    time: float
    actor: str
    action: str
    details: dict[str, Any]
    digest: str


SOON = 7 * 86400.0  # seconds; what expires within them is counted as expiring


@dataclass(frozen=True)
class Stats:
    """A gallery in numbers.

    Attributes:
        records, identities, unknown: how many; ``unknown`` records have no name.
        cameras: how many records of each.
        first, last: the earliest and the latest time.
        expiring: how many records expire within seven days from now, or should have already.
        bytes: what is stored, by kind.
        engine: "sqlite" or "postgresql".
        model: the fingerprint that the gallery is bound to; ``dim`` and ``metric`` of its embeddings.
    """

    records: int
    identities: int
    unknown: int
    cameras: dict[str, int]
    first: float | None
    last: float | None
    expiring: int
    bytes: dict[str, int]
    engine: str
    model: str
    dim: int
    metric: str


@dataclass(frozen=True)
class Policy:
    """What a gallery keeps, chosen when it is made.

    Attributes:
        keep_days: records expire so many days after they were seen (or added, where no time is known), unless they
            are given an expiry of their own; None for never.
        thumbnail_side: the longest side of a thumbnail in pixels.
        thumbnails: whether any are kept.

    Raises:
        DataError: days or pixels that are not above zero.
    """

    keep_days: float | None = None
    thumbnail_side: int = 256
    thumbnails: bool = True

    def __post_init__(self) -> None:
        if self.keep_days is not None and not 0 < self.keep_days < math.inf:
            raise DataError(f"Policy.keep_days is {self.keep_days}: choose a number above 0, or None to keep for good.")
        if not 1 <= self.thumbnail_side <= 4096:
            raise DataError(f"Policy.thumbnail_side is {self.thumbnail_side}: choose a number from 1 to 4096.")


@dataclass(frozen=True)
class Check:
    """What :meth:`resight.Gallery.check` found: how many records, and a sentence for each thing that is wrong."""

    records: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Index:
    """An approximate index: over how many records, and the share of the 10 nearest it found for so many queries."""

    records: int
    recall: float
    queries: int
    seconds: float


@dataclass(frozen=True)
class Reembedded:
    """What :meth:`resight.Gallery.reembed` did.

    Attributes:
        uri: of the new gallery.
        records: how many it took over.
        from_thumbnails: ids of those whose source was gone, so that the smaller thumbnail was embedded.
        lost: ids of those with neither, which the new gallery does not hold.
    """

    uri: str
    records: int
    from_thumbnails: tuple[str, ...]
    lost: tuple[str, ...]


@lru_cache(maxsize=4096)
def person_name(name: object) -> str:
    """A name of an identity as it is kept: stripped, in Unicode's form NFC.

    Raises:
        DataError: it is no text, empty, too long, or has control characters.
    """
    found = _name(name, "The name of an identity")
    if not found:
        raise DataError("The name of an identity is empty: give it at least one character.")
    return found


@lru_cache(maxsize=4096)
def camera_name(name: object) -> str:
    """A name of a camera as it is kept: of an address without login and password; "" where unknown.

    Raises:
        DataError: it is no text, too long, or has control characters.
    """
    return _name(without_secrets(name) if isinstance(name, str) else name, "The name of a camera")


def _name(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise DataError(f"{what} is {name!r}: pass text.")
    found = unicodedata.normalize("NFC", name.strip())
    if len(found) > LONGEST_NAME:
        raise DataError(f"{what} has {len(found)} characters: choose one of at most {LONGEST_NAME}.")
    if readable(found) != found:
        raise DataError(
            f"{what} is {readable(found)!r}, which is no UTF-8: rename its folder or file, or write it anew."
        )
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in found):
        raise DataError(f"{what} is {name!r}, with control characters, which are invisible: leave them out.")
    return found


def readable(text: str) -> str:
    """Text that UTF-8 can hold: bytes of a file's name that are no UTF-8 become ``\\xe9`` and the like."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def moment(time: object, what: str) -> float | None:
    """A time in seconds since 1970, also of a ``datetime`` that knows its time zone; or None.

    Raises:
        DataError: it is neither, or no finite number.
    """
    if time is None:
        return None
    found = math.nan
    if isinstance(time, datetime) and time == time:  # which pandas' NaT is not
        if time.utcoffset() is None:
            raise DataError(f"{what} is {time!r}, which may be of any time zone: give it one, such as tzinfo=UTC.")
        found = time.timestamp()
    elif not isinstance(time, (str, bytes, bool)):  # "2026" is a year
        with suppress(TypeError, ValueError, OverflowError):
            found = float(time)  # type: ignore[arg-type]
    if not math.isfinite(found):
        raise DataError(f"{what} is {time!r}: pass seconds since 1970, a datetime with a time zone, or None.")
    if not EARLIEST <= found <= LATEST:
        raise DataError(f"{what} is {time!r}, which is no time of the years 1 to 9999: pass seconds, not milliseconds.")
    return found
