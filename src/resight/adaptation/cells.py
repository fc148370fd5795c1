"""Cells of a table's column as numbers: what pandas, Arrow and CSV files leave empty stays unknown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.labels import is_missing

UNKNOWN = -1


def text_of(cell: object) -> str:
    """A cell as text, "" where it is empty; ``7.0`` is ``7``, for columns of whole numbers with gaps hold floats."""
    if is_missing(cell):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def coded(values: Any) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """(N,) numbers from 0 on, one for each different cell and -1 for an empty one; and the cells they stand for."""
    cells = np.asarray(values)
    if cells.dtype.kind not in "iu":
        cells = np.array([text_of(cell) for cell in cells.tolist()], np.str_)
    filled = cells != "" if cells.dtype.kind == "U" else np.ones(len(cells), np.bool_)
    found = np.full(len(cells), UNKNOWN, np.int64)
    names, found[filled] = np.unique(cells[filled], return_inverse=True)
    return found, tuple(map(str, names.tolist()))


def numbers(values: NDArray[Any], what: str) -> NDArray[np.float64]:
    """Cells as float64, NaN where one is empty; moments of NumPy and pandas as seconds since 1970.

    Raises:
        DataError: a cell that is no finite number.
    """
    if values.dtype.kind == "M":
        seconds = values.astype("datetime64[us]").astype(np.int64) / 1e6
        return np.where(np.isnat(values), np.nan, seconds)
    found = np.array([math.nan if is_missing(cell) else _number(cell) for cell in values.tolist()], np.float64)
    if np.isinf(found).any():
        wrong = str(values[int(np.argmax(np.isinf(found)))])
        raise DataError(f"{what} holds {wrong!r}, which is no number: write seconds, or numbers of frames.")
    return found


def _number(cell: object) -> float:
    """A cell as a number, infinity where it is none."""
    try:
        return math.inf if isinstance(cell, bool) else float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.inf
