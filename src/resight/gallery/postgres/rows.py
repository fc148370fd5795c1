"""From the tables to records and vectors, and from a filter to a condition.

Shape letters: ``N`` records, ``D`` embedding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.gallery.record import Filter, Record

RECORD = "r.id, i.name, r.camera, r.time, r.source, r.box, r.basis, r.expires, r.added"
NAMED = "LEFT JOIN labels l ON l.id = r.id LEFT JOIN identities i ON i.number = l.identity"
VECTOR = "r.scale, vector_send(r.vector)"  # as pgvector sends it: two numbers of 16 bits, then float32, big-endian
RECORDS = f"SELECT {RECORD} FROM records r {NAMED}"
LATER = """(r.time IS NULL, coalesce(r.time, 0), r.id)
> (%(time)s::float8 IS NULL, coalesce(%(time)s::float8, 0), %(last)s::uuid)"""
CAMERAS = """SELECT camera, count(*) FROM records WHERE %(after)s::text IS NULL OR camera > %(after)s::text
GROUP BY camera ORDER BY camera LIMIT %(limit)s"""
COLUMNS = {
    "id": "uuid",
    "camera": "text",
    "time": "float8",
    "source": "bytea",
    "box": "int8[]",
    "basis": "bytea",
    "expires": "float8",
    "added": "float8",
    "scale": "int2",
    "vector": "vector",
    "mark": "bytea",
}
_ID = re.compile(r"[0-9a-f]{32}")
_SHORT = 2.0**-40  # vectors shorter than this are stored longer


def record(row: Sequence[Any]) -> Record:
    """A record from a row of :data:`RECORDS`."""
    id, name, camera, time, source, box, basis, expires, added = row
    return Record(id.hex, name, camera, time, _text(source), tuple(box) if box else None, _text(basis), expires, added)


def row(one: Record, scale: int, vector: NDArray[np.float32], mark: bytes | None) -> tuple[Any, ...]:
    """What is written to :data:`COLUMNS`."""
    box = None if one.box is None else list(one.box)
    source, basis = (text.encode("utf-8", "surrogateescape") for text in (one.source, one.basis))
    return UUID(one.id), one.camera, one.time, source, box, basis, one.expires, one.added, scale, vector, mark


def scales(vectors: NDArray[np.float32], metric: str) -> NDArray[np.int64]:
    """(N,) powers of two by which (N, D) vectors are divided when stored, see :mod:`schema`."""
    if metric != "cosine":
        return np.zeros(len(vectors), np.int64)
    wide = vectors.astype(np.float64)
    length = np.sqrt(np.vecdot(wide, wide))
    return np.where((length > 0) & (length < _SHORT), np.frexp(length)[1], 0)


def vectors_of(rows: Iterable[tuple[int, bytes]], dim: int) -> NDArray[np.float32]:
    """(N, D) vectors of rows of :data:`VECTOR`."""
    found = list(rows)
    sent = np.frombuffer(b"".join([vector for _, vector in found]), [("head", ">i2", 2), ("numbers", ">f4", dim)])
    return np.ldexp(sent["numbers"].astype(np.float32), np.array([scale for scale, _ in found], np.int32)[:, None])


def known_ids(ids: Iterable[Any]) -> list[str]:
    """Those that can be ids, each once."""
    return list(dict.fromkeys(id for id in ids if isinstance(id, str) and _ID.fullmatch(id)))


def above(after_id: str) -> tuple[str, str]:
    """The condition of ids that come after an id, or after the beginning of one, and its value.

    Raises:
        DataError: it is neither.
    """
    lower = after_id.lower()
    if lower.strip("0123456789abcdef") or len(lower) > 32:
        raise DataError(f"{after_id!r} is no id of a record: pass 32 hex digits.")
    return ("r.id > %(after_id)s" if len(lower) == 32 else "r.id >= %(after_id)s"), str(UUID(lower.ljust(32, "0")))


def condition(where: Filter) -> tuple[str, dict[str, Any]]:
    """What follows WHERE, for a table ``records r``, and its values.

    Times are part of the text: a plan that is kept is then one for so many records.
    """
    terms: list[str] = ["true"]
    values: dict[str, Any] = {}
    for name in ("cameras", "exclude_cameras", "identities"):
        values[name] = list(getattr(where, name))
    if where.cameras:
        terms.append("r.camera = ANY(%(cameras)s::text[])")
    if where.exclude_cameras:
        terms.append("r.camera <> ALL(%(exclude_cameras)s::text[])")
    if where.identities:
        terms.append(
            "r.id IN (SELECT b.id FROM labels b JOIN identities n ON n.number = b.identity "
            "WHERE n.name = ANY(%(identities)s::text[]))"
        )
    if where.unknown is not None:
        terms.append(f"{'NOT ' * where.unknown}EXISTS (SELECT 1 FROM labels b WHERE b.id = r.id)")
    if where.after is not None:
        terms.append(f"r.time >= '{float(where.after)!r}'::float8")
    if where.before is not None:
        terms.append(f"r.time < '{float(where.before)!r}'::float8")
    return " AND ".join(terms), values


def _text(kept: bytes) -> str:
    return kept.decode("utf-8", "surrogateescape")
