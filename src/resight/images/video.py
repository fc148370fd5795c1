"""A video and the boxes in it, one picture for each box."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from resight.datasets.tables import Table, read_table
from resight.errors import DataError
from resight.images.decode import Pixels
from resight.images.stream import Item

BOX = ("frame", "x", "y", "width", "height")
ALSO = ("track", "camera")


@dataclass(frozen=True, eq=False)
class Video:
    """N boxes in a video, in the order of its frames; within a frame in that of the table.

    Args:
        path: a video that OpenCV reads.
        table: a CSV file with the columns frame, x, y, width, height and, where known, track and camera. Frames count
            from 0; x and y are the left upper corner in pixels and may have decimals, which are rounded. What of a box
            lies outside its frame is cut off.

    Attributes:
        frames: (N,) int64.
        boxes: (N, 4) float64: x, y, width, height.
        lines: (N,) int64, where each box stands in the table.
        tracks, cameras: (N,) int64, or None.
        names: (N,) str, for example ``"shop.mp4#frame=7&xywh=10,20,30,60"``.

    Raises:
        DataError: there is no such video, or a cell of the table is no number; the message names the line.
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
        table = read_table(Path(self.table), (*BOX, *(name for name in ALSO if name in _header(self.table))))
        frames = _whole(table, "frame")
        boxes = np.stack([_numbers(table, name) for name in BOX[1:]], axis=1)
        order = np.argsort(frames, kind="stable")
        put = object.__setattr__
        put(self, "frames", frames[order])
        put(self, "boxes", boxes[order])
        put(self, "lines", np.array(table.lines, np.int64)[order])
        for name in ALSO:
            put(self, f"{name}s", _whole(table, name)[order] if name in table.columns else None)
        places = zip(self.frames.tolist(), self.boxes.tolist(), strict=True)
        where = os.fspath(self.path)
        put(self, "names", np.array([f"{where}#frame={at}&xywh={_told(box)}" for at, box in places], np.str_))

    def __len__(self) -> int:
        return len(self.frames)

    def items(self, start: int = 0) -> Iterator[Item]:
        """The crops from the ``start``-th box on; frames are read once, in order. A bad box has its error instead.

        Raises:
            DataError: it is not a video that OpenCV can read.
        """
        film = cv2.VideoCapture(os.fspath(self.path))
        try:
            if not film.isOpened():
                raise DataError(f"{os.fspath(self.path)} is no video that OpenCV can read: convert it to MP4 (H.264).")
            read, frame, shown = 0, None, -1  # frames that were read, the last one that was decoded, and its number
            for row in range(start, len(self)):
                wanted = int(self.frames[row])
                while read <= wanted and film.grab():
                    read += 1
                if not 0 <= wanted < read:
                    yield self._bad(row, f"frame {wanted} is not in the video, which has {read}, the first being 0")
                    continue
                if shown != wanted:
                    there, frame = film.retrieve()
                    frame, shown = frame if there else None, wanted
                yield self._crop(row, None if frame is None else np.asarray(frame, np.uint8))
        finally:
            film.release()

    def _crop(self, row: int, frame: Pixels | None) -> Item:
        if frame is None:
            return self._bad(row, f"frame {self.frames[row]} cannot be decoded")
        x, y, width, height = self.boxes[row].tolist()
        rows, columns = frame.shape[:2]
        left, right = max(0, round(x)), min(columns, round(x + width))
        top, bottom = max(0, round(y)), min(rows, round(y + height))
        if left >= right or top >= bottom:
            return self._bad(
                row, f"the box {_told([x, y, width, height])} has no pixel in its frame of {columns} x {rows}"
            )
        crop = np.ascontiguousarray(frame[top:bottom, left:right, ::-1])  # a copy: a view would keep the whole frame
        return Item(row, str(self.names[row]), crop)

    def _bad(self, row: int, what: str) -> Item:
        error = f"{os.fspath(self.table)} line {self.lines[row]}: {what}: mend the line or take it out."
        return Item(row, str(self.names[row]), DataError(error))


def _header(table: str | os.PathLike[str]) -> list[str]:
    """The names in the first line; none where it cannot be read, which the reading of the table then tells of."""
    try:
        with Path(table).open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, skipinitialspace=True), [])
    except (OSError, ValueError, csv.Error):
        return []


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


def _told(box: list[float]) -> str:
    return ",".join(f"{value:g}" for value in box)
