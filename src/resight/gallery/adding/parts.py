"""From pictures or embeddings to rows for the store, part by part, so that any number of them can be added.

What is in the gallery already is neither decoded nor embedded again.
"""

from __future__ import annotations

import os
import re
import time as clock
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.embedding.source import Pictures, Source, source_of
from resight.errors import DataError
from resight.files import read_bytes
from resight.gallery import binding, content
from resight.gallery.adding.differing import differing
from resight.gallery.adding.door import Door
from resight.gallery.adding.labels import Labels
from resight.gallery.adding.thumbnails import given, thumbnail
from resight.gallery.record import Added, Policy, Record
from resight.gallery.store import Rows, Store
from resight.images.decode import Pixels, fit
from resight.images.pictures import Colour, checked_colour, is_open_file, pixels_of, read_open_file
from resight.images.stream import WORKERS, BadImage, Batch, Item, OnError
from resight.images.video import Video
from resight.records import Embeddings

if TYPE_CHECKING:
    from resight.embedding.embedder import Embedder

PART = 4096  # rows that are written together, whole or not at all

_UNNAMED = re.compile(r"image \d+")  # what pictures without a path are called


class Looked(NamedTuple):
    """A picture that was looked at: its record, what it is known by, and the bytes of its file where there is one."""

    item: Item
    record: Record
    content: bytes
    data: bytes | None


class Seen(NamedTuple):
    """A picture that is to be added: its record, its pixels at the network's size and its thumbnail."""

    record: Record
    pixels: Pixels
    thumbnail: bytes | None


@dataclass
class Part:
    """Some of what is added: all that can be, in order, the rows of the new, the bad, and those refused."""

    records: list[Record] = field(default_factory=list)
    rows: Rows | None = None
    failed: list[BadImage] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)


def parts(
    images: Pictures | Embeddings,
    labels: Labels,
    thumbnails: Sequence[bytes | None] | None,
    store: Store,
    embedder: Callable[[], Embedder],
    add_erased: bool,
    colour: Colour = "RGB",
) -> tuple[Iterator[Part], int | None]:
    """Pictures or embeddings in parts, and how many there are; None for an iterator.

    ``colour`` is the order of arrays and tensors.

    Raises:
        DataError: a label or thumbnails of another number, or embeddings of another length.
        ModelError: embeddings of another model, or pictures and no model at hand.
        RecipeError: a ``colour`` that is none.
    """
    found: Iterator[Part]
    total: int | None
    door, order = Door(store, add_erased=add_erased), checked_colour(colour)
    if isinstance(images, Embeddings):
        embeddings = binding.checked(images, store.about.card)
        labels, total = labels.with_cameras(images.cameras), len(images)
        labels.check(total)
        found = _of_embeddings(embeddings, labels, thumbnails, store, door, clock.time())
    else:
        source = source_of(images)
        total = len(source) if isinstance(source, Source) else None
        labels = labels.with_cameras(source.cameras if isinstance(source, Source) else None)
        labels.check(total)
        items = source.items(0) if isinstance(source, Source) else source
        order = "RGB" if isinstance(images, Video) else order
        found = _of_pictures(items, embedder(), labels, thumbnails, store, door, clock.time(), order)
    if thumbnails is not None and len(thumbnails) != total:
        raise DataError(f"There are {len(thumbnails)} thumbnails for {total} pictures: pass one for each, or None.")
    return found, total


def write(
    found: Iterator[Part],
    total: int | None,
    store: Store,
    actor: str,
    on_error: OnError | None,
    progress: Callable[[int, int], None] | None,
    *,
    expires: bool,
) -> Added:
    """Write parts one after the other, see :meth:`resight.Gallery.add`; ``expires`` says whether that was given.

    Raises:
        DataError: there is nothing to add, or a bad picture and no ``on_error``.
    """
    ids: list[str] = []
    failed: list[BadImage] = []
    refused: list[int] = []
    different: dict[str, None] = {}
    new = expired = 0
    now = clock.time()
    for part in found:
        for bad in part.failed:
            if on_error is None:
                raise DataError(bad.reason)
            on_error(bad)
        written: set[str] = set()
        if part.rows is not None:
            added = store.add(part.rows, actor)
            new += int(added.sum())
            fresh = [record for record, is_new in zip(part.rows.records, added, strict=True) if is_new]
            expired += sum(record.expires is not None and record.expires <= now for record in fresh)
            written = {record.id for record in fresh}
        different |= dict.fromkeys(differing(part.records, written, store, expires=expires))
        ids += [record.id for record in part.records]
        failed += part.failed
        refused += part.refused
        if progress:
            done = len(ids) + len(failed) + len(refused)
            progress(done, done if total is None else total)
    if not (ids or failed or refused):
        raise DataError("There is nothing to add: pass at least one picture or embedding.")
    return Added(tuple(ids), new, len(ids) - new, tuple(failed), tuple(refused), expired, tuple(different))


def _of_embeddings(
    embeddings: Embeddings,
    labels: Labels,
    thumbnails: Sequence[bytes | None] | None,
    store: Store,
    door: Door,
    now: float,
) -> Iterator[Part]:
    """Embeddings in parts, with thumbnails made anew. Raises DataError for a label or thumbnail that is none."""
    policy = store.about.policy
    for start in range(0, len(embeddings), PART):
        few = range(start, min(start + PART, len(embeddings)))
        vectors = embeddings.vectors[few.start : few.stop]
        paths = [""] * len(few) if embeddings.paths is None else embeddings.paths[few.start : few.stop].tolist()
        sources = ["" if _UNNAMED.fullmatch(path) else path for path in paths]
        unnamed = [labels.record(at, source, policy, now) for at, source in zip(few, sources, strict=True)]
        ids = content.ids_of_vectors(unnamed, vectors, store)
        records = [replace(record, id=id) for record, id in zip(unnamed, ids, strict=True)]
        each = zip(records, vectors, strict=True)
        passed = door.passed({one.id: None if one.source else content.of_vector(vector) for one, vector in each})
        rows: dict[str, tuple[Record, int, bytes | None]] = {}
        for at, record in zip(few, records, strict=True):
            if record.id not in rows and record.id in passed.marks:
                rows[record.id] = record, at - start, _given(thumbnails, at, policy)
        part = Part([record for record in records if record.id in rows])
        part.refused = [at for at, id in zip(few, ids, strict=True) if id not in rows]
        if rows:
            chosen = vectors[[at for _, at, _ in rows.values()]]
            smalls = [small for _, _, small in rows.values()]
            marks = [passed.marks[id] for id in rows]
            part.rows = Rows([one for one, _, _ in rows.values()], chosen, smalls, marks, passed.lifted)
        yield part


def _of_pictures(
    items: Iterator[Item],
    embedder: Embedder,
    labels: Labels,
    thumbnails: Sequence[bytes | None] | None,
    store: Store,
    door: Door,
    now: float,
    colour: Colour,
) -> Iterator[Part]:
    """Pictures in parts of a forward pass each; a part names its bad ones. Raises DataError for a bad label."""
    to, policy = embedder.model.card.preprocessing, store.about.policy

    def first(item: Item) -> Looked | BadImage:
        try:
            data = _file_of(item)
            found = content.of_pixels(_pixels(item, colour)) if data is None else content.of_file(data)
        except DataError as error:
            return BadImage(item.position, item.name, str(error))
        source = item.name if isinstance(item.picture, (str, os.PathLike)) or "#" in item.name else ""
        record = labels.record(item.position, source, policy, now)
        named = replace(record, id=content.record_id(found, record.camera, record.time, record.box))
        return Looked(item, named, found, data)

    def second(one: Looked) -> Seen | BadImage:
        item = one.item
        try:
            pixels = _pixels(item if one.data is None else item._replace(picture=one.data), colour)
            small = _given(thumbnails, item.position, policy)
            if small is None and thumbnails is None and policy.thumbnails:
                small = thumbnail(pixels, policy.thumbnail_side)
            fitted = fit(pixels, to.height, to.width, how=to.resize, interpolation=to.interpolation)
            return Seen(one.record, fitted, small)
        except DataError as error:
            return BadImage(item.position, item.name, str(error))

    with ThreadPoolExecutor(WORKERS) as pool:
        while group := list(islice(items, embedder.batch_size)):
            part, looked = Part(), list(pool.map(first, group))
            good = [one for one in looked if isinstance(one, Looked)]
            passed = door.passed({one.record.id: one.content for one in good})
            new: dict[str, Looked] = {}
            for one in good:
                if one.record.id in passed.marks and one.record.id not in passed.there:
                    new.setdefault(one.record.id, one)
            made = dict(zip(new, pool.map(second, new.values()), strict=True))
            for item, found in zip(group, looked, strict=True):
                bad = found if isinstance(found, BadImage) else made.get(found.record.id)
                if isinstance(bad, BadImage):
                    part.failed.append(BadImage(item.position, item.name, bad.reason))
                elif isinstance(found, Looked) and found.record.id not in passed.marks:
                    part.refused.append(item.position)
                elif isinstance(found, Looked):
                    part.records.append(found.record)
            seen = [one for one in made.values() if isinstance(one, Seen)]
            if seen:
                vectors = _embed(embedder, np.stack([one.pixels for one in seen]))
                records, smalls = [one.record for one in seen], [one.thumbnail for one in seen]
                marks = [passed.marks[record.id] for record in records]
                part.rows = Rows(records, vectors, smalls, marks, passed.lifted)
            yield part


def _embed(embedder: Embedder, pixels: Pixels) -> NDArray[np.float32]:
    names = tuple(map(str, range(len(pixels))))
    batch = Batch(pixels, np.arange(len(pixels)), names)
    return np.concatenate([vectors for _, vectors in embedder.run([batch], len(pixels), on_error=lambda _: None)])


def _file_of(item: Item) -> bytes | None:
    """The bytes of an image file; None for what holds pixels."""
    if isinstance(item.picture, (bytes, bytearray, memoryview)):
        return bytes(item.picture)
    if isinstance(item.picture, (str, os.PathLike)):
        if "\0" in os.fspath(item.picture):
            raise DataError(f"{item.name!r} is no path, for it has a zero byte: pass a path.")
        return read_bytes(item.picture)
    if is_open_file(item.picture):
        return read_open_file(item.picture, item.name)  # once: a second reading would begin at its end
    return None


def _pixels(item: Item, colour: Colour) -> Pixels:
    if isinstance(item.picture, DataError):
        raise item.picture
    return pixels_of(item.picture, item.name, colour)


def _given(thumbnails: Sequence[bytes | None] | None, at: int, policy: Policy) -> bytes | None:
    if thumbnails is None or not policy.thumbnails or thumbnails[at] is None:
        return None
    return given(thumbnails[at], policy.thumbnail_side, f"picture {at}")
