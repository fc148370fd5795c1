"""Videos of plain rectangles that move over grey, with their boxes."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

RATE = 10
HEIGHT, WIDTH = 120, 200
COLOURS = {
    "red": (200, 30, 30),
    "green": (30, 180, 40),
    "blue": (40, 60, 210),
    "yellow": (220, 210, 40),
}


@dataclass(frozen=True)
class Walk:
    """A rectangle of one colour that walks from one side to the other between two frames."""

    colour: str
    first: int
    last: int
    left_to_right: bool = True
    top: int = 40

    def box(self, frame: int) -> tuple[int, int, int, int] | None:
        """Left, top, width and height in a frame."""
        if not self.first <= frame <= self.last:
            return None
        share = (frame - self.first) / max(1, self.last - self.first)
        return round(4 + (share if self.left_to_right else 1 - share) * (WIDTH - 32)), self.top, 24, 60


def write(folder: Path, name: str, walks: Iterable[Walk], frames: int = 40) -> Path:
    """A video, and beside it the table of its boxes."""
    path = folder / f"{name}.avi"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT))
    rows = []
    for number in range(frames):
        image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        for walk in sorted(walks, key=lambda walk: walk.top):
            box = walk.box(number)
            if box is not None:
                left, top, width, height = box
                image[top : top + height, left : left + width] = COLOURS[walk.colour]
                rows.append((number, *box))
        film.write(image[..., ::-1])
    film.release()
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("frame", "x", "y", "width", "height"))
        writer.writerows(rows)
    return path
