"""A place with several cameras and people who walk between them, as synthetic videos with known boxes and identities.

People cross each other and hide each other; a camera sees nothing of what another sees; it takes time to walk from one
to the next. Tables contain the true identities, so that tracking and recognition can be measured.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from resight.datasets.synthetic.cameras import Camera, Image, Pen, camera_model, photograph
from resight.datasets.synthetic.people import BACK, FRONT, SIDE, Person, from_ahead, from_the_side, person
from resight.errors import DataError
from resight.files import atomic_folder

WALK = 3.0  # seconds from one camera to the next, at least
SEEN = 0.3  # a box of whom less can be seen is left out of the tables
WIDE = 0.4  # the width of a box in heights of the person

Lane = tuple[float, float]  # where the feet are: across the picture (0 left, 1 right) and how near (0 far, 1 near)


@dataclass(frozen=True)
class Scene:
    """What :func:`write_scene` wrote, one of each for every camera.

    Attributes:
        videos: Motion JPEG, ``camera1.avi`` and so on; all begin at the same time.
        tables: the boxes as for :class:`resight.images.video.Video`, ``camera1.csv`` and so on; ``track`` is the
            identity.
    """

    videos: tuple[Path, ...]
    tables: tuple[Path, ...]


@dataclass(frozen=True)
class Visit:
    """A person walks through the view of a camera, from ``start`` to ``goal``, and perhaps stands still on the way."""

    identity: int
    camera: int
    begin: float
    walking: float
    standing: float
    start: Lane
    goal: Lane

    @property
    def end(self) -> float:
        """When the walk is over."""
        return self.begin + self.walking + self.standing

    def at(self, time: float) -> tuple[Lane, bool] | None:
        """Where the person is, and whether they walk; None while they are not there."""
        if not self.begin <= time < self.end:
            return None
        gone = time - self.begin
        half = self.walking / 2
        walks = not half <= gone < half + self.standing
        share = min(gone, max(half, gone - self.standing)) / self.walking
        x, near = (a + share * (b - a) for a, b in zip(self.start, self.goal, strict=True))
        return (x, near), walks


def plan(*, people: int, cameras: int, seconds: float, seed: int = 0, first: int = 1) -> list[Visit]:
    """Who walks where and when; nobody is in two places at once, and ``WALK`` seconds lie between two cameras."""
    visits = []
    for identity in range(first, first + people):
        rng = np.random.default_rng((seed, 6, identity))
        now, camera = float(rng.uniform(0, seconds / 5)), int(rng.integers(cameras))
        while now < seconds - 3:
            visit = _visit(rng, identity, camera + 1, now)
            visits.append(visit)
            now = visit.end + WALK + float(rng.uniform(0, 4))
            camera = int((camera + rng.integers(1, cameras)) % cameras) if cameras > 1 else camera
    return visits


def _visit(rng: np.random.Generator, identity: int, camera: int, now: float) -> Visit:
    near, other = rng.uniform(0.1, 0.9, 2).tolist()
    left, right = (-0.12, 1.12) if rng.random() < 0.5 else (1.12, -0.12)
    style = rng.random()
    if style < 0.6:  # across
        start, goal = (left, near), (right, float(np.clip(other, near - 0.25, near + 0.25)))
    else:  # comes nearer, or goes away, and leaves at a side
        ends = (0.0, 1.0) if style < 0.8 else (1.0, 0.0)
        start, goal = (float(rng.uniform(0.2, 0.8)), ends[0]), (right, ends[1])
        if style >= 0.8:
            start, goal = (left, ends[0]), (float(rng.uniform(0.2, 0.8)), ends[1])
    standing = float(rng.uniform(1, 3)) if rng.random() < 0.25 else 0.0
    return Visit(identity, camera, now, float(rng.uniform(4, 7)), standing, start, goal)


def write_scene(
    folder: str | Path,
    *,
    people: int = 10,
    cameras: int = 3,
    seconds: float = 40.0,
    rate: int = 10,
    size: tuple[int, int] = (360, 640),
    seed: int = 0,
    first: int = 1,
) -> Scene:
    """Draw the videos and write the tables, all or nothing; the same arguments give the same pixels.

    Args:
        folder: a new folder.
        people: how many walk about, 1 or more; ``cameras``: how many film them, 1 to 99.
        seconds: how long; ``rate``: frames per second.
        size: (height, width) of a frame, at least 64 each.
        seed: which people and cameras, 0 or more, as for :func:`resight.datasets.synthetic.dataset.generate`.
        first: the number of the first person; those from there on walk about.

    Raises:
        DataError: an argument out of its range, or the folder is there already.
        ResightError: the folder cannot be written.
    """
    target = Path(folder)
    for name, value, least in (("people", people, 1), ("cameras", cameras, 1), ("rate", rate, 1), ("first", first, 1)):
        if value < least:
            raise DataError(f"A scene cannot have {name}={value}: pass {least} or more.")
    if cameras > 99 or min(size) < 64 or not seconds > 0:
        raise DataError(
            "A scene has at most 99 cameras, frames of 64 x 64 pixels or more, and takes more than 0 seconds."
        )
    if target.exists():
        raise DataError(f"{target} exists already and is never written over: choose a new folder.")
    visits = plan(people=people, cameras=cameras, seconds=seconds, seed=seed, first=first)
    with atomic_folder(target) as staging:
        for camera in range(1, cameras + 1):
            own = [visit for visit in visits if visit.camera == camera]
            _film(staging / f"camera{camera}", own, camera, round(seconds * rate), rate, size, seed)
    names = [f"camera{camera}" for camera in range(1, cameras + 1)]
    return Scene(tuple(target / f"{name}.avi" for name in names), tuple(target / f"{name}.csv" for name in names))


def _film(
    stem: Path, visits: list[Visit], camera: int, frames: int, rate: int, size: tuple[int, int], seed: int
) -> None:
    height, width = size
    seen_by = camera_model(camera, seed, size)
    place = seen_by.scene[height // 2 : height // 2 + height, width : 2 * width]
    film = cv2.VideoWriter(str(stem.with_suffix(".avi")), cv2.VideoWriter.fourcc(*"MJPG"), rate, (width, height))
    with stem.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("frame", "x", "y", "width", "height", "track"))
        for frame in range(frames):
            image = place.copy()
            there = list(_draw(image, visits, frame / rate, seed))
            table.writerows((frame, *row) for row in _visible(there, size))
            film.write(cv2.cvtColor(_taken(image, seen_by, camera, seed), cv2.COLOR_RGB2BGR))
    film.release()


def drawn_frame(
    visits: list[Visit], time: float, seen_by: Camera, camera: int, size: tuple[int, int], seed: int
) -> tuple[Image, dict[int, tuple[float | int, ...]]]:
    """A frame as ``write_scene`` films it, and the box (left, top, width, height) of each identity that can be seen."""
    height, width = size
    image = seen_by.scene[height // 2 : height // 2 + height, width : 2 * width].copy()
    there = list(_draw(image, visits, time, seed))
    return _taken(image, seen_by, camera, seed), {int(row[-1]): row[:4] for row in _visible(there, size)}


def _taken(image: Image, seen_by: Camera, camera: int, seed: int) -> Image:
    """What the camera makes of it, in every frame the same."""
    return photograph(image, seen_by, np.random.default_rng((seed, 7, camera)))


def _draw(image: Image, visits: list[Visit], time: float, seed: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Draw the people in view, the farthest first; gives identities and boxes (left, top, width, height)."""
    height, width = image.shape[:2]
    found = [(where, visit) for visit in visits if (where := visit.at(time)) is not None]
    for ((x, near), walks), visit in sorted(found, key=lambda one: one[0][0][1]):
        tall = height * (0.32 + 0.3 * near)
        foot, middle = height * (0.55 + 0.42 * near), x * width
        box = np.array([middle - WIDE / 2 * tall, foot - tall, WIDE * tall, tall])
        _paint(image, person(visit.identity, seed), visit, box, time if walks else None)
        yield visit.identity, box


def _paint(image: Image, who: Person, visit: Visit, box: NDArray[np.float64], time: float | None) -> None:
    """Draw one person, with arms and legs still if ``time`` is None."""
    left, top, wide, tall = box.tolist()
    margin = 0.15 * tall
    low = np.maximum(np.floor([left - margin, top - margin]), 0).astype(int)
    high = np.minimum(np.ceil([left + wide + margin, top + tall + margin]), image.shape[1::-1]).astype(int)
    if (high <= low).any():
        return
    canvas = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    across, nearer = visit.goal[0] - visit.start[0], visit.goal[1] - visit.start[1]
    view = SIDE if abs(across) > abs(nearer) else FRONT if nearer > 0 else BACK
    mirror = -1.0 if view == SIDE and across < 0 else 1.0
    pen = Pen(canvas, [(tall * mirror, 0, left + wide / 2 - low[0]), (0, tall, top - low[1])])
    swing = 0.0 if time is None else float(np.sin(2 * np.pi * (time + 0.37 * visit.identity)))
    pen.disc(0, 0.985, 0.16 * who.build, 0.02, (70, 70, 70))
    if view == SIDE:
        from_the_side(pen, who, swing)
    else:
        from_ahead(pen, who, view, swing)
    image[low[1] : high[1], low[0] : high[0]] = canvas


def _visible(there: list[tuple[int, NDArray[np.float64]]], size: tuple[int, int]) -> Iterator[tuple[float | int, ...]]:
    """The rows of the table, without the frame: people in the frame who are not hidden by nearer ones."""
    taken = np.zeros(size, bool)
    for identity, (left, top, wide, tall) in reversed(there):
        inside = np.s_[max(0, round(top)) : max(0, round(top + tall)), max(0, round(left)) : max(0, round(left + wide))]
        free = float((~taken[inside]).sum()) / (wide * tall)
        taken[inside] = True
        if free >= SEEN:
            yield (*(round(float(value), 1) for value in (left, top, wide, tall)), identity)
