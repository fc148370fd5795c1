"""Tables of pandas, polars and Apache Arrow: columns of arrays in, columns of arrays out; none of them is required.

Shape letters: ``N`` rows, ``D`` numbers in each row of a column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError, RecipeError
from resight.texts import texts

Library = Literal["pandas", "polars", "pyarrow"]
ABOUT = "resight"  # where a table keeps what is not in its columns


def write(columns: Mapping[str, NDArray[Any]], about: Mapping[str, str], library: str) -> Any:
    """A table of (N,) columns, and (N, D) columns as lists of D.

    ``about`` is kept in pandas' ``attrs`` and in Arrow's metadata of the schema; polars has no place for it.

    Raises:
        RecipeError: another library, or one that is not installed.
    """
    if library not in ("pandas", "polars", "pyarrow"):
        raise RecipeError(f"There is no table of {library!r}: choose pandas, polars or pyarrow.")
    try:
        module = import_module(library)
    except ImportError:
        raise RecipeError(f"{library} is not installed: pip install {library}.") from None
    if library == "pandas":
        frame = module.DataFrame({name: _listed(column) for name, column in columns.items()})
        frame.attrs[ABOUT] = dict(about)
        return frame
    if library == "polars":
        return module.DataFrame({name: module.Series(name, column) for name, column in columns.items()})
    table = module.table({name: to_arrow(module, column) for name, column in columns.items()})
    return table.replace_schema_metadata({ABOUT: json.dumps(dict(about))})


def _listed(column: NDArray[Any]) -> Any:
    """What pandas takes: rows of several numbers as one object each."""
    return column if column.ndim == 1 else list(column)


def to_arrow(arrow: Any, values: NDArray[Any]) -> Any:
    """(N,) values, or (N, D) ones as lists of D."""
    flat = np.ascontiguousarray(values).ravel()
    found = arrow.array(flat.tolist(), arrow.string()) if flat.dtype.kind in "UO" else arrow.array(flat)
    return found if values.ndim == 1 else arrow.FixedSizeListArray.from_arrays(found, values.shape[1])


def from_arrow(arrow: Any, name: str, column: Any, rows: int) -> NDArray[Any]:
    """A chunked column as (N,), or as (N, D) if it holds lists; DataError for gaps and for lists of several lengths."""
    if column.null_count:
        raise DataError(f"{column.null_count} row(s) are without {name}: fill them or take them out.")
    kind = column.type
    if not (arrow.types.is_list(kind) or arrow.types.is_large_list(kind) or arrow.types.is_fixed_size_list(kind)):
        return _plain(column.to_numpy())
    lengths = {kind.list_size} if hasattr(kind, "list_size") else set(map(len, column.to_pylist()))
    if len(lengths) > 1:
        raise DataError(f"The rows of {name} have different lengths: all must have as many numbers.")
    flat = arrow.chunked_array([chunk.flatten() for chunk in column.chunks], kind.value_type)
    return _plain(flat.to_numpy()).reshape(rows, *lengths)


def read(table: Any) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The columns of a table as arrays (N,) or (N, D), and what :func:`write` kept about them.

    Raises:
        DataError: no such table, a column with gaps, or rows of different lengths in one.
    """
    library = type(table).__module__.partition(".")[0]
    if library == "pyarrow" and hasattr(table, "column_names"):
        arrow = import_module("pyarrow")
        kept = (table.schema.metadata or {}).get(ABOUT.encode(), b"{}")
        names = table.column_names
        return {name: from_arrow(arrow, name, table.column(name), table.num_rows) for name in names}, json.loads(kept)
    if library in ("pandas", "polars") and hasattr(table, "columns"):
        about = getattr(table, "attrs", {}).get(ABOUT, {})
        return {str(name): _column(str(name), table[name]) for name in table.columns}, dict(about)
    raise DataError(f"A {type(table).__name__} is no table of pandas, polars or pyarrow: pass one of these.")


def _column(name: str, series: Any) -> NDArray[Any]:
    gaps = int(series.isna().sum() if hasattr(series, "isna") else series.null_count())
    if gaps:
        raise DataError(f"{gaps} row(s) are without {name}: fill them or take them out.")
    values = series.to_numpy()
    if values.dtype == object and len(values) and hasattr(values[0], "__len__") and not isinstance(values[0], str):
        if len({len(row) for row in values}) > 1:
            raise DataError(f"The rows of {name} have different lengths: all must have as many numbers.")
        return np.stack([np.asarray(row) for row in values])
    return _plain(values)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Objects as text where all are; other objects are left to whoever checks the column."""
    if values.dtype == object and all(isinstance(value, str) for value in values):
        return texts(values.tolist())
    return np.asarray(values)
