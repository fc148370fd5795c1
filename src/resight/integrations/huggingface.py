"""Data sets of Hugging Face's ``datasets`` as images to embed, and as a data set to train and evaluate on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.files import atomic_folder, write_csv
from resight.records import Embeddings

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "query", "gallery")


def embed_rows(
    embedder: Embedder, rows: Dataset, image: str = "image", identity: str = "", camera: str = ""
) -> Embeddings:
    """The embeddings of the N pictures of a ``datasets.Dataset``, which is read as it is embedded.

    Args:
        embedder: of the model.
        rows: one split.
        image: the column of pictures; ``identity`` and ``camera``: those of labels, numbers, text or class labels,
            where there are any.

    Raises:
        DataError: no such column, or a picture that cannot be read.
    """
    _check(rows, image, identity, camera)
    found = embedder(row[image] for row in rows.select_columns([image]))
    known = {name: _labels(rows, column) for name, column in (("identities", identity), ("cameras", camera)) if column}
    return Embeddings(found.vectors, fingerprint=found.fingerprint, metric=found.metric, **known)  # type: ignore[arg-type]


def to_table(
    splits: dict[str, Dataset],
    folder: str | Path,
    image: str = "image",
    identity: str = "label",
    camera: str = "camera",
) -> Path:
    """Write splits as files and a list of them, ``images.csv``, which :func:`resight.datasets.load` reads as "table".

    Args:
        splits: ``train``, ``query`` and ``gallery``, or some of them.
        folder: a new folder. Pictures are written as they are encoded; what is not encoded yet becomes PNG.
        image, identity, camera: the columns.

    Raises:
        DataError: another split, no such column, or a folder that is there already.
    """
    other = [name for name in splits if name not in SPLITS]
    if other:
        raise DataError(f"{other[0]!r} is no split of re-identification: pass any of {', '.join(SPLITS)}.")
    with atomic_folder(folder) as made:
        lines: list[tuple[str, str, str, str]] = []
        for name, rows in splits.items():
            _check(rows, image, identity, camera)
            people, seen = _labels(rows, identity), _labels(rows, camera)
            encoded = _encoded(rows, image)
            (made / name).mkdir()
            for at, row in enumerate(encoded):
                data, suffix = _bytes(row[image])
                path = f"{name}/{at:07d}{suffix}"
                (made / path).write_bytes(data)
                lines.append((path, str(people[at]), str(seen[at]), name))
        write_csv(made / "images.csv", ("path", "identity", "camera", "split"), lines)
    return Path(folder) / "images.csv"


def _encoded(rows: Dataset, image: str) -> Any:
    """The column without decoding where it is an ``Image`` feature."""
    from datasets import Image

    some = rows.select_columns([image])
    return some.cast_column(image, Image(decode=False)) if isinstance(rows.features[image], Image) else some


def _bytes(value: Any) -> tuple[bytes, str]:
    if isinstance(value, dict):
        path = value.get("path") or ""
        data = value.get("bytes") or Path(path).read_bytes()
        return data, Path(path).suffix.lower() or ".png"
    from PIL import Image as Pillow

    picture = value if hasattr(value, "save") else Pillow.fromarray(np.asarray(value, np.uint8))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue(), ".png"


def _labels(rows: Dataset, column: str) -> list[Any]:
    values, kind = rows[column][:], rows.features[column]
    return [kind.int2str(value) for value in values] if hasattr(kind, "int2str") else list(values)


def _check(rows: Dataset, *columns: str) -> None:
    missing = [name for name in columns if name and name not in rows.column_names]
    if missing:
        raise DataError(
            f"The data set has no column {missing[0]!r} but {', '.join(rows.column_names)}: name the right one."
        )
