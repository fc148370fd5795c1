"""Embeddings on disk: Parquet, which every data tool reads, or NumPy's npz, which needs nothing else.

A Parquet file has a row per image: ``path``, ``identity`` and ``camera`` where known, further columns, and
``embedding``, a list of D float32. An npz file has the same as arrays, of N entries each.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.dataframes import from_arrow, to_arrow
from resight.errors import DataError, ResightError, first_line
from resight.files import atomic_path
from resight.records import Embeddings
from resight.texts import packed, unpacked

SUFFIXES = (".parquet", ".npz")
_FIELDS = {"path": "paths", "identity": "identities", "camera": "cameras"}  # in a file, and in Embeddings
_VECTORS = "embedding"
_PACKED = ":utf8"  # ends the name of texts of very different lengths, which are bytes in the file
_ABOUT, _METRIC = "resight", "resight_metric"  # fingerprint and metric: Parquet's metadata has both under the first


def check(path: str | Path, columns: Mapping[str, NDArray[Any]] = MappingProxyType({})) -> None:
    """Refuse a file name that says no format, Parquet where it is not installed, and text that it cannot hold."""
    if Path(path).suffix not in SUFFIXES:
        raise DataError(f"{path} must end in {' or '.join(SUFFIXES)}: say which of the two to write.")
    if Path(path).suffix == ".parquet":
        _arrow()
        for name, column in columns.items():
            for text in column.ravel().tolist() if column.dtype.kind in "UO" else ():
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise DataError(
                        f"The {name} {text!r} is no UTF-8, which Parquet needs: rename it, or write .npz."
                    ) from None


def check_replaceable(path: str | Path) -> None:
    """Refuse to replace anything else than embeddings written by resight.

    Raises:
        DataError: there is such a file, a folder, or a pipe.
    """
    file = Path(path)
    if file.exists() and not file.is_file():
        what = "a folder" if file.is_dir() else "a pipe, socket or device"
        raise DataError(f"{path} is {what}, and parts of a file cannot be joined there: choose another name.")
    if file.is_file() and file.stat().st_size and not _is_ours(file):
        raise DataError(f"{path} holds no embeddings written by resight: delete it, or choose another name.")


def _is_ours(file: Path) -> bool:
    try:
        if file.suffix == ".parquet":
            return _ABOUT.encode() in (_arrow().parquet.read_schema(file).metadata or {})
        with zipfile.ZipFile(file) as archive:
            return f"{_ABOUT}.npy" in archive.namelist()
    except ResightError:
        raise
    except Exception:  # whatever a reader meets in bytes of another kind
        return False


def save(path: str | Path, embeddings: Embeddings) -> None:
    """Write embeddings, whole or not at all; the name ends in ``.parquet`` or ``.npz``."""
    about = embeddings.fingerprint, embeddings.metric
    write(path, columns_of(embeddings), [embeddings.vectors], len(embeddings), *about)


def columns_of(known: Any) -> dict[str, NDArray[Any]]:
    """The columns of a file, but for the vectors: of whatever has paths, identities, cameras (or None) and columns."""
    there = {name: getattr(known, own) for name, own in _FIELDS.items()}
    for name, column in known.columns.items():
        if column.ndim > 2:
            raise DataError(f"The column {name!r} has shape {column.shape}: a file takes one value or row per image.")
    taken = [name for name in known.columns if name in (*_FIELDS, _VECTORS, _ABOUT, _METRIC)]
    if taken:
        raise DataError(f"The column {taken[0]!r} has a name that means something else in the file: rename it.")
    return {name: column for name, column in there.items() if column is not None} | dict(known.columns)


def write(
    path: str | Path,
    columns: Mapping[str, NDArray[Any]],
    vectors: Iterable[NDArray[np.float32]],
    count: int,
    fingerprint: str,
    metric: str = "",
) -> None:
    """Write ``count`` rows whose vectors come in parts (n, D), one after the other, of which one is held at a time.

    Raises:
        DataError: an ending that is neither ``.parquet`` nor ``.npz``, or columns that do not fit in the file.
        ResightError: the file cannot be written.
    """
    check(path, columns)
    with atomic_path(path) as temporary:
        if Path(path).suffix == ".parquet":
            _write_parquet(temporary, columns, vectors, fingerprint, metric)
        else:
            _write_npz(temporary, columns, vectors, count, fingerprint, metric)


def read(path: str | Path) -> Embeddings:
    """The embeddings of a file that :func:`save`, :func:`write` or ``resight embed`` wrote.

    Raises:
        DataError: it is missing, damaged, or lacks embeddings.
    """
    check(path)
    if not Path(path).is_file():
        raise DataError(f"{path} does not exist: check the path of the embeddings.")
    try:
        found, fingerprint, metric = (_read_parquet if Path(path).suffix == ".parquet" else _read_npz)(Path(path))
    except ResightError:
        raise
    except Exception as error:  # a damaged file fails in any way it likes
        raise DataError(
            f"{path} holds no embeddings that can be read ({first_line(error)}): embed the images again."
        ) from None
    if _VECTORS not in found:
        raise DataError(f"{path} has no column {_VECTORS!r}: pass a file that resight embed wrote.")
    vectors = found.pop(_VECTORS)
    known = {own: found.pop(name, None) for name, own in _FIELDS.items()}
    labels = known["identities"], known["cameras"], known["paths"]
    return Embeddings(vectors, *labels, columns=found, fingerprint=fingerprint, metric=metric)


def _arrow() -> Any:
    try:
        import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(
            "Parquet files need pyarrow: install it with pip install 'resight[parquet]', or use a name ending in .npz."
        ) from None
    return import_module("pyarrow")


def _write_parquet(
    path: Path,
    columns: Mapping[str, NDArray[Any]],
    vectors: Iterable[NDArray[np.float32]],
    fingerprint: str,
    metric: str,
) -> None:
    arrow, at, writer = _arrow(), 0, None
    try:
        for some in vectors:
            rows = {name: column[at : at + len(some)] for name, column in columns.items()} | {_VECTORS: some}
            table = arrow.table({name: to_arrow(arrow, values) for name, values in rows.items()})
            table = table.replace_schema_metadata({_ABOUT: json.dumps({"fingerprint": fingerprint, "metric": metric})})
            writer = writer or arrow.parquet.ParquetWriter(path, table.schema, use_dictionary=False)
            writer.write_table(table)
            at += len(some)
    finally:
        if writer:
            writer.close()


def _read_parquet(path: Path) -> tuple[dict[str, NDArray[Any]], str, str]:
    arrow = _arrow()
    table = arrow.parquet.read_table(path, memory_map=True)
    found = {name: from_arrow(arrow, name, table.column(name), table.num_rows) for name in table.column_names}
    about = json.loads((table.schema.metadata or {}).get(_ABOUT.encode(), b"{}"))
    return found, str(about.get("fingerprint", "")), str(about.get("metric", ""))


def _write_npz(
    path: Path,
    columns: Mapping[str, NDArray[Any]],
    vectors: Iterable[NDArray[np.float32]],
    count: int,
    fingerprint: str,
    metric: str,
) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        plain = {
            name + (_PACKED if column.dtype == object else ""): packed(column) if column.dtype == object else column
            for name, column in columns.items()
        }
        for name, column in {_ABOUT: np.array(fingerprint), _METRIC: np.array(metric), **plain}.items():
            with _member(archive, name) as file:
                np.lib.format.write_array(file, column, allow_pickle=False)
        with _member(archive, _VECTORS) as file:
            for at, some in enumerate(vectors):
                if not at:
                    header = {"descr": "<f4", "fortran_order": False, "shape": (count, some.shape[1])}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(np.ascontiguousarray(some, "<f4").tobytes())


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    """A member to write to, of the same date whenever it is written; it may be of any size."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _read_npz(path: Path) -> tuple[dict[str, NDArray[Any]], str, str]:
    with np.load(path, allow_pickle=False) as file:
        kept = {name: file[name] for name in file.files}
    found = {
        name.removesuffix(_PACKED): unpacked(column) if name.endswith(_PACKED) else column
        for name, column in kept.items()
    }
    return found, str(found.pop(_ABOUT, "")), str(found.pop(_METRIC, ""))
