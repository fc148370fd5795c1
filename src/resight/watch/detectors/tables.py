"""Boxes that another program found: CSV tables in the place of a detector.

A table has the columns of :func:`~resight.images.video.read_boxes`: frame, x, y, width, height. Each box is a detection
with score 1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resight.errors import DataError
from resight.images.video import BoxTable, read_boxes
from resight.watch.detectors.detector import Detections
from resight.watch.source import Frame, is_live


@dataclass
class _Boxes:
    """The table of one video, and how many of its boxes were outside their frames so far."""

    path: Path
    table: BoxTable
    outside: int = 0


class Tables:
    """The boxes of videos.

    Args:
        place: the table of the one video that is watched, or a folder with a table for each: ``shop.csv`` for
            ``shop.mp4``.
        kind: what is in the boxes.
    """

    def __init__(self, place: str | os.PathLike[str], kind: str = "person") -> None:
        self.place, self.kind = Path(place), kind
        self._boxes: dict[str, _Boxes] = {}

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """The boxes in each frame.

        Raises:
            DataError: as :meth:`check`.
        """
        return [self._detect(frame) for frame in frames]

    def check(self, films: Mapping[str, int], cameras: Sequence[str] = ()) -> None:
        """Read the tables of all videos that are to be watched.

        Args:
            films: the number of frames of each, 0 where it is not known.
            cameras: live cameras that are to be watched.

        Raises:
            DataError: there is no table for a video, one table for two, a table for a camera, or one that is wrong.
        """
        for camera in cameras:
            raise self._of_camera(camera)
        for source, count in films.items():
            table = self._of(source).table
            if count and len(table) and table.frames.min() >= count:
                raise DataError(
                    f"{self._of(source).path} has boxes from frame {table.frames.min():,} on, but {source} "
                    f"has {count:,} frames, the first being 0: pass the table of this video."
                )

    def trouble(self, source: str, frames: int) -> str:
        """A message about the boxes of a video that were of no use, once its frames were read; "" for none."""
        boxes = self._of(source)
        left = int((boxes.table.frames >= frames).sum())
        parts = [
            f"{left:,} are of frames after its end" if left else "",
            f"{boxes.outside:,} are outside the frame" if boxes.outside else "",
        ]
        if not any(parts):
            return ""
        return (
            f"{boxes.path}: of {len(boxes.table):,} boxes {' and '.join(filter(None, parts))}. "
            f"Check that the table is of {source}, in its pixels."
        )

    def _of(self, source: str) -> _Boxes:
        if source in self._boxes:
            return self._boxes[source]
        if is_live(source):
            raise self._of_camera(source)
        path = self.place / f"{Path(source).stem}.csv" if self.place.is_dir() else self.place
        if not path.is_file():
            raise DataError(f"{path} does not exist: put a table of the boxes in {source} there.")
        for other, boxes in self._boxes.items():
            if boxes.path == path:
                raise DataError(
                    f"{path} would be the table of both {other} and {source}: pass a folder with a table for each, "
                    "or watch them one by one."
                )
        table = read_boxes(path, may_be_empty=True)
        empty = np.flatnonzero((table.boxes[:, 2:] <= 0).any(axis=1))
        if len(empty):
            width, height = table.boxes[empty[0], 2:]
            raise DataError(
                f"{path} line {table.lines[empty[0]]}: the box is {width:g} x {height:g}: both must be above 0."
            )
        return self._boxes.setdefault(source, _Boxes(path, table))

    def _of_camera(self, source: str) -> DataError:
        return DataError(f"{self.place} has boxes of videos, not of the camera {source}: use a detector.")

    def _detect(self, frame: Frame) -> Detections:
        boxes = self._of(frame.source)
        first, last = np.searchsorted(boxes.table.frames, [frame.number, frame.number + 1])
        corners = boxes.table.boxes[first:last].copy()
        corners[:, 2:] += corners[:, :2]
        found = Detections.within(frame, corners, np.ones(len(corners)), np.full(len(corners), self.kind))
        boxes.outside += len(corners) - len(found)
        return found
