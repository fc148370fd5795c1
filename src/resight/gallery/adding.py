"""From pictures or embeddings to rows for the store, part by part, so that any number of them can be added.

What stands in the gallery already is neither decoded nor embedded again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resight.embedding.embedder import Embedder
from resight.embedding.source import Source
from resight.errors import DataError
from resight.files import read_bytes
from resight.gallery import content
from resight.gallery.labels import Labels
from resight.gallery.record import Policy, Record
from resight.gallery.store import Rows
from resight.gallery.thumbnails import given, thumbnail
from resight.images.decode import Pixels, fit
from resight.images.pictures import pixels_of
from resight.images.stream import WORKERS, BadImage, Batch, Item
from resight.records import Embeddings

PART = 4096  # rows that are written together, whole or not at all

Known = Callable[[Sequence[str]], Sequence[bool]]


class Seen(NamedTuple):
    """A picture that is to be added: its record, its pixels at the network's size and its thumbnail."""

    record: Record
    pixels: Pixels
    thumbnail: bytes | None


@dataclass
class Part:
    """Some of what is added: the ids of all that can be, in order, the rows of those that are new, and the bad."""

    ids: list[str] = field(default_factory=list)
    rows: Rows | None = None
    failed: list[BadImage] = field(default_factory=list)


def of_embeddings(
    embeddings: Embeddings, labels: Labels, thumbnails: Sequence[bytes | None] | None, policy: Policy, now: float
) -> Iterator[Part]:
    """Embeddings in parts, with thumbnails made anew. Raises DataError for a label or thumbnail that is none."""
    for start in range(0, len(embeddings), PART):
        few = range(start, min(start + PART, len(embeddings)))
        rows: dict[str, tuple[Record, int, bytes | None]] = {}
        ids = []
        for at in few:
            source = "" if embeddings.paths is None else str(embeddings.paths[at])
            record = labels.record(at, content.of_vector(embeddings.vectors[at]), source, policy, now)
            ids.append(record.id)
            if record.id not in rows:
                rows[record.id] = record, at, _given(thumbnails, at, policy)
        vectors = embeddings.vectors[[at for _, at, _ in rows.values()]]
        yield Part(ids, Rows([one for one, _, _ in rows.values()], vectors, [small for _, _, small in rows.values()]))


def of_pictures(
    items: Iterator[Item],
    embedder: Embedder,
    labels: Labels,
    thumbnails: Sequence[bytes | None] | None,
    policy: Policy,
    known: Known,
    now: float,
) -> Iterator[Part]:
    """Pictures in parts of a forward pass each; a bad one is told of in its part. Raises DataError for a bad label."""
    to = embedder.model.card.preprocessing

    def first(item: Item) -> tuple[Record, bytes | None] | BadImage:
        """The record, and the bytes of the file where there is one."""
        try:
            data = _file_of(item)
            found = content.of_pixels(_pixels(item)) if data is None else content.of_file(data)
        except DataError as error:
            return BadImage(item.position, item.name, str(error))
        source = item.name if isinstance(item.picture, (str, os.PathLike)) or "#" in item.name else ""
        return labels.record(item.position, found, source, policy, now), data

    def second(one: tuple[Item, Record, bytes | None]) -> Seen | BadImage:
        item, record, data = one
        try:
            pixels = _pixels(item if data is None else item._replace(picture=data))
            small = _given(thumbnails, item.position, policy)
            if small is None and thumbnails is None and policy.thumbnails:
                small = thumbnail(pixels, policy.thumbnail_side)
            return Seen(record, fit(pixels, to.height, to.width, how=to.resize), small)
        except DataError as error:
            return BadImage(item.position, item.name, str(error))

    with ThreadPoolExecutor(WORKERS) as pool:
        while group := list(islice(items, embedder.batch_size)):
            part, told = Part(), list(pool.map(first, group))
            good = [(item, *one) for item, one in zip(group, told, strict=True) if not isinstance(one, BadImage)]
            there = dict(zip((r.id for _, r, _ in good), known([r.id for _, r, _ in good]), strict=True))
            new: dict[str, tuple[Item, Record, bytes | None]] = {}
            for entry in good:
                if not there[entry[1].id]:
                    new.setdefault(entry[1].id, entry)
            made = dict(zip(new, pool.map(second, new.values()), strict=True))
            for item, one in zip(group, told, strict=True):
                bad = one if isinstance(one, BadImage) else made.get(one[0].id)
                if isinstance(bad, BadImage):
                    part.failed.append(BadImage(item.position, item.name, bad.reason))
                elif not isinstance(one, BadImage):
                    part.ids.append(one[0].id)
            seen = [one for one in made.values() if isinstance(one, Seen)]
            if seen:
                vectors = _embed(embedder, np.stack([one.pixels for one in seen]))
                part.rows = Rows([one.record for one in seen], vectors, [one.thumbnail for one in seen])
            yield part


def items_of(source: Source | Iterator[Item]) -> Iterator[Item]:
    """The items of whatever can be embedded, from the first on."""
    return source.items(0) if isinstance(source, Source) else source


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
    return None


def _pixels(item: Item) -> Pixels:
    if isinstance(item.picture, DataError):
        raise item.picture
    return pixels_of(item.picture, item.name)


def _given(thumbnails: Sequence[bytes | None] | None, at: int, policy: Policy) -> bytes | None:
    if thumbnails is None or not policy.thumbnails or thumbnails[at] is None:
        return None
    return given(thumbnails[at], policy.thumbnail_side, f"picture {at}")
