"""CSV files, read so that an error names its line; and those of the course system: identities, triplets, answers.

Files of spreadsheets and of pandas are read as they are: in UTF-8 or UTF-16, separated by commas, semicolons or tabs,
with blank lines at the end, with an index column without a name, with backslashes in paths.

A path in a CSV counts from the folder the CSV lies in, or from the folder above that, or from the working folder:
of the three, in this order, the first where the file exists. The course does not say which it is.
Letters: N images, T triplets, Q queries, G gallery.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import DataError
from resight.files import is_image_name, read_bytes

IDLOSS = ("filepath", "id")
TRIPLETS = ("anchor", "positive", "negative")
RETRIEVAL = ("query", "gallery")


@dataclass(frozen=True)
class Table:
    """A CSV file: its cells by column, columns in the file's order, and the line on which each row stands."""

    path: str
    columns: Mapping[str, tuple[str, ...]]
    lines: tuple[int, ...]

    def error(self, row: int, what: str) -> DataError:
        """The error ``what`` with the place of ``row`` before it."""
        return DataError(f"{self.path} line {self.lines[row]}: {what}")


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Queries, the gallery they are asked of, and the answers where they are known.

    Attributes:
        table: the CSV file it was read from.
        queries: (Q,) str, absolute paths.
        gallery: (G,) str, absolute paths, in the order of their numbers.
        numbers: (G,) int64, ascending: the gallery image ``gallery/17.jpg`` has 17.
        answers: (Q,) int64, where in ``gallery`` the answer to each query stands, or -1 where it is not known.
    """

    table: Table
    queries: NDArray[np.str_]
    gallery: NDArray[np.str_]
    numbers: NDArray[np.int64]
    answers: NDArray[np.int64]


def read_table(path: str | Path, names: Sequence[str], *, blank: str = "", others: bool = False) -> Table:
    """The CSV file at ``path``, which must have the columns ``names``, in any order.

    Cells of the column ``blank`` may be empty. With ``others`` there may be more columns, whose cells may be empty;
    without it they are an error.

    Raises:
        DataError: the file is missing or is no CSV, has a column too many or too few, has no rows, or a row that is
            empty, has an empty cell or does not have one cell per column; the message names the line.
    """
    where = os.fspath(path)
    if not Path(where).is_file():
        raise DataError(f"{where} does not exist: check the path.")
    (_, header), *rows = _rows(where, names) or [(0, [])]
    while rows and not rows[-1][1]:
        rows.pop()
    missing = [name for name in names if name not in header]
    extra = [name for name in header if header.count(name) > 1 or not (others or name in names)]
    if missing or extra:
        wrong = f"lacks {_quoted(missing)}" if missing else f"has {_quoted(dict.fromkeys(extra))} too many"
        raise DataError(
            f"{where} line 1: the header {wrong}: the columns must {'include' if others else 'be'} {','.join(names)}."
        )
    cells: list[list[str]] = []
    lines: list[int] = []
    for line, row in rows:
        if not any(row):
            raise DataError(f"{where} line {line}: the row is empty: take it out.")
        if len(row) != len(header):
            raise DataError(
                f"{where} line {line}: the row has {len(row)} cell(s) for {len(header)} columns: "
                "correct it, and put quotes around a path with a comma."
            )
        for name, cell in zip(header, row, strict=True):
            if not cell and name != blank and name in names:
                raise DataError(f"{where} line {line}: the cell of {name} is empty: fill it or remove the row.")
        cells.append(row)
        lines.append(line)
    if not cells:
        raise DataError(f"{where} has a header but no rows: add some.")
    return Table(where, dict(zip(header, zip(*cells, strict=True), strict=True)), tuple(lines))


def _rows(where: str, names: Sequence[str]) -> list[tuple[int, list[str]]]:
    """(line, cells) of each row, the header first, by the separator that finds ``names`` in the header.

    A first column without a name, as pandas writes its index, is left out.
    """
    content = read_bytes(where)
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{where} is not UTF-8 text: save it as CSV in UTF-8.") from None
    header = text.partition("\n")[0].strip()
    found = (mark for mark in ",;\t" if set(names) <= {cell.strip(' "') for cell in header.split(mark)})
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=next(found, ","), skipinitialspace=True, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DataError(f"{where} line {reader.line_num}: this is not CSV ({error}): correct the line.") from None
    if rows and len(rows[0][1]) > 1 and rows[0][1][0] in ("", "Unnamed: 0"):
        rows = [(line, row[1:]) for line, row in rows]
    return rows


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def base_of(table: str | Path, cell: str) -> Path | None:
    """The folder from which the path ``cell`` of the CSV file ``table`` counts, or None if there is no such file."""
    folder = Path(table).absolute().parent
    places = (folder, folder.parent, Path.cwd())
    return next((base for base in places if os.path.isfile(base / cell)), None)  # noqa: PTH113, false where it cannot be


def find(table: Table, column: str) -> NDArray[np.str_]:
    """(N,) absolute paths of a column's files.

    Raises:
        DataError: one does not exist; the message names the line.
    """
    found: list[str] = []
    for row, cell in enumerate(table.columns[column]):
        base = base_of(table.path, cell)
        if base is None and "\\" in cell:  # as Windows writes paths
            cell = cell.replace("\\", "/")
            base = base_of(table.path, cell)
        if base is None:
            raise table.error(
                row,
                f"{cell} is neither in the CSV's folder, nor in the one above it, nor in the working folder: "
                "correct the path or put the image there.",
            )
        found.append(os.path.normpath(base / cell))
    return np.array(found, dtype=np.str_)


def _refuse_repeats(table: Table, rows: Sequence[object]) -> None:
    seen: dict[object, int] = {}
    for row, content in enumerate(rows):
        first = seen.setdefault(content, row)
        if first != row:
            raise table.error(row, f"it repeats line {table.lines[first]}: take one of the two out.")


def read_idloss(path: str | Path, num_identities: int | None = None) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """``train_idloss.csv`` or ``val_idloss.csv``, with the columns ``filepath`` and ``id``.

    Args:
        path: the CSV file.
        num_identities: where given, every id must be below it.

    Returns:
        (N,) absolute paths and (N,) ids, 0 or more.

    Raises:
        DataError: as for :func:`read_table`, a file that does not exist or stands there twice, or an id that is not
            a whole number from 0 to ``num_identities`` - 1; the message names the line.
    """
    table = read_table(path, IDLOSS)
    end = "on" if num_identities is None else f"to {num_identities - 1}"
    for row, cell in enumerate(table.columns["id"]):
        whole = cell.isascii() and cell.isdecimal() and len(cell) < 19
        if not whole or (num_identities is not None and int(cell) >= num_identities):
            raise table.error(row, f"the id is {cell!r}: it must be a whole number from 0 {end}.")
    paths = find(table, "filepath")
    _refuse_repeats(table, paths.tolist())
    return paths, np.array(list(map(int, table.columns["id"])), dtype=np.int64)


def read_triplets(path: str | Path) -> NDArray[np.str_]:
    """``train_random_triplet.csv``: (T, 3) absolute paths of anchors, positives and negatives.

    The course does not give its columns; we use one triplet per row, in the columns ``anchor``, ``positive`` and
    ``negative``.

    Raises:
        DataError: as for :func:`read_table`, a file that does not exist, or a triplet that stands there twice; the
            message names the line.
    """
    return triplet_table(path)[1]


def triplet_table(path: str | Path) -> tuple[Table, NDArray[np.str_]]:
    """As :func:`read_triplets`, with the table, which knows the lines."""
    table = read_table(path, TRIPLETS)
    found = np.stack([find(table, column) for column in TRIPLETS], axis=1)
    _refuse_repeats(table, list(map(tuple, found.tolist())))
    return table, found


def read_retrieval(path: str | Path) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """``val/gt.csv`` or ``test/pred.csv``, with the columns ``query`` and ``gallery``.

    Returns:
        (Q,) absolute paths of the queries, and of the gallery images that answer them; (0,) where the column
        ``gallery`` is empty all the way down.

    Raises:
        DataError: as for :func:`read_table`, a file that does not exist, a query that stands there twice, or a column
            ``gallery`` that is filled in part; the message names the line.
    """
    table, queries = _queries(path)
    return queries, _answers(table)


def _queries(path: str | Path) -> tuple[Table, NDArray[np.str_]]:
    table = read_table(path, RETRIEVAL, blank="gallery")
    queries = find(table, "query")
    _refuse_repeats(table, queries.tolist())
    return table, queries


def _answers(table: Table) -> NDArray[np.str_]:
    cells = table.columns["gallery"]
    if not any(cells):
        return np.empty(0, dtype=np.str_)
    if not all(cells):
        raise table.error(cells.index(""), "the cell of gallery is empty, but others are filled: fill it as well.")
    return find(table, "gallery")


def read_gallery(folder: str | Path) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """The images ``<number>.jpg`` of a gallery folder: (G,) absolute paths and (G,) numbers, by ascending number.

    Files that are not named like images are passed over.

    Raises:
        DataError: no such folder, no image in it, a name that is not a number, or two with the same number.
    """
    where = Path(folder).absolute()
    if not where.is_dir():
        raise DataError(f"{where} is not a folder: put the gallery's images there, named 0.jpg, 1.jpg, ...")
    found: dict[int, str] = {}
    for path in sorted(where.iterdir()):
        if path.name.startswith(".") or not is_image_name(path.name):
            continue
        stem = path.stem
        if not (stem.isascii() and stem.isdecimal() and len(stem) < 19):
            raise DataError(f"{path} is not named by a number: name the gallery's images 0.jpg, 1.jpg, ...")
        if int(stem) in found:
            raise DataError(f"{path} and {found[int(stem)]} have the same number: rename one of them.")
        found[int(stem)] = os.path.normpath(path)
    if not found:
        raise DataError(f"{where} holds no images: put the gallery's images there, named 0.jpg, 1.jpg, ...")
    numbers = sorted(found)
    return np.array([found[number] for number in numbers], dtype=np.str_), np.array(numbers, dtype=np.int64)


def retrieval(path: str | Path, *, answers: bool = True) -> Retrieval:
    """``val/gt.csv`` or ``test/pred.csv`` together with the folder ``gallery`` beside it.

    Args:
        path: the CSV file.
        answers: whether to read the column ``gallery``; without it, all answers are -1.

    Raises:
        DataError: as for :func:`read_retrieval` and :func:`read_gallery`, or an answer outside the gallery folder.
    """
    table, queries = _queries(path)
    gallery, numbers = read_gallery(Path(path).absolute().parent / "gallery")
    right = np.full(len(queries), -1, dtype=np.int64)
    place = {image: at for at, image in enumerate(gallery.tolist())}
    for row, image in enumerate(_answers(table).tolist() if answers else []):
        if image not in place:
            raise table.error(row, f"{image} is not in the gallery folder beside the CSV: correct the path.")
        right[row] = place[image]
    return Retrieval(table, queries, gallery, numbers, right)
