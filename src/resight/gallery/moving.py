"""To another model: every picture is embedded again, from its source or, where that is gone, from its thumbnail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import DataError
from resight.files import read_bytes
from resight.gallery import content
from resight.gallery.erased import hand_over, mark_of_id
from resight.gallery.record import Filter, Record, Reembedded
from resight.gallery.store import Rows, Store
from resight.images.decode import Pixels, decode_bytes

if TYPE_CHECKING:
    from resight.embedding.embedder import Embedder

PART = 64  # records that are held at a time


def reembed(
    store: Store, target: Store, embedder: Embedder, actor: str, progress: Callable[[int, int], None] | None
) -> Reembedded:
    """Embed all records of one store by another model into another store; what is there already is skipped.

    Raises:
        DataError: records that were erased from the other store would come back.
    """
    refuse_erased(store, target)
    total, done, moved = store.count(Filter()), 0, 0
    small: list[str] = []
    lost: list[str] = []
    for records in _pages(store):
        there = target.get([record.id for record in records])
        kept, pictures = [], []
        for record, known in zip(records, there, strict=True):
            pixels, from_thumbnail = picture(store, record)
            if from_thumbnail and pixels is not None:
                small.append(record.id)
            if pixels is None:
                lost.append(record.id)
            elif known is None:
                kept.append(record)
                pictures.append(pixels)
            else:
                moved += 1
        if kept:
            vectors = embedder(pictures).vectors
            thumbnails = store.thumbnails([record.id for record in kept])
            moved += len(kept)
            marks = store.erased.of([record.id for record in kept])
            target.add(Rows(kept, np.asarray(vectors), thumbnails, marks), actor)
        done += len(records)
        if progress:
            progress(done, total)
    copy_answers(store, target, actor)
    hand_over(store.erased, target.erased)
    return Reembedded(target.uri, moved, tuple(small), tuple(lost))


def refuse_erased(store: Store, target: Store, otherwise: str = "") -> None:
    """Refuse to bring back what was erased from the target; ``otherwise`` is what else would help.

    Raises:
        DataError: the target lacks records whose pictures were erased from it.
    """
    if back := erased_from(target, store):
        raise DataError(
            f"{len(back):,} of the records were erased from {target.uri}, first {min(back)}, and would be back: erase "
            f"them from {store.uri} as well, or name a new gallery{otherwise}."
        )


def erased_from(target: Store, store: Store) -> dict[str, set[bytes]]:
    """The records of a store that another one lacks because their pictures were erased there, by id: their marks."""
    if not target.erased.page(b"", 1):
        return {}
    keys = target.erased.keys()
    back: dict[str, set[bytes]] = {}
    for records in _pages(store):
        there = target.get([record.id for record in records])
        ids = [record.id for record, known in zip(records, there, strict=True) if known is None]
        marks = {
            id: {mark_of_id(key, id) for key in keys} | ({mark} if mark else set())
            for id, mark in zip(ids, store.erased.of(ids), strict=True)
        }
        found = target.erased.among(list(set().union(*marks.values())))
        back |= {id: some & found for id, some in marks.items() if some & found}
    return back


def copy_answers(store: Store, target: Store, actor: str) -> None:
    """Copy those answers about pairs of records of the target that it lacks or has older ones of."""
    known = {(one.first, one.second): one for one in target.answers()}
    found = [
        one
        for one in store.answers()
        if (old := known.get((one.first, one.second))) is None or (old != one and old.time <= one.time)
    ]
    ids = list({id for one in found for id in (one.first, one.second)})
    there = {id for id, record in zip(ids, target.get(ids), strict=True) if record is not None}
    new = [one for one in found if {one.first, one.second} <= there]
    if new:
        target.answer(new, actor)


def _pages(store: Store) -> Iterator[list[Record]]:
    after = ""
    while records := store.page(Filter(), PART, after):
        yield records
        after = records[-1].id


def picture(store: Store, record: Record) -> tuple[Pixels | None, bool]:
    """The picture of a record, and whether it is only the thumbnail; None where there is neither."""
    pixels = _source(record)
    if pixels is not None:
        return pixels, False
    (small,) = store.thumbnails([record.id])
    return (None if small is None else decode_bytes(small, f"the thumbnail of {record.id}")), True


def _source(record: Record) -> Pixels | None:
    """The picture in the source, if it is still the one that was added: the file itself, or the box in it."""

    def same(found: bytes) -> bool:
        return content.record_id(found, record.camera, record.time, record.box) == record.id

    if not record.source:
        return None
    try:
        data = read_bytes(record.source)
        if same(content.of_file(data)):
            return decode_bytes(data, record.source)
        if record.box is None:
            return None
        left, top, right, bottom = record.box
        crop = decode_bytes(data, record.source)[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    except DataError:
        return None
    return np.ascontiguousarray(crop) if crop.size and same(content.of_pixels(crop)) else None
