"""Frames are those that OpenCV decodes by itself, at the times at which they were filmed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from resight.errors import DataError
from resight.watch import frames as module
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
    with pytest.raises(DataError, match="no video that OpenCV can read"):
        next(read_frames(tmp_path / "text.mp4"))


def test_batches_keep_order_and_rest() -> None:
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches([], 3)) == []


def test_a_live_camera_is_never_waited_for_and_never_piles_up(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera that films faster than anybody looks: the newest frames remain, in order. A video plays the camera."""
    monkeypatch.setattr(module, "WAITING", 5)
    before = time.time()
    live = read_frames(f"file://{film}")
    seen = [next(live)]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # until the "camera" has filmed everything
        time.sleep(0.05)
        if not any(thread.name == "resight-camera" for thread in module.threading.enumerate()):
            break
    seen += list(live)
    numbers = [frame.number for frame in seen]
    assert numbers[-5:] == [25, 26, 27, 28, 29] and len(numbers) <= 6
    assert before <= seen[0].time <= seen[-1].time <= time.time()
    assert is_live("rtsp://door/1") and is_live("0") and not is_live(film)
    assert count_frames("rtsp://door/1") == 0


def test_when_a_file_began(film: Path) -> None:
    os.utime(film, (1_700_000_000, 1_700_000_000))
    assert file_start(film) == pytest.approx(1_700_000_000 - 3)


def test_a_live_camera_stops_when_it_is_told_to(film: Path) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 3

    assert len(list(read_frames(f"file://{film}", stop=stop))) <= 3
