"""The drawn scene keeps what it says: who is where, when, and what can be seen of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from resight.datasets.synthetic.scene import WALK, plan, write_scene
from resight.errors import DataError
from resight.images.video import Video

SMALL = {"people": 4, "cameras": 2, "seconds": 16.0, "rate": 5, "size": (96, 160), "seed": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes") / "scene"


@pytest.fixture(scope="module")
def scene(folder: Path) -> Path:
    write_scene(folder, **SMALL)  # type: ignore[arg-type]
    return folder


def frames(path: Path) -> list[NDArray[np.uint8]]:
    film, found = cv2.VideoCapture(str(path)), []
    while (read := film.read())[0]:
        found.append(read[1][..., ::-1])
    return found


def test_nobody_is_in_two_places() -> None:
    """Between two cameras lie the seconds of the walk; everybody is seen, and in more than one place."""
    visits = plan(people=20, cameras=3, seconds=60, seed=1, first=5)
    assert {visit.identity for visit in visits} == set(range(5, 25))
    several = 0
    for identity in range(5, 25):
        own = sorted((visit for visit in visits if visit.identity == identity), key=lambda visit: visit.begin)
        assert all(after.begin - before.end >= WALK for before, after in pairwise(own))
        assert all(before.camera != after.camera for before, after in pairwise(own))
        several += len({visit.camera for visit in own}) > 1
    assert several == 20
    assert plan(people=20, cameras=3, seconds=60, seed=1, first=5) == visits


def test_walks_are_steady_and_stops_are_stops() -> None:
    visits = plan(people=30, cameras=2, seconds=60, seed=2)
    standing = next(visit for visit in visits if visit.standing)
    half = standing.begin + standing.walking / 2
    first, still, after = (standing.at(half + at) for at in (-0.1, 0.5, standing.standing + 0.1))
    assert first and still and after and (first[1], still[1], after[1]) == (True, False, True)
    assert still[0] == standing.at(half + 0.9)[0] != first[0]  # type: ignore[index]
    assert standing.at(standing.begin - 0.01) is None and standing.at(standing.end) is None


def test_boxes_hold_who_moves(scene: Path) -> None:
    """Where a frame differs from the empty place, there is a box; a box differs from the empty place."""
    for camera in (1, 2):
        film, images = Video(scene / f"camera{camera}.avi", scene / f"camera{camera}.csv"), None
        images = np.stack(frames(scene / f"camera{camera}.avi")).astype(int)
        empty = np.median(images, axis=0)
        assert len(images) == 80 and film.tracks is not None and len(film)
        for number in range(0, 80, 5):
            moved = np.abs(images[number] - empty).max(axis=2) > 40
            boxed = np.zeros_like(moved)
            for x, y, width, height in film.boxes[film.frames == number]:
                left, top, right, bottom = np.round([x, y, x + width, y + height]).clip(0).astype(int)
                boxed[top:bottom, left:right] = True
                if x >= 0 and x + width <= 160:
                    assert moved[top:bottom, left:right].mean() > 0.1
            outside = moved & ~cv2.dilate(boxed.astype(np.uint8), np.ones((9, 9))).astype(bool)
            assert outside[:, 20:-20].mean() < 0.01  # at the sides somebody may be half there, and in no table


def test_the_same_arguments_give_the_same_bytes(scene: Path, tmp_path: Path) -> None:
    again = write_scene(tmp_path / "again", **SMALL)  # type: ignore[arg-type]
    for path in (*again.videos, *again.tables):
        assert path.read_bytes() == (scene / path.name).read_bytes()
    other = write_scene(tmp_path / "other", **SMALL | {"first": 9})  # type: ignore[arg-type]
    assert Video(other.videos[0], other.tables[0]).tracks.min() >= 9  # type: ignore[union-attr]


def test_what_cannot_be_drawn(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="exists already and is never written over"):
        write_scene(scene)
    with pytest.raises(DataError, match="cannot have people=0"):
        write_scene(tmp_path / "none", people=0)
    with pytest.raises(DataError, match="at most 99 cameras"):
        write_scene(tmp_path / "none", cameras=100)
    assert not (tmp_path / "none").exists()
