"""A video and the boxes in it, one picture for each box."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.datasets.tables import Table, read_table
from resight.errors import DataError
from resight.images.decode import Pixels
from resight.images.film import Film, Still
from resight.images.stream import Item

BOX = ("frame", "x", "y", "width", "height")
ALSO = ("track", "camera")


@dataclass(frozen=True, eq=False)
class BoxTable:
    """N boxes of a CSV file, by frame; those of one frame in the order of the file.

    Attributes:
        frames: (N,) int64, from 0.
        boxes: (N, 4) float64: x, y, width, height; x and y are the left upper corner in pixels.
        lines: (N,) int64, the line of each in the file.
        tracks, cameras: (N,) int64, or None.
    """

    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]
    lines: NDArray[np.int64]
    tracks: NDArray[np.int64] | None = None
    cameras: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.frames)


def read_boxes(path: str | os.PathLike[str], *, may_be_empty: bool = False) -> BoxTable:
    """A CSV file with the columns frame, x, y, width, height and, where known, track and camera.

    Args:
        path: the file.
        may_be_empty: whether a header alone is a table without boxes.

    Raises:
        DataError: there is no such file, or a cell is not a number; the message names the line.
    """
    header = _header(path)
    names = (*BOX, *(name for name in ALSO if name in header))
    if may_be_empty and sorted(header) == sorted(names) and not _rows(path):
        none = np.zeros(0, np.int64)
        return BoxTable(none, np.zeros((0, 4)), none)
    table = read_table(Path(path), names)
    frames = _whole(table, "frame")
    boxes = np.stack([_numbers(table, name) for name in BOX[1:]], axis=1)
    order = np.argsort(frames, kind="stable")
    also = {f"{name}s": _whole(table, name)[order] for name in ALSO if name in table.columns}
    return BoxTable(frames[order], boxes[order], np.array(table.lines, np.int64)[order], **also)


@dataclass(frozen=True, eq=False)
class Video:
    """N boxes in a video, in the order of its frames; within a frame in that of the table.

    Args:
        path: a video that FFmpeg reads. Boxes are in the upright picture, turned as the video says.
        table: a CSV file as for :func:`read_boxes`. Boxes may have decimals, which are rounded, and are clipped to the
            frame.

    Attributes:
        frames: (N,) int64.
        boxes: (N, 4) float64: x, y, width, height.
        lines: (N,) int64, the line of each box in the table.
        tracks, cameras: (N,) int64, or None.
        names: (N,) str, for example ``"shop.mp4#frame=7&xywh=10,20,30,60"``.

    Raises:
        DataError: there is no such video, or a cell of the table is not a number; the message names the line.
    """

    path: str | os.PathLike[str]
    table: str | os.PathLike[str]
    frames: NDArray[np.int64] = field(init=False)
    boxes: NDArray[np.float64] = field(init=False)
    lines: NDArray[np.int64] = field(init=False)
    tracks: NDArray[np.int64] | None = field(init=False)
    cameras: NDArray[np.int64] | None = field(init=False)
    names: NDArray[np.str_] = field(init=False)

    def __post_init__(self) -> None:
        if not Path(self.path).is_file():
            raise DataError(f"{os.fspath(self.path)} does not exist: check the path of the video.")
        table = read_boxes(self.table)
        put = object.__setattr__
        for name in ("frames", "boxes", "lines", "tracks", "cameras"):
            put(self, name, getattr(table, name))
        places = zip(self.frames.tolist(), self.boxes.tolist(), strict=True)
        where = os.fspath(self.path)
        put(self, "names", np.array([f"{where}#frame={at}&xywh={_text(box)}" for at, box in places], np.str_))

    def __len__(self) -> int:
        return len(self.frames)

    def items(self, start: int = 0) -> Iterator[Item]:
        """The crops from the ``start``-th box on; frames are read once, in order. A bad box has its error instead.

        Raises:
            DataError: it is not a video that FFmpeg can read.
        """
        with closing(Film(self.path)) as film:
            stills = iter(film)
            still: Still | None = None
            shown, frame = -1, None  # the last frame that was converted, and its number
            over = False
            for row in range(start, len(self)):
                wanted = int(self.frames[row])
                while not over and (still is None or still.number < wanted):
                    following = next(stills, None)
                    still, over = following or still, following is None
                if still is None or still.number != wanted:
                    yield self._bad(row, self._absent(wanted, film, over))
                    continue
                if shown != wanted:
                    shown, frame = wanted, still.pixels()
                assert frame is not None
                yield self._crop(row, frame)

    def _absent(self, wanted: int, film: Film, over: bool) -> str:
        """Why there is no such frame."""
        frames = film.read + film.lost
        if over and not 0 <= wanted < frames:
            return f"frame {wanted} is not in the video, which has {frames}, the first being 0"
        return f"frame {wanted} is damaged in the video" if wanted >= 0 else f"frame {wanted} is not in the video"

    def _crop(self, row: int, frame: Pixels) -> Item:
        x, y, width, height = self.boxes[row].tolist()
        rows, columns = frame.shape[:2]
        left, right = max(0, round(x)), min(columns, round(x + width))
        top, bottom = max(0, round(y)), min(rows, round(y + height))
        if left >= right or top >= bottom:
            return self._bad(
                row, f"the box {_text([x, y, width, height])} has no pixel in its frame of {columns} x {rows}"
            )
        crop = frame[top:bottom, left:right].copy()  # a view would keep the whole frame
        return Item(row, str(self.names[row]), crop)

    def _bad(self, row: int, what: str) -> Item:
        error = f"{os.fspath(self.table)} line {self.lines[row]}: {what}: correct or remove the line."
        return Item(row, str(self.names[row]), DataError(error))


def _header(table: str | os.PathLike[str]) -> list[str]:
    """The names in the first line; none where it cannot be read, which reading the table reports."""
    try:
        with Path(table).open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, skipinitialspace=True), [])
    except (OSError, ValueError, csv.Error):
        return []


def _rows(table: str | os.PathLike[str]) -> bool:
    """Whether anything follows the first line."""
    return sum(1 for line in Path(table).read_bytes().splitlines() if line.strip()) > 1


def _numbers(table: Table, column: str) -> NDArray[np.float64]:
    values = []
    for row, cell in enumerate(table.columns[column]):
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or abs(value) > 2**31:
            raise table.error(row, f"{column} is {cell!r}: it must be a number.")
        values.append(value)
    return np.array(values, np.float64)


def _whole(table: Table, column: str) -> NDArray[np.int64]:
    values = _numbers(table, column)
    broken = values != np.round(values)
    if broken.any():
        row = int(np.argmax(broken))
        raise table.error(row, f"{column} is {table.columns[column][row]!r}: it must be a whole number.")
    return values.astype(np.int64)


def _text(box: list[float]) -> str:
    return ",".join(f"{value:g}" for value in box)
