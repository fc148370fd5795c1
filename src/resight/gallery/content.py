"""The id of a record, made from what was seen and where: the same sighting added again is the same record.

A picture is known by its bytes. An embedding is known by its source: computed again on another engine, or with another
number of threads, it differs in its last bits, so that its numbers are compared and not hashed.

Shape letters: ``N`` records, ``D`` embedding.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from resight.gallery.record import Box, Record
from resight.gallery.store import Store
from resight.images.decode import Pixels

SAME = 0.02  # two vectors of one picture, from whatever engine, differ by less than this share of their length
_MOST = 8  # clearly different embeddings of one source, camera, time and box that are distinguished by their order


def of_file(data: bytes) -> bytes:
    """The content of an image file."""
    return b"file" + hashlib.sha256(data).digest()


def of_pixels(pixels: Pixels) -> bytes:
    """The content of (H, W, 3) uint8 pixels that came without a file."""
    return b"pixels" + hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).digest()


def of_vector(vector: NDArray[np.float32]) -> bytes:
    """The content of a (D,) vector of which no source is known; zeros count without their sign."""
    return b"vector" + hashlib.sha256((vector + np.float32(0)).astype("<f4").tobytes()).digest()


def of_source(source: str, nth: int) -> bytes:
    """In place of the content: the source, and which of its embeddings it is."""
    plain = source if "://" in source else posixpath.normpath(source)
    return b"source" + hashlib.sha256(f"{nth}\0{plain}".encode("utf-8", "surrogateescape")).digest()


def record_id(content: bytes, camera: str, time: float | None, box: Box | None) -> str:
    """32 hex digits."""
    return hashlib.sha256(content + f"{camera}\0{time!r}\0{box}".encode()).hexdigest()[:32]


def ids_of_vectors(records: Sequence[Record], vectors: NDArray[np.float32], store: Store) -> list[str]:
    """The ids of N records that are added as (N, D) vectors: those of records in the store where they are the same.

    The same means: of one source, camera, time and box, and the vectors alike; or without a source, the very same
    vector. Vectors of one source that clearly differ are several records, known by their order.
    """
    by_vector = [_id(record, of_vector(vector)) for record, vector in zip(records, vectors, strict=True)]
    there = _known(by_vector, store)
    ids = [id if id in there or not record.source else "" for id, record in zip(by_vector, records, strict=True)]
    fresh: dict[str, NDArray[np.float32]] = {}
    waiting = [at for at, id in enumerate(ids) if not id]
    for nth in range(_MOST):
        some = {at: _id(records[at], of_source(records[at].source, nth)) for at in waiting}
        known = sorted(_known(list(some.values()), store))
        kept = dict(zip(known, store.vectors(known), strict=True)) if known else {}
        waiting = []
        for at, id in some.items():
            other = kept.get(id, fresh.setdefault(id, vectors[at]))
            if _alike(vectors[at], other):
                ids[at] = id
            else:
                waiting.append(at)
        if not waiting:
            break
    return [id or by_vector[at] for at, id in enumerate(ids)]


def _id(record: Record, content: bytes) -> str:
    return record_id(content, record.camera, record.time, record.box)


def _known(ids: Sequence[str], store: Store) -> set[str]:
    return {record.id for record in store.get(list(dict.fromkeys(ids))) if record is not None}


def _alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    first, second = one.astype(np.float64), other.astype(np.float64)
    return bool(np.linalg.norm(first - second) <= SAME * max(np.linalg.norm(first), np.linalg.norm(second)))
