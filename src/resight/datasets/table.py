"""A table of images with their labels as a data set: a CSV or Parquet file, or a data frame.

The columns ``path`` and ``identity`` are needed; ``camera`` and ``split`` are known as well, and all others are kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.datasets.catalog import Dataset, register
from resight.datasets.splitting import answerable, choose_queries, hold_out
from resight.datasets.tables import read_table
from resight.errors import DataError, RecipeError
from resight.files import split_archive
from resight.labels import DISTRACTOR, JUNK, Label
from resight.paths import expanded
from resight.records import Split
from resight.texts import texts

NEEDED = ("path", "identity")
SPLITS = ("train", "query", "gallery", "test")
SUFFIXES = (".csv", ".tsv", ".parquet")


@register("table")
def table(
    root: Any,
    *,
    images: str | Path | None = None,
    path: str = "path",
    identity: str = "identity",
    camera: str = "camera",
    split: str = "split",
    junk: Label = JUNK,
    distractors: Label = None,
    train_fraction: float = 0.5,
    seed: int = 0,
    single_camera: bool | None = None,
) -> Dataset:
    """A data set from a table with a row for each image.

    The column ``split`` says ``train``, ``query`` or ``gallery``; images of ``test`` are parted into query and gallery.
    Without it, identities are split into training and testing, and queries chosen. Without the column ``camera``,
    images match whatever took them.

    Args:
        root: a CSV or Parquet file, a data frame of pandas, polars or pyarrow, or a dictionary of columns.
        images: the folder that relative paths count from. By default the folder of the file, the one above it, or the
            working folder, whichever has the image; of a data frame the working folder.
        path, identity, camera, split: what these columns are called.
        junk: the label of images that are never counted; distractors: that of gallery images that match no query.
            None for none.
        train_fraction, seed, single_camera: as for :func:`resight.datasets.folder.folder`.

    Returns:
        A data set whose splits have all other columns of the table. Labels may be integers or text, see
        :mod:`resight.labels`; integers count one more unless ``distractors`` is 0.

    Raises:
        DataError: a file or a column that is missing, a row without a label, an image that is not there, or nothing to
            ask.
        RecipeError: a ``train_fraction`` that makes no sense.
    """
    if not 0 <= train_fraction < 1:
        raise RecipeError(f"train_fraction is {train_fraction}: it must be at least 0 and less than 1.")
    where = os.fspath(root) if isinstance(root, (str, os.PathLike)) else "the table"
    columns = read_columns(root, where, (path, identity))
    missing = [name for name in (path, identity) if name not in columns]
    if missing:
        raise DataError(
            f"{where} has no column {missing[0]!r}, only {', '.join(columns)}: name it with {missing[0]}=..."
        )
    paths = image_paths(columns.pop(path), root, images, where)
    labels, seen, parts = columns.pop(identity), columns.pop(camera, None), columns.pop(split, None)
    cameras = np.zeros(len(paths), np.int64) if seen is None else seen
    everyone = Split(paths, labels, cameras, columns, "table", junk, distractors)
    single = single_camera if single_camera is not None else len(np.unique(everyone.cameras)) < 2
    notes = [f"Images of one camera match each other: {'no' if seen is None else 'one'} camera is known."] * single
    if parts is None:
        train, query, gallery = _divide(where, everyone, train_fraction, seed, single, notes)
    else:
        train, query, gallery = _given(where, everyone, parts, seed, single)
    if not answerable(query, gallery, single_camera=single).any():
        raise DataError(
            f"{where} has no query with a true match in the gallery, so nothing can be measured: add images of one "
            "identity from two cameras, or pass single_camera=True to let images of one match."
        )
    return Dataset("table", train, query, gallery, "single_camera" if single else "market1501", tuple(notes))


def read_columns(root: Any, where: str, needed: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The columns of a table by name, of one length; a column of a CSV is integers where all its cells are.

    Args:
        root: a CSV or Parquet file, a data frame of any library, or a dictionary of columns.
        where: what messages call it.
        needed: columns that a CSV file must have.

    Raises:
        DataError: no such file, no table, or a column that is missing.
    """
    if isinstance(root, (str, os.PathLike)):
        if where.lower().endswith(".parquet"):
            return _columns(_read_parquet(where), where)
        cells = read_table(where, needed, others=True).columns
        return {name: _numbers(np.array(values, dtype=np.str_)) for name, values in cells.items()}
    return _columns(root, where)


def _read_parquet(where: str) -> Any:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(
            f"{where} needs pyarrow: install it with pip install 'resight[parquet]', or save the table as CSV."
        ) from None
    if not Path(where).is_file():
        raise DataError(f"{where} does not exist: check the path.")
    try:
        return parquet.read_table(where)
    except Exception as error:  # damaged files fail in more ways than can be listed
        raise DataError(f"{where} is no Parquet file that can be read ({error}): write it again.") from None


def _columns(frame: Any, where: str) -> dict[str, NDArray[Any]]:
    """The columns of a data frame of any library, or of a dictionary."""
    names = (
        frame.keys() if isinstance(frame, Mapping) else getattr(frame, "column_names", getattr(frame, "columns", None))
    )
    if names is None:
        raise DataError(f"A table is a file, a data frame or a dictionary of columns, not {type(frame).__name__}.")
    found = {}
    for name in names:
        values = frame[name]
        found[str(name)] = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if len({len(values) for values in found.values()}) > 1:
        raise DataError(f"{where} has columns of different lengths: give each one value per image.")
    return found


def _numbers(cells: NDArray[np.str_]) -> NDArray[Any]:
    """Cells of a CSV as integers where all are such and none is written with zeros before it."""
    plain = np.char.lstrip(cells, "-")
    whole = np.char.isdecimal(plain) & ((np.char.str_len(plain) == 1) | ~np.char.startswith(plain, "0"))
    return cells.astype(np.int64) if whole.all() and np.char.str_len(plain).max() < 19 else cells


def _bases(root: Any, images: str | Path | None) -> list[Path]:
    """The folders that relative paths may count from."""
    if images is not None:
        return [Path(expanded(images)).absolute()]
    folder = Path(root).absolute().parent if isinstance(root, (str, os.PathLike)) else Path.cwd()
    return list(dict.fromkeys((folder, folder.parent, Path.cwd())))


def image_paths(values: NDArray[Any], root: Any, images: str | Path | None, where: str) -> NDArray[np.str_]:
    """The images' paths (N,) in a column of a table; they may lie inside a zip archive.

    Args:
        values: (N,) the column.
        root: the table, from whose folder relative paths count, from the one above it, or from the working folder,
            unless ``images`` names a folder.
        where: what messages call the table.

    Raises:
        DataError: a cell that is no path, or an image that is not there.
    """
    bases = _bases(root, images)
    found: list[str] = []
    for row, cell in enumerate(values.tolist(), start=1):
        if not isinstance(cell, (str, os.PathLike)):
            raise DataError(f"{where} has no path in row {row} but {cell!r}: fill it in, or leave the row out.")
        names = dict.fromkeys((os.fspath(cell), os.fspath(cell).replace("\\", "/")))  # or as Windows writes it
        places = (base / name for name in names for base in bases)
        place = next((place for place in places if place.is_file() or split_archive(str(place))[1]), None)
        if place is None:
            raise DataError(
                f"{where} row {row}: {os.fspath(cell)} is not in {' or '.join(map(str, bases))}: correct the path, or "
                "pass the folder that paths count from as images=... (--set images=...)."
            )
        found.append(os.path.normpath(place))
    return texts(found)


def _divide(
    where: str, everyone: Split, train_fraction: float, seed: int, single: bool, notes: list[str]
) -> tuple[Split, Split, Split]:
    """Train, query and gallery of a table without splits; train shares no identity with the others."""
    known = len(np.unique(everyone.identities[everyone.identities > DISTRACTOR]))
    if known < 2 and train_fraction:
        raise DataError(
            f"{where} has {known} identity(ies), but to train and to test takes two or more: add some, or pass "
            "train_fraction=0 to test only."
        )
    to_train = min(max(round(known * train_fraction), 1), known - 1) if train_fraction else 0
    notes.append(f"{to_train} of {known} identities are for training, the others for testing (seed {seed}).")
    return hold_out(everyone, known - to_train, seed=seed, single_camera=single)


def _given(where: str, everyone: Split, parts: NDArray[Any], seed: int, single: bool) -> tuple[Split, Split, Split]:
    """Train, query and gallery as the column of splits says."""
    names = np.char.lower(parts.astype(np.str_))
    unknown = sorted(set(names.tolist()) - set(SPLITS))
    if unknown:
        raise DataError(f"{where} has the split {unknown[0]!r}: name each {', '.join(SPLITS[:-1])} or {SPLITS[-1]}.")
    train, query, gallery, test = (everyone.take(names == name, f"table {name}") for name in SPLITS)
    if len(test):
        if len(query) or len(gallery):
            raise DataError(
                f"{where} has the split test as well as query or gallery: use one of these two for its images."
            )
        asked = choose_queries(test.identities, test.cameras, seed=seed, single_camera=single)
        query, gallery = test.take(asked, "table query"), test.take(~asked, "table gallery")
    return train, query, gallery
