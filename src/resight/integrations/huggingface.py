"""Data sets of Hugging Face's ``datasets`` as images to embed, and as a data set to train and evaluate on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.embedding.embedder import Embedder
from resight.errors import DataError
from resight.files import atomic_folder, read_bytes, write_csv
from resight.labels import is_missing
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
        DataError: no such column, a row without a label (of a class label -1, too), or a picture that is missing or
            cannot be read.
    """
    _check(rows, image, identity, camera)
    known = {name: _labels(rows, column) for name, column in (("identities", identity), ("cameras", camera)) if column}
    found = embedder(_pictures(rows, image))
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
        image, identity, camera: the columns; ``camera=""`` where there is none.

    Raises:
        DataError: another split, no such column, a row without a label (of a class label -1, too) or without a
            picture, or a folder that is there already.
    """
    other = [name for name in splits if name not in SPLITS]
    if other:
        raise DataError(f"{other[0]!r} is no split of re-identification: pass any of {', '.join(SPLITS)}.")
    with atomic_folder(folder) as made:
        lines: list[tuple[str, ...]] = []
        for name, rows in splits.items():
            _check(rows, image, identity, camera)
            known = [_labels(rows, column) for column in (identity, camera) if column]
            (made / name).mkdir()
            for at, row in enumerate(_encoded(rows, image)):
                data, suffix = _bytes(row[image], f"Row {at:,} of {name}")
                path = f"{name}/{at:07d}{suffix}"
                (made / path).write_bytes(data)
                lines.append((path, *(str(labels[at]) for labels in known), name))
        columns = ("path", "identity", "camera", "split") if camera else ("path", "identity", "split")
        write_csv(made / "images.csv", columns, lines)
    return Path(folder) / "images.csv"


def _encoded(rows: Dataset, image: str) -> Any:
    """The column without decoding where it is an ``Image`` feature."""
    from datasets import Image

    some = rows.select_columns([image])
    return some.cast_column(image, Image(decode=False)) if isinstance(rows.features[image], Image) else some


def _pictures(rows: Dataset, image: str) -> Iterator[Any]:
    """The pictures, as the library decodes them."""
    at = -1
    try:
        for at, row in enumerate(rows.select_columns([image])):
            if row[image] is None:
                raise _no_picture(f"Row {at:,}")
            yield row[image]
    except OSError as error:  # Pillow's, too
        raise DataError(f"The picture of row {at + 1:,} cannot be read ({error}): mend it, or leave it out.") from None


def _bytes(value: Any, row: str) -> tuple[bytes, str]:
    """A picture as a file, and how its name ends."""
    if isinstance(value, dict):
        data, path = value.get("bytes"), value.get("path") or ""
        if data is None and not path:
            raise _no_picture(row)
        return read_bytes(path) if data is None else data, Path(path).suffix.lower() or ".png"
    if value is None:
        raise _no_picture(row)
    from PIL import Image as Pillow

    picture = value if hasattr(value, "save") else Pillow.fromarray(np.asarray(value, np.uint8))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue(), ".png"


def _no_picture(row: str) -> DataError:
    return DataError(f"{row} has no picture: leave it out with filter.")


def _labels(rows: Dataset, column: str) -> list[Any]:
    """The labels, of classes their names."""
    values, kind = list(rows[column][:]), rows.features[column]
    classes = hasattr(kind, "int2str")
    missing = [at for at, value in enumerate(values) if is_missing(value) or (classes and value < 0)]
    if missing:  # a class label that is not known is -1
        raise DataError(
            f"{len(missing):,} of {len(values):,} rows have no {column}, first row {missing[0]:,}: leave them out with "
            "filter."
        )
    return [kind.int2str(value) for value in values] if classes else values


def _check(rows: Dataset, *columns: str) -> None:
    missing = [name for name in columns if name and name not in rows.column_names]
    if missing:
        raise DataError(
            f"The data set has no column {missing[0]!r} but {', '.join(rows.column_names)}: name the right one."
        )
