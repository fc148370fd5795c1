"""Tables of the MOTChallenge: one line a box, ``frame, identity, left, top, width, height, confidence, class,
visibility``, of which the last three may be missing or, in files of trackers, -1.

Frames count from 1. Pixels are taken as they stand, as other tools do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.datasets.layouts import read_lines
from resight.errors import DataError
from resight.files import write_text
from resight.labels import LARGEST

FIELDS = ("frame", "identity", "left", "top", "width", "height")
_SEPARATORS = (";", ",", "\t", None)  # None: blanks


@dataclass(frozen=True, eq=False)
class MotTable:
    """N boxes of one sequence.

    Attributes:
        frames: (N,) int64, from 1; ``identities``: (N,) int64.
        boxes: (N, 4) float64: left, top, right, bottom.
        confidence: (N,) float64; of ground truth 0 for what does not count. 1 where it is missing.
        classes: (N,) int64, 1 for a pedestrian; -1 where it is missing.
        visibility: (N,) float64, the share that can be seen; NaN where it is missing.
    """

    frames: NDArray[np.int64]
    identities: NDArray[np.int64]
    boxes: NDArray[np.float64]
    confidence: NDArray[np.float64]
    classes: NDArray[np.int64]
    visibility: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, which: NDArray[np.bool_]) -> MotTable:
        """The boxes marked in ``which`` (N,)."""
        return MotTable(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


def read_mot(path: str | Path) -> MotTable:
    """A table with semicolons, commas, tabs or blanks between its numbers: the first of these that is in a line counts,
    so that commas in the place of decimal points are refused.

    Raises:
        DataError: no such file, or a line that cannot be read, of an empty box, or of an identity that has a box in
            that frame already; the message has its number.
    """
    rows: list[tuple[float, ...]] = []
    seen: dict[tuple[float, float], int] = {}
    for number, line in read_lines(str(path)):
        here = f"{path} line {number}"
        try:
            separator = next(one for one in _SEPARATORS if one is None or one in line)
            row = tuple(float(value) for value in line.strip(",;\t ").split(separator))
        except ValueError:
            row = ()
        if len(row) < len(FIELDS) or not np.isfinite(row[:6]).all():
            raise DataError(f"{here} is {line!r}, but must begin with the numbers {', '.join(FIELDS)}: correct it.")
        frame, who, _, _, width, height = row[:6]
        if len(row) > 6 and not np.isfinite(row[6]):
            raise DataError(f"{here} has the confidence {row[6]:g}: write a number, 0 for what does not count.")
        if len(row) > 7 and not row[7].is_integer():
            raise DataError(f"{here} has the class {row[7]:g}, but classes are whole, or -1: correct it.")
        if frame != int(frame) or who != int(who) or frame < 1:
            raise DataError(f"{here} is frame {frame:g}, identity {who:g}: both are whole, and frames count from 1.")
        if max(map(abs, (frame, who, *row[7:8]))) > LARGEST:
            raise DataError(f"{here} has a frame, identity or class beyond 2^53 - 1: number them from 1.")
        if width <= 0 or height <= 0:
            raise DataError(f"{here} has a box of {width:g} x {height:g} pixels: take the line out.")
        before = seen.setdefault((frame, who), number)
        if before != number and who >= 0:
            raise DataError(
                f"{here} gives identity {who:g} a second box in frame {frame:g}, after line {before}: drop one."
            )
        rows.append(row + (1.0, -1.0, np.nan)[len(row) - 6 :] if len(row) < 9 else row[:9])
    table = np.array(rows, np.float64).reshape(-1, 9)
    corner = table[:, 2:4]
    return MotTable(
        table[:, 0].astype(np.int64),
        table[:, 1].astype(np.int64),
        np.concatenate([corner, corner + table[:, 4:6]], axis=1),
        table[:, 6],
        table[:, 7].astype(np.int64),
        np.where(table[:, 8] < 0, np.nan, table[:, 8]),
    )


def write_mot(path: str | Path, rows: Iterable[tuple[int, int, NDArray[np.float64]]]) -> None:
    """Write a table of a tracker, in the order of its frames: (frame from 1, identity, (4,) left, top, right, bottom).

    Raises:
        ResightError: the file cannot be written; one that was there is unchanged.
    """
    lines = []
    for frame, who, box in sorted(rows, key=lambda row: row[:2]):
        left, top, right, bottom = box.tolist()
        lines.append(f"{frame},{who},{left:.2f},{top:.2f},{right - left:.2f},{bottom - top:.2f},1,-1,-1,-1\n")
    write_text(path, "".join(lines))
