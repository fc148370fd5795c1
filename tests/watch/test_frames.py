"""Frames are those that OpenCV decodes by itself, at the times at which they were filmed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from resight.errors import DataError
from resight.watch.frames import batches, count_frames, file_start, is_live, read_frames
from watch.films import RATE, Walk, write


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write(tmp_path, "door", [Walk("red", 0, 29)], frames=30)


def test_every_third_frame(film: Path) -> None:
    capture, by_hand = cv2.VideoCapture(str(film)), []
    while (read := capture.read())[0]:
        by_hand.append(read[1][..., ::-1])
    found = list(read_frames(film, every=3))
    assert [frame.number for frame in found] == list(range(0, 30, 3))
    assert np.allclose([frame.time for frame in found], np.arange(0, 30, 3) / RATE)
    assert all(np.array_equal(frame.pixels, by_hand[frame.number]) for frame in found)
    assert count_frames(film) == 30


def test_what_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist: check the path of the video"):
        next(read_frames(tmp_path / "none.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match="not a video that FFmpeg can read"):
        next(read_frames(tmp_path / "text.mp4"))


def test_batches_keep_order_and_rest() -> None:
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches([], 3)) == []


def test_what_is_a_camera_for_sure(film: Path) -> None:
    assert is_live("rtsp://door/1") and is_live("0") and is_live("udp://@:1234")
    assert not is_live(film) and not is_live("http://door/film.mp4") and not is_live(f"file://{film}")
    assert count_frames("rtsp://door/1") == 0 and count_frames(f"file://{film}") == 30


def test_a_film_at_an_address_is_read_from_end_to_end(film: Path) -> None:
    """Also where whoever takes the frames is slow: its frames do not run away as those of a camera."""
    found = []
    for frame in read_frames(f"file://{film}"):
        found.append(frame)
        time.sleep(0.002)
    assert [frame.number for frame in found] == list(range(30))
    assert np.allclose([frame.time for frame in found], np.arange(30) / RATE)


def test_when_a_file_began(film: Path) -> None:
    os.utime(film, (1_700_000_000, 1_700_000_000))
    assert file_start(film) == pytest.approx(1_700_000_000 - 3)
