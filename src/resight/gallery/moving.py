"""To another model: every picture is embedded again, from its source or, where that is gone, from its thumbnail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resight.embedding.embedder import Embedder
from resight.errors import DataError, ModelError
from resight.files import read_bytes
from resight.gallery import content
from resight.gallery.record import Filter, Record, Reembedded
from resight.gallery.store import Rows
from resight.images.decode import Pixels, decode_bytes
from resight.models.model import Model

if TYPE_CHECKING:
    from resight.gallery.gallery import Gallery

PART = 64  # records that are held at a time


def reembed(
    gallery: Gallery,
    model: Model | Embedder | str | Path,
    uri: str | Path,
    progress: Callable[[int, int], None] | None,
) -> Reembedded:
    """All records of a gallery, embedded by another model into another gallery."""
    total, done = len(gallery), 0
    small: list[str] = []
    lost: list[str] = []
    moved = 0
    with gallery.open(uri, model, policy=gallery.policy, actor=gallery.actor) as target:
        if target.card.fingerprint == gallery.card.fingerprint:
            raise ModelError(f"{gallery.uri} is of this model already: there is nothing to embed again.")
        for records in _pages(gallery):
            there = target.store.get([record.id for record in records])
            kept, pictures = [], []
            for record, known in zip(records, there, strict=True):
                pixels, from_thumbnail = _picture(gallery, record)
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
                vectors = target.embedder(pictures).vectors
                thumbnails = [gallery.store.thumbnail(record.id) for record in kept]
                moved += len(kept)
                target.store.add(Rows(kept, np.asarray(vectors), thumbnails), gallery.actor)
            done += len(records)
            if progress:
                progress(done, total)
        return Reembedded(target.uri, moved, tuple(small), tuple(lost))


def _pages(gallery: Gallery) -> Iterator[list[Record]]:
    after = ""
    while records := gallery.store.page(Filter(), PART, after):
        yield records
        after = records[-1].id


def _picture(gallery: Gallery, record: Record) -> tuple[Pixels | None, bool]:
    """The picture of a record, and whether it is only the thumbnail; None where there is neither."""
    pixels = _source(record)
    if pixels is not None:
        return pixels, False
    small = gallery.store.thumbnail(record.id)
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
