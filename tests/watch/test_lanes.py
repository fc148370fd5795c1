"""Videos are opened one after the other, damage is reported, and nothing runs on after an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from resight.errors import DataError
from resight.images.film import Film
from resight.watch import lanes as module
from resight.watch.detectors import open_detector
from resight.watch.views import View
from resight.watch.watch import watch
from watch.films import HEIGHT, RATE, WIDTH, Walk, write
from watch.test_watch import START, opened

SEGMENTS = 6


def test_the_segments_of_a_camera_are_opened_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_now: set[int] = set()
    most: list[int] = []

    class Counted(Film):
        def __init__(self, source: str) -> None:
            super().__init__(source)
            open_now.add(id(self))
            most.append(len(open_now))

        def close(self) -> None:
            open_now.discard(id(self))
            super().close()

    monkeypatch.setattr(module, "Film", Counted)
    paths = [write(tmp_path, f"{number:03d}", [Walk("red", 2, 17)], frames=20) for number in range(SEGMENTS)]
    views = [View(str(path), "door", START + 100 * number) for number, path in enumerate(paths)]
    with opened(tmp_path) as gallery:
        found = watch(views, gallery, open_detector(tmp_path), threshold=0.1)
        assert found.tracks == {"door": SEGMENTS} and found.people == ("person 1",) and found.frames == 20 * SEGMENTS
        times = sorted(record.time or 0 for record in gallery.records())
        assert [int((time - START) / 100) for time in times] == list(range(SEGMENTS))
    assert len(most) == SEGMENTS and max(most) == 1 and not open_now


def test_a_video_that_cannot_be_read_does_not_end_the_others(tmp_path: Path) -> None:
    """A film without a single picture, between two good ones."""
    for name in ("a", "b", "c"):
        write(tmp_path, name, [Walk("red", 2, 17)], frames=20)
    data = bytearray((tmp_path / "b.avi").read_bytes())
    start = data.index(b"movi") + 4
    data[start : data.index(b"idx1")] = bytes(data.index(b"idx1") - start)
    (tmp_path / "b.avi").write_bytes(data)
    views = [View(str(tmp_path / f"{name}.avi")) for name in ("a", "b", "c")]
    said: list[str] = []
    with opened(tmp_path) as gallery:
        found = watch(views, gallery, open_detector(tmp_path), threshold=0.1, on_message=said.append)
        assert found.tracks == {"a": 1, "b": 0, "c": 1} and not found.complete and not found.stopped
        assert any("b.avi" in one for one in found.problems) and said == list(found.problems)
        with pytest.raises(DataError, match=r"b\.avi has no frame that can be decoded"):
            watch(views[1:2], gallery, open_detector(tmp_path), threshold=0.1)


def test_a_film_cut_off_in_the_middle_is_not_complete(tmp_path: Path) -> None:
    path = write(tmp_path, "door", [Walk("red", 2, 12)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with opened(tmp_path) as gallery:
        found = watch([View(str(path))], gallery, open_detector(tmp_path), threshold=0.1)
    assert not found.complete and found.tracks == {"door": 1} and 5 < found.frames < 30
    assert f"{found.frames} of 40 frames were read" in found.problems[0]


def test_nobody_is_followed_over_a_hole_in_the_times(tmp_path: Path) -> None:
    """The same rectangle at the same place, an hour later: two tracks, at their times."""
    path = tmp_path / "door.avi"
    write(tmp_path, "door", [Walk("red", 0, 39)])
    frames = [one.pixels() for one in Film(path)]
    with av.open(str(tmp_path / "door.mkv"), "w") as film:
        stream = film.add_stream("mjpeg", rate=RATE, options={"q:v": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number + (3600 * RATE if number >= 20 else 0)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    with opened(tmp_path) as gallery:
        view = View(str(tmp_path / "door.mkv"), start=START)
        found = watch([view], gallery, open_detector(tmp_path / "door.csv"), threshold=0.1)
        times = sorted((record.time or 0) - START for record in gallery.records())
    assert found.tracks == {"door": 2} and not found.problems
    assert 0 <= times[0] < 2 and 3602 <= times[1] < 3604


ERRORS = """
from resight import Gallery, load
from resight.watch.watch import View, watch
gallery = Gallery.open("seen", load("osnet_x0_25", height=64, width=32))
for error in (ValueError("a fault"), KeyboardInterrupt()):
    def detector(frames):
        raise error
    try:
        watch([View("door.avi")], gallery, detector, threshold=0.1)
    except ValueError:
        pass
"""


def test_errors_while_films_are_decoded_ahead_end_python_in_order(tmp_path: Path) -> None:
    film = cv2.VideoWriter(str(tmp_path / "door.avi"), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (1280, 720))
    for _ in range(60):
        film.write(np.full((720, 1280, 3), 128, np.uint8))
    film.release()
    done = subprocess.run([sys.executable, "-c", ERRORS], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == -2, done.stderr  # ended by the interruption, not aborted
    assert "FATAL" not in done.stderr and "terminate" not in done.stderr
