"""A gallery copied to another place or engine: the same records, pictures, names and answers, compared at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path

from resight.errors import DataError
from resight.gallery import binding
from resight.gallery.engines import open_store
from resight.gallery.erased import hand_over
from resight.gallery.gallery import Gallery
from resight.gallery.moving import copy_answers, erased_from, refuse_erased
from resight.gallery.record import Filter, Record
from resight.gallery.store import Rows

PART = 256  # records that are held at a time


@dataclass(frozen=True)
class Copied:
    """What a copy did.

    Attributes:
        uri: of the copy.
        records: how many it holds, all compared; ``new`` of them were written now.
        digest: SHA-256 over all that was compared, in hex; the same for equal galleries on whatever engine.
    """

    uri: str
    records: int
    new: int
    digest: str


def open_target(source: Gallery, uri: str | Path) -> Gallery:
    """A gallery for a copy of ``source``: a new one that is bound as it is, or one that is bound so already.

    Raises:
        DataError: it is the same gallery, or has another policy.
        ModelError: it is bound to another model.
    """
    about = source.store.about
    store = open_store(str(uri), about, read_only=False, actor=source.actor)
    try:
        if store.uri == source.uri:
            raise DataError(f"{source.uri} cannot be copied onto itself: name another place.")
        binding.check(store, about, about.policy, read_only=False)
        return Gallery(store, None, source.actor)
    except BaseException:
        store.close()
        raise


def copy(
    source: Gallery,
    target: Gallery,
    progress: Callable[[str, int, int], None] | None = None,
    *,
    add_erased: bool = False,
) -> Copied:
    """Copy all records and answers that are not there yet, and compare everything at the end.

    The log stays where it is; what was erased from the source is refused by the copy as well.
    After an interruption the same call goes on. The log of the copy records what was copied when.

    Args:
        source: what is copied; it may be open for reading only.
        target: see :func:`open_target`.
        progress: called with ("copying" or "comparing", records done, records in all).
        add_erased: also bring back what was erased from the target.

    Raises:
        DataError: records that were erased from the target would come back; or the two differ in the end, since the
            target held something else, or the source changed meanwhile.
    """
    back: dict[str, set[bytes]] = {}
    if add_erased:
        back = erased_from(target.store, source.store)
    else:
        refuse_erased(source.store, target.store, ", or have them back with --add-erased (add_erased=True)")
    total, done, new = len(source), 0, 0
    for records in _pages(source):
        there = target.store.get([record.id for record in records])
        missing = [record for record, known in zip(records, there, strict=True) if known is None]
        if missing:
            lifted = set().union(*(back.get(record.id, ()) for record in missing))
            new += int(target.store.add(replace(_rows(source, missing), lifted=lifted), target.actor).sum())
        done += len(records)
        if progress:
            progress("copying", done, total)
    copy_answers(source.store, target.store, target.actor)
    hand_over(source.store.erased, target.store.erased)
    records_in, digest = _compare(source, target, total, progress)
    target.store.note(target.actor, "copy", {"records": records_in, "new": new, "digest": digest})
    return Copied(target.uri, records_in, new, digest)


def _compare(
    source: Gallery, target: Gallery, total: int, progress: Callable[[str, int, int], None] | None
) -> tuple[int, str]:
    """How many records both hold, and the digest of them all; DataError for the first difference."""
    whole, count = hashlib.sha256(), 0
    for one, other in zip_longest(_lines(source), _lines(target)):
        if one is None or other is None or one[1] != other[1]:
            raise DataError(_difference(one and one[0], other and other[0], source.uri, target.uri))
        whole.update(one[1])
        count += 1
        if progress and count % PART == 0:
            progress("comparing", count, total)
    own, others = source.store.answers(), target.store.answers()
    if sorted(map(str, own)) != sorted(map(str, others)):
        raise DataError(
            f"{source.uri} and {target.uri} hold different answers about pairs of records: copy again while no program "
            "writes, or into a new gallery."
        )
    for answer in own:
        whole.update(json.dumps(asdict(answer), sort_keys=True).encode())
    return count, whole.hexdigest()


def _difference(one: Record | None, other: Record | None, source: str, target: str) -> str:
    if one is None or (other is not None and other.id < one.id):
        assert other is not None
        difference = f"{target} holds the record {other.id}, which {source} does not"
    elif other is None or one.id < other.id:
        difference = f"{source} holds the record {one.id}, which {target} does not"
    elif one != other:
        difference = f"The record {one.id} differs between {source} and {target}"
    else:
        difference = f"The vector or thumbnail of record {one.id} differs between {source} and {target}"
    return f"{difference}: copy again while no program writes, or into a new gallery."


def _lines(gallery: Gallery) -> Iterator[tuple[Record, bytes]]:
    """All records by id, each with a digest of all that belongs to it."""
    for records in _pages(gallery):
        rows = _rows(gallery, records)
        for record, vector, small in zip(rows.records, rows.vectors, rows.thumbnails, strict=True):
            content = hashlib.sha256(json.dumps(asdict(record), sort_keys=True).encode())
            content.update(hashlib.sha256(vector.astype("<f4").tobytes()).digest())
            content.update(hashlib.sha256(b"none" if small is None else b"jpeg" + small).digest())
            yield record, content.digest()


def _pages(gallery: Gallery) -> Iterator[list[Record]]:
    after = ""
    while records := gallery.store.page(Filter(), PART, after):
        yield records
        after = records[-1].id


def _rows(gallery: Gallery, records: list[Record]) -> Rows:
    ids = [record.id for record in records]
    store = gallery.store
    return Rows(records, store.vectors(ids), store.thumbnails(ids), store.erased.of(ids))
