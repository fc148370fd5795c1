"""Boxes that another program found: CSV tables in the place of a detector.

A table has the columns of :class:`~resight.images.video.Video`: frame, x, y, width, height. They are taken as people
that were found for sure.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resight.errors import DataError
from resight.images.video import Video
from resight.watch.detectors.detector import Detections
from resight.watch.frames import Frame, is_live


class Tables:
    """The boxes of videos.

    Args:
        place: the table of the one video that is watched, or a folder with a table for each: ``shop.csv`` for
            ``shop.mp4``.
        kind: what is in the boxes.
    """

    def __init__(self, place: str | os.PathLike[str], kind: str = "person") -> None:
        self.place, self.kind = Path(place), kind
        self._videos: dict[str, Video | None] = {}

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """The boxes in each frame.

        Raises:
            DataError: there is no table for a video, or it is not as it should be.
        """
        return [self._look(frame) for frame in frames]

    def _look(self, frame: Frame) -> Detections:
        if frame.source not in self._videos:
            if is_live(frame.source):
                raise DataError(f"{self.place} has boxes of videos, not of the camera {frame.source}: use a detector.")
            stem = Path(frame.source).stem
            table = self.place / f"{stem}.csv" if self.place.is_dir() else self.place
            if not table.is_file():
                raise DataError(f"{table} does not exist: put a table of the boxes in {frame.source} there.")
            empty = sum(1 for line in table.read_bytes().splitlines() if line.strip()) == 1  # nobody in the whole video
            self._videos[frame.source] = None if empty else Video(frame.source, table)
        video = self._videos[frame.source]
        if video is None:
            return Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.str_))
        first, last = np.searchsorted(video.frames, [frame.number, frame.number + 1])
        boxes = video.boxes[first:last].copy()
        boxes[:, 2:] += boxes[:, :2]
        return Detections.within(frame, boxes, np.ones(len(boxes)), np.full(len(boxes), self.kind))
