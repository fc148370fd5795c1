"""Records as rows of a Milvus collection, and filters as its boolean expressions.

Milvus 2.3 has no empty values, so what is unknown is :data:`NEVER` for a time, "" for a name and no number for a box.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.gallery.record import Filter, Record

NEVER = sys.float_info.max
NOTHING = 'id == ""'
RECORD = ("id", "identity", "camera", "time", "source", "box", "basis", "expires", "added")
ALL = (*RECORD, "person", "thumbnail", "vector")
_NAME, _TEXT = 1024, 65535  # bytes that fit


def fields(schema: Any, kind: Any, dim: int) -> None:
    """Give a collection's schema its fields; ``kind`` is pymilvus's DataType."""
    schema.add_field("id", kind.VARCHAR, is_primary=True, max_length=32)
    schema.add_field("vector", kind.FLOAT_VECTOR, dim=dim)
    schema.add_field("identity", kind.VARCHAR, max_length=_NAME)
    schema.add_field("person", kind.INT64)  # the number of the identity, 0 for none
    schema.add_field("camera", kind.VARCHAR, max_length=_NAME)
    schema.add_field("time", kind.DOUBLE)
    schema.add_field("expires", kind.DOUBLE)
    schema.add_field("added", kind.DOUBLE)
    schema.add_field("source", kind.VARCHAR, max_length=_TEXT)
    schema.add_field("basis", kind.VARCHAR, max_length=_TEXT)
    schema.add_field("box", kind.ARRAY, element_type=kind.INT64, max_capacity=4)
    schema.add_field("thumbnail", kind.INT64)  # its bytes, 0 for none


def row(record: Record, person: int, vector: NDArray[np.float32], thumbnail: bytes | None) -> dict[str, Any]:
    """A record as it is inserted.

    Raises:
        DataError: a text that Milvus cannot keep.
    """
    for name in ("source", "basis"):
        text = getattr(record, name)
        try:
            fits = len(text.encode()) <= _TEXT
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise DataError(
                f"The {name} of record {record.id} is longer than {_TEXT} bytes, or is no Unicode text: shorten it."
            )
    return {
        "id": record.id,
        "vector": vector,
        "identity": record.identity or "",
        "person": person,
        "camera": record.camera,
        "time": NEVER if record.time is None else record.time,
        "expires": NEVER if record.expires is None else record.expires,
        "added": record.added,
        "source": record.source,
        "basis": record.basis,
        "box": list(record.box or ()),
        "thumbnail": len(thumbnail or b""),
    }


def record(row: Mapping[str, Any]) -> Record:
    """The record in a row with the fields of :data:`RECORD`."""
    box = tuple(row["box"])
    return Record(
        id=row["id"],
        identity=row["identity"] or None,
        camera=row["camera"],
        time=moment(row["time"]),
        source=row["source"],
        box=(box[0], box[1], box[2], box[3]) if box else None,
        basis=row["basis"],
        expires=moment(row["expires"]),
        added=row["added"],
    )


def moment(time: float) -> float | None:
    """A time as records have it."""
    return None if time == NEVER else time


def expression(where: Filter) -> str:
    """What is true for the records that pass; "" where all do."""
    parts = []
    for field, wanted in (("camera", where.cameras), ("identity", where.identities)):
        if wanted:
            parts.append(among(field, wanted))
    if where.exclude_cameras:
        parts.append(f"not ({among('camera', where.exclude_cameras)})")
    if where.after is not None:
        parts.append(f"time >= {where.after!r} and time < {NEVER!r}")
    if where.before is not None:
        parts.append(f"time < {where.before!r}")
    if where.unknown is not None:
        parts.append('identity == ""' if where.unknown else 'identity != ""')
    return " and ".join(f"({part})" for part in parts)


def both(one: str, other: str) -> str:
    """What is true where both expressions are."""
    return f"({one}) and ({other})" if one and other else one or other


def among(field: str, values: Iterable[str]) -> str:
    """What is true where a text field has one of the values."""
    found = [quoted(value) for value in values]
    return f"{field} in [{', '.join(found)}]" if found else NOTHING


def quoted(text: str) -> str:
    """A text without control characters as a literal: with quotes and backslashes escaped, and no more."""
    return json.dumps(text, ensure_ascii=False)
